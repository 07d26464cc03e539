//! When another try is worth it, as RetryInfo says it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The delay is doubled at most so often.
const DOUBLINGS_MAX: u32 = 6;
/// A delay is from 5 to 12 eighths of what it is about.
const EIGHTHS_MIN: u32 = 5;
/// How many delays there are about the same one.
pub(super) const SPREAD: usize = 8;

/// How much more arrives than is taken on, as a power of two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load(u32);

impl Load {
    /// For each call that is taken on so many are refused.
    #[must_use]
    pub const fn of(refused_for_each: u64) -> Self {
        match refused_for_each.checked_ilog2() {
            Some(doublings) if doublings > DOUBLINGS_MAX => Self(DOUBLINGS_MAX),
            Some(doublings) => Self(doublings),
            None => Self(0),
        }
    }

    /// By how much longer than usual a caller should wait.
    #[must_use]
    pub const fn factor(self) -> u32 {
        1_u32.wrapping_shl(self.0)
    }
}

/// One of the delays about this one, each after the other: callers that were refused together
/// do not come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step(usize);

impl Step {
    pub(super) fn next() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        // By fives all eight are visited, and neighbours are far from each other.
        Self(NEXT.fetch_add(5, Ordering::Relaxed) % SPREAD)
    }

    pub(super) const fn index(self) -> usize {
        self.0
    }

    pub(super) fn of(self, delay: Duration) -> Duration {
        let step = u32::try_from(self.0).unwrap_or_default();
        let eighths = delay.saturating_mul(step.saturating_add(EIGHTHS_MIN));
        eighths.checked_div(8).unwrap_or(delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_spread_about_the_one_that_is_meant() {
        let mut delays: Vec<_> = (0..SPREAD)
            .map(|_| Step::next().of(Duration::from_millis(800)).as_millis())
            .collect();
        delays.sort_unstable();
        assert_eq!(delays, [500, 600, 700, 800, 900, 1_000, 1_100, 1_200]);
    }
}
