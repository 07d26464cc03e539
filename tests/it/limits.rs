//! Limits of time, number and size, on the running server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use creditd::rpc::pb::creditd::v1 as pb;
use prost::Message as _;
use tonic::Code;
use tonic::codec::CompressionEncoding;

use crate::support::raw::{Raw, compressed, frame};
use crate::support::refusal::{Refusal, refused};
use crate::support::server::{Program, Running, Server};
use crate::support::unread::Unread;
use crate::support::{PATIENCE, balance, estimate, grant, usage};

const ESTIMATE: &str = "/creditd.v1.PricingService/Estimate";

async fn still_serves(server: &Running) {
    let mut pricing = server.pricing().await;
    let reply = pricing.estimate(estimate("lip_sync_video", "31s")).await;
    assert_eq!(
        reply.unwrap().into_inner().estimate.unwrap().credits,
        "0.248"
    );
}

#[tokio::test]
async fn a_deadline_that_passes_is_deadline_exceeded() {
    let server = Server::start_with(&["--deadline-ms-max", "400"]);
    let mut raw = Raw::connect(&server).await;
    for (timeout, expected) in [(Some("60m"), "60"), (Some("1H"), "400"), (None, "400")] {
        let headers: Vec<_> = timeout
            .map(|text| ("grpc-timeout", text))
            .into_iter()
            .collect();
        let (response, _body) = raw.begin(ESTIMATE, &headers).await;
        let response = response.await.unwrap();
        let status = tonic::Status::from_header_map(response.headers()).unwrap();
        let refusal = Refusal::of(&status);
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (Code::DeadlineExceeded, "DEADLINE_EXCEEDED")
        );
        assert_eq!(refusal.metadata["deadline_ms"], expected, "{timeout:?}");
    }
    still_serves(&server).await;
}

#[tokio::test]
async fn calls_over_the_limit_are_shed_and_told_when_to_come_back() {
    let server = Server::start_with(&["--calls-max", "2"]);
    let mut raw = Raw::connect(&server).await;
    // Calls whose replies are not read are in flight.
    let unread = Unread::connect(&server).await;
    let request = estimate("lip_sync_video", "31s");
    let mut replies = Vec::new();
    for _ in 0..2 {
        let reply = unread.call(ESTIMATE, &request).await.await.unwrap();
        assert_eq!(reply.headers().get("grpc-status"), None);
        replies.push(reply);
    }
    let good = frame(0, &request.encode_to_vec());
    let answer = raw.send(ESTIMATE, &[], good.clone()).await;
    let status = answer.status.unwrap();
    let refusal = Refusal::of(&status);
    assert_eq!(
        (refusal.code, refusal.reason.as_str()),
        (Code::Unavailable, "SERVER_OVERLOADED")
    );
    let details = pb_status(&status);
    assert!(
        details
            .details
            .iter()
            .any(|any| any.type_url.ends_with("google.rpc.RetryInfo")),
        "{details:?}"
    );
    // Health is still told.
    let mut health = tonic_health::pb::health_client::HealthClient::new(server.channel().await);
    let request = tonic_health::pb::HealthCheckRequest::default();
    health.check(request).await.unwrap();
    // When they are given up, there is room again.
    drop((replies, unread));
    let start = Instant::now();
    let mut pricing = server.pricing().await;
    while pricing
        .estimate(estimate("lip_sync_video", "31s"))
        .await
        .is_err()
    {
        assert!(start.elapsed() < PATIENCE);
    }
}

fn pb_status(status: &tonic::Status) -> creditd::rpc::pb::google::rpc::Status {
    creditd::rpc::pb::google::rpc::Status::decode(status.details()).unwrap()
}

/// A small message that grows large when it is unpacked.
#[tokio::test]
async fn a_gzip_bomb_is_too_large() {
    let server = Server::start();
    let request = estimate(&"x".repeat(4 * 1024 * 1024), "31s");
    let gzip = CompressionEncoding::Gzip;
    let mut pricing = server.pricing().await.send_compressed(gzip);
    let refusal = refused(pricing.estimate(request).await);
    assert_eq!(
        (refusal.code, refusal.reason.as_str()),
        (Code::ResourceExhausted, "MESSAGE_TOO_LARGE")
    );
    still_serves(&server).await;
}

