//! Lists and watches of the command line: whole for programs, cut with a word for people.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use creditd::rpc::pb::creditd::v1 as pb;
use rustix::process::{Pid, Signal, kill_process};

use crate::cli_ledger::{done, lines_of, normal, on, with_credits};
use crate::support::server::{Program, Running, program};
use crate::support::{PATIENCE, grant, wait_until};

/// Pages are joined, and --limit ends the list wherever a page ends.
#[test]
fn entries_are_listed_over_pages_and_between_times() {
    let server = with_credits();
    for credits in 1..=6 {
        done(&server, &format!("charge team-a --credits {credits}"));
    }
    let all = lines_of(&server, "entries team-a");
    assert_eq!(all.len(), 7);
    assert_eq!(all[0]["version"], "7", "the newest is the first");
    for (options, expected) in [
        ("--page-size 2", &all[..]),
        ("--page-size 2 --limit 5", &all[..5]),
        ("--page-size 7 --limit 7", &all[..7]),
        ("--page-size 1 --limit 1000000", &all[..]),
        ("--limit 3", &all[..3]),
        ("--page-size 2 --kind grant", &all[6..]),
    ] {
        let listed = lines_of(&server, &format!("entries team-a {options}"));
        assert_eq!(listed, expected, "{options}");
    }
    // The time of an entry is within what begins there, and not within what ends there.
    let middle = all[3]["create_time"].as_str().unwrap();
    let since = lines_of(&server, &format!("entries team-a --since {middle}"));
    assert_eq!(since, all[..4]);
    let until = lines_of(&server, &format!("entries team-a --until {middle}"));
    assert_eq!(until, all[4..]);
}

/// People see the first fifty and hear of the others; programs get all.
#[test]
fn a_list_that_is_cut_says_so() {
    let server = with_credits();
    for _ in 0..53 {
        done(&server, "charge team-a --credits 1");
    }
    let shown = done(&server, "entries team-a");
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 1 + 50 + 1);
    let newest = &lines_of(&server, "entries team-a --limit 1")[0];
    assert_eq!(newest["version"], "54");
    let newest = newest["entry_id"].as_str().unwrap();
    assert_eq!(lines[1].split(' ').next(), Some(newest));
    assert_eq!(
        lines[51],
        "and 4 more: --all lists them, --limit N the first N"
    );
    let limited = done(&server, "entries team-a --limit 53");
    assert!(limited.ends_with("\nand 1 more: --all lists them, --limit N the first N\n"));
    for whole in ["--all", "--limit 54", "--limit 1000000000"] {
        let all = done(&server, &format!("entries team-a {whole}"));
        assert_eq!(all.lines().count(), 1 + 54, "{whole}");
    }
    assert_eq!(lines_of(&server, "entries team-a").len(), 54);
    assert_eq!(lines_of(&server, "entries team-a --limit 5").len(), 5);
    let some = done(&server, "entries team-a --kind grant");
    assert_eq!(some.lines().count(), 2);
}

/// More open holds than a page has.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn holds_are_listed_over_pages() {
    let server = Program::start();
    let mut ledger = server.ledger().await;
    ledger.grant(grant("r", "team-a", "2000")).await.unwrap();
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..1_003 {
        let mut ledger = ledger.clone();
        calls.spawn(async move {
            let request = pb::HoldRequest {
                request_id: format!("h{number}"),
                account: "team-a".to_owned(),
                what: Some(pb::hold_request::What::Credits("1".to_owned())),
                ..pb::HoldRequest::default()
            };
            let reply = ledger.hold(request).await.unwrap().into_inner();
            reply.hold.unwrap().hold_id
        });
    }
    let mut made: Vec<String> = calls.join_all().await;
    let table = tokio::task::block_in_place(|| done(&server, "holds team-a"));
    assert!(table.ends_with("\nand 953 more: --all lists them, --limit N the first N\n"));
    // Over a thousand rows the table is printed piece by piece.
    let table = tokio::task::block_in_place(|| done(&server, "holds team-a --all"));
    assert_eq!(table.lines().count(), 1 + 1_003);
    assert_eq!(table.matches("HOLD ").count(), 1, "titles stand once");
    let listed = tokio::task::block_in_place(|| lines_of(&server, "holds team-a"));
    let mut listed: Vec<&str> = listed
        .iter()
        .map(|hold| hold["hold_id"].as_str().unwrap())
        .collect();
    made.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed, made);
}

/// A "creditd watch" and what it prints, line by line.
struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    fn start(server: &Running, args: &[&str]) -> Self {
        let mut child = program()
            .args(["watch", "--addr", &server.address])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines() {
                let _ = sender.send(line.unwrap());
            }
        });
        Self { child, lines }
    }

    #[track_caller]
    fn next(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap()
    }

    /// Its status and what it complained of.
    fn ends(mut self) -> (Option<i32>, String) {
        let mut status = None;
        wait_until("the watch has ended", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let mut err = String::new();
        let mut pipe = self.child.stderr.take().unwrap();
        pipe.read_to_string(&mut err).unwrap();
        (status.unwrap().code(), err)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn watch_prints_each_change_until_it_is_interrupted() {
    for signal in [Signal::INT, Signal::TERM] {
        let server = with_credits();
        let watch = Watch::start(&server, &["team-a"]);
        let line = watch.next();
        assert_eq!(
            normal(&line),
            "TIME  available 1000  held 0  version 1",
            "{line}"
        );
        done(&server, "hold team-a --credits 1.5");
        assert_eq!(
            normal(&watch.next()),
            "TIME  available 998.5  held 1.5  version 2"
        );
        kill_process(Pid::from_child(&watch.child), signal).unwrap();
        assert_eq!(watch.ends(), (Some(0), String::new()));
    }
}

#[test]
fn watch_ends_well_when_the_server_stops() {
    let server = with_credits();
    let watch = Watch::start(&server, &["team-a", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&watch.next()).unwrap();
    let balance = &value["balance"];
    assert_eq!(
        (&balance["available"], &balance["version"]),
        (&"1000".into(), &"1".into())
    );
    assert_eq!(balance["grants"][0]["remaining"], "1000");
    server.stop();
    assert_eq!(watch.ends(), (Some(0), String::new()));
}

/// Its connection is told to go at its age, and each balance is printed once.
#[test]
fn watch_goes_on_over_the_next_connection() {
    let server = Program::start_with(&["--connection-age-seconds-max", "1"]);
    done(&server, "grant team-a 1000");
    let watch = Watch::start(&server, &["team-a", "--json"]);
    let start = Instant::now();
    let mut version = 0;
    while start.elapsed() < Duration::from_secs(3) {
        let value: serde_json::Value = serde_json::from_str(&watch.next()).unwrap();
        version += 1;
        assert_eq!(value["balance"]["version"], version.to_string());
        done(&server, "grant team-a 1");
    }
    assert!(version > 10, "{version}");
}

#[test]
fn watch_says_why_it_cannot_go_on() {
    let server = Program::start();
    done(&server, "grant team-a 1000");
    let (code, out, err) = on(&server, "watch nobody");
    assert_eq!((code, out.as_str()), (Some(4), ""));
    assert_eq!(
        err,
        "creditd: account \"nobody\" does not exist; its first \"creditd grant\" opens it (ACCOUNT_NOT_FOUND)\n"
    );
    let watch = Watch::start(&server, &["team-a"]);
    watch.next();
    server.kill();
    let (code, err) = watch.ends();
    assert_eq!(code, Some(5));
    assert!(
        err.starts_with("creditd: the call broke off: ") && err.ends_with("; watch again\n"),
        "{err}"
    );
}
