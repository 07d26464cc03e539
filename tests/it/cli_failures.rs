//! Failures of the command line: exit status, the sentence, and the object for programs.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::server::{Running, Server, program, run};

/// Every subcommand that writes, what it is run on, and what it makes: with HOLD, ENTRY and
/// GRANT in place of the ids.
const WRITES: [(&str, &str, &str); 8] = [
    ("grant team-a 5 --expire-time 30d", "granted", "entry"),
    ("charge team-a --credits 1", "charged", "entry"),
    ("hold team-a --credits 2", "set aside", "hold"),
    ("extend team-a HOLD --ttl 2h", "extended", "hold"),
    ("settle team-a HOLD --credits 1", "paid", "entry"),
    ("release team-a HOLD", "released", "hold"),
    ("refund team-a ENTRY", "refunded", "entry"),
    ("revoke team-a GRANT", "revoked", "entry"),
];

fn command(server: &Running, line: &str) -> Command {
    let mut command = program();
    command
        .args(line.split_whitespace())
        .args(["--addr", &server.address])
        .stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn json_of(command: &mut Command) -> Value {
    let output = command.arg("--json").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The object that a command that failed writes for programs.
fn error_of(output: &Output, status: i32) -> Value {
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{err}");
    assert_eq!(
        (text(&output.stdout).as_str(), err.lines().count()),
        ("", 1)
    );
    let value: Value = serde_json::from_str(&err).unwrap();
    assert_eq!(value["error"]["exit_status"], status);
    value["error"].clone()
}

/// A line of [`WRITES`] on something that is there.
fn on_something(server: &Running, line: &str) -> String {
    let id = |made_by: &str, path: &str| {
        let value = json_of(&mut command(server, made_by));
        value.pointer(path).unwrap().as_str().unwrap().to_owned()
    };
    let mut line = line.to_owned();
    for (name, made_by, path) in [
        ("HOLD", "hold team-a --credits 2", "/hold/hold_id"),
        ("ENTRY", "charge team-a --credits 1", "/entry/entry_id"),
        ("GRANT", "grant team-a 5", "/entry/grant_id"),
    ] {
        if line.contains(name) {
            line = line.replace(name, &id(made_by, path));
        }
    }
    line
}

/// The word after another one.
fn after<'a>(text: &'a str, word: &str) -> &'a str {
    let (_, rest) = text.split_once(word).unwrap_or_else(|| panic!("{text}"));
    rest.split([' ', ',', ')', ';', ':', '\n']).next().unwrap()
}

/// What the account has and how often it moved.
fn moved(server: &Running) -> (Value, Value) {
    let value = json_of(&mut command(server, "balance team-a"));
    let balance = &value["balance"];
    (balance["available"].clone(), balance["version"].clone())
}

/// The answer is on disk and cannot be printed: to a full disk, and to a reader that has gone.
#[test]
fn a_write_that_cannot_be_told_says_that_it_is_done() {
    let server = Server::start();
    json_of(&mut command(&server, "grant team-a 1000"));
    for (line, done, made) in WRITES {
        for broken_pipe in [false, true] {
            for given in [None, Some(format!("{done} {broken_pipe}"))] {
                let line = on_something(&server, line);
                let before = moved(&server);
                let mut command = command(&server, &line);
                if let Some(request_id) = &given {
                    command.args(["--request-id", request_id]);
                }
                let problem = if broken_pipe {
                    let (reader, writer) = std::io::pipe().unwrap();
                    drop(reader);
                    command.stdout(writer);
                    "Broken pipe"
                } else {
                    command.stdout(File::options().write(true).open("/dev/full").unwrap());
                    "No space left on device"
                };
                let output = command.output().unwrap();
                let err = text(&output.stderr);
                assert_eq!(output.status.code(), Some(1), "{line}: {err}");
                assert!(err.contains(problem), "{line}: {err}");
                let id = after(&err, &format!("but it is done ({done}, {made} "));
                assert!(id.starts_with(['e', 'h']), "{line}: {err}");
                let request_id = match &given {
                    Some(given) => given.as_str(),
                    None => after(&err, "--request-id "),
                };
                assert!(err.contains(&format!("--request-id {request_id}")));
                // It is done, and what the sentence says to do reads the answer.
                let now = moved(&server);
                assert!(now != before || line.starts_with("extend"), "{line}");
                let mut again = self::command(&server, &line);
                again.args(["--request-id", request_id]);
                if line.starts_with("grant") {
                    let time = err.split_once("--expire-time ").unwrap().1;
                    let time = time.split(' ').next().unwrap();
                    again = self::command(&server, "grant team-a 5");
                    again.args(["--request-id", request_id, "--expire-time", time]);
                }
                let answer = json_of(&mut again);
                assert_eq!(answer["replayed"], true, "{line}");
                let path = format!("/{made}/{made}_id");
                assert_eq!(answer.pointer(&path).unwrap(), id, "{line}");
                assert_eq!(moved(&server), now, "{line}");
            }
        }
        // For programs.
        let line = on_something(&server, line);
        let mut command = command(&server, &line);
        command.args(["--request-id", &format!("{done} json"), "--json"]);
        command.stdout(File::options().write(true).open("/dev/full").unwrap());
        let error = error_of(&command.output().unwrap(), 1);
        assert_eq!(error["outcome"], "done");
        assert_eq!(error["request_id"], format!("{done} json"));
        assert!(error[format!("{made}_id")].is_string(), "{error}");
    }
}

