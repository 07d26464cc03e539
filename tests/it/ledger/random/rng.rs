//! Choices by chance, the same ones for the same seed.

use crate::support::random::Random;

pub struct Rng(Random);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(Random::new(seed))
    }

    /// 0 to `limit - 1`. What it lacks in evenness does not matter here.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0.next() % limit
    }

    /// From the first to the last, both included.
    pub fn between(&mut self, first: i64, last: i64) -> i64 {
        let width = u64::try_from(i128::from(last) - i128::from(first) + 1).unwrap();
        let offset = i128::from(self.below(width));
        i64::try_from(i128::from(first) + offset).unwrap()
    }

    /// True in so many of 1,000 cases.
    pub fn chance(&mut self, of_1000: u64) -> bool {
        self.below(1_000) < of_1000
    }

    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let length = u64::try_from(items.len()).unwrap();
        &items[usize::try_from(self.below(length)).unwrap()]
    }

    /// One of them, where there is one.
    pub fn pick_any<T>(&mut self, mut items: Vec<T>) -> Option<T> {
        if items.is_empty() {
            return None;
        }
        let length = u64::try_from(items.len()).unwrap();
        Some(items.swap_remove(usize::try_from(self.below(length)).unwrap()))
    }

    /// One of them; each as often as its weight says.
    pub fn weighted<T: Copy>(&mut self, items: &[(u64, T)]) -> T {
        let mut at = self.below(items.iter().map(|item| item.0).sum());
        for (weight, item) in items {
            if at < *weight {
                return *item;
            }
            at -= weight;
        }
        unreachable!("{at} is below the sum of the weights")
    }
}
