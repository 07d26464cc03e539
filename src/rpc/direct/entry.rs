//! What a charge wrote, as bytes.

use prost::Message as _;

use super::write::{put_credits, put_id, put_message, put_number, put_text};
use crate::app::Written;
use crate::domain::Timestamp;
use crate::domain::ledger::{Entry, EntryKind};
use crate::domain::pricing::{Given, UsageRecord};
use crate::rpc::batch::batch_item_to_pb;
use crate::rpc::convert::ledger::charge_response_to_pb;
use crate::rpc::convert::{duration_to_pb, timestamp_to_pb};
use crate::rpc::pb::creditd::v1 as pb;

/// Writes a `ChargeResponse`.
pub fn put_charge_response(written: &Written, into: &mut Vec<u8>) {
    if !is_plain(&written.entry) {
        // A vector has room for everything.
        let _ = charge_response_to_pb(written).encode(into);
        return;
    }
    put_message(1, into, |into| {
        put_charge(&written.entry, into);
        put_shares(&written.entry, into);
    });
    put_rest(written, into);
}

/// Writes the `ChargeResponse` of a batch's item, without the entry's grants.
pub fn put_batch_item(written: &Written, into: &mut Vec<u8>) {
    if !is_plain(&written.entry) {
        let _ = batch_item_to_pb(written).encode(into);
        return;
    }
    put_message(1, into, |into| put_charge(&written.entry, into));
    put_rest(written, into);
}

fn put_rest(written: &Written, into: &mut Vec<u8>) {
    put_credits(2, written.available, into);
    put_number(3, i64::from(written.replayed), into);
}

/// Whether the entry is a charge of a usage without maps, or of an amount.
fn is_plain(entry: &Entry) -> bool {
    let has_maps = |usage: &UsageRecord| !(usage.attributes.is_empty() && usage.meters.is_empty());
    matches!(entry.kind, EntryKind::Charge)
        && entry.hold.is_none()
        && !entry.usage.as_deref().is_some_and(has_maps)
}

/// Writes the `Entry` of a charge.
fn put_charge(entry: &Entry, into: &mut Vec<u8>) {
    put_id(1, b'e', entry.id, into);
    put_text(2, entry.account.as_str(), into);
    put_number(3, i64::from(i32::from(pb::EntryKind::Charge)), into);
    put_credits(4, entry.credits, into);
    put_credits(5, entry.available, into);
    put_message(6, into, |into| put_time(entry.create_time, into));
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
        put_message(11, into, |into| {
            put_text(1, key, into);
            put_text(2, value, into);
        });
    }
    put_credits(12, entry.spent, into);
    put_credits(13, entry.held, into);
    if let (Some(usage), Some(service)) = (&entry.usage, &entry.service) {
        put_message(14, into, |into| put_usage(service, usage.quantity, into));
    }
    put_number(18, entry.version, into);
}

fn put_shares(entry: &Entry, into: &mut Vec<u8>) {
    for share in &entry.shares {
        put_message(19, into, |into| {
            put_id(1, b'g', share.grant.0, into);
            put_credits(2, share.credits, into);
            put_credits(3, share.held, into);
        });
    }
}

fn put_time(time: Timestamp, into: &mut Vec<u8>) {
    let time = timestamp_to_pb(time);
    put_number(1, time.seconds, into);
    put_number(2, i64::from(time.nanos), into);
}

fn put_usage(service: &str, quantity: Given, into: &mut Vec<u8>) {
    put_text(1, service, into);
    match quantity {
        Given::Duration(nanos) => put_message(2, into, |into| {
            let duration = duration_to_pb(nanos);
            put_number(1, duration.seconds, into);
            put_number(2, i64::from(duration.nanos), into);
        }),
        Given::Count(count) => put_present(3, count, into),
        // What is no duration was never priced.
        Given::Nothing | Given::NoDuration { .. } => {}
    }
}

/// Writes a number that stands there also where it is 0.
fn put_present(number: u32, value: i64, into: &mut Vec<u8>) {
    prost::encoding::int64::encode(number, &value, into);
}
