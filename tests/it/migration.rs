//! Data files of version 3, which a newer server migrates when it opens them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use creditd::domain::ledger::{Action, Cost, EntryKind, HoldId, Named, UpdateAction};
use creditd::domain::{Credits, Refusal};
use creditd::store::sqlite::{SqliteSettings, SqliteStore};
use creditd::store::{EntryQuery, Store as _, StoreError};
use rusqlite::Connection;

use crate::store::{Hand, batch, charge, command, grant, name, open_with};
use crate::support::root;

/// The tables of version 3, with their columns.
const TABLES: [(&str, &str); 12] = [
    ("rate_cards", "*"),
    (
        "entries",
        "position, account_id, previous, entry_id, kind, credits, held, spent, available, answered,
         create_time, request_id, fingerprint, service, card_id, usage, grant_id, hold_id,
         hold_held, hold_settled, hold_expire_time, hold_status, refunded_id, labels, shares",
    ),
    ("grants", "*"),
    ("revocations", "*"),
    ("holds", "*"),
    ("refunds", "*"),
    (
        "accounts",
        "account_id, name, head, last_time, steps, json_remove(state, '$.create_time')",
    ),
    (
        "snapshots",
        "account_id, entry_id, position, create_time, json_remove(state, '$.create_time')",
    ),
    ("request_runs", "*"),
    ("request_keys", "*"),
    ("file", "*"),
    ("clock", "*"),
];

pub const SETTINGS: SqliteSettings = SqliteSettings {
    accounts_max: 1_000,
    request_hours: 72,
    request_days_credits: 90,
    request_filter_bytes_max: 1 << 20,
    request_run_length: 50,
};

fn hold(store: &SqliteStore, id: &str) -> impl Future<Output = HoldId> {
    let cost = Box::new(Cost {
        credits: Credits::ONE,
        service: None,
        pricing: None,
        usage: None,
        assumed: None,
    });
    let action = Action::Hold {
        cost: Ok(cost),
        ttl_nanos: 3_600_000_000_000,
    };
    let written = store.write(command("team-a", id, action));
    async move { written.await.unwrap().entry.hold.clone().unwrap().id }
}

/// A file of version 3, as its server wrote it: with entries of two accounts, snapshots, an open
/// and a closed hold, and runs of request_ids.
pub async fn version_3(directory: &Path, clock: &Arc<Hand>) -> PathBuf {
    let newer = directory.join("newer.db");
    let store = open_with(&newer, clock, SETTINGS);
    grant(&store, "team-a", "g1", "10000").await.unwrap();
    clock.step(1);
    grant(&store, "team-b", "g1", "5").await.unwrap();
    let closed = hold(&store, "h1").await;
    let release = Action::ReleaseHold {
        hold: Named::of(closed, &name("team-a")),
    };
    let release = command("team-a", "l1", release);
    store.write(release).await.unwrap();
    hold(&store, "h2").await;
    for number in 0..6 {
        let answers = store.write_batch(batch(number, 100)).await.unwrap();
        assert!(answers.iter().all(Result::is_ok));
    }
    drop(store);
    let older = directory.join("creditd.db");
    let schema = std::fs::read_to_string(root("src/store/sqlite/schema.sql")).unwrap();
    let file = Connection::open(&older).unwrap();
    file.pragma_update(None, "page_size", 8_192).unwrap();
    file.execute_batch(&schema).unwrap();
    let newer = newer.display().to_string();
    file.execute("ATTACH ?1 AS newer", [newer]).unwrap();
    for (table, columns) in TABLES {
        let sql = format!("INSERT INTO main.{table} SELECT {columns} FROM newer.{table}");
        file.execute(&sql, []).unwrap();
    }
    file.pragma_update(None, "application_id", 0x6372_6564)
        .unwrap();
    file.pragma_update(None, "user_version", 3).unwrap();
    older
}

fn version(file: &Path) -> i64 {
    let file = Connection::open(file).unwrap();
    file.pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap()
}

