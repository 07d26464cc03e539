//! Requests of Estimate, Charge and their batches in their common form, read in place.
//!
//! The common form has no labels and no time, each field, attribute and meter at most once and no
//! unknown field. None stands for everything else and for bytes that are no message: the
//! generated decoder reads those.

use bumpalo::Bump;
use prost::encoding::decode_varint;

use crate::domain::names::PAIRS_MAX;
use crate::domain::pricing::{Given, Pair, PairList, PairsRef, Usage};
use crate::rpc::codec::count_items;
use crate::rpc::convert::given_from_parts;
use crate::rpc::convert::pricing::{EstimateParts, PricesParts};
use crate::rpc::convert::write::{ChargeParts, Work};

/// The tag of an item: a message that is field 1.
const ITEM: u8 = 0x0a;

/// An `EstimateRequest`; `room` is for attributes and meters.
#[must_use]
pub fn estimate<'a>(bytes: &'a [u8], room: &'a Bump) -> Option<EstimateParts<'a>> {
    let mut parts = EstimateParts::default();
    each_field(bytes, |number, value| {
        match number {
            1 => parts.usage = Some(usage(value.bytes()?, room)?),
            2 => parts.prices = prices(value.bytes()?)?,
            3 => parts.explain = value.integer()? != 0,
            4 => parts.check_balance = value.integer()? != 0,
            _ => return None,
        }
        Some(())
    })?;
    Some(parts)
}

/// The usages of a `BatchEstimateRequest`, and the bytes of its other fields. None also for
/// items behind other fields and for more than `length_max` of them.
#[must_use]
pub fn usages<'a>(
    bytes: &'a [u8],
    length_max: usize,
    room: &'a Bump,
) -> Option<(Vec<Usage<'a>>, &'a [u8])> {
    // Most items take twenty bytes or so.
    let (usages, rest) = items(bytes, 16, length_max, |item| usage(item, room))?;
    (count_items(rest) == 0).then_some((usages, rest))
}

/// A `ChargeRequest`; `room` is for attributes and meters.
#[must_use]
pub fn charge<'a>(bytes: &'a [u8], room: &'a Bump) -> Option<ChargeParts<'a>> {
    let mut parts = ChargeParts::default();
    each_field(bytes, |number, value| {
        match (number, parts.work) {
            (1, _) => parts.request_id = value.text()?,
            (2, _) => parts.account = value.text()?,
            (3, None) => parts.work = Some(Work::Usage(usage(value.bytes()?, room)?)),
            (4, None) => parts.work = Some(Work::Credits(value.text()?)),
            (5, _) => parts.prices = prices(value.bytes()?)?,
            _ => return None,
        }
        Some(())
    })?;
    Some(parts)
}

/// The charges of a `BatchChargeRequest`, each with the length of its message. None also for
/// more than `length_max` of them.
#[must_use]
pub fn charges<'a>(
    bytes: &'a [u8],
    length_max: usize,
    room: &'a Bump,
) -> Option<Vec<(ChargeParts<'a>, usize)>> {
    // Most items take sixty bytes or so.
    let (charges, rest) = items(bytes, 48, length_max, |item| {
        charge(item, room).map(|parts| (parts, item.len()))
    })?;
    rest.is_empty().then_some(charges)
}

/// The items of a batch with which the message begins, and the bytes of its other fields.
fn items<'a, T>(
    mut bytes: &'a [u8],
    item_bytes: usize,
    length_max: usize,
    read: impl Fn(&'a [u8]) -> Option<T>,
) -> Option<(Vec<T>, &'a [u8])> {
    let expected = bytes.len().checked_div(item_bytes).unwrap_or_default();
    let mut items = Vec::with_capacity(expected.min(length_max));
    while let Some((&ITEM, rest)) = bytes.split_first() {
        bytes = rest;
        if items.len() >= length_max {
            return None;
        }
        items.push(read(take_value(2, &mut bytes)?.bytes()?)?);
    }
    Some((items, bytes))
}

fn prices(bytes: &[u8]) -> Option<PricesParts<'_>> {
    let mut parts = PricesParts::default();
    each_field(bytes, |number, value| {
        match number {
            1 => parts.account = value.text()?,
            2 => parts.rate_card = value.text()?,
            3 => parts.revision = value.text()?,
            _ => return None,
        }
        Some(())
    })?;
    Some(parts)
}

/// A usage before its fields.
const NOTHING: Usage<'static> = Usage {
    service: "",
    quantity: Given::Nothing,
    attributes: PairsRef::Nothing,
    meters: PairsRef::Nothing,
};

/// Most usages have no attributes and no meters: only one that has is read the longer way.
fn usage<'a>(bytes: &'a [u8], room: &'a Bump) -> Option<Usage<'a>> {
    let mut usage = NOTHING;
    let mut has_pairs = false;
    let read = each_field(bytes, |number, value| {
        has_pairs = matches!(number, 4 | 5);
        usage_field(&mut usage, number, value)
    });
    match has_pairs {
        true => usage_with_pairs(bytes, room),
        false => read.map(|()| usage),
    }
}

