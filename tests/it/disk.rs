//! Disks that are full or broken: nothing is answered that is not durable, and the server
//! recovers by itself.

use std::time::{Duration, Instant};

use creditd::domain::Timestamp;
use creditd::rpc::convert::timestamp_to_pb;
use creditd::rpc::pb::creditd::v1 as pb;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::support::books::{Ledger, audit, entries, read};
use crate::support::call::{Call, Reply};
use crate::support::disk::Disk;
use crate::support::health::Health;
use crate::support::load::Journal;
use crate::support::outcome::Outcome;
use crate::support::random::Random;
use crate::support::requests::{
    batch, charge, extend, get_hold, hold, refund, release, revoke, settle,
};
use crate::support::server::Program;
use crate::support::{PATIENCE, balance, estimate, grant};

const FULL: &str = "write ENOSPC creditd.db\nwrite ENOSPC creditd.db-wal";
const BROKEN: &str = "write EIO creditd.db\nwrite EIO creditd.db-wal";
const FORGETFUL: &str = "sync EIO creditd.db\nsync EIO creditd.db-wal";
/// The file itself, which only WAL checkpoints write.
const HALF_FULL: &str = "write ENOSPC creditd.db";

async fn one(ledger: &mut Ledger, call: Call) -> Reply {
    call.outcomes(ledger).await.remove(0).done()
}

/// An account with something for every verb.
struct Before {
    charged: String,
    granted: String,
    held: [String; 3],
}

async fn before(ledger: &mut Ledger) -> Before {
    one(ledger, Call::Grant(grant("b1", "team-a", "100"))).await;
    let granted = one(ledger, Call::Grant(grant("b2", "team-a", "50"))).await;
    let charged = one(ledger, Call::Charge(charge("b3", "team-a", "10"))).await;
    let mut held = [const { String::new() }; 3];
    for (n, id) in held.iter_mut().enumerate() {
        let request = hold(&format!("h{n}"), "team-a", "5");
        let answer = one(ledger, Call::Hold(request)).await;
        *id = answer.hold.as_ref().unwrap().hold_id.clone();
    }
    Before {
        charged: charged.entry.as_ref().unwrap().entry_id.clone(),
        granted: granted.entry.as_ref().unwrap().grant_id.clone(),
        held,
    }
}

impl Before {
    /// Every write.
    fn calls(&self) -> Vec<Call> {
        vec![
            Call::Grant(grant("g", "team-a", "7")),
            Call::Grant(grant("g", "team-new", "7")),
            Call::Charge(charge("c", "team-a", "1.5")),
            Call::BatchCharge(batch(vec![
                charge("i1", "team-a", "0.25"),
                charge("i2", "team-a", "0.25"),
            ])),
            Call::Hold(hold("h", "team-a", "2")),
            Call::ExtendHold(extend("x", "team-a", &self.held[0], 7_200_000)),
            Call::SettleHold(settle("s", "team-a", &self.held[1], "3")),
            Call::ReleaseHold(release("l", "team-a", &self.held[2])),
            Call::Refund(refund("r", "team-a", &self.charged, Some("4"))),
            Call::RevokeGrant(revoke("v", "team-a", &self.granted)),
        ]
    }
}

/// Everything that can be read of the account, without the time of reading.
async fn reads(server: &Program, ledger: &mut Ledger, held: &str) -> impl PartialEq + use<> {
    let balance = pb::Balance {
        read_time: None,
        ..read(ledger, "team-a").await
    };
    let entries = entries(ledger, "team-a", 1_000).await;
    let hold = ledger.get_hold(get_hold("team-a", held)).await.unwrap();
    let priced = pb::EstimateRequest {
        prices: Some(pb::PriceSelector {
            account: "team-a".to_owned(),
            ..pb::PriceSelector::default()
        }),
        check_balance: true,
        ..estimate("lip_sync_video", "31s")
    };
    let priced = server.pricing().await.estimate(priced).await.unwrap();
    (
        balance,
        entries,
        hold.into_inner(),
        priced.into_inner().affordability,
    )
}

