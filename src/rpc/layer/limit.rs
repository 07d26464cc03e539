//! Limit and shed: what calls hold in the whole process is limited, and what one connection
//! holds of that. What finds no room is refused at once, with a hint when to come back. A call
//! holds memory from its headers on, and is in flight from when its message has come until its
//! reply has left.
//!
//! Watches of balances and of health and streams of reflection have limits of their own, so
//! that none takes a permit from a call. A check of health takes no permit: a server that is
//! busy is not one that is ill.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use http_body::Body as _;
use tonic::body::Body;
use tower::{Layer, Service};

use super::authenticate::{Authenticator, NotAdmitted};
use super::body::{MeteredBody, ReplyBody};
use super::budget::Budget;
use super::reservation::Reservation;
use super::share::Share;
use super::{OfConnection, Settings};
use crate::app::App;
use crate::app::access::Caller;
use crate::rpc::METADATA_BYTES_MAX;
use crate::rpc::method::{self, Kind, Method, Repeat};
use crate::rpc::peer::Peer;
use crate::rpc::refused::{Load, Refused, Resource, RpcRefusal};

/// After how many bytes the request of a stream of reflection is not read any more.
const REFLECTION_BYTES_MAX: usize = 256 * 1_024;
/// The longest stream of reflection.
pub const REFLECTION_MAX: Duration = Duration::from_secs(30);

/// Puts [`Limit`] around a service.
#[derive(Clone)]
pub struct LimitLayer {
    authenticator: Authenticator,
    budget: Arc<Budget>,
    admission: Arc<dyn Admission>,
}

/// Who knows whether the work that a call brings would be queued.
pub trait Admission: Send + Sync + 'static {
    /// Why a single write that came now would be refused. It counts as refused.
    fn refuses_writes(&self) -> Option<RpcRefusal>;
}

impl LimitLayer {
    /// The limits hold over all services that this layer is put around.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let mut budget = Budget::new(
            settings.limits.call_memory_bytes_max.clone(),
            settings.limits.calls_max.clone(),
            settings.limits.watchers_max.clone(),
        );
        budget.access = Some(Arc::clone(&settings.access));
        Self {
            authenticator: Authenticator::new(Arc::clone(&settings.access)),
            budget: Arc::new(budget),
            admission: Arc::clone(&settings.admission),
        }
    }

    /// What is limited.
    #[must_use]
    pub const fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }
}

impl<S> Layer<S> for LimitLayer {
    type Service = Limit<S>;

    fn layer(&self, inner: S) -> Limit<S> {
        Limit {
            inner,
            authenticator: self.authenticator.clone(),
            share: Share::new(&self.budget, None),
            budget: Arc::clone(&self.budget),
            admission: Arc::clone(&self.admission),
        }
    }
}

impl Admission for App {
    fn refuses_writes(&self) -> Option<RpcRefusal> {
        let (limit, queued) = Self::refuses_writes(self)?;
        Some(RpcRefusal::Overloaded {
            limit,
            resource: Resource::Queued(queued),
            load: Load::default(),
        })
    }
}

/// See the module.
#[derive(Clone)]
pub struct Limit<S> {
    inner: S,
    authenticator: Authenticator,
    admission: Arc<dyn Admission>,
    budget: Arc<Budget>,
    share: Arc<Share>,
}

impl<S> OfConnection for Limit<S> {
    fn of_connection(self, peer: &Peer) -> Self {
        Self {
            share: Share::new(&self.budget, Some(peer.address)),
            authenticator: self.authenticator.of_connection(peer),
            ..self
        }
    }
}

impl<S, A> Service<Request<A>> for Limit<S>
where
    S: Service<Request<MeteredBody<A>>, Response = Response<Body>>,
{
    type Response = Response<ReplyBody>;
    type Error = S::Error;
    type Future = Limited<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        // A call of no method is refused soon, and counts until then.
        let method = method::find(request.uri().path());
        let kind = method.map_or(Kind::Unary, |method| method.kind);
        let held = match self.begin(method, request.headers()) {
            Ok(held) => held,
            Err(reply) => {
                return Limited::Shed {
                    reply: Some(*reply),
                };
            }
        };
        let request = request.map(|body| match kind {
            Kind::Reflection => MeteredBody::ending(body, REFLECTION_BYTES_MAX, REFLECTION_MAX),
            _ => MeteredBody::new(body, held.clone()),
        });
        Limited::Called {
            inner: self.inner.call(request),
            kind,
            held: Some(held),
        }
    }
}

