//! How much more arrives than can be taken on. What is refused for it is told to come back the
//! later the more there is of it: callers who all came back soon would be the next overload.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::rpc::refused::Load;

/// The load is computed anew after so long.
const WINDOW: Duration = Duration::from_millis(100);

/// Counts what was taken on and what was refused.
#[derive(Debug)]
pub(super) struct LoadMeter {
    start: Instant,
    taken: AtomicU64,
    refused: AtomicU64,
    /// When the window began, in nanoseconds after `start`, and the counts at that time.
    window: AtomicU64,
    taken_before: AtomicU64,
    refused_before: AtomicU64,
    /// What the last window said.
    load: AtomicU64,
}

impl LoadMeter {
    pub(super) fn new(start: Instant) -> Self {
        Self {
            start,
            taken: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            window: AtomicU64::new(0),
            taken_before: AtomicU64::new(0),
            refused_before: AtomicU64::new(0),
            load: AtomicU64::new(0),
        }
    }

    /// A call was taken on.
    pub(super) fn take(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    /// A call was refused; the load that it is told.
    pub(super) fn refuse(&self, now: Instant) -> Load {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let now = now.saturating_duration_since(self.start).as_nanos();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        let begun = self.window.load(Ordering::Relaxed);
        let is_over = u128::from(now.saturating_sub(begun)) >= WINDOW.as_nanos();
        // One of those who see it ends the window.
        if is_over
            && (self.window)
                .compare_exchange(begun, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            let since = |count: &AtomicU64, before: &AtomicU64| {
                let count = count.load(Ordering::Relaxed);
                count.wrapping_sub(before.swap(count, Ordering::Relaxed))
            };
            let taken = since(&self.taken, &self.taken_before);
            let refused = since(&self.refused, &self.refused_before);
            let load = refused.checked_div(taken.max(1)).unwrap_or_default();
            self.load.store(load, Ordering::Relaxed);
        }
        Load::of(self.load.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is taken on and refused in a window of 100 ms, and by how much later than usual who
    /// is refused next comes back.
    #[test]
    fn the_more_is_refused_the_later_is_another_try() {
        for (taken, refused, expected) in [
            (1_000, 0, 1),
            (1_000, 900, 1),
            (1_000, 1_000, 1),
            (1_000, 2_000, 2),
            (1_000, 3_900, 2),
            (1_000, 4_000, 4),
            (1_000, 9_000, 8),
            (1_000, 70_000, 64),
            (0, 100_000, 64),
        ] {
            let start = Instant::now();
            let meter = LoadMeter::new(start);
            (0..taken).for_each(|_| meter.take());
            for _ in 0..refused {
                meter.refuse(start);
            }
            let load = meter.refuse(start + WINDOW);
            assert_eq!(load.factor(), expected, "{taken} taken, {refused} refused");
        }
    }

    #[test]
    fn a_load_that_is_gone_is_forgotten() {
        let start = Instant::now();
        let meter = LoadMeter::new(start);
        for _ in 0..1_000 {
            meter.refuse(start);
        }
        assert_eq!(meter.refuse(start + WINDOW).factor(), 64);
        (0..1_000).for_each(|_| meter.take());
        assert_eq!(meter.refuse(start + WINDOW * 2).factor(), 1);
    }
}
