//! Files without their `-wal`, or beside another one.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Instant;

use creditd::rpc::pb::creditd::v1 as pb;
use rusqlite::Connection;

use super::{complaint, over, spend_one};
use crate::support::PATIENCE;
use crate::support::books::Ledger;
use crate::support::requests::{batch, charge};
use crate::support::server::{Program, run};

/// Charges that each take a page of the file.
async fn charge_with_large_labels(ledger: &mut Ledger, numbers: std::ops::Range<i32>) {
    let labels = (0..16).map(|n| (format!("label-{n}"), "x".repeat(256)));
    let labels: std::collections::BTreeMap<_, _> = labels.collect();
    let charges = numbers.map(|n| pb::ChargeRequest {
        labels: labels.clone(),
        ..charge(&format!("n{n}"), "team-a", "0.001")
    });
    ledger.batch_charge(batch(charges.collect())).await.unwrap();
}

/// A copy of the file alone, of a running server: what is in the -wal is missing, and opening
/// the copy says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_without_its_wal_is_told_of() {
    let server = Program::start();
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
            for first in (0..4_000).step_by(400) {
                charge_with_large_labels(&mut ledger, first..first + 400).await;
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
    // It has all that the file has, so its owner alone reads it.
    let mode = std::fs::metadata(here.join("copy.db"))
        .unwrap()
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
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
    let server = Program::start();
    let mut ledger = spend_one(&server).await;
    let here = server.directory.path().to_owned();
    run(&here, &["backup", "copy.db"]);
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
        charge_with_large_labels(&mut ledger, sent..sent + 400).await;
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
