//! `creditd audit` and `creditd backup`: sound, copied and damaged data files.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use creditd::app::card_file::Loading;
use creditd::app::{App, card_file};
use creditd::domain::pricing::Catalog;
use creditd::rpc::LedgerApi;
use creditd::rpc::health::{Serving, State};
use creditd::rpc::pb::creditd::v1 as pb;
use creditd::rpc::pb::creditd::v1::ledger_service_server::LedgerService as _;
use creditd::server::SystemClock;
use creditd::store::Clock;
use creditd::store::cards::RateCardStore as _;
use creditd::store::sqlite::{SqliteSettings, SqliteStore};
use tonic::Request;

use crate::support::rate_cards::card_text;
use crate::support::server::{Program, Settings, run};
use crate::support::table;
use crate::support::{grant, root, usage};

/// A data file with entries of every kind, and with short sorted runs of request_ids.
fn sound() -> &'static Path {
    static FILE: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, file) = FILE.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("creditd.db");
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(make(&file));
        (directory, file)
    });
    file
}

async fn make(file: &Path) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let settings = SqliteSettings {
        request_run_length: 100,
        ..SqliteSettings::default()
    };
    let store = SqliteStore::open(file, Arc::clone(&clock), settings).unwrap();
    let loaded = card_file::built_in().unwrap();
    // It asks accounts for their plan.
    let plans = card_file::load(&root("tests/data/cards/plans.toml")).unwrap();
    let store = Arc::new(store);
    store
        .publish(vec![loaded.to_store(), plans.to_store()])
        .await
        .unwrap();
    // One card is in force by publishing, one waits, and one was withdrawn.
    for time in ["", "2099-01-01T00:00:00Z", "2099-02-01T00:00:00Z"] {
        let text = match time {
            "" => card_text("studio", "1"),
            time => {
                card_text("studio", "1").replace("\n\n", &format!("\neffective_time = {time}\n\n"))
            }
        };
        let card = card_file::load_text(&text, &Loading::ALONE).unwrap();
        store.publish_one(card.to_store(), None).await.unwrap();
        if time.starts_with("2099-02") {
            store
                .withdraw(card.stored.revision.into(), None)
                .await
                .unwrap();
        }
    }
    let catalog = Catalog::new(vec![Arc::new(loaded.card), Arc::new(plans.card)], None).unwrap();
    let state = State {
        serving: Serving::Yes,
        writable: true,
    };
    let (_keep, state) = tokio::sync::watch::channel(state);
    let app = Arc::new(App::new(catalog, store.clone(), store, clock));
    let ledger = LedgerApi::new(app, state);

    ledger
        .grant(Request::new(grant("g1", "team-a", "100")))
        .await
        .unwrap();
    let restricted = pb::GrantRequest {
        services: vec!["ai_scripts".to_owned()],
        ..grant("g2", "team-a", "50")
    };
    let restricted = ledger.grant(Request::new(restricted)).await.unwrap();
    let restricted = restricted.into_inner().entry.unwrap();
    ledger
        .charge(Request::new(charge("c1", "31s")))
        .await
        .unwrap();
    // An ordinary day of another account.
    ledger
        .grant(Request::new(grant("g1", "team-b", "10")))
        .await
        .unwrap();
    let hold = |id: &str| {
        Request::new(pb::HoldRequest {
            request_id: id.to_owned(),
            account: "team-a".to_owned(),
            what: Some(pb::hold_request::What::Credits("3".to_owned())),
            ..pb::HoldRequest::default()
        })
    };
    let held = ledger.hold(hold("h1")).await.unwrap().into_inner();
    let settled = pb::SettleHoldRequest {
        request_id: "s1".to_owned(),
        account: "team-a".to_owned(),
        hold_id: held.hold.unwrap().hold_id,
        what: Some(pb::settle_hold_request::What::Credits("2".to_owned())),
        ..pb::SettleHoldRequest::default()
    };
    let settled = ledger.settle_hold(Request::new(settled)).await.unwrap();
    let refund = pb::RefundRequest {
        request_id: "r1".to_owned(),
        account: "team-a".to_owned(),
        entry_id: settled.into_inner().entry.unwrap().entry_id,
        credits: Some("1".to_owned()),
        ..pb::RefundRequest::default()
    };
    ledger.refund(Request::new(refund)).await.unwrap();
    let held = ledger.hold(hold("h2")).await.unwrap().into_inner();
    let hold_id = held.hold.unwrap().hold_id;
    let extended = pb::ExtendHoldRequest {
        request_id: "x1".to_owned(),
        account: "team-a".to_owned(),
        hold_id: hold_id.clone(),
        ttl: Some(prost_types::Duration {
            seconds: 60,
            nanos: 0,
        }),
    };
    ledger.extend_hold(Request::new(extended)).await.unwrap();
    let released = pb::ReleaseHoldRequest {
        request_id: "l1".to_owned(),
        account: "team-a".to_owned(),
        hold_id,
    };
    ledger.release_hold(Request::new(released)).await.unwrap();
    let revoked = pb::RevokeGrantRequest {
        request_id: "v1".to_owned(),
        account: "team-a".to_owned(),
        grant_id: restricted.grant_id,
        ..pb::RevokeGrantRequest::default()
    };
    ledger.revoke_grant(Request::new(revoked)).await.unwrap();
    // One account is opened by an update, and one hold stays open.
    for (id, account, plan) in [("u1", "team-a", "growth"), ("u1", "team-c", "payg")] {
        let update = pb::UpdateAccountRequest {
            request_id: id.to_owned(),
            account: Some(pb::Account {
                account: account.to_owned(),
                rate_card: "jogg-api-v2".to_owned(),
                attributes: [("plan".to_owned(), plan.to_owned())].into(),
                ..pb::Account::default()
            }),
            update_mask: Some(prost_types::FieldMask {
                paths: vec!["rate_card".to_owned(), "attributes".to_owned()],
            }),
            allow_missing: true,
        };
        ledger.update_account(Request::new(update)).await.unwrap();
    }
    // Enough charges for checkpoints and runs.
    ledger.hold(hold("h3")).await.unwrap();
    for number in 0..600 {
        let charge = charge(&format!("many-{number}"), "1s");
        ledger.charge(Request::new(charge)).await.unwrap();
    }
    // A thread of its own sorts what becomes a run.
    let mut more = 0;
    while count(file, "SELECT count(*) FROM request_runs") < 2 {
        let charge = charge(&format!("more-{more}"), "1s");
        ledger.charge(Request::new(charge)).await.unwrap();
        more += 1;
        assert!(more < 10_000, "no run of request_ids is made");
    }
    // It closes its file.
    drop(ledger);
}

