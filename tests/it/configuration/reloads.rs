//! The configuration of a running server is read again: all of it is taken, or nothing.

use creditd::rpc::client;
use creditd::rpc::pb::creditd::v1 as pb;

use super::{FILE, reload, serve, serve_with, write};
use crate::support::rate_cards::card_text;
use crate::support::refusal::refused;
use crate::support::server::{Program, run};
use crate::support::{PATIENCE, balance, estimate, grant, wait_until};

/// A file without options.
const NOTHING: &str = "# nothing\n";

/// Each option that a reload takes, as it was and as it is.
const TAKEN: &[(&str, &str, &str)] = &[
    ("account_calls_per_second_max", "0", "1000"),
    ("watchers_max", "1024", "3"),
    ("calls_max", "8192", "100"),
    ("call_memory_mib_max", "256", "64"),
    ("connections_max", "4096", "50"),
    ("connection_idle_seconds_max", "600", "5"),
    ("connection_age_seconds_max", "3600", "60"),
    ("deadline_ms_max", "30000", "1000"),
    ("drain_ms_max", "10000", "9"),
    ("log_calls", "false", "true"),
    ("log_level", "info", "debug"),
];

fn file(options: &[(&str, &str)]) -> String {
    let line = |(key, value): &(&str, &str)| match *key {
        "log_level" => format!("{key} = \"{value}\"\n"),
        _ => format!("{key} = {value}\n"),
    };
    options.iter().map(line).collect()
}

#[test]
fn each_limit_is_taken_and_named() {
    let server = serve("", &[]);
    let after: Vec<_> = TAKEN.iter().map(|(key, _, new)| (*key, *new)).collect();
    let told = reload(&server, &file(&after));
    for (key, old, new) in TAKEN {
        assert!(told.contains(&format!("{key}: {old} -> {new}")), "{told}");
    }
    assert!(reload(&server, &file(&after)).contains("nothing changed"));
    // One at a time, back to the defaults.
    for (key, old, new) in TAKEN {
        let others: Vec<_> = after.iter().filter(|(k, _)| k != key).copied().collect();
        let told = reload(&server, &file(&others));
        assert!(
            told.contains(&format!("\"{key}: {new} -> {old}\"")),
            "{key}: {told}"
        );
        reload(&server, &file(&after));
    }
}

