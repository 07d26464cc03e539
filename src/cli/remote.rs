//! What the subcommands that call a running server share.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::signal::unix::{SignalKind, signal};
use tonic::{Response, Status};

use super::addr::{self, Address};
use super::failure::{Failure, Kind, Outcome};
use super::key::KeyArgs;
use super::output::More;
use super::refusal::{self, Words, may_have_moved};
use super::times;
use super::tls::Tls;
pub(super) use crate::rpc::client::Ledger;
use crate::rpc::client::{self, Connection, EachCall, root_cause};
use crate::rpc::pb::creditd::v1::ErrorReason;
use crate::rpc::refused::reason_name;

/// How long it may take to find out what else answers at an address.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// How a connection by HTTP/2 begins, with settings that say nothing.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

/// Which server to call.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Remote {
    /// Server to call: host and port, or unix: and the path of a socket
    #[arg(
        long,
        env = "CREDITD_ADDR",
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:50051",
        value_parser = addr::parse
    )]
    pub(super) addr: Address,
    /// How long to wait for an answer
    #[arg(
        long,
        env = "CREDITD_TIMEOUT",
        value_name = "DURATION",
        default_value = "10s",
        value_parser = times::timeout
    )]
    pub(super) timeout: Duration,
    #[command(flatten)]
    pub(super) tls: Tls,
    #[command(flatten)]
    pub(super) key: KeyArgs,
}

/// What the message of a failed write needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Write<'a> {
    pub(super) words: Words<'a>,
    pub(super) request_id: &'a str,
    /// What else has to be given to send the same again, where the same command line would
    /// mean something else: " --expire-time 2027-01-01T00:00:00Z".
    pub(super) again: &'a str,
}

impl Write<'_> {
    /// What to do where it failed.
    fn failed(&self, mut failure: Failure, outcome: Outcome) -> Failure {
        let Self {
            request_id, again, ..
        } = self;
        match outcome {
            Outcome::Unknown => failure.add(&format!(
                "; it may have been done: run it again with --request-id {request_id}{again}, and it is done once"
            )),
            Outcome::NotDone => {
                if failure.details.reason == reason_name(ErrorReason::RequestIdReused) && !again.is_empty() {
                    failure.add("; a time that counts from now differs from call to call: give the one that was sent first");
                }
                failure.add(&format!("; the request_id was {request_id}"));
            }
            Outcome::Done => {}
        }
        self.mark(failure, outcome)
    }

    /// The same, without further words.
    pub(super) fn mark(&self, mut failure: Failure, outcome: Outcome) -> Failure {
        failure.details.outcome = Some(outcome);
        failure.details.request_id = self.request_id.to_owned();
        failure
    }
}

