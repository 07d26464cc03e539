//! Data files that are locked, taken away, replaced or cut while a server uses them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use creditd::domain::Timestamp;
use creditd::rpc::convert::timestamp_to_pb;
use creditd::rpc::pb::creditd::v1 as pb;
use rusqlite::Connection;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::support::books::{Ledger, audit, entries, read};
use crate::support::health::Health;
use crate::support::refusal::refused;
use crate::support::requests::{batch, charge};
use crate::support::server::{Server, Settings, run};
use crate::support::{PATIENCE, balance, grant};

/// A read that does not wait for anything.
const AT_ONCE: Duration = Duration::from_millis(250);
/// How soon it is noticed that a file is locked or gone, and that it is not any more.
const NOTICED_MAX: Duration = Duration::from_millis(1_500);

/// A hundred credits, of which one is spent.
async fn spend_one(server: &Server) -> Ledger {
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-a", "100")).await.unwrap();
    ledger.charge(charge("c", "team-a", "1")).await.unwrap();
    ledger
}

async fn refused_charge(ledger: &mut Ledger, id: &str) -> Duration {
    let start = Instant::now();
    let refusal = refused(ledger.charge(charge(id, "team-a", "1")).await);
    assert_eq!(refusal.reason, "STORE_UNAVAILABLE");
    assert_eq!(refusal.metadata["operation"], "write");
    start.elapsed()
}

/// Reads until the task is told to stop; the slowest read.
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

/// The file's write lock is held by somebody else: reads go on as ever, writes are refused
/// soon, and when it is over the server goes on by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_file_keeps_no_read_waiting() {
    let server = Server::start();
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

/// A lock that is gone again soon is waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_lock_refuses_nobody() {
    let server = Server::start();
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
    let server = Server::start();
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

/// Somebody who only reads, for however long, keeps nobody from writing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_read_keeps_no_write_waiting() {
    let server = Server::start();
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

/// Starts a server again over the data in a directory.
fn over(directory: tempfile::TempDir) -> Server {
    Server::start_settings(Settings {
        directory: Some(directory),
        ..Settings::default()
    })
}

/// Why a server does not start over the data in a directory.
fn complaint(directory: &Path) -> String {
    let args = ["serve", "--listen", "127.0.0.1:0", "--data", "creditd.db"];
    let (code, _, err) = run(directory, &args);
    assert_eq!(code, Some(1), "{err}");
    err
}

/// A data file of another server, stopped in order.
async fn another_file() -> tempfile::TempDir {
    let server = Server::start();
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-b", "7")).await.unwrap();
    server.stop()
}

/// What is done to the file, what the log says, and what the next start does.
struct Case {
    name: &'static str,
    take: fn(&Path, &Path),
    says: &'static str,
    /// Whether what is open can still be read.
    readable: bool,
    next: Next,
}

