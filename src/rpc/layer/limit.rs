//! Limit and shed: so many calls in flight in the whole process, and the next one
//! is refused at once, with a hint when to come back.
//!
//! Health is let through: a server that is busy is not one that is ill, and a
//! check costs nothing.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::body::Body;
use tower::{Layer, Service};

use crate::rpc::refused::{Refused, WireFault};

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
struct Place(Arc<Calls>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

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
    fn enter(calls: &Arc<Self>) -> Option<Place> {
        let before = calls.in_flight.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(calls));
        (before < calls.max).then_some(place)
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
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Limited<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let exempt = request.uri().path().starts_with("/grpc.health.v1.Health/");
        let place = if exempt {
            None
        } else {
            match Calls::enter(&self.calls) {
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
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.inner.as_pin_mut() {
            Some(inner) => {
                let polled = inner.poll(context);
                if polled.is_ready() {
                    this.place.take();
                }
                polled
            }
            None => {
                let fault = WireFault::Overloaded { limit: *this.limit };
                Poll::Ready(Ok(Refused::from(fault).into_status().into_http()))
            }
        }
    }
}
