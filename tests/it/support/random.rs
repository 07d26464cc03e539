//! Chance that can be had again: all of it follows from one seed.

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// From the seed in `CREDITD_SEED`, or a new one. It is printed: where a test
    /// fails, the same chances can be given to it again.
    pub fn of_run(test: &str) -> Self {
        let seed = std::env::var("CREDITD_SEED").map_or_else(
            |_| getrandom::u64().unwrap(),
            |text| text.parse().expect("CREDITD_SEED is a number"),
        );
        eprintln!("{test}: CREDITD_SEED={seed}");
        Self::new(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From the first to the last, both included.
    pub fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.next() % (last - first + 1)
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let last = u64::try_from(of.len()).unwrap().checked_sub(1)?;
        of.get(usize::try_from(self.between(0, last)).unwrap())
    }

    /// Another one, which goes its own way.
    pub fn fork(&mut self) -> Self {
        Self::new(self.next())
    }
}
