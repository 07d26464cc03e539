//! Log and metrics: one event for each call that was handled. Refusals are always
//! logged, successes where it is asked for; all are counted.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http::{Request, Response};
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::{GRPC_STATUS, request_id};
use crate::rpc::refused::error_info;
use crate::rpc::router::method_named;

/// A call that was handled.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Path of the method; "" for one that the server does not have.
    pub method: &'static str,
    /// How it ended.
    pub code: Code,
    /// How long it took.
    pub elapsed: Duration,
}

/// Who wants to know of calls: the hook for metrics.
pub trait Observer: Send + Sync + 'static {
    /// A call came in.
    fn started(&self);
    /// A call was handled. A caller that went away before is not.
    fn handled(&self, call: &Call);
}

/// Counts calls.
#[derive(Debug, Default)]
pub struct Counters {
    started: AtomicU64,
    handled: AtomicU64,
    refused: AtomicU64,
}

impl Counters {
    /// Calls that came in, were handled, and of these refused.
    #[must_use]
    pub fn totals(&self) -> (u64, u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (
            read(&self.started),
            read(&self.handled),
            read(&self.refused),
        )
    }
}

impl Observer for Counters {
    fn started(&self) {
        self.started.fetch_add(1, Ordering::Relaxed);
    }

    fn handled(&self, call: &Call) {
        self.handled.fetch_add(1, Ordering::Relaxed);
        if call.code != Code::Ok {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Puts [`Observe`] around a service.
#[derive(Clone)]
pub struct ObserveLayer {
    observer: Arc<dyn Observer>,
    log_calls: bool,
}

impl ObserveLayer {
    /// Tells the observer; logs successful calls too where that is asked for.
    #[must_use]
    pub const fn new(observer: Arc<dyn Observer>, log_calls: bool) -> Self {
        Self {
            observer,
            log_calls,
        }
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe {
            inner,
            observer: Arc::clone(&self.observer),
            log_calls: self.log_calls,
        }
    }
}

/// See the module.
#[derive(Clone)]
pub struct Observe<S> {
    inner: S,
    observer: Arc<dyn Observer>,
    log_calls: bool,
}

impl<S, A, B> Service<Request<A>> for Observe<S>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = Observed<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        self.observer.started();
        let method = method_named(request.uri().path()).unwrap_or_default();
        Observed {
            start: Instant::now(),
            inner: self.inner.call(request),
            observer: Arc::clone(&self.observer),
            log_calls: self.log_calls,
            method,
        }
    }
}

pin_project_lite::pin_project! {
    /// A call that is being watched.
    pub struct Observed<F> {
        #[pin]
        inner: F,
        observer: Arc<dyn Observer>,
        log_calls: bool,
        start: Instant,
        method: &'static str,
    }
}

impl<F, B, E> Future for Observed<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let outcome = ready!(this.inner.poll(context));
        if let Ok(response) = &outcome {
            let call = Call {
                method: this.method,
                code: code_of(response),
                elapsed: this.start.elapsed(),
            };
            this.observer.handled(&call);
            if call.code != Code::Ok || *this.log_calls {
                log(&call, response);
            }
        }
        Poll::Ready(outcome)
    }
}

/// A refusal stands in the reply's headers; a reply without status there is one
/// that succeeded.
fn code_of<B>(response: &Response<B>) -> Code {
    match response.headers().get(&GRPC_STATUS) {
        Some(status) => Code::from_bytes(status.as_bytes()),
        None if response.status().is_success() => Code::Ok,
        None => Code::Unknown,
    }
}

fn log<B>(call: &Call, response: &Response<B>) {
    let request_id = response.headers().get(&request_id::HEADER);
    let request_id = request_id
        .and_then(|id| id.to_str().ok())
        .unwrap_or_default();
    let method = call.method;
    let elapsed_us = u64::try_from(call.elapsed.as_micros()).unwrap_or(u64::MAX);
    if call.code == Code::Ok {
        tracing::info!(request_id, method, elapsed_us, "call");
        return;
    }
    if !response.status().is_success() {
        // Whoever does not even speak gRPC is no event of this service.
        tracing::debug!(
            request_id,
            status = response.status().as_u16(),
            elapsed_us,
            "not gRPC"
        );
        return;
    }
    let info = Status::from_header_map(response.headers())
        .and_then(|status| error_info(status.details()))
        .unwrap_or_default();
    let code = format!("{:?}", call.code);
    let reason = info.reason.as_str();
    // The server's own fault is an error; the caller's is news.
    match call.code {
        Code::Internal | Code::Unknown | Code::DataLoss => {
            tracing::error!(request_id, method, code, reason, elapsed_us, "refused");
        }
        Code::Unavailable | Code::DeadlineExceeded => {
            tracing::warn!(request_id, method, code, reason, elapsed_us, "refused");
        }
        _ => tracing::info!(request_id, method, code, reason, elapsed_us, "refused"),
    }
}
