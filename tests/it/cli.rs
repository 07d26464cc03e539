//! What the command line prints and refuses.

use crate::support::ids::Ids;
use crate::support::root;
use crate::support::server::{Program, Server, run};

fn in_nowhere(args: &[&str]) -> (Option<i32>, String, String) {
    let directory = tempfile::tempdir().unwrap();
    run(directory.path(), args)
}

#[track_caller]
fn prints(args: &[&str], expected: &str) {
    let (code, out, err) = in_nowhere(args);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(out, expected);
}

#[track_caller]
fn complains(args: &[&str], status: i32, expected: &str) {
    let (code, out, err) = in_nowhere(args);
    assert_eq!((code, out.as_str()), (Some(status), ""), "{err}");
    assert_eq!(err, format!("creditd: {expected}\n"));
}

#[test]
fn estimate_prices_offline() {
    prints(
        &[
            "estimate",
            "lip_sync_video",
            "--duration",
            "31s",
            "--explain",
        ],
        "service    lip_sync_video\n\
         credits    0.248 (shown as 0.25)\n\
         rate card  jogg-api-v2\n\
         revision   c38700ee0fd4aef8bef7eadf\n\
         prices     built in, no server was asked\n\
         line       31 s at 1 credit per 125 s: 0.248\n",
    );
    prints(
        &["estimate", "photo_avatar_generation", "--count", "10"],
        "service    photo_avatar_generation\n\
         credits    0.5\n\
         rate card  jogg-api-v2\n\
         revision   c38700ee0fd4aef8bef7eadf\n\
         prices     built in, no server was asked\n",
    );
    let (_, out, _) = in_nowhere(&[
        "estimate",
        "lip_sync_video",
        "--duration",
        "31.123456789s",
        "--explain",
        "--json",
    ]);
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    let estimate = &value["estimate"];
    assert_eq!(estimate["credits"], "0.248987655");
    assert_eq!(estimate["display_credits"], "0.25");
    assert_eq!(
        estimate["lines"][0]["description"],
        "31.123456789 s at 1 credit per 125 s, 0.248987654312 rounded up to 0.248987655"
    );
}

/// Without a server an option says what an account would.
#[test]
fn estimate_prices_for_an_account_that_is_described() {
    let card = root("tests/data/cards/plans.toml");
    let card = card.to_str().unwrap();
    let estimate = |attributes: &[&str]| {
        let mut args = vec!["estimate", "image", "--count", "100", "--rate-card-file"];
        args.push(card);
        for attribute in attributes {
            args.extend(["--account-attribute", attribute]);
        }
        in_nowhere(&args)
    };
    for (attributes, credits) in [
        (&[][..], "5"),
        (&["tier=retail"], "5"),
        (&["tier=partner"], "4"),
        (&["plan=growth", "tier=partner"], "3.8"),
    ] {
        let (code, out, err) = estimate(attributes);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{attributes:?}");
        let says = format!("\ncredits    {credits}\n");
        assert!(out.contains(&says), "{attributes:?}: {out}");
    }
    let (_, out, _) = estimate(&["tier=partner"]);
    assert!(out.contains(".plan=payg,tier=partner\n"), "{out}");
    for (attributes, status, expected) in [
        (
            &["teir=partner"][..],
            2,
            "rate card \"plans\" asks no account for \"teir\"; did you mean \"tier\"?",
        ),
        (
            &["tier=partner", "tier=house"],
            2,
            "--account-attribute tier is given twice",
        ),
        (
            &["partner"],
            2,
            "invalid value 'partner' for '--account-attribute",
        ),
        (
            &["tier=gold"],
            3,
            "of the account is \"gold\"; service \"image\" has retail, partner, house (UNKNOWN_ATTRIBUTE_VALUE)",
        ),
    ] {
        let (code, out, err) = estimate(attributes);
        assert_eq!((code, out.as_str()), (Some(status), ""), "{err}");
        assert!(err.contains(expected), "{err}");
    }
    complains(
        &["estimate", "ai_scripts", "--account-attribute", "plan=pro"],
        2,
        "rate card \"jogg-api-v2\" asks no account for \"plan\"; leave --account-attribute out",
    );
    // A server asks the account itself; none is called here.
    complains(
        &[
            "estimate",
            "ai_scripts",
            "--account-attribute",
            "plan=pro",
            "--addr",
            "127.0.0.1:1",
        ],
        2,
        "--account-attribute is for prices here, and a server asks the account; name it by --account, or add --offline",
    );
}

