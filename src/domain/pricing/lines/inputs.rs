//! What a usage brings: found by name, read and checked, in one pass over what was sent.

use super::number::Number;
use super::program::Program;
use super::ratio::Ratio;
use super::run::Inputs;
use super::spec::AttributeSpec;
use crate::domain::names::repeated;
use crate::domain::pricing::context::PriceContext;
use crate::domain::pricing::index::ByName;
use crate::domain::pricing::usage::{Given, Usage};
use crate::domain::violation::{FieldViolations, Violation};

/// The values of an attribute, by their words.
type Values = ByName<Box<str>, u16>;

/// Names of a service, and what holds where a usage does not bring something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// Names of meters, by slot, sorted.
    meters: Box<[Box<str>]>,
    /// The slots of the meters that come in fields of their own.
    duration: Option<usize>,
    count: Option<usize>,
    /// What meters are where they are not sent.
    meter_defaults: Box<[Option<i128>]>,
    /// Names of attributes, sorted, and their values.
    attributes: Box<[(Box<str>, Values)]>,
    /// What attributes are where they are not sent.
    attribute_defaults: Box<[Option<u16>]>,
    /// Positions of attributes that callers cannot send.
    not_sent: Box<[usize]>,
}

impl Index {
    /// The index of these meters, which have the first slots, and attributes.
    pub fn of(
        meters: impl Iterator<Item = (Box<str>, Option<i128>)>,
        attributes: &[(Box<str>, AttributeSpec)],
    ) -> Self {
        let (names, defaults): (Vec<_>, Vec<_>) = meters.unzip();
        let mut values = Vec::with_capacity(attributes.len());
        let mut attribute_defaults = Vec::with_capacity(attributes.len());
        let sources = attributes.iter().enumerate();
        let not_sent = sources.filter(|(_, (_, spec))| !spec.source.is_caller());
        let not_sent = not_sent.map(|(position, _)| position).collect();
        for (name, spec) in attributes {
            let by_name: ByName<_, _> = spec.values.iter().cloned().zip(0_u16..).collect();
            let default = spec.default.as_ref();
            attribute_defaults.push(default.and_then(|word| by_name.get(word).copied()));
            values.push((name.clone(), by_name));
        }
        let slot = |meter: &str| names.iter().position(|name| **name == *meter);
        Self {
            duration: slot("duration"),
            count: slot("count"),
            meters: names.into(),
            meter_defaults: defaults.into(),
            attributes: values.into(),
            attribute_defaults: attribute_defaults.into(),
            not_sent,
        }
    }

    /// The meters that a usage brings in its map of them.
    fn meters_in_map(&self) -> Vec<&str> {
        let meters = self.meters.iter().map(|name| &**name);
        meters.filter(|name| !is_field(name)).collect()
    }

    /// The attributes that a usage brings.
    fn attributes_sent(&self) -> Vec<&str> {
        let attributes = self.attributes.iter().enumerate();
        let sent = attributes.filter(|(position, _)| !self.not_sent.contains(position));
        sent.map(|(_, (name, _))| &**name).collect()
    }

    /// Whether a usage brings all attributes.
    pub fn all_are_sent(&self) -> bool {
        self.not_sent.is_empty()
    }
}

impl Program {
    /// Finds what the usage brings. What is wrong with it is added; it then has no price.
    pub fn read_inputs(
        &self,
        service: &str,
        usage: &Usage<'_>,
        context: &PriceContext<'_>,
        inputs: &mut Inputs<'_>,
        violations: &mut FieldViolations,
    ) {
        let mut reader = Reader {
            program: self,
            service,
            inputs,
            sent_meters: 0,
            sent_attributes: 0,
        };
        reader.quantity(usage.quantity, violations);
        reader.meters(usage, violations);
        reader.attributes(usage, violations);
        reader.context(context, violations);
        reader.defaults(violations);
    }
}

struct Reader<'a, 'slots> {
    program: &'a Program,
    service: &'a str,
    inputs: &'a mut Inputs<'slots>,
    /// Bits by slot and by position.
    sent_meters: u32,
    sent_attributes: u32,
}

