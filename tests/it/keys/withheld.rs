//! Calls whose messages come late: whoever makes them is looked at again when they are whole.

use creditd::rpc::pb::creditd::v1 as pb;
use h2::client::ResponseFuture;
use prost::Message as _;
use prost::bytes::Bytes;

use super::{ADMIN_KEY, admin, create, key, ledger, revoke, serve_with};
use crate::support::refusal::Refusal;
use crate::support::requests::charge;
use crate::support::server::Program;
use crate::support::{PATIENCE, balance, grant, raw};

/// A call whose headers were sent, and nothing of its message.
struct Withheld {
    body: h2::SendStream<Bytes>,
    response: ResponseFuture,
    message: Vec<u8>,
}

impl Withheld {
    async fn begin(server: &Program, secret: &str, path: &str, message: Vec<u8>) -> Self {
        let stream = tokio::net::TcpStream::connect(&server.address)
            .await
            .unwrap();
        let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let mut request = http::Request::post(format!("http://{}{path}", server.address))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if !secret.is_empty() {
            request = request.header("authorization", format!("Bearer {secret}"));
        }
        let (response, body) = sender
            .send_request(request.body(()).unwrap(), false)
            .unwrap();
        // A later call of the connection is answered: so the headers of this one were read.
        let later = http::Request::post(format!("http://{}/none", server.address))
            .header("content-type", "application/grpc");
        let mut sender = sender.ready().await.unwrap();
        let (later, _) = sender.send_request(later.body(()).unwrap(), true).unwrap();
        assert_eq!(later.await.unwrap().headers()["grpc-status"], "12");
        Self {
            body,
            response,
            message,
        }
    }

    /// Sends the message; the reason of the refusal, or nothing.
    async fn end(mut self) -> String {
        let length = u32::try_from(self.message.len()).unwrap();
        let frame = [&[0], length.to_be_bytes().as_slice(), &self.message].concat();
        self.body.send_data(frame.into(), true).unwrap();
        let answer = tokio::time::timeout(PATIENCE, raw::Raw::answer(self.response)).await;
        let status = answer.unwrap().status.unwrap();
        match status.code() {
            tonic::Code::Ok => String::new(),
            _ => Refusal::of(&status).reason,
        }
    }
}

const CREATE: &str = "/creditd.v1.AdminService/CreateKey";
const CHARGE: &str = "/creditd.v1.LedgerService/Charge";

fn new_admin() -> Vec<u8> {
    let request = pb::CreateKeyRequest {
        key: Some(key("admin", "")),
    };
    request.encode_to_vec()
}

#[tokio::test]
async fn a_revoked_key_does_nothing_that_it_has_begun() {
    let server = serve_with(&[]);
    let mut all = ledger(&server, ADMIN_KEY).await;
    all.grant(grant("g", "team-a", "10")).await.unwrap();
    let (id, secret) = create(&server, key("admin", "")).await;
    let charge = charge("c", "team-a", "1").encode_to_vec();
    let begun = [
        Withheld::begin(&server, &secret, CREATE, new_admin()).await,
        Withheld::begin(&server, &secret, CHARGE, charge.clone()).await,
    ];
    let goes_on = Withheld::begin(&server, ADMIN_KEY, CHARGE, charge).await;
    revoke(&server, &id).await;
    for call in begun {
        assert_eq!(call.end().await, "KEY_INVALID");
    }
    assert_eq!(goes_on.end().await, "");
    let balance = all
        .get_balance(balance("team-a"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(balance.balance.unwrap().available, "9");
}

/// Whoever began before the first key was created has none.
#[tokio::test]
async fn authentication_is_on_for_calls_that_have_begun() {
    let server = Program::start();
    let begun = Withheld::begin(&server, "", CREATE, new_admin()).await;
    let request = pb::CreateKeyRequest {
        key: Some(key("admin", "")),
    };
    admin(&server, "").await.create_key(request).await.unwrap();
    assert_eq!(begun.end().await, "KEY_REQUIRED");
}

/// Callers without a key have a share together: they leave the others theirs, and health is
/// answered all the same.
#[tokio::test]
async fn callers_without_a_key_leave_the_others_theirs() {
    let server = serve_with(&["--call-memory-mib-max", "64"]);
    let mut all = ledger(&server, ADMIN_KEY).await;
    all.grant(grant("g", "team-a", "10")).await.unwrap();
    let check = "/grpc.health.v1.Health/Check";
    let mut connections = Vec::new();
    // 64 MiB are 7,000 calls that hold nothing but what each takes.
    for _ in 0..100 {
        let stream = tokio::net::TcpStream::connect(&server.address)
            .await
            .unwrap();
        let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        for _ in 0..90 {
            let request = http::Request::post(format!("http://{}{check}", server.address))
                .header("content-type", "application/grpc")
                .body(())
                .unwrap();
            sender = sender.ready().await.unwrap();
            connections.push(sender.send_request(request, false).unwrap());
        }
    }
    let mut health = creditd::rpc::client::health(super::connect(&server.address, "").await);
    for number in 0..50 {
        let request = tonic_health::pb::HealthCheckRequest::default();
        let checked = health.check(request).await.unwrap().into_inner();
        assert_eq!(checked.status, 1, "{number}");
        all.get_balance(balance("team-a")).await.unwrap();
    }
    // A request about health is short.
    let mut raw = raw::Raw::connect_to(&server.address).await;
    let refused = raw.refusal(check, &[], vec![0; 2_000]).await;
    assert_eq!(refused.reason, "MESSAGE_TOO_LARGE");
    assert_eq!(refused.metadata["limit_bytes"], "1024");
}
