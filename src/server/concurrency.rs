//! Concurrency limit of a thread that serves, which follows its load. A call that the thread
//! cannot come to costs it nothing while it waits in its client; once it has come, refusing it
//! costs about as much as an answer. So where the thread's connections wait long for their turns,
//! they are told to have fewer calls at once (`stream_limit.rs`), and more again when they do not.
//!
//! How long they wait is measured as by CoDel: by the shortest wait in a time, since one that is
//! long now and then, such as after a write of the ledger that answers many calls, is no overload.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::connection::STREAMS_MAX;

/// Within so long each connection of a thread that has something to do should have its turn.
pub const ROUND_TARGET: Duration = Duration::from_millis(4);
/// What a connection may have at once however long that takes.
pub const STREAMS_MIN: u32 = 16;
/// How often the limit is set anew.
pub const WINDOW: Duration = Duration::from_millis(50);
/// How often a round is measured.
const ROUND_INTERVAL: Duration = Duration::from_millis(5);

/// The limit of a thread, and what its connections do.
#[derive(Debug)]
pub(super) struct Concurrency {
    limit: AtomicU32,
    /// The number of the window under way, and what connections reported in it.
    window: AtomicU32,
    calls: AtomicUsize,
    connections: AtomicUsize,
    most_open: AtomicUsize,
    /// What a connection had called on average in the window before.
    mean_calls: AtomicUsize,
    called: Notify,
    window_ended: Notify,
}

impl Default for Concurrency {
    fn default() -> Self {
        Self {
            limit: AtomicU32::new(STREAMS_MAX),
            window: AtomicU32::new(0),
            calls: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            most_open: AtomicUsize::new(0),
            mean_calls: AtomicUsize::new(0),
            called: Notify::new(),
            window_ended: Notify::new(),
        }
    }
}

impl Concurrency {
    /// The number of the window under way.
    #[inline]
    pub(super) fn window(&self) -> u32 {
        self.window.load(Ordering::Relaxed)
    }

    /// Waits for the end of the window under way.
    pub(super) async fn window_ended(&self) {
        self.window_ended.notified().await;
    }

    /// Whether a connection that called so often in a window calls less than half as often as
    /// others do, half of its fair share: it is not what there is too much of.
    pub(super) fn is_below_fair_share(&self, calls: usize) -> bool {
        calls.saturating_mul(2) < self.mean_calls.load(Ordering::Relaxed)
    }

    /// A connection says, once a window, how often it was called since the last time and how many
    /// calls were open. How many it may have.
    pub(super) fn limit_of(&self, calls: usize, open: usize) -> u32 {
        if calls > 0 {
            self.calls.fetch_add(calls, Ordering::Relaxed);
            self.most_open.fetch_max(open, Ordering::Relaxed);
            if self.connections.fetch_add(1, Ordering::Relaxed) == 0 {
                self.called.notify_one();
            }
        }
        self.limit.load(Ordering::Relaxed)
    }

    /// Measures the rounds of the thread that this is polled by, while there are calls.
    pub(super) async fn follow(&self) {
        loop {
            if timeout(WINDOW, self.called.notified()).await.is_err() {
                // There are no calls any more.
                self.begin_window(STREAMS_MAX, 0);
                self.called.notified().await;
            }
            let (start, mut shortest) = (Instant::now(), Duration::MAX);
            while start.elapsed() < WINDOW {
                sleep(ROUND_INTERVAL).await;
                let begun = Instant::now();
                // The runtime comes back after all that are ready now.
                tokio::task::yield_now().await;
                shortest = shortest.min(begun.elapsed());
            }
            self.end_window(shortest);
        }
    }