impl Remote {
    /// A connection for calls with a deadline, or for one that has none.
    pub(super) async fn connect(&self, deadline: Option<Duration>) -> Result<Connection, Failure> {
        let here = &self.addr;
        let is_tls = self.tls.is_spoken_to(here);
        // Before anything is asked about the address.
        let authorization = self.key.authorization(here, is_tls)?;
        let unreachable = |message| Failure::new(Kind::Unavailable, message);
        // Looked up here for a message of its own when the name does not exist.
        if let Address::Tcp { host, port, .. } = here {
            let found = tokio::net::lookup_host((host.as_str(), *port));
            let found = tokio::time::timeout(self.timeout, found).await;
            if !matches!(found, Ok(Ok(_))) {
                return Err(unreachable(format!(
                    "no machine is known by the name of {host}; name one by --addr"
                )));
            }
        }
        let tls = is_tls.then(|| self.tls.settings()).transpose()?;
        let uri = here.uri(is_tls);
        let each = EachCall {
            deadline,
            authorization,
        };
        let connecting = client::connect(&uri, self.timeout, each, tls);
        match tokio::time::timeout(self.timeout, connecting).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => {
                let cause = root_cause(&error);
                if let Some(about_tls) = tls_problem(&cause) {
                    return Err(unreachable(format!("{here}: {cause}; {about_tls}")));
                }
                Err(unreachable(format!(
                    "no creditd answers at {here} ({cause}); start one with \"creditd serve\", or name another by --addr"
                )))
            }
            Err(_) => Err(unreachable(format!(
                "no creditd answers at {here} within --timeout; name another by --addr"
            ))),
        }
    }

    /// One call that reads.
    pub(super) fn read<R>(
        &self,
        words: Words<'_>,
        call: impl AsyncFnOnce(Connection) -> Result<Response<R>, Status>,
    ) -> Result<R, Failure> {
        block_on(async {
            let connection = self.connect(Some(self.timeout)).await?;
            match call(connection).await {
                Ok(reply) => Ok(reply.into_inner()),
                Err(status) => Err(self.refused(words, &status).await),
            }
        })
    }

    /// One call that the same call again does not do twice. `again` is what to do where it is
    /// not known whether it was done; None where it changes nothing.
    pub(super) fn change<R>(
        &self,
        words: Words<'_>,
        again: Option<&str>,
        call: impl AsyncFnOnce(Connection) -> Result<Response<R>, Status>,
    ) -> Result<R, Failure> {
        block_on(async {
            let connection = self.connect(Some(self.timeout)).await?;
            let status = match call(connection).await {
                Ok(reply) => return Ok(reply.into_inner()),
                Err(status) => status,
            };
            if let Some(other) = self.who_else(&status).await {
                return Err(other);
            }
            let mut failure = self.failure_of(words, &status);
            if let Some(again) = again {
                let unknown = may_have_moved(&status);
                if unknown {
                    failure.add(&format!("; {again}"));
                }
                failure.details.outcome = Some(match unknown {
                    true => Outcome::Unknown,
                    false => Outcome::NotDone,
                });
            }
            Err(failure)
        })
    }

    /// One call that writes. If it fails, the message has its request_id, so that it can be
    /// sent again.
    pub(super) fn write<R>(
        &self,
        write: Write<'_>,
        call: impl AsyncFnOnce(&mut Ledger) -> Result<Response<R>, Status>,
    ) -> Result<R, Failure> {
        block_on(async {
            let connecting = self.connect(Some(self.timeout)).await;
            let connection = connecting.map_err(|failure| write.mark(failure, Outcome::NotDone))?;
            let mut ledger = client::ledger(connection);
            let failed = |error: std::io::Error| Failure::from(error.to_string());
            let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
            let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
            let outcome = tokio::select! {
                outcome = call(&mut ledger) => outcome,
                _ = interrupt.recv() => Err(Status::cancelled("interrupted")),
                _ = terminate.recv() => Err(Status::cancelled("terminated")),
            };
            match outcome {
                Ok(reply) => Ok(reply.into_inner()),
                Err(status) => Err(match self.who_else(&status).await {
                    Some(other) => write.mark(other, Outcome::NotDone),
                    None => {
                        let failure = self.failure_of(write.words, &status);
                        let outcome = match may_have_moved(&status) {
                            true => Outcome::Unknown,
                            false => Outcome::NotDone,
                        };
                        write.failed(failure, outcome)
                    }
                }),
            }
        })
    }

    /// Reads a list page by page, until it ends or `each` has enough. `fetch` is handed
    /// a page's token and answers its items and the token of the next.
    pub(super) fn pages<T>(
        &self,
        words: Words<'_>,
        fetch: impl AsyncFnMut(&mut Ledger, String) -> Result<(Vec<T>, String), Status>,
        each: impl FnMut(T) -> Result<More, Failure>,
    ) -> Result<(), Failure> {
        self.pages_of(words, client::ledger, fetch, each)
    }

    /// The same of any service.
    pub(super) fn pages_of<C, T>(
        &self,
        words: Words<'_>,
        client: impl FnOnce(Connection) -> C,
        mut fetch: impl AsyncFnMut(&mut C, String) -> Result<(Vec<T>, String), Status>,
        mut each: impl FnMut(T) -> Result<More, Failure>,
    ) -> Result<(), Failure> {
        block_on(async {
            let mut client = client(self.connect(Some(self.timeout)).await?);
            let mut token = String::new();
            loop {
                let (items, next) = match fetch(&mut client, token).await {
                    Ok(page) => page,
                    Err(status) => return Err(self.refused(words, &status).await),
                };
                for item in items {
                    if each(item)? == More::Enough {
                        return Ok(());
                    }
                }
                if next.is_empty() {
                    return Ok(());
                }
                token = next;
            }
        })
    }

    /// A call that was refused, or broke off because something else answers there.
    pub(super) async fn refused(&self, words: Words<'_>, status: &Status) -> Failure {
        match self.who_else(status).await {
            Some(other) => other,
            None => self.failure_of(words, status),
        }
    }

    fn failure_of(&self, words: Words<'_>, status: &Status) -> Failure {
        refusal::failure(words, &self.addr.to_string(), status)
    }

    /// What answers at the address, where a call broke off because it speaks something else.
    async fn who_else(&self, status: &Status) -> Option<Failure> {
        std::error::Error::source(status)?;
        let Address::Tcp { host, port, .. } = &self.addr else {
            return None;
        };
        if self.tls.is_spoken_to(&self.addr) {
            return None;
        }
        let ask = async {
            let mut stream = tokio::net::TcpStream::connect((host.as_str(), *port)).await?;
            stream.write_all(PREFACE).await?;
            let mut first = [0; 5];
            stream.read_exact(&mut first).await?;
            Ok::<_, std::io::Error>(first)
        };
        let first = tokio::time::timeout(PROBE_TIMEOUT, ask).await.ok()?.ok()?;
        let other = match first {
            first if first.starts_with(b"HTTP/") => "an HTTP/1 server, and creditd speaks gRPC",
            // An alert, and the version of the protocol.
            [0x15, 0x03, ..] => {
                return Some(Failure::new(
                    Kind::Unavailable,
                    format!(
                        "the server at {0} wants TLS: write https://{0}, and --tls-ca with the file of those that issued its certificate where the system does not trust them",
                        self.addr
                    ),
                ));
            }
            // HTTP/2 begins with a frame of settings.
            [_, _, _, kind, _] if kind != 0x04 => "something that does not speak gRPC",
            _ => return None,
        };
        Some(Failure::new(
            Kind::Unavailable,
            format!(
                "at {} answers {other}; name the address that \"creditd serve\" printed by --addr",
                self.addr
            ),
        ))
    }
}

