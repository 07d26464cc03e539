//! Whether a silent peer lives: it is asked, and let go where it does not answer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// After so much silence a peer is asked.
const INTERVAL: Duration = Duration::from_secs(60);
/// And has so long to answer.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A stream that notes whether anything came.
pub(super) struct Heard<S> {
    stream: S,
    heard: Arc<AtomicBool>,
}

impl<S> Heard<S> {
    pub(super) fn new(stream: S) -> (Self, Arc<AtomicBool>) {
        let heard = Arc::new(AtomicBool::new(false));
        let noted = Arc::clone(&heard);
        (Self { stream, heard }, noted)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.heard.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Asks a silent peer.
pub(super) struct KeepAlive {
    pings: Option<PingPong>,
    heard: Arc<AtomicBool>,
    timer: Pin<Box<Sleep>>,
    asked: bool,
}

impl KeepAlive {
    pub(super) fn new(pings: Option<PingPong>, heard: Arc<AtomicBool>) -> Self {
        Self {
            pings,
            heard,
            timer: Box::pin(sleep(INTERVAL)),
            asked: false,
        }
    }

    /// Ready when the peer is gone.
    pub(super) fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll(context).is_ready() {
            let Some(pings) = &mut self.pings else {
                return Poll::Pending;
            };
            // An answer is also something that was heard; it has to be taken away for the
            // next question.
            let _ = pings.poll_pong(context);
            if !self.heard.swap(false, Ordering::Relaxed) {
                if self.asked {
                    return Poll::Ready(());
                }
                self.asked = pings.send_ping(Ping::opaque()).is_ok();
            } else {
                self.asked = false;
            }
            let wait = if self.asked { TIMEOUT } else { INTERVAL };
            let next = Instant::now().checked_add(wait);
            self.timer.as_mut().reset(next.unwrap_or_else(Instant::now));
        }
        Poll::Pending
    }
}
