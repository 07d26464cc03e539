//! A blocked Bloom filter: all bits of a key are in one cache line. About one in a thousand keys
//! that were not added is a false positive.

/// Bits for each key.
const KEY_BITS: usize = 16;
const BLOCK_BYTES: usize = 64;
const BLOCK_BITS: u64 = 512;
/// Bits that a key sets in its block.
const PROBES: u32 = 6;

/// The filter.
pub(super) struct Filter(Box<[u8]>);

impl Filter {
    pub(super) fn of(keys: impl ExactSizeIterator<Item = u64>) -> Self {
        let mut filter = Self::with_room_for(keys.len());
        keys.for_each(|key| filter.add(key));
        filter
    }

    /// An empty filter with room for so many keys.
    pub(super) fn with_room_for(keys: usize) -> Self {
        Self(vec![0; Self::bytes_for(keys)].into())
    }

    /// How much memory a filter of so many keys takes.
    pub(super) fn bytes_for(keys: usize) -> usize {
        let bits = keys.saturating_mul(KEY_BITS);
        let blocks = bits.div_ceil(BLOCK_BYTES.saturating_mul(8)).max(1);
        blocks.saturating_mul(BLOCK_BYTES)
    }

    /// Adds a key. Adding it again changes nothing.
    pub(super) fn add(&mut self, key: u64) {
        let block = self.block(key);
        let Some(block) = self.0.get_mut(block) else {
            return;
        };
        for (byte, mask) in bits_of(key) {
            if let Some(byte) = block.get_mut(byte) {
                *byte |= mask;
            }
        }
    }

    pub(super) fn may_have(&self, key: u64) -> bool {
        self.0.get(self.block(key)).is_some_and(|block| {
            bits_of(key).all(|(byte, mask)| block.get(byte).is_some_and(|b| b & mask != 0))
        })
    }

    /// None if the bytes are not a filter.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let fits = !bytes.is_empty() && bytes.len().is_multiple_of(BLOCK_BYTES);
        fits.then(|| Self(bytes.into()))
    }

    pub(super) fn to_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The block of a key: its upper half, spread over all blocks.
    fn block(&self, key: u64) -> std::ops::Range<usize> {
        let blocks = u64::try_from(self.0.len().div_euclid(BLOCK_BYTES)).unwrap_or(1);
        let number = (key >> 32).wrapping_mul(blocks) >> 32;
        let start = usize::try_from(number)
            .unwrap_or(0)
            .saturating_mul(BLOCK_BYTES);
        start..start.saturating_add(BLOCK_BYTES)
    }
}

/// The bits of a key in its block, out of its lower half.
fn bits_of(key: u64) -> impl Iterator<Item = (usize, u8)> {
    let mixed = (key & 0xffff_ffff).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..PROBES).map(move |probe| {
        let bit = (mixed >> probe.wrapping_mul(9).wrapping_add(8)) & BLOCK_BITS.wrapping_sub(1);
        let byte = usize::try_from(bit >> 3).unwrap_or(0);
        (byte, 1_u8 << (bit & 7))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys as a hash gives them.
    fn keys(from: u64) -> Vec<u64> {
        let mix = |n: u64| {
            let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            n ^ (n >> 31)
        };
        (from..from.saturating_add(100_000))
            .map(|n| mix(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
            .collect()
    }

    #[test]
    fn it_has_all_that_was_added_and_few_false_positives() {
        let (inside, outside) = (keys(0), keys(1_000_000));
        let filter = Filter::of(inside.iter().copied());
        assert!(inside.iter().all(|key| filter.may_have(*key)));
        let false_positives = outside.iter().filter(|key| filter.may_have(**key)).count();
        assert!(false_positives < 500, "{false_positives} of 100,000");
        let again = Filter::from_bytes(filter.to_bytes()).unwrap();
        assert!(inside.iter().all(|key| again.may_have(*key)));
        assert!(Filter::from_bytes(&[0; 63]).is_none());
    }
}
