//! Commands that ask a server for prices and health, addresses as people type them, and what
//! the program tells about itself.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::root;
use crate::support::server::{Program, Settings, program, run};

const REVISION: &str = "c38700ee0fd4aef8bef7eadf";

/// What a command prints that must end well.
#[track_caller]
fn prints(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), err.as_str()), (Some(0), ""));
    String::from_utf8(output.stdout).unwrap()
}

fn line(line: &str) -> Command {
    let mut command = program();
    command.args(line.split_whitespace());
    command
}

#[track_caller]
fn complains(command: &mut Command, status: i32, expected: &str) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{err}");
    assert!(err.contains(expected), "{err}");
}

/// A card with one service, and another price for it from 2027 on.
fn cards(directory: &Path) -> [String; 2] {
    let later = "effective_time = 2027-06-01T00:00:00Z";
    [("now", "1", ""), ("later", "2", later)].map(|(name, credits, since)| {
        let path = directory.join(format!("{name}.toml"));
        let text = format!(
            r#"
format = 1
name = "studio"
title = "Studio"
{since}

[[service]]
key = "thumbnail"
title = "Thumbnail"
rule = "{credits} credits each"
meter = "count"
piece = "image"
price = {{ model = "per_piece", credits = "{credits}" }}
"#
        );
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    })
}

/// Prices of a server: by option, by the environment, and not.
#[test]
fn prices_come_from_where_it_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let [now, later] = cards(folder.path());
    let server = Program::start_with(&["--rate-card-file", &now, "--rate-card-file", &later]);
    let addr = server.address.as_str();
    let estimate = "estimate thumbnail --count 3";
    let of_server = prints(line(estimate).args(["--addr", addr]));
    assert!(of_server.contains("\ncredits    3\n"), "{of_server}");
    assert!(of_server.contains("rate card  studio\n"));
    assert!(
        of_server.ends_with(&format!("\nprices     server {addr}\n")),
        "{of_server}"
    );
    assert_eq!(prints(line(estimate).env("CREDITD_ADDR", addr)), of_server);
    // The built-in card has no such service.
    complains(
        line(estimate).env("CREDITD_ADDR", addr).arg("--offline"),
        3,
        "UNKNOWN_SERVICE",
    );
    // A file that is named goes before the environment's server, and not before one that is typed.
    let of_file = prints(
        line(estimate)
            .env("CREDITD_ADDR", addr)
            .args(["--rate-card-file", &now]),
    );
    assert!(
        of_file.ends_with(&format!("\nprices     {now}\n")),
        "{of_file}"
    );
    let of_files = prints(line(estimate).env("CREDITD_RATE_CARD_FILE", format!("{now},{later}")));
    assert!(
        of_files.ends_with(&format!("\nprices     {now}, {later}\n")),
        "{of_files}"
    );
    let both = line(estimate)
        .env("CREDITD_RATE_CARD_FILE", &later)
        .args(["--addr", addr])
        .output();
    assert!(
        String::from_utf8(both.unwrap().stdout)
            .unwrap()
            .contains("prices     server")
    );
    complains(
        line(estimate).args(["--addr", addr, "--rate-card-file", &now]),
        2,
        "--rate-card-file is priced here and --addr by a server; leave one of them out",
    );
    complains(
        line(estimate).args(["--addr", addr, "--offline"]),
        2,
        "--offline asks no server",
    );

    // Which prices, alike here and there.
    for from in [
        ["--addr", addr, "", ""],
        ["--rate-card-file", &now, "--rate-card-file", &later],
    ] {
        let from: Vec<&str> = from.into_iter().filter(|part| !part.is_empty()).collect();
        let first = prints(line(estimate).args(&from).arg("--json"));
        let first: Value = serde_json::from_str(&first).unwrap();
        let revision = first["estimate"]["revision"].as_str().unwrap();
        let later = prints(
            line(estimate)
                .args(&from)
                .args(["--price-time", "2027-06-01"]),
        );
        assert!(later.contains("\ncredits    6\n"), "{later}");
        let named = prints(line(estimate).args(&from).args([
            "--revision",
            revision,
            "--json",
            "--explain",
        ]));
        let named: Value = serde_json::from_str(&named).unwrap();
        assert_eq!(named["estimate"]["credits"], "3");
        assert_eq!(named["estimate"]["lines"][0]["unit_credits"], "1");
        complains(
            line(estimate).args(&from).args(["--rate-card", "other"]),
            4,
            "RATE_CARD_NOT_FOUND",
        );
        let rates = prints(line("rates --price-time 2027-06-01 --json").args(&from));
        let rates: Value = serde_json::from_str(&rates).unwrap();
        assert_eq!(rates["services"][0]["rule"], "2 credits each");
    }
    let rates = prints(line("rates").args(["--addr", addr]));
    assert!(rates.starts_with("studio, revision "), "{rates}");
    assert!(
        rates
            .lines()
            .next()
            .unwrap()
            .ends_with(&format!(", of the server at {addr}")),
        "{rates}"
    );
    assert!(rates.contains("1 credits each"));
    // Several cards are several lines.
    let all =
        prints(line("rates --json").args(["--rate-card-file", &now, "--rate-card-file", &later]));
    assert_eq!(all.lines().count(), 2);
}

