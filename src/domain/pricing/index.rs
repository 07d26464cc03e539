//! Hash tables whose keys come from rate cards. Callers only look keys up and cannot insert
//! any, so they cannot cause collisions: a fast hash without a secret is enough.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A table by name.
pub type ByName<K, V> = HashMap<K, V, BuildHasherDefault<NameHasher>>;

/// Hashes eight bytes at a time.
#[derive(Clone, Copy, Debug, Default)]
pub struct NameHasher(u64);

impl NameHasher {
    const fn mix(&mut self, word: u64) {
        // Odd, with bits set all over: 2^64 by the golden ratio.
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(SPREAD);
    }
}

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(rest) {
                *to = *from;
            }
            // The last byte is free to say how many the others are.
            let length = u64::try_from(rest.len()).unwrap_or_default();
            self.mix(u64::from_le_bytes(word) | (length << 56));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.mix(u64::from(byte));
    }

    fn finish(&self) -> u64 {
        // The table uses the lowest and the highest bits.
        self.0 ^ (self.0 >> 32)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::BuildHasher as _;

    use super::*;

    #[test]
    fn names_that_differ_a_little_are_spread() {
        let build = BuildHasherDefault::<NameHasher>::default();
        let names =
            (0..4_096).flat_map(|n| [format!("service_{n}"), format!("{n}"), format!("{n}\0")]);
        let hashes: Vec<u64> = names.map(|name| build.hash_one(name)).collect();
        let whole: HashSet<_> = hashes.iter().collect();
        assert_eq!(whole.len(), hashes.len(), "no two are equal");
        // Into 12,288 of 65,536 places at random, about 11,300 different ones are hit.
        for shift in [0, 48] {
            let places: HashSet<_> = hashes.iter().map(|hash| (hash >> shift) & 0xffff).collect();
            assert!(places.len() > 10_500, "{} by {shift}", places.len());
        }
    }
}
