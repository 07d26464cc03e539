//! Kills between any two steps: what is left serves and audits soundly, and the same command goes
//! on.

use std::path::Path;
use std::process::Stdio;

use super::cuts::{compare, copy, told};
use super::{NOW, archive_path, assert_sound, number};
use crate::chain::{head, small};
use crate::support::server::{program, run};
use crate::support::wait_until;

/// The places, in order, and whether the rows are archived once one is passed.
const PLACES: [(&str, bool); 7] = [
    ("archive-partial", false),
    ("archive-copied", false),
    ("archive-marking", false),
    ("archive-marked", true),
    ("archive-removed-some", true),
    ("archive-removed", true),
    ("archive-vacuumed", true),
];

fn args(file: &Path) -> [String; 7] {
    let to = archive_path(file, 1).display().to_string();
    let before = "2026-01-01T00:30:00Z".to_owned();
    let data = file.display().to_string();
    let names = ["archive", "--before", "--to", "--data"].map(str::to_owned);
    let [archive, of_before, of_to, of_data] = names;
    [archive, of_before, before, of_to, to, of_data, data]
}

/// Has the program hang at a place, and kills it there.
fn kill_at(file: &Path, place: &str) {
    let failpoint = file.with_file_name("failpoint");
    std::fs::write(&failpoint, format!("{place} hangs")).unwrap();
    let mut child = program()
        .args(args(file))
        .env("CREDITD_FAILPOINT", &failpoint)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until(place, || !failpoint.exists());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn a_kill_between_any_two_steps_loses_nothing() {
    assert!(NOW > "2026-04-02");
    let directory = tempfile::tempdir().unwrap();
    let whole = small(directory.path()).await;
    let told = told(&whole).await;
    let heads = head(&whole);
    for (place, is_archived) in PLACES {
        for serves in [false, true] {
            let name = format!("{place}-{serves}");
            let file = copy(&directory.path().join(name), &whole);
            kill_at(&file, place);
            assert_eq!(head(&file), heads, "{place}");
            let numbers: &[u8] = if is_archived { &[1] } else { &[] };
            assert_sound(&file, numbers, Some(&heads));
            if serves {
                compare(&file, 15, &told).await;
                assert_sound(&file, numbers, Some(&heads));
            }
            let args = args(&file);
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let (status, out, err) = run(directory.path(), &args);
            // A server that was started writes into the file: a copy of before is none of it.
            let copied = place == "archive-copied" || place == "archive-marking";
            if copied && serves && status != Some(0) {
                assert!(err.contains("there is such a file already"), "{err}");
                std::fs::remove_file(archive_path(&file, 1)).unwrap();
                let (status, _, err) = run(directory.path(), &args);
                assert_eq!(status, Some(0), "{place}: {err}");
            } else {
                assert_eq!(status, Some(0), "{place}: {err}");
                let went_on = out.contains("an earlier command had made archive 1");
                assert_eq!(went_on, is_archived, "{place}: {out}");
            }
            assert_sound(&file, &[1], Some(&heads));
            compare(&file, 15, &told).await;
            let finished = "SELECT finished FROM archives";
            assert_eq!(number(&file, finished), Some(1), "{place}");
            let left = "SELECT count(*) FROM entries WHERE position <= 15";
            // Four grants, the newest rows, the update, and the hold that was open.
            assert_eq!(number(&file, left), Some(7), "{place}");
        }
    }
}