enum Next {
    /// All that was answered is there.
    Whole,
    /// It refuses to start, with these words.
    Refuses(&'static str),
    /// Nobody can know that there was anything.
    New,
    /// It starts and warns.
    Warns(&'static str),
}

fn remove(directory: &Path, names: &[&str]) {
    for name in names {
        std::fs::remove_file(directory.join(name)).unwrap();
    }
}

const FILES: [&str; 3] = ["creditd.db", "creditd.db-wal", "creditd.db-shm"];

fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "all of it deleted",
            take: |here, _| remove(here, &FILES),
            says: "was deleted or renamed",
            readable: true,
            next: Next::New,
        },
        Case {
            name: "the file deleted",
            take: |here, _| remove(here, &["creditd.db"]),
            says: "was deleted or renamed",
            readable: true,
            next: Next::Refuses("its -wal is there"),
        },
        Case {
            name: "replaced by another file",
            take: |here, other| {
                std::fs::copy(other, here.join("other.db")).unwrap();
                std::fs::rename(here.join("other.db"), here.join("creditd.db")).unwrap();
            },
            says: "another file has taken",
            readable: true,
            next: Next::Refuses("belongs to another file"),
        },
        Case {
            name: "overwritten by another file",
            take: |here, other| {
                std::fs::copy(other, here.join("creditd.db")).unwrap();
            },
            says: "has overwritten the data file or cut it",
            readable: false,
            next: Next::Refuses("belongs to another file"),
        },
        Case {
            name: "cut to nothing",
            take: |here, _| drop(std::fs::File::create(here.join("creditd.db")).unwrap()),
            says: "has overwritten the data file or cut it",
            readable: false,
            next: Next::Refuses("its -wal is there"),
        },
        Case {
            name: "cut in half",
            take: |here, _| {
                let path = here.join("creditd.db");
                let file = std::fs::File::options().write(true).open(path).unwrap();
                let bytes = file.metadata().unwrap().len();
                file.set_len(bytes / 2).unwrap();
            },
            says: "has overwritten the data file or cut it",
            readable: false,
            next: Next::Refuses("it is damaged"),
        },
        Case {
            name: "the -wal deleted",
            take: |here, _| remove(here, &["creditd.db-wal"]),
            says: "-wal was deleted",
            readable: true,
            next: Next::Whole,
        },
        Case {
            name: "the -shm deleted",
            take: |here, _| remove(here, &["creditd.db-shm"]),
            says: "-shm was deleted",
            readable: true,
            next: Next::Whole,
        },
        Case {
            name: "the -wal cut",
            take: |here, _| drop(std::fs::File::create(here.join("creditd.db-wal")).unwrap()),
            says: "has overwritten the data file's -wal or cut it",
            readable: false,
            next: Next::Warns("the -wal which that had is missing"),
        },
    ]
}

/// It is noticed within a second also where nobody calls; nothing more is written, and what
/// is open is read as long as the server lives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_not_what_it_was_is_noticed() {
    let other = another_file().await;
    let other = other.path().join("creditd.db");
    for Case {
        name,
        take,
        says,
        readable,
        next,
    } in cases()
    {
        eprintln!("{name}");
        let server = Server::start();
        let mut health = Health::of(&server).await;
        let mut ledger = spend_one(&server).await;
        let listed = entries(&mut ledger, "team-a", 10).await;
        take(server.directory.path(), &other);
        let start = Instant::now();
        health.wait(ServingStatus::NotServing).await;
        assert!(
            start.elapsed() < NOTICED_MAX,
            "{name}: {:?}",
            start.elapsed()
        );
        server.wait_for_log(says);
        for n in 0..3 {
            let took = refused_charge(&mut ledger, &format!("d{n}")).await;
            assert!(took < AT_ONCE, "{name}: {took:?}");
        }
        assert_eq!(read(&mut ledger, "team-a").await.available, "99", "{name}");
        let list = pb::ListEntriesRequest {
            account: "team-a".to_owned(),
            ..pb::ListEntriesRequest::default()
        };
        match ledger.list_entries(list).await {
            Ok(page) => {
                let page = page.into_inner().entries;
                assert!(readable && page.len() == listed.len(), "{name}");
            }
            Err(status) => assert!(!readable, "{name}: {status:?}"),
        }
        if readable && matches!(next, Next::New | Next::Refuses(_)) {
            rescue(&server, name).await;
        }
        after(server.kill(), name, &next).await;
    }
}

