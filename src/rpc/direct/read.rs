//! Requests in their common form, read where they lie.
//!
//! The common form has each field at most once, no map, no time and no field that this
//! version does not know. None stands for everything else, also for bytes that are no
//! message: the generated decoder says what they are.

use std::sync::LazyLock;

use prost::encoding::decode_varint;

use crate::domain::pricing::{Given, Pairs, Usage};
use crate::rpc::convert::given_from_parts;
use crate::rpc::convert::pricing::SelectorText;
use crate::rpc::convert::write::{Asked, ChargeText};

/// No attributes and no meters.
static NO_PAIRS: LazyLock<Pairs> = LazyLock::new(Pairs::new);

/// The head of a batch's item: a message that is field 1.
const ITEM: u8 = 0x0a;

/// A field's value.
#[derive(Clone, Copy)]
enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    fn text(self) -> Option<&'a str> {
        match self {
            Self::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            Self::Varint(_) => None,
        }
    }

    const fn message(self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Varint(_) => None,
        }
    }

    const fn varint(self) -> Option<u64> {
        match self {
            Self::Varint(value) => Some(value),
            Self::Bytes(_) => None,
        }
    }

    fn boolean(self) -> Option<bool> {
        self.varint().map(|value| value != 0)
    }
}

/// Hands every field of a message to `take`, which refuses what is not common.
fn each_field<'a>(
    mut bytes: &'a [u8],
    mut take: impl FnMut(u64, Value<'a>) -> Option<()>,
) -> Option<()> {
    // A field's number and its wire type fit into a byte up to number 15.
    let mut seen = 0_u32;
    while let Some((tag, rest)) = bytes.split_first() {
        bytes = rest;
        let number = tag >> 3;
        let bit = 1_u32.checked_shl(u32::from(number))?;
        if *tag >= 0x80 || number == 0 || seen & bit != 0 {
            return None;
        }
        seen |= bit;
        let value = take_value(tag & 7, &mut bytes)?;
        take(u64::from(number), value)?;
    }
    Some(())
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

/// An `EstimateRequest` that asks for nothing but a price.
pub struct EstimateText<'a> {
    /// What to price.
    pub usage: Option<Usage<'a>>,
    /// By which prices.
    pub prices: Option<SelectorText<'a>>,
}

/// An `EstimateRequest` without lines and without a question about a balance.
#[must_use]
pub fn estimate(bytes: &[u8]) -> Option<EstimateText<'_>> {
    let (mut usage, mut prices) = (None, None);
    each_field(bytes, |number, value| {
        match number {
            1 => usage = Some(read_usage(value.message()?)?),
            2 => prices = Some(read_selector(value.message()?)?),
            3 | 4 if value.boolean() == Some(false) => {}
            _ => return None,
        }
        Some(())
    })?;
    Some(EstimateText { usage, prices })
}

/// A `BatchEstimateRequest` that asks for nothing but prices.
pub struct BatchEstimateText<'a> {
    /// What to price.
    pub usages: Vec<Usage<'a>>,
    /// By which prices.
    pub prices: Option<SelectorText<'a>>,
}

/// A `BatchEstimateRequest` of at most `length_max` usages, without lines and without a
/// question about a balance.
#[must_use]
pub fn batch_estimate(mut bytes: &[u8], length_max: usize) -> Option<BatchEstimateText<'_>> {
    // An item takes two bytes at least, and some twenty mostly.
    let expected = bytes.len().checked_div(16).unwrap_or_default();
    let mut usages = Vec::with_capacity(expected.min(length_max));
    while let Some((&ITEM, rest)) = bytes.split_first() {
        bytes = rest;
        if usages.len() >= length_max {
            return None;
        }
        usages.push(read_usage(take_value(2, &mut bytes)?.message()?)?);
    }
    let mut prices = None;
    // Items stand before everything else where a program wrote them.
    each_field(bytes, |number, value| {
        match number {
            2 => prices = Some(read_selector(value.message()?)?),
            3 | 4 if value.boolean() == Some(false) => {}
            _ => return None,
        }
        Some(())
    })?;
    Some(BatchEstimateText { usages, prices })
}

/// A `ChargeRequest` without labels.
#[must_use]
pub fn charge(bytes: &[u8]) -> Option<ChargeText<'_>> {
    let mut text = ChargeText::default();
    each_field(bytes, |number, value| {
        match (number, text.what) {
            (1, _) => text.request_id = value.text()?,
            (2, _) => text.account = value.text()?,
            (3, Asked::Nothing) => text.what = Asked::Usage(read_usage(value.message()?)?),
            (4, Asked::Nothing) => text.what = Asked::Credits(value.text()?),
            (5, _) => text.prices = Some(read_selector(value.message()?)?),
            _ => return None,
        }
        Some(())
    })?;
    Some(text)
}

/// A `BatchChargeRequest` of at most `length_max` charges without labels.
#[must_use]
pub fn batch_charge(mut bytes: &[u8], length_max: usize) -> Option<Vec<ChargeText<'_>>> {
    // A charge takes some sixty bytes mostly.
    let expected = bytes.len().checked_div(48).unwrap_or_default();
    let mut charges = Vec::with_capacity(expected.min(length_max));
    while let Some((&ITEM, rest)) = bytes.split_first() {
        bytes = rest;
        if charges.len() >= length_max {
            return None;
        }
        charges.push(charge(take_value(2, &mut bytes)?.message()?)?);
    }
    bytes.is_empty().then_some(charges)
}

fn read_usage(bytes: &[u8]) -> Option<Usage<'_>> {
    let mut service = "";
    let mut quantity = Given::Nothing;
    each_field(bytes, |number, value| {
        match (number, quantity) {
            (1, _) => service = value.text()?,
            (2, Given::Nothing) => quantity = read_duration(value.message()?)?,
            (3, Given::Nothing) => quantity = Given::Count(value.varint()?.cast_signed()),
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

fn read_duration(bytes: &[u8]) -> Option<Given> {
    let (mut seconds, mut nanos) = (0_i64, 0_i32);
    each_field(bytes, |number, value| {
        let value = value.varint()?.cast_signed();
        match number {
            1 => seconds = value,
            // What does not fit is cut by the generated decoder.
            2 => nanos = i32::try_from(value).ok()?,
            _ => return None,
        }
        Some(())
    })?;
    Some(given_from_parts(seconds, nanos))
}

fn read_selector(bytes: &[u8]) -> Option<SelectorText<'_>> {
    let mut text = SelectorText::default();
    each_field(bytes, |number, value| {
        match number {
            1 => text.account = value.text()?,
            2 => text.rate_card = value.text()?,
            3 => text.revision = value.text()?,
            _ => return None,
        }
        Some(())
    })?;
    Some(text)
}
