//! The sentence and the reason of everything that can be wrong with a field.

use super::{Prose, Variables};
use crate::domain::Violation;
use crate::domain::amount::{AmountError, Credits};
use crate::domain::names::cut;
use crate::domain::violation::{PairPart, TimeRule};
use crate::rfc3339;
use crate::rpc::pb::creditd::v1::ErrorReason;

/// How much of a list of values callers are told: it travels as metadata, which has a limit.
const VALUES_BYTES_MAX: usize = 512;

/// What is wrong with the field, in words.
#[must_use]
#[expect(
    clippy::too_many_lines,
    reason = "one arm a violation, read as a table"
)]
pub fn prose(field: &str, violation: &Violation) -> Prose {
    use ErrorReason as Reason;
    let mut variables: Variables = vec![("field", field.to_owned())];
    let mut with = |name, value: &dyn ToString| variables.push((name, value.to_string()));
    let (reason, template) = match violation {
        Violation::Required => (Reason::FieldRequired, "{field} is required"),
        Violation::InvalidAmount {
            value,
            error: violation,
        } => {
            with("value", value);
            with("problem", &amount_problem(*violation));
            (
                Reason::InvalidAmount,
                "{field} \"{value}\" is no amount: {problem}; write it like \"12\" or \"0.25\"",
            )
        }
        Violation::InvalidKey { problem } => {
            with("problem", problem);
            (Reason::InvalidKey, "{field} is not usable: {problem}")
        }
        Violation::InvalidQuantity { value } => {
            with("value", value);
            (
                Reason::InvalidQuantity,
                "{field} \"{value}\" must be more than 0",
            )
        }
        Violation::QuantityOutOfRange { value } => {
            with("value", value);
            (
                Reason::InvalidQuantity,
                "{field} of {value} is no duration: at most 315576000000 s, seconds and nanos of one sign",
            )
        }
        Violation::InvalidMeter { value } => {
            with("value", value);
            (
                Reason::InvalidQuantity,
                "{field} \"{value}\" is no decimal number of zero or more, or has more decimals than this meter",
            )
        }
        Violation::WrongQuantity { service, meter } => {
            with("service", service);
            with("meter", meter);
            (
                Reason::WrongQuantity,
                "{field} does not fit: service \"{service}\" is priced by {meter}",
            )
        }
        Violation::QuantityTooLarge {
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
        Violation::UnknownService {
            service,
            rate_card,
            nearest,
        } => {
            with("service", service);
            with("rate_card", rate_card);
            let (nearest, close) = nearest.clone().unwrap_or_default();
            // The nearest key is always in the metadata. The sentence suggests it only if it is close.
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
        Violation::UnknownMeter {
            meter,
            service,
            known,
        } => {
            with("meter", meter);
            with("service", service);
            let template = if known.is_empty() {
                "{field} has \"{meter}\", which does not price service \"{service}\""
            } else {
                with("meters", &first_values(known));
                "{field} has \"{meter}\", which does not price service \"{service}\"; it takes {meters}"
            };
            (Reason::UnknownMeter, template)
        }
        Violation::UnknownAttribute {
            attribute,
            service,
            known,
        } => {
            with("attribute", attribute);
            with("service", service);
            let template = if known.is_empty() {
                "{field} has \"{attribute}\", which does not price service \"{service}\""
            } else {
                with("attributes", &first_values(known));
                "{field} has \"{attribute}\", which does not price service \"{service}\"; it takes {attributes}"
            };
            (Reason::UnknownAttribute, template)
        }
        Violation::UnknownAttributeValue {
            attribute,
            value,
            values,
            service,
        } => {
            with("attribute", attribute);
            with("value", value);
            with("values", &first_values(values));
            with("service", service);
            (
                Reason::UnknownAttributeValue,
                "{field} is \"{value}\"; service \"{service}\" has {values}",
            )
        }
        Violation::AttributeNotSent { attribute, service } => {
            with("attribute", attribute);
            with("service", service);
            (
                Reason::UnknownAttribute,
                "{field} has \"{attribute}\", which callers cannot send: service \"{service}\" takes it from the account or the clock",
            )
        }
        Violation::UnknownAccountValue {
            attribute,
            value,
            values,
            service,
        } => {
            with("attribute", attribute);
            with("value", value);
            with("values", &first_values(values));
            with("service", service);
            (
                Reason::UnknownAttributeValue,
                "{field} of the account is \"{value}\"; service \"{service}\" has {values}",
            )
        }
        Violation::NoAccountAttribute { attribute } => {
            with("attribute", attribute);
            (
                Reason::UnknownAttribute,
                "{field} has \"{attribute}\", which no rate card in force asks of an account; GetRateCard lists attributes and where they come from",
            )
        }
        Violation::NoAccountValue {
            attribute,
            value,
            values,
        } => {
            with("attribute", attribute);
            with("value", value);
            with("values", &first_values(values));
            (
                Reason::UnknownAttributeValue,
                "{field} has {attribute} \"{value}\"; the rate cards in force know {values}",
            )
        }
        Violation::NotOffered { service, why } => {
            with("service", service);
            with("why", why);
            (
                Reason::NotOffered,
                "{field} \"{service}\" is not offered so: {why}",
            )
        }
        Violation::MetersDisagree {
            service,
            formula,
            value,
            meter,
        } => {
            with("service", service);
            with("formula", formula);
            with("value", value);
            with("meter", meter);
            (
                Reason::MetersDisagree,
                "{field} of service \"{service}\" disagree: {formula} is {value}; {meter} is part of what it is taken from",
            )
        }
        Violation::QuantityTooSmall {
            service,
            value,
            limit,
        } => {
            with("service", service);
            with("value", value);
            with("limit", limit);
            (
                Reason::QuantityTooSmall,
                "{field} of {value} is under the limit of {limit} for service \"{service}\"",
            )
        }
        Violation::RateCardInvalid { line, problem } => {
            with("line", line);
            with("problem", problem);
            (Reason::RateCardInvalid, "{field}:{line}: {problem}")
        }
        Violation::CostTooLarge => {
            with("limit", &Credits::MAX);
            (
                Reason::CostTooLarge,
                "{field} makes a cost of more than {limit} credits, the largest amount; split it",
            )
        }
        Violation::BatchEmpty { limit } => {
            with("limit", limit);
            (
                Reason::BatchEmpty,
                "{field} is empty; send 1 to {limit} items",
            )
        }
        Violation::TooManyItems { size, limit } => {
            with("size", size);
            with("limit", limit);
            (
                Reason::TooManyItems,
                "{field} has {size} items; the limit is {limit}",
            )
        }
        Violation::ReplyTooLarge {
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
        Violation::InvalidTime { value, rule } => {
            let value = value.map_or_else(|| "out of range".to_owned(), rfc3339::format);
            with("value", &value);
            with("rule", &time_rule(*rule));
            (Reason::InvalidTime, "{field} {value} must be {rule}")
        }
        Violation::ConflictingFields { other } => {
            with("other_field", other);
            (
                Reason::ConflictingFields,
                "{field} cannot go together with {other_field}",
            )
        }
        Violation::InvalidAccount { value, length } => {
            with("value", value);
            with("length_bytes", length);
            (
                Reason::InvalidAccount,
                "{field} \"{value}\" of {length_bytes} {length_bytes:byte|bytes} is no account name; use 1 to 128 printable ASCII characters but space, \" and \\",
            )
        }
        Violation::InvalidRequestId { value, length } => {
            with("value", value);
            with("length_bytes", length);
            (
                Reason::InvalidRequestId,
                "{field} \"{value}\" of {length_bytes} {length_bytes:byte|bytes} is no request_id; use 1 to 256 printable ASCII characters",
            )
        }
        Violation::UnknownValue { value } => {
            with("value", value);
            (
                Reason::UnknownValue,
                "{field} {value} is no value that this server knows; use one of the enum's names",
            )
        }
        Violation::InvalidTtl {
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
        Violation::InvalidPageSize { value } => {
            with("value", value);
            (
                Reason::InvalidPageSize,
                "{field} {value} is negative; use 0 for the default of 50",
            )
        }
        Violation::InvalidPageToken => (
            Reason::InvalidPageToken,
            "{field} is not from this list; take next_page_token as it came, with the same filters",
        ),
        Violation::InvalidMask { paths } => {
            with("paths", paths);
            (
                Reason::InvalidMask,
                "{field} \"{paths}\" is not usable; name one or more of rate_card, attributes, labels",
            )
        }
        Violation::InvalidPair {
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
        Violation::InvalidLength { length, min, max } => {
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

/// The first values of a list.
fn first_values(values: &str) -> String {
    let start = cut(values, VALUES_BYTES_MAX);
    match start.rsplit_once(", ") {
        Some((whole, _)) if start != values => format!("{whole}, ..."),
        _ if start != values => format!("{start}..."),
        _ => values.to_owned(),
    }
}

const fn amount_problem(violation: AmountError) -> &'static str {
    match violation {
        AmountError::Empty => "it is empty",
        AmountError::Grammar => "only digits and one point are allowed",
        AmountError::Negative => "it is negative",
        AmountError::Zero => "it is zero",
        AmountError::Decimals => "it has more than 9 decimals",
        AmountError::TooLarge => "it is more than 9000000000",
        AmountError::TooLong => "it is too long",
    }
}

const fn time_rule(rule: TimeRule) -> &'static str {
    match rule {
        TimeRule::Future => "later than now",
        TimeRule::NotFuture => "now or earlier",
        TimeRule::InRange => "in the years 1 to 9999",
    }
}
