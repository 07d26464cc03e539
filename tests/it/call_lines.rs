//! The line that the log has of a refused or a slow call: whose it was, of which trace, and where
//! its time went.

use std::time::Duration;

use creditd::rpc::pb::creditd::v1 as pb;
use prost::Message as _;
use serde_json::Value;

use crate::support::raw::{Raw, frame};
use crate::support::requests::charge;
use crate::support::server::{Program, Settings};
use crate::support::wait_until;

const KEY: &str = "a-key-for-the-tests-of-lines";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn start() -> Program {
    let args = ["--log-format", "json", "--slow-call-ms", "40"];
    Program::start_settings(Settings {
        args: args.map(str::to_owned).to_vec(),
        variables: vec![("CREDITD_ADMIN_KEY", KEY.into())],
        ..Settings::default()
    })
}

/// The line of the log with this message about that method.
fn line(server: &Program, message: &str, method: &str) -> Value {
    let mut found = None;
    wait_until("the log has the line", || {
        let log = server.log();
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        found = lines.into_iter().find(|line: &Value| {
            let of = line["method"].as_str().unwrap_or_default();
            line["message"] == message && of.ends_with(method)
        });
        found.is_some()
    });
    found.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_refused_call_has_a_line_that_says_whose_it_was() {
    let server = start();
    let mut raw = Raw::connect(&server).await;
    let authorization = format!("Bearer {KEY}");
    let traceparent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let headers = [
        ("authorization", authorization.as_str()),
        ("traceparent", traceparent.as_str()),
        ("x-request-id", "web-42"),
    ];
    let message = charge("c1", "team-a", "1").encode_to_vec();
    raw.send(
        "/creditd.v1.LedgerService/Charge",
        &headers,
        frame(0, &message),
    )
    .await;
    let refused = line(&server, "refused", "Charge");
    for (field, expected) in [
        ("x_request_id", "web-42"),
        ("trace_id", TRACE),
        ("key_id", "admin"),
        ("account", "team-a"),
        ("reason", "ACCOUNT_NOT_FOUND"),
        ("code", "NotFound"),
        ("level", "INFO"),
    ] {
        assert_eq!(refused[field], expected, "{refused:#}");
    }
    // It was decided, and there was nothing to write.
    let ledger = ["queue_us", "decide_us", "commit_us"].map(|stage| refused[stage].as_u64());
    assert!(matches!(ledger, [Some(_), Some(_), None]), "{refused:#}");
    let peer = refused["peer"].as_str().unwrap();
    assert!(peer.starts_with("127.0.0.1:"), "{refused:#}");
    let stages = ["read_us", "answer_us", "send_us"].map(|stage| refused[stage].as_u64().unwrap());
    let all = refused["elapsed_us"].as_u64().unwrap();
    // Each is cut to whole microseconds.
    assert!(stages.iter().sum::<u64>().abs_diff(all) <= 3, "{refused:#}");
    assert!(!server.log().contains(KEY));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_slow_call_has_a_line_that_says_where_its_time_went() {
    let server = start();
    let mut raw = Raw::connect(&server).await;
    let authorization = format!("Bearer {KEY}");
    let headers = [("authorization", authorization.as_str())];
    let request = pb::GrantRequest {
        request_id: "g1".to_owned(),
        account: "team-a".to_owned(),
        credits: "5".to_owned(),
        ..pb::GrantRequest::default()
    };
    let (answer, mut body) = raw.begin("/creditd.v1.LedgerService/Grant", &headers).await;
    // A slow peer on purpose.
    tokio::time::sleep(Duration::from_millis(60)).await;
    body.send_data(frame(0, &request.encode_to_vec()).into(), true)
        .unwrap();
    let answer = answer.await.unwrap();
    drop(answer);
    let slow = line(&server, "slow", "Grant");
    assert_eq!(slow["account"], "team-a", "{slow:#}");
    assert_eq!(slow["key_id"], "admin", "{slow:#}");
    assert_eq!(slow["level"], "WARN", "{slow:#}");
    assert!(slow["read_us"].as_u64().unwrap() >= 40_000, "{slow:#}");
    assert!(
        slow["elapsed_us"].as_u64() >= slow["read_us"].as_u64(),
        "{slow:#}"
    );
    assert!(slow.get("trace_id").is_none(), "{slow:#}");
    // A sync of the disk takes longer than nothing.
    let stage = |name: &str| slow[name].as_u64().unwrap();
    let ledger = ["queue_us", "decide_us", "commit_us"].map(stage);
    assert!(ledger[2] > 0, "{slow:#}");
    assert!(ledger.iter().sum::<u64>() <= stage("answer_us"), "{slow:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_call_that_never_went_to_the_ledger_has_no_times_of_it() {
    let server = start();
    let mut raw = Raw::connect(&server).await;
    let authorization = format!("Bearer {KEY}");
    let headers = [("authorization", authorization.as_str())];
    let message = charge("c1", "team-a", "x").encode_to_vec();
    let path = "/creditd.v1.LedgerService/Charge";
    raw.send(path, &headers, frame(0, &message)).await;
    let refused = line(&server, "refused", "Charge");
    assert_eq!(refused["reason"], "INVALID_AMOUNT", "{refused:#}");
    for stage in ["queue_us", "decide_us", "commit_us"] {
        assert!(refused.get(stage).is_none(), "{refused:#}");
    }
}
