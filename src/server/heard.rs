//! A connection's stream: whether its peer says anything, and how it ends without losing
//! what the peer has still to read.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::timeout;

/// A peer that says nothing for so long after the server's last word is not waited for.
const SILENCE_MAX: Duration = Duration::from_millis(500);
/// And no peer for longer than this.
const LINGER_MAX: Duration = Duration::from_secs(5);

/// A stream that counts how often something came. HTTP/2 has it until it is done.
pub(super) struct Heard<S> {
    stream: Option<S>,
    line: Arc<Line<S>>,
}

/// What is known of a stream from outside.
pub(super) struct Line<S> {
    reads: AtomicUsize,
    /// Whether the peer's side has no room.
    is_full: AtomicBool,
    /// The stream, when HTTP/2 is done with it.
    left: Mutex<Option<S>>,
}

impl<S> Heard<S> {
    pub(super) fn new(stream: S) -> (Self, Arc<Line<S>>) {
        let line = Arc::new(Line {
            reads: AtomicUsize::new(0),
            is_full: AtomicBool::new(false),
            left: Mutex::new(None),
        });
        let stream = Some(stream);
        (
            Self {
                stream,
                line: Arc::clone(&line),
            },
            line,
        )
    }
}

impl<S> Drop for Heard<S> {
    fn drop(&mut self) {
        let mut left = self
            .line
            .left
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *left = self.stream.take();
    }
}

impl<S> Line<S> {
    /// A number that changes whenever something is heard.
    pub(super) fn heard(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }

    /// Whether something is to be sent for which the peer has no room.
    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    /// Says that nothing more will come, and lets the peer read what is on its way: the
    /// system throws that away where a socket is closed and its peer still speaks.
    pub(super) async fn linger(&self) {
        let left = {
            let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
            left.take()
        };
        let Some(mut stream) = left else { return };
        let spoken = async {
            // It fails where the peer is gone, and so does reading.
            let _ = stream.shutdown().await;
            let mut buffer = [0_u8; 4_096];
            while let Ok(Ok(1..)) = timeout(SILENCE_MAX, stream.read(&mut buffer)).await {}
        };
        let _ = timeout(LINGER_MAX, spoken).await;
    }
}

fn gone() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

impl<S: Unpin> Heard<S> {
    fn stream(&mut self) -> io::Result<Pin<&mut S>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(gone)
    }

    fn note(&self, written: &Poll<io::Result<usize>>) {
        self.line
            .is_full
            .store(written.is_pending(), Ordering::Relaxed);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self.stream()?.poll_read(context, buffer);
        if read.is_ready() {
            self.line.reads.fetch_add(1, Ordering::Relaxed);
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
        let written = self.stream()?.poll_write(context, bytes);
        self.note(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream()?.poll_write_vectored(context, bytes);
        self.note(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(S::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(context)
    }
}
