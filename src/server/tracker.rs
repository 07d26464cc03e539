//! What one connection is doing, so that it can be let go: one that never calls,
//! one whose peer does not read its replies, and, when the server stops, one that
//! has nothing left to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::rpc::router::WATCH_BALANCE;

/// The calls of one connection.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    called: AtomicBool,
    /// Calls that began in this turn and in the one before it, by parity.
    open: [AtomicUsize; 2],
    turn: AtomicUsize,
}

impl Tracker {
    /// Whether there ever was a call.
    pub(super) fn called(&self) -> bool {
        self.called.load(Ordering::Relaxed)
    }

    /// Calls that have not ended. Health, reflection and watchers do not count: their
    /// streams have no end, and nothing is lost with them.
    pub(super) fn open(&self) -> usize {
        let count = |calls: &AtomicUsize| calls.load(Ordering::Relaxed);
        self.open.iter().map(count).fold(0, usize::saturating_add)
    }

    /// Begins another turn; whether a call of the turn before the last one is
    /// still open.
    pub(super) fn next_turn(&self) -> bool {
        let next = self.turn.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        // Its parity is that of the turn which begins now.
        let old = self.open.get(next & 1);
        old.is_some_and(|calls| calls.load(Ordering::Relaxed) > 0)
    }

    pub(super) fn begin(self: &Arc<Self>, path: &str) -> Option<Open> {
        self.called.store(true, Ordering::Relaxed);
        if path.starts_with("/grpc.") || path == WATCH_BALANCE {
            return None;
        }
        let parity = self.turn.load(Ordering::Relaxed) & 1;
        self.open.get(parity)?.fetch_add(1, Ordering::Relaxed);
        Some(Open {
            tracker: Arc::clone(self),
            parity,
        })
    }
}

/// A call that has not ended.
#[derive(Debug)]
pub(super) struct Open {
    tracker: Arc<Tracker>,
    parity: usize,
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(calls) = self.tracker.open.get(self.parity) {
            calls.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_old_after_two_turns_and_health_never() {
        let tracker = Arc::new(Tracker::default());
        assert!(!tracker.called());
        let health = tracker.begin("/grpc.health.v1.Health/Watch");
        assert!(tracker.called() && health.is_none() && tracker.open() == 0);
        let first = tracker.begin("/creditd.v1.PricingService/Estimate");
        assert!(!tracker.next_turn(), "it began in the turn before");
        let second = tracker.begin("/creditd.v1.PricingService/Estimate");
        assert_eq!(tracker.open(), 2);
        assert!(tracker.next_turn(), "the first is old");
        drop(first);
        assert!(tracker.next_turn(), "now the second is");
        drop(second);
        assert!(!tracker.next_turn());
        assert_eq!(tracker.open(), 0);
    }
}