#[test]
fn estimate_refuses_in_words_and_with_the_reason() {
    complains(
        &["estimate", "lip_sync"],
        3,
        "service \"lip_sync\" is not on rate card \"jogg-api-v2\"; did you mean \"lip_sync_video\"? \"creditd rates\" lists all services (UNKNOWN_SERVICE)",
    );
    // Nothing is near.
    complains(
        &["estimate", "quarterly"],
        3,
        "service \"quarterly\" is not on rate card \"jogg-api-v2\"; \"creditd rates\" lists all services (UNKNOWN_SERVICE)",
    );
    complains(
        &["estimate", "lip_sync_video"],
        3,
        "--duration is required (FIELD_REQUIRED)",
    );
    complains(
        &["estimate", "lip_sync_video", "--count", "3"],
        3,
        "--count does not fit: service \"lip_sync_video\" is priced by duration (WRONG_QUANTITY)",
    );
    complains(
        &["estimate", "lip_sync_video", "--duration", "-1s"],
        3,
        "--duration \"-1s\" must be more than 0 (INVALID_QUANTITY)",
    );
    complains(
        &["estimate", "ai_scripts", "--revision", "0123"],
        4,
        "revision \"0123\" was never served here; take one from \"creditd estimate\" or leave --revision out (REVISION_NOT_FOUND)",
    );
    let (code, _, err) = in_nowhere(&["estimate", "ai_scripts", "--rate-card", "prices.toml"]);
    assert_eq!(code, Some(4));
    assert!(
        err.ends_with("or choose another --price-time (RATE_CARD_NOT_FOUND); --rate-card is a name, a file goes behind --rate-card-file\n"),
        "{err}"
    );
    for (args, expected) in [
        (
            ["--duration", "31"],
            "invalid value '31' for '--duration <DURATION>': \"31\" is no duration; write it like 90s, 2m, 1h30m or 1.5s",
        ),
        (
            ["--price-time", "soon"],
            "invalid value 'soon' for '--price-time <TIME>': write it like 2026-12-31T12:00:00Z, 2026-12-31, today or tomorrow",
        ),
        (
            ["--account", "team-a"],
            "--account is known to a server alone; name one by --addr, and leave --rate-card-file out",
        ),
    ] {
        let (code, out, err) = in_nowhere(&["estimate", "ai_scripts", args[0], args[1]]);
        assert_eq!((code, out.as_str()), (Some(2), ""));
        assert!(err.contains(expected), "{err}");
    }
    let (code, _, err) =
        in_nowhere(&["estimate", "ai_scripts", "--count", "1", "--duration", "1s"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("cannot be used with"), "{err}");
}

#[test]
fn rates_shows_the_card_as_a_table() {
    let (code, out, _) = in_nowhere(&["rates"]);
    assert_eq!(code, Some(0));
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines[0],
        "jogg-api-v2 (JoggAI API v2), revision c38700ee0fd4aef8bef7eadf (built in, no server was asked)"
    );
    assert_eq!(lines.len(), 2 + 1 + 11);
    let column = lines[2].find("TITLE").unwrap();
    assert!(
        lines[3..]
            .iter()
            .all(|line| line.as_bytes()[column - 1] == b' '),
        "{out}"
    );
    assert!(lines[5].starts_with("lip_sync_video "), "{out}");

    let (_, out, _) = in_nowhere(&["rates", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(out.lines().count(), 1, "a card is an object on a line");
    assert_eq!(value["rate_card"], "jogg-api-v2");
    assert_eq!(value["services"].as_array().unwrap().len(), 11);
    assert_eq!(value["services"][0]["meters"][0], "duration");
}

#[test]
fn grant_and_balance_call_a_server() {
    let server = Server::start();
    let here = server.directory.path();
    let addr = server.address.as_str();
    let (code, out, err) = run(
        here,
        &[
            "grant",
            "team-a",
            "100.50",
            "--addr",
            addr,
            "--source",
            "monthly plan",
            "--request-id",
            "order 17",
            "--expire-time",
            "2999-01-01T00:00:00Z",
            "--service",
            "ai_scripts",
            "--label",
            "k=v",
            "--priority",
            "-1",
        ],
    );
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let mut ids = Ids::default();
    assert_eq!(
        ids.symbols(&out),
        "granted     100.5\navailable   100.5\naccount     team-a\ngrant       $g1\nentry       $e1\nrequest_id  order 17\n"
    );
    // Without a request_id each grant is a new one; with one it is given once.
    for _ in 0..2 {
        let (code, _, _) = run(here, &["grant", "team-a", "1", "--addr", addr]);
        assert_eq!(code, Some(0));
    }
    let again = [
        "grant",
        "team-b",
        "7",
        "--addr",
        addr,
        "--request-id",
        "x",
        "--json",
    ];
    run(here, &again);
    let (_, out, _) = run(here, &again);
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (value["replayed"].as_bool(), value["available"].as_str()),
        (Some(true), Some("7"))
    );

    let (code, out, _) = run(here, &["balance", "team-a", "--addr", addr]);
    assert_eq!(code, Some(0));
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[1], "available  102.5");
    assert_eq!(lines[4], "version    3");
    // Columns are as wide as their widest cell, the ids among them.
    let expected = [
        "GRANT  REMAINING     OF  HELD  PRIORITY  EXPIRES               SOURCE        SERVICES",
        "$g1        100.5  100.5     0        -1  2999-01-01T00:00:00Z  monthly plan  ai_scripts",
        "$g2            1      1     0         0  never                               all",
        "$g3            1      1     0         0  never                               all",
    ];
    for (line, expected) in lines[6..].iter().zip(expected) {
        let (id, cells) = line.split_once(' ').unwrap();
        let (expected_id, expected_cells) = expected.split_once(' ').unwrap();
        let id = if id == "GRANT" {
            id.to_owned()
        } else {
            ids.symbols(id)
        };
        assert_eq!(
            (id.as_str(), cells.trim()),
            (expected_id, expected_cells.trim())
        );
    }
    assert_eq!(lines.len(), 6 + expected.len());
    let (_, out, _) = run(
        here,
        &[
            "balance",
            "team-a",
            "--addr",
            addr,
            "--json",
            "--as-of",
            "2020-01-01T00:00:00Z",
        ],
    );
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(value["balance"]["available"], "0");
    assert_eq!(value["balance"]["version"], "0");

    let (code, _, err) = run(here, &["balance", "nobody", "--addr", addr]);
    assert_eq!(code, Some(4));
    assert_eq!(
        err,
        "creditd: account \"nobody\" does not exist; its first \"creditd grant\" opens it (ACCOUNT_NOT_FOUND)\n"
    );
    let (code, _, err) = run(
        here,
        &[
            "grant",
            "team-a",
            "1e3",
            "--addr",
            addr,
            "--request-id",
            "y",
        ],
    );
    assert_eq!(code, Some(3));
    assert_eq!(
        err,
        "creditd: credits \"1e3\" is no amount: only digits and one point are allowed; write it like \"12\" or \"0.25\" (INVALID_AMOUNT); the request_id was y\n"
    );
}

