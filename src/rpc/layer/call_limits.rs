//! The limits of calls that can change while the server runs. A change holds for each call that
//! comes after it; one that is under way keeps what it has.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// The values of the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// Most calls in flight in the whole process.
    pub calls_max: usize,
    /// Most memory for requests and replies.
    pub call_memory_bytes_max: usize,
    /// Most balances that are watched.
    pub watchers_max: usize,
    /// The longest that a call may take, whatever its caller says, in whole milliseconds.
    pub deadline_max: Duration,
    /// Calls that take so long are logged, in whole milliseconds; None: none is for that.
    pub slow_call_min: Option<Duration>,
    /// Whether successful calls are logged too.
    pub log_calls: bool,
    /// How many calls of a million are traced, of those whose callers do not say.
    pub trace_calls_per_million: u32,
}

/// One limit, shared by whoever sets it and whoever reads it.
#[derive(Clone, Debug)]
pub(super) struct Limit(Arc<AtomicUsize>);

impl Limit {
    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, limit: usize) {
        self.0.store(limit, Ordering::Relaxed);
    }
}

impl From<usize> for Limit {
    fn from(limit: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(limit)))
    }
}

/// See the module.
#[derive(Debug)]
pub struct LiveLimits {
    pub(super) calls_max: Limit,
    pub(super) call_memory_bytes_max: Limit,
    pub(super) watchers_max: Limit,
    deadline_ms_max: AtomicU64,
    /// 0: no call is slow.
    slow_call_ms: AtomicU64,
    log_calls: AtomicBool,
    trace_calls_per_million: AtomicU32,
}

impl LiveLimits {
    /// Limits that begin with these values.
    #[must_use]
    pub fn new(limits: &CallLimits) -> Arc<Self> {
        Arc::new(Self {
            calls_max: limits.calls_max.into(),
            call_memory_bytes_max: limits.call_memory_bytes_max.into(),
            watchers_max: limits.watchers_max.into(),
            deadline_ms_max: AtomicU64::new(millis(limits.deadline_max)),
            slow_call_ms: AtomicU64::new(millis(limits.slow_call_min.unwrap_or_default())),
            log_calls: AtomicBool::new(limits.log_calls),
            trace_calls_per_million: AtomicU32::new(limits.trace_calls_per_million),
        })
    }

    /// From now on these values hold.
    pub fn set(&self, limits: &CallLimits) {
        self.calls_max.set(limits.calls_max);
        self.call_memory_bytes_max.set(limits.call_memory_bytes_max);
        self.watchers_max.set(limits.watchers_max);
        let deadline_ms_max = millis(limits.deadline_max);
        self.deadline_ms_max
            .store(deadline_ms_max, Ordering::Relaxed);
        let slow_call_ms = millis(limits.slow_call_min.unwrap_or_default());
        self.slow_call_ms.store(slow_call_ms, Ordering::Relaxed);
        self.log_calls.store(limits.log_calls, Ordering::Relaxed);
        let traced = limits.trace_calls_per_million;
        self.trace_calls_per_million
            .store(traced, Ordering::Relaxed);
    }

    /// The longest that a call may take.
    #[must_use]
    pub fn deadline_max(&self) -> Duration {
        Duration::from_millis(self.deadline_ms_max.load(Ordering::Relaxed))
    }

    /// Calls that take so long are slow; None: none is.
    pub(super) fn slow_call_min(&self) -> Option<Duration> {
        let millis = self.slow_call_ms.load(Ordering::Relaxed);
        (millis > 0).then(|| Duration::from_millis(millis))
    }

    pub(super) fn log_calls(&self) -> bool {
        self.log_calls.load(Ordering::Relaxed)
    }

    pub(super) fn trace_calls_per_million(&self) -> u32 {
        self.trace_calls_per_million.load(Ordering::Relaxed)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
