//! Request id: a valid `x-request-id` is kept, otherwise one is made. The layers
//! below find it in the request's headers, the caller in the reply's.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use http::{HeaderName, HeaderValue, Request, Response};
use tower::{Layer, Service};

use crate::domain::names::is_request_id;

/// The header.
pub static HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Puts [`RequestId`] around a service.
#[derive(Clone, Debug)]
pub struct RequestIdLayer {
    ids: Arc<Ids>,
}

/// Makes ids that no other process makes: random bits and a count.
#[derive(Debug)]
struct Ids {
    process: u64,
    next: AtomicU64,
}

impl RequestIdLayer {
    /// A layer with its own source of ids.
    #[must_use]
    pub fn new() -> Self {
        // Without randomness ids are still unique within the process.
        let process = getrandom::u64().unwrap_or_default();
        Self {
            ids: Arc::new(Ids {
                process,
                next: AtomicU64::new(1),
            }),
        }
    }
}

impl Default for RequestIdLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl Ids {
    fn make(&self) -> HeaderValue {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        let text = format!("{:016x}-{count:x}", self.process);
        // Hexadecimal digits and a dash are always a header's value.
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("unknown"))
    }
}

impl<S> Layer<S> for RequestIdLayer {
    type Service = RequestId<S>;

    fn layer(&self, inner: S) -> RequestId<S> {
        RequestId {
            inner,
            ids: Arc::clone(&self.ids),
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct RequestId<S> {
    inner: S,
    ids: Arc<Ids>,
}

impl<S, A, B> Service<Request<A>> for RequestId<S>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = Reply<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        let id = match request.headers().get(&HEADER) {
            Some(id) if id.to_str().is_ok_and(is_request_id) => id.clone(),
            _ => {
                let id = self.ids.make();
                request.headers_mut().insert(HEADER.clone(), id.clone());
                id
            }
        };
        Reply {
            inner: self.inner.call(request),
            id: Some(id),
        }
    }
}

pin_project_lite::pin_project! {
    /// A reply that will carry its id.
    pub struct Reply<F> {
        #[pin]
        inner: F,
        id: Option<HeaderValue>,
    }
}

impl<F, B, E> Future for Reply<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut outcome = ready!(this.inner.poll(context));
        if let (Ok(response), Some(id)) = (&mut outcome, this.id.take()) {
            response.headers_mut().insert(HEADER.clone(), id);
        }
        Poll::Ready(outcome)
    }
}