/// What to do where TLS fails so.
fn tls_problem(cause: &str) -> Option<&'static str> {
    let is_any = |causes: &[&str]| causes.iter().any(|known| cause.contains(known));
    if is_any(&["UnknownIssuer", "BadSignature"]) {
        Some("--tls-ca takes a PEM file with the certificate that issued the server's")
    } else if is_any(&["not valid for name", "NotValidForName"]) {
        Some("--tls-server-name takes the name that the server's certificate is for")
    } else if is_any(&["InvalidContentType"]) {
        Some(
            "what answers there speaks no TLS: leave https:// and --tls-ca out, or name another by --addr",
        )
    } else if is_any(&["invalid peer certificate"]) {
        Some("the server needs another certificate")
    } else {
        None
    }
}

/// Runs calls to a server to their end.
pub(super) fn block_on<T>(calls: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?
        .block_on(calls)
}

/// A time of a reply, as people read it; "never" where there is none.
pub(super) fn time_text(time: Option<&prost_types::Timestamp>) -> String {
    time.and_then(|time| crate::rpc::convert::timestamp_from_pb(time).ok())
        .map_or_else(|| "never".to_owned(), crate::rfc3339::format)
}

/// A value of an enum of the API as people read it: without the prefix that all its
/// names have, or as a number where this program is older than the server.
pub(super) fn short(name: &str, prefix: &str, number: i32) -> String {
    name.strip_prefix(prefix)
        .map_or_else(|| number.to_string(), str::to_owned)
}
