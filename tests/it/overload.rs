//! More writes than the ledger can do: what is admitted is done soon, the rest is refused at once,
//! reads go on, and afterwards all is as before.

use std::future::Future as _;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use creditd::domain::ledger::Command;
use creditd::store::sqlite::{SqliteSettings, SqliteStore};
use creditd::store::{Answer, Pending, Store as _, StoreError};

use crate::store::{Hand, charge, command, grant, name, one_credit, open_with};
use crate::support::PATIENCE;

fn one_charge(number: usize) -> Command {
    command("team-a", &format!("c{number}"), one_credit())
}

/// Calls that were submitted, with when that was.
struct UnderWay<T>(Vec<(Instant, Pending<T>)>);

impl<T> UnderWay<T> {
    fn add(&mut self, call: Pending<T>) {
        self.0.push((Instant::now(), call));
    }

    /// Those that were answered since, with how long they took.
    async fn answered(&mut self) -> Vec<(Duration, Answer<T>)> {
        let mut answered = Vec::new();
        // Without tokio's budget, by which the second hundred would not be looked at.
        tokio::task::unconstrained(std::future::poll_fn(|context| {
            self.0.retain_mut(|(since, pending)| {
                let polled = Pin::new(pending).poll(context);
                let Poll::Ready(answer) = polled else {
                    return true;
                };
                answered.push((since.elapsed(), answer));
                false
            });
            Poll::Ready(())
        }))
        .await;
        answered
    }
}

/// Submits for so long, as fast as this thread can. Returns how long charges took that were
/// done, how many were refused, and how long the reads of an account took.
async fn flood(store: &SqliteStore, time: Duration) -> (Vec<Duration>, usize, Vec<Duration>) {
    let (mut done, mut refused, mut read) = (Vec::new(), 0, Vec::new());
    let (mut writes, mut reads) = (UnderWay(Vec::new()), UnderWay(Vec::new()));
    let began = Instant::now();
    let mut number = 0;
    while began.elapsed() < time || !writes.0.is_empty() || !reads.0.is_empty() {
        if began.elapsed() < time {
            for _ in 0..500 {
                number += 1;
                writes.add(store.write(one_charge(number)));
            }
            reads.add(store.account(name("team-b"), None));
        }
        tokio::task::yield_now().await;
        for (took, answer) in writes.answered().await {
            match answer {
                Ok(_) => done.push(took),
                Err(StoreError::Busy { .. }) => refused += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        for (took, answer) in reads.answered().await {
            answer.unwrap();
            read.push(took);
        }
        assert!(began.elapsed() < PATIENCE, "some were never answered");
    }
    (done, refused, read)
}

#[tokio::test]
async fn the_queue_is_short_while_there_are_more_writes_than_can_be_done() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("creditd.db");
    let store = open_with(&file, &Hand::new(), SqliteSettings::default());
    grant(&store, "team-a", "g1", "1000000000").await.unwrap();
    grant(&store, "team-b", "g1", "1").await.unwrap();
    let (mut done, refused, mut reads) = flood(&store, Duration::from_secs(3)).await;
    assert!(
        refused > done.len() / 4,
        "{refused} refused, {} done",
        done.len()
    );
    // Those that came before the queue counted as overloaded are a part of them. By its count the
    // queue takes 65,536, which a debug build does in seconds.
    done.sort_unstable();
    reads.sort_unstable();
    let p90 = done[done.len() * 9 / 10];
    assert!(p90 < Duration::from_millis(500), "charges: {p90:?}");
    let median = reads[reads.len() / 2];
    assert!(median < Duration::from_millis(500), "reads: {median:?}");
    // The queue is empty, and what comes one after another is done.
    for number in 0..20 {
        charge(&store, "team-b", &format!("after-{number}"))
            .await
            .map_or_else(
                |error| assert!(!matches!(error, StoreError::Busy { .. }), "{error:?}"),
                drop,
            );
    }
}

/// A burst is no overload.
#[tokio::test]
async fn a_short_burst_is_done_in_calm_times() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("creditd.db");
    let store = open_with(&file, &Hand::new(), SqliteSettings::default());
    grant(&store, "team-a", "g1", "1000000000").await.unwrap();
    let burst: Vec<_> = (0..500).map(|n| store.write(one_charge(n))).collect();
    for pending in burst {
        pending.await.unwrap();
    }
}
