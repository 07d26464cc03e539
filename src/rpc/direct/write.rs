//! Replies as bytes, field by field in the order of their numbers, as the generated
//! encoder writes them.

use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

use crate::domain::ledger::{AccountId, CHECK_LENGTH};
use crate::domain::pricing::{Card, Quote};
use crate::domain::{AccountName, Credits};

/// How many bytes a field takes that has so many of its own; its number is below 16.
pub(super) fn field_length(length: usize) -> usize {
    let prefix = u64::try_from(length).map_or(10, encoded_len_varint);
    length.saturating_add(prefix).saturating_add(1)
}

/// The same of a text; one without characters is left out.
fn text_length(text: &str) -> usize {
    match text.len() {
        0 => 0,
        length => field_length(length),
    }
}

/// Writes the head of a field with so many bytes.
pub(super) fn put_head(number: u32, length: usize, into: &mut Vec<u8>) {
    if let (Ok(number @ ..16), Ok(length @ ..0x80)) = (u8::try_from(number), u8::try_from(length)) {
        // Nearly always both take a byte; 2 is the wire type.
        into.extend_from_slice(&[number << 3 | 2, length]);
        return;
    }
    encode_key(number, WireType::LengthDelimited, into);
    encode_varint(u64::try_from(length).unwrap_or_default(), into);
}

/// Writes a message, which `put` writes without its head.
pub(super) fn put_message(number: u32, into: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
    // Most are so short that their length is one byte; the others are moved a little.
    put_head(number, 0, into);
    let before = into.len();
    put(into);
    let length = into.len().saturating_sub(before);
    let at = before.saturating_sub(1);
    match (u8::try_from(length), into.get_mut(at)) {
        (Ok(short @ ..0x80), Some(place)) => *place = short,
        _ => {
            let mut head = Vec::with_capacity(10);
            encode_varint(u64::try_from(length).unwrap_or_default(), &mut head);
            into.splice(at..before, head);
        }
    }
}

/// Writes a text, unless it is empty.
#[inline]
pub(super) fn put_text(number: u32, text: &str, into: &mut Vec<u8>) {
    if !text.is_empty() {
        put_head(number, text.len(), into);
        into.extend_from_slice(text.as_bytes());
    }
}

/// Writes an amount.
pub(super) fn put_credits(number: u32, credits: Credits, into: &mut Vec<u8>) {
    put_text(number, credits.write_canonical(&mut [0; 24]), into);
}

/// Writes an id: a letter, a number, a dash and the check characters.
pub(super) fn put_id<T: AccountId>(number: u32, id: T, account: &AccountName, into: &mut Vec<u8>) {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(id.number());
    let length = digits.len().saturating_add(CHECK_LENGTH).saturating_add(2);
    put_head(number, length, into);
    into.extend(u8::try_from(T::LETTER));
    into.extend_from_slice(digits.as_bytes());
    into.push(b'-');
    into.extend_from_slice(&id.check(account));
}

/// Writes a number, unless it is 0.
pub(super) fn put_number(number: u32, value: i64, into: &mut Vec<u8>) {
    if value != 0 {
        encode_key(number, WireType::Varint, into);
        encode_varint(value.cast_unsigned(), into);
    }
}

/// Writes estimates by one card: what is the same in all of them is kept.
pub(super) struct EstimateWriter {
    /// The card's name and revision, as every estimate ends.
    tail: Vec<u8>,
}

impl EstimateWriter {
    pub(super) fn new(card: &Card) -> Self {
        let mut tail = Vec::with_capacity(64);
        put_text(4, card.name(), &mut tail);
        put_text(5, card.revision().as_str(), &mut tail);
        Self { tail }
    }

    /// Writes an `Estimate` as field 1 of a message around it, which is field `around` of
    /// another where that is given. How many bytes that message has.
    pub(super) fn put(&self, quote: &Quote<'_>, around: Option<u32>, into: &mut Vec<u8>) -> usize {
        let (mut credits, mut shown) = ([0; 24], [0; 24]);
        let credits = quote.credits().write_canonical(&mut credits);
        let shown = quote.shown().write_canonical(&mut shown);
        let service = &*quote.service().key;
        let length = [service, credits, shown]
            .into_iter()
            .map(text_length)
            .fold(self.tail.len(), usize::saturating_add);
        let message = field_length(length);
        if let Some(around) = around {
            put_head(around, message, into);
        }
        put_head(1, length, into);
        put_text(1, service, into);
        put_text(2, credits, into);
        put_text(3, shown, into);
        into.extend_from_slice(&self.tail);
        message
    }
}
