//! The verbs of the ledger as a person types them, on the real server.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};

use creditd::rfc3339;
use creditd::rpc::pb::creditd::v1 as pb;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::server::{Server, program, run};
use crate::support::{PATIENCE, grant, root, wait_until};

/// Subcommands that call a server for what the ledger does.
const VERBS: [&str; 10] = [
    "charge", "hold", "settle", "extend", "release", "holds", "refund", "revoke", "entries",
    "watch",
];

/// Runs a command against the server.
fn on(server: &Server, line: &str) -> (Option<i32>, String, String) {
    let mut args: Vec<&str> = line.split_whitespace().collect();
    args.extend(["--addr", &server.address]);
    run(server.directory.path(), &args)
}

/// The output of a command that must end well.
#[track_caller]
fn done(server: &Server, line: &str) -> String {
    let (code, out, err) = on(server, line);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{line}");
    out
}

/// The JSON objects that a command prints, one a line.
#[track_caller]
fn lines_of(server: &Server, line: &str) -> Vec<serde_json::Value> {
    let out = done(server, &format!("{line} --json"));
    out.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// One field of the JSON object that a command prints.
#[track_caller]
fn field(server: &Server, line: &str, name: &str) -> String {
    let out = done(server, &format!("{line} --json"));
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    value[name].as_str().unwrap().to_owned()
}

/// A server whose account team-a has 1000 credits.
fn with_credits() -> Server {
    let server = Server::start();
    done(&server, "grant team-a 1000");
    server
}

/// The text with TIME for each time, and two spaces between columns.
fn normal(text: &str) -> String {
    let line = |line: &str| {
        let words = line.split(' ').map(|word| {
            let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
            if rfc3339::parse(bare).is_some() {
                word.replace(bare, "TIME")
            } else {
                in_json(word)
            }
        });
        let words = words.collect::<Vec<_>>().join(" ");
        let cells = words.split("  ").map(str::trim);
        let cells: Vec<&str> = cells.filter(|cell| !cell.is_empty()).collect();
        cells.join("  ")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// JSON without spaces, with TIME for each time.
fn in_json(word: &str) -> String {
    let parts = word.split('"').map(|part| match rfc3339::parse(part) {
        Some(_) => "TIME",
        None => part,
    });
    parts.collect::<Vec<_>>().join("\"")
}

/// Every verb with its output, in one story.
#[test]
fn commands_answer_as_written() {
    let text = std::fs::read_to_string(root("tests/data/command-line.txt")).unwrap();
    let server = Server::start();
    let mut lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.starts_with('#'))
        .peekable();
    let mut commands = 0;
    while let Some((number, line)) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let (status, command) = line.split_once("$ creditd ").unwrap();
        let status = if status.is_empty() { "0" } else { status };
        let mut expected = Vec::new();
        while let Some((_, line)) = lines.next_if(|(_, line)| !line.is_empty()) {
            expected.push(line);
        }
        let (code, out, err) = on(&server, command);
        let answer = if code == Some(0) { &out } else { &err };
        let place = format!("command-line.txt:{}: {command}", number + 1);
        assert_eq!(normal(answer), normal(&expected.join("\n")), "{place}");
        assert_eq!(code.unwrap().to_string(), status, "{place}");
        assert!(out.is_empty() || err.is_empty(), "{place}");
        commands += 1;
    }
    for verb in VERBS.iter().filter(|verb| **verb != "watch") {
        assert!(text.contains(&format!("\n$ creditd {verb} ")), "{verb}");
    }
    assert!(commands > 30);
}

/// Every example of every help, on holds, entries and grants that are there.
#[test]
fn examples_of_the_help_work() {
    let server = with_credits();
    for verb in VERBS {
        let (code, help, _) = run(server.directory.path(), &[verb, "--help"]);
        assert_eq!(code, Some(0));
        assert!(help.contains("Examples:\n  creditd "), "{verb}: {help}");
        // Those of "watch" do not end by themselves.
        let start = format!("  creditd {verb} ");
        let examples = help.lines().filter(|line| line.starts_with(&start));
        let mut count = 0;
        for example in examples.filter(|_| verb != "watch") {
            let command = example.trim_start().strip_prefix("creditd ").unwrap();
            let mut command = command.split("   ").next().unwrap().to_owned();
            for (name, made_by, id) in [
                (" h7", "hold team-a --credits 5", "holdId"),
                (" e7", "charge team-a --credits 5", "entryId"),
                (" g7", "grant team-a 5", "grantId"),
            ] {
                if command.contains(name) {
                    let id = field(&server, made_by, id);
                    command = command.replace(name, &format!(" {id}"));
                }
            }
            done(&server, &command);
            count += 1;
        }
        assert!(count >= 1 || verb == "watch", "{verb}: {help}");
    }
}

/// What the command line refuses by itself; no server is asked.
#[test]
fn wrong_arguments_are_refused_before_any_call() {
    let directory = tempfile::tempdir().unwrap();
    let nothing = "<SERVICE|--credits <N>>";
    for (line, code, expected) in [
        ("charge team-a", 2, nothing),
        ("hold team-a --ttl 1h", 2, nothing),
        ("settle team-a h1 --keep-open", 2, nothing),
        ("charge team-a --duration 5s", 2, nothing),
        ("charge team-a x --credits 1", 2, "cannot be used with"),
        (
            "charge team-a --credits 1 --count 2",
            2,
            "'--credits <N>' cannot be used with '--count <N>'",
        ),
        (
            "hold team-a x --count 1 --duration 1s",
            2,
            "'--count <N>' cannot be used with '--duration <DURATION>'",
        ),
        (
            "settle team-a h1 --credits 1 --rate-card x",
            2,
            "'--credits <N>' cannot be used with '--rate-card <NAME>'",
        ),
        (
            "charge team-a --credits 1 --price-time 2027-01-01T00:00:00Z",
            2,
            "'--credits <N>' cannot be used with '--price-time <TIME>'",
        ),
        (
            "charge team-a x --revision a --price-time 2027-01-01T00:00:00Z",
            2,
            "'--revision <REVISION>' cannot be used with '--price-time <TIME>'",
        ),
        (
            "charge team-a x --price-time soon",
            1,
            "creditd: --price-time soon is no time; write it like 2027-01-01T00:00:00Z\n",
        ),
        (
            "charge team-a x --duration 31",
            1,
            "creditd: --duration: \"31\" is no duration; write it like 90s, 2m, 1h30m or 1.5s\n",
        ),
        (
            "hold team-a x --ttl tomorrow",
            1,
            "creditd: --ttl: \"tomorrow\" is no duration; write it like 90s, 2m, 1h30m or 1.5s\n",
        ),
        (
            "charge team-a x --label job",
            2,
            "write it like campaign=autumn",
        ),
        (
            "refund team-a e1 --label a=1 --label a=2",
            1,
            "creditd: --label a is given twice; an entry keeps one value for a key\n",
        ),
        ("extend team-a h1", 2, "--ttl <DURATION>"),
        (
            "settle team-a h1 --credits 1 --overage pay",
            2,
            "[possible values: reject, from-available]",
        ),
        (
            "entries team-a --kind purchase",
            2,
            "[possible values: grant, charge, refund, hold, settle, release, expire, revoke]",
        ),
        ("entries team-a --limit 0", 2, "0 is not in 1..=1000000"),
        (
            "entries team-a --since 2026-11-01",
            1,
            "creditd: --since 2026-11-01 is no time; write it like 2026-11-01T00:00:00Z\n",
        ),
        (
            "entries team-a --until now",
            1,
            "creditd: --until now is no time; write it like 2026-11-01T00:00:00Z\n",
        ),
    ] {
        let args: Vec<&str> = line.split_whitespace().collect();
        let (status, out, err) = run(directory.path(), &args);
        assert_eq!((status, out.as_str()), (Some(code), ""), "{line}");
        assert!(err.contains(expected), "{line}: {err}");
    }
}

/// A name is made for each write that brings none, and is told.
#[test]
fn writes_without_a_request_id_get_one_of_their_own() {
    let server = with_credits();
    let first = field(&server, "charge team-a --credits 1", "requestId");
    let second = field(&server, "charge team-a --credits 1", "requestId");
    assert_ne!(first, second);
    assert_eq!(field(&server, "balance team-a", "available"), "998");
    let again = format!("charge team-a --credits 1 --request-id {first}");
    let out = done(&server, &again);
    assert!(out.contains("\nreplayed    yes: "), "{out}");
    assert_eq!(field(&server, "balance team-a", "available"), "998");
}

/// A peer that takes a call and goes away: nobody knows what became of the write.
#[test]
fn a_write_that_breaks_off_says_how_to_repeat_it() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let listen = tokio::net::TcpListener::bind("127.0.0.1:0");
    let listener = runtime.block_on(listen).unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    runtime.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(stream).await.unwrap();
            drop(connection.accept().await);
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let call = |line: &str| {
        let mut args: Vec<&str> = line.split_whitespace().collect();
        args.extend(["--addr", &addr]);
        let (code, out, err) = run(directory.path(), &args);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{line}");
        assert!(
            err.starts_with("creditd: the call broke off: "),
            "{line}: {err}"
        );
        err
    };
    for line in [
        "grant team-a 1 --request-id r1",
        "charge team-a --credits 1 --request-id r1",
        "release team-a h1 --request-id r1",
    ] {
        let err = call(line);
        assert!(
            err.ends_with(
                "; it may have been done: run it again with --request-id r1, and it is done once\n"
            ),
            "{line}: {err}"
        );
    }
    let err = call("entries team-a");
    assert!(!err.contains("--request-id"), "{err}");
}