async fn watch(
    server: &Program,
) -> Result<tonic::Streaming<pb::WatchBalanceResponse>, tonic::Status> {
    let request = pb::WatchBalanceRequest {
        account: "team-a".to_owned(),
    };
    let mut ledger = server.ledger().await;
    Ok(ledger.watch_balance(request).await?.into_inner())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_hold_at_once() {
    let server = serve("watchers_max = 0\n", &[]);
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-a", "5")).await.unwrap();
    // Watches.
    let refusal = refused(watch(&server).await.map(tonic::Response::new));
    assert_eq!(refusal.reason, "TOO_MANY_WATCHERS");
    reload(&server, "watchers_max = 1\n");
    let mut first = watch(&server).await.unwrap();
    assert!(first.message().await.unwrap().is_some());
    let refusal = refused(watch(&server).await.map(tonic::Response::new));
    assert_eq!(refusal.metadata["limit"], "1");

    // Calls that name an account.
    reload(&server, "account_calls_per_second_max = 1\n");
    let mut reasons = Vec::new();
    for _ in 0..20 {
        if let Err(status) = ledger.get_balance(balance("team-a")).await {
            reasons.push(crate::support::refusal::Refusal::of(&status).reason);
        }
    }
    assert!(!reasons.is_empty() && reasons.iter().all(|reason| reason == "RATE_LIMITED"));
    reload(&server, NOTHING);
    for _ in 0..20 {
        ledger.get_balance(balance("team-a")).await.unwrap();
    }

    // Connections: those that there are stay.
    reload(&server, "connections_max = 1\n");
    let connecting = tokio::time::timeout(PATIENCE, async {
        let mut pricing = server.pricing().await;
        pricing.estimate(estimate("ai_scripts", "x1")).await
    });
    let failed = std::panic::AssertUnwindSafe(connecting);
    let failed = futures_util::FutureExt::catch_unwind(failed).await;
    assert!(!matches!(failed, Ok(Ok(Ok(_)))), "one connection too many");
    server.wait_for_log("a connection was refused: --connections-max");
    ledger.get_balance(balance("team-a")).await.unwrap();
    reload(&server, NOTHING);

    // The log: of successful calls, and its level.
    let mut pricing = server.pricing().await;
    let calls = || server.log().matches("PricingService/Estimate").count();
    pricing
        .estimate(estimate("ai_scripts", "x1"))
        .await
        .unwrap();
    assert_eq!(calls(), 0);
    reload(&server, "log_calls = true\n");
    pricing
        .estimate(estimate("ai_scripts", "x1"))
        .await
        .unwrap();
    wait_until("the call is logged", || calls() == 1);
    let told = reload(&server, "log_calls = true\nlog_level = \"error\"\n");
    assert!(told.contains("log_level: info -> error"), "{told}");
    pricing
        .estimate(estimate("ai_scripts", "x1"))
        .await
        .unwrap();
    let told = reload(&server, "log_calls = true\n");
    assert!(told.contains("log_level: error -> info"), "{told}");
    pricing
        .estimate(estimate("ai_scripts", "x1"))
        .await
        .unwrap();
    wait_until("the next call is logged", || calls() >= 2);
    assert_eq!(calls(), 2, "{}", server.log());
}

/// One problem is enough, and all of them are told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_is_taken_or_nothing() {
    const KEYS: &str = "a-key-of-the-administrators\n";
    let with = "rate_card_file = [\"card.toml\"]\nadmin_key_file = \"keys\"\nwatchers_max = 7\n";
    let server = serve_with(with, &[], &|path| {
        std::fs::write(path.join("card.toml"), card_text("plan", "1")).unwrap();
        std::fs::write(path.join("keys"), KEYS).unwrap();
    });
    let path = server.directory.path().to_owned();
    let price = async || {
        let each = client::EachCall {
            deadline: Some(PATIENCE),
            authorization: Some(format!("Bearer {}", KEYS.trim()).parse().unwrap()),
        };
        let uri = format!("http://{}", server.address);
        let connection = client::connect(&uri, PATIENCE, each, None).await.unwrap();
        let mut pricing = client::pricing(connection);
        let reply = pricing.estimate(estimate("work", "x1")).await.unwrap();
        reply.into_inner().estimate.unwrap().credits
    };
    assert_eq!(price().await, "1");
    std::fs::write(path.join("card.toml"), card_text("plan", "2")).unwrap();
    let changed = with.replace('7', "8");
    let good_keys = format!("{KEYS}another-key-of-the-administrators\n");
    for (text, keys, problems) in [
        (
            format!("{changed}thread = 1\ncalls_max = 0.5\n"),
            "short\n",
            &[
                "creditd.toml:4: unknown key \\\"thread\\\"; did you mean \\\"threads\\\"?",
                "creditd.toml:5: calls_max: invalid type",
                "--admin-key-file keys: a line is no key",
            ][..],
        ),
        (
            changed.clone(),
            "short\n",
            &["--admin-key-file keys: a line is no key"],
        ),
        (
            format!("{changed}calls_max = 0\n"),
            &good_keys,
            &["--calls-max must be more than 0"],
        ),
        (
            format!("{changed}default_rate_card = \"none\"\n"),
            &good_keys,
            &["--default-rate-card \\\"none\\\" names no rate card"],
        ),
    ] {
        std::fs::write(path.join("keys"), keys).unwrap();
        let told = reload(&server, &text);
        let (line, _) = told.split_once('\n').unwrap();
        assert!(line.starts_with("configuration not reloaded"), "{told}");
        for problem in problems {
            assert!(line.contains(problem), "{problem}: {told}");
        }
        // Neither the price nor the limit is another one.
        assert_eq!(price().await, "1");
    }
    let told = reload(&server, &changed);
    for change in [
        "watchers_max: 7 -> 8",
        "rate card \\\"plan\\\": ",
        "admin keys: 0 ended -> 1 new",
    ] {
        assert!(told.contains(change), "{change}: {told}");
    }
    assert_eq!(price().await, "2");
}