fn count(file: &Path, sql: &str) -> i64 {
    let file = rusqlite::Connection::open(file).unwrap();
    file.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn charge(request_id: &str, quantity: &str) -> pb::ChargeRequest {
    pb::ChargeRequest {
        request_id: request_id.to_owned(),
        account: "team-a".to_owned(),
        what: Some(pb::charge_request::What::Usage(usage(
            "lip_sync_video",
            quantity,
        ))),
        ..pb::ChargeRequest::default()
    }
}

fn audit(directory: &Path, file: &str) -> (Option<i32>, String, String) {
    run(directory, &["audit", "--data", file])
}

#[test]
fn a_sound_file_is_proved() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::copy(sound(), directory.path().join("file.db")).unwrap();
    let (status, out, err) = audit(directory.path(), "file.db");
    assert_eq!((status, err.as_str()), (Some(0), ""), "{out}");
    // An extended hold and two updates.
    let rows = count(sound(), "SELECT count(*) FROM entries");
    let entries = rows - 3;
    let priced = count(
        sound(),
        "SELECT count(*) FROM entries WHERE usage IS NOT NULL",
    );
    assert!(entries > 600 && priced > 600);
    let (first, second) = out.trim_end().split_once('\n').unwrap();
    assert_eq!(
        first,
        format!(
            "file.db is sound: {entries} entries and 3 other rows of 3 accounts, {priced} priced again"
        )
    );
    let head = second.strip_prefix("head ").unwrap();
    assert!(head.starts_with(&format!("{rows}-")), "{head}");
    let (status, out, _) = run(directory.path(), &["audit", "--data", "file.db", "--json"]);
    let printed: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(status, Some(0));
    assert_eq!(printed["sound"], true);
    assert_eq!(printed["entries"], entries);
    assert_eq!(printed["other_rows"], 3);
    assert_eq!(printed["head"], head);
    let (status, out, _) = run(directory.path(), &["audit", "--data", "file.db", "--head"]);
    assert_eq!((status, out.trim_end()), (Some(0), head));
    assert!(count(sound(), "SELECT count(*) FROM snapshots") >= 2);
}

