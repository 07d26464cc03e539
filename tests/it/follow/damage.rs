//! Every file of a continuous copy, cut, changed, removed and exchanged: a restore says which one
//! it is, and what can be restored.

use std::path::{Path, PathBuf};

use super::{Follower, generations, restore, serve, spend};
use crate::support::grant;
use crate::support::server::{Program, run};

/// Two generations with their segments. Returns the newest moment of the first.
async fn make(copies: &Path) -> String {
    let mut server = Program::start();
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-a", "1000")).await.unwrap();
    let mut moment = String::new();
    for generation in 0..2 {
        let mut follower = Follower::start(&server.data(), copies);
        follower.wait_whole();
        for segment in 0..3 {
            let first = generation * 30 + segment * 10;
            spend(&mut ledger, first..first + 10).await;
            follower.wait_whole();
        }
        follower.stop();
        if generation == 0 {
            let printed = restore(copies, None).1;
            moment = printed["moment"].as_str().unwrap().to_owned();
            // Unfollowed.
            server = serve(server.stop());
            ledger = server.ledger().await;
        }
    }
    let found = generations(copies);
    assert_eq!(found.len(), 2);
    for generation in found {
        assert!(generation.join("0000000003.segment").exists());
    }
    moment
}

/// What fails, and says so.
fn complaint(copies: &Path, at: Option<&str>) -> String {
    let to = tempfile::tempdir().unwrap();
    let mut args = vec!["restore", copies.to_str().unwrap(), "--to", "x.db"];
    args.extend(at.iter().flat_map(|at| ["--at", at]));
    let (status, out, err) = run(to.path(), &args);
    assert_eq!(status, Some(1), "{out}{err}");
    assert_eq!(to.path().read_dir().unwrap().count(), 0, "{err}");
    err
}

/// A restore of the newest moment, or of a moment, fails and names this file. What it proposes
/// works.
fn is_found(copies: &Path, at: Option<&str>, file: &Path, what: &str) {
    let err = complaint(copies, at);
    let named = file.to_str().unwrap();
    assert!(err.contains(named), "{what} {named}: {err}");
    let proposed = err.trim().split_once(": give --at ");
    let proposed = proposed.map(|(_, moment)| moment);
    match proposed {
        Some(moment) => {
            let (_, printed) = restore(copies, Some(moment));
            assert_eq!(printed["moment"], moment, "{what} {named}: {err}");
        }
        None => {
            let says = err.contains("no moment can be restored");
            assert!(says, "{what} {named}: {err}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_damage_is_found() {
    let place = tempfile::tempdir().unwrap();
    let copies = place.path().join("copies");
    let moment = make(&copies).await;
    let found = generations(&copies);
    let names = [
        "base.db",
        "manifest",
        "0000000001.segment",
        "0000000002.segment",
        "0000000003.segment",
    ];
    let mut files: Vec<(PathBuf, Option<&str>)> = vec![(copies.join("newest"), None)];
    for name in names {
        files.push((found[0].join(name), Some(&moment)));
        files.push((found[1].join(name), None));
    }
    for (file, at) in &files {
        let bytes = std::fs::read(file).unwrap();
        let length = bytes.len();
        for cut in [0, length / 2, length - 1] {
            std::fs::write(file, &bytes[..cut]).unwrap();
            is_found(&copies, *at, file, "cut");
        }
        for at_byte in [0, 40, length / 2, length - 40, length - 1] {
            let mut changed = bytes.clone();
            changed[at_byte] ^= 1;
            std::fs::write(file, &changed).unwrap();
            is_found(&copies, *at, file, "changed");
        }
        // How the older generation ended is in the manifest of the newer one.
        std::fs::remove_file(file).unwrap();
        is_found(&copies, *at, file, "removed");
        std::fs::write(file, &bytes).unwrap();
    }
    // Two at once: the moment that is proposed needs neither.
    for (left, right) in [(2, 3), (2, 4), (3, 4), (0, 4), (1, 4)] {
        let pair = [left, right].map(|at: usize| found[1].join(names[at]));
        let whole = pair.each_ref().map(|file| std::fs::read(file).unwrap());
        for (file, bytes) in pair.iter().zip(&whole) {
            let mut changed = bytes.clone();
            changed[0] ^= 1;
            let end = changed.len() - 1;
            changed[end] ^= 1;
            std::fs::write(file, changed).unwrap();
        }
        let err = complaint(&copies, None);
        let proposed = err
            .trim()
            .split_once(": give --at ")
            .map(|(_, moment)| moment);
        let (_, printed) = restore(&copies, proposed);
        assert_eq!(printed["moment"].as_str(), proposed, "{left} {right} {err}");
        for (file, bytes) in pair.iter().zip(&whole) {
            std::fs::write(file, bytes).unwrap();
        }
    }
    // Exchanged: neighbours, and the same file of two generations.
    let pairs = [
        (found[1].join(names[2]), found[1].join(names[3])),
        (found[1].join(names[3]), found[1].join(names[4])),
        (found[0].join(names[0]), found[1].join(names[0])),
        (found[0].join(names[1]), found[1].join(names[1])),
        (found[0].join(names[2]), found[1].join(names[2])),
        (found[0].join(names[4]), found[1].join(names[4])),
    ];
    for (left, right) in &pairs {
        let swap = || {
            let other = copies.join("swap");
            std::fs::rename(left, &other).unwrap();
            std::fs::rename(right, left).unwrap();
            std::fs::rename(&other, right).unwrap();
        };
        swap();
        let err = complaint(&copies, None);
        assert!(
            found
                .iter()
                .any(|path| err.contains(path.to_str().unwrap())),
            "{err}"
        );
        swap();
    }
    std::fs::rename(&found[1], copies.join("gone")).unwrap();
    is_found(&copies, None, &found[1], "removed");
    std::fs::rename(copies.join("gone"), &found[1]).unwrap();
    restore(&copies, Some(&moment));
    restore(&copies, None);
}

/// A follower does not go on with what is damaged, and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_after_damage_says_why_it_begins_anew() {
    let place = tempfile::tempdir().unwrap();
    let copies = place.path().join("copies");
    let server = Program::start();
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-a", "1000")).await.unwrap();
    let mut follower = Follower::start(&server.data(), &copies);
    follower.wait_whole();
    for (round, name) in ["manifest", ".segment"].into_iter().enumerate() {
        let first = i32::try_from(round).unwrap() * 5;
        spend(&mut ledger, first..first + 5).await;
        follower.wait_whole();
        follower.stop();
        let newest = generations(&copies).pop().unwrap();
        let files = newest
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let is_named = |file: &PathBuf| file.to_str().unwrap().ends_with(name);
        let file = files.filter(is_named).max().unwrap();
        let mut bytes = std::fs::read(&file).unwrap();
        let end = bytes.len() - 1;
        bytes[end] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        follower = Follower::start(&server.data(), &copies);
        follower.wait_whole();
        assert_eq!(generations(&copies).len(), round + 2, "{}", follower.log());
        let log = follower.log();
        let says = |line: &str| {
            line.contains("WARN")
                && line.contains("begins anew with a base")
                && line.contains(file.to_str().unwrap())
        };
        assert!(log.lines().any(says), "{name} {log}");
    }
    follower.stop();
    let (_, printed) = restore(&copies, None);
    assert_eq!(printed["entries"], 11);
}