/// A read that cannot be printed has failed; one whose reader has enough has not.
#[test]
fn a_read_that_cannot_be_told_fails() {
    let server = Server::start();
    json_of(&mut command(&server, "grant team-a 1"));
    for line in ["balance team-a", "entries team-a", "rates", "version"] {
        let command = || match line {
            "version" => {
                let mut command = program();
                command.arg("version");
                command
            }
            line => command(&server, line),
        };
        for json in [&[][..], &["--json"]] {
            let full = File::options().write(true).open("/dev/full").unwrap();
            let output = command().args(json).stdout(full).output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{line}");
            let err = text(&output.stderr);
            assert!(
                err.contains("standard output: No space left on device"),
                "{err}"
            );
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let output = command().args(json).stdout(writer).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{line}");
            assert_eq!(text(&output.stderr), "", "{line}");
        }
    }
}

/// A copy is there whatever becomes of the words about it.
#[test]
fn a_backup_that_cannot_be_told_is_made() {
    let server = Server::start();
    let copy = server.directory.path().join("copy.db");
    let output = program()
        .args(["backup", copy.to_str().unwrap(), "--data"])
        .arg(server.data())
        .stdout(File::options().write(true).open("/dev/full").unwrap())
        .output()
        .unwrap();
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(err.ends_with("copy.db is made, and whole\n"), "{err}");
    let (status, _, err) = run(
        server.directory.path(),
        &["audit", "--data", copy.to_str().unwrap()],
    );
    assert_eq!(status, Some(0), "{err}");
}

