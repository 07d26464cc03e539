//! What a line's price depends on, cut into cells in each of which every condition either
//! holds or does not. A cell is found by a look at each key: the value of an attribute, or a
//! binary search among the breakpoints of a number.

use std::collections::BTreeMap;

use super::number::Number;
use super::spec::{AttributeSpec, Condition, Is};
use super::spec_error::{Place, SpecError};
use crate::domain::pricing::index::ByName;
use crate::domain::pricing::nearest::nearest;

/// Most cells of a line.
pub const CELLS_MAX: usize = 65_536;

/// Where the attributes and the numbers of a service are, by name.
pub struct Names {
    /// Attributes, by position.
    pub attributes: Vec<(Box<str>, AttributeSpec)>,
    /// Positions of the values of each attribute.
    pub values: Vec<ByName<Box<str>, usize>>,
    /// Slots of meters and named quantities.
    pub slots: BTreeMap<Box<str>, usize>,
    /// All numbers, by slot.
    pub numbers: Vec<Number>,
}

/// What a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// An attribute, by position.
    Attribute(usize),
    /// A number, by slot.
    Number(usize),
}

/// A condition with its subject found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The attribute has one of these values.
    Attribute(usize, Vec<usize>),
    /// The number is in one of these ranges, in grains.
    Number(usize, Vec<(i128, i128)>),
}

/// A condition as spans of what its subject can be: of an attribute's values, or of the pieces
/// into which all conditions of the service cut a number. Spans are in order and do not meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// What it is about.
    pub subject: Subject,
    /// Each from a position on, up to another that does not belong to it.
    pub spans: Vec<(usize, usize)>,
}

/// Where all conditions of a service cut its numbers: where pieces begin, without the first.
pub struct Cuts {
    by_slot: BTreeMap<usize, Vec<i128>>,
}

impl Cuts {
    /// The cuts of all that these conditions say.
    pub fn of<'s>(said: impl Iterator<Item = &'s Said>, names: &Names) -> Self {
        let mut by_slot: BTreeMap<usize, Vec<i128>> = BTreeMap::new();
        for said in said {
            if let Said::Number(slot, ranges) = said {
                let ends = ranges
                    .iter()
                    .flat_map(|(first, last)| [*first, last.saturating_add(1)]);
                by_slot.entry(*slot).or_default().extend(ends);
            }
        }
        for (slot, cuts) in &mut by_slot {
            cuts.sort_unstable();
            cuts.dedup();
            if let Some(number) = names.numbers.get(*slot) {
                cuts.retain(|cut| number.first < *cut && *cut <= number.last);
            }
        }
        Self { by_slot }
    }

    fn cuts(&self, slot: usize) -> &[i128] {
        self.by_slot.get(&slot).map_or(&[], Vec::as_slice)
    }

    /// The condition in spans of values or pieces.
    pub fn test(&self, said: &Said, names: &Names) -> Test {
        let (subject, mut spans) = match said {
            Said::Attribute(position, values) => {
                let spans = values.iter().map(|value| (*value, value.saturating_add(1)));
                (Subject::Attribute(*position), spans.collect::<Vec<_>>())
            }
            Said::Number(slot, ranges) => {
                let cuts = self.cuts(*slot);
                let largest = names.numbers.get(*slot).map_or(0, |number| number.last);
                let position = |end: i128| match end > largest {
                    true => cuts.len().saturating_add(1),
                    false => cuts.partition_point(|cut| *cut <= end),
                };
                let spans = ranges
                    .iter()
                    .map(|(first, last)| (position(*first), position(last.saturating_add(1))));
                (Subject::Number(*slot), spans.collect())
            }
        };
        spans.sort_unstable();
        let mut merged: Vec<(usize, usize)> = Vec::with_capacity(spans.len());
        for (from, to) in spans {
            match merged.last_mut() {
                Some((_, end)) if from <= *end => *end = (*end).max(to),
                _ if from < to => merged.push((from, to)),
                _ => {}
            }
        }
        Test {
            subject,
            spans: merged,
        }
    }
}

impl Names {
    /// The attribute or number of that name.
    pub fn find(&self, name: &str) -> Option<Subject> {
        let attribute = self
            .attributes
            .iter()
            .position(|(known, _)| &**known == name);
        attribute
            .map(Subject::Attribute)
            .or_else(|| self.slots.get(name).copied().map(Subject::Number))
    }

