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
            // The last byte is free to say how many the others are.
            let length = u64::try_from(rest.len()).unwrap_or_default();
            self.mix(word_of(rest) | (length << 56));
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

/// Up to seven bytes as the lower ones of a word, without a loop over them.
fn word_of(bytes: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        // The last four without those that are among the first.
        let both = 8_usize.saturating_sub(bytes.len()).saturating_mul(8);
        let both = u32::try_from(both).unwrap_or_default();
        let last = u64::from(u32::from_le_bytes(*last)).wrapping_shr(both);
        return u64::from(u32::from_le_bytes(*first)) | (last << 32);
    }
    match *bytes {
        [a] => u64::from_le_bytes([a, 0, 0, 0, 0, 0, 0, 0]),
        [a, b] => u64::from_le_bytes([a, b, 0, 0, 0, 0, 0, 0]),
        [a, b, c] => u64::from_le_bytes([a, b, c, 0, 0, 0, 0, 0]),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::BuildHasher as _;

    use super::*;

    #[test]
    fn up_to_seven_bytes_are_a_word() {
        let bytes = [1, 2, 3, 4, 5, 6, 7];
        for length in 0..=bytes.len() {
            let mut word = [0; 8];
            word[..length].copy_from_slice(&bytes[..length]);
            assert_eq!(
                word_of(&bytes[..length]),
                u64::from_le_bytes(word),
                "{length}"
            );
        }
    }

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
