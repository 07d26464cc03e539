//! How requests and replies of a unary call may come: in one piece or in many, compressed or not.

use creditd::rpc::pb::creditd::v1 as pb;
use prost::Message as _;
use tonic::Code;
use tonic::codec::CompressionEncoding;

use crate::support::raw::{Raw, compressed, frame};
use crate::support::server::Server;
use crate::support::{estimate, grant, usage};

const ESTIMATE: &str = "/creditd.v1.PricingService/Estimate";

/// A request that comes in one piece is read without tonic, any other by tonic.
#[tokio::test]
async fn a_request_in_pieces_is_answered_as_in_one() {
    let server = Server::start();
    let mut raw = Raw::connect(&server).await;
    let body = frame(0, &estimate("lip_sync_video", "31s").encode_to_vec());
    let whole = raw.send(ESTIMATE, &[], body.clone()).await;
    assert_eq!(whole.status.as_ref().unwrap().code(), Code::Ok);
    let cut = |at: usize| vec![body[..at].to_vec(), body[at..].to_vec()];
    let bytewise = body.iter().map(|byte| vec![*byte]).collect();
    for (what, headers, pieces) in [
        ("its prefix alone", vec![], cut(5)),
        ("half of its prefix", vec![], cut(2)),
        ("half of its message", vec![], cut(10)),
        ("all but its end", vec![], cut(body.len())),
        ("each byte alone", vec![], bytewise),
        ("no bytes first", vec![], cut(0)),
        (
            "no compression",
            vec![("grpc-encoding", "identity")],
            vec![body.clone()],
        ),
        (
            "gzip accepted",
            vec![("grpc-accept-encoding", "identity, gzip")],
            vec![body.clone()],
        ),
        (
            "unknown accepted",
            vec![("grpc-accept-encoding", "snappy")],
            vec![body.clone()],
        ),
    ] {
        let answer = raw.send_in_pieces(ESTIMATE, &headers, pieces).await;
        let status = answer.status.unwrap();
        assert_eq!(status.code(), Code::Ok, "{what}: {status:?}");
        assert_eq!(answer.body, whole.body, "{what}");
        assert_eq!(answer.headers["content-type"], "application/grpc", "{what}");
    }
}

#[tokio::test]
async fn gzip_is_read_and_sent_only_where_asked_for() {
    let server = Server::start();
    let request = pb::BatchEstimateRequest {
        usages: vec![usage("lip_sync_video", "31s"); 100],
        ..pb::BatchEstimateRequest::default()
    };
    let gzip = CompressionEncoding::Gzip;
    let mut compressing = server.pricing().await.send_compressed(gzip);
    let reply = compressing.batch_estimate(request.clone()).await.unwrap();
    assert!(
        !reply.metadata().contains_key("grpc-encoding"),
        "it was not asked for"
    );
    assert_eq!(reply.into_inner().total_credits, "24.8");
    let mut asking = compressing.accept_compressed(gzip);
    let reply = asking.batch_estimate(request.clone()).await.unwrap();
    assert_eq!(reply.metadata().get("grpc-encoding").unwrap(), "gzip");
    assert_eq!(reply.into_inner().total_credits, "24.8");

    // On the wire: a large reply is compressed, a small one is not worth it.
    let mut raw = Raw::connect(&server).await;
    let accept = [("grpc-accept-encoding", "gzip")];
    let path = "/creditd.v1.PricingService/BatchEstimate";
    let answer = raw
        .send(path, &accept, frame(0, &request.encode_to_vec()))
        .await;
    assert_eq!(answer.body[0], 1);
    let small = frame(0, &estimate("lip_sync_video", "31s").encode_to_vec());
    let answer = raw.send(ESTIMATE, &accept, small.clone()).await;
    assert_eq!(answer.body[0], 0);
    let answer = raw.send(ESTIMATE, &[], small).await;
    assert_eq!(answer.body[0], 0);
    assert!(!answer.headers.contains_key("grpc-encoding"));
}

#[tokio::test]
async fn pages_and_watches_are_compressed_where_asked_for() {
    let server = Server::start();
    let mut ledger = server.ledger().await;
    for number in 0..40 {
        let id = format!("r{number}");
        ledger.grant(grant(&id, "team-a", "1")).await.unwrap();
    }
    let mut asking = server
        .ledger()
        .await
        .accept_compressed(CompressionEncoding::Gzip);
    let list = pb::ListEntriesRequest {
        account: "team-a".to_owned(),
        ..pb::ListEntriesRequest::default()
    };
    let plain = ledger.list_entries(list.clone()).await.unwrap();
    assert!(!plain.metadata().contains_key("grpc-encoding"));
    let page = asking.list_entries(list).await.unwrap();
    assert_eq!(page.metadata().get("grpc-encoding").unwrap(), "gzip");
    assert_eq!(page.into_inner(), plain.into_inner());
    let watch = pb::WatchBalanceRequest {
        account: "team-a".to_owned(),
    };
    let watch = asking.watch_balance(watch).await.unwrap();
    assert_eq!(watch.metadata().get("grpc-encoding").unwrap(), "gzip");
    let told = watch.into_inner().message().await.unwrap().unwrap();
    assert_eq!(told.balance.unwrap().grants.len(), 40);
}

/// A compressed message is read however it comes, and refused where it is none.
#[tokio::test]
async fn compressed_requests_come_in_pieces() {
    let server = Server::start();
    let mut raw = Raw::connect(&server).await;
    let path = "/creditd.v1.PricingService/BatchEstimate";
    let gzip = [("grpc-encoding", "gzip")];
    let request = pb::BatchEstimateRequest {
        usages: vec![usage("lip_sync_video", "31s"); 100],
        ..pb::BatchEstimateRequest::default()
    };
    let plain = raw
        .send(path, &[], frame(0, &request.encode_to_vec()))
        .await;
    let whole = compressed(request.clone()).await.to_vec();
    for piece in [1, 4, 7, whole.len()] {
        let pieces = whole.chunks(piece).map(<[u8]>::to_vec).collect();
        let answer = raw.send_in_pieces(path, &gzip, pieces).await;
        assert_eq!(answer.status.unwrap().code(), Code::Ok, "{piece}");
        assert_eq!(answer.body, plain.body, "{piece}");
    }
    // It need not be compressed.
    let answer = raw.send(path, &gzip, frame(0, &request.encode_to_vec()));
    assert_eq!(answer.await.body, plain.body);
    let half = whole.len() / 2;
    let length = u32::try_from(half - 5).unwrap().to_be_bytes();
    let cut = [&[1][..], &length, &whole[5..half]].concat();
    let twice = [whole.clone(), whole.clone()].concat();
    let flagged = [&[7][..], &whole[1..]].concat();
    for (what, body) in [
        ("nothing", Vec::new()),
        ("a part of its prefix", whole[..3].to_vec()),
        ("a part of its message", whole[..half].to_vec()),
        ("a part of what was compressed", cut),
        ("two messages", twice),
        ("an unknown flag", flagged),
    ] {
        let refusal = raw.refusal(path, &gzip, body).await;
        assert_eq!(refusal.reason, "MALFORMED_MESSAGE", "{what}");
    }
}
