//! Clients of a running server, for the command line.

use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
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

/// A connection that gives its calls a deadline and a key.
pub type Connection = InterceptedService<Channel, EachCall>;
/// A client of LedgerService.
pub type Ledger = LedgerServiceClient<Connection>;
/// A client of PricingService.
pub type Pricing = PricingServiceClient<Connection>;
/// A client of AdminService.
pub type Admin = AdminServiceClient<Connection>;
/// A client of the health service.
pub type Health = HealthClient<Connection>;

/// What each call has.
#[derive(Clone, Debug, Default)]
pub struct EachCall {
    /// Its deadline; None for a watch, which has no end.
    pub deadline: Option<Duration>,
    /// The key of its caller, as metadata has it.
    pub authorization: Option<MetadataValue<Ascii>>,
}

impl Interceptor for EachCall {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(timeout) = self.deadline {
            request.set_timeout(timeout);
        }
        if let Some(authorization) = &self.authorization {
            let metadata = request.metadata_mut();
            metadata.insert("authorization", authorization.clone());
        }
        Ok(request)
    }
}

/// What TLS is spoken with.
#[derive(Clone, Default)]
pub struct Tls {
    /// PEM: those that the server's certificate may be issued by; None: whom the system trusts.
    pub ca: Option<Vec<u8>>,
    /// PEM: a certificate to show to the server, and its private key.
    pub client: Option<(Vec<u8>, Vec<u8>)>,
    /// The name that the server's certificate is for, where it is not that of the address.
    pub server_name: Option<String>,
}

impl Tls {
    fn into_config(self) -> ClientTlsConfig {
        let mut config = match self.ca {
            Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        if let Some((cert, key)) = self.client {
            config = config.identity(Identity::from_pem(cert, key));
        }
        if let Some(name) = self.server_name {
            config = config.domain_name(name);
        }
        config
    }
}

/// Whether there is a certificate in a PEM text.
#[must_use]
pub fn has_certificate(pem: &[u8]) -> bool {
    CertificateDer::pem_slice_iter(pem).any(|certificate| certificate.is_ok())
}

/// Connects to `http://HOST:PORT`, `https://HOST:PORT` with TLS, or `unix:PATH`.
///
/// # Errors
/// Why it cannot connect.
pub async fn connect(
    uri: &str,
    timeout: Duration,
    each: EachCall,
    tls: Option<Tls>,
) -> Result<Connection, tonic::transport::Error> {
    let mut endpoint = Endpoint::from_shared(uri.to_owned())?;
    if let Some(tls) = tls {
        endpoint = endpoint.tls_config(tls.into_config())?;
    }
    let channel = endpoint
        .connect_timeout(timeout)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .connect()
        .await?;
    Ok(InterceptedService::new(channel, each))
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
