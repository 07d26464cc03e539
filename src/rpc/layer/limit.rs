//! Limit and shed: so many calls in flight in the whole process, and the next one
//! is refused at once, with a hint when to come back. A call is in flight until its
//! reply has left; a batch, whose reply can be large, counts as many calls.
//!
//! Health is let through: a server that is busy is not one that is ill, and a
//! check costs nothing. So are watchers of balances, who have a limit of their own.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::rpc::refused::{Refused, WireFault};
use crate::rpc::router::WATCH_BALANCE;

/// Puts [`Limit`] around a service.
#[derive(Clone, Debug)]
pub struct LimitLayer {
    calls: Arc<Calls>,
}

#[derive(Debug)]
struct Calls {
    in_flight: AtomicUsize,
    max: usize,
}

/// A place among the calls in flight; given back when it is dropped.
#[derive(Debug)]
struct Place {
    calls: Arc<Calls>,
    weight: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.calls
            .in_flight
            .fetch_sub(self.weight, Ordering::Relaxed);
    }
}

/// As how many calls a batch counts.
const BATCH_WEIGHT: usize = 64;

impl LimitLayer {
    /// At most so many calls in flight, over all services that this layer is put
    /// around.
    #[must_use]
    pub fn new(calls_max: usize) -> Self {
        Self {
            calls: Arc::new(Calls {
                in_flight: AtomicUsize::new(0),
                max: calls_max,
            }),
        }
    }
}

impl Calls {
    fn enter(calls: &Arc<Self>, path: &str) -> Option<Place> {
        let weight = match path.rsplit_once('/') {
            // One batch fits, however small the limit is.
            Some((_, method)) if method.starts_with("Batch") => BATCH_WEIGHT.min(calls.max),
            _ => 1,
        };
        let before = calls.in_flight.fetch_add(weight, Ordering::Relaxed);
        let place = Place {
            calls: Arc::clone(calls),
            weight,
        };
        (before.saturating_add(weight) <= calls.max).then_some(place)
    }
}

impl<S> Layer<S> for LimitLayer {
    type Service = Limit<S>;

    fn layer(&self, inner: S) -> Limit<S> {
        Limit {
            inner,
            calls: Arc::clone(&self.calls),
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Limit<S> {
    inner: S,
    calls: Arc<Calls>,
}

impl<S, A> Service<Request<A>> for Limit<S>
where
    S: Service<Request<A>, Response = Response<Body>>,
{
    type Response = Response<Held>;
    type Error = S::Error;
    type Future = Limited<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let path = request.uri().path();
        let exempt = path.starts_with("/grpc.health.v1.Health/") || path == WATCH_BALANCE;
        let place = if exempt {
            None
        } else {
            match Calls::enter(&self.calls, path) {
                Some(place) => Some(place),
                None => {
                    return Limited {
                        inner: None,
                        place: None,
                        limit: self.calls.max,
                    };
                }
            }
        };
        Limited {
            inner: Some(self.inner.call(request)),
            place,
            limit: self.calls.max,
        }
    }
}

pin_project_lite::pin_project! {
    /// A call that has its place, or was shed.
    pub struct Limited<F> {
        #[pin]
        inner: Option<F>,
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
        match this.inner.as_pin_mut() {
            Some(inner) => {
                let outcome = ready!(inner.poll(context));
                let place = this.place.take();
                Poll::Ready(outcome.map(|response| response.map(|body| Held { body, place })))
            }
            None => {
                let fault = WireFault::Overloaded { limit: *this.limit };
                Poll::Ready(Ok(Held::free(
                    Refused::from(fault).into_status().into_http(),
                )))
            }
        }
    }
}

pin_project_lite::pin_project! {
    /// A reply that keeps its call's place until it has left.
    pub struct Held {
        #[pin]
        body: Body,
        place: Option<Place>,
    }
}

impl Held {
    /// A reply without a place.
    #[must_use]
    pub fn free(response: Response<Body>) -> Response<Self> {
        response.map(|body| Self { body, place: None })
    }
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.project().body.poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
