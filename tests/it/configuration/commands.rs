//! `creditd config`: all that is wrong is told, and what would be taken is printed as a file that
//! can be used again.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use creditd::server::{OPTIONS, Options, Taken};
use serde_json::Value;

use super::{FILE, write};
use crate::support::rate_cards::card_text;
use crate::support::root;
use crate::support::server::program;

/// What a command says: status, output, errors.
fn say(directory: &Path, args: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let output = program()
        .args(args)
        .envs(variables.iter().copied())
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

const KEY: &str = "a-secret-of-the-administrators";

#[test]
fn a_check_tells_all_that_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::write(path.join("card.toml"), card_text("plan", "1")).unwrap();
    std::fs::write(path.join("wrong.toml"), "format = 1\n").unwrap();
    std::fs::write(path.join("keys"), format!("{KEY}\n")).unwrap();
    std::fs::write(path.join("short"), "short\n").unwrap();
    let right = "rate_card_file = [\"card.toml\"]\nadmin_key_file = \"keys\"\n";
    for (text, args, variables, problems) in [
        ("", vec![], vec![], vec![]),
        (right, vec![], vec![("CREDITD_ADMIN_KEY", KEY)], vec![]),
        (
            "",
            vec![],
            vec![("CREDITD_PORT", "tcp://10.0.0.1:50051")],
            vec![],
        ),
        (
            "calls_maxx = 1\nthreads = \"two\"\n",
            vec![],
            vec![("CREDITD_CALL_MAX", "1"), ("CREDITD_ADMIN_KEY", "short")],
            vec![
                "unknown variable CREDITD_CALL_MAX; did you mean CREDITD_CALLS_MAX?",
                "CREDITD_ADMIN_KEY is set and is no key: ",
                "configuration creditd.toml:1: unknown key \"calls_maxx\"; did you mean \"calls_max\"?",
                "configuration creditd.toml:2: threads: invalid type: string \"two\", expected a whole number",
            ],
        ),
        (
            "rate_card_file = [\"wrong.toml\"]\nadmin_key_file = \"short\"\ntls_cert = \"none.pem\"\ntls_key = \"none.pem\"\n",
            vec![],
            vec![],
            vec![
                "rate card wrong.toml",
                "--admin-key-file short: a line is no key",
                "--tls-cert none.pem: ",
            ],
        ),
        // What is wrong with the file hides nothing else.
        (
            "listen_on = 5\nlog_level = \"loud\"\nrate_card_file = [\"none.toml\"]\n",
            vec!["--request-id-hours", "1", "--tls-cert", "none.pem"],
            vec![],
            vec![
                "configuration creditd.toml:1: unknown key \"listen_on\"",
                "--tls-cert is given without --tls-key",
                "--request-id-hours",
                "configuration creditd.toml:2: --log-level loud is no level",
                "rate card none.toml",
            ],
        ),
        (
            "threads = 0\n",
            vec!["--calls-max", "0", "--log-level", "loud"],
            vec![],
            vec![
                "configuration creditd.toml:1: --threads must be",
                "--calls-max must be",
                "--log-level loud is no level",
            ],
        ),
        (
            "",
            vec!["--listen", "0.0.0.0:0", "--insecure", "--data", "none/x.db"],
            vec![],
            vec!["--data none/x.db: there is no directory none; make it"],
        ),
        (
            "listen_unix = \"none/socket\"\n",
            vec!["--listen", "127.0.0.1:7", "--admin-listen", "0.0.0.0:7"],
            vec![],
            vec![
                "--admin-listen 0.0.0.0:7: --listen has that port",
                "--listen-unix none/socket: there is no directory none; make it",
            ],
        ),
        (
            "",
            vec!["--data", ":memory:"],
            vec![],
            vec!["--data :memory:: credits are kept on disk"],
        ),
        (
            "",
            vec![],
            vec![
                ("CREDITD_RATE_CARD", "card.toml"),
                ("CREDITD_RATE_CARD_FILE", "wrong.toml"),
            ],
            vec![
                "CREDITD_RATE_CARD_FILE and CREDITD_RATE_CARD are both set",
                "rate card wrong.toml",
            ],
        ),
        (
            "",
            vec!["--default-rate-card", "none"],
            vec![],
            vec!["--default-rate-card \"none\" names no rate card of a file"],
        ),
        (
            "tls_client_ca = \"x\"\n",
            vec![],
            vec![],
            vec![
                "configuration creditd.toml:1: --tls-client-ca is given without --tls-cert and --tls-key",
            ],
        ),
    ] {
        write(path, text);
        let before = names(path);
        let args = [&["config", "check", "--config", FILE], &args[..]].concat();
        let (status, out, err) = say(path, &args, &variables);
        let told: Vec<_> = err.lines().collect();
        assert_eq!(told.len(), problems.len(), "{text} {args:?}: {err}");
        for (told, problem) in told.iter().zip(&problems) {
            let told = told.trim_start_matches("creditd: ");
            assert!(told.starts_with(problem), "{problem}: {err}");
        }
        match problems.is_empty() {
            true => assert_eq!(
                (status, out.as_str()),
                (0, "the configuration is right, with creditd.toml\n")
            ),
            false => assert_eq!((status, out.as_str()), (3, "")),
        }
        assert_eq!(names(path), before, "nothing is made");
        // A program reads the same.
        let args = [&args[..], &["--json"]].concat();
        let (_, out, _) = say(path, &args, &variables);
        let report: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(report["right"], problems.is_empty());
        assert_eq!(report["problems"].as_array().unwrap().len(), problems.len());
        assert!(!out.contains(KEY) && !err.contains(KEY));
    }
}