/// Two bytes on the wire are hundreds in memory: a message that is too large is refused before
/// it is decompressed.
#[tokio::test]
async fn a_batch_of_millions_is_refused_unread() {
    let server = Server::start();
    let mut raw = Raw::connect(&server).await;
    let items = [0x0a, 0x00].repeat(2_000_000);
    for (method, field) in [
        ("PricingService/BatchEstimate", "usages"),
        ("LedgerService/BatchCharge", "charges"),
    ] {
        let path = format!("/creditd.v1.{method}");
        let refusal = raw.refusal(&path, &[], frame(0, &items)).await;
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (Code::InvalidArgument, "TOO_MANY_ITEMS")
        );
        assert_eq!(
            (refusal.paths(), refusal.metadata["size"].as_str()),
            (vec![field], "2000000")
        );
    }
    still_serves(&server).await;
}

/// Thousands of misspelled names cost a few searches, and each is still refused
/// by name.
#[tokio::test]
async fn a_batch_of_misspelled_names_is_answered() {
    let server = Server::start();
    let mut pricing = server.pricing().await;
    let names = (0..5_000).map(|number| format!("lip_sync_vide{number}"));
    let request = pb::BatchEstimateRequest {
        usages: names.map(|name| usage(&name, "1s")).collect(),
        ..pb::BatchEstimateRequest::default()
    };
    let reply = pricing.batch_estimate(request).await.unwrap().into_inner();
    assert_eq!(reply.failed_count, 5_000);
    let nearest = reply.results.iter().filter(|result| {
        let Some(pb::batch_estimate_result::Result::Error(status)) = &result.result else {
            panic!("{result:?}");
        };
        let refusal = Refusal::of_pb(status);
        assert_eq!(refusal.reason, "UNKNOWN_SERVICE");
        refusal.metadata.get("nearest_service").map(String::as_str) == Some("lip_sync_video")
    });
    assert_eq!(nearest.count(), 32);
}

/// A connection with long calls does not keep the other connections of its thread waiting.
#[tokio::test]
async fn a_busy_connection_lets_others_have_their_turn() {
    const BATCHES: usize = 100;
    let server = Server::start_with(&["--threads", "1", "--deadline-ms-max", "60000"]);
    let mut pricing = server.pricing().await;
    let call = || estimate("lip_sync_video", "31s");
    pricing.estimate(call()).await.unwrap();
    // Each takes some milliseconds. Their replies are not read: what counts is when
    // they begin.
    let stream = tokio::net::TcpStream::connect(&server.address)
        .await
        .unwrap();
    let mut builder = h2::client::Builder::new();
    builder.initial_max_send_streams(BATCHES);
    let (sender, connection) = builder.handshake::<_, bytes::Bytes>(stream).await.unwrap();
    tokio::spawn(connection);
    let request = pb::BatchEstimateRequest {
        usages: vec![usage("lip_sync_video", "31s"); 10_000],
        ..pb::BatchEstimateRequest::default()
    };
    // So small that all of them come at once.
    let body = compressed(request).await;
    let answered = Arc::new(AtomicUsize::new(0));
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..BATCHES {
        let path = "/creditd.v1.PricingService/BatchEstimate";
        let post = http::Request::post(format!("http://{}{path}", server.address))
            .header("content-type", "application/grpc")
            .header("grpc-encoding", "gzip")
            .body(())
            .unwrap();
        let (response, mut out) = sender.clone().send_request(post, false).unwrap();
        out.send_data(body.clone(), true).unwrap();
        let answered = answered.clone();
        calls.spawn(async move {
            let response = response.await.unwrap();
            answered.fetch_add(1, Ordering::Relaxed);
            response
        });
    }
    let first = calls.join_next().await.unwrap().unwrap();
    assert_eq!(first.headers().get("grpc-status"), None);
    // Now the thread works on the others.
    pricing.estimate(call()).await.unwrap();
    let meanwhile = answered.load(Ordering::Relaxed);
    assert!(
        meanwhile < BATCHES / 2,
        "{meanwhile} of {BATCHES} came first"
    );
    drop(first);
}

