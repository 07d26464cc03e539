//! Results of a batch of charges, and whether the reply has room for them. That is decided
//! before anything moves, from the request alone: no answer to an item is larger than
//! [`answer_bytes_max`] says.

use prost::Message as _;

use super::MESSAGE_BYTES_MAX;
use super::pb::creditd::v1 as pb;
use super::pb::creditd::v1::batch_charge_result::Result as ItemResult;
use super::refused::Refused;
use super::reply::{BATCH_REST_BYTES, ITEM_OVERHEAD_BYTES, reply_too_large};
use crate::app::{Answer, AppError, Written};
use crate::domain::Refusal;
use crate::domain::ledger::{Action, Command};
use crate::domain::pricing::Pricing;

/// What an entry and its answer take at most, beside the texts of the request.
const ENTRY_BYTES_MAX: usize = 290;
/// What an entry of a map takes at most beside its texts, and a time.
const PAIR_BYTES: usize = 12;
const TIME_BYTES: usize = 24;
/// The same for REQUEST_ID_REUSED, which says account and request_id twice.
const REUSED_BYTES_MAX: usize = 260;
/// The same for every other refusal of the ledger, which says the account twice and three
/// amounts twice.
const REFUSAL_BYTES_MAX: usize = 240;

/// The result of an item that is refused.
pub(super) fn refused_to_pb(refused: Refused) -> pb::BatchChargeResult {
    pb::BatchChargeResult {
        result: Some(ItemResult::Error(refused.into_rpc_status())),
    }
}

/// The reply of a charge in a batch: its entry has no grants, of which there can be
/// thousands, and no key_id, which would take room in each for what is the same in nearly all.
pub(super) fn batch_item_to_pb(written: &Written) -> pb::ChargeResponse {
    let mut charge = pb::ChargeResponse::from(written);
    if let Some(entry) = &mut charge.entry {
        entry.grants.clear();
        entry.key_id.clear();
    }
    charge
}

/// Refuses a batch whose reply could be larger than clients take. `request_bytes` is what
/// each item of the request takes.
pub(super) fn check_batch_reply(
    request_bytes: impl Iterator<Item = usize>,
    items: &[Result<Command, Refusal>],
) -> Result<(), Refusal> {
    let mut total = BATCH_REST_BYTES;
    let mut items_that_fit = 0_usize;
    for (item, request_bytes) in items.iter().zip(request_bytes) {
        total = total.saturating_add(answer_bytes_max(item, request_bytes));
        if total <= MESSAGE_BYTES_MAX {
            items_that_fit = items_that_fit.saturating_add(1);
        }
    }
    match total <= MESSAGE_BYTES_MAX {
        true => Ok(()),
        false => Err(reply_too_large("charges", items_that_fit)),
    }
}

/// No answer to the item takes more. It is exact where the answer is known: for an item that
/// is refused by its form.
fn answer_bytes_max(item: &Result<Command, Refusal>, request_bytes: usize) -> usize {
    let command = match item {
        Ok(command) => command,
        Err(refusal) => return refusal_bytes(refusal),
    };
    let (service_bytes, refusal_bytes) = match &command.action {
        Action::Charge(Ok(cost)) => {
            let service = cost.service.as_deref().map_or(0, str::len);
            let amount = cost.credits.write_canonical(&mut [0; 24]).len();
            (service, amount.saturating_mul(6))
        }
        // Its price is refused, unless the request_id is known.
        Action::Charge(Err(refusal)) => (request_bytes, refusal_bytes(refusal)),
        // Nothing else comes in a batch.
        _ => (request_bytes, 0),
    };
    let twice = |bytes: usize| bytes.saturating_mul(2);
    let account = twice(command.account.as_str().len());
    let request_id = twice(command.request.id.as_str().len());
    let values = match &command.action {
        Action::Charge(Ok(cost)) => cost
            .pricing
            .as_ref()
            .map_or(0, |pricing| values_bytes(pricing)),
        _ => 0,
    };
    // The service stands in the entry and in its usage.
    let entry = ENTRY_BYTES_MAX
        .saturating_add(request_bytes)
        .saturating_add(service_bytes)
        .saturating_add(values);
    let reused = REUSED_BYTES_MAX
        .saturating_add(account)
        .saturating_add(request_id);
    let refused = REFUSAL_BYTES_MAX
        .saturating_add(account)
        .saturating_add(refusal_bytes);
    entry.max(reused).max(refused)
}

