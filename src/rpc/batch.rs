//! Results of a batch of charges, and whether the reply has room for them. That is
//! asked before anything counts, on the ledger's own thread, so it is mostly answered
//! by adding lengths.

use prost::Message as _;

use super::MESSAGE_BYTES_MAX;
use super::convert::ledger::charge_response_to_pb;
use super::pb::creditd::v1 as pb;
use super::pb::creditd::v1::batch_charge_result::Result as ItemResult;
use super::refused::Refused;
use super::reply::{BATCH_REST_BYTES, check_reply_size};
use crate::app::{Answer, AppError, BatchFits, Written};
use crate::domain::Refusal;

/// More than a result takes beside texts of the caller, shares and lists of faults.
const RESULT_BYTES: usize = 640;
/// More than one of an entry's shares takes.
const SHARE_BYTES: usize = 80;
/// More than one bad field takes.
const FAULT_BYTES: usize = 1_024;

/// An item's result.
pub(super) fn result_to_pb(answer: &Answer<Written>) -> pb::BatchChargeResult {
    let result = match answer {
        Ok(written) => ItemResult::Charge(charge_response_to_pb(written)),
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
        let results: Vec<_> = all().map(result_to_pb).collect();
        check_reply_size("charges", &results, BATCH_REST_BYTES)
    })
}

/// No result is larger than this.
fn bytes_at_most(answer: &Answer<Written>) -> usize {
    let (parts, each) = match answer {
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
            let texts = [
                &entry.service,
                &entry
                    .pricing
                    .as_ref()
                    .map(|p| std::sync::Arc::clone(&p.rate_card)),
            ];
            // The service stands in the entry and in its usage.
            let texts = texts.into_iter().flatten().map(|text| text.len());
            let texts = texts.fold(0, usize::saturating_add).saturating_mul(2);
            (
                labels
                    .fold(shares, usize::saturating_add)
                    .saturating_add(usage),
                texts,
            )
        }
        Err(AppError::Refused(Refusal::Invalid(faults))) => {
            (faults.violations().len().saturating_mul(FAULT_BYTES), 0)
        }
        Err(_) => (FAULT_BYTES, 0),
    };
    RESULT_BYTES.saturating_add(parts).saturating_add(each)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AccountName, Fault, Faults};

    #[test]
    fn no_refusal_is_larger_than_it_is_taken_for() {
        let account = AccountName::new(&"a".repeat(128)).unwrap();
        let mut faults = Faults::new();
        for field in ["request_id", "account", "usage.service", "labels"] {
            let value: Box<str> = "v".repeat(64).into();
            let length = usize::MAX;
            faults.add(field, Fault::InvalidAccount { value, length });
        }
        let mut refusals = vec![
            Refusal::Invalid(faults),
            Refusal::AccountNotFound { account },
        ];
        refusals.push(Refusal::invalid(
            "usage.service",
            Fault::UnknownService {
                service: "s".repeat(64).into(),
                rate_card: "c".repeat(64).into(),
                nearest: Some(("n".repeat(64).into(), true)),
            },
        ));
        for refusal in refusals {
            let answer = Err(AppError::Refused(refusal));
            let bytes = result_to_pb(&answer).encoded_len();
            assert!(bytes <= bytes_at_most(&answer), "{bytes}: {answer:?}");
        }
    }
}
