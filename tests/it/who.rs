//! Who did it: entries carry the id of the key, and lists filter by it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use creditd::domain::keys::KeyId;
use creditd::domain::ledger::{
    Action, Command, Cost, Entry, GrantAction, HoldId, Named, UpdateAction,
};
use creditd::domain::{Credits, FieldViolations, Labels};
use creditd::store::sqlite::SqliteSettings;
use creditd::store::{Clock, EntryQuery, Store, StoreError};

use crate::store::{Hand, command, name, one_credit, open_with};
use crate::support::memory::MemoryStore;

fn by(key_id: &str, id: &str, action: Action) -> Command {
    Command {
        key_id: KeyId::new(key_id),
        ..command("team-a", id, action)
    }
}

fn granted(hours: Option<i64>, clock: &Hand) -> Action {
    Action::Grant(GrantAction {
        credits: Credits::parse("10").unwrap(),
        expire_time: hours.map(|hours| clock.now().plus_nanos(hours * 3_600_000_000_000)),
        priority: 0,
        source: "".into(),
        services: Vec::new(),
        violations: FieldViolations::new(),
    })
}

fn labels(key: &str, value: &str) -> Labels {
    let pairs = BTreeMap::from([(key.to_owned(), value.to_owned())]);
    Labels::new(pairs.iter()).unwrap()
}

fn amount() -> Box<Cost> {
    Box::new(Cost {
        credits: Credits::ONE,
        service: None,
        pricing: None,
        usage: None,
        assumed: None,
    })
}

async fn listed(store: &dyn Store, key_id: &str) -> Vec<Entry> {
    let query = EntryQuery {
        limit: 100,
        key_id: key_id.into(),
        ..EntryQuery::default()
    };
    store.entries(name("team-a"), query).await.unwrap().entries
}

/// Kinds and keys of these entries, oldest first.
fn told(entries: &[Entry]) -> Vec<String> {
    let tell = |entry: &Entry| {
        let key_id = entry.key_id.as_ref().map_or("nobody", KeyId::as_str);
        format!("{} {key_id}", entry.kind.name())
    };
    entries.iter().rev().map(tell).collect()
}

/// Writes entries of every kind. Some lapse: the server writes those.
async fn write_all(store: &dyn Store, clock: &Hand) {
    let write = async |key_id, id, action| store.write(by(key_id, id, action)).await.unwrap();
    write("admin", "g1", granted(None, clock)).await;
    write("admin", "g2", granted(Some(2), clock)).await;
    let charged = write("app", "c1", one_credit()).await.entry;
    let hold = |id| {
        let action = Action::Hold {
            cost: Ok(amount()),
            ttl_nanos: 3_600_000_000_000,
        };
        write("app", id, action)
    };
    let named =
        |entry: &Entry| Named::<HoldId>::of(entry.hold.as_ref().unwrap().id, &name("team-a"));
    let first = hold("h1").await.entry;
    let extend = Action::ExtendHold {
        hold: named(&first),
        ttl_nanos: 7_200_000_000_000,
    };
    write("worker", "x1", extend).await;
    let settle = Action::SettleHold {
        hold: named(&first),
        cost: Ok(amount()),
        keep_open: false,
        overage: creditd::domain::ledger::Overage::Reject,
    };
    write("worker", "s1", settle).await;
    let second = hold("h2").await.entry;
    let release = Action::ReleaseHold {
        hold: named(&second),
    };
    write("app", "l1", release).await;
    let refund = Action::Refund {
        entry: Named::of(charged.id, &name("team-a")),
        credits: None,
    };
    write("support", "r1", refund).await;
    let update = UpdateAction {
        labels: Some(labels("crm", "42")),
        ..UpdateAction::default()
    };
    write("admin", "u1", Action::UpdateAccount(Box::new(update))).await;
    hold("h3").await;
    clock.step(3);
    // The hold and the second grant have lapsed. Without authentication nobody is known.
    store
        .write(command("team-a", "c2", one_credit()))
        .await
        .unwrap();
    let mut batched = by("batch", "c3", one_credit());
    batched.labels = labels("job", "7");
    let answers = store.write_batch(vec![batched]).await.unwrap();
    assert!(answers[0].is_ok());
}

/// The request_id belongs to the account: another key gets the first answer, and the first key
/// stays with it.
async fn replays(store: &dyn Store) {
    let again = store.write(by("other", "c1", one_credit())).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.entry.key_id, KeyId::new("app"));
    let mut other = by("app", "c1", one_credit());
    other.request.fingerprint = [9; 16];
    let refused = store.write(other).await.unwrap_err();
    assert!(matches!(refused, StoreError::Refused(_)), "{refused:?}");
}

const ALL: [&str; 13] = [
    "grant admin",
    "grant admin",
    "charge app",
    "hold app",
    "settle worker",
    "hold app",
    "release app",
    "refund support",
    "hold app",
    "release nobody",
    "expire nobody",
    "charge nobody",
    "charge batch",
];

async fn check(store: &dyn Store) {
    assert_eq!(told(&listed(store, "").await), ALL);
    for key_id in [
        "admin", "app", "worker", "support", "batch", "other", "app ",
    ] {
        let end = format!(" {key_id}");
        let expected: Vec<_> = ALL.iter().filter(|told| told.ends_with(&end)).collect();
        assert_eq!(
            told(&listed(store, key_id).await)
                .iter()
                .collect::<Vec<_>>(),
            expected
        );
    }
    replays(store).await;
}

fn open(directory: &Path, clock: &Arc<Hand>) -> creditd::store::sqlite::SqliteStore {
    open_with(
        &directory.join("creditd.db"),
        clock,
        SqliteSettings::default(),
    )
}

#[tokio::test]
async fn entries_say_who_did_it_in_every_store_and_after_a_restart() {
    let clock = Hand::new();
    let memory = MemoryStore::new(clock.clone() as Arc<dyn Clock>);
    write_all(&memory, &clock).await;
    check(&memory).await;

    let directory = tempfile::tempdir().unwrap();
    let clock = Hand::new();
    let store = open(directory.path(), &clock);
    write_all(&store, &clock).await;
    check(&store).await;
    drop(store);
    let store = open(directory.path(), &clock);
    check(&store).await;
    drop(store);
    let file = rusqlite::Connection::open(directory.path().join("creditd.db")).unwrap();
    let updated: String = file
        .query_row(
            "SELECT key_id FROM ledger WHERE kind = 'update'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(updated, "admin");
}