/// During the fault no write succeeds, and everything can be read. After it the server serves
/// by itself, and each call moves credits once.
async fn a_fault_comes_and_goes(faults: &str) {
    let disk = Disk::new();
    let server = disk.server(None);
    let mut health = Health::of(&server).await;
    let mut ledger = server.ledger().await;
    let made = before(&mut ledger).await;
    let had = read(&mut ledger, "team-a").await;
    assert_eq!((had.available.as_str(), had.held.as_str()), ("125", "15"));
    let calls = made.calls();
    let seen = reads(&server, &mut ledger, &made.held[1]).await;
    assert_eq!(health.ledger().await, ServingStatus::Serving);

    disk.fail(faults);
    for (turn, call) in calls.iter().chain(&calls).enumerate() {
        for outcome in call.outcomes(&mut ledger).await {
            let refused = matches!(outcome, Outcome::NotKept(_));
            assert!(refused, "{call:?}: {outcome:?}");
        }
        if turn == 0 {
            health.wait(ServingStatus::NotServing).await;
        }
        assert_eq!(health.ledger().await, ServingStatus::NotServing);
        let now = reads(&server, &mut ledger, &made.held[1]).await;
        assert!(now == seen, "{call:?} changed what is read");
    }
    let unopened = ledger.get_balance(balance("team-new")).await;
    assert!(unopened.is_err(), "{unopened:?}");
    // What was answered before stays so: told again, or not now.
    let known = Call::Charge(charge("b3", "team-a", "10"));
    let known = known.outcomes(&mut ledger).await.remove(0);
    assert!(["REPLAYED", "STORE_UNAVAILABLE"].contains(&known.reason()));

    disk.mend();
    health.wait(ServingStatus::Serving).await;
    let mut first = Vec::new();
    for call in &calls {
        for outcome in call.outcomes(&mut ledger).await {
            first.push(outcome.done());
        }
    }
    let mut again = Vec::new();
    for call in &calls {
        for outcome in call.outcomes(&mut ledger).await {
            assert_eq!(outcome.reason(), "REPLAYED", "{call:?}");
            again.push(outcome.done());
        }
    }
    assert_eq!(first, again);
    after_all(&mut ledger).await;
    // And so it is on the disk.
    let server = disk.server(Some(server.kill()));
    after_all(&mut server.ledger().await).await;
}

