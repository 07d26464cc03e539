//! Bodies that nobody reads: what is still on its way of a request that was answered early is
//! read on, for a while, and thrown away. HTTP/2 would otherwise reset its stream, remembers
//! few streams that it has reset, and ends the connection for what comes on those it has
//! forgotten. There are as many as a connection has streams at most, and its window bounds what
//! is under way of all of them.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

/// The longest that one body is read on.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// The most of one body.
pub const BODY_BYTES_MAX: usize = 1_024 * 1_024;

/// The bodies of a connection that are read on.
#[derive(Clone, Default)]
pub(super) struct Discards(Arc<Mutex<Open>>);

#[derive(Default)]
struct Open {
    bodies: FuturesUnordered<Discarding>,
    /// No further ones are taken: they are reset.
    closed: bool,
}

impl Discards {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a body that nobody reads any more. It is polled with the connection.
    pub(super) fn take(&self, body: Incoming) {
        let open = self.lock();
        if !open.closed {
            open.bodies.push(Discarding {
                body,
                left: BODY_BYTES_MAX,
                timeout: None,
            });
        }
    }

    /// Reads on, until all bodies have ended or nothing is there.
    pub(super) fn poll(&self, context: &mut Context<'_>) {
        let mut open = self.lock();
        if open.bodies.is_empty() {
            return;
        }
        while let Poll::Ready(Some(())) = open.bodies.poll_next_unpin(context) {}
    }

    /// Resets what is left, and what comes from now on.
    pub(super) fn close(&self) {
        let mut open = self.lock();
        open.closed = true;
        let bodies = std::mem::take(&mut open.bodies);
        drop(open);
        drop(bodies);
    }
}

/// One body.
struct Discarding {
    body: Incoming,
    left: usize,
    timeout: Option<Pin<Box<Sleep>>>,
}

impl Future for Discarding {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            match Pin::new(&mut this.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    let bytes = frame.data_ref().map_or(0, bytes::Bytes::len);
                    match this.left.checked_sub(bytes) {
                        Some(left) => this.left = left,
                        None => return Poll::Ready(()),
                    }
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {
                    let timeout = this
                        .timeout
                        .get_or_insert_with(|| Box::pin(sleep(BODY_TIMEOUT)));
                    return timeout.as_mut().poll(context);
                }
            }
        }
    }
}