/// Pages are joined, and --limit ends the list wherever a page ends.
#[test]
fn entries_are_listed_over_pages_and_between_times() {
    let server = with_credits();
    for credits in 1..=6 {
        done(&server, &format!("charge team-a --credits {credits}"));
    }
    let all = lines_of(&server, "entries team-a");
    assert_eq!(all.len(), 7);
    let ids: Vec<&str> = all.iter().map(|e| e["entryId"].as_str().unwrap()).collect();
    assert_eq!(ids.first(), Some(&"e7"));
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
    let middle = all[3]["createTime"].as_str().unwrap();
    let since = lines_of(&server, &format!("entries team-a --since {middle}"));
    assert_eq!(since, all[..4]);
    let until = lines_of(&server, &format!("entries team-a --until {middle}"));
    assert_eq!(until, all[4..]);
}

/// More open holds than a page has.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn holds_are_listed_over_pages() {
    let server = Server::start();
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
    let listed = tokio::task::block_in_place(|| lines_of(&server, "holds team-a"));
    let mut listed: Vec<&str> = listed
        .iter()
        .map(|hold| hold["holdId"].as_str().unwrap())
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
    fn start(server: &Server, args: &[&str]) -> Self {
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
    assert_eq!(
        (value["available"].as_str(), value["version"].as_i64()),
        (Some("1000"), Some(1))
    );
    assert_eq!(value["grants"][0]["remaining"], "1000");
    server.stop();
    assert_eq!(watch.ends(), (Some(0), String::new()));
}

#[test]
fn watch_says_why_it_cannot_go_on() {
    let server = with_credits();
    let (code, out, err) = on(&server, "watch nobody");
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert_eq!(
        err,
        "creditd: account \"nobody\" does not exist; its first Grant opens it (ACCOUNT_NOT_FOUND)\n"
    );
    let watch = Watch::start(&server, &["team-a"]);
    watch.next();
    server.kill();
    let (code, err) = watch.ends();
    assert_eq!(code, Some(1));
    assert!(
        err.starts_with("creditd: the call broke off: ") && err.ends_with("; watch again\n"),
        "{err}"
    );
}
