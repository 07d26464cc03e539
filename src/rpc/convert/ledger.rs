//! Conversions of `ledger.proto`: balances, entries and holds.

use std::collections::BTreeMap;

use super::{credits_to_pb, duration_to_pb, timestamp_from_pb, timestamp_to_pb};
use crate::app::Balance;
use crate::domain::ledger::{
    AccountId as _, Entry, EntryKind, GrantShare, GrantState, Hold, HoldStatus, Opening,
};
use crate::domain::pricing::{Given, UsageRecord};
use crate::domain::{AccountName, FieldViolations, Labels, Timestamp, Violation};
use crate::rpc::pb::creditd::v1 as pb;
use crate::rpc::wire::page::LIST_BYTES_MAX;

/// A `GetBalanceRequest`; what is wrong with it is added to `violations`.
pub fn balance_query_from_pb(
    request: &pb::GetBalanceRequest,
    violations: &mut FieldViolations,
) -> (Option<AccountName>, Option<Timestamp>) {
    let account = violations.check("account", AccountName::new(&request.account));
    let as_of = request.as_of.as_ref().map(timestamp_from_pb);
    let as_of = as_of.and_then(|time| violations.check("as_of", time));
    (account, as_of)
}

/// A balance.
#[must_use]
pub fn balance_to_pb(balance: &Balance) -> pb::Balance {
    pb::Balance {
        account: balance.account.as_str().to_owned(),
        available: credits_to_pb(balance.available),
        held: credits_to_pb(balance.held),
        grants: that_fit((balance.grants.iter()).map(|grant| grant_to_pb(grant, &balance.account))),
        read_time: Some(timestamp_to_pb(balance.time)),
        version: balance.version,
    }
}

/// The first items of a list that a reply has room for, and the very first in any case.
fn that_fit<T: prost::Message>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut bytes = 0_usize;
    items
        .take_while(|item| {
            let first = bytes == 0;
            bytes = bytes.saturating_add(item.encoded_len()).saturating_add(6);
            first || bytes <= LIST_BYTES_MAX
        })
        .collect()
}

fn grant_to_pb(grant: &GrantState, account: &AccountName) -> pb::GrantBalance {
    let terms = &grant.terms;
    pb::GrantBalance {
        grant_id: grant.id.text(account),
        granted: credits_to_pb(terms.granted),
        remaining: credits_to_pb(grant.remaining),
        priority: terms.priority,
        expire_time: terms.expire_time.map(timestamp_to_pb),
        source: terms.source.to_string(),
        held: credits_to_pb(grant.held),
        services: terms.services.iter().map(ToString::to_string).collect(),
        create_time: Some(timestamp_to_pb(terms.create_time)),
    }
}

/// What an account has instead of its archived entries.
#[must_use]
pub fn opening_to_pb(opening: &Opening, account: &AccountName) -> pb::OpeningBalance {
    pb::OpeningBalance {
        available: credits_to_pb(opening.available),
        held: credits_to_pb(opening.held),
        entry_id: opening.entry.text(account),
        create_time: Some(timestamp_to_pb(opening.time)),
        archive: opening.archive,
    }
}

/// An entry.
#[must_use]
pub fn entry_to_pb(entry: &Entry) -> pb::Entry {
    let account = &entry.account;
    let shares = entry.shares.iter();
    let mut message = pb::Entry {
        entry_id: entry.id.text(account),
        account: account.as_str().to_owned(),
        kind: kind_to_pb(&entry.kind).into(),
        credits: credits_to_pb(entry.credits),
        available: credits_to_pb(entry.available),
        create_time: Some(timestamp_to_pb(entry.create_time)),
        spent: credits_to_pb(entry.spent),
        held: credits_to_pb(entry.held),
        version: entry.id.0,
        grants: shares.map(|share| share_to_pb(share, account)).collect(),
        ..pb::Entry::default()
    };
    if let Some(id) = &entry.request_id {
        message.request_id = id.as_str().to_owned();
    }
    if let Some(key_id) = &entry.key_id {
        message.key_id = key_id.as_str().to_owned();
    }
    message.labels = labels_to_pb(&entry.labels);
    if let Some(service) = &entry.service {
        message.service = service.to_string();
    }
    if let Some(pricing) = &entry.pricing {
        message.rate_card = pricing.rate_card.to_string();
        message.revision = pricing.revision.to_string();
        message.price_values.clone_from(&pricing.values);
        message.price_time = pricing.time.map(timestamp_to_pb);
    }
    if let (Some(usage), Some(service)) = (&entry.usage, &entry.service) {
        message.usage = Some(usage_to_pb(service, usage));
    }
    if let Some(hold) = &entry.hold {
        message.hold_id = hold.id.text(account);
    }
    match &entry.kind {
        EntryKind::Grant { id, terms } => {
            message.grant_id = id.text(account);
            message.source = terms.source.to_string();
            message.expire_time = terms.expire_time.map(timestamp_to_pb);
            message.priority = terms.priority;
            message.services = terms.services.iter().map(ToString::to_string).collect();
        }
        EntryKind::Expire(grant) | EntryKind::Revoke(grant) => {
            message.grant_id = grant.text(account);
        }
        EntryKind::Refund { of, .. } => message.refunded_entry_id = of.text(account),
        EntryKind::Charge
        | EntryKind::Hold
        | EntryKind::Settle
        | EntryKind::Release
        | EntryKind::Extend
        | EntryKind::Update(_) => {}
    }
    message
}