/// What the log says to do brings everything back.
async fn rescue(server: &Server, name: &str) {
    let log = server.log();
    let command = log.lines().find_map(|line| line.split_once(": cp /proc/"));
    let command = format!("cp /proc/{}", command.unwrap().1);
    let done = std::process::Command::new("sh")
        .args(["-c", &command])
        .current_dir(server.directory.path())
        .status();
    assert!(done.unwrap().success(), "{name}: {command}");
    let rescued = tempfile::tempdir().unwrap();
    for (from, to) in [("rescued.db", FILES[0]), ("rescued.db-wal", FILES[1])] {
        std::fs::rename(server.directory.path().join(from), rescued.path().join(to)).unwrap();
    }
    let (code, out, err) = run(rescued.path(), &["audit"]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{name}: {out}");
    let server = over(rescued);
    assert_eq!(
        read(&mut server.ledger().await, "team-a").await.available,
        "99"
    );
}

async fn after(directory: tempfile::TempDir, name: &str, next: &Next) {
    match next {
        Next::Refuses(words) => {
            let complaint = complaint(directory.path());
            assert!(complaint.contains(words), "{name}: {complaint}");
        }
        Next::Whole => {
            let server = over(directory);
            let mut ledger = server.ledger().await;
            assert_eq!(audit(&mut ledger, "team-a").await.sums().0, "99", "{name}");
        }
        Next::New => {
            let server = over(directory);
            assert!(
                server
                    .ledger()
                    .await
                    .get_balance(balance("team-a"))
                    .await
                    .is_err()
            );
        }
        Next::Warns(words) => over(directory).wait_for_log(words),
    }
}

/// A file that comes back is served again, and the server also stops as ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_comes_back_is_written_again() {
    let server = Server::start();
    let mut health = Health::of(&server).await;
    let mut ledger = spend_one(&server).await;
    let here = server.directory.path().to_owned();
    for n in 0..2 {
        std::fs::rename(here.join("creditd.db"), here.join("moved.db")).unwrap();
        // At once, whether or not it was noticed before.
        refused_charge(&mut ledger, &format!("d{n}")).await;
        assert_eq!(health.ledger().await, ServingStatus::NotServing);
        std::fs::rename(here.join("moved.db"), here.join("creditd.db")).unwrap();
        let start = Instant::now();
        health.wait(ServingStatus::Serving).await;
        assert!(start.elapsed() < NOTICED_MAX, "{:?}", start.elapsed());
        // Nobody was told whether the refused charge was made: its request_id says.
        ledger
            .charge(charge(&format!("d{n}"), "team-a", "1"))
            .await
            .unwrap();
    }
    assert_eq!(audit(&mut ledger, "team-a").await.sums().0, "97");
    let server = over(server.stop());
    assert_eq!(
        read(&mut server.ledger().await, "team-a").await.available,
        "97"
    );
}

/// Nothing that was answered is missing, whenever the file is taken away under a load.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_answered_is_in_the_file_that_has_the_path() {
    let other = another_file().await;
    let server = Server::start();
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-a", "1000000")).await.unwrap();
    let here = server.directory.path().to_owned();
    let count = Arc::new(AtomicUsize::new(0));
    let load: Vec<_> = (0..8)
        .map(|task| {
            let (mut ledger, count) = (ledger.clone(), Arc::clone(&count));
            tokio::spawn(async move {
                let mut answered = Vec::new();
                for n in 0..u64::MAX {
                    let sent = Instant::now();
                    let id = format!("c{task}-{n}");
                    if ledger.charge(charge(&id, "team-a", "1")).await.is_err() {
                        break;
                    }
                    answered.push((id, sent));
                    count.fetch_add(1, Ordering::Relaxed);
                }
                answered
            })
        })
        .collect();
    let start = Instant::now();
    while count.load(Ordering::Relaxed) < 100 {
        assert!(start.elapsed() < PATIENCE, "{}", server.log());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    std::fs::copy(other.path().join("creditd.db"), here.join("other.db")).unwrap();
    std::fs::hard_link(here.join("creditd.db"), here.join("kept.db")).unwrap();
    std::fs::rename(here.join("other.db"), here.join("creditd.db")).unwrap();
    let replaced = Instant::now();
    let mut answered = Vec::new();
    for task in load {
        answered.extend(task.await.unwrap());
    }
    let late = answered.iter().filter(|(_, sent)| *sent > replaced).count();
    assert_eq!(late, 0, "answered although another file had the path");
    let directory = server.kill();
    let here = directory.path();
    std::fs::rename(here.join("kept.db"), here.join("creditd.db")).unwrap();
    let server = over(directory);
    let mut ledger = server.ledger().await;
    for (id, _) in answered {
        let again = ledger.charge(charge(&id, "team-a", "1")).await.unwrap();
        assert!(again.into_inner().replayed, "{id}");
    }
}