/// Also what it finds while it starts.
#[test]
fn a_server_tells_all_that_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let args = [
        "serve",
        "--rate-card-file",
        "none.toml",
        "--admin-key-file",
        "none",
        "--data",
        "none/x.db",
    ];
    let (status, _, err) = say(directory.path(), &args, &[]);
    assert_eq!(status, 1);
    let told: Vec<_> = err.lines().collect();
    assert_eq!(told.len(), 3, "{err}");
    for (told, begin) in told.iter().zip([
        "creditd: rate card none.toml: ",
        "--data none/x.db: there is no directory none; make it",
        "--admin-key-file none: ",
    ]) {
        assert!(told.starts_with(begin), "{begin}: {err}");
    }
}

#[test]
fn a_value_of_the_environment_that_cannot_be_read_names_its_variable() {
    let directory = tempfile::tempdir().unwrap();
    let variables = [("CREDITD_CALLS_MAX", "abc")];
    let expected = "creditd: that value is of the variable CREDITD_CALLS_MAX\n";
    for args in [&["config", "check"][..], &["serve"]] {
        let (status, _, err) = say(directory.path(), args, &variables);
        assert_eq!((status, err.ends_with(expected)), (2, true), "{err}");
    }
    let args = ["config", "check", "--calls-max", "abc"];
    let (status, _, err) = say(directory.path(), &args, &variables);
    assert_eq!((status, err.contains("variable")), (2, false), "{err}");
}

/// A server that would not start is the same that the check refuses.
#[test]
fn a_server_reads_the_same_environment() {
    let directory = tempfile::tempdir().unwrap();
    let variables = [("CREDITD_CALL_MAX", "1")];
    let (status, _, err) = say(directory.path(), &["serve"], &variables);
    assert_eq!(status, 2);
    assert_eq!(
        err,
        "creditd: unknown variable CREDITD_CALL_MAX; did you mean CREDITD_CALLS_MAX?\n"
    );
    assert!(names(directory.path()).is_empty());
}

