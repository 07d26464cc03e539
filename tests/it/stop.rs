//! Servers that stop: drained, within a bound.

use std::time::Instant;

use rustix::process::Signal;

use crate::support::raw::{Raw, frame};
use crate::support::server::Server;
use crate::support::{balance, grant};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn both_signals_stop_an_idle_server_in_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::start();
        // An open connection without calls does not hold it up.
        let mut ledger = server.ledger().await;
        ledger.grant(grant("r1", "team-a", "1")).await.unwrap();
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0));
        let log = server.log();
        assert!(
            log.contains("stopping") && log.contains("stopped started=1 handled=1 refused=0"),
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
    Server,
    Raw,
    (h2::client::ResponseFuture, h2::SendStream<bytes::Bytes>),
) {
    let server = Server::start_with(&["--drain-ms-max", drain_ms_max]);
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