const fn kind_to_pb(kind: &EntryKind) -> pb::EntryKind {
    match kind {
        EntryKind::Grant { .. } => pb::EntryKind::Grant,
        EntryKind::Charge => pb::EntryKind::Charge,
        EntryKind::Refund { .. } => pb::EntryKind::Refund,
        EntryKind::Hold => pb::EntryKind::Hold,
        EntryKind::Settle => pb::EntryKind::Settle,
        EntryKind::Release => pb::EntryKind::Release,
        // Moves no credits: callers do not see it.
        EntryKind::Extend | EntryKind::Update(_) => pb::EntryKind::Unspecified,
        EntryKind::Expire(_) => pb::EntryKind::Expire,
        EntryKind::Revoke(_) => pb::EntryKind::Revoke,
    }
}

/// The word for a kind of entry, by which ListEntries filters.
pub(super) fn kind_from_pb(value: i32) -> Result<&'static str, Violation> {
    Ok(match pb::EntryKind::try_from(value) {
        Ok(pb::EntryKind::Grant) => "grant",
        Ok(pb::EntryKind::Charge) => "charge",
        Ok(pb::EntryKind::Refund) => "refund",
        Ok(pb::EntryKind::Hold) => "hold",
        Ok(pb::EntryKind::Settle) => "settle",
        Ok(pb::EntryKind::Release) => "release",
        Ok(pb::EntryKind::Expire) => "expire",
        Ok(pb::EntryKind::Revoke) => "revoke",
        Ok(pb::EntryKind::Unspecified) | Err(_) => return Err(Violation::UnknownValue { value }),
    })
}

fn share_to_pb(share: &GrantShare, account: &AccountName) -> pb::GrantShare {
    pb::GrantShare {
        grant_id: share.grant.text(account),
        credits: credits_to_pb(share.credits),
        held: credits_to_pb(share.held),
    }
}

pub(super) fn labels_to_pb(labels: &Labels) -> BTreeMap<String, String> {
    let pairs = labels.iter();
    pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

fn usage_to_pb(service: &str, usage: &UsageRecord) -> pb::Usage {
    pb::Usage {
        service: service.to_owned(),
        quantity: match usage.quantity {
            Given::Duration(nanos) => Some(pb::usage::Quantity::Duration(duration_to_pb(nanos))),
            Given::Count(count) => Some(pb::usage::Quantity::Count(count)),
            // What is no duration was never priced.
            Given::Nothing | Given::NoDuration { .. } => None,
        },
        attributes: usage.attributes.clone(),
        meters: usage.meters.clone(),
    }
}

/// A hold.
#[must_use]
pub fn hold_to_pb(hold: &Hold, account: &AccountName) -> pb::HoldState {
    let status = match hold.status {
        HoldStatus::Open => pb::HoldStatus::Open,
        HoldStatus::Settled => pb::HoldStatus::Settled,
        HoldStatus::Released => pb::HoldStatus::Released,
        HoldStatus::Expired => pb::HoldStatus::Expired,
    };
    let terms = &hold.terms;
    let service = terms.service.as_deref().unwrap_or_default();
    let usage = terms.usage.as_deref();
    pb::HoldState {
        hold_id: hold.id.text(account),
        held: credits_to_pb(hold.held),
        settled: credits_to_pb(hold.settled),
        expire_time: Some(timestamp_to_pb(hold.expire_time)),
        status: status.into(),
        account: account.as_str().to_owned(),
        create_time: Some(timestamp_to_pb(terms.create_time)),
        service: service.to_owned(),
        labels: labels_to_pb(&terms.labels),
        request_id: terms.request_id.as_str().to_owned(),
        usage: usage.map(|usage| usage_to_pb(service, usage)),
        price_values: (terms.pricing.as_ref())
            .map(|pricing| pricing.values.clone())
            .unwrap_or_default(),
    }
}
