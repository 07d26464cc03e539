//! From a path to its service.
//!
//! The table of methods says which service has a path; there are no patterns to match.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tokio::sync::watch;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::codegen::BoxFuture;
use tonic_health::pb::health_server::HealthServer;
use tower::util::BoxCloneSyncService;

use super::admin_service::AdminApi;
use super::codec::decode_message;
use super::health::{self, HealthApi, State};
use super::ledger_service::LedgerApi;
use super::method::{self, Method, Service};
use super::pb::creditd::v1::admin_service_server::AdminService as _;
use super::pb::creditd::v1::ledger_service_server::LedgerService as _;
use super::pricing_service::PricingApi;
use super::refused::{Refused, RpcRefusal};
use super::wire::RequestBody;
use super::{reflection, wire};
use crate::app::App;
use crate::app::keys::Keys;
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
    pricing: Arc<PricingApi>,
    ledger: Arc<LedgerApi>,
    admin: Arc<AdminApi>,
    health: HealthServer<HealthApi>,
    /// None where callers cannot ask for the schema.
    reflection: Option<Reflections>,
}

/// The schema, by both versions of reflection.
#[derive(Clone)]
struct Reflections {
    v1: Boxed,
    v1alpha: Boxed,
}

impl Router {
    /// All services over these use cases.
    ///
    /// # Errors
    /// Never: reflection's descriptors come from the build.
    pub fn new(
        app: &Arc<App>,
        keys: Arc<Keys>,
        state: watch::Receiver<State>,
        with_reflection: bool,
    ) -> Result<Self, tonic_reflection::server::Error> {
        let gzip = CompressionEncoding::Gzip;
        Ok(Self {
            pricing: Arc::new(PricingApi::new(Arc::clone(app))),
            ledger: Arc::new(LedgerApi::new(Arc::clone(app), state.clone())),
            admin: Arc::new(AdminApi::new(Arc::clone(app), keys)),
            health: HealthServer::new(HealthApi::new(state, SERVICES))
                .accept_compressed(gzip)
                .send_compressed(gzip),
            reflection: match with_reflection {
                true => Some(Reflections {
                    v1: BoxCloneSyncService::new(reflection::v1()?.accept_compressed(gzip)),
                    v1alpha: BoxCloneSyncService::new(
                        reflection::v1alpha()?.accept_compressed(gzip),
                    ),
                }),
                false => None,
            },
        })
    }
}

/// Serves one call of a method that takes and gives bytes.
macro_rules! bytes {
    ($api:expr, $method:ident, $request:ident) => {{
        let api = Arc::clone(&$api);
        wire::serve($request, |message, held| async move {
            let held = held.unwrap_or_default();
            api.$method(message, held.caller()).await
        })
    }};
}

/// The same of one that can take megabytes.
macro_rules! large {
    ($api:expr, $method:ident, $request:ident) => {{
        let api = Arc::clone(&$api);
        wire::serve($request, |message, held| async move {
            api.$method(message, held.unwrap_or_default()).await
        })
    }};
}

/// Serves one call of a method that takes and gives messages.
macro_rules! message {
    ($api:expr, $method:ident, $request:ident) => {{
        let api = Arc::clone(&$api);
        wire::serve($request, |bytes, held| async move {
            let message = decode_message(&bytes)?;
            drop(bytes);
            let request = wire::request_of(message, held.as_ref());
            let reply = api.$method(request).await?;
            Ok(wire::EncodedReply::of(reply.get_ref()))
        })
    }};
}

impl<B: RequestBody> tower::Service<Request<B>> for Router {
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
        let path = request.uri().path();
        let Some(method) = method::find(path) else {
            return unknown(path);
        };
        match method.service {
            Service::Pricing => self.pricing(method.path, request),
            Service::Ledger => self.ledger(method.path, request),
            Service::Admin => self.admin(method.path, request),
            Service::Health => self.health.call(request),
            Service::Reflection | Service::ReflectionAlpha => self.reflect(method, request),
        }
    }
}