/// A peer that sends requests and reads no replies is disconnected, and its permits are
/// released.
#[tokio::test]
async fn a_peer_that_does_not_read_its_replies_is_let_go() {
    let server = Program::start_with(&["--deadline-ms-max", "100", "--calls-max", "1"]);
    let stream = tokio::net::TcpStream::connect(&server.address)
        .await
        .unwrap();
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(0);
    let (mut sender, connection) = builder.handshake::<_, bytes::Bytes>(stream).await.unwrap();
    let driver = tokio::spawn(connection);
    let path = "/creditd.v1.PricingService/BatchEstimate";
    let request = pb::BatchEstimateRequest {
        usages: vec![usage("lip_sync_video", "31s"); 1_000],
        ..pb::BatchEstimateRequest::default()
    };
    let post = http::Request::post(format!("http://{}{path}", server.address))
        .header("content-type", "application/grpc")
        .body(())
        .unwrap();
    let (response, mut body) = sender.send_request(post, false).unwrap();
    body.send_data(frame(0, &request.encode_to_vec()).into(), true)
        .unwrap();
    let response = response.await.unwrap();
    assert_eq!(response.status(), 200);
    // The batch has the only permit until its reply has left.
    let mut pricing = server.pricing().await;
    let call = || estimate("lip_sync_video", "31s");
    assert_eq!(
        refused(pricing.estimate(call()).await).reason,
        "SERVER_OVERLOADED"
    );
    server.wait_for_log("its peer does not read its replies");
    let start = Instant::now();
    while pricing.estimate(call()).await.is_err() {
        assert!(start.elapsed() < PATIENCE);
    }
    drop(response);
    // The connection has ended.
    let _ = driver.await.unwrap();
}

/// So is one with a large flow-control window that does not read its socket.
#[tokio::test]
async fn a_peer_whose_socket_is_full_is_let_go() {
    let server = Program::start_with(&["--deadline-ms-max", "3000"]);
    let mut ledger = server.ledger().await;
    // Few entries and large ones: they are quickly found, also on a busy machine.
    let labels = (0..16).map(|key| (format!("k{key}"), "x".repeat(256)));
    let labels: std::collections::BTreeMap<_, _> = labels.collect();
    for number in 0..80 {
        let mut grant = grant(&format!("r{number}"), "team-a", "1");
        grant.labels.clone_from(&labels);
        ledger.grant(grant).await.unwrap();
    }
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let address = server.address.parse().unwrap();
    let stream = socket.connect(address).await.unwrap();
    let window = (1 << 31) - 1;
    let mut builder = h2::client::Builder::new();
    builder
        .initial_window_size(window)
        .initial_connection_window_size(window)
        .initial_max_send_streams(80);
    let (sender, connection) = builder.handshake::<_, bytes::Bytes>(stream).await.unwrap();
    // Each reply fits into what may wait of a stream, and all of them into no socket.
    let request = pb::ListEntriesRequest {
        account: "team-a".to_owned(),
        page_size: 80,
        ..pb::ListEntriesRequest::default()
    };
    let body = bytes::Bytes::from(frame(0, &request.encode_to_vec()));
    let path = "/creditd.v1.LedgerService/ListEntries";
    let replies: Vec<_> = (0..40)
        .map(|_| {
            let post = http::Request::post(format!("http://{}{path}", server.address))
                .header("content-type", "application/grpc")
                .body(())
                .unwrap();
            let (response, mut out) = sender.clone().send_request(post, false).unwrap();
            out.send_data(body.clone(), true).unwrap();
            response
        })
        .collect();
    // It says all that it wants, and when the first reply begins nothing moves any more
    // on its side.
    let mut connection = Box::pin(connection);
    let mut replies = replies.into_iter();
    tokio::select! {
        ended = connection.as_mut() => panic!("the connection ended: {ended:?}"),
        reply = replies.next().unwrap() => assert_eq!(reply.unwrap().status(), 200),
    }
    server.wait_for_log("its peer does not read its replies");
    still_serves(&server).await;
    drop(replies);
}

