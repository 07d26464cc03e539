//! Each call gets its id, by which its reply and its line in the log are found; one that a
//! defect ended is answered here. Log and metrics: one event for each call that has ended. Refusals and calls that were
//! given up are always logged, successes where it is asked for; all are counted.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body as _;
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::panic::Panicked;
use super::request_id::{self, Block, CallId, Ids};
use super::{GRPC_STATUS, Held};
use crate::rpc::near::Near;
use crate::rpc::refused::{Refused, RpcRefusal, error_info};
use crate::rpc::router::{is_endless, method_named};

/// A call that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Path of the method; "" for one that the server does not have.
    pub method: &'static str,
    /// How it ended.
    pub code: Code,
    /// How long it took, from its headers to the end of its reply.
    pub elapsed: Duration,
}

/// Who wants to know of calls: the hook for metrics.
pub trait Observer: Send + Sync + 'static {
    /// A call came in.
    fn started(&self);
    /// A call has ended: its reply has been sent, or its caller does not wait for it any more.
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
    cancelled: AtomicU64,
}

/// How many calls there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Came in.
    pub started: u64,
    /// Have ended.
    pub handled: u64,
    /// Of these, were refused.
    pub refused: u64,
    /// Of these, were given up by their callers.
    pub cancelled: u64,
}

thread_local! {
    /// Which share this thread counts in.
    static SHARE: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed).rem_euclid(SHARES)
    };
}

impl Counters {
    /// All that was counted.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let sum = |of: fn(&Share) -> &AtomicU64| {
            let counts = self.0.iter().map(|share| of(share).load(Ordering::Relaxed));
            counts.fold(0, u64::wrapping_add)
        };
        Totals {
            started: sum(|share| &share.started),
            handled: sum(|share| &share.handled),
            refused: sum(|share| &share.refused),
            cancelled: sum(|share| &share.cancelled),
        }
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
        let more = match call.code {
            Code::Ok => return,
            Code::Cancelled => &share.cancelled,
            _ => &share.refused,
        };
        more.fetch_add(1, Ordering::Relaxed);
    }
}

/// Puts [`Observe`] around a service.
#[derive(Clone)]
pub struct ObserveLayer {
    observer: Arc<dyn Observer>,
    log_calls: bool,
    ids: Arc<Ids>,
}

impl ObserveLayer {
    /// Tells the observer; logs successful calls too where that is asked for.
    #[must_use]
    pub fn new(observer: Arc<dyn Observer>, log_calls: bool) -> Self {
        Self {
            observer,
            log_calls,
            ids: Ids::new(),
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
            ids: Block::new(Arc::clone(&self.ids)),
        }
    }
}

/// See the module.
pub struct Observe<S> {
    inner: S,
    observer: Near<dyn Observer>,
    log_calls: bool,
    ids: Block,
}

impl<S: Clone> Clone for Observe<S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            observer: self.observer.apart(),
            log_calls: self.log_calls,
            ids: self.ids.apart(),
        }
    }
}

impl<S, A> Service<Request<A>> for Observe<S>
where
    S: Service<Request<A>, Response = Response<Held>, Error = Panicked>,
{
    type Response = Response<Held>;
    type Error = Infallible;
    type Future = Observed<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A service that panics over being ready is asked, and answers by that.
        self.inner.poll_ready(context).map(|_| Ok(()))
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        self.observer.started();
        let record = Record {
            observer: self.observer.clone(),
            log_calls: self.log_calls,
            start: Instant::now(),
            method: method_named(request.uri().path()).unwrap_or_default(),
            id: self.ids.id(request.headers()),
            has_ended: false,
        };
        Observed {
            inner: self.inner.call(request),
            record: Some(record),
        }
    }
}

pin_project_lite::pin_project! {
    /// A call that is being watched.
    pub struct Observed<F> {
        #[pin]
        inner: F,
        record: Option<Record>,
    }
}

impl<F> Future for Observed<F>
where
    F: Future<Output = Result<Response<Held>, Panicked>>,
{
    type Output = Result<Response<Held>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let outcome = ready!(this.inner.poll(context));
        Poll::Ready(Ok(match (this.record.take(), outcome) {
            (Some(record), outcome) => record.of(outcome),
            // It is polled to its end once.
            (None, Ok(response)) => response,
            (None, Err(panicked)) => refuse(String::new(), &panicked),
        }))
    }
}

