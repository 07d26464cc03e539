//! Log and metrics: one event for each call that was handled. Refusals are always
//! logged, successes where it is asked for; all are counted.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http::{Request, Response};
use http_body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::{GRPC_STATUS, request_id};
use crate::rpc::near::Near;
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

/// Threads that count without meeting another one.
const SHARES: usize = 16;

/// Counts calls, each thread in a place of its own.
#[derive(Debug, Default)]
pub struct Counters([Share; SHARES]);

/// What some threads counted. Nothing else is in its lines of the processor's cache.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Share {
    started: AtomicU64,
    handled: AtomicU64,
    refused: AtomicU64,
}

thread_local! {
    /// Which share this thread counts in.
    static SHARE: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed).rem_euclid(SHARES)
    };
}

impl Counters {
    /// Calls that came in, were handled, and of these refused.
    #[must_use]
    pub fn totals(&self) -> (u64, u64, u64) {
        let sum = |of: fn(&Share) -> &AtomicU64| {
            let counts = self.0.iter().map(|share| of(share).load(Ordering::Relaxed));
            counts.fold(0, u64::wrapping_add)
        };
        (
            sum(|share| &share.started),
            sum(|share| &share.handled),
            sum(|share| &share.refused),
        )
    }

    fn share(&self) -> &Share {
        let [first, ..] = &self.0;
        SHARE.with(|share| self.0.get(*share)).unwrap_or(first)
    }
}

impl Observer for Counters {
    fn started(&self) {
        self.share().started.fetch_add(1, Ordering::Relaxed);
    }

    fn handled(&self, call: &Call) {
        let share = self.share();
        share.handled.fetch_add(1, Ordering::Relaxed);
        if call.code != Code::Ok {
            share.refused.fetch_add(1, Ordering::Relaxed);
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
            observer: Near::new(Arc::clone(&self.observer)),
            log_calls: self.log_calls,
        }
    }
}

/// See the module.
pub struct Observe<S> {
    inner: S,
    observer: Near<dyn Observer>,
    log_calls: bool,
}

impl<S: Clone> Clone for Observe<S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            observer: self.observer.apart(),
            log_calls: self.log_calls,
        }
    }
}

impl<S, A, B> Service<Request<A>> for Observe<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    B: Body,
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
            observer: self.observer.clone(),
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
        observer: Near<dyn Observer>,
        log_calls: bool,
        start: Instant,
        method: &'static str,
    }
}

impl<F, B, E> Future for Observed<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
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

/// A refusal stands in the headers of a reply without a message; a reply without status
/// there is one that succeeded.
fn code_of<B: Body>(response: &Response<B>) -> Code {
    if !response.body().is_end_stream() {
        return Code::Ok;
    }
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
