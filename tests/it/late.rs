//! Retries days later, on a busy ledger whose sorted runs of request_ids are compacted: they
//! are replayed as long as their request_ids are remembered, also after a restart and after a
//! kill.

use std::path::Path;
use std::sync::Arc;

use creditd::domain::ledger::{Action, Command, GrantAction, Named};
use creditd::domain::{Credits, FieldViolations};
use creditd::store::sqlite::{SqliteSettings, SqliteStore};
use creditd::store::{Store as _, Written};

use crate::store::{Hand, batch, charge, command, grant, name, one_credit, open_with};

const HOURS_A_DAY: i64 = 24;
const NANOS_AN_HOUR: i64 = 3_600_000_000_000;
/// Charges of a day, and request_ids that make a run.
const CHARGES: usize = 90;
const RUN: usize = 20;

fn settings(filter_bytes_max: usize) -> SqliteSettings {
    SqliteSettings {
        request_run_length: RUN,
        request_filter_bytes_max: filter_bytes_max,
        ..SqliteSettings::default()
    }
}

/// A ledger, and its writes with their times.
struct Busy<'a> {
    file: &'a Path,
    clock: Arc<Hand>,
    settings: SqliteSettings,
    /// None only while it restarts.
    store: Option<SqliteStore>,
    day: i64,
    batches: usize,
    done: Vec<(i64, Command, Written)>,
}

impl<'a> Busy<'a> {
    async fn new(file: &'a Path, settings: SqliteSettings) -> Self {
        let clock = Hand::new();
        let store = open_with(file, &clock, settings);
        grant(&store, "team-a", "first", "1000000").await.unwrap();
        Self {
            file,
            clock,
            settings,
            store: Some(store),
            day: 0,
            batches: 0,
            done: Vec::new(),
        }
    }

    fn store(&self) -> &SqliteStore {
        self.store.as_ref().unwrap()
    }

    fn restart(&mut self) {
        self.store = None;
        self.store = Some(open_with(self.file, &self.clock, self.settings));
    }

    /// A day with charges, and one of each that brings credits in or back.
    async fn day(&mut self) {
        let day = self.day;
        let mut granted = None;
        for part in 0..3 {
            let charges = batch(self.batches, CHARGES / 3);
            self.batches += 1;
            let written = self.store().write_batch(charges).await;
            let written: Vec<_> = written.unwrap().into_iter().map(Result::unwrap).collect();
            let charged = written[0].entry.id;
            let action = match part {
                0 => one_granted(),
                1 => Action::Refund {
                    entry: Named::of(charged, &name("team-a")),
                    credits: None,
                },
                _ => Action::RevokeGrant {
                    grant: Named::of(granted.unwrap(), &name("team-a")),
                },
            };
            let command = command("team-a", &format!("d{day}-{part}"), action);
            let written = self.store().write(command.clone()).await.unwrap();
            assert!(!written.replayed, "day {day}, {part}");
            let made = written.entry.shares.first().map(|share| share.grant);
            granted = granted.or(made);
            self.done.push((day, command, *written));
        }
        self.day += 1;
        self.clock.step(HOURS_A_DAY);
    }

    /// All writes since a day are replayed.
    async fn repeat_since(&self, day: i64) {
        let since = self.done.iter().filter(|(done, ..)| *done >= day);
        for (done, command, first) in since {
            let again = self.store().write(command.clone()).await.unwrap();
            let expected = Written {
                replayed: true,
                ..first.clone()
            };
            assert_eq!(
                *again, expected,
                "done on day {done}, now it is {}",
                self.day
            );
        }
    }

