//! The command line's way to a running server.

use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

use super::MESSAGE_BYTES_MAX;
use super::pb::creditd::v1::ledger_service_client::LedgerServiceClient;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a call may take to be answered; what a watch sends after that may take
/// any time.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a connection that has a call on it is asked whether it still stands, and
/// how long an answer may take: a watch would otherwise not notice that it broke.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// A client of the ledger at `HOST:PORT` or `unix:PATH`.
///
/// # Errors
/// A sentence that says why the server cannot be reached.
pub async fn ledger(address: &str) -> Result<LedgerServiceClient<Channel>, String> {
    let uri = match address.starts_with("unix:") {
        true => address.to_owned(),
        false => format!("http://{address}"),
    };
    let endpoint = Endpoint::from_shared(uri)
        .map_err(|_| format!("--addr {address} is no address; write it like 127.0.0.1:50051"))?;
    let channel = endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(CALL_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .connect()
        .await
        .map_err(|error| {
            let cause = root_cause(&error);
            format!("no creditd answers at {address} ({cause}); start one with \"creditd serve\", or name another by --addr")
        })?;
    Ok(LedgerServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX))
}

/// What lies at the bottom of an error, in words.
#[must_use]
pub fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
