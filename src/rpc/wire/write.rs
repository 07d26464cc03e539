//! Replies of Estimate, Charge and their batches, written field by field in the order of their
//! numbers, as the generated encoder writes them.

use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

use crate::app::Written;
use crate::domain::Credits;
use crate::domain::keys::KeyId;
use crate::domain::ledger::{AccountId as _, Entry, EntryKind, GrantShare};
use crate::domain::pricing::{Given, PriceTerms, Pricing, Quote};
use crate::rpc::batch::batch_item_to_pb;
use crate::rpc::convert::{duration_to_pb, timestamp_to_pb};
use crate::rpc::pb::creditd::v1 as pb;

/// Writes a message that `put` writes without its length. Returns its length.
pub(in crate::rpc) fn put_message(
    number: u32,
    into: &mut Vec<u8>,
    put: impl FnOnce(&mut Vec<u8>),
) -> usize {
    // Most lengths are one byte. Room for it is made first, and a longer one moves the message.
    put_tag(number, 0, into);
    let start = into.len();
    put(into);
    let length = into.len().saturating_sub(start);
    let at = start.saturating_sub(1);
    match (u8::try_from(length), into.get_mut(at)) {
        (Ok(short @ ..0x80), Some(byte)) => *byte = short,
        _ => {
            let mut varint = [0_u8; 10];
            let mut unused = varint.as_mut_slice();
            encode_varint(u64::try_from(length).unwrap_or_default(), &mut unused);
            let size = 10_usize.saturating_sub(unused.len());
            let (varint, _) = varint.split_at(size);
            let (end, more) = (into.len(), size.saturating_sub(1));
            into.resize(end.saturating_add(more), 0);
            into.copy_within(start..end, start.saturating_add(more));
            if let Some(head) = into.get_mut(at..start.saturating_add(more)) {
                head.copy_from_slice(varint);
            }
        }
    }
    length
}

/// Writes the fields of a generated message.
pub(in crate::rpc) fn put_fields(message: &impl Message, into: &mut Vec<u8>) {
    // A vector has room for everything.
    let _ = message.encode(into);
}

/// Writes the tag and the length of a field.
fn put_tag(number: u32, length: usize, into: &mut Vec<u8>) {
    if let (Ok(number @ ..16), Ok(length @ ..0x80)) = (u8::try_from(number), u8::try_from(length)) {
        // Nearly always each takes a byte; 2 is the wire type.
        into.extend_from_slice(&[number << 3 | 2, length]);
        return;
    }
    encode_key(number, WireType::LengthDelimited, into);
    encode_varint(u64::try_from(length).unwrap_or_default(), into);
}

#[inline]
fn put_text(number: u32, text: &str, into: &mut Vec<u8>) {
    if !text.is_empty() {
        put_tag(number, text.len(), into);
        into.extend_from_slice(text.as_bytes());
    }
}

fn put_credits(number: u32, credits: Credits, into: &mut Vec<u8>) {
    put_text(number, credits.write_canonical(&mut [0; 24]), into);
}

fn put_integer(number: u32, value: i64, into: &mut Vec<u8>) {
    if value != 0 {
        put_present(number, value, into);
    }
}

/// Writes a number that stands there also where it is 0.
fn put_present(number: u32, value: i64, into: &mut Vec<u8>) {
    prost::encoding::int64::encode(number, &value, into);
}

/// Writes estimates by the same terms.
pub struct EstimateWriter<'a> {
    terms: &'a PriceTerms<'a>,
    account_known: bool,
    /// The name and the revision of the card, as most estimates have them.
    card: Vec<u8>,
}

impl<'a> EstimateWriter<'a> {
    /// A writer for estimates by these terms.
    #[must_use]
    pub fn new(terms: &'a PriceTerms<'a>, account_known: bool) -> Self {
        let mut card = Vec::with_capacity(64);
        put_text(4, terms.card().name(), &mut card);
        put_text(5, terms.card().revision().as_str(), &mut card);
        Self {
            terms,
            account_known,
            card,
        }
    }

    /// Writes the fields of an `Estimate` without lines.
    pub fn put(&self, quote: &Quote<'_>, into: &mut Vec<u8>) {
        if !self.terms.all_are_sent(quote) {
            put_estimate(self.terms, quote, self.account_known, into);
            return;
        }
        put_quote(quote, into);
        into.extend_from_slice(&self.card);
        put_integer(7, i64::from(self.account_known), into);
    }
}

