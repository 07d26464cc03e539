//! The embedded store by itself: groups that fail, files that were closed in bad moments,
//! request_ids that are days old.

use std::future::Future as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use creditd::domain::ledger::{Action, Command, Cost, GrantAction, RequestKey};
use creditd::domain::{AccountName, Credits, FieldViolations, Labels, RequestId, Timestamp};
use creditd::rfc3339;
use creditd::store::sqlite::{QUEUE_COMMANDS_MAX, SqliteSettings, SqliteStore};
use creditd::store::{Answer, Clock, Queued, Store as _, StoreError, Written};

use crate::support::PATIENCE;

/// A clock that is set by hand.
pub struct Hand(Mutex<Timestamp>);

impl Hand {
    pub fn new() -> Arc<Self> {
        let start = rfc3339::parse("2026-01-01T00:00:00Z").unwrap();
        Arc::new(Self(Mutex::new(start)))
    }

    pub fn step(&self, hours: i64) {
        let mut now = self.0.lock().unwrap();
        *now = now.plus_nanos(hours * 3_600_000_000_000);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

fn open(file: &Path, clock: &Arc<Hand>, run_length: usize) -> SqliteStore {
    let settings = SqliteSettings {
        request_run_length: run_length,
        ..SqliteSettings::default()
    };
    open_with(file, clock, settings)
}

pub fn open_with(file: &Path, clock: &Arc<Hand>, settings: SqliteSettings) -> SqliteStore {
    let clock: Arc<dyn Clock> = clock.clone();
    SqliteStore::open(file, clock, settings).unwrap()
}

pub fn name(account: &str) -> AccountName {
    AccountName::new(account).unwrap()
}

pub fn command(account: &str, id: &str, action: Action) -> Command {
    Command {
        account: name(account),
        request: RequestKey {
            id: RequestId::new(id).unwrap(),
            fingerprint: [7; 16],
        },
        key_id: None,
        labels: Labels::default(),
        action,
    }
}

pub async fn grant(
    store: &SqliteStore,
    account: &str,
    id: &str,
    credits: &str,
) -> Answer<Box<Written>> {
    let action = Action::Grant(GrantAction {
        credits: Credits::parse(credits).unwrap(),
        expire_time: None,
        priority: 0,
        source: "".into(),
        services: Vec::new(),
        violations: FieldViolations::new(),
    });
    store.write(command(account, id, action)).await
}

pub fn one_credit() -> Action {
    Action::Charge(Ok(Box::new(Cost {
        credits: Credits::ONE,
        service: None,
        pricing: None,
        usage: None,
        assumed: None,
    })))
}

pub async fn charge(store: &SqliteStore, account: &str, id: &str) -> Answer<Box<Written>> {
    store.write(command(account, id, one_credit())).await
}

/// Charges of team-a.
pub fn batch(number: usize, length: usize) -> Vec<Command> {
    let charge = |id| command("team-a", &format!("b{number}-{id}"), one_credit());
    (0..length).map(charge).collect()
}

pub async fn available(store: &SqliteStore, account: &str) -> Answer<Credits> {
    let snapshot = store.account(name(account), None).await?;
    Ok(snapshot.account.available())
}

/// Has entries with this request_id fail as a full disk does: the whole group is gone.
fn break_writes(file: &Path, request_id: &str) {
    let other = rusqlite::Connection::open(file).unwrap();
    other
        .execute_batch(&format!(
            "CREATE TRIGGER broken BEFORE INSERT ON entries WHEN NEW.request_id = '{request_id}'
             BEGIN SELECT RAISE(ROLLBACK, 'the disk is full'); END"
        ))
        .unwrap();
}

/// Numbers of accounts and entries are given again after a group that failed. Whoever gets
/// them then must keep them, also over a restart.
#[tokio::test]
async fn a_group_that_failed_leaves_nothing_behind_that_another_account_could_meet() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("creditd.db");
    let clock = Hand::new();
    let store = open(&file, &clock, 1_000);
    break_writes(&file, "fails");
    for number in 0..3 {
        let failed = grant(&store, "team-a", "fails", "9").await;
        assert!(
            matches!(failed, Err(StoreError::Unavailable(_))),
            "{number}: {failed:?}"
        );
    }
    let granted = grant(&store, "team-b", "g1", "5").await.unwrap();
    assert_eq!(granted.entry.account, name("team-b"));
    let again = grant(&store, "team-b", "g1", "5").await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.entry.account, name("team-b"));
    charge(&store, "team-b", "c1").await.unwrap();
    grant(&store, "team-a", "g1", "2").await.unwrap();
    drop(store);
    for _ in 0..2 {
        let store = open(&file, &clock, 1_000);
        for (account, left) in [("team-b", "4"), ("team-a", "2")] {
            let left = Credits::parse(left).unwrap();
            assert_eq!(available(&store, account).await, Ok(left), "{account}");
        }
        assert!(charge(&store, "team-b", "c1").await.unwrap().replayed);
    }
    let report = creditd::server::files::audit(&file, &mut |_, _| {}).unwrap();
    assert_eq!(report.findings, Vec::<String>::new());
}

