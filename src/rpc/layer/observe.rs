//! Each call gets its id, by which its reply and its line in the log are found; one that a
//! defect ended is answered here. Log, metrics and traces: one event for each call that has ended.
//! Refusals, slow calls and calls that were given up are logged, other successes where it is
//! asked for; all are counted.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body as _;
use tonic::Code;
use tower::{Layer, Service};

use super::call_line::micros;
use super::counters::{Call, Observer};
use super::lines::CallLines;
use super::panic::Panicked;
use super::request_id::{self, CallId, Ids};
use super::reservation::Reservation;
use super::trace_context::{TraceContext, TraceId};
use super::traced::{CallTrace, TracedCall, Tracer};
use super::{GRPC_STATUS, LiveLimits, OfConnection, ReplyBody, Settings};
use crate::domain::keys::KeyId;
use crate::rpc::method::{self, Method};
use crate::rpc::pb::creditd::v1::ErrorReason;
use crate::rpc::peer::{Peer, PeerAddress};
use crate::rpc::refused::{ItemsRefused, Refused, RpcRefusal, reason_in_trailers, reason_of};

/// Puts [`Observe`] around a service.
#[derive(Clone)]
pub struct ObserveLayer {
    observer: Arc<dyn Observer>,
    lines: Arc<CallLines>,
    limits: Arc<LiveLimits>,
    ids: Arc<Ids>,
    tracer: Option<Arc<dyn Tracer>>,
}

impl ObserveLayer {
    /// Tells the observer; logs successful calls too where the limits say so.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self {
            observer: Arc::clone(&settings.observer),
            lines: Arc::clone(&settings.lines),
            limits: Arc::clone(&settings.limits),
            ids: Ids::new(),
            tracer: settings.tracer.clone(),
        }
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe {
            inner,
            observer: Arc::clone(&self.observer),
            lines: Arc::clone(&self.lines),
            limits: Arc::clone(&self.limits),
            ids: Arc::clone(&self.ids),
            tracer: self.tracer.clone(),
            peer: None,
        }
    }
}

/// See the module.
#[derive(Clone)]
pub struct Observe<S> {
    inner: S,
    observer: Arc<dyn Observer>,
    lines: Arc<CallLines>,
    limits: Arc<LiveLimits>,
    ids: Arc<Ids>,
    tracer: Option<Arc<dyn Tracer>>,
    peer: Option<PeerAddress>,
}

impl<S: OfConnection> OfConnection for Observe<S> {
    fn of_connection(self, peer: &Peer) -> Self {
        Self {
            inner: self.inner.of_connection(peer),
            peer: Some(peer.address),
            ..self
        }
    }
}

impl<S, A> Service<Request<A>> for Observe<S>
where
    S: Service<Request<A>, Response = Response<ReplyBody>, Error = Panicked>,
{
    type Response = Response<ReplyBody>;
    type Error = Infallible;
    type Future = Observed<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A service that panics over being ready is asked, and answers by that.
        self.inner.poll_ready(context).map(|_| Ok(()))
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let method = method::find(request.uri().path());
        self.observer.started(method);
        let context = TraceContext::of(request.headers());
        let traced = self.tracer.as_ref().and_then(|tracer| {
            let calls_per_million = self.limits.trace_calls_per_million();
            CallTrace::of(
                tracer,
                context.as_ref(),
                request.headers(),
                calls_per_million,
            )
        });
        let began = traced.as_ref().map(|traced| traced.trace);
        let record = Record {
            observer: Arc::clone(&self.observer),
            lines: Arc::clone(&self.lines),
            slow_call_min: self.limits.slow_call_min(),
            log_calls: self.limits.log_calls(),
            start: Instant::now(),
            method,
            peer: self.peer,
            id: self.ids.id(request.headers()),
            trace: context.map(|context| context.trace).or(began),
            traced,
            answered: None,
            held: None,
            key_id: None,
            reason: None,
            has_ended: false,
        };
        Observed {
            inner: self.inner.call(request),
            record: Some(record),
        }
    }
}

pin_project_lite::pin_project! {
    /// A call that is observed.
    pub struct Observed<F> {
        #[pin]
        inner: F,
        record: Option<Record>,
    }
}

