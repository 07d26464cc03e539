//! Requests of Estimate, Charge and their batches in their common form, read in place.
//!
//! The common form has no map and no time, each field at most once and no unknown field. None
//! stands for everything else and for bytes that are no message: the generated decoder reads
//! those.

use std::sync::LazyLock;

use prost::encoding::decode_varint;

use crate::domain::pricing::{Given, Pairs, Usage};
use crate::rpc::codec::count_items;
use crate::rpc::convert::given_from_parts;
use crate::rpc::convert::pricing::{EstimateParts, PricesParts};
use crate::rpc::convert::write::{ChargeParts, Work};

/// No attributes and no meters.
static NO_PAIRS: LazyLock<Pairs> = LazyLock::new(Pairs::new);

/// The tag of an item: a message that is field 1.
const ITEM: u8 = 0x0a;

/// An `EstimateRequest`.
#[must_use]
pub fn estimate(bytes: &[u8]) -> Option<EstimateParts<'_>> {
    let mut parts = EstimateParts::default();
    each_field(bytes, |number, value| {
        match number {
            1 => parts.usage = Some(usage(value.bytes()?)?),
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
pub fn usages(bytes: &[u8], length_max: usize) -> Option<(Vec<Usage<'_>>, &[u8])> {
    // Most items take twenty bytes or so.
    let (usages, rest) = items(bytes, 16, length_max, usage)?;
    (count_items(rest) == 0).then_some((usages, rest))
}

/// A `ChargeRequest`.
#[must_use]
pub fn charge(bytes: &[u8]) -> Option<ChargeParts<'_>> {
    let mut parts = ChargeParts::default();
    each_field(bytes, |number, value| {
        match (number, parts.work) {
            (1, _) => parts.request_id = value.text()?,
            (2, _) => parts.account = value.text()?,
            (3, None) => parts.work = Some(Work::Usage(usage(value.bytes()?)?)),
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
pub fn charges(bytes: &[u8], length_max: usize) -> Option<Vec<(ChargeParts<'_>, usize)>> {
    // Most items take sixty bytes or so.
    let (charges, rest) = items(bytes, 48, length_max, |item| {
        charge(item).map(|parts| (parts, item.len()))
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

fn usage(bytes: &[u8]) -> Option<Usage<'_>> {
    let mut service = "";
    let mut quantity = Given::Nothing;
    each_field(bytes, |number, value| {
        match (number, quantity) {
            (1, _) => service = value.text()?,
            (2, Given::Nothing) => quantity = duration(value.bytes()?)?,
            (3, Given::Nothing) => quantity = Given::Count(value.integer()?),
            _ => return None,
        }
        Some(())
    })?;
    Some(Usage {
        service,
        quantity,
        attributes: &NO_PAIRS,
        meters: &NO_PAIRS,
    })
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
fn each_field<'a>(
    mut bytes: &'a [u8],
    mut take: impl FnMut(u8, Value<'a>) -> Option<()>,
) -> Option<()> {
    let mut numbers = 0_u32;
    // A number below 16 and its wire type fit into a byte.
    while let Some((&tag @ ..0x80, rest)) = bytes.split_first() {
        bytes = rest;
        let number = tag >> 3;
        let bit = 1_u32.checked_shl(u32::from(number))?;
        if number == 0 || numbers & bit != 0 {
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