#[test]
fn each_kind_of_damage_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file.db");
    let cases = table::read("damage.txt", 2);
    assert!(cases.len() >= 50, "{}", cases.len());
    let mut missed = Vec::new();
    for row in cases {
        let (number, sql) = (row.line, &row.cells[0]);
        let finding = row.cells[1].as_str();
        std::fs::copy(sound(), &path).unwrap();
        let file = rusqlite::Connection::open(&path).unwrap();
        let changed = file.execute(sql, []).unwrap();
        assert!(changed > 0, "damage.txt:{number} changes nothing");
        file.close().unwrap();
        let (status, out, err) = audit(directory.path(), "file.db");
        if status != Some(1) || !out.contains(finding) || !err.contains("it is damaged") {
            missed.push(format!("damage.txt:{number}: {out}{err}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// Changed bytes of a page, as a bad disk makes them.
#[test]
fn a_page_that_was_overwritten_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file.db");
    let mut bytes = std::fs::read(sound()).unwrap();
    let file = rusqlite::Connection::open(sound()).unwrap();
    let sql = "SELECT rootpage - 1 FROM sqlite_schema WHERE name = 'entries'";
    let page: u32 = file.query_row(sql, [], |row| row.get(0)).unwrap();
    // A page of the journal: in others there may be nothing.
    let start = 8_192 * usize::try_from(page).unwrap();
    bytes[start..start + 4_096].fill(0x5a);
    std::fs::write(&path, bytes).unwrap();
    let (status, out, _) = audit(directory.path(), "file.db");
    assert_eq!(status, Some(1), "{out}");
}

#[test]
fn what_is_no_data_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("text"),
        "no database at all, but long enough",
    )
    .unwrap();
    std::fs::write(directory.path().join("empty"), "").unwrap();
    let other = rusqlite::Connection::open(directory.path().join("other.db")).unwrap();
    other.execute_batch("CREATE TABLE t (x)").unwrap();
    drop(other);
    for (file, expected) in [
        ("missing.db", "there is no such file"),
        ("text", "not a"),
        ("empty", "it is empty"),
        ("other.db", "of another program"),
    ] {
        for command in [vec!["audit"], vec!["backup", "copy.db"]] {
            let mut args = command.clone();
            args.extend(["--data", file]);
            let (status, _, err) = run(directory.path(), &args);
            assert_eq!(status, Some(1), "{file}: {err}");
            assert!(err.contains(expected), "{file}: {err}");
        }
    }
    assert!(!directory.path().join("copy.db").exists());
}

/// A copy has another name while it is made, and what had that name is removed.
#[test]
fn a_backup_does_not_remove_what_it_copies() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("copy.db.partial");
    std::fs::copy(sound(), &data).unwrap();
    let args = ["backup", "copy.db", "--data", "copy.db.partial"];
    let (status, _, err) = run(directory.path(), &args);
    assert_eq!(status, Some(1), "{err}");
    assert!(err.contains("and that is the data file"), "{err}");
    assert_eq!(
        std::fs::read(&data).unwrap(),
        std::fs::read(sound()).unwrap()
    );
}

/// Backups that are made while a server writes: each is a consistent snapshot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_running_server_is_sound_and_serves() {
    let server = Program::start();
    let mut ledger = server.ledger().await;
    ledger
        .grant(grant("g1", "team-a", "1000000"))
        .await
        .unwrap();
    let load: Vec<_> = (0..4)
        .map(|task| {
            let mut ledger = ledger.clone();
            tokio::spawn(async move {
                let mut answered = 0_u64;
                for number in 0..u64::MAX {
                    let charge = charge(&format!("c{task}-{number}"), "1s");
                    if ledger.charge(charge).await.is_err() {
                        break;
                    }
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    let directory = server.directory.path().to_owned();
    let copies: Vec<String> = (0..3).map(|number| format!("copy-{number}.db")).collect();
    for copy in &copies {
        let (status, out, err) = run(&directory, &["backup", copy]);
        assert_eq!((status, err.as_str()), (Some(0), ""));
        assert!(out.contains("is a copy of creditd.db"), "{out}");
        let (status, out, err) = audit(&directory, copy);
        assert_eq!(status, Some(0), "{out}{err}");
    }
    let (status, out, _) = run(&directory, &["backup", "told.db", "--json"]);
    assert_eq!(status, Some(0));
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    let size = std::fs::metadata(directory.join("told.db")).unwrap().len();
    let expected = serde_json::json!({"copy": "told.db", "data": "creditd.db", "size_bytes": size});
    assert_eq!(told, expected);
    // The file itself, too, while it is being written.
    let (status, out, err) = audit(&directory, "creditd.db");
    assert_eq!(status, Some(0), "{out}{err}");
    // An earlier backup is never replaced.
    let (status, _, err) = run(&directory, &["backup", &copies[0]]);
    assert_eq!(status, Some(1));
    assert!(err.contains("there is such a file already"), "{err}");

    let directory = server.kill();
    for task in load {
        assert!(task.await.unwrap() > 0, "the server was idle");
    }
    // What a kill leaves behind is sound as well.
    let (status, out, err) = audit(directory.path(), "creditd.db");
    assert_eq!(status, Some(0), "{out}{err}");

    let restored = tempfile::tempdir().unwrap();
    let copy = directory.path().join(&copies[2]);
    std::fs::copy(copy, restored.path().join("creditd.db")).unwrap();
    let server = Program::start_settings(Settings {
        directory: Some(restored),
        ..Settings::default()
    });
    let mut ledger = server.ledger().await;
    let again = ledger.grant(grant("g1", "team-a", "1000000")).await;
    assert!(again.unwrap().into_inner().replayed);
}