impl<F> Future for Observed<F>
where
    F: Future<Output = Result<Response<ReplyBody>, Panicked>>,
{
    type Output = Result<Response<ReplyBody>, Infallible>;

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
    observer: Arc<dyn Observer>,
    pub(super) lines: Arc<CallLines>,
    /// From when on it is slow.
    pub(super) slow_call_min: Option<Duration>,
    pub(super) log_calls: bool,
    pub(super) start: Instant,
    method: Option<&'static Method>,
    pub(super) peer: Option<PeerAddress>,
    pub(super) id: CallId,
    /// The trace that it is part of.
    pub(super) trace: Option<TraceId>,
    /// Where it is traced, until that is told.
    traced: Option<Box<CallTrace>>,
    /// When its reply was made.
    pub(super) answered: Option<Instant>,
    /// What it holds, and who makes it.
    pub(super) held: Option<Reservation>,
    /// The key of a call that holds nothing, since it was refused.
    pub(super) key_id: Option<KeyId>,
    /// Why it was refused, where that is known before its trailers.
    reason: Option<ErrorReason>,
    has_ended: bool,
}

impl Record {
    /// The reply, under the call's id, which has the call recorded at its end.
    fn of(mut self, outcome: Result<Response<ReplyBody>, Panicked>) -> Response<ReplyBody> {
        let mut response = outcome.unwrap_or_else(|panicked| refuse(self.id.text(), &panicked));
        if let Some(refused) = response.extensions().get::<ItemsRefused>() {
            for (reason, items) in refused.iter() {
                self.observer.items_refused(reason, items);
            }
        }
        self.reason = reason_of(response.extensions());
        self.key_id = response.extensions().get::<KeyId>().cloned();
        self.held = response.body().held().cloned();
        let headers = response.headers_mut();
        headers.insert(request_id::HEADER.clone(), self.id.header());
        if !response.body().is_end_stream() {
            self.answered = Some(Instant::now());
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
        if code != Code::Ok && record.reason.is_none() {
            record.reason = how.ok().and_then(reason_in_trailers);
        }
        let call = record.note(code);
        record.log(&call);
        record.trace(&call);
    }

    /// A request that is no gRPC is logged for debugging alone.
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
            reason: self.reason.filter(|_| code != Code::Ok),
            elapsed: self.start.elapsed(),
        };
        self.observer.handled(&call);
        call
    }

    /// When the call had ended.
    pub(super) fn ended(&self, call: &Call) -> Instant {
        self.start.checked_add(call.elapsed).unwrap_or(self.start)
    }

    /// By which key it was made.
    pub(super) fn key_id(&self) -> Option<&KeyId> {
        let caller = self.held.as_ref().map(|held| held.caller());
        let key_id = caller.and_then(|caller| caller.key_id());
        key_id.or(self.key_id.as_ref())
    }

    /// Hands on what is known of it, where it is traced.
    fn trace(&mut self, call: &Call) {
        let Some(traced) = self.traced.take() else {
            return;
        };
        let CallTrace {
            tracer,
            trace,
            parent,
            trace_state,
        } = *traced;
        let caller = self.held.as_ref().map(|held| held.caller());
        tracer.ended(TracedCall {
            trace,
            parent,
            trace_state,
            method: call.method,
            x_request_id: self.id.text(),
            peer: self.peer,
            key_id: self.key_id().cloned(),
            account: caller.and_then(|caller| caller.account()).cloned(),
            code: call.code,
            reason: call.reason,
            start: self.start,
            read: self.held.as_ref().and_then(Reservation::read_at),
            end: self.ended(call),
            store_calls: caller.map_or_else(Vec::new, |caller| caller.store_calls()),
        });
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let call = self.note(Code::Cancelled);
        // It is how a stream without an end usually ends.
        let streams = call.method.is_some_and(|method| method.kind.streams());
        if self.log_calls || !streams {
            self.log(&call);
        }
        self.trace(&call);
    }
}

/// Answers a call that a defect ended.
fn refuse(x_request_id: String, Panicked(what): &Panicked) -> Response<ReplyBody> {
    tracing::error!(x_request_id, panic = what, "a defect stopped a call");
    let refusal = RpcRefusal::Internal { x_request_id };
    ReplyBody::free(Refused::from(refusal).into_status().into_http())
}
