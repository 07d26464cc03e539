//! One process follows into a directory, also where its lock is removed, and no hang-up ends it.

use rustix::process::Signal;

use super::{Follower, restore, spend};
use crate::support::server::{Program, run};
use crate::support::{grant, wait_until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_is_removed_keeps_others_out() {
    let place = tempfile::tempdir().unwrap();
    let copies = place.path().join("copies");
    let lock = copies.join("lock");
    let server = Program::start();
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-a", "1000")).await.unwrap();
    let mut follower = Follower::start(&server.data(), &copies);
    follower.wait_whole();
    std::fs::remove_file(&lock).unwrap();
    wait_until("it is locked again", || lock.exists());
    wait_until("it is logged", || {
        follower.log().contains("is locked again")
    });
    let (directory, data) = (copies.to_str().unwrap(), server.data());
    let data = data.to_str().unwrap();
    let args = ["backup", "--follow", directory, "--once", "--data", data];
    let (status, _, err) = run(place.path(), &args);
    assert_eq!(status, Some(1), "{err}");
    assert!(err.contains("another creditd follows into it"), "{err}");
    // Another one has it already: this one ends, and writes no more.
    let other = std::fs::File::create(place.path().join("other")).unwrap();
    other.lock().unwrap();
    std::fs::rename(place.path().join("other"), &lock).unwrap();
    let log = follower.log.clone();
    follower.wait_failed();
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("its lock was removed or replaced"), "{log}");
    drop(other);
    let mut follower = Follower::start(&server.data(), &copies);
    spend(&mut ledger, 0..5).await;
    follower.wait_whole();
    follower.stop();
    assert_eq!(restore(&copies, None).1["entries"], 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hang_up_does_not_end_it() {
    let place = tempfile::tempdir().unwrap();
    let copies = place.path().join("copies");
    let server = Program::start();
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-a", "1000")).await.unwrap();
    let mut follower = Follower::start(&server.data(), &copies);
    follower.wait_whole();
    for number in 1..=2 {
        follower.signal(Signal::HUP);
        wait_until("it is logged", || {
            follower.log().matches("SIGHUP").count() == number
        });
    }
    follower.wait_whole();
    follower.stop();
}