    /// Sets the limit by the shortest round of a window.
    fn end_window(&self, shortest: Duration) {
        let calls = self.calls.swap(0, Ordering::Relaxed);
        let connections = self.connections.swap(0, Ordering::Relaxed).max(1);
        let most_open = self.most_open.swap(0, Ordering::Relaxed);
        let before = self.limit.load(Ordering::Relaxed);
        let limit = next_limit(before, most_open, shortest);
        if limit != before {
            tracing::debug!(limit, before, round = ?shortest, most_open, connections, "the concurrency limit of a thread changes");
        }
        self.begin_window(limit, calls.div_euclid(connections));
    }

    fn begin_window(&self, limit: u32, mean_calls: usize) {
        self.limit.store(limit, Ordering::Relaxed);
        self.mean_calls.store(mean_calls, Ordering::Relaxed);
        self.window.fetch_add(1, Ordering::Relaxed);
        self.window_ended.notify_waiters();
    }
}

/// The limit after a window: less than what there really was where rounds were too long, more
/// where they were short.
fn next_limit(limit: u32, most_open: usize, shortest: Duration) -> u32 {
    let open = u32::try_from(most_open).unwrap_or(u32::MAX).min(limit);
    let eighths = |of: u32, number: u32| of.saturating_mul(number).div_ceil(8);
    let next = match percent_of_target(shortest) {
        201.. => eighths(open, 4),
        101.. => eighths(open, 7).min(open.saturating_sub(1)),
        75.. => limit,
        50.. => eighths(limit, 9),
        _ => eighths(limit, 10),
    };
    next.clamp(STREAMS_MIN, STREAMS_MAX)
}

fn percent_of_target(round: Duration) -> u128 {
    let percent = round.as_nanos().saturating_mul(100);
    percent.div_ceil(ROUND_TARGET.as_nanos().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limit, how many calls a connection had at most, the shortest round in microseconds, and
    /// the limit after it.
    #[test]
    fn the_limit_follows_the_rounds() {
        for (limit, open, micros, expected) in [
            // Calm.
            (400, 400, 0, 400),
            (400, 400, 2_999, 400),
            // Too long: from what there is, not from what there might be.
            (400, 64, 4_001, 56),
            (400, 64, 8_000, 56),
            (400, 64, 8_001, 32),
            (400, 400, 40_000, 200),
            (64, 400, 4_001, 56),
            // Never fewer.
            (16, 400, 40_000, 16),
            (400, 0, 40_000, 16),
            // As long as they should be.
            (56, 56, 4_000, 56),
            (56, 56, 3_001, 56),
            // More again, the sooner the shorter they are.
            (56, 56, 2_900, 63),
            (56, 56, 1_900, 70),
            (16, 0, 0, 20),
            (399, 0, 0, 400),
        ] {
            let round = Duration::from_micros(micros);
            let next = next_limit(limit, open, round);
            assert_eq!(next, expected, "{limit}, {open} open, {micros} us");
        }
    }

    /// Between the lowest and the highest limit there are so few windows that it is calm again
    /// within a second.
    #[test]
    fn all_is_allowed_again_within_a_second() {
        let mut limit = STREAMS_MIN;
        let mut windows = 0;
        while limit < STREAMS_MAX {
            limit = next_limit(limit, 0, Duration::ZERO);
            windows += 1;
        }
        assert!(WINDOW * windows < Duration::from_secs(1), "{windows}");
    }

    /// What three connections called in the last window, and which of them are below their fair share.
    #[test]
    fn the_fair_share_follows_from_all_calls() {
        for (calls, expected) in [
            ([100, 100, 100], [false, false, false]),
            ([1_000, 100, 100], [false, true, true]),
            ([1_000, 1_000, 300], [false, false, true]),
            ([200, 100, 60], [false, false, false]),
            ([0, 0, 0], [false, false, false]),
        ] {
            let concurrency = Concurrency::default();
            for calls in calls {
                concurrency.limit_of(calls, 1);
            }
            concurrency.end_window(Duration::ZERO);
            assert_eq!(
                calls.map(|calls| concurrency.is_below_fair_share(calls)),
                expected,
                "{calls:?}"
            );
        }
    }
}
