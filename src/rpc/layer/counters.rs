//! Counts of calls: of each method and code, how long they took, and why they were refused.
//!
//! Each thread counts in a shard of its own, so that threads do not wait for each other's cache
//! lines; who reads the counts adds the shards up.

use std::array;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tonic::Code;

use crate::rpc::method::{METHODS, Method};
use crate::rpc::pb::creditd::v1::ErrorReason;

/// gRPC has so many codes.
pub(super) const CODES: usize = 17;
/// Upper bounds of the histogram of durations, in microseconds.
pub const DURATION_BOUNDS_US: [u64; 14] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000,
];
/// And one more bucket, for what takes longer.
const BUCKETS: usize = DURATION_BOUNDS_US.len() + 1;
/// Reasons have numbers below this; a test compares.
const REASONS: usize = 256;

/// A call that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Its method; None for one that the server does not have.
    pub method: Option<&'static Method>,
    /// How it ended.
    pub code: Code,
    /// Why it was refused, where it was.
    pub reason: Option<ErrorReason>,
    /// How long it took, from its headers to the end of its reply.
    pub elapsed: Duration,
}

/// Who wants to know of calls: the hook for metrics.
pub trait Observer: Send + Sync + 'static {
    /// A call of that method came in.
    fn started(&self, method: Option<&'static Method>);
    /// A call has ended: its reply has been sent, or its caller does not wait for it any more.
    fn handled(&self, call: &Call);
    /// So many items of a batch were refused for that reason.
    fn items_refused(&self, reason: ErrorReason, items: u64);
    /// The configuration was read again, and taken or refused.
    fn reloaded(&self, was_taken: bool);
}

/// Counts calls.
#[derive(Debug)]
pub struct Counters {
    shards: Box<[Shard]>,
    reloads: Reloads,
}

/// How often the configuration was read again.
#[derive(Debug, Default)]
struct Reloads {
    taken: AtomicU64,
    refused: AtomicU64,
}

/// The counts of one thread, or of a few.
#[derive(Debug)]
struct Shard {
    /// By the number of the method; the last ones are those of calls of no method.
    methods: Box<[MethodCounts]>,
    reasons: Box<[AtomicU64]>,
}

#[derive(Debug, Default)]
struct MethodCounts {
    started: AtomicU64,
    /// By code.
    handled: [AtomicU64; CODES],
    nanos: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

/// How many calls there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

/// How many calls of a method there were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MethodTotals {
    /// Came in.
    pub started: u64,
    /// Have ended, by code.
    pub handled: [u64; CODES],
    /// How long all that ended took together.
    pub elapsed: Duration,
    /// How many took up to each of [`DURATION_BOUNDS_US`] and longer than the one before; the last
    /// are those that took longer than all.
    pub buckets: [u64; BUCKETS],
}

fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

impl Shard {
    fn new() -> Self {
        let methods = METHODS.len().saturating_add(1);
        Self {
            methods: (0..methods).map(|_| MethodCounts::default()).collect(),
            reasons: (0..REASONS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn of(&self, method: Option<&'static Method>) -> Option<&MethodCounts> {
        self.methods
            .get(method.map_or(METHODS.len(), Method::number))
    }

    fn refused(&self, reason: ErrorReason, times: u64) {
        let number = usize::try_from(i32::from(reason)).unwrap_or_default();
        if let Some(counter) = self.reasons.get(number) {
            add(counter, times);
        }
    }
}

/// Threads that count, from 0.
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The number of this thread.
    static THREAD: usize = THREADS.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    /// Counts for so many threads.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        Self {
            shards: (0..threads.max(1)).map(|_| Shard::new()).collect(),
            reloads: Reloads::default(),
        }
    }

    fn shard(&self) -> Option<&Shard> {
        let thread = THREAD.with(|number| *number);
        self.shards.get(thread.checked_rem(self.shards.len())?)
    }

    fn sum(&self, counter: impl Fn(&Shard) -> Option<&AtomicU64>) -> u64 {
        let counters = self.shards.iter().filter_map(counter);
        let counts = counters.map(|counter| counter.load(Ordering::Relaxed));
        counts.fold(0, u64::wrapping_add)
    }

    /// What was counted of a method; None: of calls of no method.
    #[must_use]
    pub fn of_method(&self, method: Option<&'static Method>) -> MethodTotals {
        let sum = |counter: &dyn Fn(&MethodCounts) -> Option<&AtomicU64>| {
            self.sum(|shard| shard.of(method).and_then(counter))
        };
        MethodTotals {
            started: sum(&|counts| Some(&counts.started)),
            handled: array::from_fn(|code| sum(&|counts| counts.handled.get(code))),
            elapsed: Duration::from_nanos(sum(&|counts| Some(&counts.nanos))),
            buckets: array::from_fn(|at| sum(&|counts| counts.buckets.get(at))),
        }
    }