/// What is known of a call until it ends. It ends when the last piece of its reply has been
/// taken to be sent, trailers and all, and where its caller went away before, when it is
/// dropped: then it is cancelled.
pub(super) struct Record {
    observer: Near<dyn Observer>,
    log_calls: bool,
    start: Instant,
    method: &'static str,
    id: CallId,
    has_ended: bool,
}

impl Record {
    /// The reply, under the call's id, which has the call recorded at its end.
    fn of(self, outcome: Result<Response<Held>, Panicked>) -> Response<Held> {
        let mut response = outcome.unwrap_or_else(|panicked| refuse(self.id.text(), &panicked));
        let headers = response.headers_mut();
        headers.insert(request_id::HEADER.clone(), self.id.header());
        if !response.body().is_end_stream() {
            return response.map(|body| body.recorded(self));
        }
        // A refusal: the headers are all that there is of it.
        match response.status().is_success() {
            true => Self::end(&mut Some(self), Ok(response.headers())),
            false => self.was_not_grpc(response.status()),
        }
        response
    }

    /// The call has ended by these trailers, or with this code.
    pub(super) fn end(record: &mut Option<Self>, how: Result<&HeaderMap, Code>) {
        let Some(mut record) = record.take() else {
            return;
        };
        let code = how.map_or_else(
            |code| code,
            |trailers| match trailers.get(&GRPC_STATUS) {
                Some(status) => Code::from_bytes(status.as_bytes()),
                None => Code::Ok,
            },
        );
        let call = record.note(code);
        if code != Code::Ok || record.log_calls {
            log(&call, &record.id, how.ok());
        }
    }

    /// Whoever does not even speak gRPC is no event of this service.
    fn was_not_grpc(mut self, status: StatusCode) {
        let elapsed_us = micros(self.note(Code::Unknown).elapsed);
        let (x_request_id, status) = (self.id.text(), status.as_u16());
        tracing::debug!(x_request_id, status, elapsed_us, "not gRPC");
    }

    fn note(&mut self, code: Code) -> Call {
        self.has_ended = true;
        let call = Call {
            method: self.method,
            code,
            elapsed: self.start.elapsed(),
        };
        self.observer.handled(&call);
        call
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let call = self.note(Code::Cancelled);
        // It is how a stream without an end usually ends.
        if self.log_calls || !is_endless(call.method) {
            log(&call, &self.id, None);
        }
    }
}

fn micros(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}

/// Answers a call that a defect ended.
fn refuse(x_request_id: String, Panicked(what): &Panicked) -> Response<Held> {
    tracing::error!(x_request_id, panic = what, "a defect stopped a call");
    let fault = RpcRefusal::Internal { x_request_id };
    Held::free(Refused::from(fault).into_status().into_http())
}

/// Writes a call into the log; the trailers say why it was refused.
fn log(call: &Call, id: &CallId, trailers: Option<&HeaderMap>) {
    let x_request_id = id.text();
    let method = call.method;
    let elapsed_us = micros(call.elapsed);
    let code = format!("{:?}", call.code);
    if call.code == Code::Ok {
        tracing::info!(x_request_id, method, elapsed_us, "call");
        return;
    }
    if call.code == Code::Cancelled {
        // Its caller does not wait for it any more, so it has no reason.
        tracing::info!(x_request_id, method, code, elapsed_us, "cancelled");
        return;
    }
    let info = trailers
        .and_then(Status::from_header_map)
        .and_then(|status| error_info(status.details()))
        .unwrap_or_default();
    let reason = info.reason.as_str();
    // The server's own fault is an error; the caller's is news.
    match call.code {
        Code::Internal | Code::Unknown | Code::DataLoss => {
            tracing::error!(x_request_id, method, code, reason, elapsed_us, "refused");
        }
        Code::Unavailable | Code::DeadlineExceeded => {
            tracing::warn!(x_request_id, method, code, reason, elapsed_us, "refused");
        }
        _ => tracing::info!(x_request_id, method, code, reason, elapsed_us, "refused"),
    }
}