/// Also while others read all the time.
#[tokio::test]
async fn a_store_that_could_not_write_tries_again_although_it_is_read_all_the_time() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("creditd.db");
    let clock = Hand::new();
    let store = open(&file, &clock, 1_000);
    grant(&store, "team-a", "g1", "5").await.unwrap();
    break_writes(&file, "fails");
    let writable = store.writable();
    assert!(*writable.borrow());
    charge(&store, "team-a", "fails").await.unwrap_err();
    assert!(!*writable.borrow());
    let begin = Instant::now();
    while !*writable.borrow() {
        available(&store, "team-a").await.unwrap();
        assert!(begin.elapsed() < PATIENCE, "it never tries");
        tokio::task::yield_now().await;
    }
    assert!(
        begin.elapsed() >= Duration::from_millis(100),
        "at its own pace"
    );
    charge(&store, "team-a", "c1").await.unwrap();
}

/// A request_id is known for three days. Later it is new, and a restart does not read the whole
/// journal for the ones before.
#[tokio::test]
async fn request_ids_that_are_too_old_are_new_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("creditd.db");
    let clock = Hand::new();
    let mut store = open(&file, &clock, 10);
    grant(&store, "team-a", "g1", "1000000").await.unwrap();
    let mut number = 0;
    let runs = || -> i64 {
        let file = rusqlite::Connection::open(&file).unwrap();
        let sql = "SELECT count(*) FROM request_runs WHERE NOT credits";
        file.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    // Until the first ones are in a run; another thread sorts it.
    while runs() < 2 {
        charge(&store, "team-a", &format!("old-{number}"))
            .await
            .unwrap();
        number += 1;
        assert!(number < 10_000, "no run is made");
    }
    for hours in [0, 71] {
        clock.step(hours);
        assert!(charge(&store, "team-a", "old-0").await.unwrap().replayed);
        drop(store);
        store = open(&file, &clock, 10);
        assert!(charge(&store, "team-a", "old-0").await.unwrap().replayed);
    }
    clock.step(3);
    let mut writes = 0;
    while runs() > 0 {
        charge(&store, "team-a", &format!("few-{writes}"))
            .await
            .unwrap();
        writes += 1;
        assert!(writes < 1_000, "the runs are three days old");
    }
    drop(store);
    let store = open(&file, &clock, 10);
    assert!(!charge(&store, "team-a", "old-0").await.unwrap().replayed);
    assert!(charge(&store, "team-a", "few-0").await.unwrap().replayed);
}

/// What waits for the writer is counted by its commands: few large batches are as much as
/// many charges.
#[tokio::test]
async fn large_batches_that_wait_are_counted_by_their_commands() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Hand::new();
    let store = open(&directory.path().join("creditd.db"), &clock, 1_000_000);
    grant(&store, "team-a", "g1", "1000000").await.unwrap();
    let batches: Vec<_> = (0..9).map(|number| batch(number, 10_000)).collect();
    let pending: Vec<_> = batches
        .into_iter()
        .map(|commands| store.write_batch(commands))
        .collect();
    let mut answers = Vec::new();
    for answer in pending {
        answers.push(answer.await);
    }
    let busy = answers.iter().filter(|answer| match answer {
        Err(StoreError::Busy { limit, queued }) => {
            (*limit, *queued) == (QUEUE_COMMANDS_MAX, Queued::Commands)
        }
        _ => false,
    });
    let busy = busy.count();
    assert!(busy >= 1, "all of 90,000 commands were taken on at once");
    let done = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(done + busy, 9);
    let left = 1_000_000 - 10_000 * i64::try_from(done).unwrap();
    assert_eq!(
        available(&store, "team-a").await,
        Ok(Credits::parse(&left.to_string()).unwrap())
    );
}

