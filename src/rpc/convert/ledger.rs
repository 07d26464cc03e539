//! Conversions of `ledger.proto`.

use prost::Message as _;

use super::{timestamp_from_pb, timestamp_to_pb};
use crate::app::{BALANCE_GRANTS_MAX, GrantForm, Reading, Written};
use crate::domain::ledger::{Entry, EntryId, EntryKind, GrantId, GrantShare, GrantState};
use crate::domain::names::{KEY_BYTES_MAX, VALUE_BYTES_MAX, check_length};
use crate::domain::{AccountName, Credits, Fault, Faults, Labels, RequestId, Timestamp};
use crate::rpc::pb::creditd::v1 as pb;

/// Room for the grants of a balance, below the 4 MiB that a reply may have.
const GRANTS_BYTES_MAX: usize = 4 * 1024 * 1024 - 64 * 1024;
/// Most services that a grant may be restricted to.
const GRANT_SERVICES_MAX: usize = 100;

/// A request to add credits; what is wrong whatever the time and the prices are
/// is added to `faults`.
pub fn grant_from_pb(request: &pb::GrantRequest, faults: &mut Faults) -> GrantForm {
    let request_id = faults.keep("request_id", RequestId::new(&request.request_id));
    let account = faults.keep("account", AccountName::new(&request.account));
    let credits = faults.keep("credits", positive_from_pb(&request.credits));
    let expire_time = request.expire_time.as_ref().map(timestamp_from_pb);
    let expire_time = expire_time.and_then(|time| faults.keep("expire_time", time));
    faults.keep("source", check_length(&request.source, 0, VALUE_BYTES_MAX));
    let services = faults.keep("services", services_from_pb(&request.services));
    let labels = faults.keep("labels", Labels::new(request.labels.iter()));
    GrantForm {
        request_id,
        account,
        credits,
        expire_time,
        priority: request.priority,
        source: request.source.as_str().into(),
        services: services.unwrap_or_default(),
        labels: labels.unwrap_or_default(),
    }
}

fn positive_from_pb(text: &str) -> Result<Credits, Fault> {
    if text.is_empty() {
        return Err(Fault::Required);
    }
    Credits::parse_positive(text).map_err(|fault| Fault::InvalidAmount {
        value: crate::domain::names::repeated(text),
        fault,
    })
}

/// A set of service keys: their order and repetitions mean nothing.
fn services_from_pb(services: &[String]) -> Result<Vec<Box<str>>, Fault> {
    if services.len() > GRANT_SERVICES_MAX {
        return Err(Fault::TooManyItems {
            size: services.len(),
            limit: GRANT_SERVICES_MAX,
        });
    }
    for service in services {
        check_length(service, 1, KEY_BYTES_MAX)?;
    }
    let mut services: Vec<Box<str>> = services.iter().map(|s| s.as_str().into()).collect();
    services.sort_unstable();
    services.dedup();
    Ok(services)
}

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
pub fn balance_to_pb(reading: &Reading) -> pb::Balance {
    let account = &reading.account;
    pb::Balance {
        account: account.name().to_string(),
        available: account.available().to_string(),
        held: account.held().to_string(),
        grants: grants_to_pb(account.grants()),
        read_time: Some(timestamp_to_pb(reading.time)),
        version: account.version(),
    }
}

/// The first grants, as many as a reply has room for.
fn grants_to_pb(grants: &[GrantState]) -> Vec<pb::GrantBalance> {
    let mut bytes = 0_usize;
    grants
        .iter()
        .take(BALANCE_GRANTS_MAX)
        .map(grant_to_pb)
        .take_while(|grant| {
            bytes = bytes.saturating_add(grant.encoded_len());
            bytes <= GRANTS_BYTES_MAX
        })
        .collect()
}

fn grant_to_pb(grant: &GrantState) -> pb::GrantBalance {
    let terms = &grant.terms;
    pb::GrantBalance {
        grant_id: grant_id_to_pb(grant.id),
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

/// What a grant wrote.
#[must_use]
pub fn grant_response_to_pb(written: &Written) -> pb::GrantResponse {
    pb::GrantResponse {
        available: written.entry.available.to_string(),
        entry: Some(entry_to_pb(&written.entry)),
        replayed: written.replayed,
    }
}

/// An entry.
#[must_use]
pub fn entry_to_pb(entry: &Entry) -> pb::Entry {
    let (kind, source) = match &entry.kind {
        EntryKind::Grant(terms) => (pb::EntryKind::Grant, terms.source.to_string()),
        EntryKind::Expire => (pb::EntryKind::Expire, String::new()),
    };
    pb::Entry {
        entry_id: entry_id_to_pb(entry.id),
        account: entry.account.to_string(),
        kind: kind.into(),
        credits: entry.credits.to_string(),
        available: entry.available.to_string(),
        create_time: Some(timestamp_to_pb(entry.create_time)),
        request_id: entry
            .request_id
            .as_ref()
            .map_or_else(String::new, |id| id.as_str().to_owned()),
        labels: entry
            .labels
            .iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        spent: entry.spent.to_string(),
        held: entry.held.to_string(),
        grant_id: grant_id_to_pb(entry.grant),
        version: entry.version,
        grants: entry.shares.iter().map(share_to_pb).collect(),
        source,
        ..pb::Entry::default()
    }
}

fn share_to_pb(share: &GrantShare) -> pb::GrantShare {
    pb::GrantShare {
        grant_id: grant_id_to_pb(share.grant),
        credits: share.credits.to_string(),
        held: share.held.to_string(),
    }
}

/// How callers see an entry's id.
#[must_use]
pub fn entry_id_to_pb(id: EntryId) -> String {
    format!("e{}", id.0)
}

/// How callers see a grant's id.
#[must_use]
pub fn grant_id_to_pb(id: GrantId) -> String {
    format!("g{}", id.0.0)
}
