//! Conversions of `ledger.proto`: what the ledger answers.

use std::collections::BTreeMap;

use super::{duration_to_pb, timestamp_from_pb, timestamp_to_pb};
use crate::app::{Balance, Written};
use crate::domain::ledger::{
    AccountId as _, Entry, EntryKind, GrantShare, GrantState, Hold, HoldStatus,
};
use crate::domain::pricing::{Given, UsageRecord};
use crate::domain::{AccountName, Faults, Labels, Timestamp};
use crate::rpc::MESSAGE_BYTES_MAX;
use crate::rpc::pb::creditd::v1 as pb;

/// Room for the list of a reply, below the 4 MiB that it may have.
const LIST_BYTES_MAX: usize = MESSAGE_BYTES_MAX - 64 * 1024;

/// Which balance is asked for; what is wrong is added to `faults`.
pub fn balance_query_from_pb(
    request: &pb::GetBalanceRequest,
    faults: &mut Faults,
) -> (Option<AccountName>, Option<Timestamp>) {
    let account = faults.keep("account", AccountName::new(&request.account));
    let as_of = request.as_of.as_ref().map(timestamp_from_pb);
    let as_of = as_of.and_then(|time| faults.keep("as_of", time));
    (account, as_of)
}

/// A balance.
#[must_use]
pub fn balance_to_pb(balance: &Balance) -> pb::Balance {
    pb::Balance {
        account: balance.account.to_string(),
        available: balance.available.to_string(),
        held: balance.held.to_string(),
        grants: that_fit((balance.grants.iter()).map(|grant| grant_to_pb(grant, &balance.account))),
        read_time: Some(timestamp_to_pb(balance.time)),
        version: balance.version,
    }
}

/// The first of a list, as many as a reply has room for, and one in any case.
pub fn that_fit<T: prost::Message>(items: impl Iterator<Item = T>) -> Vec<T> {
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
        granted: terms.granted.to_string(),
        remaining: grant.remaining.to_string(),
        priority: terms.priority,
        expire_time: terms.expire_time.map(timestamp_to_pb),
        source: terms.source.to_string(),
        held: grant.held.to_string(),
        services: terms.services.iter().map(ToString::to_string).collect(),
        create_time: Some(timestamp_to_pb(terms.create_time)),
    }
}

/// An entry.
#[must_use]
pub fn entry_to_pb(entry: &Entry) -> pb::Entry {
    let account = &entry.account;
    let mut message = pb::Entry {
        entry_id: entry.id.text(account),
        account: entry.account.to_string(),
        kind: kind_to_pb(&entry.kind).into(),
        credits: entry.credits.to_string(),
        available: entry.available.to_string(),
        create_time: Some(timestamp_to_pb(entry.create_time)),
        spent: entry.spent.to_string(),
        held: entry.held.to_string(),
        version: entry.id.0,
        grants: entry
            .shares
            .iter()
            .map(|share| share_to_pb(share, account))
            .collect(),
        ..pb::Entry::default()
    };
    if let Some(id) = &entry.request_id {
        message.request_id = id.as_str().to_owned();
    }
    message.labels = labels_to_pb(&entry.labels);
    if let Some(service) = &entry.service {
        message.service = service.to_string();
    }
    if let Some(pricing) = &entry.pricing {
        message.rate_card = pricing.rate_card.to_string();
        message.revision = pricing.revision.to_string();
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
        | EntryKind::Extend => {}
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
        // Callers do not see it: it is no move.
        EntryKind::Extend => pb::EntryKind::Unspecified,
        EntryKind::Expire(_) => pb::EntryKind::Expire,
        EntryKind::Revoke(_) => pb::EntryKind::Revoke,
    }
}

fn share_to_pb(share: &GrantShare, account: &AccountName) -> pb::GrantShare {
    pb::GrantShare {
        grant_id: share.grant.text(account),
        credits: share.credits.to_string(),
        held: share.held.to_string(),
    }
}

fn labels_to_pb(labels: &Labels) -> BTreeMap<String, String> {
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
        held: hold.held.to_string(),
        settled: hold.settled.to_string(),
        expire_time: Some(timestamp_to_pb(hold.expire_time)),
        status: status.into(),
        account: account.to_string(),
        create_time: Some(timestamp_to_pb(terms.create_time)),
        service: service.to_owned(),
        labels: labels_to_pb(&terms.labels),
        request_id: terms.request_id.as_str().to_owned(),
        usage: usage.map(|usage| usage_to_pb(service, usage)),
    }
}

fn hold_of(written: &Written) -> Option<pb::HoldState> {
    let hold = written.entry.hold.as_deref();
    hold.map(|hold| hold_to_pb(hold, &written.entry.account))
}

/// What a charge wrote.
#[must_use]
pub fn charge_response_to_pb(written: &Written) -> pb::ChargeResponse {
    pb::ChargeResponse {
        entry: Some(entry_to_pb(&written.entry)),
        available: written.available.to_string(),
        replayed: written.replayed,
    }
}

/// What a grant wrote.
#[must_use]
pub fn grant_response_to_pb(written: &Written) -> pb::GrantResponse {
    pb::GrantResponse {
        entry: Some(entry_to_pb(&written.entry)),
        available: written.available.to_string(),
        replayed: written.replayed,
    }
}

/// What a revocation wrote.
#[must_use]
pub fn revoke_response_to_pb(written: &Written) -> pb::RevokeGrantResponse {
    pb::RevokeGrantResponse {
        entry: Some(entry_to_pb(&written.entry)),
        available: written.available.to_string(),
        replayed: written.replayed,
    }
}

/// What a refund wrote.
#[must_use]
pub fn refund_response_to_pb(written: &Written) -> pb::RefundResponse {
    pb::RefundResponse {
        entry: Some(entry_to_pb(&written.entry)),
        available: written.available.to_string(),
        replayed: written.replayed,
    }
}

/// What a hold wrote.
#[must_use]
pub fn hold_response_to_pb(written: &Written) -> pb::HoldResponse {
    pb::HoldResponse {
        hold: hold_of(written),
        available: written.available.to_string(),
        replayed: written.replayed,
    }
}

/// What an extension wrote.
#[must_use]
pub fn extend_response_to_pb(written: &Written) -> pb::ExtendHoldResponse {
    pb::ExtendHoldResponse {
        hold: hold_of(written),
        replayed: written.replayed,
    }
}

/// What a settlement wrote.
#[must_use]
pub fn settle_response_to_pb(written: &Written) -> pb::SettleHoldResponse {
    pb::SettleHoldResponse {
        entry: Some(entry_to_pb(&written.entry)),
        hold: hold_of(written),
        available: written.available.to_string(),
        replayed: written.replayed,
    }
}

/// What a release wrote.
#[must_use]
pub fn release_response_to_pb(written: &Written) -> pb::ReleaseHoldResponse {
    pb::ReleaseHoldResponse {
        hold: hold_of(written),
        available: written.available.to_string(),
        replayed: written.replayed,
    }
}
