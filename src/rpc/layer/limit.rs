//! Limit and shed: so many calls in flight in the whole process, and the next one is refused
//! at once, with a hint when to come back. A call is in flight until its reply has left. A
//! large request counts as more calls while it comes in, and a batch, whose reply can be
//! large, counts as many from when it has come.
//!
//! Watches of health and streams of reflection have limits of their own, so that neither
//! takes a permit from a call. A check of health is let through: a server that is busy is not
//! one that is ill, and a check costs nothing. So are watches of balances, which their service
//! limits.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http::{Request, Response};
use tonic::body::Body;
use tower::{Layer, Service};

use super::body::{Batch, MeteredBody, ReplyBody};
use super::load::LoadMeter;
use super::permits::{Handover, Permits, Pool};
use crate::rpc::method::{self, Kind};
use crate::rpc::refused::{ReadyReplies, Resource, RpcRefusal};

/// Most watches of health.
const HEALTH_WATCHES_MAX: usize = 1_024;
/// Most streams of reflection, how long one of them lasts at most, and after how many bytes
/// its request is not read any more.
const REFLECTIONS_MAX: usize = 64;
const REFLECTION_BYTES_MAX: usize = 256 * 1_024;
/// The longest stream of reflection.
pub const REFLECTION_MAX: Duration = Duration::from_secs(30);

/// Puts [`Limit`] around a service.
#[derive(Clone, Debug)]
pub struct LimitLayer {
    pools: Pools,
}

#[derive(Clone, Debug)]
struct Pools {
    calls: Arc<Pool>,
    health_watches: Arc<Pool>,
    reflections: Arc<Pool>,
    shed: Arc<Shed>,
}

/// Refuses what is too much.
#[derive(Debug)]
struct Shed {
    load: LoadMeter,
    replies: ReadyReplies,
}

impl Shed {
    fn reply(&self, refusal: RpcRefusal) -> Response<Body> {
        let load = self.load.refuse(Instant::now());
        self.replies.reply(&refusal.under(load))
    }
}

impl LimitLayer {
    /// At most so many calls in flight, over all services that this layer is put around.
    #[must_use]
    pub fn new(calls_max: usize) -> Self {
        let pool = |size, resource| Arc::new(Pool::new(size, resource));
        Self {
            pools: Pools {
                calls: pool(calls_max, Resource::Calls),
                health_watches: pool(HEALTH_WATCHES_MAX, Resource::HealthWatchers),
                reflections: pool(REFLECTIONS_MAX, Resource::Reflections),
                shed: Arc::new(Shed {
                    load: LoadMeter::new(Instant::now()),
                    replies: ReadyReplies::default(),
                }),
            },
        }
    }
}

impl<S> Layer<S> for LimitLayer {
    type Service = Limit<S>;

    fn layer(&self, inner: S) -> Limit<S> {
        Limit {
            inner,
            pools: self.pools.clone(),
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Limit<S> {
    inner: S,
    pools: Pools,
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
        let acquired = match kind {
            Kind::Unary | Kind::Batch => self.pools.calls.acquire(1).map(Permits::from),
            Kind::HealthWatch => self.pools.health_watches.acquire(1).map(Permits::from),
            Kind::Reflection => self.pools.reflections.acquire(1).map(Permits::from),
            Kind::BalanceWatch | Kind::HealthCheck => Ok(Permits::default()),
        };
        let permits = match acquired {
            Ok(permits) => permits,
            Err(refusal) => {
                return Limited::Shed {
                    reply: Some(self.pools.shed.reply(refusal)),
                };
            }
        };
        self.pools.shed.load.take();
        let handover = (kind == Kind::Batch).then(Handover::default);
        let batch = handover.clone().map(|handover| Batch {
            weight: usize::try_from(kind.weight()).unwrap_or(usize::MAX),
            handover,
        });
        let request = request.map(|body| match kind {
            Kind::Reflection => MeteredBody::ending(body, REFLECTION_BYTES_MAX, REFLECTION_MAX),
            // Whatever it is, what it sends waits in the same memory.
            _ => MeteredBody::new(body, Arc::clone(&self.pools.calls), batch),
        });
        Limited::Called {
            inner: self.inner.call(request),
            kind,
            permits,
            handover,
        }
    }
}

pin_project_lite::pin_project! {
    /// A call that has its permit, or was shed.
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
            permits: Permits,
            handover: Option<Handover>,
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
            LimitedProjection::Called {
                inner,
                kind,
                permits,
                handover,
            } => {
                let response = ready!(inner.poll(context))?;
                let mut permits = std::mem::take(permits);
                if let Some(handover) = handover {
                    handover.take(&mut permits);
                }
                let end_after = (*kind == Kind::Reflection).then_some(REFLECTION_MAX);
                Poll::Ready(Ok(response.map(|body| match kind.streams() {
                    true => ReplyBody::stream(body, permits, end_after),
                    false => ReplyBody::new(body, permits),
                })))
            }
        }
    }
}
