//! Deadline: the smaller of what the caller gives (`grpc-timeout`) and the
//! server's own maximum. What is not done by then is answered DEADLINE_EXCEEDED.
//! A write that has reached the ledger goes on; its request_id will find it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, HeaderName, Request, Response};
use tokio::time::{Sleep, sleep};
use tonic::body::Body;
use tower::{Layer, Service};

use super::LiveLimits;
use crate::rpc::refused::{Refused, RpcRefusal};

static GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Puts [`Deadline`] around a service.
#[derive(Clone, Debug)]
pub struct DeadlineLayer {
    limits: Arc<LiveLimits>,
}

impl DeadlineLayer {
    /// No call takes longer than these say when it begins.
    #[must_use]
    pub const fn new(limits: Arc<LiveLimits>) -> Self {
        Self { limits }
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Deadline<S> {
        Deadline {
            inner,
            limits: Arc::clone(&self.limits),
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Deadline<S> {
    inner: S,
    limits: Arc<LiveLimits>,
}

impl<S, A> Service<Request<A>> for Deadline<S>
where
    S: Service<Request<A>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Timed<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let max = self.limits.deadline_max();
        let given = timeout_of(request.headers()).unwrap_or(max);
        let deadline = given.min(max);
        Timed {
            inner: self.inner.call(request),
            sleep: None,
            deadline,
        }
    }
}

pin_project_lite::pin_project! {
    /// A call whose time is limited.
    pub struct Timed<F> {
        #[pin]
        inner: F,
        // Most calls are answered at once and need no clock.
        // In a box of its own: tokio's timers are aligned to cache lines, and would make every
        // future around them larger by more than their size.
        sleep: Option<Pin<Box<Sleep>>>,
        deadline: Duration,
    }
}

impl<F, E> Future for Timed<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(outcome) = this.inner.poll(context) {
            return Poll::Ready(outcome);
        }
        let deadline = *this.deadline;
        let sleep = this.sleep.get_or_insert_with(|| Box::pin(sleep(deadline)));
        if sleep.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        let refusal = RpcRefusal::DeadlineExceeded {
            deadline_ms: this.deadline.as_millis(),
        };
        Poll::Ready(Ok(Refused::from(refusal).into_status().into_http()))
    }
}

/// What the caller gives: up to 8 digits and a unit. None for anything else.
fn timeout_of(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(&GRPC_TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => amount.checked_mul(3_600).map(Duration::from_secs),
        "M" => amount.checked_mul(60).map(Duration::from_secs),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_by_the_protocol() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3_600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("40m", Some(Duration::from_millis(40))),
            ("5u", Some(Duration::from_micros(5))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("999999999S", None),
            ("-1S", None),
            ("S", None),
            ("", None),
            ("1", None),
            ("1d", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().unwrap());
            assert_eq!(timeout_of(&headers), expected, "{text}");
        }
    }
}