/// The schema as SQLite has it.
fn schema(file: &Path) -> Vec<String> {
    let file = Connection::open(file).unwrap();
    let mut statement = file
        .prepare("SELECT coalesce(sql, name) FROM sqlite_schema ORDER BY type, name")
        .unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

fn audit(file: &Path) -> u64 {
    let report = creditd::server::files::audit(file, &mut |_, _| {}).unwrap();
    assert_eq!(report.findings, Vec::<String>::new());
    report.entries + report.other_rows
}

#[tokio::test]
async fn a_file_of_version_3_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Hand::new();
    let file = version_3(directory.path(), &clock).await;
    assert_eq!(version(&file), 3);
    // It can be proved and copied as it is.
    let entries = audit(&file);
    let copy = directory.path().join("copy.db");
    creditd::server::files::backup(&file, &copy, &mut |_, _| {}).unwrap();
    assert_eq!((version(&file), version(&copy)), (3, 3));
    assert_eq!(audit(&copy), entries);

    let store = open_with(&file, &clock, SETTINGS);
    assert_eq!(version(&file), 8);
    assert_eq!(schema(&file), schema(&directory.path().join("newer.db")));
    // What it has is as it was; accounts were opened by their first grants.
    for (account, opened_hours_ago, available) in [("team-a", 1, "9399"), ("team-b", 0, "5")] {
        let snapshot = store.account(name(account), None).await.unwrap();
        let found = &snapshot.account;
        assert_eq!(found.available(), Credits::parse(available).unwrap());
        assert!(found.settings().is_none());
        let age = snapshot.time.since(found.create_time().unwrap());
        assert_eq!(age.as_secs() / 3_600, opened_hours_ago, "{account}");
        let then = store
            .account(name(account), Some(snapshot.time))
            .await
            .unwrap();
        assert_eq!(then.account.create_time(), found.create_time());
    }
    assert!(charge(&store, "team-a", "b3-7").await.unwrap().replayed);
    assert!(grant(&store, "team-b", "g1", "5").await.unwrap().replayed);
    // It is written on as a file of this version.
    let update = UpdateAction {
        rate_card: Some("studio".into()),
        ..UpdateAction::default()
    };
    let update = |account, id| {
        let action = Action::UpdateAccount(Box::new(update.clone()));
        store.write(command(account, id, action))
    };
    let written = update("team-a", "u1").await.unwrap();
    let EntryKind::Update(updated) = &written.entry.kind else {
        panic!("{written:?}");
    };
    assert_eq!(updated.held, Credits::ONE);
    let missing = update("team-c", "u1").await.unwrap_err();
    let missing_account = Refusal::AccountNotFound {
        account: name("team-c"),
    };
    assert_eq!(missing, StoreError::Refused(missing_account));
    charge(&store, "team-a", "new").await.unwrap();
    drop(store);
    assert_eq!(audit(&file), entries + 2);
    let store = open_with(&file, &clock, SETTINGS);
    let account = store.account(name("team-a"), None).await.unwrap().account;
    assert_eq!(account.rate_card(), Some("studio"));
    assert_eq!(account.create_time(), Some(updated.create_time));
    let query = EntryQuery {
        limit: 2,
        ..EntryQuery::default()
    };
    let page = store.entries(name("team-a"), query).await.unwrap();
    let kinds: Vec<_> = page.entries.iter().map(|entry| entry.kind.name()).collect();
    assert_eq!(kinds, ["charge", "charge"]);
}

/// A migration that fails leaves the file as it was.
#[tokio::test]
async fn a_migration_is_whole_or_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Hand::new();
    let file = version_3(directory.path(), &clock).await;
    let view = "CREATE VIEW ledger AS SELECT 1";
    {
        let connection = Connection::open(&file).unwrap();
        connection.execute("DROP VIEW ledger", []).unwrap();
    }
    let before = schema(&file);
    let failed = SqliteStore::open(&file, clock.clone(), SETTINGS)
        .err()
        .unwrap();
    assert!(failed.to_string().contains("no such view"), "{failed}");
    assert_eq!((version(&file), schema(&file)), (3, before));
    Connection::open(&file).unwrap().execute(view, []).unwrap();
    drop(open_with(&file, &clock, SETTINGS));
    assert_eq!(version(&file), 8);
    audit(&file);
}
