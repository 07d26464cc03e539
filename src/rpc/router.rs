//! From a path to its service.
//!
//! The table of methods says which service has a path; there are no patterns to match.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use tokio::sync::watch;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::codegen::BoxFuture;
use tonic_health::pb::health_server::HealthServer;
use tower::util::BoxCloneSyncService;

use super::admin_service::AdminApi;
use super::health::{self, HealthApi, State};
use super::ledger_service::LedgerApi;
use super::method::{self, Service};
use super::pb::creditd::v1::admin_service_server::AdminServiceServer;
use super::pb::creditd::v1::ledger_service_server::LedgerServiceServer;
use super::pb::creditd::v1::pricing_service_server::PricingServiceServer;
use super::pricing_service::PricingApi;
use super::refused::{Refused, RpcRefusal};
use super::{MESSAGE_BYTES_MAX, METADATA_BYTES_MAX, reflection, wire};
use crate::app::App;
use crate::domain::names::repeated;

/// The public services, as health names them.
pub const SERVICES: &[health::Service] = &[
    health::Service {
        name: "creditd.v1.PricingService",
        writes: false,
    },
    health::Service {
        name: "creditd.v1.LedgerService",
        writes: true,
    },
    health::Service {
        name: "creditd.v1.AdminService",
        writes: true,
    },
];

type Boxed = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// Sends each call to its service.
#[derive(Clone)]
pub struct Router {
    pricing_api: Arc<PricingApi>,
    pricing: PricingServiceServer<PricingApi>,
    ledger_api: Arc<LedgerApi>,
    ledger: LedgerServiceServer<LedgerApi>,
    admin: AdminServiceServer<AdminApi>,
    health: HealthServer<HealthApi>,
    reflection: Boxed,
    reflection_alpha: Boxed,
}

impl Router {
    /// All services over these use cases.
    ///
    /// # Errors
    /// Never: reflection's descriptors come from the build.
    pub fn new(
        app: &Arc<App>,
        state: watch::Receiver<State>,
        watchers_max: usize,
    ) -> Result<Self, tonic_reflection::server::Error> {
        let gzip = CompressionEncoding::Gzip;
        let pricing_api = Arc::new(PricingApi::new(Arc::clone(app)));
        let ledger_api = LedgerApi::new(Arc::clone(app), state.clone(), watchers_max);
        let ledger_api = Arc::new(ledger_api);
        Ok(Self {
            pricing: PricingServiceServer::from_arc(Arc::clone(&pricing_api))
                .accept_compressed(gzip)
                .send_compressed(gzip)
                .max_decoding_message_size(MESSAGE_BYTES_MAX),
            ledger: LedgerServiceServer::from_arc(Arc::clone(&ledger_api))
                .accept_compressed(gzip)
                .send_compressed(gzip)
                .max_decoding_message_size(MESSAGE_BYTES_MAX),
            admin: AdminServiceServer::new(AdminApi::new(Arc::clone(app)))
                .accept_compressed(gzip)
                .send_compressed(gzip)
                .max_decoding_message_size(MESSAGE_BYTES_MAX),
            pricing_api,
            ledger_api,
            health: HealthServer::new(HealthApi::new(state, SERVICES))
                .accept_compressed(gzip)
                .send_compressed(gzip),
            reflection: BoxCloneSyncService::new(reflection::v1()?.accept_compressed(gzip)),
            reflection_alpha: BoxCloneSyncService::new(
                reflection::v1alpha()?.accept_compressed(gzip),
            ),
        })
    }
}

/// Serves one call of a method that takes and gives bytes.
macro_rules! serve {
    ($api:expr, $method:ident, $request:ident) => {{
        let api = Arc::clone(&$api);
        let method = move |message| {
            let api = Arc::clone(&api);
            async move { api.$method(message).await }
        };
        wire::serve($request, method)
    }};
}

