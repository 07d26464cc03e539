//! Clients that are recognised by their certificates: who is let in, for what, and until when.

mod configuration;
mod recognised;
mod reloaded;
mod sessions;

use std::path::Path;

use creditd::rpc::client::{self, Connection, EachCall, Tls};
use creditd::rpc::pb::creditd::v1 as pb;
use rcgen::DnType;
use tempfile::TempDir;
use tonic::{Status, Streaming};

use crate::support::authority::{Authority, Pair};
use crate::support::refusal::Refusal;
use crate::support::server::{Program, Settings};
use crate::support::{PATIENCE, balance, estimate, grant};

const ADMIN_KEY: &str = "an-admin-key-of-these-tests-alone";
const CN: DnType = DnType::CommonName;
const O: DnType = DnType::OrganizationName;

/// Who issues the certificates of the server and of its clients.
struct Site {
    servers: Authority,
    clients: Authority,
}

impl Site {
    fn new() -> Self {
        let [servers, clients] = ["servers", "clients"].map(Authority::new);
        Self { servers, clients }
    }

    /// A directory with the files of a server, whose configuration has these entries.
    fn directory(&self, entries: &str) -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        let (cert, key) = self.servers.issue(&["127.0.0.1"]);
        for (name, text) in [
            ("cert.pem", cert.as_str()),
            ("key.pem", &key),
            ("client-ca.pem", &self.clients.pem),
            ("creditd.toml", entries),
        ] {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        directory
    }

    /// A server with these entries, and an admin key.
    fn serve(&self, entries: &str) -> Program {
        let args = "--tls-cert cert.pem --tls-key key.pem --tls-client-ca client-ca.pem --config creditd.toml";
        Program::start_settings(Settings {
            args: args.split(' ').map(str::to_owned).collect(),
            directory: Some(self.directory(entries)),
            variables: vec![("CREDITD_ADMIN_KEY", ADMIN_KEY.into())],
            ..Settings::default()
        })
    }

    /// A certificate with this common name.
    fn client(&self, name: &str) -> Pair {
        self.clients.issue_to(&[(CN, name)], |_| {})
    }

    /// A connection that shows this certificate, and whose calls have this key; none where it is
    /// empty.
    async fn connect(
        &self,
        server: &Program,
        shown: Option<&Pair>,
        key: &str,
    ) -> Result<Connection, Status> {
        let client = shown.cloned();
        let tls = Tls {
            ca: Some(self.servers.pem.clone().into_bytes()),
            client: client.map(|(cert, key)| (cert.into_bytes(), key.into_bytes())),
            ..Tls::default()
        };
        let each = EachCall {
            deadline: Some(PATIENCE),
            authorization: (!key.is_empty()).then(|| format!("Bearer {key}").parse().unwrap()),
        };
        let uri = format!("https://{}", server.address);
        let connection = client::connect(&uri, PATIENCE, each, Some(tls)).await;
        connection.map_err(|error| Status::unavailable(client::root_cause(&error)))
    }

    /// What becomes of an Estimate and of two GetBalances over a connection of its own.
    async fn outcomes(&self, server: &Program, shown: Option<&Pair>, key: &str) -> String {
        match self.connect(server, shown, key).await {
            Ok(connection) => outcomes(&connection).await,
            Err(_) => CLOSED.to_owned(),
        }
    }

    async fn admin(&self, server: &Program) -> Connection {
        self.connect(server, None, ADMIN_KEY).await.unwrap()
    }
}

/// The connection is closed at its first call, if it is there at all: a client of TLS 1.3 has
/// done its handshake before the server looks at its certificate.
const CLOSED: &str = "closed closed closed";

async fn outcomes(connection: &Connection) -> String {
    let mut pricing = client::pricing(connection.clone());
    let mut ledger = client::ledger(connection.clone());
    let estimated = pricing.estimate(estimate("lip_sync_video", "31s")).await;
    let ours = ledger.get_balance(balance("team-a")).await;
    let other = ledger.get_balance(balance("other")).await;
    [word(estimated), word(ours), word(other)].join(" ")
}

/// How a call ended.
fn word<T>(outcome: Result<T, Status>) -> String {
    match outcome {
        Ok(_) => "ok".to_owned(),
        // Said by the client, not by the server.
        Err(status) if status.details().is_empty() => "closed".to_owned(),
        Err(status) => Refusal::of(&status).reason,
    }
}

/// Gives the accounts credits.
async fn grant_to(connection: &Connection, accounts: &[&str]) {
    let mut ledger = client::ledger(connection.clone());
    for account in accounts {
        ledger.grant(grant("g", account, "10")).await.unwrap();
    }
}

/// A watch whose first balance has come.
async fn watch(connection: &Connection, account: &str) -> Streaming<pb::WatchBalanceResponse> {
    // A watch has no deadline.
    let mut ledger = client::ledger(connection.clone());
    let account = account.to_owned();
    let watched = ledger.watch_balance(pb::WatchBalanceRequest { account });
    let mut stream = watched.await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
    stream
}

/// How a watch ends, soon.
async fn ended(mut stream: Streaming<pb::WatchBalanceResponse>) -> String {
    let next = tokio::time::timeout(PATIENCE, stream.message()).await;
    word(next.expect("it ends within a bound"))
}

/// Replaces a file of a server.
fn write(server: &Program, name: &str, text: &str) {
    let path: &Path = server.directory.path();
    std::fs::write(path.join(name), text).unwrap();
}
