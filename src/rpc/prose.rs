//! How refusals read: for each one its code, its reason, and a sentence.
//!
//! A sentence is a template over the refusal's variables, and exactly those
//! variables are its metadata, so that nothing stands in a message that a
//! program would have to parse out of it. `error_reason.proto` shows an example
//! of each; a test holds the two together.

use tonic::Code;

use super::pb::creditd::v1::ErrorReason;
use crate::domain::amount::{AmountFault, Credits};
use crate::domain::fault::{PairPart, TimeRule};
use crate::domain::{Fault, Refusal};
use crate::rfc3339;

/// Names and values of the variables of a sentence.
pub type Variables = Vec<(&'static str, String)>;

/// A refusal in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prose {
    /// Why, for programs.
    pub reason: ErrorReason,
    /// Why, for people.
    pub message: String,
    /// Every variable of the message.
    pub variables: Variables,
}

impl Prose {
    /// A sentence whose `{name}`s are filled by the variables. In `{name:one|more}` the first
    /// word is taken where the variable is "1", and the second otherwise.
    #[must_use]
    pub fn new(reason: ErrorReason, template: &str, variables: Variables) -> Self {
        let mut message = String::with_capacity(template.len().saturating_mul(2));
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            message.push_str(before);
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            let (name, words) = name
                .split_once(':')
                .map_or((name, None), |(name, words)| (name, words.split_once('|')));
            let value = variables.iter().find(|(key, _)| *key == name);
            let value = value.map_or("", |(_, value)| value);
            message.push_str(match words {
                None => value,
                Some((one, _)) if value == "1" => one,
                Some((_, more)) => more,
            });
            rest = after;
        }
        message.push_str(rest);
        Self {
            reason,
            message,
            variables,
        }
    }
}

