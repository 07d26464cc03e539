//! Limit and shed: so many calls in flight in the whole process, and the next one
//! is refused at once, with a hint when to come back. A call is in flight until its
//! reply has left. A large request counts as more calls while it comes in, and a batch,
//! whose reply can be large, counts as many from when it has come.
//!
//! A check of health is let through: a server that is busy is not one that is ill, and a
//! check costs nothing. So are watchers of balances, who have a limit of their own.
//! Watchers of health and those who ask for reflection have theirs here: neither takes
//! a place from a call.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response};
use tonic::body::Body;
use tower::{Layer, Service};

use super::held::{Held, Kept, Weighed};
use super::places::{Place, Places};
use crate::rpc::near::Near;
use crate::rpc::refused::{Refused, Resource, RpcRefusal};
use crate::rpc::router::WATCH_BALANCE;

/// As how many calls a batch counts.
const BATCH_WEIGHT: usize = 64;
/// Most watchers of health.
const HEALTH_WATCHERS_MAX: usize = 1_024;
/// Most streams of reflection, how long one of them lasts at most, and after how many bytes
/// it is not listened to any more.
const REFLECTIONS_MAX: usize = 64;
const REFLECTION_BYTES_MAX: usize = 256 * 1_024;
const REFLECTION_MAX: Duration = Duration::from_secs(30);

/// Puts [`Limit`] around a service.
#[derive(Clone, Debug)]
pub struct LimitLayer {
    pools: Pools,
}

#[derive(Clone, Debug)]
struct Pools {
    calls: Near<Places>,
    health_watchers: Near<Places>,
    reflections: Near<Places>,
}

impl Pools {
    fn apart(&self) -> Self {
        Self {
            calls: self.calls.apart(),
            health_watchers: self.health_watchers.apart(),
            reflections: self.reflections.apart(),
        }
    }
}

/// What a call is, by what limits it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Call,
    Batch,
    HealthWatch,
    Reflection,
    /// It has no limit here.
    Free,
}

impl Kind {
    fn of(path: &str) -> Self {
        match path {
            WATCH_BALANCE | "/grpc.health.v1.Health/Check" => Self::Free,
            "/grpc.health.v1.Health/Watch" => Self::HealthWatch,
            path if path.starts_with("/grpc.reflection.") => Self::Reflection,
            path => match path.rsplit_once('/') {
                Some((_, method)) if method.starts_with("Batch") => Self::Batch,
                _ => Self::Call,
            },
        }
    }

    /// What there is too much of where it has no place.
    const fn resource(self) -> Resource {
        match self {
            Self::Call | Self::Batch | Self::Free => Resource::Calls,
            Self::HealthWatch => Resource::HealthWatchers,
            Self::Reflection => Resource::Reflections,
        }
    }
}

/// The places that a batch takes when it has come; part of its request.
#[derive(Clone, Debug)]
pub struct BatchPlaces(Near<Places>);

impl BatchPlaces {
    /// Takes them, for as long as what this returns is kept; whoever puts it into the
    /// extensions of the reply has them kept until that has left.
    ///
    /// # Errors
    /// They are not free.
    pub fn take(&self) -> Result<Arc<Place>, RpcRefusal> {
        // One batch fits, however small the limit is.
        let count = BATCH_WEIGHT.min(self.0.max).saturating_sub(1);
        let place = Places::take(&self.0, count).map(Arc::new);
        place.ok_or(RpcRefusal::Overloaded {
            limit: self.0.max,
            resource: Resource::Calls,
        })
    }
}

impl LimitLayer {
    /// At most so many calls in flight, over all services that this layer is put
    /// around.
    #[must_use]
    pub fn new(calls_max: usize) -> Self {
        Self {
            pools: Pools {
                calls: Places::new(calls_max),
                health_watchers: Places::new(HEALTH_WATCHERS_MAX),
                reflections: Places::new(REFLECTIONS_MAX),
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
#[derive(Debug)]
pub struct Limit<S> {
    inner: S,
    pools: Pools,
}

impl<S: Clone> Clone for Limit<S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            pools: self.pools.apart(),
        }
    }
}

impl<S, A> Service<Request<A>> for Limit<S>
where
    S: Service<Request<Weighed<A>>, Response = Response<Body>>,
{
    type Response = Response<Held>;
    type Error = S::Error;
    type Future = Limited<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        let kind = Kind::of(request.uri().path());
        let pool = match kind {
            Kind::Call | Kind::Batch => Some(&self.pools.calls),
            Kind::HealthWatch => Some(&self.pools.health_watchers),
            Kind::Reflection => Some(&self.pools.reflections),
            Kind::Free => None,
        };
        let (mut place, mut limit) = (None, 0);
        if let Some(pool) = pool {
            limit = pool.max;
            place = Places::take(pool, 1);
            if place.is_none() {
                return Limited {
                    inner: None,
                    kind,
                    place,
                    limit,
                };
            }
        }
        if kind == Kind::Batch {
            let places = BatchPlaces(self.pools.calls.clone());
            request.extensions_mut().insert(places);
        }
        let calls = &self.pools.calls;
        let request = request.map(|body| match kind {
            Kind::Reflection => Weighed::ending(body, REFLECTION_BYTES_MAX, REFLECTION_MAX),
            // Whatever it is, what it sends waits in the same memory.
            _ => Weighed::new(body, calls),
        });
        Limited {
            inner: Some(self.inner.call(request)),
            kind,
            place,
            limit,
        }
    }
}

pin_project_lite::pin_project! {
    /// A call that has its place, or was shed.
    pub struct Limited<F> {
        #[pin]
        inner: Option<F>,
        kind: Kind,
        place: Option<Place>,
        limit: usize,
    }
}

impl<F, E> Future for Limited<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = Result<Response<Held>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else {
            let fault = RpcRefusal::Overloaded {
                limit: *this.limit,
                resource: this.kind.resource(),
            };
            let response = Refused::from(fault).into_status().into_http();
            return Poll::Ready(Ok(Held::free(response)));
        };
        let mut response = ready!(inner.poll(context))?;
        let more = match this.kind {
            Kind::Batch => response.extensions_mut().remove::<Arc<Place>>(),
            _ => None,
        };
        let kept = Kept::new(this.place.take(), more);
        let kind = *this.kind;
        Poll::Ready(Ok(response.map(|body| match kind {
            Kind::Reflection => Held::stream(body, kept, Some(REFLECTION_MAX)),
            Kind::HealthWatch => Held::stream(body, kept, None),
            Kind::Call | Kind::Batch | Kind::Free => Held::new(body, kept),
        })))
    }
}
