//! A directory with copies of several data files is refused, and the message names them.

use std::path::Path;

use super::{Follower, generations, restore};
use crate::support::grant;
use crate::support::server::{Program, run};

/// A directory of a data file with a grant.
async fn make(copies: &Path) {
    let server = Program::start();
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-a", "1000")).await.unwrap();
    let mut follower = Follower::start(&server.data(), copies);
    follower.wait_whole();
    follower.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_never_takes_another_data_file() {
    let place = tempfile::tempdir().unwrap();
    let (own, other) = (place.path().join("own"), place.path().join("other"));
    make(&own).await;
    make(&other).await;
    let foreign = generations(&other).remove(0);
    let name = foreign.file_name().unwrap().to_str().unwrap();
    let moved = own.join(name);
    std::fs::rename(&foreign, &moved).unwrap();
    let directory = own.to_str().unwrap();
    let refused = |args: &[&str], expected: &str| {
        let args = [&["restore", directory, "--to", "x.db"][..], args].concat();
        let (status, out, err) = run(place.path(), &args);
        assert_eq!(status, Some(1), "{out}{err}");
        assert!(err.contains("it has copies of 2 data files"), "{err}");
        assert!(err.contains(expected), "{err}");
        assert!(!place.path().join("x.db").exists());
    };
    let of_another = format!("these are of another file: {name};");
    refused(&[], &of_another);
    refused(&["--at", "2099-01-01"], &of_another);
    let list = ["restore", directory, "--list"];
    let (status, out, _) = run(place.path(), &list);
    let noted = format!("{name}: it is of another data file than ");
    assert!(status == Some(0) && out.contains(&noted), "{out}");
    // Without the note nothing says which one is meant.
    std::fs::rename(own.join("newest"), place.path().join("newest")).unwrap();
    refused(&[], "nothing says which one is meant");
    let (_, out, _) = run(place.path(), &list);
    let noted = "the directory has copies of several data files";
    assert_eq!(out.matches(noted).count(), 2, "{out}");
    std::fs::rename(place.path().join("newest"), own.join("newest")).unwrap();
    std::fs::rename(&moved, &foreign).unwrap();
    restore(&own, None);
    restore(&other, None);
}
