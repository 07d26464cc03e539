//! The open calls of one connection, so that it can be closed: one that does not call, one
//! whose peer does not read its replies, and, when its peer was told to go, one that has nothing
//! left to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::rpc::method::{self, Kind};

/// The calls of one connection.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    /// How many calls there were.
    begun: AtomicUsize,
    most_open: AtomicUsize,
    /// Calls that end by themselves.
    pub(super) calls: Arc<Generations>,
    /// Streams of reflection, which the server ends, later than calls.
    pub(super) reflections: Arc<Generations>,
    /// Messages of watches, each by itself.
    pub(super) messages: Arc<Generations>,
    /// Watches.
    watches: Arc<Generations>,
}

impl Tracker {
    /// How many calls there ever were, by a counter that may wrap.
    pub(super) fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }

    /// Calls whose reply has not left. Health, reflection and watchers do not count: nothing
    /// is lost with them.
    pub(super) fn open(&self) -> usize {
        self.calls.open()
    }

    /// How many calls were open at most since this was asked last.
    pub(super) fn take_most_open(&self) -> usize {
        self.most_open.swap(self.open(), Ordering::Relaxed)
    }

    /// Streams that go on for long.
    pub(super) fn open_streams(&self) -> usize {
        let (watches, reflections) = (self.watches.open(), self.reflections.open());
        watches.saturating_add(reflections)
    }

    /// Whether any call is open that ends by itself or by the server.
    pub(super) fn has_open(&self) -> bool {
        self.calls.open() > 0 || self.reflections.open() > 0
    }

    pub(super) fn begin(&self, path: &str) -> Begun {
        self.begun.fetch_add(1, Ordering::Relaxed);
        match method::find(path).map(|method| method.kind) {
            None | Some(Kind::Unary | Kind::Batch | Kind::List) => {
                let begun = self.calls.begin().into();
                self.most_open.fetch_max(self.open(), Ordering::Relaxed);
                begun
            }
            Some(Kind::Reflection) => self.reflections.begin().into(),
            Some(Kind::HealthCheck) => Begun::Free,
            Some(Kind::HealthWatch | Kind::BalanceWatch) => Begun::Watch(self.watches.begin()),
        }
    }
}

/// A call that begins.
#[derive(Debug)]
pub(super) enum Begun {
    /// Kept until its reply has left.
    Open(Open),
    /// Its reply goes on until its caller, or the connection, ends it.
    Watch(Option<Open>),
    /// Nothing is lost with it.
    Free,
}

impl From<Option<Open>> for Begun {
    fn from(open: Option<Open>) -> Self {
        open.map_or(Self::Free, Self::Open)
    }
}

/// Counts what is open by the generation in which it began, this one or the one before.
#[derive(Debug, Default)]
pub(super) struct Generations {
    /// By parity.
    open: [AtomicUsize; 2],
    generation: AtomicUsize,
}

impl Generations {
    fn open(&self) -> usize {
        let count = |calls: &AtomicUsize| calls.load(Ordering::Relaxed);
        self.open.iter().map(count).fold(0, usize::saturating_add)
    }

    /// Begins another generation; whether something of that before the last one is still
    /// open.
    pub(super) fn next_generation(&self) -> bool {
        let next = self
            .generation
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_add(1);
        // Its parity is that of the generation which begins now.
        let old = self.open.get(next & 1);
        old.is_some_and(|calls| calls.load(Ordering::Relaxed) > 0)
    }

    pub(super) fn begin(self: &Arc<Self>) -> Option<Open> {
        let parity = self.generation.load(Ordering::Relaxed) & 1;
        self.open.get(parity)?.fetch_add(1, Ordering::Relaxed);
        Some(Open {
            generations: Arc::clone(self),
            parity,
        })
    }
}

/// A call whose reply has not left.
#[derive(Debug)]
pub(super) struct Open {
    generations: Arc<Generations>,
    parity: usize,
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(calls) = self.generations.open.get(self.parity) {
            calls.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_old_after_two_generations_and_health_never() {
        let tracker = Tracker::default();
        assert_eq!(tracker.begun(), 0);
        let health = tracker.begin("/grpc.health.v1.Health/Watch");
        assert!(matches!(health, Begun::Watch(Some(_))) && tracker.open() == 0);
        assert_eq!(tracker.open_streams(), 1);
        assert_eq!(tracker.begun(), 1);
        let estimate = "/creditd.v1.PricingService/Estimate";
        let first = tracker.begin(estimate);
        assert!(
            !tracker.calls.next_generation(),
            "it began in the one before"
        );
        let second = tracker.begin(estimate);
        assert_eq!(tracker.open(), 2);
        assert!(tracker.calls.next_generation(), "the first is old");
        drop(first);
        assert!(tracker.calls.next_generation(), "now the second is");
        drop(second);
        assert!(!tracker.calls.next_generation());
        assert_eq!(tracker.open(), 0);
    }
}
