//! Balances that are watched.

use std::time::{Duration, Instant};

use creditd::domain::Timestamp;
use creditd::rpc::convert::timestamp_to_pb;
use creditd::rpc::pb::creditd::v1 as pb;
use tonic::{Code, Status, Streaming};

use crate::support::books::{Ledger, amount, audit, read};
use crate::support::refusal::refused;
use crate::support::requests::{batch, charge, hold, hold_for, release, settle};
use crate::support::server::Server;
use crate::support::{PATIENCE, estimate, grant};

struct Watcher(Streaming<pb::WatchBalanceResponse>);

fn of(account: &str) -> pb::WatchBalanceRequest {
    pb::WatchBalanceRequest {
        account: account.to_owned(),
    }
}

impl Watcher {
    async fn start(ledger: &mut Ledger, account: &str) -> Result<Self, Status> {
        let stream = tokio::time::timeout(PATIENCE, ledger.watch_balance(of(account)));
        let stream = stream.await.expect("answered within a bound")?;
        Ok(Self(stream.into_inner()))
    }

    /// The next balance; None where the stream has ended with OK.
    async fn next(&mut self) -> Option<pb::Balance> {
        let next = tokio::time::timeout(PATIENCE, self.0.message());
        let next = next.await.expect("something came within a bound").unwrap();
        next.map(|reply| reply.balance.unwrap())
    }

    /// Version, available, held of the next balance.
    async fn figures(&mut self) -> (i64, String, String) {
        let balance = self.next().await.expect("a balance");
        (balance.version, balance.available, balance.held)
    }
}

