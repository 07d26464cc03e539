//! Keys are created, listed and revoked, and the trail says by whom.

use creditd::rpc::pb::creditd::v1 as pb;
use prost_types::Timestamp;

use super::{ADMIN_KEY, admin, create, key, ledger, revoke, serve_with};
use crate::support::grant;
use crate::support::refusal::{Refusal, refused};
use crate::support::server::Program;

/// Every key that the server lists, page by page.
async fn keys(server: &Program, show_revoked: bool, page_size: i32) -> Vec<pb::Key> {
    let mut admin = admin(server, ADMIN_KEY).await;
    let (mut keys, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListKeysRequest {
            page_size,
            page_token,
            show_revoked,
        };
        let page = admin.list_keys(request).await.unwrap().into_inner();
        keys.extend(page.keys);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return keys;
        }
    }
}

/// The trail as lines, newest first.
async fn trail(server: &Program, key_id: &str, page_size: i32) -> Vec<String> {
    let mut admin = admin(server, ADMIN_KEY).await;
    let (mut lines, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListAdminEventsRequest {
            page_size,
            page_token,
            key_id: key_id.to_owned(),
        };
        let page = admin.list_admin_events(request).await.unwrap().into_inner();
        for event in page.events {
            assert!(event.create_time.is_some());
            let pb::AdminEvent {
                key_id,
                action,
                subject,
                title,
                ..
            } = event;
            lines.push(format!("{key_id} {action} {subject} {title}"));
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return lines;
        }
    }
}

#[tokio::test]
async fn what_a_key_is_for_is_kept_over_restarts() {
    let server = serve_with(&[]);
    let far = Timestamp {
        seconds: 10_000_000_000,
        nanos: 5,
    };
    let worker = pb::Key {
        title: "billing worker".to_owned(),
        expire_time: Some(far),
        calls_per_second_max: 200,
        ..key("charge read charge", "team-b team-* team-a x")
    };
    let (worker_id, secret) = create(&server, worker).await;
    let (reader_id, _) = create(&server, key("read", "")).await;
    let (gone_id, gone) = create(&server, key("admin", "*")).await;
    let mut by_gone = admin(&server, &gone).await;
    (by_gone.list_keys(pb::ListKeysRequest::default()).await).unwrap();
    revoke(&server, &gone_id).await;
    let listed = keys(&server, false, 1).await;
    let ids: Vec<_> = listed.iter().map(|key| key.key_id.as_str()).collect();
    assert_eq!(ids, [&worker_id, &reader_id]);
    let worker = &listed[0];
    assert_eq!(worker.title, "billing worker");
    assert_eq!(worker.scopes, ["read", "charge"]);
    // What others cover is left out.
    assert_eq!(worker.accounts, ["team-*", "x"]);
    assert_eq!(worker.expire_time, Some(far));
    assert_eq!(worker.calls_per_second_max, 200);
    assert_eq!((&worker.last_use_time, &worker.revoke_time), (&None, &None));
    let all = keys(&server, true, 50).await;
    assert_eq!(all.len(), 3);
    assert!(all[2].revoke_time.unwrap().seconds >= all[2].create_time.unwrap().seconds);
    // Also where it is revoked right after.
    let used = all[2].last_use_time.expect("it was used").seconds;
    assert!((0..=60).contains(&(all[2].create_time.unwrap().seconds - used)));
    assert_eq!(all[2].accounts, Vec::<String>::new());
    // It was used: that is known to the minute, and written down at the end.
    let mut ledger = ledger(&server, &secret).await;
    refused(ledger.get_balance(crate::support::balance("team-a")).await);
    let server = super::restart(server, &[]);
    let again = keys(&server, true, 50).await;
    let used = again[0].last_use_time.expect("it was used");
    assert_eq!((used.seconds % 60, used.nanos), (0, 0));
    assert!(again[0].create_time.unwrap().seconds - used.seconds <= 60);
    let without_use = |keys: Vec<pb::Key>| {
        let keys = keys.into_iter();
        let keys = keys.map(|key| pb::Key {
            last_use_time: None,
            ..key
        });
        keys.collect::<Vec<_>>()
    };
    assert_eq!(without_use(again), without_use(all));
}

#[tokio::test]
async fn the_trail_says_who_did_what() {
    let server = serve_with(&[]);
    let (second_id, second) = create(
        &server,
        pb::Key {
            title: "second".to_owned(),
            ..key("admin", "")
        },
    )
    .await;
    let mut by_second = admin(&server, &second).await;
    let request = pb::CreateKeyRequest {
        key: Some(pb::Key {
            title: "third".to_owned(),
            ..key("read", "")
        }),
    };
    let third = by_second.create_key(request).await.unwrap().into_inner();
    let third_id = third.key.unwrap().key_id;
    for _ in 0..2 {
        // The second time it was revoked already.
        let request = pb::RevokeKeyRequest {
            key_id: third_id.clone(),
        };
        by_second.revoke_key(request).await.unwrap();
    }
    let card = crate::support::rate_cards::card_text("studio", "2");
    for validate_only in [true, false, false] {
        let request = pb::PublishRateCardRequest {
            toml: card.clone(),
            validate_only,
        };
        by_second.publish_rate_card(request).await.unwrap();
    }
    let later = card.replace(
        "title = \"Plan\"\n",
        "title = \"Plan\"\neffective_time = 2999-01-01T00:00:00Z\n",
    );
    let request = pb::PublishRateCardRequest {
        toml: later,
        validate_only: false,
    };
    let later = by_second
        .publish_rate_card(request)
        .await
        .unwrap()
        .into_inner();
    let later = later.rate_card.unwrap().revision;
    let request = pb::WithdrawRateCardRequest {
        revision: later.clone(),
    };
    by_second.withdraw_rate_card(request).await.unwrap();
    let lines = trail(&server, "", 2).await;
    let studio = lines[2].split(' ').nth(2).unwrap().to_owned();
    let expected = [
        format!("{second_id} withdraw_rate_card {later} studio"),
        format!("{second_id} publish_rate_card {later} studio"),
        format!("{second_id} publish_rate_card {studio} studio"),
        format!("{second_id} revoke_key {third_id} third"),
        format!("{second_id} create_key {third_id} third"),
        format!("admin create_key {second_id} second"),
    ];
    assert_eq!(lines, expected);
    assert_eq!(trail(&server, &second_id, 50).await, expected[..5]);
    assert_eq!(trail(&server, "admin", 50).await, expected[5..]);
    assert_eq!(trail(&server, "nobody", 50).await, Vec::<String>::new());
    let server = super::restart(server, &[]);
    assert_eq!(trail(&server, "", 50).await, expected);
}