/// What the values and the time of a price take in an entry.
fn values_bytes(pricing: &Pricing) -> usize {
    let values = pricing.values.iter();
    let bytes = values.map(|(name, value)| name.len().saturating_add(value.len()));
    let bytes = bytes.map(|bytes| bytes.saturating_add(PAIR_BYTES));
    bytes.fold(TIME_BYTES, usize::saturating_add)
}

fn refusal_bytes(refusal: &Refusal) -> usize {
    let result = refused_to_pb(refusal.into());
    result.encoded_len().saturating_add(ITEM_OVERHEAD_BYTES)
}

/// Refuses a reply that is larger than clients take: only where the store could not do what
/// it was asked to. Items that it did are answered again when the batch is sent again.
pub(super) fn check_batch_answers(
    reply_bytes: usize,
    answers: &[Answer<Written>],
) -> Result<(), Refused> {
    if reply_bytes <= MESSAGE_BYTES_MAX {
        return Ok(());
    }
    let errors = answers.iter().filter_map(|answer| answer.as_ref().err());
    let mut failed = errors.filter(|error| !matches!(error, AppError::Refused(_)));
    failed.next().map_or(Ok(()), |error| Err(error.into()))
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers of a test")]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::keys::{KEY_ID_BYTES_MAX, KeyId};
    use crate::domain::ledger::{Cost, Entry, EntryId, EntryKind, GrantId, GrantShare, RequestKey};
    use crate::domain::pricing::{Given, Pairs, UsageRecord};
    use crate::domain::{
        AccountName, Credits, FieldViolations, Labels, RequestId, Timestamp, Violation,
    };

    /// How long the texts of an item are.
    #[derive(Clone, Copy)]
    struct Lengths {
        account: usize,
        request_id: usize,
        service: usize,
        labels: usize,
        maps: usize,
    }

    const LENGTHS: &[Lengths] = &[
        Lengths {
            account: 1,
            request_id: 1,
            service: 1,
            labels: 0,
            maps: 0,
        },
        Lengths {
            account: 20,
            request_id: 36,
            service: 24,
            labels: 0,
            maps: 0,
        },
        Lengths {
            account: 128,
            request_id: 256,
            service: 128,
            labels: 16,
            maps: 16,
        },
    ];

    const MOST: i64 = 8_999_999_999_999_999_999;

    fn pairs(number: usize) -> Pairs {
        let pair = |n: usize| (format!("{n:0>64}"), "v".repeat(256));
        (0..number).map(pair).collect()
    }

    impl Lengths {
        fn account(self) -> AccountName {
            AccountName::new(&"a".repeat(self.account)).unwrap()
        }

        fn request_id(self) -> RequestId {
            RequestId::new(&"r".repeat(self.request_id)).unwrap()
        }

        fn labels(self) -> Labels {
            Labels::new(pairs(self.labels).iter()).unwrap()
        }

        fn usage(self) -> Arc<UsageRecord> {
            Arc::new(UsageRecord {
                quantity: Given::Duration(315_576_000_000_999_999_999),
                attributes: pairs(self.maps),
                meters: pairs(self.maps),
            })
        }

        /// The item as it is sent.
        fn request(self) -> pb::ChargeRequest {
            let map = |map: &Pairs| map.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
            pb::ChargeRequest {
                request_id: "r".repeat(self.request_id),
                account: "a".repeat(self.account),
                labels: map(&pairs(self.labels)),
                what: Some(pb::charge_request::What::Usage(pb::Usage {
                    service: "s".repeat(self.service),
                    attributes: map(&pairs(self.maps)),
                    meters: map(&pairs(self.maps)),
                    quantity: Some(pb::usage::Quantity::Duration(prost_types::Duration {
                        seconds: 315_576_000_000,
                        nanos: 999_999_999,
                    })),
                })),
                ..pb::ChargeRequest::default()
            }
        }

        fn command(self, credits: Credits) -> Command {
            Command {
                account: self.account(),
                request: RequestKey {
                    id: self.request_id(),
                    fingerprint: [0; 16],
                },
                key_id: None,
                labels: self.labels(),
                action: Action::Charge(Ok(Box::new(Cost {
                    credits,
                    service: Some("s".repeat(self.service).into()),
                    pricing: None,
                    usage: Some(self.usage()),
                    assumed: None,
                }))),
            }
        }

        /// The entry with the longest figures.
        fn entry(self) -> Entry {
            let most = Credits::from_nanos(-MOST).unwrap();
            let share = GrantShare {
                grant: GrantId(i64::MAX),
                credits: most,
                held: Credits::ZERO,
            };
            Entry {
                id: EntryId(i64::MAX),
                account: self.account(),
                kind: EntryKind::Charge,
                credits: most,
                held: Credits::ZERO,
                spent: most.negated(),
                available: most.negated(),
                create_time: Timestamp::MIN,
                request_id: Some(self.request_id()),
                key_id: KeyId::new(&"k".repeat(KEY_ID_BYTES_MAX)),
                labels: self.labels(),
                service: Some("s".repeat(self.service).into()),
                pricing: Some(Arc::new(Pricing {
                    rate_card: "c".repeat(64).into(),
                    revision: "f".repeat(24).into(),
                    values: std::collections::BTreeMap::new(),
                    time: None,
                })),
                usage: Some(self.usage()),
                hold: None,
                shares: vec![share; 1_000],
            }
        }
    }

    fn bytes(answer: &Answer<Written>) -> usize {
        let result = match answer {
            Ok(written) => pb::BatchChargeResult {
                result: Some(ItemResult::Charge(batch_item_to_pb(written))),
            },
            Err(error) => refused_to_pb(error.into()),
        };
        result.encoded_len() + ITEM_OVERHEAD_BYTES
    }

    #[test]
    fn no_answer_is_larger_than_it_is_taken_for() {
        for lengths in LENGTHS {
            let request_bytes = lengths.request().encoded_len();
            for nanos in [1_000_000_000, 248_000_000, MOST] {
                let credits = Credits::from_nanos(nanos).unwrap();
                let item = Ok(lengths.command(credits));
                let most = answer_bytes_max(&item, request_bytes);
                let written = Written {
                    entry: lengths.entry(),
                    available: credits,
                    replayed: true,
                };
                let account = lengths.account();
                let refusals = [
                    Refusal::AccountNotFound {
                        account: account.clone(),
                    },
                    Refusal::RequestIdReused {
                        account: account.clone(),
                        request_id: lengths.request_id(),
                    },
                    Refusal::InsufficientCredits {
                        account: account.clone(),
                        required: credits,
                        available: credits,
                        shortfall: credits,
                    },
                    Refusal::BalanceTooLarge {
                        account,
                        limit: Credits::MAX,
                    },
                ];
                let refused = refusals.map(|refusal| Err(AppError::Refused(refusal)));
                for answer in refused.into_iter().chain([Ok(written)]) {
                    let bytes = bytes(&answer);
                    assert!(bytes <= most, "{bytes} and not {most}: {answer:.200?}");
                }
            }
        }
    }

    #[test]
    fn what_is_refused_by_its_form_is_known_exactly() {
        let mut violations = FieldViolations::new();
        for field in ["request_id", "account", "usage.service", "labels"] {
            let value: Box<str> = "v".repeat(64).into();
            let length = usize::MAX;
            violations.add(field, Violation::InvalidAccount { value, length });
        }
        let refusal = Refusal::Invalid(violations);
        let answer = Err(AppError::Refused(refusal.clone()));
        assert_eq!(answer_bytes_max(&Err(refusal), 7), bytes(&answer));
    }

    /// Plain charges, as many as a batch may have, fit.
    #[test]
    fn a_batch_of_ten_thousand_plain_charges_fits() {
        let plain = LENGTHS[1];
        let bytes = plain.request().encoded_len();
        let item = Ok(plain.command(Credits::ONE));
        let items = vec![item; crate::app::BATCH_LENGTH_MAX];
        let sizes = std::iter::repeat_n(bytes, items.len());
        assert_eq!(check_batch_reply(sizes, &items), Ok(()));
    }
}