    fn runs(&self) -> (i64, i64) {
        let file = rusqlite::Connection::open(self.file).unwrap();
        file.query_row(
            "SELECT count(*) FILTER (WHERE credits), count(*) FILTER (WHERE NOT credits)
               FROM request_runs",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap()
    }

    fn audit(&self) {
        let report = creditd::server::files::audit(self.file, &mut |_, _| {}).unwrap();
        assert_eq!(report.findings, Vec::<String>::new());
    }
}

fn one_granted() -> Action {
    Action::Grant(GrantAction {
        credits: Credits::ONE,
        expire_time: None,
        priority: 0,
        source: "".into(),
        services: Vec::new(),
        violations: FieldViolations::new(),
    })
}

async fn ninety_days(filter_bytes_max: usize) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("creditd.db");
    let mut busy = Busy::new(&file, settings(filter_bytes_max)).await;
    let (mut most, mut most_of_all) = (0, 0);
    while busy.day < 89 {
        busy.day().await;
        if busy.day == 1 {
            busy.clock.step(2);
            busy.repeat_since(0).await;
        }
        if busy.day % 8 == 0 {
            busy.restart();
        }
        let (credits, all) = busy.runs();
        most = most.max(credits);
        most_of_all = most_of_all.max(all);
    }
    busy.repeat_since(0).await;
    busy.restart();
    busy.repeat_since(0).await;
    // A charge finds those of grants too; here all bodies count as the same.
    let granted = charge(busy.store(), "team-a", "d0-0").await.unwrap();
    assert!(granted.replayed);
    assert!(
        (9..=24).contains(&most),
        "{most} runs of what brings credits in"
    );
    if filter_bytes_max < RUN {
        assert!(most_of_all <= 24, "{most_of_all} runs of all");
    }
    busy.audit();
    // Older than an eighth more than 90 days, and so new.
    while busy.day < 105 {
        busy.day().await;
    }
    assert!(
        !grant(busy.store(), "team-a", "d0-0", "1")
            .await
            .unwrap()
            .replayed
    );
    busy.repeat_since(105 - 89).await;
    busy.audit();
}

#[tokio::test]
async fn what_brings_credits_in_is_answered_again_for_ninety_days() {
    ninety_days(1 << 20).await;
}

/// Runs of all request_ids are merged too then.
#[tokio::test]
async fn it_is_found_without_any_filter_in_memory() {
    ninety_days(0).await;
}

/// Everything else for three days, wherever it stands.
#[tokio::test]
async fn a_charge_is_answered_again_for_three_days() {
    for filter_bytes_max in [1 << 20, 0] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("creditd.db");
        let mut busy = Busy::new(&file, settings(filter_bytes_max)).await;
        let first = charge(busy.store(), "team-a", "c").await.unwrap();
        busy.day().await;
        busy.day().await;
        busy.restart();
        busy.clock.step(23);
        busy.day().await;
        busy.clock.step(-HOURS_A_DAY);
        let again = charge(busy.store(), "team-a", "c").await.unwrap();
        assert!(again.replayed);
        assert_eq!(again.entry, first.entry);
    }
}

/// A clock that is days ahead at a stop, or while a hold ends, and is right at the next start: no row
/// has its time, so nothing is forgotten by it.
#[tokio::test]
async fn no_request_id_is_forgotten_by_a_time_that_no_row_has() {
    for hold_ends in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("creditd.db");
        let mut busy = Busy::new(&file, settings(1 << 20)).await;
        busy.store().write(hold()).await.unwrap();
        let mut charges = 0;
        while busy.runs().1 == 0 {
            let id = format!("c{charges}");
            charge(busy.store(), "team-a", &id).await.unwrap();
            charges += 1;
            assert!(charges < 10_000, "no run is made");
        }
        for hours in [80, -80] {
            busy.clock.step(hours);
            if hold_ends {
                let read = busy.store().account(name("team-a"), None).await.unwrap();
                assert!(read.account.holds().is_empty());
            }
            busy.restart();
        }
        let again = charge(busy.store(), "team-a", "c0").await.unwrap();
        assert!(again.replayed, "{hold_ends}");
        busy.audit();
    }
}

