//! The server and its follower are killed under load, and the disk is lost.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use creditd::domain::Timestamp;
use creditd::server::files::StatusFile;
use tempfile::TempDir;

use super::{Follower, INTERVAL_MS, generations, moment, now, restore, serve};
use crate::support::books::{Ledger, audit};
use crate::support::grant;
use crate::support::load::Journal;
use crate::support::random::Random;
use crate::support::requests::charge;
use crate::support::server::Program;

const ROUNDS: usize = 5;
const CALLERS: usize = 8;
/// What a busy machine takes to write a segment.
const WRITING_MAX: Duration = Duration::from_secs(3);

/// Charges of 1 that were answered, and when.
type Answered = Arc<Mutex<Vec<(String, Timestamp)>>>;

/// Charges until the server is gone.
async fn spend_on(mut ledger: Ledger, name: String, answered: Answered) {
    for n in 0.. {
        let id = format!("{name}-{n}");
        if ledger.charge(charge(&id, "team-a", "1")).await.is_err() {
            break;
        }
        answered.lock().unwrap().push((id, now()));
    }
}

/// Sends everything again that was answered. What was answered before the moment is replayed.
/// Returns how many charges were lost.
async fn send_again(server: &Program, answered: &Answered, whole: Timestamp) -> usize {
    let mut ledger = server.ledger().await;
    let all = answered.lock().unwrap().clone();
    let mut lost = 0;
    for (id, at) in &all {
        let reply = ledger.charge(charge(id, "team-a", "1")).await.unwrap();
        let replayed = reply.into_inner().replayed;
        assert!(
            replayed || *at >= whole,
            "{id} of {at:?} is not there at {whole:?}"
        );
        lost += usize::from(!replayed);
    }
    lost
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_before_the_interval_outlives_the_disk() {
    let mut random = Random::of_run("follow");
    let place = tempfile::tempdir().unwrap();
    let copies = place.path().join("copies");
    let mut server = Program::start();
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-a", "1000000")).await.unwrap();
    let answered = Answered::default();
    for round in 0..ROUNDS {
        let mut follower = Follower::start(&server.data(), &copies);
        follower.wait_whole();
        let mut load = Vec::new();
        for caller in 0..CALLERS {
            let (name, answered) = (format!("r{round}-{caller}"), Arc::clone(&answered));
            load.push(tokio::spawn(spend_on(
                server.ledger().await,
                name,
                answered,
            )));
        }
        // The moment is what the test is about.
        tokio::time::sleep(Duration::from_micros(random.between(300_000, 1_200_000))).await;
        let follower_first = random.between(0, 1) == 0;
        let log = follower.log();
        let (killed, directory) = match follower_first {
            true => {
                drop(follower);
                (now(), server.kill())
            }
            false => {
                let directory = server.kill();
                drop(follower);
                (now(), directory)
            }
        };
        for caller in load {
            caller.await.unwrap();
        }
        let whole = StatusFile::Backup
            .read(&directory.path().join("creditd.db"))
            .unwrap();
        let window = Duration::from_millis(INTERVAL_MS) + WRITING_MAX;
        assert!(killed.since(whole) < window, "{killed:?} {whole:?} {log}");
        // The disk is lost.
        drop(directory);
        let (restored, printed) = restore(&copies, None);
        server = serve(restored);
        let lost = send_again(&server, &answered, whole).await;
        let number = answered.lock().unwrap().len();
        eprintln!(
            "follow: {number} charges, {lost} lost, {}",
            printed["moment"]
        );
        // Some that were killed before their answer may have moved; none did twice.
        let books = audit(&mut server.ledger().await, "team-a").await;
        let mut ids: Vec<_> = books.entries.iter().map(|e| e.request_id.clone()).collect();
        let entries = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), entries);
        let unanswered = entries - 1 - number;
        assert!(unanswered <= CALLERS * (round + 1), "{unanswered}");
        assert!(number > 20 * (round + 1), "it was not under load: {number}");
    }
}

