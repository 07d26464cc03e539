//! Servers that stop: drained, within a bound.

use std::time::Instant;

use creditd::rpc::pb::creditd::v1 as pb;
use prost::Message as _;
use rustix::process::Signal;

use crate::support::raw::{Raw, compressed, frame};
use crate::support::server::Program;
use crate::support::{balance, estimate, grant, usage};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn both_signals_stop_an_idle_server_in_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Program::start();
        // An open connection without calls does not hold it up.
        let mut ledger = server.ledger().await;
        ledger.grant(grant("r1", "team-a", "1")).await.unwrap();
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0));
        let log = server.log();
        assert!(
            log.contains("stopping")
                && log.contains("stopped started=1 handled=1 refused=0 cancelled=0"),
            "{log}"
        );
        // Whoever calls now is told that nobody is there.
        assert!(ledger.get_balance(balance("team-a")).await.is_err());
        // The file is closed: its log is gone.
        assert!(!server.directory.path().join("creditd.db-wal").exists());
    }
}

/// A server with a call under way whose body never comes.
async fn with_a_stuck_call(
    drain_ms_max: &str,
) -> (
    Program,
    Raw,
    (h2::client::ResponseFuture, h2::SendStream<bytes::Bytes>),
) {
    let server = Program::start_with(&["--drain-ms-max", drain_ms_max]);
    let mut raw = Raw::connect(&server).await;
    let stuck = raw.begin("/creditd.v1.LedgerService/Grant", &[]).await;
    // Answered on the same connection: the stuck call has arrived before it.
    let answer = raw
        .send("/creditd.v1.Nothing/Nothing", &[], frame(0, &[]))
        .await;
    assert!(answer.status.is_some());
    (server, raw, stuck)
}

/// A call that does not finish is waited for, and cut when the bound is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_drain_has_a_bound() {
    let (mut server, _raw, _stuck) = with_a_stuck_call("900").await;
    server.signal(Signal::TERM);
    let stopping = Instant::now();
    assert_eq!(server.wait().code(), Some(0));
    assert!(
        stopping.elapsed().as_millis() >= 890,
        "it waited for the call"
    );
    let log = server.log();
    assert!(log.contains("--drain-ms-max is over"), "{log}");
}

/// Every call that had come is answered, also where that takes a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn calls_that_came_before_the_signal_are_answered() {
    let mut server =
        Program::start_with(&["--drain-ms-max", "60000", "--deadline-ms-max", "60000"]);
    let request = pb::BatchEstimateRequest {
        usages: vec![usage("lip_sync_video", "31s"); 3_000],
        ..pb::BatchEstimateRequest::default()
    };
    let body = compressed(request).await;
    let mut raw = Raw::connect(&server).await;
    let path = "/creditd.v1.PricingService/BatchEstimate";
    let mut calls = Vec::new();
    // The limit on calls lets so many batches in.
    for _ in 0..100 {
        let (response, mut out) = raw.begin(path, &[("grpc-encoding", "gzip")]).await;
        out.send_data(body.clone(), true).unwrap();
        calls.push(response);
    }
    // Sent after them on the same connection: they are there.
    let path = "/creditd.v1.PricingService/Estimate";
    let last = frame(0, &estimate("lip_sync_video", "31s").encode_to_vec());
    let last = raw.send(path, &[], last).await;
    assert_eq!(last.status.unwrap().code(), tonic::Code::Ok);
    server.signal(Signal::TERM);
    for (number, call) in calls.into_iter().enumerate() {
        let answer = Raw::answer(call).await;
        let status = answer.status.unwrap();
        assert_eq!(status.code(), tonic::Code::Ok, "call {number}: {status}");
        assert!(answer.body.len() > 100_000, "{} bytes", answer.body.len());
    }
    assert_eq!(server.wait().code(), Some(0));
}

/// A second signal ends the wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_second_signal_ends_the_drain() {
    let (mut server, _raw, _stuck) = with_a_stuck_call("600000").await;
    server.signal(Signal::TERM);
    server.wait_for_log("stopping");
    server.signal(Signal::INT);
    assert_eq!(server.wait().code(), Some(0));
    assert!(server.log().contains("a second signal"), "{}", server.log());
}