/// What every call done once leaves: 125 + 7 - 1.5 - 0.25 - 0.25 - 2 + 2 + 5 + 4,
/// less the second grant of 50, of which nothing was spent.
async fn after_all(ledger: &mut Ledger) {
    let books = audit(ledger, "team-a").await;
    assert_eq!(books.sums(), ("89", "7"));
    let books = audit(ledger, "team-new").await;
    assert_eq!(books.sums(), ("7", "0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_comes_and_goes() {
    a_fault_comes_and_goes(FULL).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_disk_comes_and_goes() {
    a_fault_comes_and_goes(BROKEN).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_does_not_sync_comes_and_goes() {
    a_fault_comes_and_goes(FORGETFUL).await;
}

/// FieldViolations during a load, and kills during faults.
async fn faults_under_load(faults: &str, must_fail: bool) {
    let mut random = Random::of_run("disk");
    let disk = Disk::new();
    let mut journal = Journal::default();
    let mut server = disk.server(None);
    journal.open(&server).await;
    for round in 0..6 {
        let load = journal.start(&server, &mut random).await;
        // The moments are what the test is about.
        let mut pause = || Duration::from_micros(random.between(20_000, 120_000));
        tokio::time::sleep(pause()).await;
        disk.fail(faults);
        tokio::time::sleep(pause()).await;
        if round % 2 == 0 {
            let directory = server.kill();
            journal.finish(load).await;
            disk.mend();
            server = disk.server(Some(directory));
        } else {
            disk.mend();
            Health::of(&server).await.wait(ServingStatus::Serving).await;
            tokio::time::sleep(pause()).await;
            load.stop();
            journal.finish(load).await;
        }
        journal.retry(&server).await;
        journal.verify(&server).await;
    }
    server = disk.server(Some(server.stop()));
    journal.retry(&server).await;
    journal.verify(&server).await;
    let counts = journal.counts;
    assert!(counts.answered > 100, "{counts:?}");
    assert!(!must_fail || counts.not_kept > 6, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_loses_nothing_under_load() {
    faults_under_load(FULL, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_disk_loses_nothing_under_load() {
    faults_under_load(BROKEN, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_does_not_sync_loses_nothing_under_load() {
    faults_under_load(FORGETFUL, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_cannot_be_brought_over_loses_nothing() {
    faults_under_load(HALF_FULL, false).await;
}

/// Grants expire while nothing can be written: reads answer as if the entry were there, and
/// it is written later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ends_while_the_disk_fails_is_over() {
    let disk = Disk::new();
    let server = disk.server(None);
    let mut ledger = server.ledger().await;
    let opened = one(&mut ledger, Call::Grant(grant("g1", "team-a", "3"))).await;
    let now = opened.entry.as_ref().unwrap().create_time.unwrap();
    let nanos = now.seconds * 1_000_000_000 + i64::from(now.nanos) + 1_000_000_000;
    let soon = timestamp_to_pb(Timestamp::from_unix_nanos(nanos));
    let request = pb::GrantRequest {
        expire_time: Some(soon),
        ..grant("g2", "team-a", "5")
    };
    one(&mut ledger, Call::Grant(request)).await;
    disk.fail(FULL);
    let start = Instant::now();
    while read(&mut ledger, "team-a").await.available != "3" {
        assert!(start.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let expired = audit(&mut ledger, "team-a").await;
    let entry = expired.entries.last().unwrap().clone();
    assert_eq!(
        (entry.kind(), entry.create_time),
        (pb::EntryKind::Expire, Some(soon))
    );
    assert_eq!((entry.version, entry.available.as_str()), (3, "3"));
    let outcome = Call::Grant(grant("g3", "team-a", "1"));
    let outcome = outcome.outcomes(&mut ledger).await.remove(0);
    assert_eq!(outcome.reason(), "STORE_UNAVAILABLE");

    disk.mend();
    let mut health = Health::of(&server).await;
    health.wait(ServingStatus::Serving).await;
    let server = disk.server(Some(server.kill()));
    let written = audit(&mut server.ledger().await, "team-a").await;
    assert_eq!(written.entries.len(), 3);
    let again = written.entries.last().unwrap();
    assert_eq!(
        (again.kind(), again.create_time, &again.credits),
        (entry.kind(), entry.create_time, &entry.credits)
    );
}

/// Charges of 1 by these numbers, each of which takes a page of the file.
async fn charge_with_large_labels(ledger: &mut Ledger, numbers: std::ops::Range<i32>) {
    let labels = (0..16).map(|n| (format!("label-{n}"), "x".repeat(256)));
    let labels: std::collections::BTreeMap<_, _> = labels.collect();
    let charges = numbers.map(|n| pb::ChargeRequest {
        labels: labels.clone(),
        ..charge(&format!("c{n}"), "team-a", "1")
    });
    let reply = ledger.batch_charge(batch(charges.collect())).await;
    assert_eq!(reply.unwrap().into_inner().failed_count, 0);
}

/// A WAL checkpoint that could not be synced is done again by the next start: until then the
/// `-wal` has all of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_synced_into_the_file_stays_in_the_wal() {
    let disk = Disk::new();
    let server = disk.server(None);
    let mut ledger = server.ledger().await;
    one(&mut ledger, Call::Grant(grant("g", "team-a", "100000"))).await;
    let mut spent = 0;
    let mut spend = async |ledger: &mut Ledger| {
        charge_with_large_labels(ledger, spent..spent + 400).await;
        spent += 400;
        spent
    };
    let synced = std::fs::read(server.data()).unwrap();
    disk.fail("sync EIO creditd.db");
    let start = Instant::now();
    while !server.log().contains("stays in its -wal") {
        assert!(start.elapsed() < PATIENCE, "it is never synced");
        spend(&mut ledger).await;
    }
    // The disk works again; nobody knows what of the file is on it.
    disk.mend();
    let wal = |directory: &std::path::Path| {
        std::fs::metadata(directory.join("creditd.db-wal")).map_or(0, |found| found.len())
    };
    let before = wal(server.directory.path());
    for _ in 0..8 {
        spend(&mut ledger).await;
    }
    let spent = spend(&mut ledger).await;
    let directory = server.stop();
    let kept = wal(directory.path());
    assert!(kept > before + (20 << 20), "{before}, {kept}");
    // As if none of what was moved had reached the disk.
    std::fs::write(directory.path().join("creditd.db"), synced).unwrap();
    let server = disk.server(Some(directory));
    let balance = read(&mut server.ledger().await, "team-a").await;
    assert_eq!(balance.available, (100_000 - spent).to_string());
    let directory = server.stop();
    assert_eq!(wal(directory.path()), 0);
}

/// Also where the server stops before anybody asks it for anything more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_synced_stays_although_the_server_stops_at_once() {
    let disk = Disk::new();
    let server = disk.server(None);
    let mut ledger = server.ledger().await;
    one(&mut ledger, Call::Grant(grant("g", "team-a", "100000"))).await;
    disk.fail("sync EIO creditd.db");
    // More than what the -wal is emptied at.
    for first in [0, 500, 1_000] {
        charge_with_large_labels(&mut ledger, first..first + 500).await;
    }
    server.wait_for_log("the -wal could not be checkpointed");
    disk.mend();
    let directory = server.stop();
    let kept = std::fs::metadata(directory.path().join("creditd.db-wal")).unwrap();
    assert!(kept.len() > 4 << 20, "{} bytes", kept.len());
    let server = disk.server(Some(directory));
    let balance = read(&mut server.ledger().await, "team-a").await;
    assert_eq!(balance.available, "98500");
}