    /// These attributes, and no numbers.
    pub fn of_attributes(attributes: &BTreeMap<Box<str>, AttributeSpec>) -> Self {
        let by_word = |attribute: &AttributeSpec| {
            let values = attribute.values.iter().cloned();
            values.zip(0..).collect()
        };
        Self {
            values: attributes.values().map(by_word).collect(),
            attributes: attributes.clone().into_iter().collect(),
            slots: BTreeMap::new(),
            numbers: Vec::new(),
        }
    }

    /// The values of an attribute.
    fn values_of(&self, position: usize) -> &[Box<str>] {
        let attribute = self.attributes.get(position);
        attribute.map_or(&[], |(_, spec)| spec.values.as_slice())
    }

    /// The name of a subject.
    pub fn name(&self, subject: Subject) -> &str {
        let name = match subject {
            Subject::Attribute(position) => self.attributes.get(position).map(|(name, _)| &**name),
            Subject::Number(slot) => {
                let mut slots = self.slots.iter();
                slots
                    .find(|(_, known)| **known == slot)
                    .map(|(name, _)| &**name)
            }
        };
        name.unwrap_or_default()
    }

    /// Finds what conditions are about; `place` says where a name stands.
    pub fn all_said(
        &self,
        conditions: &[Condition],
        place: impl Fn(&str) -> Place,
    ) -> Result<Vec<Said>, SpecError> {
        let said = conditions
            .iter()
            .map(|condition| self.said(condition, &place));
        said.collect()
    }

    fn said(
        &self,
        condition: &Condition,
        place: &impl Fn(&str) -> Place,
    ) -> Result<Said, SpecError> {
        let name = &condition.name;
        match (self.find(name), &condition.is) {
            (Some(Subject::Attribute(position)), Is::OneOf(words)) => {
                let positions = self.values.get(position);
                let values = words.iter().map(|word| {
                    let known = positions.and_then(|positions| positions.get(word));
                    known.copied().ok_or_else(|| {
                        let spec = self.attributes.get(position).map(|(_, spec)| spec);
                        let known = spec.into_iter().flat_map(|spec| spec.values.iter());
                        let place = place(name);
                        let entry = place.entry();
                        let problem = format!("{entry}{name} is never \"{word}\"");
                        let remedy = did_you_mean(word, known.map(|value| &**value));
                        SpecError::bare(&place, problem, remedy)
                    })
                });
                Ok(Said::Attribute(position, values.collect::<Result<_, _>>()?))
            }
            (Some(Subject::Number(slot)), Is::In(ranges)) => {
                let number = self.numbers.get(slot);
                let ranges = ranges.iter().map(|range| {
                    let grains = number.and_then(|number| range.grains(number.grain));
                    grains.filter(|(first, last)| first <= last).ok_or_else(|| {
                        let steps = number.map(|number| number.figure(number.grain));
                        SpecError::new(
                            &place(name),
                            format!("nothing is \"{range}\""),
                            format!(
                                "the lower end comes first, and it counts in steps of {}",
                                steps.unwrap_or_default()
                            ),
                        )
                    })
                });
                Ok(Said::Number(slot, ranges.collect::<Result<_, _>>()?))
            }
            // Conditions are read by what their names are.
            _ => Err(SpecError::new(
                &place(name),
                format!("\"{name}\" is no attribute, meter or quantity of this service"),
                "declare it, or take it out",
            )),
        }
    }
}

/// A remedy for a misspelled word.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    if known.is_empty() {
        return "declare it first".to_owned();
    }
    match nearest(word, known.iter().copied()) {
        Some((near, true)) => format!("did you mean \"{near}\"?"),
        _ => format!("choose from {}", known.join(", ")),
    }
}

/// A key of a grid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// What it looks at.
    pub subject: Subject,
    /// Where pieces of a number begin, in grains, without the first.
    pub breaks: Box<[i128]>,
    /// How many values or pieces there are.
    pub count: usize,
    /// How many cells lie between one of them and the next.
    pub stride: usize,
}

/// The cells of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    /// What they depend on; the first changes slowest.
    pub keys: Box<[Key]>,
    /// How many cells there are.
    pub size: usize,
}

/// A grid while its line is compiled.
pub struct Shape {
    /// The grid.
    pub grid: Grid,
    /// By key: to which value or piece of the grid each of the service belongs.
    positions: Vec<Vec<usize>>,
}

