//! Results of a batch of charges, and whether the reply has room for them. The ledger's writer
//! needs to know before it writes anything, so it is mostly a sum of lengths.

use prost::Message as _;

use super::MESSAGE_BYTES_MAX;
use super::pb::creditd::v1 as pb;
use super::pb::creditd::v1::batch_charge_result::Result as ItemResult;
use super::refused::Refused;
use super::reply::{BATCH_REST_BYTES, BatchSize};
use crate::app::{Answer, AppError, BatchFits, Written};
use crate::domain::Refusal;

/// More than a result takes beside names, labels, shares and lists of faults.
const RESULT_BYTES: usize = 320;
/// More than one of an entry's shares takes.
const SHARE_BYTES: usize = 80;
/// More than one bad field takes.
const FAULT_BYTES: usize = 2_048;

/// An item's result.
pub(super) fn result_to_pb(answer: &Answer<Written>) -> pb::BatchChargeResult {
    let result = match answer {
        Ok(written) => ItemResult::Charge(written.into()),
        Err(refusal) => ItemResult::Error(Refused::from(refusal).into_rpc_status()),
    };
    pb::BatchChargeResult {
        result: Some(result),
    }
}

/// Whether the answers fit beside what was refused already.
pub(super) fn batch_fits(refused: &[Refusal]) -> BatchFits {
    let refused: Vec<Answer<Written>> = refused
        .iter()
        .map(|refusal| Err(AppError::Refused(refusal.clone())))
        .collect();
    Box::new(move |answers| {
        let all = || refused.iter().chain(answers);
        let at_most = all().fold(BATCH_REST_BYTES, |sum, answer| {
            sum.saturating_add(bytes_at_most(answer))
        });
        if at_most <= MESSAGE_BYTES_MAX {
            return Ok(());
        }
        let mut size = BatchSize::new();
        let _ = all().all(|answer| size.add(result_to_pb(answer).encoded_len()));
        size.check("charges")
    })
}

/// No result is larger than this.
fn bytes_at_most(answer: &Answer<Written>) -> usize {
    let parts = match answer {
        Ok(written) => {
            let entry = &written.entry;
            let labels = entry.labels.iter();
            let labels = labels.map(|(k, v)| k.len().saturating_add(v.len()).saturating_add(8));
            let shares = entry.shares.len().saturating_mul(SHARE_BYTES);
            let usage = match &entry.usage {
                Some(usage) if !(usage.attributes.is_empty() && usage.meters.is_empty()) => {
                    super::convert::ledger::entry_to_pb(entry).encoded_len()
                }
                _ => 0,
            };
            let service = entry.service.as_deref().map_or(0, str::len);
            let names = [
                entry.account.as_str().len(),
                entry.request_id.as_ref().map_or(0, |id| id.as_str().len()),
                // It stands in the entry and in its usage.
                service.saturating_mul(2),
                entry.pricing.as_ref().map_or(0, |p| p.rate_card.len()),
                entry.pricing.as_ref().map_or(0, |p| p.revision.len()),
            ];
            let parts = labels.chain(names).fold(shares, usize::saturating_add);
            parts.saturating_add(usage)
        }
        Err(AppError::Refused(Refusal::Invalid(faults))) => {
            faults.violations().len().saturating_mul(FAULT_BYTES)
        }
        Err(_) => FAULT_BYTES,
    };
    RESULT_BYTES.saturating_add(parts)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::ledger::{Entry, EntryId, EntryKind, GrantId, GrantShare, Pricing};
    use crate::domain::pricing::{Given, Pairs, UsageRecord};
    use crate::domain::{AccountName, Credits, Fault, Faults, Labels, RequestId, Timestamp};
    use crate::rpc::reply::ITEM_OVERHEAD_BYTES;

    /// A charge with the longest names and figures.
    #[test]
    fn no_charge_is_larger_than_it_is_taken_for() {
        let most = Credits::from_nanos(8_999_999_999_999_999_999).unwrap();
        let pairs = |number: usize| {
            let pair = |n: usize| (format!("{n:0>64}"), "v".repeat(256));
            (0..number).map(pair).collect::<Pairs>()
        };
        for (labels, maps, shares) in [(0, 0, 1), (16, 0, 1), (0, 16, 1), (16, 16, 100)] {
            let share = GrantShare {
                grant: GrantId(EntryId(i64::MAX)),
                credits: most.negated(),
                held: most.negated(),
            };
            let usage = UsageRecord {
                quantity: Given::Duration(315_576_000_000_999_999_999),
                attributes: pairs(maps),
                meters: pairs(maps),
            };
            let entry = Entry {
                id: EntryId(i64::MAX),
                previous: Some(EntryId(i64::MAX)),
                account: AccountName::new(&"a".repeat(128)).unwrap(),
                kind: EntryKind::Charge,
                credits: most.negated(),
                held: most.negated(),
                spent: most.negated(),
                available: most.negated(),
                create_time: Timestamp::MIN,
                version: i64::MAX,
                request_id: Some(RequestId::new(&"r".repeat(256)).unwrap()),
                labels: Labels::new(pairs(labels).iter()).unwrap(),
                service: Some("s".repeat(128).into()),
                pricing: Some(Pricing {
                    rate_card: "c".repeat(64).into(),
                    revision: "f".repeat(24).into(),
                }),
                usage: Some(Arc::new(usage)),
                hold: None,
                shares: vec![share; shares],
            };
            let written = Written {
                entry,
                available: most.negated(),
                replayed: true,
            };
            let answer = Ok(written);
            let bytes = result_to_pb(&answer).encoded_len() + ITEM_OVERHEAD_BYTES;
            let taken_for = bytes_at_most(&answer);
            assert!(bytes <= taken_for, "{bytes} and not {taken_for}");
        }
    }

    #[test]
    fn no_refusal_is_larger_than_it_is_taken_for() {
        let account = AccountName::new(&"a".repeat(128)).unwrap();
        let mut faults = Faults::new();
        for field in ["request_id", "account", "usage.service", "labels"] {
            let value: Box<str> = "v".repeat(64).into();
            let length = usize::MAX;
            faults.add(field, Fault::InvalidAccount { value, length });
        }
        let request_id = RequestId::new(&"r".repeat(256)).unwrap();
        let mut refusals = vec![
            Refusal::Invalid(faults),
            Refusal::AccountNotFound {
                account: account.clone(),
            },
            Refusal::RequestIdReused {
                account,
                request_id,
            },
        ];
        refusals.push(Refusal::invalid(
            "usage.service",
            Fault::UnknownService {
                service: "s".repeat(64).into(),
                rate_card: "c".repeat(64).into(),
                nearest: Some(("n".repeat(128).into(), false)),
            },
        ));
        for refusal in refusals {
            let answer = Err(AppError::Refused(refusal));
            let bytes = result_to_pb(&answer).encoded_len() + ITEM_OVERHEAD_BYTES;
            assert!(bytes <= bytes_at_most(&answer), "{bytes}: {answer:?}");
        }
    }
}
