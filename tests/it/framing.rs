//! How requests and replies of a unary call may come: in one piece or in many, compressed or not.

use creditd::rpc::pb::creditd::v1 as pb;
use prost::Message as _;
use tonic::Code;
use tonic::codec::CompressionEncoding;

use crate::support::raw::{Raw, frame};
use crate::support::server::Server;
use crate::support::{estimate, usage};

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
