//! Bad input on the wire: one clear refusal for each, and the server goes on.

use creditd::rpc::pb::creditd::v1 as pb;
use prost::Message as _;
use tonic::{Code, Request};

use crate::support::estimate;
use crate::support::raw::{Raw, frame};
use crate::support::refusal::{Refusal, refused};
use crate::support::server::{Program, Running, Server};

const ESTIMATE: &str = "/creditd.v1.PricingService/Estimate";

async fn still_serves(server: &Running) {
    let reply = server
        .pricing()
        .await
        .estimate(estimate("lip_sync_video", "31s"))
        .await;
    assert_eq!(
        reply.unwrap().into_inner().estimate.unwrap().credits,
        "0.248"
    );
}

#[tokio::test]
async fn bytes_that_are_no_message() {
    let server = Server::start();
    let mut raw = Raw::connect(&server).await;
    let good = estimate("lip_sync_video", "31s").encode_to_vec();
    let mut truncated = frame(0, &good);
    truncated.truncate(truncated.len() - 3);
    let mut wrong_utf8 = good.clone();
    wrong_utf8[4] = 0xFF;
    let mut two = frame(0, &good);
    two.extend(frame(0, &good));
    for (what, body, code, reason) in [
        (
            "noise",
            frame(0, &[0xFF; 40]),
            Code::InvalidArgument,
            "MALFORMED_MESSAGE",
        ),
        (
            "a wrong wire type",
            frame(0, &[0x0D, 1, 2, 3, 4]),
            Code::InvalidArgument,
            "MALFORMED_MESSAGE",
        ),
        (
            "text that is no UTF-8",
            frame(0, &wrong_utf8),
            Code::InvalidArgument,
            "MALFORMED_MESSAGE",
        ),
        (
            "a message cut short",
            frame(0, &good[..good.len() - 2]),
            Code::InvalidArgument,
            "MALFORMED_MESSAGE",
        ),
        (
            "a frame cut short",
            truncated,
            Code::InvalidArgument,
            "MALFORMED_MESSAGE",
        ),
        (
            "half a frame's head",
            vec![0, 0, 0],
            Code::InvalidArgument,
            "MALFORMED_MESSAGE",
        ),
        (
            "nothing at all",
            vec![],
            Code::InvalidArgument,
            "MALFORMED_MESSAGE",
        ),
        (
            "two messages",
            two.clone(),
            Code::InvalidArgument,
            "MALFORMED_MESSAGE",
        ),
        (
            "a message and noise",
            [frame(0, &good), frame(0, &[0xFF; 40])].concat(),
            Code::InvalidArgument,
            "MALFORMED_MESSAGE",
        ),
        (
            "a flag that is none",
            frame(7, &good),
            Code::InvalidArgument,
            "MALFORMED_MESSAGE",
        ),
        (
            "compressed without saying how",
            frame(1, &good),
            Code::Unimplemented,
            "UNSUPPORTED_ENCODING",
        ),
        (
            "a length of 4 GiB",
            vec![0, 0xFF, 0xFF, 0xFF, 0xFF, 1],
            Code::ResourceExhausted,
            "MESSAGE_TOO_LARGE",
        ),
    ] {
        let refusal = raw.refusal(ESTIMATE, &[], body).await;
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (code, reason),
            "{what}: {}",
            refusal.message
        );
    }
    for encoding in ["snappy", "identity"] {
        let encoding = [("grpc-encoding", encoding)];
        let refusal = raw.refusal(ESTIMATE, &encoding, frame(1, &good)).await;
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (Code::Unimplemented, "UNSUPPORTED_ENCODING"),
            "{encoding:?}"
        );
    }
    let encoding = [("grpc-encoding", "gzip")];
    let refusal = raw.refusal(ESTIMATE, &encoding, frame(1, b"no gzip")).await;
    assert_eq!(
        (refusal.code, refusal.reason.as_str()),
        (Code::InvalidArgument, "MALFORMED_MESSAGE")
    );
    still_serves(&server).await;
}

#[tokio::test]
async fn what_is_no_grpc() {
    let server = Server::start();
    let mut raw = Raw::connect(&server).await;
    let good = frame(0, &estimate("lip_sync_video", "31s").encode_to_vec());
    for (content_type, http) in [
        ("application/grpc", 200),
        ("application/grpc+proto", 200),
        ("application/grpc;charset=utf-8", 200),
        ("application/grpc-web", 415),
        ("application/grpc-web+proto", 415),
        ("application/grpc-web-text", 415),
        ("application/grpc+json", 415),
        ("application/grpcx", 415),
        ("application/json", 415),
    ] {
        let headers = [("content-type", content_type)];
        let answer = raw.send(ESTIMATE, &headers, good.clone()).await;
        assert_eq!(answer.http, http, "{content_type}");
        let code = answer.status.map(|status| status.code());
        assert_eq!(code, (http == 200).then_some(Code::Ok), "{content_type}");
    }
    // HTTP/1 and noise are let go.
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    for bytes in [
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0 and so on",
    ] {
        let mut stream = tokio::net::TcpStream::connect(&server.address)
            .await
            .unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let closed = tokio::time::timeout(crate::support::PATIENCE, read).await;
        assert!(closed.is_ok(), "the connection stays open");
    }
    still_serves(&server).await;
}