/// A batch is done in slices. A single charge is on disk and answered between two of them.
#[tokio::test]
async fn others_are_served_while_a_batch_is_under_way() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Hand::new();
    let store = open(&directory.path().join("creditd.db"), &clock, 1_000_000);
    grant(&store, "team-a", "g1", "1000000").await.unwrap();
    grant(&store, "team-b", "g1", "10").await.unwrap();
    let mut long = [0, 1].map(|number| store.write_batch(batch(number, 10_000)));
    let short = (0..10).map(|n| command("team-b", &format!("s{n}"), one_credit()));
    // Batches take turns, and reads and single charges are in each turn.
    let short = store.write_batch(short.collect()).await.unwrap();
    assert!(short.iter().all(Result::is_ok));
    assert_eq!(available(&store, "team-b").await, Ok(Credits::ZERO));
    grant(&store, "team-b", "g2", "1").await.unwrap();
    charge(&store, "team-b", "c1").await.unwrap();
    for long in &mut long {
        let polled = std::future::poll_fn(|context| {
            std::task::Poll::Ready(std::pin::Pin::new(&mut *long).poll(context))
        });
        assert!(polled.await.is_pending(), "it was done before the others");
    }
    for long in long {
        let answers = long.await.unwrap();
        let ids = answers.into_iter().map(|answer| answer.unwrap().entry.id.0);
        let ids: Vec<_> = ids.collect();
        assert!(ids.is_sorted(), "items count in their order");
        assert_eq!(ids.len(), 10_000);
    }
    let left = available(&store, "team-a").await.unwrap();
    assert_eq!(left, Credits::parse("980000").unwrap());
}

/// What a failed batch has on disk is found by its request_ids.
#[tokio::test]
async fn a_batch_that_failed_between_two_slices_is_sent_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("creditd.db");
    let clock = Hand::new();
    let store = open(&file, &clock, 1_000_000);
    grant(&store, "team-a", "g1", "1000000").await.unwrap();
    break_writes(&file, "b0-8000");
    let failed = store.write_batch(batch(0, 10_000)).await;
    assert!(
        matches!(&failed, Err(StoreError::Unavailable(cause)) if cause.operation == "write"),
        "{failed:?}"
    );
    let left = available(&store, "team-a").await.unwrap();
    let other = rusqlite::Connection::open(&file).unwrap();
    other.execute_batch("DROP TRIGGER broken").unwrap();
    let answers = store.write_batch(batch(0, 10_000)).await.unwrap();
    let replayed = |answer: &Answer<Written>| answer.as_ref().unwrap().replayed;
    let on_disk = answers.iter().take_while(|answer| replayed(answer)).count();
    assert!((1..8_000).contains(&on_disk), "{on_disk} were on disk");
    assert!(!answers[on_disk..].iter().any(replayed));
    let charged = i64::try_from(on_disk).unwrap();
    assert_eq!(left.nanos(), (1_000_000 - charged) * 1_000_000_000);
    let left = available(&store, "team-a").await.unwrap();
    assert_eq!(left, Credits::parse("990000").unwrap());
    drop(store);
    let report = creditd::server::files::audit(&file, &mut |_, _| {}).unwrap();
    assert_eq!(report.findings, Vec::<String>::new());
}

/// Batches that are under way at the end are finished.
#[tokio::test]
async fn a_store_that_is_closed_finishes_its_batches() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("creditd.db");
    let clock = Hand::new();
    let store = open(&file, &clock, 1_000_000);
    grant(&store, "team-a", "g1", "1000000").await.unwrap();
    let pending: Vec<_> = (0..3)
        .map(|number| store.write_batch(batch(number, 3_000)))
        .collect();
    drop(store);
    for pending in pending {
        assert!(pending.await.unwrap().iter().all(Result::is_ok));
    }
    let store = open(&file, &clock, 1_000_000);
    let left = available(&store, "team-a").await.unwrap();
    assert_eq!(left, Credits::parse("991000").unwrap());
}

/// However much is written without a pause, the `-wal` is emptied meanwhile.
#[tokio::test]
async fn the_wal_does_not_grow_with_what_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("creditd.db");
    let clock = Hand::new();
    let store = open(&file, &clock, 1_000_000);
    grant(&store, "team-a", "g1", "1000000").await.unwrap();
    let pairs: Vec<_> = (0..16)
        .map(|n| (format!("label-{n}"), "x".repeat(256)))
        .collect();
    let labels = Labels::new(pairs.iter().map(|(key, value)| (key, value))).unwrap();
    let size = |name: &str| {
        std::fs::metadata(directory.path().join(name))
            .unwrap()
            .len()
    };
    let mut wal_bytes_max = 0;
    // Some of its groups are larger than what it is emptied at.
    for number in 0..40 {
        let mut commands = batch(number, if number % 4 == 0 { 1_500 } else { 500 });
        for command in &mut commands {
            command.labels = labels.clone();
        }
        let answers = store.write_batch(commands).await;
        assert!(answers.unwrap().iter().all(Result::is_ok));
        wal_bytes_max = wal_bytes_max.max(size("creditd.db-wal"));
    }
    let written = size("creditd.db");
    assert!(written > 120 << 20, "{written} bytes are in the file");
    assert!(
        (8 << 20..written / 4 * 3).contains(&wal_bytes_max),
        "the -wal had {wal_bytes_max} bytes, and {written} are in the file"
    );
}
