//! Which rows and factors hold in each cell of a grid, as bits: thousands of them are asked at
//! once, and what is known of the first keys is known for all cells that share them.

use std::collections::BTreeMap;
use std::ops::Range;

use super::grid::{Shape, Test};

/// Entries of a list, as bits.
#[derive(Clone)]
struct Bits {
    words: Vec<u64>,
    /// Words before it are 0.
    first: usize,
    /// Words from it on are 0.
    end: usize,
}

impl Bits {
    fn of(words: &[u64]) -> Self {
        let first = words.iter().position(|word| *word != 0);
        let last = words.iter().rposition(|word| *word != 0);
        Self {
            first: first.unwrap_or(words.len()),
            end: last.map_or(0, |last| last.saturating_add(1)),
            words: words.to_vec(),
        }
    }

    const fn is_empty(&self) -> bool {
        self.first >= self.end
    }

    /// Makes it what two others have in common. Words outside of its ends are left as they were.
    fn meet(&mut self, left: &Self, right: &Self) {
        let ends = left.first.max(right.first)..left.end.min(right.end);
        self.meet_within(ends, left, &right.words);
    }

    fn meet_within(&mut self, ends: Range<usize>, left: &Self, right: &[u64]) {
        let both = left.words.get(ends.clone()).zip(right.get(ends.clone()));
        let Some(((left, right), to)) = both.zip(self.words.get_mut(ends.clone())) else {
            (self.first, self.end) = (0, 0);
            return;
        };
        for (to, (left, right)) in to.iter_mut().zip(left.iter().zip(right)) {
            *to = left & right;
        }
        let first = to.iter().position(|word| *word != 0);
        let last = to.iter().rposition(|word| *word != 0);
        let at = |within: usize| ends.start.saturating_add(within);
        self.first = first.map_or(ends.start, at);
        self.end = last.map_or(ends.start, |last| at(last.saturating_add(1)));
    }
}

/// What holds in a cell.
pub struct Matches<'a> {
    bits: &'a Bits,
}

impl Matches<'_> {
    /// The first entry that holds.
    pub fn first(&self) -> Option<usize> {
        let word = self.bits.words.get(self.bits.first)?;
        let at = usize::try_from(word.trailing_zeros()).ok()?;
        let is_one = !self.bits.is_empty() && *word != 0;
        is_one.then(|| self.bits.first.saturating_mul(64).saturating_add(at))
    }

    /// The first 64 entries.
    pub fn word(&self) -> u64 {
        match self.bits.first {
            0 if !self.bits.is_empty() => self.bits.words.first().copied().unwrap_or_default(),
            _ => 0,
        }
    }
}

/// Where entries begin and cease to hold along a key.
struct Along {
    stride: usize,
    /// What holds before the first position: what says nothing of the key.
    start: Vec<u64>,
    /// By position: the entries that begin or cease to hold there.
    changes: Vec<Vec<usize>>,
}

impl Along {
    /// Of each key of a grid, of the entries of that many.
    fn all(shape: &Shape, entries: &[&[Test]]) -> Vec<Self> {
        let mut everything = vec![0_u64; entries.len().div_ceil(64)];
        (0..entries.len()).for_each(|entry| flip(&mut everything, entry));
        let keys = shape.grid.keys.iter().map(|key| Self {
            stride: key.stride,
            start: everything.clone(),
            changes: vec![Vec::new(); key.count],
        });
        let mut keys: Vec<Self> = keys.collect();
        let subjects = shape.grid.keys.iter().map(|key| key.subject);
        let by_subject: BTreeMap<_, _> = subjects.zip(0..).collect();
        for (entry, tests) in entries.iter().enumerate() {
            for test in *tests {
                let key = by_subject.get(&test.subject).copied().unwrap_or_default();
                let Some(along) = keys.get_mut(key) else {
                    continue;
                };
                flip(&mut along.start, entry);
                for end in test.spans.iter().flat_map(|(from, to)| [*from, *to]) {
                    // What holds up to the end of the key does not cease to on it.
                    if let Some(changes) = along.changes.get_mut(shape.position(key, end)) {
                        changes.push(entry);
                    }
                }
            }
        }
        keys
    }

    const fn count(&self) -> usize {
        self.changes.len()
    }

    /// Calls with each position and what can hold there.
    fn each(&self, mut at: impl FnMut(usize, &[u64])) {
        let mut bits = self.start.clone();
        for (position, changes) in self.changes.iter().enumerate() {
            for entry in changes {
                flip(&mut bits, *entry);
            }
            at(position, &bits);
        }
    }
}

fn flip(bits: &mut [u64], entry: usize) {
    if let Some(word) = bits.get_mut(entry / 64) {
        *word ^= 1_u64 << (entry % 64);
    }
}

/// Calls with each cell in which an entry holds, in no order.
pub fn each_cell<'t>(
    shape: &Shape,
    entries: impl Iterator<Item = &'t [Test]>,
    mut cell: impl FnMut(usize, &Matches<'_>),
) {
    let entries: Vec<&[Test]> = entries.collect();
    let mut keys = Along::all(shape, &entries);
    // The longest key comes first and is gone along once; the others, which are short then,
    // have their bits in memory.
    keys.sort_by_key(|key| std::cmp::Reverse(key.count()));
    let mut all = vec![0_u64; entries.len().div_ceil(64)];
    for entry in 0..entries.len() {
        flip(&mut all, entry);
    }
    let all = Bits::of(&all);
    let Some((longest, others)) = keys.split_first() else {
        if !all.is_empty() {
            cell(0, &Matches { bits: &all });
        }
        return;
    };
    let mut known = all;
    // What holds wherever a key has one position is known before all others.
    let (others, single): (Vec<_>, Vec<_>) = others.iter().partition(|key| key.count() > 1);
    for key in single {
        key.each(|_, bits| {
            let before = known.clone();
            known.meet(&before, &Bits::of(bits));
        });
    }
    let levels: Vec<Level> = others.into_iter().map(Level::of).collect();
    let mut rooms = vec![known.clone(); levels.len().saturating_add(1)];
    longest.each(|position, bits| {
        if let Some((room, rooms)) = rooms.split_first_mut() {
            room.meet_within(known.first..known.end, &known, bits);
            let start = position.saturating_mul(longest.stride);
            descend(&levels, room, rooms, start, &mut cell);
        }
    });
}

/// A key with the bits of each of its positions.
struct Level {
    stride: usize,
    bits: Vec<Bits>,
}

impl Level {
    fn of(key: &Along) -> Self {
        let mut by_position = Vec::with_capacity(key.count());
        key.each(|_, bits| by_position.push(Bits::of(bits)));
        Self {
            stride: key.stride,
            bits: by_position,
        }
    }
}

/// Goes through the cells below one, of which it is known what can hold.
fn descend(
    levels: &[Level],
    known: &Bits,
    rooms: &mut [Bits],
    start: usize,
    cell: &mut impl FnMut(usize, &Matches<'_>),
) {
    if known.is_empty() {
        return;
    }
    let (Some((level, levels)), Some((room, rooms))) =
        (levels.split_first(), rooms.split_first_mut())
    else {
        cell(start, &Matches { bits: known });
        return;
    };
    for (position, bits) in level.bits.iter().enumerate() {
        room.meet(known, bits);
        let next = start.saturating_add(position.saturating_mul(level.stride));
        descend(levels, room, rooms, next, cell);
    }
}
