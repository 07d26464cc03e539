//! Which rows and factors hold in a cell, as bits: thousands of rows are asked at once.

use super::grid::{Grid, Key, Names, Test};

/// Which of a list of conditions hold, by key and by its value or piece, as bits.
pub struct Walk<'a> {
    grid: &'a Grid,
    names: &'a Names,
}

/// For each key and each of its positions, the entries that can hold there.
pub struct Sets {
    /// By key, then by position, then 64 entries a word.
    bits: Vec<Vec<Bits>>,
    count: usize,
}

/// The entries that can hold at a position of a key.
struct Bits {
    words: Vec<u64>,
    /// Where the words begin and end that are not 0.
    first: usize,
    end: usize,
}

impl Bits {
    fn of(words: Vec<u64>) -> Self {
        let first = words.iter().position(|word| *word != 0);
        let last = words.iter().rposition(|word| *word != 0);
        Self {
            first: first.unwrap_or(words.len()),
            end: last.map_or(0, |last| last.saturating_add(1)),
            words,
        }
    }
}

impl<'a> Walk<'a> {
    /// Over the cells of that grid.
    pub const fn of(grid: &'a Grid, names: &'a Names) -> Self {
        Self { grid, names }
    }

    /// Which of these entries can hold where.
    pub fn sets<'t>(&self, entries: impl Iterator<Item = &'t [Test]>) -> Sets {
        let entries: Vec<&[Test]> = entries.collect();
        let words = entries.len().div_ceil(64);
        let by_key = self.grid.keys.iter().map(|key| {
            let by_position = (0..key.count).map(|position| {
                let mut bits = vec![0_u64; words];
                for (at, tests) in entries.iter().enumerate() {
                    if self.can_hold(tests, key, position)
                        && let Some(word) = bits.get_mut(at / 64)
                    {
                        *word |= 1_u64 << (at % 64);
                    }
                }
                Bits::of(bits)
            });
            by_position.collect()
        });
        Sets {
            bits: by_key.collect(),
            count: entries.len(),
        }
    }

    /// Whether what an entry says about this key holds there; what it says of others is asked
    /// at them.
    fn can_hold(&self, tests: &[Test], key: &Key, position: usize) -> bool {
        let mut about = tests.iter().filter(|test| test.subject() == key.subject);
        about.all(|test| self.grid.holds(test, key, position, self.names))
    }
}

impl Sets {
    /// The entries that hold, of 64 from that word on.
    pub fn word(&self, positions: &[usize], word: usize) -> u64 {
        let rest = self.count.saturating_sub(word.saturating_mul(64));
        let all = match rest {
            0..64 => (1_u64 << rest).wrapping_sub(1),
            _ => u64::MAX,
        };
        let keys = self.bits.iter().zip(positions);
        keys.fold(all, |bits, (key, position)| {
            let at = key.get(*position).and_then(|bits| bits.words.get(word));
            bits & at.copied().unwrap_or_default()
        })
    }

    /// The first entry that holds.
    pub fn first(&self, positions: &[usize]) -> Option<usize> {
        let (mut first, mut end) = (0, self.count.div_ceil(64));
        for (key, position) in self.bits.iter().zip(positions) {
            let bits = key.get(*position)?;
            (first, end) = (first.max(bits.first), end.min(bits.end));
        }
        (first..end).find_map(|word| {
            let bits = self.word(positions, word);
            let at = usize::try_from(bits.trailing_zeros()).ok()?;
            (bits != 0).then(|| word.saturating_mul(64).saturating_add(at))
        })
    }
}