/// Writes the fields of one `Estimate` without lines.
pub fn put_estimate(
    terms: &PriceTerms<'_>,
    quote: &Quote<'_>,
    account_known: bool,
    into: &mut Vec<u8>,
) {
    put_quote(quote, into);
    put_text(4, terms.card().name(), into);
    put_text(5, &terms.revision(quote), into);
    put_integer(7, i64::from(account_known), into);
}

fn put_quote(quote: &Quote<'_>, into: &mut Vec<u8>) {
    put_text(1, &quote.service().key, into);
    put_credits(2, quote.credits(), into);
    put_credits(3, quote.shown(), into);
}

/// Writes the fields of a `ChargeResponse`.
pub fn put_charge(written: &Written, into: &mut Vec<u8>) {
    match is_plain(&written.entry) {
        true => {
            let entry = &written.entry;
            put_plain_charge(written, (&entry.shares, entry.key_id.as_ref()), into);
        }
        false => put_fields(&pb::ChargeResponse::from(written), into),
    }
}

/// Writes the same of an item of a batch, whose entry has no grants and no key_id.
pub fn put_batch_item(written: &Written, into: &mut Vec<u8>) {
    match is_plain(&written.entry) {
        true => put_plain_charge(written, (&[], None), into),
        false => put_fields(&batch_item_to_pb(written), into),
    }
}

/// The shares and the key of an entry, as far as a reply shows them.
type Shown<'a> = (&'a [GrantShare], Option<&'a KeyId>);

fn put_plain_charge(written: &Written, shown: Shown<'_>, into: &mut Vec<u8>) {
    put_message(1, into, |into| put_entry(&written.entry, shown, into));
    put_credits(2, written.available, into);
    put_integer(3, i64::from(written.replayed), into);
}

/// Whether the entry is a charge of a usage, priced by the usage alone, or of an amount.
fn is_plain(entry: &Entry) -> bool {
    let has_context = |pricing: &Pricing| !pricing.values.is_empty() || pricing.time.is_some();
    matches!(entry.kind, EntryKind::Charge)
        && entry.hold.is_none()
        && !entry
            .pricing
            .as_ref()
            .is_some_and(|pricing| has_context(pricing))
}

fn put_entry(entry: &Entry, (shares, key_id): Shown<'_>, into: &mut Vec<u8>) {
    put_text(1, entry.id.write(&entry.account, &mut [0; _]), into);
    put_text(2, entry.account.as_str(), into);
    put_integer(3, i64::from(i32::from(pb::EntryKind::Charge)), into);
    put_credits(4, entry.credits, into);
    put_credits(5, entry.available, into);
    put_message(6, into, |into| {
        let time = timestamp_to_pb(entry.create_time);
        put_integer(1, time.seconds, into);
        put_integer(2, i64::from(time.nanos), into);
    });
    if let Some(id) = &entry.request_id {
        put_text(7, id.as_str(), into);
    }
    if let Some(service) = &entry.service {
        put_text(8, service, into);
    }
    if let Some(pricing) = &entry.pricing {
        put_text(9, &pricing.rate_card, into);
        put_text(10, &pricing.revision, into);
    }
    for (key, value) in entry.labels.iter() {
        put_pair(11, key, value, into);
    }
    put_credits(12, entry.spent, into);
    put_credits(13, entry.held, into);
    if let (Some(usage), Some(service)) = (&entry.usage, &entry.service) {
        put_message(14, into, |into| {
            put_text(1, service, into);
            put_quantity(usage.quantity, into);
            for (number, pairs) in [(4, &usage.attributes), (5, &usage.meters)] {
                for (name, text) in pairs {
                    put_pair(number, name, text, into);
                }
            }
        });
    }
    put_integer(18, entry.id.0, into);
    for share in shares {
        put_message(19, into, |into| {
            let grant = share.grant;
            put_text(1, grant.write(&entry.account, &mut [0; _]), into);
            put_credits(2, share.credits, into);
            put_credits(3, share.held, into);
        });
    }
    if let Some(key_id) = key_id {
        put_text(27, key_id.as_str(), into);
    }
}

/// Writes an entry of a map.
fn put_pair(number: u32, key: &str, value: &str, into: &mut Vec<u8>) {
    put_message(number, into, |into| {
        put_text(1, key, into);
        put_text(2, value, into);
    });
}

fn put_quantity(quantity: Given, into: &mut Vec<u8>) {
    match quantity {
        Given::Duration(nanos) => {
            put_message(2, into, |into| {
                let duration = duration_to_pb(nanos);
                put_integer(1, duration.seconds, into);
                put_integer(2, i64::from(duration.nanos), into);
            });
        }
        Given::Count(count) => put_present(3, count, into),
        // What is no duration was never priced.
        Given::Nothing | Given::NoDuration { .. } => {}
    }
}