#[inline]
fn usage_field<'a>(usage: &mut Usage<'a>, number: u8, value: Value<'a>) -> Option<()> {
    match (number, usage.quantity) {
        (1, _) => usage.service = value.text()?,
        (2, Given::Nothing) => usage.quantity = duration(value.bytes()?)?,
        (3, Given::Nothing) => usage.quantity = Given::Count(value.integer()?),
        _ => return None,
    }
    Some(())
}

#[inline(never)]
fn usage_with_pairs<'a>(bytes: &'a [u8], room: &'a Bump) -> Option<Usage<'a>> {
    let mut usage = NOTHING;
    let (mut attributes, mut meters) = (Taken::new(), Taken::new());
    each_field_or_repeated::<{ 1 << 4 | 1 << 5 }>(bytes, |number, value| match number {
        4 => attributes.push(pair(value.bytes()?)?),
        5 => meters.push(pair(value.bytes()?)?),
        _ => usage_field(&mut usage, number, value),
    })?;
    usage.attributes = attributes.into_room(room)?;
    usage.meters = meters.into_room(room)?;
    Some(usage)
}

/// Pairs in the order in which they were sent. More than are allowed are not in the common form.
struct Taken<'a> {
    pairs: [Pair<'a>; PAIRS_MAX],
    length: usize,
}

impl<'a> Taken<'a> {
    const fn new() -> Self {
        Self {
            pairs: [("", ""); PAIRS_MAX],
            length: 0,
        }
    }

    fn push(&mut self, pair: Pair<'a>) -> Option<()> {
        *self.pairs.get_mut(self.length)? = pair;
        self.length = self.length.saturating_add(1);
        Some(())
    }

    /// None where two have the same name.
    fn into_room(self, room: &'a Bump) -> Option<PairsRef<'a>> {
        if self.length == 0 {
            return Some(PairsRef::Nothing);
        }
        let pairs = room.alloc_slice_copy(self.pairs.get(..self.length)?);
        let list = PairList::sorted(pairs)?;
        Some(PairsRef::List(room.alloc(list)))
    }
}

/// An entry of a map.
fn pair(bytes: &[u8]) -> Option<Pair<'_>> {
    let (mut name, mut text) = ("", "");
    each_field(bytes, |number, value| {
        match number {
            1 => name = value.text()?,
            2 => text = value.text()?,
            _ => return None,
        }
        Some(())
    })?;
    Some((name, text))
}

fn duration(bytes: &[u8]) -> Option<Given> {
    let (mut seconds, mut nanos) = (0_i64, 0_i32);
    each_field(bytes, |number, value| {
        match number {
            1 => seconds = value.integer()?,
            // The generated decoder truncates what does not fit.
            2 => nanos = i32::try_from(value.integer()?).ok()?,
            _ => return None,
        }
        Some(())
    })?;
    Some(given_from_parts(seconds, nanos))
}

/// A field's value.
#[derive(Clone, Copy)]
enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    const fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Varint(_) => None,
        }
    }

    fn text(self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    const fn integer(self) -> Option<i64> {
        match self {
            Self::Varint(value) => Some(value.cast_signed()),
            Self::Bytes(_) => None,
        }
    }
}

/// Calls `take` with each field of a message. None where a field stands there twice.
fn each_field<'a>(bytes: &'a [u8], take: impl FnMut(u8, Value<'a>) -> Option<()>) -> Option<()> {
    each_field_or_repeated::<0>(bytes, take)
}

/// The same of a message with fields that may stand there more than once: their bits.
fn each_field_or_repeated<'a, const REPEATED: u32>(
    mut bytes: &'a [u8],
    mut take: impl FnMut(u8, Value<'a>) -> Option<()>,
) -> Option<()> {
    let mut numbers = 0_u32;
    // A number below 16 and its wire type fit into a byte.
    while let Some((&tag @ ..0x80, rest)) = bytes.split_first() {
        bytes = rest;
        let number = tag >> 3;
        let bit = 1_u32.checked_shl(u32::from(number))?;
        if number == 0 || numbers & bit & !REPEATED != 0 {
            return None;
        }
        numbers |= bit;
        take(number, take_value(tag & 7, &mut bytes)?)?;
    }
    bytes.is_empty().then_some(())
}

fn take_value<'a>(wire_type: u8, bytes: &mut &'a [u8]) -> Option<Value<'a>> {
    let number = decode_varint(bytes).ok()?;
    match wire_type {
        0 => Some(Value::Varint(number)),
        2 => {
            let length = usize::try_from(number).ok()?;
            let (value, rest) = bytes.split_at_checked(length)?;
            *bytes = rest;
            Some(Value::Bytes(value))
        }
        _ => None,
    }
}