fn figures(version: i64, available: &str, held: &str) -> (i64, String, String) {
    (version, available.to_owned(), held.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_balance_now_and_after_each_change() {
    let server = Server::start();
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g1", "team-a", "10")).await.unwrap();
    ledger.grant(grant("g2", "team-a", "5.5")).await.unwrap();
    let mut watchers = Vec::new();
    for _ in 0..3 {
        // One of them has a connection of its own.
        let mut other = server.ledger().await;
        let on = if watchers.is_empty() {
            &mut other
        } else {
            &mut ledger
        };
        watchers.push(Watcher::start(on, "team-a").await.unwrap());
    }
    for watcher in &mut watchers {
        let first = watcher.next().await.unwrap();
        let now = read(&mut ledger, "team-a").await;
        assert!(first.read_time.is_some());
        let unread = |balance: pb::Balance| pb::Balance {
            read_time: None,
            ..balance
        };
        assert_eq!(unread(first), unread(now));
    }

    ledger.charge(charge("c1", "team-a", "4")).await.unwrap();
    for watcher in &mut watchers {
        assert_eq!(watcher.figures().await, figures(3, "11.5", "0"));
    }
    let held = ledger.hold(hold("h1", "team-a", "3")).await.unwrap();
    let held = held.into_inner().hold.unwrap().hold_id;
    for watcher in &mut watchers {
        assert_eq!(watcher.figures().await, figures(4, "8.5", "3"));
    }
    ledger
        .settle_hold(settle("s1", "team-a", &held, "1"))
        .await
        .unwrap();
    for watcher in &mut watchers {
        assert_eq!(watcher.figures().await, figures(5, "10.5", "0"));
    }

    // What changes nothing here is not told: a refusal, an answer told again,
    // another account. The next thing that comes is the next change.
    assert_eq!(
        refused(ledger.charge(charge("c2", "team-a", "99")).await).reason,
        "INSUFFICIENT_CREDITS"
    );
    let again = ledger.charge(charge("c1", "team-a", "4")).await.unwrap();
    assert!(again.into_inner().replayed);
    ledger.grant(grant("g1", "team-b", "1")).await.unwrap();
    // The changes of one batch may come as one.
    let items = (0..5).map(|n| charge(&format!("b{n}"), "team-a", "0.1"));
    ledger.batch_charge(batch(items.collect())).await.unwrap();
    for watcher in &mut watchers {
        let mut version = 5;
        while version < 10 {
            let balance = watcher.next().await.unwrap();
            assert_eq!(balance.account, "team-a");
            assert!(balance.version > version, "{balance:?}");
            version = balance.version;
            let left = 10_500_000_000 - 100_000_000 * i128::from(version - 5);
            assert_eq!(balance.available, amount(left));
        }
        assert_eq!(version, 10);
    }
}

/// Holds and grants expire without any call, each in time, also where the longest deadline is
/// shorter than the watch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ends_is_told_without_any_call() {
    let server = Server::start_with(&["--deadline-ms-max", "800"]);
    let mut ledger = server.ledger().await;
    let opened = ledger.grant(grant("g1", "team-a", "10")).await.unwrap();
    let opened = opened.into_inner().entry.unwrap().create_time.unwrap();
    let start = opened.seconds * 1_000_000_000 + i64::from(opened.nanos);
    let soon = timestamp_to_pb(Timestamp::from_unix_nanos(start + 1_500_000_000));
    let brief = pb::GrantRequest {
        expire_time: Some(soon),
        // It burns last: the hold takes from the other.
        priority: 1,
        ..grant("g2", "team-a", "5")
    };
    ledger.grant(brief).await.unwrap();
    let held = ledger.hold(hold_for("h1", "team-a", "4", 1_000)).await;
    let held = held.unwrap().into_inner().hold.unwrap();
    let mut watcher = Watcher::start(&mut ledger, "team-a").await.unwrap();
    assert_eq!(watcher.figures().await, figures(3, "11", "4"));

    for (version, available, end) in [(4, "15", held.expire_time.unwrap()), (5, "10", soon)] {
        let told = watcher.next().await.unwrap();
        assert_eq!(
            (told.version, told.available.as_str()),
            (version, available)
        );
        assert_eq!(told.held, "0");
        let read = told.read_time.unwrap();
        let late =
            (read.seconds - end.seconds) * 1_000 + i64::from(read.nanos - end.nanos) / 1_000_000;
        assert!((0..5_000).contains(&late), "{late} ms late");
    }
    let books = audit(&mut ledger, "team-a").await;
    let kinds: Vec<_> = books.entries[3..].iter().map(pb::Entry::kind).collect();
    assert_eq!(kinds, [pb::EntryKind::Release, pb::EntryKind::Expire]);
    assert_eq!(books.entries[3].create_time, held.expire_time);
    assert_eq!(books.entries[4].create_time, Some(soon));
}

/// A hold that was extended or released does not expire at its first time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_that_no_longer_come_are_not_told() {
    let server = Server::start();
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g1", "team-a", "10")).await.unwrap();
    let mut held = Vec::new();
    for (id, millis) in [("extended", 1_000), ("released", 1_000), ("last", 1_600)] {
        let reply = ledger.hold(hold_for(id, "team-a", "2", millis)).await;
        held.push(reply.unwrap().into_inner().hold.unwrap().hold_id);
    }
    let later = crate::support::requests::extend("x", "team-a", &held[0], 3_600_000);
    ledger.extend_hold(later).await.unwrap();
    ledger
        .release_hold(release("l", "team-a", &held[1]))
        .await
        .unwrap();
    let mut watcher = Watcher::start(&mut ledger, "team-a").await.unwrap();
    assert_eq!(watcher.figures().await, figures(5, "6", "4"));
    assert_eq!(watcher.figures().await, figures(6, "8", "2"));
}