impl<B> tower::Service<Request<B>> for Router
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Every service is always ready; how much is taken on is limited by a layer.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if !is_grpc(&request) {
            return Box::pin(std::future::ready(Ok(not_grpc())));
        }
        if metadata_bytes(request.headers()) > METADATA_BYTES_MAX {
            let limit_bytes = METADATA_BYTES_MAX;
            return refuse(RpcRefusal::MetadataTooLarge { limit_bytes });
        }
        let path = request.uri().path();
        let Some(method) = method::find(path) else {
            return unknown(path);
        };
        match (method.service, method.path) {
            (Service::Pricing, "/creditd.v1.PricingService/Estimate") => {
                serve!(self.pricing_api, encoded_estimate, request)
            }
            (Service::Pricing, "/creditd.v1.PricingService/BatchEstimate") => {
                serve!(self.pricing_api, encoded_batch_estimate, request)
            }
            (Service::Ledger, "/creditd.v1.LedgerService/Charge") => {
                serve!(self.ledger_api, encoded_charge, request)
            }
            (Service::Ledger, "/creditd.v1.LedgerService/BatchCharge") => {
                serve!(self.ledger_api, encoded_batch_charge, request)
            }
            (Service::Pricing, _) => self.pricing.call(request),
            (Service::Ledger, _) => self.ledger.call(request),
            (Service::Admin, _) => self.admin.call(request),
            (Service::Health, _) => self.health.call(request),
            (Service::Reflection, _) => self.reflection.call(request.map(Body::new)),
            (Service::ReflectionAlpha, _) => self.reflection_alpha.call(request.map(Body::new)),
        }
    }
}

/// There is no such method.
fn unknown(path: &str) -> BoxFuture<Response<Body>, Infallible> {
    let method = repeated(path).into_string();
    refuse(RpcRefusal::UnknownMethod { method })
}

/// Refuses a call before a service has it.
fn refuse(refusal: RpcRefusal) -> BoxFuture<Response<Body>, Infallible> {
    let response = Refused::from(refusal).into_status().into_http();
    Box::pin(std::future::ready(Ok(response)))
}

fn is_grpc<B>(request: &Request<B>) -> bool {
    request.method() == http::Method::POST
        && request
            .headers()
            .get(http::header::CONTENT_TYPE)
            .is_some_and(|value| is_protobuf(value.as_bytes()))
}

/// Whether this is the media type of what is read here: messages of protobuf, by gRPC's own
/// framing. gRPC-Web and other codings have types that begin alike.
fn is_protobuf(content_type: &[u8]) -> bool {
    let end = content_type.iter().position(|byte| *byte == b';');
    let (name, _) = content_type.split_at(end.unwrap_or(content_type.len()));
    let name = name.trim_ascii();
    name.eq_ignore_ascii_case(b"application/grpc")
        || name.eq_ignore_ascii_case(b"application/grpc+proto")
}

/// How much metadata a call has, as HTTP/2 counts it.
fn metadata_bytes(headers: &HeaderMap) -> usize {
    let pairs = headers.iter();
    pairs
        .map(|(name, value)| name.as_str().len().saturating_add(value.len()))
        .fold(headers.len().saturating_mul(32), usize::saturating_add)
}

/// What is no gRPC gets what HTTP says about that.
fn not_grpc() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = http::StatusCode::UNSUPPORTED_MEDIA_TYPE;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_grpc_with_protobuf_is_served() {
        for (content_type, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("Application/gRPC", true),
            ("application/grpc; charset=utf-8", true),
            ("application/grpc+proto;x=y", true),
            ("application/grpc ;x=y", true),
            ("application/grpc-web", false),
            ("application/grpc-web+proto", false),
            ("application/grpc-web-text", false),
            ("application/grpc+json", false),
            ("application/grpcx", false),
            ("application/json", false),
            ("text/plain; application/grpc", false),
            ("", false),
        ] {
            assert_eq!(
                is_protobuf(content_type.as_bytes()),
                expected,
                "{content_type}"
            );
        }
    }
}
