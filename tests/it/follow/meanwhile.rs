//! What happens to the data file, the `-wal` and the directory while a file is followed.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use creditd::rpc::pb::creditd::v1 as pb;
use creditd::server::files::StatusFile;
use rusqlite::Connection;

use super::{Follower, generations, now, restore, serve, spend};
use crate::support::books::{Ledger, audit, read};
use crate::support::requests::{batch, charge};
use crate::support::server::{Program, run};
use crate::support::{PATIENCE, grant, shim, wait_until};

/// Charges that each take a page of the file.
async fn charge_with_large_labels(ledger: &mut Ledger, numbers: std::ops::Range<i32>) {
    let labels = (0..16).map(|n| (format!("label-{n}"), "x".repeat(256)));
    let labels: BTreeMap<_, _> = labels.collect();
    let charges = numbers.map(|n| pb::ChargeRequest {
        labels: labels.clone(),
        ..charge(&format!("n{n}"), "team-a", "0.001")
    });
    ledger.batch_charge(batch(charges.collect())).await.unwrap();
}

/// The -wal is emptied while it is followed, again and again, and stays small.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wal_is_emptied_while_it_is_followed() {
    let place = tempfile::tempdir().unwrap();
    let copies = place.path().join("copies");
    let server = Program::start();
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-a", "1000")).await.unwrap();
    let mut follower = Follower::start(&server.data(), &copies);
    follower.wait_whole();
    let wal = server.directory.path().join("creditd.db-wal");
    let (mut salts, mut longest, mut sent) = (HashSet::new(), 0, 0);
    let start = Instant::now();
    while salts.len() < 8 {
        assert!(
            start.elapsed() < PATIENCE,
            "{} {sent} {longest}",
            salts.len()
        );
        charge_with_large_labels(&mut ledger, sent..sent + 200).await;
        sent += 200;
        let bytes = std::fs::read(&wal).unwrap();
        salts.insert(bytes[16..24].to_vec());
        longest = longest.max(bytes.len());
    }
    assert!(longest < 64 << 20, "{longest}");
    follower.wait_whole();
    let log = follower.stop();
    eprintln!(
        "follow: {} resets, {longest} bytes, {sent} charges",
        salts.len()
    );
    assert!(!log.contains("begins anew"), "{log}");
    assert_eq!(generations(&copies).len(), 1);
    let before = read(&mut ledger, "team-a").await.available;
    let restored = serve(restore(&copies, None).0);
    assert_eq!(
        read(&mut restored.ledger().await, "team-a").await.available,
        before
    );
}

/// All pages are written anew, the file gets shorter, and the -wal is cut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_vacuumed_is_followed_on() {
    let place = tempfile::tempdir().unwrap();
    let copies = place.path().join("copies");
    let server = Program::start();
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-a", "1000")).await.unwrap();
    for first in (0..3_000).step_by(500) {
        charge_with_large_labels(&mut ledger, first..first + 500).await;
    }
    let mut follower = Follower::start(&server.data(), &copies);
    follower.wait_whole();
    let data = server.data();
    let directory = server.stop();
    let before = std::fs::metadata(&data).unwrap().len();
    // As "creditd erase" does it.
    let file = Connection::open(&data).unwrap();
    file.busy_timeout(Duration::from_secs(5)).unwrap();
    file.execute_batch(
        "CREATE TABLE filler AS SELECT randomblob(4000) FROM entries; DROP TABLE filler; VACUUM",
    )
    .unwrap();
    let busy: i64 = file
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        .unwrap();
    assert_eq!(busy, 0, "the follower keeps a checkpoint from its end");
    drop(file);
    follower.wait_whole();
    let server = serve(directory);
    let mut ledger = server.ledger().await;
    spend(&mut ledger, 0..10).await;
    follower.wait_whole();
    follower.stop();
    let (restored, _) = restore(&copies, None);
    let after = std::fs::metadata(restored.path().join("creditd.db"))
        .unwrap()
        .len();
    assert!(after < before + before / 2, "{before} {after}");
    let restored = serve(restored);
    let books = audit(&mut restored.ledger().await, "team-a").await;
    assert_eq!(books.sums(), ("987", "0"));
}

