//! Usages of a BatchEstimate, read in place.

use std::sync::LazyLock;

use prost::encoding::decode_varint;

use crate::domain::pricing::{Given, Pairs, Usage};
use crate::rpc::codec::count_items;
use crate::rpc::convert::given_from_parts;

/// No attributes and no meters.
static NO_PAIRS: LazyLock<Pairs> = LazyLock::new(Pairs::new);

/// The tag of an item: a message that is field 1.
const ITEM: u8 = 0x0a;

/// The usages of a `BatchEstimateRequest`, and the bytes of its other fields.
///
/// None for everything that only the generated decoder reads: a usage with a map, with a field
/// twice or with an unknown field, items behind other fields, more than `length_max` of them,
/// and bytes that are no message.
#[must_use]
pub fn usages(mut bytes: &[u8], length_max: usize) -> Option<(Vec<Usage<'_>>, &[u8])> {
    // Most items take twenty bytes or so.
    let expected = bytes.len().checked_div(16).unwrap_or_default();
    let mut usages = Vec::with_capacity(expected.min(length_max));
    while let Some((&ITEM, rest)) = bytes.split_first() {
        bytes = rest;
        if usages.len() >= length_max {
            return None;
        }
        usages.push(usage(take_value(2, &mut bytes)?.bytes()?)?);
    }
    (count_items(bytes) == 0).then_some((usages, bytes))
}

fn usage(bytes: &[u8]) -> Option<Usage<'_>> {
    let mut service = "";
    let mut quantity = Given::Nothing;
    each_field(bytes, |number, value| {
        match (number, quantity) {
            (1, _) => service = std::str::from_utf8(value.bytes()?).ok()?,
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