    /// How often calls and items of batches were refused for each reason that there is.
    pub fn refusals(&self) -> impl Iterator<Item = (ErrorReason, u64)> {
        (1..REASONS).filter_map(|number| {
            let reason = ErrorReason::try_from(i32::try_from(number).ok()?).ok()?;
            Some((reason, self.sum(|shard| shard.reasons.get(number))))
        })
    }

    /// How often the configuration was read again, and taken or refused.
    pub fn reloads(&self) -> [(&'static str, u64); 2] {
        let Reloads { taken, refused } = &self.reloads;
        [("taken", taken), ("refused", refused)]
            .map(|(outcome, times)| (outcome, times.load(Ordering::Relaxed)))
    }

    /// All that was counted.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let methods = METHODS.iter().map(Some).chain([None]);
        let mut totals = Totals::default();
        for method in methods {
            let of_method = self.of_method(method);
            totals.started = totals.started.wrapping_add(of_method.started);
            for (code, calls) in of_method.handled.into_iter().enumerate() {
                totals.handled = totals.handled.wrapping_add(calls);
                let more = match i32::try_from(code).map(Code::from) {
                    Ok(Code::Ok) => continue,
                    Ok(Code::Cancelled) => &mut totals.cancelled,
                    _ => &mut totals.refused,
                };
                *more = more.wrapping_add(calls);
            }
        }
        totals
    }
}

impl Observer for Counters {
    fn started(&self, method: Option<&'static Method>) {
        if let Some(counts) = self.shard().and_then(|shard| shard.of(method)) {
            add(&counts.started, 1);
        }
    }

    fn handled(&self, call: &Call) {
        let Some(shard) = self.shard() else { return };
        if let Some(reason) = call.reason {
            shard.refused(reason, 1);
        }
        let Some(counts) = shard.of(call.method) else {
            return;
        };
        let code = usize::try_from(i32::from(call.code)).unwrap_or_default();
        if let Some(handled) = counts.handled.get(code) {
            add(handled, 1);
        }
        let nanos = u64::try_from(call.elapsed.as_nanos()).unwrap_or(u64::MAX);
        add(&counts.nanos, nanos);
        let micros = nanos.div_ceil(1_000);
        let bucket = DURATION_BOUNDS_US.partition_point(|bound| *bound < micros);
        if let Some(bucket) = counts.buckets.get(bucket) {
            add(bucket, 1);
        }
    }

    fn items_refused(&self, reason: ErrorReason, items: u64) {
        if let Some(shard) = self.shard() {
            shard.refused(reason, items);
        }
    }

    fn reloaded(&self, was_taken: bool) {
        let counter = match was_taken {
            true => &self.reloads.taken,
            false => &self.reloads.refused,
        };
        add(counter, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_counted_up_to_their_bound() {
        for (nanos, bucket) in [
            (0, 0),
            (250_000, 0),
            (250_001, 1),
            (1_000_000, 2),
            (1_000_001, 3),
            (5_000_000_000, 13),
            (5_000_000_001, 14),
            (u64::MAX, 14),
        ] {
            let counters = Counters::new(3);
            let method = METHODS.first();
            counters.started(method);
            counters.handled(&Call {
                method,
                code: Code::Ok,
                reason: None,
                elapsed: Duration::from_nanos(nanos),
            });
            let totals = counters.of_method(method);
            let at = totals.buckets.iter().position(|calls| *calls == 1);
            assert_eq!(at, Some(bucket), "{nanos}");
            assert_eq!(totals.elapsed, Duration::from_nanos(nanos));
        }
    }

    #[test]
    fn every_reason_is_counted() {
        let counters = Counters::new(2);
        let reasons = (1..10_000).filter_map(|number| ErrorReason::try_from(number).ok());
        let reasons: Vec<_> = reasons.collect();
        for (times, reason) in (1..).zip(&reasons) {
            counters.items_refused(*reason, times);
        }
        let counted: Vec<_> = counters.refusals().collect();
        let expected: Vec<_> = reasons.iter().copied().zip(1..).collect();
        assert_eq!(counted, expected);
    }

    #[test]
    fn threads_add_up() {
        let counters = Counters::new(2);
        std::thread::scope(|scope| {
            for _ in 0..5 {
                scope.spawn(|| {
                    counters.started(None);
                    counters.handled(&Call {
                        method: None,
                        code: Code::NotFound,
                        reason: Some(ErrorReason::UnknownMethod),
                        elapsed: Duration::from_secs(1),
                    });
                });
            }
        });
        let expected = Totals {
            started: 5,
            handled: 5,
            refused: 5,
            cancelled: 0,
        };
        assert_eq!(counters.totals(), expected);
        let refusals = counters.refusals().filter(|(_, times)| *times > 0);
        let refusals: Vec<_> = refusals.collect();
        assert_eq!(refusals, [(ErrorReason::UnknownMethod, 5)]);
    }
}