/// With an account an estimate also says whether it can pay.
#[test]
fn an_estimate_says_whether_an_account_can_pay() {
    let server = Program::start();
    let addr = server.address.as_str();
    prints(line("grant team-a 1.5").args(["--addr", addr]));
    let estimate = |count: &str| {
        let mut command = line("estimate video_generation --account team-a");
        command.args(["--duration", count, "--addr", addr]);
        command
    };
    let enough = prints(&mut estimate("2m"));
    assert!(
        enough.contains("\ncredits    1\navailable  1.5, enough\n"),
        "{enough}"
    );
    let short = prints(&mut estimate("6m"));
    assert!(
        short.contains("\ncredits    3\navailable  1.5, 1.5 short\n"),
        "{short}"
    );
    let value: Value = serde_json::from_str(&prints(estimate("6m").arg("--json"))).unwrap();
    assert_eq!(
        value["affordability"],
        json!({"sufficient": false, "available": "1.5", "shortfall": "1.5"})
    );
    complains(
        line("estimate ai_scripts --account nobody").args(["--addr", addr]),
        4,
        "ACCOUNT_NOT_FOUND",
    );
}

#[test]
fn addresses_are_taken_as_people_type_them() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let socket = socket.to_str().unwrap();
    let server = Program::start_with(&["--listen-unix", socket]);
    let (_, port) = server.address.rsplit_once(':').unwrap();
    for addr in [
        server.address.clone(),
        format!("localhost:{port}"),
        format!("http://127.0.0.1:{port}/"),
        port.to_owned(),
        format!(":{port}"),
        format!("unix:{socket}"),
        format!("unix://{socket}"),
    ] {
        let out = prints(line("health").args(["--addr", &addr]));
        assert_eq!(out, "SERVING\n", "{addr}");
    }
    // By name, and only on this machine.
    let here = Program::start_settings(Settings {
        listen: Some("localhost:0"),
        ..Settings::default()
    });
    assert!(here.address.starts_with("127.0.0.1:"), "{}", here.address);
    complains(
        line("serve --listen nobody.invalid:1").current_dir(folder.path()),
        2,
        "--listen nobody.invalid:1: no machine is known by the name of nobody.invalid",
    );
}

#[test]
fn health_is_a_status_for_probes() {
    let server = Program::start();
    let addr = server.address.as_str();
    for service in ["", "creditd.v1.LedgerService", "creditd.v1.PricingService"] {
        let mut command = line("health");
        command.args(["--addr", addr, "--service", service]);
        assert_eq!(prints(&mut command), "SERVING\n");
        let value: Value = serde_json::from_str(&prints(command.arg("--json"))).unwrap();
        assert_eq!(value, json!({"status": "SERVING"}));
    }
    complains(
        line("health --service nothing").args(["--addr", addr]),
        5,
        "has no service \"nothing\"; leave --service out",
    );
    let addr = addr.to_owned();
    server.stop();
    complains(
        line("health").args(["--addr", &addr]),
        5,
        "no creditd answers at",
    );
}