#[test]
fn help_shows_examples_that_work() {
    let (code, out, _) = in_nowhere(&["--help"]);
    assert_eq!(code, Some(0));
    assert!(out.contains("Examples:"));
    for command in [
        "serve",
        "estimate",
        "rates",
        "balance",
        "grant",
        "health",
        "completion",
        "man",
    ] {
        let (code, out, _) = in_nowhere(&[command, "--help"]);
        assert_eq!(code, Some(0));
        assert!(out.contains("Examples:\n  creditd "), "{command}: {out}");
    }
    // Those that need no server and no file of the reader's own.
    let (_, out, _) = in_nowhere(&["estimate", "--help"]);
    let examples = out.lines().filter(|line| {
        line.starts_with("  creditd estimate")
            && !line.contains("prices.toml")
            && !line.contains("--addr")
    });
    let mut count = 0;
    for example in examples {
        let args: Vec<&str> = example.split_whitespace().skip(1).collect();
        assert_eq!(in_nowhere(&args).0, Some(0), "{example}");
        count += 1;
    }
    assert!(count >= 3);
    let (code, out, err) = in_nowhere(&[]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(err.contains("Usage: creditd <COMMAND>"), "{err}");
    let (_, out, _) = in_nowhere(&["--version"]);
    assert_eq!(out, format!("creditd {}\n", env!("CARGO_PKG_VERSION")));
}

/// The first lines of a server: where it listens, what it serves, what to try.
#[test]
fn serve_says_how_to_try_it() {
    let server = Program::start();
    let lines: Vec<&str> = server.banner.lines().collect();
    assert_eq!(
        lines[0],
        format!(
            "creditd {} listens on {}",
            env!("CARGO_PKG_VERSION"),
            server.address
        )
    );
    assert_eq!(
        lines[1],
        "rate card    jogg-api-v2 (JoggAI API v2), 11 services, revision c38700ee0fd4aef8bef7eadf"
    );
    assert_eq!(
        lines[2],
        format!("data file    {}", server.data().display())
    );
    let commands: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("  "))
        .collect();
    assert_eq!(commands.len(), 3);
    assert!(
        commands[0].starts_with("grpcurl -plaintext -d '{\"usage\""),
        "{}",
        commands[0]
    );
    for command in &commands[1..] {
        let args: Vec<&str> = command.split_whitespace().skip(1).collect();
        assert_eq!(run(server.directory.path(), &args).0, Some(0), "{command}");
    }
}
