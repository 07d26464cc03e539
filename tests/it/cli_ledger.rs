//! The verbs of the ledger as a person types them, on the real server.

use creditd::app::card_file::PUBLISHED_BYTES_MAX;
use creditd::rfc3339;

use crate::support::ids::{Ids, kind_of_id, map_words};
use crate::support::root;
use crate::support::server::{Running, Server, run};

/// Subcommands that call a server for what the ledger does.
const VERBS: [&str; 10] = [
    "charge", "hold", "settle", "extend", "release", "holds", "refund", "revoke", "entries",
    "watch",
];

/// Runs a command against the server.
pub fn on(server: &Running, line: &str) -> (Option<i32>, String, String) {
    let mut args: Vec<&str> = line.split_whitespace().collect();
    args.extend(["--addr", &server.address]);
    run(server.directory.path(), &args)
}

/// The output of a command that must end well.
#[track_caller]
pub fn done(server: &Running, line: &str) -> String {
    let (code, out, err) = on(server, line);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{line}");
    out
}

/// The JSON objects that a command prints, one a line.
#[track_caller]
pub fn lines_of(server: &Running, line: &str) -> Vec<serde_json::Value> {
    let out = done(server, &format!("{line} --json"));
    out.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// One field of the JSON object that a command prints, by its path.
#[track_caller]
fn field(server: &Running, line: &str, path: &str) -> String {
    let out = done(server, &format!("{line} --json"));
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    value.pointer(path).unwrap().as_str().unwrap().to_owned()
}

/// A server whose account team-a has 1000 credits.
pub fn with_credits() -> Server {
    let server = Server::start();
    done(&server, "grant team-a 1000");
    server
}

/// The text with TIME for each time, and two spaces between columns.
pub fn normal(text: &str) -> String {
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

/// Every verb with its output, in one story. UPDATE=1 writes down what the program says; what
/// it should say is still for people to decide.
#[test]
fn commands_answer_as_written() {
    let path = "tests/data/command-line.txt";
    story(path, &Server::start(), 61);
    let text = std::fs::read_to_string(root(path)).unwrap();
    for verb in VERBS.iter().filter(|verb| **verb != "watch") {
        assert!(text.contains(&format!("\n$ creditd {verb} ")), "{verb}");
    }
}

/// The same of publishing rate cards.
#[test]
fn publishing_answers_as_written() {
    let server = Server::start();
    let copy = |from: &str, to: &str, what: (&str, &str)| {
        let text = std::fs::read_to_string(root(from)).unwrap();
        let text = text.replace(what.0, what.1);
        std::fs::write(server.directory.path().join(to), text).unwrap();
    };
    let as_it_is = ("", "");
    for (from, to) in [
        (
            "tests/data/bad-cards/price-as-a-number.toml",
            "price-as-a-number.toml",
        ),
        ("tests/data/ledger/cards/partner.toml", "partner.toml"),
        ("tests/data/ledger/cards/studio-2.toml", "studio-2.toml"),
        ("rate-cards/jogg-api-v2.toml", "jogg-api-v2.toml"),
    ] {
        copy(from, to, as_it_is);
    }
    let later = (
        "\"Partner\"",
        "\"Partner 2099\"\neffective_time = 2099-01-01T00:00:00Z",
    );
    copy(
        "tests/data/ledger/cards/partner.toml",
        "partner-2099.toml",
        later,
    );
    let dearer = ("title = \"Studio\"", "title = \"Studio, dearer\"");
    copy(
        "tests/data/ledger/cards/studio-2.toml",
        "studio-2-dearer.toml",
        dearer,
    );
    for (file, bytes) in [
        ("empty.toml", Vec::new()),
        ("binary.toml", vec![0xff]),
        ("large.toml", vec![b'#'; PUBLISHED_BYTES_MAX + 1]),
    ] {
        std::fs::write(server.directory.path().join(file), bytes).unwrap();
    }
    story("tests/data/rates-publish.txt", &server, 19);
    // Texts with their blank lines, each below what it is.
    let texts = done(&server, "rates list --rate-card partner --with-toml");
    let text = std::fs::read_to_string(root("tests/data/ledger/cards/partner.toml")).unwrap();
    let (head, rest) = texts.split_once('\n').unwrap();
    assert!(head.starts_with("# partner, revision 9999264cd27dcde5d216a9bf, IN_FORCE from "));
    assert_eq!(rest.trim_end(), text.trim_end());
    let one = done(&server, "rates list --with-toml --limit 1");
    assert!(one.starts_with("# jogg-api-v2, ") && !one.contains("partner"));
}

/// Types the commands of a story and compares the answers.
pub fn story(path: &str, server: &Server, commands_min: usize) {
    let path = root(path);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut ids = Ids::default();
    let mut actual = String::new();
    let mut commands = 0;
    for block in text.split("\n\n") {
        let Some((comment, command)) = block.split_once("$ creditd ") else {
            actual.push_str(block);
            actual.push_str("\n\n");
            continue;
        };
        let comment = comment.trim_end_matches(|c: char| c.is_ascii_digit());
        let command = command.lines().next().unwrap();
        let (code, out, err) = on(server, &ids.resolve(command));
        assert!(out.is_empty() || err.is_empty(), "{command}");
        let (status, answer) = match code.unwrap() {
            0 => (String::new(), ids.symbols(&out)),
            status => (status.to_string(), ids.known_symbols(&err)),
        };
        let answer = answer.replace(&server.address, "ADDR");
        let answer = match command.contains("--json") {
            true => answer.lines().map(in_json).collect::<Vec<_>>().join("\n"),
            false => normal(&answer),
        };
        let answer = format!("{comment}{status}$ creditd {command}\n{answer}");
        actual.push_str(answer.trim_end());
        actual.push_str("\n\n");
        commands += 1;
    }
    let actual = actual.trim_end();
    let pairs = || text.trim_end().split("\n\n").zip(actual.split("\n\n"));
    if std::env::var_os("UPDATE").is_some() {
        // What is the same stays as it is written, with its columns.
        let kept = pairs().map(|(ours, theirs)| match normal(ours) == normal(theirs) {
            true => ours,
            false => theirs,
        });
        let kept = kept.collect::<Vec<_>>().join("\n\n");
        std::fs::write(&path, format!("{kept}\n")).unwrap();
        return;
    }
    for (ours, theirs) in pairs() {
        assert_eq!(normal(theirs), normal(ours));
    }
    assert!(commands >= commands_min, "{commands}");
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
            // Of what an example names, there is one.
            let command = map_words(command.split("   ").next().unwrap(), |word| {
                let (made_by, path) = match kind_of_id(word)? {
                    'h' => ("hold team-a --credits 5", "/hold/hold_id"),
                    'e' => ("charge team-a --credits 5", "/entry/entry_id"),
                    _ => ("grant team-a 5", "/entry/grant_id"),
                };
                Some(field(&server, made_by, path))
            });
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
            2,
            "invalid value 'soon' for '--price-time <TIME>': write it like 2026-12-31T12:00:00Z, 2026-12-31, today or tomorrow",
        ),
        (
            "charge team-a x --duration 31",
            2,
            "invalid value '31' for '--duration <DURATION>': \"31\" is no duration; write it like 90s, 2m, 1h30m or 1.5s",
        ),
        (
            "hold team-a x --ttl tomorrow",
            2,
            "invalid value 'tomorrow' for '--ttl <DURATION>': \"tomorrow\" is no duration; write it like 90s, 2m, 1h30m, 1.5s or 30d",
        ),
        (
            "grant team-a 1 --expire-time 31.12.2026",
            2,
            "invalid value '31.12.2026' for '--expire-time <TIME>': write it like 2026-12-31T12:00:00Z, 2026-12-31, tomorrow, or 1h or 30d from now",
        ),
        (
            "charge team-a x --label job",
            2,
            "write it like campaign=autumn",
        ),
        (
            "refund team-a e1 --label a=1 --label a=2",
            2,
            "creditd: --label a is given twice; there is one value for a key\n",
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
        ("entries team-a --limit 0", 2, "0 is not in 1.."),
        (
            "entries team-a --limit 5 --all",
            2,
            "'--limit <N>' cannot be used with '--all'",
        ),
        (
            "holds team-a h1 --since 1h",
            2,
            "'[HOLD]' cannot be used with '--since <TIME>'",
        ),
        (
            "entries team-a --since soon",
            2,
            "invalid value 'soon' for '--since <TIME>': write it like 2026-12-31T12:00:00Z, 2026-12-31, yesterday, or 1h or 30d for so long ago",
        ),
        (
            "entries team-a --until 2026-11-31",
            2,
            "invalid value '2026-11-31' for '--until <TIME>'",
        ),
        (
            "balance team-a --timeout 0s",
            2,
            "it must be more than 0 and at most 24h",
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
    let first = field(&server, "charge team-a --credits 1", "/entry/request_id");
    let second = field(&server, "charge team-a --credits 1", "/entry/request_id");
    assert_ne!(first, second);
    assert_eq!(
        field(&server, "balance team-a", "/balance/available"),
        "998"
    );
    let again = format!("charge team-a --credits 1 --request-id {first}");
    let out = done(&server, &again);
    assert!(out.contains("\nreplayed    yes: "), "{out}");
    assert_eq!(
        field(&server, "balance team-a", "/balance/available"),
        "998"
    );
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
        assert_eq!((code, out.as_str()), (Some(5), ""), "{line}");
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