impl Shape {
    /// The grid of all that these conditions are about.
    pub fn of<'t>(
        tests: impl Iterator<Item = &'t Test>,
        cuts: &Cuts,
        names: &Names,
        place: &Place,
    ) -> Result<Self, SpecError> {
        // Where some condition of this line begins or ceases to hold.
        let mut ends: BTreeMap<Subject, Vec<bool>> = BTreeMap::new();
        for test in tests {
            let ends = ends.entry(test.subject).or_insert_with(|| {
                let pieces = match test.subject {
                    Subject::Attribute(position) => names.values_of(position).len(),
                    Subject::Number(slot) => cuts.cuts(slot).len().saturating_add(1),
                };
                vec![false; pieces]
            });
            for end in test.spans.iter().flat_map(|(from, to)| [*from, *to]) {
                if let Some(end) = ends.get_mut(end) {
                    *end = true;
                }
            }
        }
        let mut ends: Vec<_> = ends.into_iter().collect();
        ends.sort_by_cached_key(|(subject, _)| (names.name(*subject).to_owned(), *subject));
        let mut keys = Vec::with_capacity(ends.len());
        let mut all_positions = Vec::with_capacity(ends.len());
        let mut size = 1_usize;
        for (subject, ends) in ends.into_iter().rev() {
            let mut positions = Vec::with_capacity(ends.len().saturating_add(1));
            let mut breaks = Vec::new();
            match subject {
                Subject::Attribute(_) => positions.extend(0..=ends.len()),
                Subject::Number(slot) => {
                    positions.push(0);
                    for (is_end, cut) in ends.iter().skip(1).zip(cuts.cuts(slot)) {
                        breaks.extend(is_end.then_some(*cut));
                        positions.push(breaks.len());
                    }
                    positions.push(breaks.len().saturating_add(1));
                }
            }
            let count = positions.last().copied().unwrap_or_default();
            keys.push(Key {
                subject,
                breaks: breaks.into(),
                count,
                stride: size,
            });
            all_positions.push(positions);
            size = size.saturating_mul(count);
        }
        if size > CELLS_MAX {
            return Err(SpecError::new(
                place,
                format!("{size} combinations are more than {CELLS_MAX}"),
                "split the service",
            ));
        }
        keys.reverse();
        all_positions.reverse();
        let keys = keys.into();
        Ok(Self {
            grid: Grid { keys, size },
            positions: all_positions,
        })
    }

    /// The value or piece of a key that begins where one of the service does; its count for the
    /// end of them.
    pub fn position(&self, key: usize, of_service: usize) -> usize {
        let positions = self.positions.get(key);
        let position = positions.and_then(|positions| positions.get(of_service));
        position.copied().unwrap_or_default()
    }
}

impl Grid {
    /// The cell of these numbers and attributes.
    pub fn cell(&self, slots: &[i128], attributes: &[u16]) -> Option<usize> {
        let mut cell = 0_usize;
        for key in &self.keys {
            let position = match key.subject {
                Subject::Attribute(position) => usize::from(*attributes.get(position)?),
                Subject::Number(slot) => {
                    let number = *slots.get(slot)?;
                    key.breaks.partition_point(|start| *start <= number)
                }
            };
            cell = cell.checked_add(position.checked_mul(key.stride)?)?;
        }
        Some(cell)
    }

    /// Which value or piece of each key a cell has.
    fn positions(&self, cell: usize) -> impl Iterator<Item = usize> {
        self.keys.iter().map(move |key| {
            let at = cell.checked_div(key.stride).unwrap_or_default();
            at.checked_rem(key.count).unwrap_or_default()
        })
    }

    /// A cell in words: `duration from 0s up to 4.9s, mode = "std"`.
    pub fn words(&self, cell: usize, names: &Names) -> String {
        let positions = self.positions(cell);
        let parts = self.keys.iter().zip(positions).map(|(key, position)| {
            let name = names.name(key.subject);
            match key.subject {
                Subject::Attribute(attribute) => {
                    let spec = names.attributes.get(attribute).map(|(_, spec)| spec);
                    let value = spec.and_then(|spec| spec.values.get(position));
                    format!("{name} = \"{}\"", value.map_or("", |value| value))
                }
                Subject::Number(slot) => {
                    let Some(number) = names.numbers.get(slot) else {
                        return name.to_owned();
                    };
                    let start = match position.checked_sub(1) {
                        None => number.first,
                        Some(before) => key.breaks.get(before).copied().unwrap_or(number.first),
                    };
                    let end = key.breaks.get(position).map(|next| next.saturating_sub(1));
                    let figure = |grains| number.figure(number.units(grains));
                    match end {
                        None if position == 0 => name.to_owned(),
                        None => format!("{name} from {}", figure(start)),
                        Some(end) if end == start => format!("{name} = {}", figure(start)),
                        Some(end) => {
                            format!("{name} from {} up to {}", figure(start), figure(end))
                        }
                    }
                }
            }
        });
        let parts: Vec<_> = parts.collect();
        parts.join(", ")
    }
}
