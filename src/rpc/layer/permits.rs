//! Places: so many of something at once in the whole process, and whoever finds none
//! free is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::rpc::near::Near;

/// A number of places.
#[derive(Debug)]
pub(super) struct Places {
    taken: AtomicUsize,
    pub(super) max: usize,
}

impl Places {
    pub(super) fn new(max: usize) -> Near<Self> {
        Near::new(Arc::new(Self {
            taken: AtomicUsize::new(0),
            max,
        }))
    }

    /// Takes so many at once, if they are free.
    pub(super) fn take(places: &Near<Self>, count: usize) -> Option<Place> {
        let mut place = Place::none(places);
        place.grow(count).then_some(place)
    }
}

/// Places that are taken; given back when this is dropped.
#[derive(Debug)]
pub struct Place {
    places: Near<Places>,
    count: usize,
}

impl Place {
    /// None yet.
    pub(super) fn none(places: &Near<Places>) -> Self {
        Self {
            places: places.clone(),
            count: 0,
        }
    }

    /// Takes more, if they are free.
    pub(super) fn grow(&mut self, more: usize) -> bool {
        let max = self.places.max;
        let fits = |taken: usize| Some(taken.saturating_add(more)).filter(|sum| *sum <= max);
        let taken = &self.places.taken;
        let taken = taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        if taken.is_ok() {
            self.count = self.count.saturating_add(more);
        }
        taken.is_ok()
    }

    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// How many there are in all.
    pub(super) fn max(&self) -> usize {
        self.places.max
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.count > 0 {
            self.places.taken.fetch_sub(self.count, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_given_back_and_no_more() {
        let places = Places::new(3);
        let mut first = Places::take(&places, 1).unwrap();
        assert!(first.grow(1), "two are taken");
        assert!(!first.grow(2) && first.count() == 2, "two more do not fit");
        assert!(Places::take(&places, 2).is_none());
        let third = Places::take(&places, 1).unwrap();
        drop(first);
        assert!(Places::take(&places, 2).is_some());
        drop(third);
        assert!(Places::take(&places, 3).is_some());
        assert_eq!(places.taken.load(Ordering::Relaxed), 0);
    }
}
