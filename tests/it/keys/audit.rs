//! The audit finds what was changed about keys and in the trail, and keys survive a kill.

use creditd::rpc::pb::creditd::v1 as pb;

use super::{ADMIN_KEY, admin, create, key, ledger, revoke, serve_with};
use crate::support::refusal::refused;
use crate::support::server::{Program, Settings, run};
use crate::support::{balance, rate_cards};

/// Each edit by SQL, and what the audit says of it.
const EDITS: &[(&str, &str)] = &[
    (
        "UPDATE admin_events SET create_time = create_time + 1000 WHERE event_id = 1",
        "event 1 of the trail was changed",
    ),
    (
        "UPDATE admin_events SET key_id = NULL WHERE event_id = 2",
        "event 2 of the trail was changed",
    ),
    (
        "UPDATE admin_events SET key_id = 'other' WHERE event_id = 4",
        "event 4 of the trail was changed",
    ),
    (
        "UPDATE admin_events SET action = 'revoke_key' WHERE event_id = 2",
        "event 2 of the trail was changed",
    ),
    (
        "UPDATE admin_events SET action = 'withdraw_rate_card' WHERE event_id = 4",
        "event 4 of the trail was changed",
    ),
    (
        "UPDATE admin_events SET action = 'nothing' WHERE event_id = 4",
        "the trail cannot be read",
    ),
    (
        "UPDATE admin_events SET subject = 'other' WHERE event_id = 4",
        "event 4 of the trail was changed",
    ),
    (
        "UPDATE admin_events SET title = 'other' WHERE event_id = 4",
        "event 4 of the trail was changed",
    ),
    (
        "UPDATE admin_events SET chain = zeroblob(32) WHERE event_id = 2",
        "event 2 of the trail was changed",
    ),
    (
        "DELETE FROM admin_events WHERE event_id = 1",
        "event 2 of the trail was changed",
    ),
    (
        "DELETE FROM admin_events WHERE event_id = 3",
        "event 4 of the trail was changed",
    ),
    (
        "DELETE FROM admin_events WHERE action = 'create_key' AND event_id = 2",
        "was not created, as the trail says",
    ),
    (
        "INSERT INTO admin_events SELECT 5, create_time, key_id, action, subject, title, chain FROM admin_events WHERE event_id = 4",
        "event 5 of the trail was changed",
    ),
    (
        "UPDATE keys SET scopes = '[\"admin\"]' WHERE key_number = 1",
        "event 1 of the trail was changed",
    ),
    (
        "UPDATE keys SET accounts = '[]' WHERE key_number = 1",
        "event 1 of the trail was changed",
    ),
    (
        "UPDATE keys SET secret_hash = zeroblob(32) WHERE key_number = 2",
        "event 2 of the trail was changed",
    ),
    (
        "UPDATE keys SET expire_time = NULL WHERE key_number = 1",
        "event 1 of the trail was changed",
    ),
    (
        "UPDATE keys SET create_time = create_time + 1 WHERE key_number = 1",
        "event 1 of the trail was changed",
    ),
    (
        "UPDATE keys SET calls_per_second_max = 0 WHERE key_number = 1",
        "event 1 of the trail was changed",
    ),
    (
        "UPDATE keys SET title = '' WHERE key_number = 1",
        "event 1 of the trail was changed",
    ),
    (
        "UPDATE keys SET revoke_time = NULL WHERE key_number = 2",
        "differ on whether it was revoked",
    ),
    (
        "UPDATE keys SET revoke_time = revoke_time + 1 WHERE key_number = 2",
        "event 3 of the trail was changed",
    ),
    (
        "UPDATE keys SET revoke_time = create_time WHERE key_number = 1",
        "differ on whether it was revoked",
    ),
    (
        "UPDATE keys SET last_use_time = 1 WHERE key_number = 1",
        "its last use is at no minute",
    ),
    (
        "UPDATE keys SET scopes = 'admin' WHERE key_number = 1",
        "keys cannot be read",
    ),
    (
        "DELETE FROM keys WHERE key_number = 1",
        "is not there, and the trail names it",
    ),
    (
        "UPDATE keys SET key_id = 'other' WHERE key_number = 1",
        "key other was not created",
    ),
    (
        "INSERT INTO keys SELECT 3, 'more', title, scopes, accounts, secret_hash, create_time, expire_time, calls_per_second_max, revoke_time, last_use_time FROM keys WHERE key_number = 1",
        "key more was not created",
    ),
];

#[tokio::test]
async fn every_edit_of_keys_and_of_the_trail_is_found() {
    let server = serve_with(&[]);
    let expiring = pb::Key {
        title: "billing worker".to_owned(),
        calls_per_second_max: 7,
        expire_time: Some(prost_types::Timestamp {
            seconds: 10_000_000_000,
            nanos: 0,
        }),
        ..key("charge", "team-*")
    };
    create(&server, expiring).await;
    let (id, _) = create(&server, key("read", "")).await;
    revoke(&server, &id).await;
    let request = pb::PublishRateCardRequest {
        toml: rate_cards::card_text("studio", "2"),
        validate_only: false,
    };
    admin(&server, ADMIN_KEY)
        .await
        .publish_rate_card(request)
        .await
        .unwrap();
    let directory = server.stop();
    let audit = || run(directory.path(), &["audit", "--data", "edited.db"]);
    let [file, edited] = ["creditd.db", "edited.db"].map(|name| directory.path().join(name));
    std::fs::copy(&file, &edited).unwrap();
    let (status, _, err) = audit();
    assert_eq!(status, Some(0), "{err}");
    for (sql, expected) in EDITS {
        std::fs::copy(&file, &edited).unwrap();
        let connection = rusqlite::Connection::open(&edited).unwrap();
        assert_eq!(connection.execute(sql, []).unwrap(), 1, "{sql}");
        drop(connection);
        let (status, out, _) = audit();
        assert_eq!(status, Some(1), "{sql}: {out}");
        assert!(out.contains(expected), "{sql}: {out}");
    }
}

/// What was answered is on disk.
#[tokio::test]
async fn keys_and_revocations_survive_a_kill() {
    let mut server = serve_with(&[]);
    for _ in 0..3 {
        let (id, revoked) = create(&server, key("read", "")).await;
        let (_, secret) = create(&server, key("read", "")).await;
        revoke(&server, &id).await;
        server = Program::start_settings(Settings {
            directory: Some(server.kill()),
            ..Settings::default()
        });
        for (secret, expected) in [(secret, "ACCOUNT_NOT_FOUND"), (revoked, "KEY_INVALID")] {
            let mut ledger = ledger(&server, &secret).await;
            let refused = refused(ledger.get_balance(balance("nobody")).await);
            assert_eq!(refused.reason, expected);
        }
        server = super::restart(server, &[]);
    }
    let directory = server.stop();
    let (status, _, err) = run(directory.path(), &["audit"]);
    assert_eq!(status, Some(0), "{err}");
}
