//! From a path to its service.
//!
//! Each service answers for the paths below its name; there is nothing to match
//! but five prefixes, so no router of patterns stands in the way of a call.

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
use tower::{Service, service_fn};

use super::health::{self, HealthApi, State};
use super::ledger_service::LedgerApi;
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
];

type Boxed = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// Sends each call to its service.
pub struct Router {
    pricing_api: PricingApi,
    pricing: PricingServiceServer<PricingApi>,
    ledger_api: LedgerApi,
    ledger: LedgerServiceServer<LedgerApi>,
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
        let pricing_api = PricingApi::new(Arc::clone(app));
        let ledger_api = LedgerApi::new(Arc::clone(app), state.clone(), watchers_max);
        Ok(Self {
            pricing: pricing_server(pricing_api.clone()),
            pricing_api,
            ledger: ledger_server(ledger_api.clone()),
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

impl Clone for Router {
    fn clone(&self) -> Self {
        Self {
            // Each call counts its use of the service: see `near`.
            pricing: pricing_server(self.pricing_api.clone()),
            pricing_api: self.pricing_api.clone(),
            ledger: ledger_server(self.ledger_api.clone()),
            ledger_api: self.ledger_api.clone(),
            health: self.health.clone(),
            reflection: self.reflection.clone(),
            reflection_alpha: self.reflection_alpha.clone(),
        }
    }
}

fn pricing_server(api: PricingApi) -> PricingServiceServer<PricingApi> {
    PricingServiceServer::new(api)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
}

fn ledger_server(api: LedgerApi) -> LedgerServiceServer<LedgerApi> {
    LedgerServiceServer::new(api)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
}

impl<B> Service<Request<B>> for Router
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
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
        match path {
            "/grpc.health.v1.Health/Check" | "/grpc.health.v1.Health/Watch" => {
                self.health.call(request)
            }
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo" => {
                self.reflection.call(request.map(Body::new))
            }
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo" => {
                self.reflection_alpha.call(request.map(Body::new))
            }
            "/creditd.v1.PricingService/BatchEstimate" => {
                let api = self.pricing_api.clone();
                let method = move |request| {
                    let api = api.clone();
                    async move { api.encoded_batch_estimate(request).await }
                };
                wire::serve(request, service_fn(method))
            }
            "/creditd.v1.LedgerService/BatchCharge" => {
                let api = self.ledger_api.clone();
                let method = move |request| {
                    let api = api.clone();
                    async move { api.encoded_batch_charge(request).await }
                };
                wire::serve(request, service_fn(method))
            }
            path if method_named(path).is_none() => unknown(path),
            path if path.starts_with("/creditd.v1.PricingService/") => self.pricing.call(request),
            _ => self.ledger.call(request),
        }
    }
}

/// There is no such method.
fn unknown(path: &str) -> BoxFuture<Response<Body>, Infallible> {
    let method = repeated(path).into_string();
    refuse(RpcRefusal::UnknownMethod { method })
}

/// Refuses a call before a service has it.
fn refuse(fault: RpcRefusal) -> BoxFuture<Response<Body>, Infallible> {
    let response = Refused::from(fault).into_status().into_http();
    Box::pin(std::future::ready(Ok(response)))
}

/// The path of the one method whose replies have no end: a call of it is no load.
pub const WATCH_BALANCE: &str = "/creditd.v1.LedgerService/WatchBalance";

/// Paths of the public services' methods.
pub const METHODS: &[&str] = &[
    "/creditd.v1.PricingService/Estimate",
    "/creditd.v1.PricingService/BatchEstimate",
    "/creditd.v1.PricingService/GetRateCard",
    "/creditd.v1.LedgerService/GetBalance",
    WATCH_BALANCE,
    "/creditd.v1.LedgerService/ListEntries",
    "/creditd.v1.LedgerService/Grant",
    "/creditd.v1.LedgerService/Charge",
    "/creditd.v1.LedgerService/BatchCharge",
    "/creditd.v1.LedgerService/Refund",
    "/creditd.v1.LedgerService/Hold",
    "/creditd.v1.LedgerService/ExtendHold",
    "/creditd.v1.LedgerService/SettleHold",
    "/creditd.v1.LedgerService/ReleaseHold",
    "/creditd.v1.LedgerService/GetHold",
    "/creditd.v1.LedgerService/ListHolds",
    "/creditd.v1.LedgerService/RevokeGrant",
];

/// Paths of the methods of health and reflection.
const SURROUNDINGS: &[&str] = &[
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// Whether a call of this method goes on until its caller has enough of it.
#[must_use]
pub fn is_endless(method: &str) -> bool {
    matches!(method, WATCH_BALANCE | "/grpc.health.v1.Health/Watch")
        || method.starts_with("/grpc.reflection.")
}

/// The method of that path, where there is one.
#[must_use]
pub fn method_named(path: &str) -> Option<&'static str> {
    let mut all = METHODS.iter().chain(SURROUNDINGS);
    all.find(|method| **method == path).copied()
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