/// Entries carry the key, and lists find what a key did.
#[tokio::test]
async fn entries_say_who_did_it() {
    let server = serve_with(&[]);
    let (id, secret) = create(&server, key("charge grant read", "")).await;
    let mut worker = ledger(&server, &secret).await;
    let mut all = ledger(&server, ADMIN_KEY).await;
    let granted = all
        .grant(grant("g1", "team-a", "10"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(granted.entry.unwrap().key_id, "admin");
    let charge = crate::support::requests::charge("c1", "team-a", "1");
    let charged = worker.charge(charge.clone()).await.unwrap().into_inner();
    assert_eq!(charged.entry.unwrap().key_id, id);
    // Another key's repetition is answered as the first.
    let again = all.charge(charge.clone()).await.unwrap().into_inner();
    assert!(again.replayed);
    assert_eq!(again.entry.unwrap().key_id, id);
    let charges = vec![
        charge,
        crate::support::requests::charge("c2", "team-a", "1"),
    ];
    let batch = crate::support::requests::batch(charges);
    worker.batch_charge(batch).await.unwrap();
    for (key_id, expected) in [("", 3), ("admin", 1), (id.as_str(), 2), ("nobody", 0)] {
        let request = pb::ListEntriesRequest {
            account: "team-a".to_owned(),
            key_id: key_id.to_owned(),
            ..pb::ListEntriesRequest::default()
        };
        let page = worker.list_entries(request).await.unwrap().into_inner();
        assert_eq!(page.entries.len(), expected, "{key_id}");
    }
}

#[tokio::test]
async fn all_that_is_wrong_with_a_key_is_said_at_once() {
    let server = serve_with(&[]);
    let mut admin = admin(&server, ADMIN_KEY).await;
    let past = Some(Timestamp::default());
    let long = |length: usize| "x".repeat(length);
    let many: Vec<_> = (0..101).map(|number| format!("a{number}")).collect();
    for (key, expected) in [
        (None, "key FIELD_REQUIRED"),
        (Some(pb::Key::default()), "key.scopes FIELD_REQUIRED"),
        (Some(key("write", "")), "key.scopes INVALID_KEY"),
        (Some(key("Read", "")), "key.scopes INVALID_KEY"),
        (
            Some(key("read admin", "team-a")),
            "key.accounts INVALID_KEY",
        ),
        (
            Some(pb::Key {
                title: long(129),
                accounts: many,
                expire_time: past,
                calls_per_second_max: -1,
                key_id: "mine".to_owned(),
                create_time: past,
                last_use_time: past,
                revoke_time: past,
                ..key("", "")
            }),
            "key.key_id INVALID_KEY, key.create_time INVALID_KEY, key.last_use_time INVALID_KEY, \
             key.revoke_time INVALID_KEY, key.title INVALID_LENGTH, key.scopes FIELD_REQUIRED, \
             key.accounts TOO_MANY_ITEMS, key.calls_per_second_max INVALID_KEY, \
             key.expire_time INVALID_TIME",
        ),
        (
            Some(pb::Key {
                accounts: vec!["a b".to_owned()],
                calls_per_second_max: 1_000_001,
                expire_time: Some(Timestamp {
                    seconds: i64::MAX,
                    nanos: 0,
                }),
                ..key("read", "")
            }),
            "key.accounts INVALID_KEY, key.expire_time INVALID_TIME, key.calls_per_second_max INVALID_KEY",
        ),
        (
            Some(pb::Key {
                accounts: vec![String::new()],
                ..key("read", "")
            }),
            "key.accounts INVALID_KEY",
        ),
        (
            Some(key("read", &format!("{}*", long(129)))),
            "key.accounts INVALID_KEY",
        ),
    ] {
        let request = pb::CreateKeyRequest { key: key.clone() };
        let refused = refused(admin.create_key(request).await);
        let fields: Vec<_> = (refused.fields.iter())
            .map(|(field, reason)| format!("{field} {reason}"))
            .collect();
        assert_eq!(fields.join(", "), expected, "{key:?}");
    }
    for (key_id, reason) in [
        ("", "FIELD_REQUIRED"),
        ("nobody", "KEY_NOT_FOUND"),
        ("admin", "KEY_NOT_FOUND"),
        ("a b\u{e9}", "KEY_NOT_FOUND"),
    ] {
        let request = pb::RevokeKeyRequest {
            key_id: key_id.to_owned(),
        };
        let refused: Refusal = refused(admin.revoke_key(request).await);
        assert_eq!(refused.reason, reason, "{key_id:?}");
    }
    assert_eq!(keys(&server, true, 50).await, Vec::new());
}
