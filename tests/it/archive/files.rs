//! What else happens to files: copies of a file that is cut, texts that are erased from both files,
//! and disks that are full.

use std::path::Path;
use std::process::Stdio;

use creditd::server::files::{self, Erasure};

use super::cuts::{compare, copy, told};
use super::{NOW, archive, archive_path, assert_sound, audit_all, cut_at, number, order, time};
use crate::chain::{PERSON, head, small, sql};
use crate::follow::{Follower, restore};
use crate::store::name;
use crate::support::server::{program, run};
use crate::support::shim;

/// A continuous copy of a file that is cut meanwhile, and copies of the file after the cut.
#[tokio::test]
async fn copies_of_a_cut_file_are_cut_files() {
    let directory = tempfile::tempdir().unwrap();
    let file = small(directory.path()).await;
    let told = told(&file).await;
    let heads = head(&file);
    let copies = directory.path().join("copies");
    let mut follower = Follower::start(&file, &copies);
    follower.wait_whole();
    let whole_until = crate::follow::now();
    cut_at(&file, 1, 15);
    follower.wait_whole();
    follower.stop();
    let (restored, _) = restore(&copies, None);
    let restored = restored.path().join("creditd.db");
    std::fs::copy(archive_path(&file, 1), archive_path(&restored, 1)).unwrap();
    assert_sound(&restored, &[1], Some(&heads));
    compare(&restored, 15, &told).await;
    // Before the cut all was there.
    let before = creditd::rfc3339::format(whole_until);
    let (restored, _) = restore(&copies, Some(&before));
    let restored = restored.path().join("creditd.db");
    let rows = "SELECT count(*) FROM entries";
    assert_eq!(number(&restored, rows), Some(19));
    assert_sound(&restored, &[], Some(&heads));
    // A copy by itself.
    let copy = directory.path().join("copy.db");
    files::backup(&file, &copy, &mut |_, _| {}).unwrap();
    let report = audit_all(&copy, &[1], Some(&heads)).unwrap();
    assert_eq!(report.findings, Vec::<String>::new());
}

/// How often a text stands in a file.
fn occurrences(file: &Path, text: &str) -> usize {
    let bytes = std::fs::read(file).unwrap();
    let windows = bytes.windows(text.len());
    windows.filter(|window| *window == text.as_bytes()).count()
}

/// Texts go from the openings and the kept rows of one file, and from the rows of the other, and
/// both prove each other still.
#[tokio::test]
async fn texts_are_erased_from_both_files() {
    let directory = tempfile::tempdir().unwrap();
    let file = small(directory.path()).await;
    let heads = head(&file);
    cut_at(&file, 1, 15);
    assert!(occurrences(&file, PERSON) > 2);
    for (erased, other) in [
        (file.clone(), archive_path(&file, 1)),
        (archive_path(&file, 1), file.clone()),
    ] {
        for account in ["team-a", "team-b"] {
            let erasure = Erasure {
                account: name(account),
                before: None,
                keys: std::collections::BTreeSet::new(),
                now: time(NOW),
                request_hours: 72,
                request_days_credits: 90,
            };
            let report = files::erase(&erased, &erasure, &mut |_, _| {}).unwrap();
            assert!(report.texts > 0);
        }
        assert_eq!(occurrences(&erased, PERSON), 0);
        assert_sound(&file, &[1], Some(&heads));
        let _ = other;
    }
    let states =
        "SELECT count(*) FROM openings WHERE json_extract(state, '$.settings.labels') IS NOT NULL";
    assert_eq!(number(&file, states), Some(0));
}

/// A disk without room loses nothing, and says what was done.
#[tokio::test]
async fn a_full_disk_leaves_a_sound_file() {
    let directory = tempfile::tempdir().unwrap();
    let whole = small(directory.path()).await;
    let told = told(&whole).await;
    let heads = head(&whole);
    shim::compile("failing_disk", directory.path());
    for (faults, words) in [
        ("write ENOSPC archive-1.db.partial", "nothing was archived"),
        ("sync EIO archive-1.db.partial", "nothing was archived"),
        ("write ENOSPC creditd.db-wal", "disk is full"),
        ("write ENOSPC creditd.db", "the archive is made"),
    ] {
        let file = copy(&directory.path().join(faults.replace(' ', "-")), &whole);
        let control = file.with_file_name("faults");
        std::fs::write(&control, faults).unwrap();
        let output = program()
            .args(["archive", "--before", "2026-01-01T00:30:00Z"])
            .arg("--to")
            .arg(archive_path(&file, 1))
            .arg("--data")
            .arg(&file)
            .env("LD_PRELOAD", directory.path().join("failing_disk.so"))
            .env("FAILING_DISK", &control)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{faults}: {err}");
        assert!(err.contains(words), "{faults}: {err}");
        assert!(!archive_path(&file, 1).with_extension("db.partial").exists());
        assert_sound(&file, &[], Some(&heads));
        // There is room again.
        let is_done = number(&file, "SELECT count(*) FROM archives") == Some(1);
        if !is_done {
            let order = order(&file, 1, time("2026-01-01T00:30:00Z"));
            archive(&order, &file).unwrap();
        }
        assert_sound(&file, &[1], Some(&heads));
        compare(&file, 15, &told).await;
    }
}

/// A server that finds rows that are not removed yet says so, and serves.
#[tokio::test]
async fn an_archive_that_is_not_finished_is_told_of() {
    let directory = tempfile::tempdir().unwrap();
    let file = small(directory.path()).await;
    cut_at(&file, 1, 15);
    sql(&file, "UPDATE archives SET finished = 0");
    let args = ["archive", "--before", "1d", "--to", "a.db", "--dry-run"];
    let (status, out, _) = run(directory.path(), &args);
    assert_eq!(status, Some(0));
    assert!(
        out.contains("archive 1 (archive-1.db) is made, and not all"),
        "{out}"
    );
    let (status, out, err) = run(directory.path(), &args[..5]);
    assert_eq!((status, err.as_str()), (Some(0), ""));
    assert!(out.contains("nothing else was archived"), "{out}");
    assert_sound(&file, &[1], None);
    assert_eq!(number(&file, "SELECT finished FROM archives"), Some(1));
}