/// Balances too large for the buffers on the way to a slow reader: it misses most of them and
/// then gets the newest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_gets_the_newest() {
    let server = Server::start();
    let mut ledger = server.ledger().await;
    for n in 0..400 {
        let request = pb::GrantRequest {
            source: "s".repeat(200),
            ..grant(&format!("g{n}"), "team-a", "1")
        };
        ledger.grant(request).await.unwrap();
    }
    // A reader whose connection holds little.
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", server.address))
        .unwrap()
        .initial_stream_window_size(65_535)
        .initial_connection_window_size(65_535);
    let mut slow = Ledger::new(endpoint.connect().await.unwrap());
    let mut watcher = Watcher::start(&mut slow, "team-a").await.unwrap();
    // Meanwhile others are told each.
    let mut quick = Watcher::start(&mut ledger, "team-a").await.unwrap();
    assert_eq!(quick.next().await.unwrap().version, 400);
    for n in 1..=200 {
        let request = charge(&format!("c{n}"), "team-a", "0.001");
        ledger.charge(request).await.unwrap();
        assert_eq!(quick.next().await.unwrap().version, 400 + n);
    }
    let mut versions = Vec::new();
    while versions.last() != Some(&600) {
        let balance = watcher.next().await.unwrap();
        versions.push(balance.version);
        if balance.version == 600 {
            assert_eq!(balance.available, "399.8");
        }
    }
    assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
    assert!(versions.len() < 60, "it was told {} times", versions.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_accounts_cannot_be_watched() {
    let server = Server::start();
    let mut ledger = server.ledger().await;
    for (account, code, reason) in [
        ("team-a", Code::NotFound, "ACCOUNT_NOT_FOUND"),
        ("team a", Code::InvalidArgument, "INVALID_ACCOUNT"),
        ("", Code::InvalidArgument, "FIELD_REQUIRED"),
    ] {
        let refusal = refused(ledger.watch_balance(of(account)).await);
        assert_eq!((refusal.code, refusal.reason.as_str()), (code, reason));
    }
}

/// The drain ends watches with OK and does not wait for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_the_watch_with_ok() {
    let mut server = Server::start_with(&["--drain-ms-max", "600000"]);
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g1", "team-a", "10")).await.unwrap();
    let mut watchers = Vec::new();
    for _ in 0..4 {
        let mut own = server.ledger().await;
        for on in [&mut own, &mut ledger] {
            let mut watcher = Watcher::start(on, "team-a").await.unwrap();
            assert_eq!(watcher.figures().await, figures(1, "10", "0"));
            watchers.push(watcher);
        }
    }
    let stopping = Instant::now();
    server.signal_stop();
    for watcher in &mut watchers {
        assert_eq!(watcher.next().await, None, "ended with OK");
    }
    server.wait();
    assert!(stopping.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_have_a_limit_of_their_own() {
    let server = Server::start_with(&["--watchers-max", "3", "--calls-max", "2"]);
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g1", "team-a", "10")).await.unwrap();
    let mut watchers = Vec::new();
    for _ in 0..3 {
        watchers.push(Watcher::start(&mut ledger, "team-a").await.unwrap());
    }
    // Over any connection.
    let mut other = server.ledger().await;
    for ledger in [&mut ledger, &mut other] {
        let refusal = refused(ledger.watch_balance(of("team-a")).await);
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (Code::Unavailable, "TOO_MANY_WATCHERS")
        );
        assert_eq!(refusal.metadata["limit"], "3");
    }
    // They are not among the calls in flight, of which there may be two.
    let mut pricing = server.pricing().await;
    for n in 0..20 {
        ledger
            .charge(charge(&format!("c{n}"), "team-a", "0.1"))
            .await
            .unwrap();
        pricing
            .estimate(estimate("lip_sync_video", "31s"))
            .await
            .unwrap();
    }
    // Who stops watching makes room.
    watchers.pop();
    let start = Instant::now();
    let mut late = loop {
        match Watcher::start(&mut other, "team-a").await {
            Ok(watcher) => break watcher,
            Err(status) => assert_eq!(refused(Err::<(), _>(status)).reason, "TOO_MANY_WATCHERS"),
        }
        assert!(start.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    assert_eq!(late.figures().await, figures(21, "8", "0"));
}