/// HTTP/2's own answer to that has no reason that a client would understand.
#[tokio::test]
async fn metadata_that_is_too_large() {
    let server = Program::start();
    let mut raw = Raw::connect(&server).await;
    let good = frame(0, &estimate("lip_sync_video", "31s").encode_to_vec());
    for (what, pairs, length, fits) in [
        ("a large pair that fits", 1, 15_000, true),
        ("one pair that is larger", 1, 16_500, false),
        ("four times as much", 1, 65_536, false),
        ("six times as much", 1, 100_000, false),
        ("many small pairs", 500, 10, false),
        ("many small pairs that fit", 300, 10, true),
    ] {
        let value = "v".repeat(length);
        let names: Vec<_> = (0..pairs).map(|number| format!("x-{number}")).collect();
        let headers: Vec<_> = names
            .iter()
            .map(|name| (name.as_str(), value.as_str()))
            .collect();
        let answer = raw.send(ESTIMATE, &headers, good.clone()).await;
        assert_eq!(answer.http, 200, "{what}");
        assert!(answer.headers.contains_key("x-request-id"), "{what}");
        let status = answer.status.unwrap();
        if fits {
            assert_eq!(status.code(), Code::Ok, "{what}");
            continue;
        }
        let refusal = Refusal::of(&status);
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (Code::ResourceExhausted, "METADATA_TOO_LARGE"),
            "{what}"
        );
        assert_eq!(refusal.metadata["limit_bytes"], "16384");
    }
    server.wait_for_log("METADATA_TOO_LARGE");
    still_serves(&server).await;
}

/// A call that the client gave up is logged and counted as cancelled, and as nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn calls_that_are_given_up_are_cancelled() {
    let mut server = Program::start_with(&["--log-format", "json"]);
    let mut raw = Raw::connect(&server).await;
    let good = frame(0, &estimate("lip_sync_video", "31s").encode_to_vec());
    let half = good[..good.len() / 2].to_vec();
    for (id, sent) in [("nothing-sent", None), ("half-sent", Some(half))] {
        let (response, mut body) = raw.begin(ESTIMATE, &[("x-request-id", id)]).await;
        if let Some(sent) = sent {
            body.send_data(sent.into(), false).unwrap();
        }
        // Answered on the same connection: the call has come before it.
        let answer = raw.send(ESTIMATE, &[], good.clone()).await;
        assert_eq!(answer.status.unwrap().code(), Code::Ok);
        body.send_reset(h2::Reason::CANCEL);
        drop(response);
        server.wait_for_log(&format!("\"x_request_id\":\"{id}\""));
    }
    // And one whose connection goes away under it.
    let stuck = raw.begin(ESTIMATE, &[("x-request-id", "cut-off")]).await;
    let answer = raw.send(ESTIMATE, &[], good.clone()).await;
    assert_eq!(answer.status.unwrap().code(), Code::Ok);
    drop((stuck, raw));
    server.wait_for_log("cut-off");
    server.signal(rustix::process::Signal::TERM);
    assert!(server.wait().success());
    let log = server.log();
    let lines = log.lines().map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<serde_json::Value> = lines.collect();
    for id in ["nothing-sent", "half-sent", "cut-off"] {
        let line = lines.iter().find(|line| line["x_request_id"] == id);
        let line = line.unwrap();
        let told = (&line["message"], &line["code"], &line["method"]);
        assert_eq!(
            told,
            (&"cancelled".into(), &"Cancelled".into(), &ESTIMATE.into())
        );
    }
    assert!(!log.contains("MALFORMED_MESSAGE"), "{log}");
    let stopped = lines.iter().find(|line| line["message"] == "stopped");
    let stopped = stopped.unwrap();
    let count = |name: &str| stopped[name].as_u64().unwrap();
    assert_eq!(count("started"), 6);
    assert_eq!(count("handled"), 6);
    assert_eq!(count("refused"), 0);
    assert_eq!(count("cancelled"), 3);
}

/// The same refusal is the same bytes.
#[tokio::test]
async fn a_refusal_has_one_order() {
    let server = Server::start();
    let mut raw = Raw::connect(&server).await;
    let unknown = frame(0, &estimate("lip_sink_video", "31s").encode_to_vec());
    let mut details = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let answer = raw.send(ESTIMATE, &[], unknown.clone()).await;
        details.insert(answer.status.unwrap().details().to_vec());
    }
    assert_eq!(details.len(), 1);
}

#[tokio::test]
async fn methods_that_are_not_there() {
    let server = Server::start();
    let mut raw = Raw::connect(&server).await;
    for path in [
        "/creditd.v1.PricingService/Price",
        "/creditd.v1.PricingService/",
        "/creditd.v1.LedgerService/Steal",
        "/creditd.v2.PricingService/Estimate",
        "/grpc.health.v1.Health/List",
        "/grpc.reflection.v1.ServerReflection/X",
        "/Estimate",
        "/",
    ] {
        let refusal = raw.refusal(path, &[], frame(0, &[])).await;
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (Code::Unimplemented, "UNKNOWN_METHOD"),
            "{path}"
        );
        assert_eq!(refusal.metadata["method"], path);
    }
    let long = format!("/{}", "x".repeat(1_000));
    let refusal = raw.refusal(&long, &[], frame(0, &[])).await;
    assert_eq!(refusal.metadata["method"].len(), 64);
}

