//! Frame meter: follows the heads of the frames that come, since h2 answers most of them by
//! itself and tells nobody. A peer that sends more pings, settings and the like than its calls
//! explain is not read any more; a frame that has begun is known to be unfinished; and of a
//! connection that has nothing left to do only so much is read.

mod frames;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::frames::Frames;
#[cfg(any(test, fuzzing))]
pub(crate) use self::frames::fuzz::run as fuzz;
pub use self::frames::{
    BUDGET_FRAMES_MAX, FRAMES_PER_CALL, FRAMES_PER_SECOND, SENT_BYTES_PER_FRAME,
};
use super::stalls::Waiting;
use super::stream_limit::StreamLimit;

/// What is read of a connection whose peer was told to go and that has no call: pings,
/// acknowledgements, and what was under way.
pub const LATE_BYTES_MAX: usize = 1_024 * 1_024;
/// What acknowledges the ping that h2 sends after its first GOAWAY: head and payload.
const SHUTDOWN_ACK: [u8; 17] = [
    0, 0, 8, 6, 1, 0, 0, 0, 0, 0x0b, 0x7b, 0xa2, 0xf0, 0x8b, 0x9b, 0xfe, 0x54,
];

const SETTINGS_ACK: [u8; 9] = [0, 0, 0, 4, 1, 0, 0, 0, 0];

/// A stream whose frames are counted.
pub(super) struct FrameMeter<S> {
    stream: S,
    frames: Frames,
    streams: StreamLimit,
    /// Frames that are not h2's, on their way out; what was written of them is gone.
    unsent: Vec<u8>,
    late_bytes: usize,
    meter: Meter,
}

/// What the connection knows of its frames, and what it decides.
#[derive(Clone, Default)]
pub(super) struct Meter(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Since when a frame, or a header block, is not whole.
    unfinished: Waiting,
    /// The type of the frame that was one too many, and 1.
    excess: AtomicU8,
    /// Whether any of the following holds, or there was a frame too many: most reads ask no more.
    is_special: AtomicBool,
    ended: AtomicBool,
    bounded: AtomicBool,
    has_pause: AtomicBool,
}

impl Meter {
    pub(super) fn unfinished(&self) -> Waiting {
        self.0.unfinished.clone()
    }

    /// The frame of which there were too many, once: nothing is read after it.
    pub(super) fn take_excess(&self) -> Option<&'static str> {
        match self.0.excess.load(Ordering::Relaxed) {
            0 => None,
            _ => frames::name(self.0.excess.swap(0, Ordering::Relaxed).checked_sub(1)?),
        }
    }

    /// From now on the stream is read as one that has ended, if it had a frame too many.
    pub(super) fn end(&self) {
        self.0.ended.store(true, Ordering::Relaxed);
    }

    /// h2 sends GOAWAY twice, a round trip apart, to find out what was under way. Where nothing
    /// is, the round trip is left out: the connection ends at once.
    pub(super) fn skip_round_trip(&self) {
        self.0.has_pause.store(true, Ordering::Relaxed);
        self.0.is_special.store(true, Ordering::Relaxed);
    }

    /// Whether what is still read is bounded.
    pub(super) fn set_bounded(&self, bounded: bool) {
        self.0.bounded.store(bounded, Ordering::Relaxed);
        self.0.is_special.store(true, Ordering::Relaxed);
    }
}

impl<S> FrameMeter<S> {
    pub(super) fn new(stream: S, streams: StreamLimit) -> (Self, Meter) {
        let meter = Meter::default();
        let frames = Self {
            stream,
            frames: Frames::default(),
            streams,
            unsent: Vec::new(),
            late_bytes: 0,
            meter: meter.clone(),
        };
        (frames, meter)
    }

    /// Follows what was read; how much of it is passed on.
    fn follow(&mut self, bytes: &mut [u8]) -> usize {
        let followed = self.frames.follow(bytes);
        let shared = &*self.meter.0;
        if followed.ended_frame {
            shared.unfinished.end();
        }
        if let Some(kind) = followed.excess {
            shared
                .excess
                .store(kind.saturating_add(1), Ordering::Relaxed);
            shared.is_special.store(true, Ordering::Relaxed);
        }
        followed.bytes
    }

    /// What a read gives where the connection is not read as it comes.
    #[cold]
    fn read_specially(&mut self, buffer: &mut ReadBuf<'_>) -> Option<Poll<io::Result<()>>> {
        let shared = &*self.meter.0;
        if self.frames.had_excess() {
            // The connection says GOAWAY first. It acts on the excess in this same poll.
            return Some(match shared.ended.load(Ordering::Relaxed) {
                true => Poll::Ready(Ok(())),
                false => Poll::Pending,
            });
        }
        if shared.bounded.load(Ordering::Relaxed) && self.late_bytes >= LATE_BYTES_MAX {
            // The connection is about to be cut, by its timers.
            return Some(Poll::Pending);
        }
        if shared.has_pause.load(Ordering::Relaxed)
            && self.frames.is_between()
            && buffer.remaining() >= SHUTDOWN_ACK.len()
        {
            shared.has_pause.store(false, Ordering::Relaxed);
            buffer.put_slice(&SHUTDOWN_ACK);
            return Some(Poll::Ready(Ok(())));
        }
        None
    }

    fn sent(&mut self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            self.frames.sent(*bytes);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FrameMeter<S> {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.meter.0.is_special.load(Ordering::Relaxed)
            && let Some(read) = this.read_specially(buffer)
        {
            return read;
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        match &read {
            Poll::Ready(Ok(())) => {
                let fresh = buffer.filled_mut().get_mut(before..).unwrap_or_default();
                if this.meter.0.bounded.load(Ordering::Relaxed) {
                    this.late_bytes = this.late_bytes.saturating_add(fresh.len());
                }
                let all = fresh.len();
                let passed = this.follow(fresh);
                if passed < all {
                    buffer.set_filled(before.saturating_add(passed));
                }
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending if this.frames.is_unfinished() => this.meter.0.unfinished.begin(),
            Poll::Pending => {}
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> FrameMeter<S> {
    /// Sends what is not h2's. h2 flushes when it has written whole frames: it is begun then
    /// alone, and h2 goes on when all of it is written.
    fn poll_unsent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let written = Pin::new(&mut self.stream).poll_write(context, &self.unsent);
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                bytes => drop(self.unsent.drain(..bytes.min(self.unsent.len()))),
            }
        }
        Poll::Ready(Ok(()))
    }

    #[cold]
    fn add_unsent(&mut self) {
        if self.frames.take_owed_acknowledgement() {
            self.unsent.extend_from_slice(&SETTINGS_ACK);
        }
        if self.frames.can_send_settings()
            && let Some(frame) = self.streams.report()
        {
            self.frames.sends_settings();
            self.unsent.extend_from_slice(&frame);
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FrameMeter<S> {
    #[inline]
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_unsent(context))?;
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.sent(&written);
        written
    }

    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_unsent(context))?;
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.sent(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.streams.is_due() && self.unsent.is_empty() {
            self.add_unsent();
        }
        ready!(self.poll_unsent(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