/// Status, code and reason of what fails, and for programs all that is known.
#[test]
fn failures_have_a_status_and_an_object() {
    let server = Server::start();
    json_of(&mut command(&server, "grant team-a 1.5 --request-id g"));
    let entry = json_of(&mut command(
        &server,
        "charge team-a --credits 0.5 --request-id c",
    ));
    let entry_id = entry["entry"]["entry_id"].as_str().unwrap();
    let refund = format!("refund team-a {entry_id} --credits 9 --request-id x");
    for (line, status, code, reason) in [
        (
            "charge team-a --credits 2 --request-id x",
            3,
            "FAILED_PRECONDITION",
            "INSUFFICIENT_CREDITS",
        ),
        (
            "charge team-a --credits 2 --request-id c",
            3,
            "ALREADY_EXISTS",
            "REQUEST_ID_REUSED",
        ),
        (
            "charge team-a --credits 1e3 --request-id x",
            3,
            "INVALID_ARGUMENT",
            "INVALID_AMOUNT",
        ),
        (
            "charge team-a nothing --request-id x",
            3,
            "INVALID_ARGUMENT",
            "UNKNOWN_SERVICE",
        ),
        (
            refund.as_str(),
            3,
            "FAILED_PRECONDITION",
            "REFUND_EXCEEDS_CHARGE",
        ),
        ("estimate nothing", 3, "INVALID_ARGUMENT", "UNKNOWN_SERVICE"),
        ("balance nobody", 4, "NOT_FOUND", "ACCOUNT_NOT_FOUND"),
        (
            "refund team-a e99 --request-id x",
            4,
            "NOT_FOUND",
            "ENTRY_NOT_FOUND",
        ),
        ("holds team-a h99", 4, "NOT_FOUND", "HOLD_NOT_FOUND"),
        (
            "rates --rate-card nothing --price-time 2027-01-01",
            4,
            "NOT_FOUND",
            "RATE_CARD_NOT_FOUND",
        ),
        (
            "estimate ai_scripts --account nobody",
            4,
            "NOT_FOUND",
            "ACCOUNT_NOT_FOUND",
        ),
    ] {
        let error = error_of(
            &command(&server, line).arg("--json").output().unwrap(),
            status,
        );
        assert_eq!(
            (&error["code"], &error["reason"]),
            (&code.into(), &reason.into()),
            "{line}"
        );
        assert!(
            !error["metadata"].as_object().unwrap().is_empty(),
            "{error}"
        );
        assert!(error["x_request_id"].is_string(), "{error}");
        let words = text(&command(&server, line).output().unwrap().stderr);
        assert!(words.contains(&format!("({reason})")), "{words}");
        // People and programs read the same sentence.
        assert_eq!(
            words,
            format!("creditd: {}\n", error["message"].as_str().unwrap())
        );
        let write = line.contains("--request-id");
        assert_eq!(
            error["outcome"],
            if write {
                json!("not_done")
            } else {
                Value::Null
            }
        );
    }
    let line = "charge team-a --credits 2 --request-id x --json";
    let error = error_of(&command(&server, line).output().unwrap(), 3);
    assert_eq!(
        error["metadata"],
        json!({"account": "team-a", "required": "2", "available": "1", "shortfall": "1"})
    );
    // Offline prices have no server and no id of a call.
    let output = program()
        .args(["estimate", "nothing", "--json"])
        .output()
        .unwrap();
    let error = error_of(&output, 3);
    assert_eq!(error["reason"], "UNKNOWN_SERVICE");
    assert_eq!(error["field_violations"][0]["field"], "usage.service");
    assert_eq!(error.get("x_request_id"), None);
    // What the grammar refuses, and a file that is not there.
    let output = program().args(["charge", "--json"]).output().unwrap();
    assert_eq!(error_of(&output, 2)["code"], "INVALID_ARGUMENT");
    let nowhere = ["audit", "--data", "/nowhere/creditd.db", "--json"];
    let output = program().args(nowhere).output().unwrap();
    assert_eq!(error_of(&output, 1)["code"], "UNKNOWN");
}

/// All bad fields at once, each as it is typed; the object has them as the API names them.
#[test]
fn every_bad_field_is_told_by_its_flag() {
    let server = Server::start();
    let long = "k".repeat(65);
    let label = format!("{long}=1");
    let mut all = command(
        &server,
        "grant team-a 1e3 --expire-time 2020-01-01 --request-id x",
    );
    all.args(["--label", &label]);
    let err = text(&all.output().unwrap().stderr);
    for part in [
        "credits \"1e3\" is no amount",
        "; --expire-time 2020-01-01T00:00:00Z must be later than now (INVALID_TIME)",
        "; --label has a key of 65 bytes",
    ] {
        assert!(err.contains(part), "{part}: {err}");
    }
    let error = error_of(&all.arg("--json").output().unwrap(), 3);
    let fields: Vec<&str> = error["field_violations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|violation| violation["field"].as_str().unwrap())
        .collect();
    assert!(
        fields.contains(&"expire_time") && fields.contains(&"labels"),
        "{error}"
    );
    let value = "v".repeat(257);
    let mut label = command(&server, "grant team-a 1");
    let err = text(
        &label
            .args(["--label", &format!("job={value}")])
            .output()
            .unwrap()
            .stderr,
    );
    assert!(
        err.starts_with("creditd: --label has a value of 257 bytes under \"job\"; it must have 0 to 256 (INVALID_LENGTH)"),
        "{err}"
    );
}

/// A server that answers every connection with some bytes, or with none.
fn peer(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept() {
            if answer.is_empty() {
                kept.push(stream);
                continue;
            }
            let _ = stream.read(&mut [0; 16]);
            let _ = stream.write_all(answer);
        }
    });
    address
}

