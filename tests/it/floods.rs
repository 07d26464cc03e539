use std::time::{Duration, Instant};

use creditd::rpc::pb::creditd::v1 as pb;
use creditd::rpc::pb::creditd::v1::ledger_service_client::LedgerServiceClient;
use tokio::task::JoinSet;
use tonic::Code;
use tonic::transport::Channel;

use crate::support::PATIENCE;
use crate::support::server::Program;

/// Lines of the log in which a call of GetBalance was refused by a reason of its own.
fn refused(log: &str) -> usize {
    let lines = log.lines().filter(|line| line.contains("GetBalance"));
    lines
        .filter(|line| line.contains("ACCOUNT_NOT_FOUND"))
        .count()
}

/// How many calls the log says were refused without a line of their own.
fn told(log: &str) -> usize {
    let lines = log.lines().filter(|line| {
        line.contains("refused, beside those with a line of their own")
            && line.contains("GetBalance")
            && line.contains("NotFound")
    });
    let calls = lines.filter_map(|line| line.split_once("calls="));
    let calls = calls.map(|(_, rest)| rest.split_whitespace().next().unwrap());
    calls.map(|calls| calls.parse::<usize>().unwrap()).sum()
}

async fn ask(mut ledger: LedgerServiceClient<Channel>) {
    let account = "nobody".to_owned();
    let request = pb::GetBalanceRequest {
        account,
        as_of: None,
    };
    let refused = ledger.get_balance(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
}

/// Ten lines a second have each a call; how many others there were is told once a second.
#[tokio::test]
async fn a_flood_of_refusals_does_not_fill_the_log() {
    const CALLS: usize = 2_000;
    let server = Program::start();
    let ledger = server.ledger().await;
    let start = Instant::now();
    let mut calls = JoinSet::new();
    for _ in 0..CALLS {
        calls.spawn(ask(ledger.clone()));
    }
    calls.join_all().await;
    let seconds = start.elapsed().as_secs() + 2;
    let log = loop {
        let log = server.log();
        if refused(&log) + told(&log) == CALLS {
            break log;
        }
        assert!(start.elapsed() < PATIENCE, "{log}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let lines = refused(&log);
    assert!(
        (10..=10 * seconds as usize).contains(&lines),
        "{lines} lines in {seconds} s"
    );
    // A kind of call that is refused seldom still has its lines.
    let unknown = pb::GetHoldRequest {
        account: "nobody".to_owned(),
        ..pb::GetHoldRequest::default()
    };
    ledger.clone().get_hold(unknown).await.unwrap_err();
    server.wait_for_log("GetHold");
}

/// What is not logged is not counted for the log either.
#[tokio::test]
async fn a_level_that_is_off_says_nothing_of_calls() {
    let server = Program::start_with(&["--log-level", "error"]);
    let ledger = server.ledger().await;
    for _ in 0..100 {
        ask(ledger.clone()).await;
    }
    let log = server.stop();
    let log = std::fs::read_to_string(log.path().join("log")).unwrap();
    assert!(!log.contains("GetBalance"), "{log}");
}