/// A bad field in words.
#[must_use]
#[expect(clippy::too_many_lines, reason = "one arm a fault, read as a table")]
pub fn of_fault(field: &str, fault: &Fault) -> Prose {
    use ErrorReason as Reason;
    let mut variables: Variables = vec![("field", field.to_owned())];
    let mut with = |name, value: &dyn ToString| variables.push((name, value.to_string()));
    let (reason, template) = match fault {
        Fault::Required => (Reason::FieldRequired, "{field} is required"),
        Fault::InvalidAmount { value, fault } => {
            with("value", value);
            with("problem", &amount_problem(*fault));
            (
                Reason::InvalidAmount,
                "{field} \"{value}\" is no amount: {problem}; write it like \"12\" or \"0.25\"",
            )
        }
        Fault::InvalidQuantity { value } => {
            with("value", value);
            (
                Reason::InvalidQuantity,
                "{field} \"{value}\" must be more than 0",
            )
        }
        Fault::QuantityOutOfRange { value } => {
            with("value", value);
            (
                Reason::InvalidQuantity,
                "{field} of {value} is no duration: at most 315576000000 s, seconds and nanos of one sign",
            )
        }
        Fault::WrongQuantity { service, meter } => {
            with("service", service);
            with("meter", meter);
            (
                Reason::WrongQuantity,
                "{field} does not fit: service \"{service}\" is priced by {meter}",
            )
        }
        Fault::QuantityTooLarge {
            service,
            value,
            limit,
        } => {
            with("service", service);
            with("value", value);
            with("limit", limit);
            (
                Reason::QuantityTooLarge,
                "{field} of {value} is over the limit of {limit} for service \"{service}\"",
            )
        }
        Fault::UnknownService {
            service,
            rate_card,
            nearest,
        } => {
            with("service", service);
            with("rate_card", rate_card);
            let (nearest, close) = nearest.clone().unwrap_or_default();
            // The metadata has it in any case; people are not sent after what is not alike.
            if !nearest.is_empty() {
                with("nearest_service", &nearest);
            }
            let template = if close {
                "{field} \"{service}\" is not on rate card \"{rate_card}\"; did you mean \"{nearest_service}\"? GetRateCard lists all services"
            } else {
                "{field} \"{service}\" is not on rate card \"{rate_card}\"; GetRateCard lists all services"
            };
            (Reason::UnknownService, template)
        }
        Fault::UnknownMeter { meter, service } => {
            with("meter", meter);
            with("service", service);
            (
                Reason::UnknownMeter,
                "{field} has \"{meter}\", which does not price service \"{service}\"",
            )
        }
        Fault::UnknownAttribute { attribute, service } => {
            with("attribute", attribute);
            with("service", service);
            (
                Reason::UnknownAttribute,
                "{field} has \"{attribute}\", which does not price service \"{service}\"",
            )
        }
        Fault::CostTooLarge => {
            with("limit", &Credits::MAX);
            (
                Reason::CostTooLarge,
                "{field} makes a cost of more than {limit} credits, the largest amount; split it",
            )
        }
        Fault::BatchEmpty { limit } => {
            with("limit", limit);
            (
                Reason::BatchEmpty,
                "{field} is empty; send 1 to {limit} items",
            )
        }
        Fault::TooManyItems { size, limit } => {
            with("size", size);
            with("limit", limit);
            (
                Reason::TooManyItems,
                "{field} has {size} items; the limit is {limit}",
            )
        }
        Fault::ReplyTooLarge {
            limit_bytes,
            items_that_fit,
        } => {
            with("limit_bytes", limit_bytes);
            with("items_that_fit", items_that_fit);
            (
                Reason::ReplyTooLarge,
                "the reply to {field} would pass the {limit_bytes} bytes that clients take by default; send at most {items_that_fit} such {items_that_fit:item|items} a call",
            )
        }
        Fault::InvalidTime { value, rule } => {
            let value = value.map_or_else(|| "out of range".to_owned(), rfc3339::format);
            with("value", &value);
            with("rule", &time_rule(*rule));
            (Reason::InvalidTime, "{field} {value} must be {rule}")
        }
        Fault::ConflictingFields { other } => {
            with("other_field", other);
            (
                Reason::ConflictingFields,
                "{field} cannot go together with {other_field}",
            )
        }
        Fault::InvalidAccount { value, length } => {
            with("value", value);
            with("length_bytes", length);
            (
                Reason::InvalidAccount,
                "{field} \"{value}\" of {length_bytes} {length_bytes:byte|bytes} is no account name; use 1 to 128 printable ASCII characters but space, \" and \\",
            )
        }
        Fault::InvalidRequestId { value, length } => {
            with("value", value);
            with("length_bytes", length);
            (
                Reason::InvalidRequestId,
                "{field} \"{value}\" of {length_bytes} {length_bytes:byte|bytes} is no request_id; use 1 to 256 printable ASCII characters",
            )
        }
        Fault::UnknownValue { value } => {
            with("value", value);
            (
                Reason::UnknownValue,
                "{field} {value} is no value that this server knows; use one of the enum's names",
            )
        }
        Fault::InvalidTtl {
            value,
            limit_seconds,
        } => {
            with("value", value);
            with("limit", &format!("{limit_seconds} s"));
            (
                Reason::InvalidTtl,
                "{field} of {value} must be more than 0 and at most {limit}",
            )
        }
        Fault::InvalidPageSize { value } => {
            with("value", value);
            (
                Reason::InvalidPageSize,
                "{field} {value} is negative; use 0 for the default of 50",
            )
        }
        Fault::InvalidPageToken => (
            Reason::InvalidPageToken,
            "{field} is not from this list; take next_page_token as it came, with the same filters",
        ),
        Fault::InvalidPair {
            key,
            part,
            length,
            min,
            max,
        } => {
            with("key", key);
            with("length_bytes", length);
            with("length_bytes_min", min);
            with("length_bytes_max", max);
            let template = match part {
                PairPart::Key => {
                    "{field} has a key of {length_bytes} bytes, \"{key}\"; it must have {length_bytes_min} to {length_bytes_max}"
                }
                PairPart::Value => {
                    "{field} has a value of {length_bytes} bytes under \"{key}\"; it must have {length_bytes_min} to {length_bytes_max}"
                }
            };
            (Reason::InvalidLength, template)
        }
        Fault::InvalidLength { length, min, max } => {
            with("length_bytes", length);
            with("length_bytes_min", min);
            with("length_bytes_max", max);
            (
                Reason::InvalidLength,
                "{field} is {length_bytes} {length_bytes:byte|bytes} long; it must have {length_bytes_min} to {length_bytes_max}",
            )
        }
    };
    Prose::new(reason, template, variables)
}

