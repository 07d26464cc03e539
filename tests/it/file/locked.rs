//! Files that another program has locked, or reads for a long time.

use std::time::{Duration, Instant};

use creditd::domain::Timestamp;
use creditd::rpc::convert::timestamp_to_pb;
use creditd::rpc::pb::creditd::v1 as pb;
use rusqlite::Connection;
use tonic_health::pb::health_check_response::ServingStatus;

use super::{AT_ONCE, NOTICED_MAX, over, refused_charge, spend_one};
use crate::support::books::{Ledger, audit, read};
use crate::support::grant;
use crate::support::health::Health;
use crate::support::requests::charge;
use crate::support::server::Program;

/// Reads until the task is stopped; returns the slowest read.
fn keep_reading(mut ledger: Ledger) -> tokio::task::JoinHandle<Duration> {
    tokio::spawn(async move {
        let (mut slowest, begun) = (Duration::ZERO, Instant::now());
        while begun.elapsed() < Duration::from_secs(2) {
            let start = Instant::now();
            read(&mut ledger, "team-a").await;
            slowest = slowest.max(start.elapsed());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        slowest
    })
}

/// Another program holds the file's write lock: reads go on, writes are refused soon, and
/// afterwards the server recovers by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_file_keeps_no_read_waiting() {
    let server = Program::start();
    let mut health = Health::of(&server).await;
    let mut ledger = spend_one(&server).await;
    let other = Connection::open(server.data()).unwrap();
    for (turn, begin) in ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"].iter().enumerate() {
        let now = read(&mut ledger, "team-a").await.read_time.unwrap();
        let nanos = now.seconds * 1_000_000_000 + i64::from(now.nanos) + 1_000_000_000;
        let soon = pb::GrantRequest {
            expire_time: Some(timestamp_to_pb(Timestamp::from_unix_nanos(nanos))),
            ..grant(&format!("soon-{turn}"), "team-a", "5")
        };
        ledger.grant(soon).await.unwrap();
        other.execute_batch(begin).unwrap();
        // What ends meanwhile is over, although it cannot be written.
        let reads = keep_reading(ledger.clone());
        let first = refused_charge(&mut ledger, &format!("c-{turn}")).await;
        assert!(first < Duration::from_secs(1), "{first:?}");
        for _ in 0..20 {
            let next = refused_charge(&mut ledger, &format!("c-{turn}")).await;
            assert!(next < AT_ONCE, "{next:?}");
        }
        let known = ledger.charge(charge("c", "team-a", "1")).await.unwrap();
        assert!(known.into_inner().replayed);
        assert_eq!(health.ledger().await, ServingStatus::NotServing);
        let slowest = reads.await.unwrap();
        assert!(slowest < AT_ONCE, "{slowest:?}");
        assert_eq!(
            read(&mut ledger, "team-a").await.available,
            (99 - turn).to_string()
        );
        other.execute_batch("ROLLBACK").unwrap();
        let start = Instant::now();
        health.wait(ServingStatus::Serving).await;
        assert!(start.elapsed() < NOTICED_MAX, "{:?}", start.elapsed());
        let charged = ledger
            .charge(charge(&format!("c-{turn}"), "team-a", "1"))
            .await;
        assert!(!charged.unwrap().into_inner().replayed);
    }
    assert!(
        server
            .log()
            .contains("another program is writing to the data file")
    );
    assert_eq!(audit(&mut ledger, "team-a").await.sums().0, "97");
}

/// A write waits for a lock that is released soon.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_lock_refuses_nobody() {
    let server = Program::start();
    let mut ledger = spend_one(&server).await;
    let other = Connection::open(server.data()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let waiting: Vec<_> = (0..50)
        .map(|n| {
            let mut ledger = ledger.clone();
            let charge = charge(&format!("n{n}"), "team-a", "1");
            tokio::spawn(async move { ledger.charge(charge).await })
        })
        .collect();
    // Until they have come.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(read(&mut ledger, "team-a").await.available, "99");
    other.execute_batch("ROLLBACK").unwrap();
    for charged in waiting {
        charged.await.unwrap().unwrap();
    }
    assert_eq!(audit(&mut ledger, "team-a").await.sums().0, "49");
    assert!(!server.log().contains("cannot be written"));
}

/// Writes that wait for another program when the server stops are done, or refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_stops_although_the_file_is_locked() {
    let server = Program::start();
    let mut ledger = spend_one(&server).await;
    let other = Connection::open(server.data()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let waiting = tokio::spawn(async move { ledger.charge(charge("d", "team-a", "1")).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let directory = server.stop();
    assert!(waiting.await.unwrap().is_err());
    drop(other);
    let server = over(directory);
    let mut ledger = server.ledger().await;
    assert_eq!(audit(&mut ledger, "team-a").await.sums().0, "99");
}

/// A reader blocks no writes, however long it reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_read_keeps_no_write_waiting() {
    let server = Program::start();
    let mut ledger = spend_one(&server).await;
    let other = Connection::open(server.data()).unwrap();
    other
        .execute_batch("BEGIN; SELECT count(*) FROM entries")
        .unwrap();
    let mut slowest = Duration::ZERO;
    for n in 0..90 {
        let start = Instant::now();
        let charge = charge(&format!("n{n}"), "team-a", "1");
        ledger.charge(charge).await.unwrap();
        slowest = slowest.max(start.elapsed());
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    drop(other);
    let status = Health::of(&server).await.ledger().await;
    assert_eq!(status, ServingStatus::Serving);
    // Another program may also move what the -wal holds.
    let other = Connection::open(server.data()).unwrap();
    let moved: i64 = other
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        .unwrap();
    assert_eq!(moved, 0);
    ledger.charge(charge("d1", "team-a", "1")).await.unwrap();
    tokio::time::sleep(NOTICED_MAX).await;
    ledger.charge(charge("d2", "team-a", "1")).await.unwrap();
    // Nor do times say anything that were set by hand.
    let file = std::fs::File::options().append(true).open(server.data());
    file.unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    tokio::time::sleep(NOTICED_MAX).await;
    ledger.charge(charge("d3", "team-a", "1")).await.unwrap();
}