impl<S> Limit<S> {
    /// What a call holds from now on, or the reply that refuses it.
    fn begin(
        &mut self,
        method: Option<&'static Method>,
        headers: &HeaderMap,
    ) -> Result<Reservation, Box<Response<Body>>> {
        let metadata_bytes = metadata_bytes(headers);
        if metadata_bytes > METADATA_BYTES_MAX {
            let limit_bytes = METADATA_BYTES_MAX;
            let refusal = RpcRefusal::MetadataTooLarge { limit_bytes };
            return Err(Box::new(self.share.refuse(refusal)));
        }
        let caller = match method {
            Some(method) => self.authenticator.admit(method, headers),
            None => Ok(Caller::default()),
        };
        let caller = caller.map_err(|not| {
            Box::new(match not {
                NotAdmitted::Unauthenticated(refusal) => self.share.refuse_caller(&refusal),
                NotAdmitted::Refused(refusal, key_id) => {
                    let mut reply = Refused::from(refusal).into_status().into_http::<Body>();
                    if let Some(key_id) = key_id {
                        reply.extensions_mut().insert(key_id);
                    }
                    reply
                }
            })
        })?;
        let kind = method.map_or(Kind::Unary, |method| method.kind);
        let writes = method.is_some_and(|method| method.repeat == Repeat::RequestId);
        if writes
            && kind == Kind::Unary
            && let Some(refusal) = self.admission.refuses_writes()
        {
            // Before its message is read and priced.
            return Err(Box::new(self.share.refuse(refusal)));
        }
        Reservation::begin(&self.share, kind, metadata_bytes, caller)
            .map_err(|refusal| Box::new(self.share.refuse(refusal)))
    }
}

/// How much metadata a call has, as HTTP/2 counts it.
fn metadata_bytes(headers: &HeaderMap) -> usize {
    let pairs = headers.iter();
    pairs
        .map(|(name, value)| name.as_str().len().saturating_add(value.len()))
        .fold(headers.len().saturating_mul(32), usize::saturating_add)
}

pin_project_lite::pin_project! {
    /// A call that holds what it needs, or was shed.
    #[project = LimitedProjection]
    pub enum Limited<F> {
        /// It is refused.
        Shed {
            reply: Option<Response<Body>>,
        },
        /// It goes on.
        Called {
            #[pin]
            inner: F,
            kind: Kind,
            held: Option<Reservation>,
        },
    }
}

impl<F, E> Future for Limited<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = Result<Response<ReplyBody>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            LimitedProjection::Shed { reply } => match reply.take() {
                Some(reply) => Poll::Ready(Ok(ReplyBody::free(reply))),
                // It is polled to its end once.
                None => Poll::Pending,
            },
            LimitedProjection::Called { inner, kind, held } => {
                let response = ready!(inner.poll(context))?;
                let Some(held) = held.take() else {
                    return Poll::Pending;
                };
                if let Some(refusal) = held.no_room() {
                    let reply = held.refuse(refusal.clone());
                    return Poll::Ready(Ok(ReplyBody::free(reply)));
                }
                if kind.streams() {
                    let end_after = (*kind == Kind::Reflection).then_some(REFLECTION_MAX);
                    let reply = |body| ReplyBody::stream(body, held, end_after);
                    return Poll::Ready(Ok(response.map(reply)));
                }
                let reply_bytes = response.body().size_hint().exact().unwrap_or_default();
                let reply_bytes = usize::try_from(reply_bytes).unwrap_or(usize::MAX);
                Poll::Ready(Ok(match held.reply(reply_bytes) {
                    Ok(()) => response.map(|body| ReplyBody::new(body, Some(held))),
                    // What a write did is done, and its request_id is answered again.
                    Err(refusal) => ReplyBody::free(held.refuse(refusal)),
                }))
            }
        }
    }
}