type Answer = BoxFuture<Response<Body>, Infallible>;

impl Router {
    fn reflect<B: RequestBody>(&mut self, method: &Method, request: Request<B>) -> Answer {
        let Some(reflections) = &mut self.reflection else {
            return unknown(method.path);
        };
        let service = match method.service {
            Service::ReflectionAlpha => &mut reflections.v1alpha,
            _ => &mut reflections.v1,
        };
        tower::Service::call(service, request.map(Body::new))
    }

    fn pricing<B: RequestBody>(&self, path: &str, request: Request<B>) -> Answer {
        let api = &self.pricing;
        match path {
            "/creditd.v1.PricingService/Estimate" => bytes!(api, encoded_estimate, request),
            "/creditd.v1.PricingService/BatchEstimate" => {
                large!(api, encoded_batch_estimate, request)
            }
            "/creditd.v1.PricingService/GetRateCard" => {
                large!(api, encoded_rate_card, request)
            }
            _ => unknown(path),
        }
    }

    fn ledger<B: RequestBody>(&self, path: &str, request: Request<B>) -> Answer {
        let api = &self.ledger;
        match path {
            "/creditd.v1.LedgerService/Charge" => bytes!(api, encoded_charge, request),
            "/creditd.v1.LedgerService/GetBalance" => message!(api, get_balance, request),
            "/creditd.v1.LedgerService/BatchCharge" => {
                large!(api, encoded_batch_charge, request)
            }
            "/creditd.v1.LedgerService/WatchBalance" => {
                let api = Arc::clone(api);
                wire::serve_stream(request, |message, held, compress| async move {
                    let held = held.unwrap_or_default();
                    api.encoded_watch(message, held, compress).await
                })
            }
            "/creditd.v1.LedgerService/ListEntries" => large!(api, encoded_entries, request),
            "/creditd.v1.LedgerService/ListHolds" => large!(api, encoded_holds, request),
            "/creditd.v1.LedgerService/ListAccounts" => large!(api, encoded_accounts, request),
            "/creditd.v1.LedgerService/Grant" => message!(api, grant, request),
            "/creditd.v1.LedgerService/Refund" => message!(api, refund, request),
            "/creditd.v1.LedgerService/Hold" => message!(api, hold, request),
            "/creditd.v1.LedgerService/ExtendHold" => message!(api, extend_hold, request),
            "/creditd.v1.LedgerService/SettleHold" => message!(api, settle_hold, request),
            "/creditd.v1.LedgerService/ReleaseHold" => message!(api, release_hold, request),
            "/creditd.v1.LedgerService/GetHold" => message!(api, get_hold, request),
            "/creditd.v1.LedgerService/RevokeGrant" => message!(api, revoke_grant, request),
            "/creditd.v1.LedgerService/GetAccount" => message!(api, get_account, request),
            "/creditd.v1.LedgerService/UpdateAccount" => message!(api, update_account, request),
            _ => unknown(path),
        }
    }

    fn admin<B: RequestBody>(&self, path: &str, request: Request<B>) -> Answer {
        let api = &self.admin;
        match path {
            "/creditd.v1.AdminService/PublishRateCard" => {
                message!(api, publish_rate_card, request)
            }
            "/creditd.v1.AdminService/ListRateCards" => large!(api, encoded_list, request),
            "/creditd.v1.AdminService/WithdrawRateCard" => {
                message!(api, withdraw_rate_card, request)
            }
            "/creditd.v1.AdminService/CreateKey" => message!(api, create_key, request),
            "/creditd.v1.AdminService/RevokeKey" => message!(api, revoke_key, request),
            "/creditd.v1.AdminService/ReloadConfig" => message!(api, reload_config, request),
            "/creditd.v1.AdminService/ListKeys" => large!(api, encoded_keys, request),
            "/creditd.v1.AdminService/ListAdminEvents" => large!(api, encoded_events, request),
            _ => unknown(path),
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