#[test]
fn the_program_tells_about_itself() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(prints(&mut line("version")), format!("creditd {version}\n"));
    let value: Value = serde_json::from_str(&prints(&mut line("version --json"))).unwrap();
    assert_eq!(value, json!({"version": version}));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = prints(line("completion").arg(shell));
        assert!(
            script.contains("request-id") && script.contains("charge"),
            "{shell}"
        );
    }
    complains(line("completion").arg("tcsh"), 2, "[possible values: bash,");
    let bash = Command::new("bash")
        .args(["-n", "-c", &prints(&mut line("completion bash"))])
        .status();
    assert!(bash.unwrap().success());

    let folder = tempfile::tempdir().unwrap();
    prints(line("man").arg(folder.path()));
    let (_, help, _) = run(folder.path(), &["--help"]);
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands: Vec<&str> = commands
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty() && *name != "help")
        .collect();
    assert!(commands.len() >= 20, "{commands:?}");
    for command in commands {
        let page = folder.path().join(format!("creditd-{command}.1"));
        let page = std::fs::read_to_string(page).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{command}");
        // Each command stands on the page that people read.
        let told = std::fs::read_to_string(root("docs/command-line.md")).unwrap();
        assert!(told.contains(&format!("creditd {command}")), "{command}");
    }
    let page = std::fs::read_to_string(folder.path().join("creditd.1")).unwrap();
    assert!(page.contains("The exit status is 0"), "{page}");
    complains(&mut line("man /nowhere"), 1, "/nowhere: ");
}

/// Files of rate cards: by the flag, by its older name, by either variable, and in a file.
#[test]
fn rate_cards_of_a_server_are_named_in_several_ways() {
    let folder = tempfile::tempdir().unwrap();
    let [now, _] = cards(folder.path());
    let config = |key: &str| {
        let path = folder.path().join(format!("{key}.toml"));
        std::fs::write(&path, format!("{key} = [\"{now}\"]\n")).unwrap();
        vec!["--config".to_owned(), path.to_str().unwrap().to_owned()]
    };
    let flag = |name: &str| vec![name.to_owned(), now.clone()];
    for (args, variables) in [
        (flag("--rate-card-file"), vec![]),
        (flag("--rate-card"), vec![]),
        (config("rate_card_file"), vec![]),
        (config("rate_card"), vec![]),
        (vec![], vec![("CREDITD_RATE_CARD_FILE", now.clone().into())]),
        (vec![], vec![("CREDITD_RATE_CARD", now.clone().into())]),
        // What is typed goes first.
        (
            flag("--rate-card-file"),
            vec![("CREDITD_RATE_CARD", "nowhere.toml".into())],
        ),
    ] {
        let server = Program::start_settings(Settings {
            args,
            variables,
            ..Settings::default()
        });
        assert!(
            server.banner.contains("\nrate card    studio (Studio)"),
            "{}",
            server.banner
        );
    }
}

/// Nothing but the log on standard error, each line an object, and nothing on standard output.
#[test]
fn a_log_in_json_has_nothing_else_in_it() {
    let server = Program::start_with(&["--log-format", "json", "--log-level", "error"]);
    let line: Value = serde_json::from_str(&server.banner).unwrap();
    assert_eq!(line["address"], server.address);
    assert_eq!(line["rate_card"], "jogg-api-v2");
    assert_eq!(line["revision"], REVISION);
    let message = line["message"].as_str().unwrap();
    assert!(
        message.ends_with(&format!(" listens on {}", server.address)),
        "{message}"
    );
    let server = server.restart(&["--log-format", "json"]);
    server.wait_for_log("\"message\":\"serving\"");
    for line in format!("{}{}", server.banner, server.log()).lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
    }
}
