//! The clock is set while a file is followed: nothing is removed by that, and times are right again.

use std::time::Duration;

use super::{Follower, generations, moment, now, restore, spend};
use crate::support::books::Ledger;
use crate::support::clocks::{Clocks, HOUR, SECOND, YEAR};
use crate::support::server::Program;
use crate::support::{grant, wait_until};

/// Ages that a jump alone reaches.
const ARGS: [&str; 4] = ["--base-every", "30m", "--retain", "1h"];

struct Case {
    copies: std::path::PathBuf,
    clocks: Clocks,
    follower: Follower,
    _place: tempfile::TempDir,
}

impl Case {
    fn start(server: &Program) -> Self {
        let place = tempfile::tempdir().unwrap();
        let copies = place.path().join("copies");
        let clocks = Clocks::new();
        let follower = Follower::start_with(&server.data(), &copies, &ARGS, &clocks.variables());
        Self {
            copies,
            clocks,
            follower,
            _place: place,
        }
    }

    /// Whole ones: what a killed follower was making is removed by the next.
    fn segments(&self) -> usize {
        let folders = generations(&self.copies);
        let files = folders.iter().flat_map(|folder| folder.read_dir().unwrap());
        let paths = files.map(|file| file.unwrap().path());
        paths
            .filter(|path| path.extension().is_some_and(|end| end == "segment"))
            .count()
    }

    /// Charges until some of it is in a segment.
    async fn spend(&self, ledger: &mut Ledger, numbers: std::ops::Range<i32>) {
        let before = self.segments();
        spend(ledger, numbers).await;
        wait_until("a segment is written", || self.segments() > before);
    }

    fn wait_generations(&self, number: usize) {
        wait_until("a generation has begun", || {
            let is_whole = "the base of a generation is whole";
            self.follower.log().matches(is_whole).count() == number
        });
    }
}

fn entries(printed: &serde_json::Value) -> i64 {
    printed["entries"].as_i64().unwrap() - 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_ahead_for_a_moment_removes_nothing() {
    let server = Program::start();
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-a", "1000")).await.unwrap();
    let mut case = Case::start(&server);
    case.follower.wait_whole();
    spend(&mut ledger, 0..5).await;
    case.follower.wait_whole();
    let first = generations(&case.copies).remove(0);
    let before = creditd::rfc3339::format(now());
    case.clocks.set(YEAR);
    case.spend(&mut ledger, 5..10).await;
    // A follower that starts meanwhile does not believe it either.
    case.follower.restart(&ARGS, &case.clocks.variables());
    case.spend(&mut ledger, 10..15).await;
    assert!(first.exists(), "{}", case.follower.log());
    case.clocks.right();
    wait_until("the clock is found to be set back", || {
        case.follower.log().contains("the clock was set back")
    });
    case.wait_generations(2);
    spend(&mut ledger, 15..20).await;
    case.follower.wait_whole();
    assert!(first.exists(), "{}", case.follower.log());
    // The newest state, and right times.
    let (_, newest) = restore(&case.copies, None);
    assert_eq!(entries(&newest), 20, "{newest}");
    assert!(moment(&newest) <= now(), "{newest}");
    let (_, at_now) = restore(&case.copies, Some("now"));
    assert_eq!(
        (entries(&at_now), &at_now["note"]),
        (20, &serde_json::Value::Null)
    );
    let (_, then) = restore(&case.copies, Some(&before));
    assert_eq!(entries(&then), 5, "{then}");
    // A start goes on with the generation that was written last.
    case.follower.restart(&ARGS, &case.clocks.variables());
    spend(&mut ledger, 20..25).await;
    case.follower.wait_whole();
    assert_eq!(
        generations(&case.copies).len(),
        2,
        "{}",
        case.follower.log()
    );
    case.follower.stop();
    assert_eq!(entries(&restore(&case.copies, None).1), 25);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_says_which_moment_it_took() {
    let server = Program::start();
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-a", "1000")).await.unwrap();
    let mut case = Case::start(&server);
    case.follower.wait_whole();
    case.spend(&mut ledger, 0..5).await;
    case.clocks.set(45 * SECOND);
    case.spend(&mut ledger, 5..10).await;
    case.clocks.right();
    case.wait_generations(2);
    spend(&mut ledger, 10..15).await;
    case.follower.wait_whole();
    let (_, twice) = restore(&case.copies, Some("now"));
    assert_eq!(entries(&twice), 15, "{twice}");
    let note = twice["note"].as_str().unwrap();
    assert!(note.contains("was there twice"), "{note}");
    case.clocks.set(-HOUR);
    case.wait_generations(3);
    case.clocks.right();
    spend(&mut ledger, 15..20).await;
    case.follower.wait_whole();
    case.follower.stop();
    let between = creditd::rfc3339::format(now().minus(Duration::from_secs(600)));
    let (_, gap) = restore(&case.copies, Some(&between));
    assert!((15..=20).contains(&entries(&gap)), "{gap}");
    let note = gap["note"].as_str().unwrap();
    assert!(note.contains("there is nothing between"), "{note}");
    assert_eq!(entries(&restore(&case.copies, None).1), 20);
}

/// Time that passes, and not by the clock alone, makes what is old go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_that_passes_removes_what_is_old() {
    let server = Program::start();
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-a", "1000")).await.unwrap();
    let mut case = Case::start(&server);
    case.follower.wait_whole();
    let first = generations(&case.copies).remove(0);
    for passed in 1..=2 {
        case.clocks.pass(passed * 2 * HOUR);
        case.wait_generations(usize::try_from(passed).unwrap() + 1);
    }
    wait_until("the first one is gone", || !first.exists());
    assert!(!generations(&case.copies).is_empty());
}