impl Reader<'_, '_> {
    /// Usage.duration or Usage.count.
    fn quantity(&mut self, given: Given, violations: &mut FieldViolations) {
        let index = &self.program.index;
        let (duration, count) = (("duration", index.duration), ("count", index.count));
        let ((name, slot), (other, other_slot), value) = match given {
            Given::Nothing => return,
            Given::Duration(nanos) => (duration, count, nanos),
            Given::Count(pieces) => (count, duration, i128::from(pieces)),
            Given::NoDuration { .. } => (duration, count, 0),
        };
        if slot.is_none() {
            // The other one is then not missed as well: they share a field.
            self.sent_meters |= other_slot.map_or(0, bit);
        }
        // What is wrong with it for every service is known before.
        if given.violation().is_some() {
            self.sent_meters |= slot.map_or(0, bit);
            return;
        }
        let Some(slot) = slot else {
            let violation = Violation::WrongQuantity {
                service: self.service.into(),
                meter: other_slot.map_or("meters", |_| other).into(),
            };
            return violations.add(name, violation);
        };
        self.set(slot, value, name, violations);
    }

    fn meters(&mut self, usage: &Usage<'_>, violations: &mut FieldViolations) {
        let index = &self.program.index;
        let mut unknown: Option<&str> = None;
        let mut slots = Sorted::new(&index.meters);
        for (name, text) in usage.meters.iter() {
            let slot = slots.find(name, |known| known).filter(|_| !is_field(name));
            let Some(slot) = slot else {
                unknown.get_or_insert(name);
                continue;
            };
            let number = self.program.number(slot);
            let value = number.and_then(|number| grains(number, text));
            match value {
                Some(value) => self.set(slot, value, name, violations),
                None => {
                    self.sent_meters |= bit(slot);
                    let value = repeated(text);
                    let violation = Violation::InvalidMeter { value };
                    violations.add(field_of(name), violation);
                }
            }
        }
        if let Some(meter) = unknown
            && !violations.has("meters")
        {
            let violation = Violation::UnknownMeter {
                meter: repeated(meter),
                service: self.service.into(),
                known: index.meters_in_map().join(", ").into(),
            };
            violations.add("meters", violation);
        }
    }

    fn set(&mut self, slot: usize, value: i128, name: &str, violations: &mut FieldViolations) {
        self.sent_meters |= bit(slot);
        if let Some(place) = self.inputs.slots.get_mut(slot) {
            *place = value;
        }
        let Some(number) = self.program.number(slot) else {
            return;
        };
        let text = |grains| number.text(grains).into();
        let service = || self.service.into();
        let violation = if value > number.last {
            Violation::QuantityTooLarge {
                service: service(),
                value: text(value),
                limit: text(number.last),
            }
        } else if value < number.first {
            Violation::QuantityTooSmall {
                service: service(),
                value: text(value),
                limit: text(number.first),
            }
        } else {
            return;
        };
        violations.add(field_of(name), violation);
    }

    fn attributes(&mut self, usage: &Usage<'_>, violations: &mut FieldViolations) {
        let mut unknown: Option<(&str, bool)> = None;
        let index = &self.program.index;
        let mut positions = Sorted::new(&index.attributes);
        for (name, word) in usage.attributes.iter() {
            let position = positions.find(name, |(known, _)| known);
            let is_sent = |position: &usize| !index.not_sent.contains(position);
            let Some(position) = position.filter(is_sent) else {
                unknown.get_or_insert((name, position.is_some()));
                continue;
            };
            self.sent_attributes |= bit(position);
            let attribute = index.attributes.get(position);
            let value = attribute.and_then(|(_, values)| values.get(word));
            match (value, self.inputs.attributes.get_mut(position)) {
                (Some(value), Some(place)) => *place = *value,
                _ => {
                    let spec = self.program.spec.attributes.get(name);
                    let values = spec.map_or(&[][..], |spec| &spec.values);
                    let violation = Violation::UnknownAttributeValue {
                        attribute: name.into(),
                        value: repeated(word),
                        values: values.join(", ").into(),
                        service: self.service.into(),
                    };
                    violations.add(format!("attributes.{name}"), violation);
                }
            }
        }
        if let Some((attribute, is_known)) = unknown
            && !violations.has("attributes")
        {
            let (attribute, service) = (repeated(attribute), self.service.into());
            let violation = match is_known {
                true => Violation::AttributeNotSent { attribute, service },
                false => Violation::UnknownAttribute {
                    attribute,
                    service,
                    known: index.attributes_sent().join(", ").into(),
                },
            };
            violations.add("attributes", violation);
        }
    }

    /// What the account and the clock say.
    fn context(&mut self, context: &PriceContext<'_>, violations: &mut FieldViolations) {
        let index = &self.program.index;
        for position in &index.not_sent {
            self.sent_attributes |= bit(*position);
            let Some((name, values)) = index.attributes.get(*position) else {
                continue;
            };
            let Some(spec) = self.program.spec.attributes.get(name) else {
                continue;
            };
            let word = context.value(name, spec).unwrap_or_default();
            match (values.get(word), self.inputs.attributes.get_mut(*position)) {
                (Some(value), Some(place)) => *place = *value,
                _ => {
                    let violation = unknown_account_value(name, word, spec, self.service);
                    violations.add(format!("attributes.{name}"), violation);
                }
            }
        }
    }

