//! Id of the call: a valid `x-request-id` is kept, otherwise one is made. The caller finds
//! it in the reply's headers, and whoever looks after a defect in the log. It has nothing to
//! do with the `request_id` of a write, by which a caller can repeat it.

use std::convert::Infallible;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tower::{Layer, Service};

use super::Held;
use super::panic::Panicked;
use crate::domain::names::{X_REQUEST_ID_BYTES_MAX, is_printable};
use crate::rpc::refused::{Refused, WireFault};

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

/// How many ids a copy of the service takes at once, so that threads seldom meet over them.
const BLOCK: u64 = 256;

/// Ids of one copy of the service.
#[derive(Debug)]
struct Block {
    ids: Arc<Ids>,
    /// The ids that are left of what it took.
    left: Range<u64>,
}

impl Block {
    const fn new(ids: Arc<Ids>) -> Self {
        Self { ids, left: 0..0 }
    }

    fn make(&mut self) -> HeaderValue {
        if self.left.is_empty() {
            let first = self.ids.next.fetch_add(BLOCK, Ordering::Relaxed);
            self.left = first..first.wrapping_add(BLOCK);
        }
        self.ids.make(self.left.next().unwrap_or_default())
    }
}

impl Ids {
    fn make(&self, count: u64) -> HeaderValue {
        let mut text = [0_u8; 33];
        let text = write_id(self.process, count, &mut text);
        // Hexadecimal digits and a dash are always a header's value.
        let id = HeaderValue::from_bytes(text);
        id.unwrap_or(HeaderValue::from_static("unknown"))
    }
}

/// Writes 16 digits, a dash, and as many digits as the count needs.
fn write_id(process: u64, count: u64, buffer: &mut [u8; 33]) -> &[u8] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |number: u64| {
        let low = usize::try_from(number & 0xf).unwrap_or_default();
        DIGITS.get(low).copied().unwrap_or(b'0')
    };
    let (head, tail) = buffer.split_at_mut(17);
    for (place, digits) in head.iter_mut().zip((0..16_u32).rev()) {
        *place = digit(process >> digits.saturating_mul(4));
    }
    if let Some(dash) = head.last_mut() {
        *dash = b'-';
    }
    let length = (64_u32.saturating_sub(count.leading_zeros()))
        .div_ceil(4)
        .max(1);
    for (place, digits) in tail.iter_mut().zip((0..length).rev()) {
        *place = digit(count >> digits.saturating_mul(4));
    }
    let end = usize::try_from(length)
        .unwrap_or_default()
        .saturating_add(17);
    buffer.get(..end).unwrap_or_default()
}

/// The caller's own id, if it is valid.
pub(super) fn given(headers: &HeaderMap) -> Option<&HeaderValue> {
    let id = headers.get(&HEADER);
    let is_valid = |text: &str| is_printable(text, X_REQUEST_ID_BYTES_MAX);
    id.filter(|id| id.to_str().is_ok_and(is_valid))
}

impl<S> Layer<S> for RequestIdLayer {
    type Service = RequestId<S>;

    fn layer(&self, inner: S) -> RequestId<S> {
        RequestId {
            inner,
            ids: Block::new(Arc::clone(&self.ids)),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct RequestId<S> {
    inner: S,
    ids: Block,
}

impl<S: Clone> Clone for RequestId<S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            ids: Block::new(Arc::clone(&self.ids.ids)),
        }
    }
}

impl<S, A> Service<Request<A>> for RequestId<S>
where
    S: Service<Request<A>, Response = Response<Held>, Error = Panicked>,
{
    type Response = Response<Held>;
    type Error = Infallible;
    type Future = Reply<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A service that panics over being ready is asked, and answers by that.
        self.inner.poll_ready(context).map(|_| Ok(()))
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let id = match given(request.headers()) {
            Some(id) => id.clone(),
            None => self.ids.make(),
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

impl<F> Future for Reply<F>
where
    F: Future<Output = Result<Response<Held>, Panicked>>,
{
    type Output = Result<Response<Held>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let outcome = ready!(this.inner.poll(context));
        let id = this.id.take();
        let mut response = match outcome {
            Ok(response) => response,
            Err(panicked) => refuse(id.as_ref(), &panicked),
        };
        if let Some(mut id) = id {
            // No two are equal: they are not worth a place in the connection's table of
            // headers, which costs more than all else about them.
            id.set_sensitive(true);
            response.headers_mut().insert(HEADER.clone(), id);
        }
        Poll::Ready(Ok(response))
    }
}

/// Answers a call that a defect ended.
fn refuse(x_request_id: Option<&HeaderValue>, Panicked(what): &Panicked) -> Response<Held> {
    let x_request_id = x_request_id.and_then(|id| id.to_str().ok());
    let x_request_id = x_request_id.unwrap_or_default();
    tracing::error!(x_request_id, panic = what, "a defect stopped a call");
    let fault = WireFault::Internal {
        x_request_id: x_request_id.to_owned(),
    };
    Held::free(Refused::from(fault).into_status().into_http())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_as_hexadecimal_numbers() {
        for (process, count, expected) in [
            (0, 0, "0000000000000000-0"),
            (1, 0x10, "0000000000000001-10"),
            (u64::MAX, u64::MAX, "ffffffffffffffff-ffffffffffffffff"),
            (0x0123_4567_89ab_cdef, 0xabc, "0123456789abcdef-abc"),
        ] {
            let mut buffer = [0; 33];
            let text = write_id(process, count, &mut buffer);
            assert_eq!(std::str::from_utf8(text), Ok(expected));
        }
    }
}
