//! Panic: a defect in one call becomes that call's INTERNAL, with what happened
//! in the log under the call's request id.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderValue, Request, Response};
use tower::{Layer, Service};

use super::{Held, request_id};
use crate::rpc::refused::{Refused, WireFault};

/// Puts [`CatchPanic`] around a service.
#[derive(Clone, Copy, Debug)]
pub struct CatchPanicLayer;

impl<S> Layer<S> for CatchPanicLayer {
    type Service = CatchPanic<S>;

    fn layer(&self, inner: S) -> CatchPanic<S> {
        CatchPanic { inner }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct CatchPanic<S> {
    inner: S,
}

impl<S, A> Service<Request<A>> for CatchPanic<S>
where
    S: Service<Request<A>, Response = Response<Held>>,
{
    type Response = Response<Held>;
    type Error = S::Error;
    type Future = Caught<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let request_id = request.headers().get(&request_id::HEADER).cloned();
        let called = catch_unwind(AssertUnwindSafe(|| self.inner.call(request)));
        match called {
            Ok(inner) => Caught {
                inner: Some(inner),
                request_id,
                early: None,
            },
            Err(panic) => Caught {
                early: Some(refuse(request_id.as_ref(), &*panic)),
                inner: None,
                request_id,
            },
        }
    }
}

pin_project_lite::pin_project! {
    /// A call whose panic will be caught.
    pub struct Caught<F> {
        #[pin]
        inner: Option<F>,
        request_id: Option<HeaderValue>,
        early: Option<Response<Held>>,
    }
}

impl<F, E> Future for Caught<F>
where
    F: Future<Output = Result<Response<Held>, E>>,
{
    type Output = Result<Response<Held>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let polled = match this.inner.as_mut().as_pin_mut() {
            Some(inner) => catch_unwind(AssertUnwindSafe(|| inner.poll(context))),
            None => match this.early.take() {
                Some(response) => return Poll::Ready(Ok(response)),
                None => return Poll::Pending,
            },
        };
        match polled {
            Ok(outcome) => outcome,
            Err(panic) => {
                // What panicked is dropped and never polled again.
                this.inner.set(None);
                Poll::Ready(Ok(refuse(this.request_id.as_ref(), &*panic)))
            }
        }
    }
}

fn refuse(request_id: Option<&HeaderValue>, panic: &(dyn Any + Send)) -> Response<Held> {
    let request_id = request_id
        .and_then(|id| id.to_str().ok())
        .unwrap_or_default();
    let what = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    tracing::error!(request_id, panic = what, "a defect stopped a call");
    let fault = WireFault::Internal {
        request_id: request_id.to_owned(),
    };
    Held::free(Refused::from(fault).into_status().into_http())
}