#[test]
fn what_answers_and_is_no_creditd_is_told() {
    // A port that was free a moment ago.
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let closed = closed.to_string();
    let http = peer(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    let tls = peer(b"\x15\x03\x01\x00\x02\x02\x46");
    let silent = peer(b"");
    let nowhere = "/nowhere/creditd.sock";
    let directory = tempfile::tempdir().unwrap();
    for (addr, expected) in [
        (
            closed.clone(),
            format!(
                "creditd: no creditd answers at {closed} (Connection refused (os error 111)); start one with \"creditd serve\", or name another by --addr"
            ),
        ),
        (
            http.clone(),
            format!(
                "creditd: at {http} answers an HTTP/1 server, and creditd speaks gRPC; name the address that \"creditd serve\" printed by --addr"
            ),
        ),
        (
            tls.clone(),
            format!(
                "creditd: the server at {tls} wants TLS: write https://{tls}, and --tls-ca with the file of those that issued its certificate where the system does not trust them"
            ),
        ),
        (
            "nobody.invalid".to_owned(),
            "creditd: no machine is known by the name of nobody.invalid; name one by --addr"
                .to_owned(),
        ),
        (
            format!("unix:{nowhere}"),
            format!(
                "creditd: no creditd answers at unix:{nowhere} (No such file or directory (os error 2)); start one with \"creditd serve\", or name another by --addr"
            ),
        ),
    ] {
        for line in [
            "balance team-a",
            "watch team-a",
            "entries team-a",
            "health",
            "rates",
            "charge team-a --credits 1",
        ] {
            let mut args: Vec<&str> = line.split(' ').collect();
            args.extend(["--addr", &addr]);
            let (status, out, err) = run(directory.path(), &args);
            assert_eq!(
                (status, out.as_str()),
                (Some(5), ""),
                "{line} {addr}: {err}"
            );
            // A watch says what to do then.
            let err = err.replace("; watch again", "");
            assert_eq!(err.trim_end(), expected, "{line}");
        }
    }
    // One that takes the call and says nothing.
    for line in [
        "balance team-a",
        "watch team-a",
        "charge team-a --credits 1",
    ] {
        let mut args: Vec<&str> = line.split(' ').collect();
        args.extend(["--addr", &silent, "--timeout", "300ms"]);
        let start = Instant::now();
        let (status, _, err) = run(directory.path(), &args);
        assert_eq!(status, Some(5), "{err}");
        assert!(
            err.starts_with(&format!(
                "creditd: {silent} did not answer within --timeout"
            )),
            "{err}"
        );
        assert_eq!(
            err.contains("; it may have been done: run it again with --request-id cli-"),
            line.starts_with("charge"),
            "{err}"
        );
        assert!(start.elapsed().as_secs() < 5);
    }
}

/// A person who gives up waiting is told how to find out what became of the write.
#[test]
fn a_write_that_is_interrupted_says_how_to_repeat_it() {
    for signal in [Signal::INT, Signal::TERM] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let mut child = program()
            .args(["charge", "team-a", "--credits", "1", "--addr", &addr])
            .args(["--request-id", "given-up"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        // The call is under way.
        let mut sent = Vec::new();
        while !text_of(&sent).contains("given-up") {
            let mut piece = [0; 1024];
            let length = stream.read(&mut piece).unwrap();
            assert_ne!(length, 0, "it ended by itself");
            sent.extend_from_slice(&piece[..length]);
        }
        kill_process(Pid::from_child(&child), signal).unwrap();
        let mut err = String::new();
        let mut pipe = child.stderr.take().unwrap();
        pipe.read_to_string(&mut err).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(1), "{err}");
        assert!(
            err.ends_with("; it may have been done: run it again with --request-id given-up, and it is done once\n"),
            "{err}"
        );
    }
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