    /// What was not sent is its default, or missing.
    fn defaults(&mut self, violations: &mut FieldViolations) {
        let index = &self.program.index;
        for (slot, default) in index.meter_defaults.iter().enumerate() {
            if self.sent_meters & bit(slot) != 0 {
                continue;
            }
            match (default, self.inputs.slots.get_mut(slot)) {
                (Some(default), Some(place)) => *place = *default,
                _ => {
                    let name = index.meters.get(slot).map_or("", |name| name);
                    violations.add(field_of(name), Violation::Required);
                }
            }
        }
        for (position, default) in index.attribute_defaults.iter().enumerate() {
            if self.sent_attributes & bit(position) != 0 {
                continue;
            }
            match (default, self.inputs.attributes.get_mut(position)) {
                (Some(default), Some(place)) => *place = *default,
                _ => {
                    let attribute = index.attributes.get(position);
                    let name = attribute.map_or("", |(name, _)| name);
                    violations.add(format!("attributes.{name}"), Violation::Required);
                }
            }
        }
    }
}

/// The account has a value that the card does not list.
pub fn unknown_account_value(
    name: &str,
    word: &str,
    spec: &AttributeSpec,
    service: &str,
) -> Violation {
    Violation::UnknownAccountValue {
        attribute: name.into(),
        value: repeated(word),
        values: spec.values.join(", ").into(),
        service: service.into(),
    }
}

/// Finds names in a sorted list, one after the other in their order: what a usage brings is
/// sorted too, so that no name is hashed.
struct Sorted<'a, T> {
    list: &'a [T],
    at: usize,
}

impl<'a, T> Sorted<'a, T> {
    const fn new(list: &'a [T]) -> Self {
        Self { list, at: 0 }
    }

    /// The position of a name, which comes after those that were looked for before.
    fn find(&mut self, name: &str, name_of: impl Fn(&T) -> &Box<str>) -> Option<usize> {
        loop {
            let known = self.list.get(self.at)?;
            match (**name_of(known)).cmp(name) {
                std::cmp::Ordering::Less => self.at = self.at.saturating_add(1),
                std::cmp::Ordering::Equal => return Some(self.at),
                std::cmp::Ordering::Greater => return None,
            }
        }
    }
}

/// The field of a usage in which a meter comes.
fn field_of(name: &str) -> String {
    match is_field(name) {
        true => name.to_owned(),
        false => format!("meters.{name}"),
    }
}

/// Whether a meter comes in a field of its own.
fn is_field(name: &str) -> bool {
    matches!(name, "duration" | "count")
}

const fn bit(position: usize) -> u32 {
    match position {
        0..32 => 1 << position,
        _ => 0,
    }
}

/// Texts up to this length are numbers that 64 bits hold.
const SHORT_BYTES_MAX: usize = 19;

/// A meter's text in grains: digits, and at most as many decimals as it has.
fn grains(number: &Number, text: &str) -> Option<i128> {
    if text.len() > SHORT_BYTES_MAX {
        return long_grains(number, text);
    }
    let mut digits = 0_u64;
    let mut point = None;
    for (at, byte) in text.bytes().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            // No 19 digits overflow.
            digits = digits.wrapping_mul(10).wrapping_add(u64::from(digit));
        } else if byte == b'.' && point.is_none() && at > 0 {
            point = Some(at);
        } else {
            return None;
        }
    }
    let decimals = match point {
        None if text.is_empty() => return None,
        None => 0,
        // A point stands between digits.
        Some(at) => match text.len().checked_sub(at)?.checked_sub(1)? {
            0 => return None,
            decimals => u32::try_from(decimals).ok()?,
        },
    };
    match number.decimals.checked_sub(decimals)? {
        0 => Some(digits.into()),
        missing => i128::from(digits).checked_mul(10_i128.checked_pow(missing)?),
    }
}

/// The same for a number of more digits than 64 bits hold.
fn long_grains(number: &Number, text: &str) -> Option<i128> {
    let units = Ratio::parse(text)?;
    let decimals = text
        .split_once('.')
        .map_or(0, |(_, fraction)| fraction.len());
    if decimals > usize::try_from(number.decimals).ok()? {
        return None;
    }
    units.over(number.grain).map(Ratio::floor)
}

/// A meter's default in grains.
pub fn default_grains(default: Option<Ratio>, number: &Number) -> Option<i128> {
    default?.over(number.grain).map(Ratio::floor)
}