/// A hold of an hour.
fn hold() -> Command {
    let Action::Charge(cost) = one_credit() else {
        unreachable!()
    };
    let action = Action::Hold {
        cost,
        ttl_nanos: NANOS_AN_HOUR,
    };
    command("team-a", "hold", action)
}

/// A run goes when its request_ids are old. Up to which row it went says nothing of that: the newest
/// may be the server's own. Whatever is younger must be in a run.
#[tokio::test]
async fn an_audit_knows_which_request_ids_must_be_in_a_run() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("creditd.db");
    let clock = Hand::new();
    let store = open_with(&file, &clock, SqliteSettings::default());
    grant(&store, "team-a", "old grant", "9").await.unwrap();
    clock.step(91 * HOURS_A_DAY);
    grant(&store, "team-a", "grant", "9").await.unwrap();
    store.write(hold()).await.unwrap();
    clock.step(72);
    // The hold ends: a row of the server's own.
    let read = store.account(name("team-a"), None).await.unwrap();
    assert!(read.account.holds().is_empty());
    clock.step(1);
    charge(&store, "team-a", "charge").await.unwrap();
    drop(store);
    let cases = [
        (0, vec![]),
        (1, vec![]),
        (
            2,
            vec!["1 request_ids of grants, refunds and revocations up to 2 are in no run"],
        ),
        (
            4,
            vec!["1 request_ids of grants, refunds and revocations up to 4 are in no run"],
        ),
        (
            5,
            vec![
                "1 request_ids up to 5 are in no run",
                "1 request_ids of grants, refunds and revocations up to 5 are in no run",
            ],
        ),
    ];
    for (indexed, expected) in cases {
        let opened = rusqlite::Connection::open(&file).unwrap();
        let sql = "UPDATE file SET indexed = ?1";
        assert_eq!(opened.execute(sql, [indexed]).unwrap(), 1);
        drop(opened);
        let report = creditd::server::files::audit(&file, &mut |_, _| {}).unwrap();
        let found: Vec<_> = report.findings.iter().collect();
        assert_eq!(found.len(), expected.len(), "{indexed}: {found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{indexed}: {found}");
        }
    }
}

/// A copy of the file at any moment, as a kill leaves it.
#[tokio::test]
async fn a_kill_while_runs_are_made_and_merged_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("creditd.db");
    let mut busy = Busy::new(&file, settings(0)).await;
    let mut merges_cut = 0;
    for number in 0..25 {
        busy.day().await;
        // Until something is half done, if that comes about soon.
        for charges in 0..20 {
            if half_done(&file) {
                merges_cut += 1;
                break;
            }
            charge(busy.store(), "team-a", &format!("k{number}-{charges}"))
                .await
                .unwrap();
        }
        let copy = tempfile::tempdir().unwrap();
        for name in ["creditd.db", "creditd.db-wal"] {
            std::fs::copy(directory.path().join(name), copy.path().join(name)).unwrap();
        }
        let copied = copy.path().join("creditd.db");
        let mut left = Busy {
            file: &copied,
            clock: Arc::clone(&busy.clock),
            settings: busy.settings,
            store: None,
            day: busy.day,
            batches: busy.batches,
            done: busy.done.clone(),
        };
        left.restart();
        left.repeat_since(0).await;
        left.day().await;
        left.repeat_since(0).await;
        left.audit();
        busy.clock.step(-HOURS_A_DAY);
    }
    assert!(merges_cut > 0, "nothing was ever half done");
}

/// Whether there are keys of runs that are not whole, or not gone whole.
fn half_done(file: &Path) -> bool {
    let file = rusqlite::Connection::open(file).unwrap();
    file.query_row(
        "SELECT EXISTS (SELECT 1 FROM request_keys
           WHERE run_id NOT IN (SELECT run_id FROM request_runs))",
        [],
        |row| row.get(0),
    )
    .unwrap()
}