const CLIENT: &str = "[[client]]
name = \"billing\"
san = \"billing.acme.example\"
scopes = [\"charge\", \"read\"]
calls_per_second_max = 5
";

#[test]
fn what_is_printed_can_be_used_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let text = format!(
        "calls_max = 3\nlog_level = \"debug\"\nthreads = 2\ntls_cert = \"c.pem\"\ntls_key = \"k.pem\"\ntls_client_ca = \"a.pem\"\n\n{CLIENT}"
    );
    write(path, &text);
    let args = [
        "config",
        "print",
        "--config",
        FILE,
        "--calls-max",
        "4",
        "--rate-card-file",
        "odd \"name\".toml",
        "--accept-clock",
        "2027-01-31T12:00:00Z",
    ];
    let variables = [("CREDITD_ADMIN_KEY", KEY), ("CREDITD_DRAIN_MS_MAX", "9")];
    let (status, out, err) = say(path, &args, &variables);
    assert_eq!((status, err.as_str()), (0, ""), "{out}");
    for line in [
        "calls_max = 4                     # --calls-max",
        "log_level = \"debug\"               # creditd.toml:2",
        "drain_ms_max = 9                  # environment CREDITD_DRAIN_MS_MAX",
        "deadline_ms_max = 30000           # default",
        "# default_rate_card =             # not set",
        "# CREDITD_ADMIN_KEY=********      # environment CREDITD_ADMIN_KEY",
        "[[client]]                        # creditd.toml:8",
        "san = \"billing.acme.example\"",
    ] {
        // However wide the column is.
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let found = out.lines().any(|printed| words(printed) == words(line));
        assert!(found, "{line}: {out}");
    }
    assert!(!out.contains(KEY), "{out}");
    // The comments stand below each other.
    let columns: BTreeSet<_> = out
        .lines()
        .filter(|line| line.len() < 70)
        .filter_map(|line| line.rfind("  # "))
        .collect();
    assert!(columns.len() <= 3, "{columns:?}: {out}");

    // Again, from the file that was printed: the same values.
    std::fs::write(path.join("again.toml"), &out).unwrap();
    let values = |args: &[&str]| {
        let args = [args, &["--json"]].concat();
        let (status, out, err) = say(path, &args, &variables);
        assert_eq!(status, 0, "{err}");
        let printed: Value = serde_json::from_str(&out).unwrap();
        assert!(!out.contains(KEY), "{out}");
        assert_eq!(printed["admin_key"], "********");
        printed
    };
    let first = values(&args);
    let again = values(&["config", "print", "--config", "again.toml"]);
    for (first, again) in std::iter::zip(
        first["options"].as_array().unwrap(),
        again["options"].as_array().unwrap(),
    ) {
        match first["key"].as_str().unwrap() {
            "accept_clock" => assert_eq!(again["value"], Value::Null),
            key => assert_eq!(first["value"], again["value"], "{key}"),
        }
    }
    let option = |key: &str| {
        let options = first["options"].as_array().unwrap().iter();
        options.clone().find(|option| option["key"] == key).unwrap()
    };
    for (key, source, at, reload) in [
        ("calls_max", "flag", Some("--calls-max"), true),
        ("log_level", "file", Some("creditd.toml:2"), true),
        ("threads", "file", Some("creditd.toml:3"), false),
        (
            "drain_ms_max",
            "environment",
            Some("CREDITD_DRAIN_MS_MAX"),
            true,
        ),
        ("listen", "default", None, false),
        ("listen_unix", "not_set", None, false),
    ] {
        let option = option(key);
        assert_eq!(option["source"], source, "{option}");
        assert_eq!(option.get("at").and_then(Value::as_str), at, "{option}");
        assert_eq!(option["reload"], reload, "{option}");
    }
    let entry = &first["clients"][0];
    assert_eq!(entry["name"], "billing");
    assert_eq!(entry["calls_per_second_max"], 5);
}

/// docs/configuration.md has each option, its default, and whether a reload takes it.
#[test]
fn the_page_says_what_the_table_says() {
    let page = std::fs::read_to_string(root("docs/configuration.md")).unwrap();
    let defaults = Options::defaults();
    let mut rows: Vec<Vec<&str>> = (page.lines())
        .filter(|line| line.starts_with("| `") && line.matches('|').count() == 5)
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    for row in OPTIONS {
        let key = format!("`{}`", row.key);
        let at = rows.iter().position(|cells| cells[1] == key);
        let cells = rows.remove(at.unwrap_or_else(|| panic!("{key} is not on the page")));
        let default = match ((row.value)(&defaults), row.key) {
            (_, "threads") => "one a core".to_owned(),
            (Value::Null, _) => String::new(),
            (value, _) => format!("`{value}`"),
        };
        assert_eq!(cells[3], default, "{key}");
        let taken = if row.taken == Taken::Reload {
            "yes"
        } else {
            ""
        };
        assert_eq!(cells[4], taken, "{key}");
    }
    assert!(rows.is_empty(), "{rows:?}");
}
