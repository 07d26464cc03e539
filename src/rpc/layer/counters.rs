//! Counts of calls, and the hook for metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tonic::Code;

use crate::rpc::method::Method;

/// A call that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Its method; None for one that the server does not have.
    pub method: Option<&'static Method>,
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
    /// The configuration was read again, and taken or refused.
    fn reloaded(&self, _was_taken: bool) {}
}

/// Counts calls.
#[derive(Debug, Default)]
pub struct Counters {
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

impl Counters {
    /// All that was counted.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals {
            started: self.started.load(Ordering::Relaxed),
            handled: self.handled.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            cancelled: self.cancelled.load(Ordering::Relaxed),
        }
    }
}

impl Observer for Counters {
    fn started(&self) {
        self.started.fetch_add(1, Ordering::Relaxed);
    }

    fn handled(&self, call: &Call) {
        self.handled.fetch_add(1, Ordering::Relaxed);
        let more = match call.code {
            Code::Ok => return,
            Code::Cancelled => &self.cancelled,
            _ => &self.refused,
        };
        more.fetch_add(1, Ordering::Relaxed);
    }
}