/// Without room in its directory a follower goes on by itself once there is some.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_of_the_copy_comes_and_goes() {
    let place = tempfile::tempdir().unwrap();
    let copies = place.path().join("copies");
    shim::compile("failing_disk", place.path());
    let faults = place.path().join("faults");
    let fail = |text: &str| {
        let next = place.path().join("next");
        std::fs::write(&next, text).unwrap();
        std::fs::rename(next, &faults).unwrap();
    };
    fail("");
    let variables = [
        ("LD_PRELOAD", place.path().join("failing_disk.so").into()),
        ("FAILING_DISK", faults.clone().into()),
    ];
    let server = Program::start();
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-a", "1000")).await.unwrap();
    let mut follower = Follower::start_with(&server.data(), &copies, &[], &variables);
    follower.wait_whole();
    for (round, text) in [
        "write ENOSPC .partial",
        "write EIO .partial",
        "sync EIO .partial",
    ]
    .into_iter()
    .enumerate()
    {
        let first = i32::try_from(round).unwrap() * 20;
        fail(text);
        spend(&mut ledger, first..first + 20).await;
        wait_until("it is logged", || {
            follower.log().contains("the continuous backup is behind")
        });
        // What is there can be restored meanwhile.
        let since = StatusFile::Backup.read(&server.data());
        let waited = Instant::now();
        while waited.elapsed() < Duration::from_millis(600) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        restore(&copies, None);
        assert!(StatusFile::Backup.read(&server.data()) <= since.max(Some(now())));
        fail("");
        follower.wait_whole();
        wait_until("it is logged that it goes on", || {
            // Each is logged a few times a minute.
            (follower.log()).contains("the continuous backup goes on, and has all again")
        });
    }
    assert_eq!(generations(&copies).len(), 1);
    follower.stop();
    let (restored, _) = restore(&copies, None);
    let file = restored.path().join("creditd.db");
    let mode = std::fs::metadata(file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let restored = serve(restored);
    let books = audit(&mut restored.ledger().await, "team-a").await;
    assert_eq!(books.sums(), ("940", "0"));
}

/// Generations go once a newer one has all that is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_kept_any_more_is_removed() {
    let place = tempfile::tempdir().unwrap();
    let copies = place.path().join("copies");
    let server = Program::start();
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-a", "1000000")).await.unwrap();
    let args = ["--base-every", "1s", "--retain", "1s"];
    let mut follower = Follower::start_with(&server.data(), &copies, &args, &[]);
    follower.wait_whole();
    let first = generations(&copies)[0].clone();
    let (mut spent, mut most) = (0, 0);
    let start = Instant::now();
    while first.exists() || generations(&copies).len() < 2 {
        assert!(start.elapsed() < PATIENCE, "{}", follower.log());
        spend(&mut ledger, spent..spent + 1).await;
        spent += 1;
        most = most.max(generations(&copies).len());
    }
    assert!(most <= 4, "{most}");
    follower.wait_whole();
    follower.stop();
    let restored = serve(restore(&copies, None).0);
    let left = read(&mut restored.ledger().await, "team-a").await.available;
    assert_eq!(left, (1_000_000 - spent).to_string());
}

/// The data file is replaced by another state of itself while it is followed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_file_in_its_place_is_followed() {
    let place = tempfile::tempdir().unwrap();
    let copies = place.path().join("copies");
    let server = Program::start();
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-a", "1000")).await.unwrap();
    let mut follower = Follower::start(&server.data(), &copies);
    follower.wait_whole();
    spend(&mut ledger, 0..5).await;
    follower.wait_whole();
    let (old, _) = restore(&copies, None);
    spend(&mut ledger, 5..10).await;
    let directory = server.stop();
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(directory.path().join(format!("creditd.db{ending}")));
    }
    std::fs::copy(
        old.path().join("creditd.db"),
        directory.path().join("creditd.db"),
    )
    .unwrap();
    let server = serve(directory);
    let mut ledger = server.ledger().await;
    spend(&mut ledger, 20..21).await;
    follower.wait_whole();
    assert!(
        follower.log().contains("another file has taken"),
        "{}",
        follower.log()
    );
    follower.stop();
    let (status, _, err) = run(
        place.path(),
        &["audit", "--data", server.data().to_str().unwrap()],
    );
    assert_eq!((status, err.as_str()), (Some(0), ""));
    assert!(StatusFile::Audit.read(&server.data()).is_some());
    let restored = serve(restore(&copies, None).0);
    let books = audit(&mut restored.ledger().await, "team-a").await;
    assert_eq!(books.sums(), ("994", "0"));
}
