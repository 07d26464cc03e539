//! Stalls: what a connection waits for and its peer does not bring to an end. A frame that has
//! begun, and a socket that takes nothing, each have a time within which they must go on.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep};

/// Within so long a frame must be whole that is no part of a message, and so must a header block.
/// The time of a message is that of its call.
pub const FRAME_TIMEOUT: Duration = Duration::from_secs(10);
/// A socket that takes no byte for so long has no reader.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(20);
/// How often a connection is looked at that waits for something.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Since when something is waited for.
#[derive(Clone)]
pub(super) struct Waiting(Arc<Since>);

struct Since {
    base: Instant,
    /// Nanoseconds after `base`; 0 where nothing is waited for.
    nanos: AtomicU64,
}

impl Default for Waiting {
    fn default() -> Self {
        Self(Arc::new(Since {
            base: Instant::now(),
            nanos: AtomicU64::new(0),
        }))
    }
}

impl Waiting {
    /// Begins the wait, unless it has begun. The clock is read then alone.
    pub(super) fn begin(&self) {
        if !self.is_waiting() {
            let nanos = u64::try_from(self.0.base.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.0.nanos.store(nanos.max(1), Ordering::Relaxed);
        }
    }

    pub(super) fn end(&self) {
        self.0.nanos.store(0, Ordering::Relaxed);
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.0.nanos.load(Ordering::Relaxed) != 0
    }

    fn is_longer_than(&self, limit: Duration) -> bool {
        let began = Duration::from_nanos(self.0.nanos.load(Ordering::Relaxed));
        !began.is_zero() && self.0.base.elapsed().saturating_sub(began) >= limit
    }
}

/// What a peer does not bring to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stall {
    /// A frame, or the headers of a call.
    Frame,
    /// What the server sends.
    Write,
}

/// Finds stalls of one connection.
pub(super) struct Stalls {
    frame: Waiting,
    write: Waiting,
    /// Only where something is waited for: most connections need no timer.
    check: Option<Pin<Box<Sleep>>>,
}

impl Stalls {
    pub(super) const fn new(frame: Waiting, write: Waiting) -> Self {
        Self {
            frame,
            write,
            check: None,
        }
    }

    /// Is polled after each poll of the connection.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Stall> {
        loop {
            match &mut self.check {
                None if !self.frame.is_waiting() && !self.write.is_waiting() => {
                    return Poll::Pending;
                }
                None => self.check = Some(Box::pin(sleep(CHECK_INTERVAL))),
                Some(check) => {
                    if check.as_mut().poll(context).is_pending() {
                        return Poll::Pending;
                    }
                    self.check = None;
                    if self.frame.is_longer_than(FRAME_TIMEOUT) {
                        return Poll::Ready(Stall::Frame);
                    }
                    if self.write.is_longer_than(WRITE_TIMEOUT) {
                        return Poll::Ready(Stall::Write);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_counts_from_its_beginning() {
        let waiting = Waiting::default();
        assert!(!waiting.is_waiting() && !waiting.is_longer_than(Duration::ZERO));
        waiting.begin();
        let began = waiting.0.nanos.load(Ordering::Relaxed);
        waiting.begin();
        assert_eq!(waiting.0.nanos.load(Ordering::Relaxed), began);
        assert!(waiting.is_longer_than(Duration::ZERO));
        assert!(!waiting.is_longer_than(Duration::from_secs(3_600)));
        waiting.end();
        assert!(!waiting.is_longer_than(Duration::ZERO));
    }
}