/// A stream of reflection takes no permit of a call, and has a limit of its own.
#[tokio::test]
async fn reflection_takes_no_place_from_calls() {
    let server = Server::start_with(&["--calls-max", "2"]);
    let mut raw = Raw::connect(&server).await;
    let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let mut idle = Vec::new();
    for _ in 0..13 {
        let (response, body) = raw.begin(path, &[]).await;
        idle.push((response.await.unwrap(), body));
    }
    let refusal = raw.refusal(path, &[], Vec::new()).await;
    assert_eq!(
        (refusal.code, refusal.reason.as_str()),
        (Code::Unavailable, "SERVER_OVERLOADED")
    );
    // A quarter of those that are left, to a power of two; another connection has some too.
    assert_eq!(refusal.metadata["limit"], "8");
    assert_eq!(
        refusal.metadata["resource"],
        "streams of reflection of one connection"
    );
    let mut other = Raw::connect(&server).await;
    let answer = other.send(path, &[], Vec::new()).await;
    assert_eq!(answer.status.unwrap().code(), Code::Ok);
    still_serves(&server).await;
    // When one is given up, there is room again.
    idle.pop();
    let start = Instant::now();
    while raw.send(path, &[], Vec::new()).await.status.unwrap().code() != Code::Ok {
        assert!(start.elapsed() < PATIENCE);
    }
}

/// A call takes its permit when its message is whole, and not at its headers or on the way.
#[tokio::test]
async fn what_is_only_announced_takes_no_permit() {
    let server = Server::start_with(&["--calls-max", "1"]);
    let mut raw = Raw::connect(&server).await;
    let mut stuck = Vec::new();
    for path in [ESTIMATE, "/creditd.v1.PricingService/BatchEstimate"] {
        stuck.push(raw.begin(path, &[]).await);
        let (response, mut out) = raw.begin(path, &[]).await;
        let mut part = frame(0, &vec![0; 400 * 1_024]);
        part.truncate(300 * 1_024);
        out.send_data(part.into(), false).unwrap();
        stuck.push((response, out));
    }
    let good = frame(0, &estimate("lip_sync_video", "31s").encode_to_vec());
    let answer = raw.send(ESTIMATE, &[], good).await;
    assert_eq!(answer.status.unwrap().code(), Code::Ok);
}

/// Connections count from the moment they are accepted.
#[tokio::test]
async fn a_burst_of_connections_keeps_to_the_limit() {
    let server = Server::start_with(&["--connections-max", "5"]);
    let mut streams = Vec::new();
    for _ in 0..60 {
        streams.push(
            tokio::net::TcpStream::connect(&server.address)
                .await
                .unwrap(),
        );
    }
    // All but five hear that they are closed; those five do not.
    let mut closed = 0;
    let start = Instant::now();
    while closed < 55 {
        let mut still_open = Vec::new();
        for stream in streams {
            match stream.try_read(&mut [0_u8; 64]) {
                // What the server says of itself when a connection begins.
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    still_open.push(stream);
                }
                Ok(1..) => still_open.push(stream),
                Ok(0) | Err(_) => closed += 1,
            }
        }
        streams = still_open;
        assert!(start.elapsed() < PATIENCE, "{closed} are closed");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(streams.len(), 5);
}

/// A call that waits for the ledger does not delay the drain.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn reads_that_nobody_waits_for_do_not_hold_up_the_stop() {
    let mut server = Server::start();
    let mut ledger = server.ledger().await;
    let first = ledger
        .grant(grant("r", "team-a", "1"))
        .await
        .unwrap()
        .into_inner();
    for number in 0..500 {
        ledger
            .grant(grant(&format!("r{number}"), "team-a", "1"))
            .await
            .unwrap();
    }
    let as_of = first.entry.unwrap().create_time;
    let calls: Vec<_> = (0..1_000)
        .map(|_| {
            let mut ledger = ledger.clone();
            let request = pb::GetBalanceRequest {
                account: "team-a".to_owned(),
                as_of,
            };
            tokio::spawn(async move { ledger.get_balance(request).await })
        })
        .collect();
    // Sent after them on the same connection: they are under way.
    ledger.get_balance(balance("team-a")).await.unwrap();
    for call in calls {
        call.abort();
    }
    let start = Instant::now();
    server.signal_stop();
    server.wait();
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}

/// A peer that sends a part of a request and no more does not delay the drain.
#[tokio::test]
async fn half_a_greeting_does_not_hold_up_the_stop() {
    use tokio::io::AsyncWriteExt as _;
    let mut server = Server::start_with(&["--drain-ms-max", "600000"]);
    let mut stream = tokio::net::TcpStream::connect(&server.address)
        .await
        .unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    still_serves(&server).await;
    server.signal_stop();
    server.wait();
}