const fn amount_problem(fault: AmountFault) -> &'static str {
    match fault {
        AmountFault::Empty => "it is empty",
        AmountFault::Grammar => "only digits and one point are allowed",
        AmountFault::Negative => "it is negative",
        AmountFault::Zero => "it is zero",
        AmountFault::Decimals => "it has more than 9 decimals",
        AmountFault::TooLarge => "it is more than 9000000000",
        AmountFault::TooLong => "it is too long",
    }
}

const fn time_rule(rule: TimeRule) -> &'static str {
    match rule {
        TimeRule::Future => "later than now",
        TimeRule::NotFuture => "now or earlier",
        TimeRule::InRange => "in the years 1 to 9999",
    }
}

/// A refusal that is about more than a field, with its code. None for bad
/// fields, which [`of_fault`] tells one by one.
#[must_use]
#[expect(clippy::too_many_lines, reason = "one arm a refusal, read as a table")]
pub fn of_refusal(refusal: &Refusal) -> Option<(Code, Prose)> {
    use ErrorReason as Reason;
    let told = match refusal {
        Refusal::Invalid(_) => return None,
        Refusal::RateCardNotFound { rate_card, at } => (
            Code::NotFound,
            Prose::new(
                Reason::RateCardNotFound,
                "no rate card \"{rate_card}\" is in force at {time}; name one that is, or choose another price_time",
                vec![
                    ("rate_card", rate_card.to_string()),
                    ("time", rfc3339::format(*at)),
                ],
            ),
        ),
        Refusal::RevisionNotFound { revision } => (
            Code::NotFound,
            Prose::new(
                Reason::RevisionNotFound,
                "revision \"{revision}\" was never served here; take one from an Estimate or leave it out",
                vec![("revision", revision.to_string())],
            ),
        ),
        Refusal::RevisionTooOld {
            revision,
            replaced,
            days_max,
        } => (
            Code::FailedPrecondition,
            Prose::new(
                Reason::RevisionTooOld,
                "the prices of revision \"{revision}\" were replaced at {replaced_time}, and this server honours them for {age_days_max} {age_days_max:day|days}; estimate again",
                vec![
                    ("revision", revision.to_string()),
                    ("replaced_time", rfc3339::format(*replaced)),
                    ("age_days_max", days_max.to_string()),
                ],
            ),
        ),
        Refusal::AccountNotFound { account } => (
            Code::NotFound,
            Prose::new(
                Reason::AccountNotFound,
                "account \"{account}\" does not exist; its first Grant opens it",
                vec![("account", account.to_string())],
            ),
        ),
        Refusal::RequestIdReused {
            account,
            request_id,
        } => (
            Code::AlreadyExists,
            Prose::new(
                Reason::RequestIdReused,
                "request_id \"{request_id}\" was already used on account \"{account}\" with other contents; send the same contents to read that answer, or a new request_id",
                vec![
                    ("account", account.to_string()),
                    ("request_id", request_id.as_str().to_owned()),
                ],
            ),
        ),
        Refusal::TooManyGrants { account, limit } => (
            Code::FailedPrecondition,
            Prose::new(
                Reason::TooManyGrants,
                "account \"{account}\" has {limit} grants with something left, the most that it may have; spend some first or grant less often",
                vec![
                    ("account", account.to_string()),
                    ("limit", limit.to_string()),
                ],
            ),
        ),
        Refusal::TooManyHolds { account, limit } => (
            Code::FailedPrecondition,
            Prose::new(
                Reason::TooManyHolds,
                "account \"{account}\" has {limit} open holds, the most that it may have; settle or release some first",
                vec![
                    ("account", account.to_string()),
                    ("limit", limit.to_string()),
                ],
            ),
        ),
        Refusal::InsufficientCredits {
            account,
            required,
            available,
            shortfall,
        } => (
            Code::FailedPrecondition,
            Prose::new(
                Reason::InsufficientCredits,
                "account \"{account}\" needs {required} {required:credit|credits} and has {available} available for this; {shortfall} short",
                vec![
                    ("account", account.to_string()),
                    ("required", required.to_string()),
                    ("available", available.to_string()),
                    ("shortfall", shortfall.to_string()),
                ],
            ),
        ),
        Refusal::HoldNotFound { hold } => (
            Code::NotFound,
            Prose::new(
                Reason::HoldNotFound,
                "this account has no hold \"{hold_id}\"",
                vec![("hold_id", hold.to_string())],
            ),
        ),
        Refusal::HoldClosed { hold, status } => (
            Code::FailedPrecondition,
            Prose::new(
                Reason::HoldClosed,
                "hold \"{hold_id}\" is {status}; only an open hold can change",
                vec![
                    ("hold_id", hold.to_string()),
                    ("status", status.name().to_owned()),
                ],
            ),
        ),
        Refusal::HoldExceeded {
            hold,
            required,
            held,
        } => (
            Code::FailedPrecondition,
            Prose::new(
                Reason::HoldExceeded,
                "the settlement of {required} is more than the {held} that hold \"{hold_id}\" has left; ask for OVERAGE_FROM_AVAILABLE to take the rest from the balance",
                vec![
                    ("hold_id", hold.to_string()),
                    ("required", required.to_string()),
                    ("held", held.to_string()),
                ],
            ),
        ),
        Refusal::HoldServiceMismatch {
            hold,
            hold_service,
            service,
        } => (
            Code::FailedPrecondition,
            Prose::new(
                Reason::HoldServiceMismatch,
                "hold \"{hold_id}\" was made for \"{hold_service}\" and cannot pay for \"{service}\"",
                vec![
                    ("hold_id", hold.to_string()),
                    ("hold_service", hold_service.to_string()),
                    ("service", service.to_string()),
                ],
            ),
        ),
        Refusal::EntryNotFound { entry } => (
            Code::NotFound,
            Prose::new(
                Reason::EntryNotFound,
                "this account has no entry \"{entry_id}\"",
                vec![("entry_id", entry.to_string())],
            ),
        ),
        Refusal::EntryNotRefundable { entry, kind } => (
            Code::FailedPrecondition,
            Prose::new(
                Reason::EntryNotRefundable,
                "entry \"{entry_id}\" is a {kind}; only a CHARGE or a SETTLE can be refunded",
                vec![
                    ("entry_id", entry.to_string()),
                    ("kind", kind.to_uppercase()),
                ],
            ),
        ),
        Refusal::RefundExceedsCharge {
            entry,
            requested,
            refundable,
        } => (
            Code::FailedPrecondition,
            Prose::new(
                Reason::RefundExceedsCharge,
                "{requested} {requested:credit is|credits are} more than the {refundable} that can still be refunded of entry \"{entry_id}\"",
                vec![
                    ("entry_id", entry.to_string()),
                    ("requested", requested.to_string()),
                    ("refundable", refundable.to_string()),
                ],
            ),
        ),
        Refusal::GrantNotFound { grant } => (
            Code::NotFound,
            Prose::new(
                Reason::GrantNotFound,
                "this account has no grant \"{grant_id}\"",
                vec![("grant_id", grant.to_string())],
            ),
        ),
        Refusal::BalanceTooLarge { account, limit } => (
            Code::FailedPrecondition,
            Prose::new(
                Reason::BalanceTooLarge,
                "account \"{account}\" would pass the limit of {limit} credits; spend some first or use another account",
                vec![
                    ("account", account.to_string()),
                    ("limit", limit.to_string()),
                ],
            ),
        ),
    };
    Some(told)
}
