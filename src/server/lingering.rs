//! Lingering close: a connection that the server ends is read, and what comes thrown away,
//! until its peer has stopped sending. The system would otherwise reset it, and throw away
//! replies that the peer has not read yet.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::stalls::Waiting;

/// A peer that sends nothing for so long after the end of the server's side is closed.
const SILENCE_MAX: Duration = Duration::from_millis(500);
/// And so is any peer after this.
const LINGER_MAX: Duration = Duration::from_secs(5);
/// Or after so many bytes: what the windows allow to be under way, and as much again.
const LINGER_BYTES_MAX: usize = 8 * 1_024 * 1_024;

/// A stream whose shutdown waits for its peer.
pub(super) struct LingeringClose<S> {
    stream: S,
    /// Set when the server's side has ended.
    linger: Option<Linger>,
    /// Since when the stream waits for its peer: for room for what is to be sent, or for its end.
    activity: Waiting,
}

struct Linger {
    silence: Pin<Box<Sleep>>,
    end: Instant,
    bytes: usize,
}

impl<S> LingeringClose<S> {
    pub(super) fn new(stream: S) -> (Self, Waiting) {
        let activity = Waiting::default();
        let linger = Self {
            stream,
            linger: None,
            activity: activity.clone(),
        };
        (linger, activity)
    }

    fn waits(&self, waits: bool) {
        match waits {
            true => self.activity.begin(),
            false => self.activity.end(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for LingeringClose<S> {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for LingeringClose<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.waits(written.is_pending());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.waits(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let linger = match &mut this.linger {
            Some(linger) => linger,
            None => {
                ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
                this.activity.begin();
                let now = Instant::now();
                this.linger.insert(Linger {
                    silence: Box::pin(sleep(SILENCE_MAX)),
                    end: now.checked_add(LINGER_MAX).unwrap_or(now),
                    bytes: 0,
                })
            }
        };
        let mut buffer = [0_u8; 4_096];
        loop {
            let mut buffer = ReadBuf::new(&mut buffer);
            match Pin::new(&mut this.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    let now = Instant::now();
                    let next = now.checked_add(SILENCE_MAX).unwrap_or(now);
                    linger.silence.as_mut().reset(next.min(linger.end));
                    linger.bytes = linger.bytes.saturating_add(buffer.filled().len());
                    if now >= linger.end || linger.bytes >= LINGER_BYTES_MAX {
                        return Poll::Ready(Ok(()));
                    }
                }
                // The peer has ended its side too, or the connection has broken.
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return linger.silence.as_mut().poll(context).map(Ok),
            }
        }
    }
}