/// All verbs of the ledger, and nothing is lost where the copy was whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_copy_has_every_answer() {
    let mut random = Random::of_run("follow-whole");
    let place = tempfile::tempdir().unwrap();
    let copies = place.path().join("copies");
    let mut journal = Journal::default();
    let mut server = Program::start();
    journal.open(&server).await;
    for _ in 0..3 {
        let mut follower = Follower::start(&server.data(), &copies);
        let load = journal.start(&server, &mut random).await;
        tokio::time::sleep(Duration::from_micros(random.between(200_000, 600_000))).await;
        load.stop();
        journal.finish(load).await;
        follower.wait_whole();
        drop(follower);
        let lost: TempDir = server.kill();
        drop(lost);
        server = serve(restore(&copies, None).0);
        journal.retry(&server).await;
        journal.verify(&server).await;
    }
    assert!(journal.counts.answered > 60, "{:?}", journal.counts);
}

/// A server that is stopped, killed and started is followed on, within one generation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_ends_and_starts_is_followed_on() {
    let place = tempfile::tempdir().unwrap();
    let copies = place.path().join("copies");
    let mut server = Program::start();
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-a", "1000")).await.unwrap();
    let mut follower = Follower::start(&server.data(), &copies);
    follower.wait_whole();
    for round in 0..4 {
        super::spend(&mut ledger, round * 10..round * 10 + 10).await;
        server = serve(match round % 2 {
            0 => server.stop(),
            _ => server.kill(),
        });
        ledger = server.ledger().await;
    }
    follower.wait_whole();
    assert_eq!(generations(&copies).len(), 1, "{}", follower.log());
    // A follower that starts again goes on where it was.
    super::spend(&mut ledger, 40..50).await;
    follower.stop();
    super::spend(&mut ledger, 50..60).await;
    let mut follower = Follower::start(&server.data(), &copies);
    follower.wait_whole();
    assert_eq!(generations(&copies).len(), 1, "{}", follower.log());
    let (restored, printed) = restore(&copies, None);
    assert!(moment(&printed) <= now());
    let books = audit(&mut serve(restored).ledger().await, "team-a").await;
    assert_eq!(books.sums(), ("940", "0"));
    // While the server ran on unfollowed, and its -wal was reset, a new generation begins.
    drop(follower);
    let server = serve(server.stop());
    let mut follower = Follower::start(&server.data(), &copies);
    follower.wait_whole();
    assert_eq!(generations(&copies).len(), 2, "{}", follower.log());
    restore(&copies, None);
}

/// A follower that ends between two steps leaves what can be restored, and goes on.
#[cfg(debug_assertions)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_ends_between_two_steps_loses_nothing() {
    let server = Program::start();
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-a", "1000")).await.unwrap();
    let mut spent = 0;
    for step in [
        "backup-partial",
        "backup-segment",
        "backup-generation",
        "backup-begun",
        "backup-removed",
    ] {
        let place = tempfile::tempdir().unwrap();
        let copies = place.path().join("copies");
        let failpoint = place.path().join("failpoint");
        let args = ["--base-every", "1s", "--retain", "1s"];
        let variables = [("CREDITD_FAILPOINT", failpoint.clone().into())];
        let mut follower = Follower::start_with(&server.data(), &copies, &args, &variables);
        follower.wait_whole();
        super::spend(&mut ledger, spent..spent + 10).await;
        follower.wait_whole();
        std::fs::write(&failpoint, step).unwrap();
        let mut later = spent + 20;
        super::spend(&mut ledger, spent + 10..later).await;
        crate::support::wait_until(step, || {
            std::thread::sleep(Duration::from_millis(5));
            !failpoint.exists()
        });
        follower.wait_failed();
        // Everything that was whole before.
        let (_, printed) = restore(&copies, None);
        let entries = i32::try_from(printed["entries"].as_u64().unwrap()).unwrap();
        assert!(entries > spent + 10, "{step} {printed}");
        super::spend(&mut ledger, later..later + 10).await;
        later += 10;
        let mut follower = Follower::start(&server.data(), &copies);
        follower.wait_whole();
        follower.stop();
        let (_, printed) = restore(&copies, None);
        assert_eq!(printed["entries"], later + 1, "{step}");
        let left = |name: &str| name.ends_with(".partial") || name.ends_with(".removed");
        for folder in generations(&copies).iter().chain([&copies]) {
            for entry in folder.read_dir().unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                assert!(!left(&name), "{step} {name}");
            }
        }
        spent = later;
    }
}
