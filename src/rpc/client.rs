//! Clients of a running server, for the command line.

use std::time::Duration;

use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_health::pb::health_client::HealthClient;

use super::MESSAGE_BYTES_MAX;
use super::pb::creditd::v1::admin_service_client::AdminServiceClient;
use super::pb::creditd::v1::ledger_service_client::LedgerServiceClient;
use super::pb::creditd::v1::pricing_service_client::PricingServiceClient;

/// How often HTTP/2 pings go out on a connection with a call, and how long an answer may take.
/// Without them a watch would not notice a broken connection.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that gives its calls a deadline.
pub type Connection = InterceptedService<Channel, Deadline>;
/// A client of LedgerService.
pub type Ledger = LedgerServiceClient<Connection>;
/// A client of PricingService.
pub type Pricing = PricingServiceClient<Connection>;
/// A client of AdminService.
pub type Admin = AdminServiceClient<Connection>;
/// A client of the health service.
pub type Health = HealthClient<Connection>;

/// The deadline of each call; None for a watch, which has no end.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(pub Option<Duration>);

impl Interceptor for Deadline {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(timeout) = self.0 {
            request.set_timeout(timeout);
        }
        Ok(request)
    }
}

/// Connects to `http://HOST:PORT` or `unix:PATH`.
///
/// # Errors
/// Why it cannot connect.
pub async fn connect(
    uri: &str,
    timeout: Duration,
    deadline: Deadline,
) -> Result<Connection, tonic::transport::Error> {
    let channel = Endpoint::from_shared(uri.to_owned())?
        .connect_timeout(timeout)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .connect()
        .await?;
    Ok(InterceptedService::new(channel, deadline))
}

/// A client of LedgerService.
#[must_use]
pub fn ledger(connection: Connection) -> Ledger {
    LedgerServiceClient::new(connection).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

/// A client of PricingService.
#[must_use]
pub fn pricing(connection: Connection) -> Pricing {
    PricingServiceClient::new(connection).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

/// A client of AdminService.
#[must_use]
pub fn admin(connection: Connection) -> Admin {
    AdminServiceClient::new(connection).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

/// A client of the health service.
#[must_use]
pub fn health(connection: Connection) -> Health {
    HealthClient::new(connection)
}

/// The innermost source of an error, as text.
#[must_use]
pub fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