#[tokio::test]
async fn a_message_of_5_mib() {
    let server = Server::start();
    let mut pricing = server.pricing().await;
    let request = estimate(&"x".repeat(5 * 1024 * 1024), "31s");
    let refusal = refused(pricing.estimate(request).await);
    assert_eq!(
        (refusal.code, refusal.reason.as_str()),
        (Code::ResourceExhausted, "MESSAGE_TOO_LARGE")
    );
    assert_eq!(refusal.metadata["limit_bytes"], "4194304");
    // A name of 1 MB is read, and refused with a short message.
    let refusal = refused(
        pricing
            .estimate(estimate(&"x".repeat(1_000_000), "31s"))
            .await,
    );
    assert_eq!(refusal.reason, "UNKNOWN_SERVICE");
    assert_eq!(refusal.metadata["service"], "x".repeat(64));
    assert!(refusal.message.len() < 300, "{}", refusal.message);
    still_serves(&server).await;
}

#[tokio::test]
async fn request_ids_come_back_and_stand_in_the_log() {
    let server = Program::start_with(&["--log-calls", "--log-format", "json"]);
    let mut pricing = server.pricing().await;
    let with_id = |id: &str, service: &str| {
        let mut request = Request::new(estimate(service, "31s"));
        request
            .metadata_mut()
            .insert("x-request-id", id.parse().unwrap());
        request
    };
    let reply = pricing
        .estimate(with_id("order-17", "lip_sync_video"))
        .await
        .unwrap();
    assert_eq!(reply.metadata().get("x-request-id").unwrap(), "order-17");
    let refusal = pricing
        .estimate(with_id("order-18", "nothing"))
        .await
        .unwrap_err();
    assert_eq!(refusal.metadata().get("x-request-id").unwrap(), "order-18");
    // One that is not valid is replaced; one that is missing is made.
    let long = "x".repeat(65);
    let reply = pricing
        .estimate(with_id(&long, "lip_sync_video"))
        .await
        .unwrap();
    let made = reply
        .metadata()
        .get("x-request-id")
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let other = pricing
        .estimate(estimate("lip_sync_video", "31s"))
        .await
        .unwrap();
    let other = other
        .metadata()
        .get("x-request-id")
        .unwrap()
        .to_str()
        .unwrap();
    assert!(!made.is_empty() && made != long && made != other);

    server.wait_for_log(&format!("\"x_request_id\":\"{other}\""));
    let log = server.log();
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |id: &str| {
        lines
            .iter()
            .find(|line| line["x_request_id"] == id)
            .unwrap()
    };
    assert_eq!(of("order-17")["message"], "call");
    assert_eq!(of("order-17")["method"], ESTIMATE);
    assert_eq!(of("order-18")["message"], "refused");
    assert_eq!(of("order-18")["reason"], "UNKNOWN_SERVICE");
    assert_eq!(of("order-18")["code"], "InvalidArgument");
}

#[tokio::test]
async fn successes_are_not_logged_unless_asked_for() {
    let server = Program::start();
    let mut pricing = server.pricing().await;
    pricing
        .estimate(estimate("lip_sync_video", "31s"))
        .await
        .unwrap();
    refused(pricing.estimate(estimate("nothing", "31s")).await);
    server.wait_for_log("UNKNOWN_SERVICE");
    assert_eq!(server.log().matches("PricingService/Estimate").count(), 1);
}

#[tokio::test]
async fn more_connections_than_the_limit_are_closed() {
    let server = Server::start_with(&["--connections-max", "3"]);
    let mut kept = Vec::new();
    for _ in 0..3 {
        let mut pricing = server.pricing().await;
        pricing
            .estimate(estimate("lip_sync_video", "31s"))
            .await
            .unwrap();
        kept.push(pricing);
    }
    let endpoint =
        tonic::transport::Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    let fourth = match endpoint.connect().await {
        Err(_) => true,
        Ok(channel) => pb::pricing_service_client::PricingServiceClient::new(channel)
            .estimate(estimate("lip_sync_video", "31s"))
            .await
            .is_err(),
    };
    assert!(fourth, "the fourth connection was served");
    for pricing in &mut kept {
        pricing
            .estimate(estimate("lip_sync_video", "31s"))
            .await
            .unwrap();
    }
    kept.pop();
    let start = std::time::Instant::now();
    // A place that is given back can be taken.
    loop {
        if let Ok(channel) = endpoint.connect().await {
            let mut pricing = pb::pricing_service_client::PricingServiceClient::new(channel);
            if pricing
                .estimate(estimate("lip_sync_video", "31s"))
                .await
                .is_ok()
            {
                break;
            }
        }
        assert!(start.elapsed() < crate::support::PATIENCE);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
