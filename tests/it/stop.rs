//! Servers that stop: drained, within a bound.

use std::time::Instant;

use rustix::process::Signal;

use crate::support::server::Server;
use crate::support::{PATIENCE, balance, grant};

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

/// A connection that does not finish its call is cut when the bound is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_drain_has_a_bound() {
    let mut server = Server::start_with(&["--drain-ms-max", "300"]);
    let stream = tokio::net::TcpStream::connect(&server.address)
        .await
        .unwrap();
    let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
    let driver = tokio::spawn(connection);
    let request = http::Request::post(format!(
        "http://{}/creditd.v1.LedgerService/Grant",
        server.address
    ))
    .header("content-type", "application/grpc")
    .header("te", "trailers")
    .body(())
    .unwrap();
    // A call whose body never comes.
    let (_response, _body) = sender.send_request(request, false).unwrap();
    sender = sender.ready().await.unwrap();
    let start = Instant::now();
    // It is under way only when the server has seen it.
    let mut ping = None;
    while ping.is_none() && start.elapsed() < PATIENCE {
        let mut ledger = server.ledger().await;
        ping = ledger.grant(grant("r1", "team-a", "1")).await.ok();
    }
    server.signal(Signal::TERM);
    let stopping = Instant::now();
    assert_eq!(server.wait().code(), Some(0));
    assert!(
        stopping.elapsed().as_millis() >= 290,
        "it waited for the call"
    );
    assert!(
        server.log().contains("--drain-ms-max is over"),
        "{}",
        server.log()
    );
    drop(sender);
    let _ = driver.await;
}

/// A second signal ends the wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_second_signal_ends_the_drain() {
    let mut server = Server::start_with(&["--drain-ms-max", "600000"]);
    let stream = tokio::net::TcpStream::connect(&server.address)
        .await
        .unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    let driver = tokio::spawn(connection);
    let mut sender = sender.ready().await.unwrap();
    let request = http::Request::post(format!(
        "http://{}/creditd.v1.LedgerService/Grant",
        server.address
    ))
    .header("content-type", "application/grpc")
    .body(())
    .unwrap();
    let (_response, _body) = sender.send_request(request, false).unwrap();
    let mut sender = sender.ready().await.unwrap();
    // Another call on the same connection: the first one has arrived before it.
    let request = http::Request::post(format!(
        "http://{}/creditd.v1.Nothing/Nothing",
        server.address
    ))
    .header("content-type", "application/grpc")
    .body(())
    .unwrap();
    let (response, _) = sender.send_request(request, true).unwrap();
    response.await.unwrap();
    server.signal(Signal::TERM);
    server.wait_for_log("stopping");
    server.signal(Signal::INT);
    assert_eq!(server.wait().code(), Some(0));
    assert!(server.log().contains("a second signal"), "{}", server.log());
    let _ = driver.await;
}
