//! What a line's price depends on, cut into cells in each of which every condition either
//! holds or does not. A cell is found by a look at each key: the value of an attribute, or a
//! binary search among the breakpoints of a number.

use std::collections::BTreeMap;

use super::number::Number;
use super::spec::{AttributeSpec, Condition, Is};
use super::spec_error::{Place, SpecError};
use crate::domain::pricing::nearest::nearest;

/// Most cells of a line.
pub const CELLS_MAX: usize = 65_536;

/// Where the attributes and the numbers of a service are, by name.
pub struct Names {
    /// Attributes, by position.
    pub attributes: Vec<(Box<str>, AttributeSpec)>,
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
pub enum Test {
    /// The attribute has one of these values.
    Attribute(usize, Vec<usize>),
    /// The number is in one of these ranges, in grains.
    Number(usize, Vec<(i128, i128)>),
}

impl Test {
    /// What it is about.
    pub const fn subject(&self) -> Subject {
        match self {
            Self::Attribute(position, _) => Subject::Attribute(*position),
            Self::Number(slot, _) => Subject::Number(*slot),
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
    pub fn tests(
        &self,
        conditions: &[Condition],
        place: impl Fn(&str) -> Place,
    ) -> Result<Vec<Test>, SpecError> {
        let tests = conditions
            .iter()
            .map(|condition| self.test(condition, &place));
        tests.collect()
    }

    fn test(
        &self,
        condition: &Condition,
        place: &impl Fn(&str) -> Place,
    ) -> Result<Test, SpecError> {
        let name = &condition.name;
        match (self.find(name), &condition.is) {
            (Some(Subject::Attribute(position)), Is::OneOf(words)) => {
                let spec = self.attributes.get(position).map(|(_, spec)| spec);
                let values = words.iter().map(|word| {
                    let known = spec.into_iter().flat_map(|spec| spec.values.iter());
                    let known: Vec<_> = known.map(|value| &**value).collect();
                    known
                        .iter()
                        .position(|value| *value == &**word)
                        .ok_or_else(|| {
                            let place = place(name);
                            let entry = place.entry();
                            let problem = format!("{entry}{name} is never \"{word}\"");
                            SpecError::bare(&place, problem, did_you_mean(word, known))
                        })
                });
                Ok(Test::Attribute(position, values.collect::<Result<_, _>>()?))
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
                Ok(Test::Number(slot, ranges.collect::<Result<_, _>>()?))
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

impl Grid {
    /// The grid of all that these conditions are about.
    pub fn of<'t>(
        tests: impl Iterator<Item = &'t Test>,
        names: &Names,
        place: &Place,
    ) -> Result<Self, SpecError> {
        let mut cuts: BTreeMap<(String, Subject), Vec<i128>> = BTreeMap::new();
        for test in tests {
            let subject = test.subject();
            let key = (names.name(subject).to_owned(), subject);
            let cuts = cuts.entry(key).or_default();
            if let Test::Number(_, ranges) = test {
                for (first, last) in ranges {
                    cuts.extend([*first, last.saturating_add(1)]);
                }
            }
        }
        let mut keys = Vec::with_capacity(cuts.len());
        let mut size = 1_usize;
        for ((_, subject), mut breaks) in cuts.into_iter().rev() {
            let count = match subject {
                Subject::Attribute(position) => {
                    let attribute = names.attributes.get(position);
                    attribute.map_or(0, |(_, spec)| spec.values.len())
                }
                Subject::Number(slot) => {
                    breaks.sort_unstable();
                    breaks.dedup();
                    if let Some(number) = names.numbers.get(slot) {
                        breaks.retain(|cut| {
                            (number.first..=number.last).contains(cut) && *cut > number.first
                        });
                    }
                    breaks.len().saturating_add(1)
                }
            };
            keys.push(Key {
                subject,
                breaks: breaks.into(),
                count,
                stride: size,
            });
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
        Ok(Self {
            keys: keys.into(),
            size,
        })
    }

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
    pub fn positions(&self, cell: usize) -> Vec<usize> {
        let mut positions = Vec::with_capacity(self.keys.len());
        self.positions_into(cell, &mut positions);
        positions
    }

    /// The same, into a list that is cleared before.
    pub fn positions_into(&self, cell: usize, positions: &mut Vec<usize>) {
        positions.clear();
        positions.extend(self.keys.iter().map(|key| {
            let at = cell.checked_div(key.stride).unwrap_or_default();
            at.checked_rem(key.count).unwrap_or_default()
        }));
    }

    /// Whether a condition holds for that value or piece of a key, which it is about.
    pub fn holds(&self, test: &Test, key: &Key, position: usize, names: &Names) -> bool {
        match test {
            Test::Attribute(_, values) => values.contains(&position),
            Test::Number(slot, ranges) => {
                let first = names.numbers.get(*slot).map_or(0, |number| number.first);
                let start = position.checked_sub(1);
                let start = start.map_or(Some(first), |before| key.breaks.get(before).copied());
                let start = start.unwrap_or(first);
                ranges
                    .iter()
                    .any(|(from, to)| (*from..=*to).contains(&start))
            }
        }
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
