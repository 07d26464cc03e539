//! Keys: who is let in, with which rights, to which accounts, how often, and until when.

mod accounts;
mod administer;
mod audit;
mod clients;
mod limits;
mod rights;
mod start;
mod store;
mod tokens;
mod watches;
mod withheld;

use std::collections::BTreeMap;
use std::time::Duration;

use creditd::rpc::client::{self, Admin, Connection, EachCall, Ledger};
use creditd::rpc::convert::{timestamp_from_pb, timestamp_to_pb};
use creditd::rpc::method::Method;
use creditd::rpc::pb::creditd::v1 as pb;
use creditd::rpc::wire::Encoded;
use creditd::server::SystemClock;
use creditd::store::Clock as _;
use prost::bytes::Bytes;
use tonic::client::Grpc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use crate::support::PATIENCE;
use crate::support::server::{Program, Settings};

/// The key that the servers of these tests are started with.
const ADMIN_KEY: &str = "an-admin-key-of-these-tests-alone";

/// A server that asks for keys.
fn serve_with(args: &[&str]) -> Program {
    Program::start_settings(Settings {
        args: args.iter().map(ToString::to_string).collect(),
        variables: vec![("CREDITD_ADMIN_KEY", ADMIN_KEY.into())],
        ..Settings::default()
    })
}

/// The same server, stopped and started again.
fn restart(server: Program, args: &[&str]) -> Program {
    Program::start_settings(Settings {
        args: args.iter().map(ToString::to_string).collect(),
        variables: vec![("CREDITD_ADMIN_KEY", ADMIN_KEY.into())],
        directory: Some(server.stop()),
        ..Settings::default()
    })
}

/// The metadata of a key.
fn bearer(key: &str) -> MetadataValue<Ascii> {
    format!("Bearer {key}").parse().unwrap()
}

/// A connection whose calls have this key; none where it is empty.
async fn connect(address: &str, key: &str) -> Connection {
    let each = EachCall {
        deadline: Some(PATIENCE),
        authorization: (!key.is_empty()).then(|| bearer(key)),
    };
    let uri = format!("http://{address}");
    client::connect(&uri, PATIENCE, each, None).await.unwrap()
}

async fn admin(server: &Program, key: &str) -> Admin {
    client::admin(connect(&server.address, key).await)
}

async fn ledger(server: &Program, key: &str) -> Ledger {
    client::ledger(connect(&server.address, key).await)
}

/// What a key is for.
fn key(scopes: &str, accounts: &str) -> pb::Key {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    pb::Key {
        scopes: words(scopes),
        accounts: words(accounts),
        ..pb::Key::default()
    }
}

/// So many seconds from now, as the wire has it.
fn seconds_from_now(seconds: u64) -> prost_types::Timestamp {
    timestamp_to_pb(SystemClock.now().plus(Duration::from_secs(seconds)))
}

/// Whether that time has come.
fn has_come(time: prost_types::Timestamp) -> bool {
    SystemClock.now() >= timestamp_from_pb(&time).unwrap()
}

/// Creates a key; its id and its secret.
async fn create(server: &Program, key: pb::Key) -> (String, String) {
    let request = pb::CreateKeyRequest { key: Some(key) };
    let created = admin(server, ADMIN_KEY).await.create_key(request).await;
    let created = created.unwrap().into_inner();
    (created.key.unwrap().key_id, created.secret)
}

async fn revoke(server: &Program, key_id: &str) {
    let request = pb::RevokeKeyRequest {
        key_id: key_id.to_owned(),
    };
    let revoked = admin(server, ADMIN_KEY).await.revoke_key(request).await;
    revoked.unwrap();
}

/// Calls any method with the bytes of a request: the bytes of its reply, or of the first one of
/// its stream.
async fn call(connection: &Connection, method: &Method, bytes: Vec<u8>) -> Result<Bytes, Status> {
    let mut grpc = Grpc::new(connection.clone());
    grpc.ready().await.unwrap();
    let (path, codec) = (method.path.parse().unwrap(), ProstCodec::default());
    let request = Request::new(Encoded(bytes.into()));
    if !method.kind.streams() {
        let reply: Encoded = grpc.unary(request, path, codec).await?.into_inner();
        return Ok(reply.0);
    }
    let requests = request.map(tokio_stream::once);
    let stream = grpc.streaming(requests, path, codec).await?;
    let first: Option<Encoded> = stream.into_inner().message().await?;
    Ok(first.unwrap_or_default().0)
}

/// The rows of a table whose first line names its columns. An empty cell is missing, and fails.
fn table(text: &str) -> Vec<BTreeMap<&str, &str>> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let columns: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    let rows = lines.map(|line| {
        let cells: Vec<_> = line.split_whitespace().collect();
        assert_eq!(cells.len(), columns.len(), "{line}");
        columns.iter().copied().zip(cells).collect()
    });
    rows.collect()
}
