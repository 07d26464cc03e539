//! Panic: a panic in one call ends that call and no other. It leaves here as
//! an error; the layer that knows the call's request id answers it.

use std::any::Any;
use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Request;
use tower::{Layer, Service};

use super::OfConnection;
use crate::rpc::peer::Peer;

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

/// What happened, for the log.
#[derive(Debug)]
pub struct Panicked(pub Box<str>);

impl Panicked {
    fn of(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Self(text.unwrap_or("no message").into())
    }
}

impl<S: OfConnection> OfConnection for CatchPanic<S> {
    fn of_connection(self, peer: &Peer) -> Self {
        Self {
            inner: self.inner.of_connection(peer),
        }
    }
}

impl<S, A> Service<Request<A>> for CatchPanic<S>
where
    S: Service<Request<A>, Error = Infallible>,
{
    type Response = S::Response;
    type Error = Panicked;
    type Future = Caught<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Panicked>> {
        self.inner.poll_ready(context).map(never)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let called = catch_unwind(AssertUnwindSafe(|| self.inner.call(request)));
        match called {
            Ok(inner) => Caught {
                inner: Some(inner),
                early: None,
            },
            Err(panic) => Caught {
                early: Some(Panicked::of(&*panic)),
                inner: None,
            },
        }
    }
}

pin_project_lite::pin_project! {
    /// A call whose panic will be caught.
    pub struct Caught<F> {
        #[pin]
        inner: Option<F>,
        early: Option<Panicked>,
    }
}

impl<F, R> Future for Caught<F>
where
    F: Future<Output = Result<R, Infallible>>,
{
    type Output = Result<R, Panicked>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let polled = match this.inner.as_mut().as_pin_mut() {
            Some(inner) => catch_unwind(AssertUnwindSafe(|| inner.poll(context))),
            None => match this.early.take() {
                Some(panicked) => return Poll::Ready(Err(panicked)),
                None => return Poll::Pending,
            },
        };
        match polled {
            Ok(outcome) => outcome.map(never),
            Err(panic) => {
                // What panicked is dropped and never polled again.
                this.inner.set(None);
                Poll::Ready(Err(Panicked::of(&*panic)))
            }
        }
    }
}

fn never<T>(outcome: Result<T, Infallible>) -> Result<T, Panicked> {
    outcome.map_err(|never| match never {})
}