#[test]
fn what_needs_a_restart_is_named() {
    let server = serve("threads = 1\n", &[]);
    let told = reload(
        &server,
        "threads = 2\nreflection = \"off\"\ncalls_max = 9\n",
    );
    assert!(told.contains("\"calls_max: 8192 -> 9\""), "{told}");
    for change in ["threads: 1 -> 2", "reflection: on -> off"] {
        server.wait_for_log(change);
    }
    server.wait_for_log("these changed options are taken by a restart alone");
    // What only a start could take is checked, too.
    let told = reload(&server, "threads = 0\n");
    assert!(told.contains("--threads must be 1 to 256"), "{told}");
    let told = reload(&server, "threads = 1\n");
    assert!(told.contains("calls_max: 9 -> 8192"), "{told}");
    assert!(!told.contains("restart"), "{told}");
}

/// The command line and the environment win, also then.
#[test]
fn the_file_comes_last() {
    let server = serve("calls_max = 5\n", &["--calls-max", "7"]);
    let told = reload(&server, "calls_max = 6\n");
    assert!(told.contains("nothing changed"), "{told}");
}

#[test]
fn it_can_be_asked_for_by_a_call() {
    let server = serve("calls_max = 5\n", &[]);
    let directory = server.directory.path().to_owned();
    let asked = |more: &[&str]| {
        let args = [&["reload", "--addr", &server.address], more].concat();
        run(&directory, &args)
    };
    write(&directory, "calls_max = 6\nthreads = 7\n");
    let (status, out, err) = asked(&[]);
    assert_eq!((status, err.as_str()), (Some(0), ""), "{out}");
    let (changes, restart) = out.split_once('\n').unwrap();
    assert_eq!(changes, "calls_max: 5 -> 6");
    assert!(restart.starts_with("needs a restart: threads: "), "{out}");
    write(&directory, "calls_max = 6\n");
    assert_eq!(asked(&[]).1, "nothing changed\n");
    let (_, out, _) = asked(&["--json"]);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&out).unwrap(),
        serde_json::json!({"changes": [], "need_restart": []})
    );
    write(&directory, "calls_maxx = 6\nthread = 7\n");
    let (status, out, err) = asked(&[]);
    assert_eq!((status, out.as_str()), (Some(3), ""));
    let expected = format!(
        "configuration {FILE}:1: unknown key \"calls_maxx\"; did you mean \"calls_max\"?; configuration {FILE}:2: unknown key \"thread\"; did you mean \"threads\"?"
    );
    assert!(err.contains(&expected), "{err}");
    let (_, _, err) = asked(&["--json"]);
    let error: serde_json::Value = serde_json::from_str(&err).unwrap();
    assert_eq!(error["error"]["reason"], "CONFIG_NOT_RELOADED");
    assert_eq!(error["error"]["metadata"]["problems"], expected.as_str());
}

/// A file that is being written is empty for a moment; one that is a pipe has no end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_cannot_be_meant_changes_nothing() {
    let server = serve("calls_max = 100\n", &[]);
    let path = server.directory.path().join(FILE);
    for (change, problem) in [
        (&["sh", "-c", ": > creditd.toml"][..], "it is empty"),
        (
            &["sh", "-c", "rm creditd.toml; mkfifo creditd.toml"],
            "it is no regular file",
        ),
    ] {
        let done = std::process::Command::new(change[0])
            .args(&change[1..])
            .current_dir(server.directory.path())
            .status();
        assert!(done.unwrap().success() && path.exists());
        let args = ["reload", "--addr", &server.address];
        let (status, _, err) = run(server.directory.path(), &args);
        assert_eq!(status, Some(3), "{err}");
        assert!(err.contains(problem), "{err}");
    }
    std::fs::remove_file(&path).unwrap();
    let told = reload(&server, "calls_max = 101\n");
    assert!(told.contains("calls_max: 100 -> 101"), "{told}");
}