/// A copy of the file alone, of a server that runs: what is in the -wal is missing, and
/// whoever opens the copy is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_without_its_wal_is_told_of() {
    let server = Server::start();
    let mut ledger = spend_one(&server).await;
    let words = "the -wal which that had is missing";
    for round in 0..2 {
        let copy = tempfile::tempdir().unwrap();
        std::fs::copy(server.data(), copy.path().join("creditd.db")).unwrap();
        let (code, out, err) = run(copy.path(), &["audit"]);
        assert_eq!(code, Some(0), "{out}{err}");
        assert!(err.contains(words), "{err}");
        let (_, out, _) = run(copy.path(), &["audit", "--json"]);
        let printed: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert!(
            printed["warning"].as_str().unwrap().contains(words),
            "{out}"
        );
        let (code, _, err) = run(copy.path(), &["backup", "copy.db"]);
        assert!(code == Some(0) && err.contains(words), "{err}");
        let started = over(copy);
        started.wait_for_log(words);
        // In order: from now on it is a file like any other.
        let copy = started.stop();
        let (_, _, err) = run(copy.path(), &["audit"]);
        assert_eq!(err, "");
        if round == 0 {
            // A long history, of which the file itself has some.
            let labels = (0..16).map(|n| (format!("label-{n}"), "x".repeat(256)));
            let labels: std::collections::BTreeMap<_, _> = labels.collect();
            for first in (0..4_000).step_by(400) {
                let charges = (first..first + 400).map(|n| pb::ChargeRequest {
                    labels: labels.clone(),
                    ..charge(&format!("n{n}"), "team-a", "0.001")
                });
                ledger.batch_charge(batch(charges.collect())).await.unwrap();
            }
        }
    }
    // A copy that has everything, and the file itself, are not told of: while the server
    // runs, after a kill, and after a start and a stop.
    let quiet = |directory: &Path, file: &str| {
        let (code, out, err) = run(directory, &["audit", "--data", file]);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    };
    let here = server.directory.path().to_owned();
    let (code, _, err) = run(&here, &["backup", "copy.db"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    quiet(&here, "copy.db");
    quiet(&here, "creditd.db");
    let directory = server.kill();
    quiet(directory.path(), "creditd.db");
    let server = over(directory);
    let directory = server.stop();
    quiet(directory.path(), "creditd.db");
    let server = over(directory);
    let log = server.log();
    assert!(!log.contains("missing"), "{log}");
}

/// An older copy beside a -wal that goes on from a newer state is not mixed with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_beside_a_newer_wal_is_refused() {
    let server = Server::start();
    let mut ledger = spend_one(&server).await;
    let here = server.directory.path().to_owned();
    run(&here, &["backup", "copy.db"]);
    let labels = (0..16).map(|n| (format!("label-{n}"), "x".repeat(256)));
    let labels: std::collections::BTreeMap<_, _> = labels.collect();
    let wal = || {
        std::fs::metadata(here.join("creditd.db-wal"))
            .unwrap()
            .len()
    };
    let bytes = |path: &str| std::fs::metadata(here.join(path)).unwrap().len();
    let (mut sent, start) = (0, Instant::now());
    // Until the file has what the -wal had, and that goes on from there.
    while bytes("creditd.db") < 4 * bytes("copy.db") || wal() == 0 {
        assert!(start.elapsed() < PATIENCE);
        let charges = (sent..sent + 400).map(|n| pb::ChargeRequest {
            labels: labels.clone(),
            ..charge(&format!("n{n}"), "team-a", "0.001")
        });
        ledger.batch_charge(batch(charges.collect())).await.unwrap();
        sent += 400;
    }
    for n in 0..20 {
        ledger
            .charge(charge(&format!("m{n}"), "team-a", "0.001"))
            .await
            .unwrap();
    }
    let directory = server.kill();
    std::fs::rename(
        directory.path().join("copy.db"),
        directory.path().join("creditd.db"),
    )
    .unwrap();
    let complaint = complaint(directory.path());
    assert!(
        complaint.contains("or to a newer state of this one"),
        "{complaint}"
    );
}

/// The same of a file that had only just been made.
#[test]
fn a_copy_of_a_young_file_is_told_of() {
    let directory = tempfile::tempdir().unwrap();
    let file = Connection::open(directory.path().join("creditd.db")).unwrap();
    file.pragma_update(None, "journal_mode", "WAL").unwrap();
    drop(file);
    let server = over(directory);
    server.wait_for_log("it has nothing in it yet; if it is a copy of a file in use");
}
