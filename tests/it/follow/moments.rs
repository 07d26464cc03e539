//! `creditd restore --at` gives the state of a moment, to within the interval.

use std::time::Duration;

use super::{Follower, INTERVAL_MS, moment, now, restore};
use crate::support::grant;
use crate::support::requests::charge;
use crate::support::server::{Program, run};

/// How many charges a restored file has.
fn charges(printed: &serde_json::Value) -> usize {
    usize::try_from(printed["entries"].as_u64().unwrap()).unwrap() - 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moment_has_what_was_answered_before_it() {
    let place = tempfile::tempdir().unwrap();
    let copies = place.path().join("copies");
    let server = Program::start();
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-a", "1000")).await.unwrap();
    let mut follower = Follower::start(&server.data(), &copies);
    follower.wait_whole();
    // When each charge began and was answered.
    let mut times = Vec::new();
    for n in 0..120 {
        let began = now();
        let request = charge(&format!("c{n}"), "team-a", "1");
        ledger.charge(request).await.unwrap();
        times.push((began, now()));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    follower.wait_whole();
    let log = follower.stop();
    let mut different = Vec::new();
    for asked in (10..times.len()).step_by(15) {
        let at = creditd::rfc3339::format(times[asked].1);
        let (_, printed) = restore(&copies, Some(&at));
        let found = moment(&printed);
        assert!(found <= times[asked].1, "{at} {printed}");
        // Written as often as was asked for, with room for a busy machine.
        let old = times[asked].1.since(found);
        assert!(
            old < Duration::from_millis(INTERVAL_MS) * 10,
            "{old:?} {log}"
        );
        let has = charges(&printed);
        let answered = times
            .iter()
            .filter(|(_, answered)| *answered <= found)
            .count();
        let later = found.plus(Duration::from_millis(INTERVAL_MS));
        let began = times.iter().filter(|(began, _)| *began <= later).count();
        assert!(
            (answered..=began).contains(&has),
            "{answered} {has} {began}"
        );
        different.push(has);
    }
    different.dedup();
    assert!(different.len() >= 4, "{different:?}");
    let (_, newest) = restore(&copies, None);
    assert_eq!(charges(&newest), times.len());
    // What is printed is a moment that can be asked for.
    let (_, again) = restore(&copies, newest["moment"].as_str());
    assert_eq!(again["moment"], newest["moment"]);

    let directory = copies.to_str().unwrap();
    let list = ["restore", directory, "--list", "--json"];
    let (status, out, _) = run(place.path(), &list);
    assert_eq!(status, Some(0), "{out}");
    let listed: serde_json::Value = serde_json::from_str(&out).unwrap();
    let generation = &listed["generations"][0];
    assert_eq!(generation["newest"], newest["moment"]);
    let (status, out, _) = run(place.path(), &list[..3]);
    assert!(status == Some(0) && out.contains("oldest"), "{out}");

    std::fs::write(place.path().join("lost.db-wal"), "what is left").unwrap();
    for (args, expected) in [
        (
            vec!["--to", "x.db", "--at", "2020-01-01"],
            "nothing there is as old",
        ),
        (vec!["--to", "copies.log"], "there is such a file already"),
        (vec!["--to", "no/x.db"], "see that the directory exists"),
        (
            vec!["--to", "lost.db"],
            "the -wal of another file is beside it",
        ),
    ] {
        let args = [vec!["restore", directory], args].concat();
        let (status, _, err) = run(place.path(), &args);
        assert_eq!(status, Some(1), "{err}");
        assert!(err.contains(expected), "{err}");
    }
    let (status, _, err) = run(place.path(), &["restore", ".", "--to", "x.db"]);
    assert_eq!(status, Some(1));
    assert!(
        err.contains("no generation of a continuous backup"),
        "{err}"
    );
}

/// A run for cron writes what is new and ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_round_goes_on_with_the_round_before() {
    let place = tempfile::tempdir().unwrap();
    let server = Program::start();
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-a", "1000")).await.unwrap();
    let data = server.data();
    let args = [
        "backup",
        "--follow",
        "copies",
        "--once",
        "--json",
        "--data",
        data.to_str().unwrap(),
    ];
    for round in 0..3 {
        super::spend(&mut ledger, round * 5..round * 5 + 5).await;
        let (status, out, err) = run(place.path(), &args);
        assert_eq!(status, Some(0), "{err}");
        let printed: serde_json::Value = serde_json::from_str(&out).unwrap();
        let expected = (u64::from(round == 0), u64::from(round > 0));
        let wrote = (printed["bases"].as_u64(), printed["segments"].as_u64());
        assert_eq!(wrote, (Some(expected.0), Some(expected.1)), "{out}");
    }
    let (_, printed) = restore(&place.path().join("copies"), None);
    assert_eq!(charges(&printed), 15);
    // Another data file has its own directory.
    let other = Program::start();
    let data = other.data();
    let args = [
        "backup",
        "--follow",
        "copies",
        "--once",
        "--data",
        data.to_str().unwrap(),
    ];
    let (status, _, err) = run(place.path(), &args);
    assert_eq!(status, Some(1));
    assert!(err.contains("it has copies of another data file"), "{err}");
    let args = [
        "backup",
        "--follow",
        ".",
        "--once",
        "--data",
        data.to_str().unwrap(),
    ];
    let (status, _, err) = run(place.path(), &args);
    assert_eq!(status, Some(1));
    assert!(err.contains("it has other files"), "{err}");
}
