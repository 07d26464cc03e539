//! Replies as bytes, field by field in the order of their numbers, as the generated
//! encoder writes them.

use prost::encoding::{encode_varint, encoded_len_varint};

use crate::domain::Credits;
use crate::domain::pricing::{Card, Quote};

/// A field whose number is below 16, so that its tag is one byte.
const fn tag(number: u8, wire_type: u8) -> u8 {
    number << 3 | wire_type
}

const LENGTH: u8 = 2;

/// How many bytes a field takes that has so many of its own.
pub(super) fn field_length(length: usize) -> usize {
    let prefix = u64::try_from(length).map_or(10, encoded_len_varint);
    length.saturating_add(prefix).saturating_add(1)
}

/// A text; one without characters is left out.
fn text_length(text: &str) -> usize {
    match text.len() {
        0 => 0,
        length => field_length(length),
    }
}

/// Writes the head of a field with so many bytes.
pub(super) fn put_head(number: u8, length: usize, into: &mut Vec<u8>) {
    into.push(tag(number, LENGTH));
    encode_varint(u64::try_from(length).unwrap_or_default(), into);
}

/// Writes a text, unless it is empty.
pub(super) fn put_text(number: u8, text: &str, into: &mut Vec<u8>) {
    if !text.is_empty() {
        put_head(number, text.len(), into);
        into.extend_from_slice(text.as_bytes());
    }
}

/// Writes an amount.
pub(super) fn put_credits(number: u8, credits: Credits, into: &mut Vec<u8>) {
    put_text(number, credits.write_canonical(&mut [0; 24]), into);
}

/// Writes a number, unless it is 0.
pub(super) fn put_number(number: u8, value: u64, into: &mut Vec<u8>) {
    if value != 0 {
        into.push(tag(number, 0));
        encode_varint(value, into);
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
    pub(super) fn put(&self, quote: &Quote<'_>, around: Option<u8>, into: &mut Vec<u8>) -> usize {
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
