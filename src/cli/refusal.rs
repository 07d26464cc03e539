//! Refusals in the words of the command line: flags where the API has fields, and what to type
//! next.

use std::fmt::Write as _;

use tonic::Status;

use super::failure::{Failure, FieldViolation, Kind};
use super::times;
use crate::rpc::client::root_cause;
use crate::rpc::pb::creditd::v1::ErrorReason;
use crate::rpc::refused::{error_info, field_violations, reason_name, retry_delay};

/// What a command calls the fields of its request, and which account it is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words<'a> {
    pub(super) account: &'a str,
    /// Those that differ from [`FLAGS`].
    pub(super) flags: &'static [(&'static str, &'static str)],
    /// What to do about reasons, beside what the API's sentences say.
    pub(super) hints: &'static [(ErrorReason, &'static str)],
}

impl<'a> Words<'a> {
    pub(super) const fn of(account: &'a str) -> Self {
        Self {
            account,
            flags: &[],
            hints: &[],
        }
    }
}

/// Paths of fields, and what they are on the command line. Those of positional arguments
/// have their own name, and the last part of any other path will do.
const FLAGS: &[(&str, &str)] = &[
    ("usage.duration", "--duration"),
    ("duration", "--duration"),
    ("usage.count", "--count"),
    ("count", "--count"),
    ("credits", "--credits"),
    ("ttl", "--ttl"),
    ("expire_time", "--expire-time"),
    ("priority", "--priority"),
    ("source", "--source"),
    ("services", "--service"),
    ("labels", "--label"),
    ("request_id", "--request-id"),
    ("overage", "--overage"),
    ("prices", "prices"),
    ("prices.account", "--account"),
    ("prices.rate_card", "--rate-card"),
    ("prices.revision", "--revision"),
    ("prices.price_time", "--price-time"),
    ("as_of", "--as-of"),
    ("page_size", "--page-size"),
    ("prefix", "--prefix"),
    ("start_time", "--since"),
    ("end_time", "--until"),
    ("kinds", "--kind"),
    ("hold_id", "hold"),
    ("entry_id", "entry"),
    ("grant_id", "grant"),
];

/// What the API's sentences advise, and what that is on the command line.
const ADVICE: &[(&str, &str)] = &[
    (
        "GetRateCard lists all services",
        "\"creditd rates\" lists all services",
    ),
    (
        "its first Grant opens it",
        "its first \"creditd grant\" opens it",
    ),
    (
        "ask for OVERAGE_FROM_AVAILABLE to take",
        "add --overage from-available to take",
    ),
    (
        "take one from an Estimate or leave it out",
        "take one from \"creditd estimate\" or leave --revision out",
    ),
    (
        "name one that ListRateCards has",
        "name one that \"creditd rates list\" has",
    ),
    (
        "give the account another with UpdateAccount",
        "give the account another with \"creditd account\"",
    ),
    (
        "leave out rate_card or revision",
        "leave out --rate-card or --revision",
    ),
    (
        "ListRateCards has all revisions",
        "\"creditd rates list\" has all revisions",
    ),
    (
        "send \"authorization: Bearer creditd_...\" with each call",
        "give one by CREDITD_KEY or --key-file",
    ),
    (
        "send one that \"creditd keys list\" shows",
        "give another by CREDITD_KEY or --key-file",
    ),
    ("choose another price_time", "choose another --price-time"),
    ("estimate again", "run \"creditd estimate\" again"),
];

/// A refusal, or a call that broke off. `server` is its address for the message.
pub(super) fn failure(words: Words<'_>, server: &str, status: &Status) -> Failure {
    let Some(info) = error_info(status.details()) else {
        return broken(server, status);
    };
    let violations = field_violations(status.details());
    let mut message = match violations.as_slice() {
        [] | [_] => format!("{} ({})", status.message(), info.reason),
        all => {
            let all = all.iter().map(|violation| {
                let description = in_flags(&violation.description, &violation.field, words);
                format!("{description} ({})", violation.reason)
            });
            all.collect::<Vec<_>>().join("; ")
        }
    };
    if violations.len() < 2 {
        for name in ["field", "other_field"] {
            if let Some(field) = info.metadata.get(name) {
                message = in_flags(&message, field, words);
            }
        }
    }
    for (api, here) in ADVICE {
        message = message.replace(api, here);
    }
    if let Some(hint) = hint(&info.reason, words) {
        let _ = write!(message, "; {hint}");
    }
    let mut failure = Failure::new(Kind::of_code(status.code()), message).with_code(status.code());
    let details = &mut failure.details;
    details.reason = info.reason;
    details.metadata = info.metadata.into_iter().collect();
    let violation =
        |violation: crate::rpc::pb::google::rpc::bad_request::FieldViolation| FieldViolation {
            field: violation.field,
            reason: violation.reason,
            description: violation.description,
        };
    details.field_violations = violations.into_iter().map(violation).collect();
    details.x_request_id = x_request_id(status);
    details.retry_delay = retry_delay(status.details())
        .map_or_else(String::new, |after| times::duration_text(&after));
    failure
}

/// The id of the call, where its reply had one.
fn x_request_id(status: &Status) -> String {
    let id = status.metadata().get("x-request-id");
    let id = id.and_then(|id| id.to_str().ok());
    id.unwrap_or_default().to_owned()
}

/// An error without creditd's details: it comes from the connection, or from a proxy.
fn broken(server: &str, status: &Status) -> Failure {
    use tonic::Code;
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(status);
    while let Some(error) = source {
        if error.is::<tonic::TimeoutExpired>() {
            return Failure::new(
                Kind::Unavailable,
                format!("{server} did not answer within --timeout"),
            )
            .with_code(Code::DeadlineExceeded);
        }
        source = error.source();
    }
    let (kind, message) = match (std::error::Error::source(status), status.code()) {
        (Some(_), code) => (
            Kind::Unavailable,
            format!(
                "the call broke off: {} ({code:?}); see that {server} is a creditd's address for calls, not that of metrics, and that it has room for one more connection",
                root_cause(status)
            ),
        ),
        (None, Code::Unimplemented) => (
            Kind::Unavailable,
            format!(
                "what answers at {server} does not know this call ({}): it is no creditd, or an older one",
                status.message()
            ),
        ),
        // By a signal to this program.
        (None, Code::Cancelled) => (Kind::Failed, status.message().to_owned()),
        (None, code) => (
            Kind::Unavailable,
            format!("the call broke off: {} ({code:?})", status.message()),
        ),
    };
    Failure::new(kind, message).with_code(status.code())
}

/// A sentence with the flag in place of a field's path.
fn in_flags(sentence: &str, field: &str, words: Words<'_>) -> String {
    let flag = flag(field, words);
    match sentence.strip_prefix(field) {
        Some(rest) => format!("{flag}{rest}"),
        // Whole words alone: many sentences contain "credits".
        None => sentence.replace(&format!(" {field} "), &format!(" {flag} ")),
    }
}

/// What a field is on the command line.
fn flag<'f>(field: &'f str, words: Words<'_>) -> &'f str {
    // An item of a list is its list.
    let path = field.split_once('[').map_or(field, |(list, _)| list);
    let known = words.flags.iter().chain(FLAGS);
    let found = known.into_iter().find(|(name, _)| *name == path);
    let last = path.rsplit_once('.').map_or(path, |(_, last)| last);
    found.map_or(last, |(_, flag)| *flag)
}

fn hint(reason: &str, words: Words<'_>) -> Option<String> {
    let is = |known: ErrorReason| reason == reason_name(known);
    let account = words.account;
    let of_command = words.hints.iter().find(|(known, _)| is(*known));
    if let Some((_, hint)) = of_command {
        Some((*hint).to_owned())
    } else if is(ErrorReason::HoldNotFound) {
        Some(format!(
            "\"creditd holds {account}\" lists those that are open"
        ))
    } else if is(ErrorReason::EntryNotFound) {
        Some(format!("\"creditd entries {account}\" lists them"))
    } else if is(ErrorReason::GrantNotFound) {
        Some(format!(
            "\"creditd balance {account}\" lists those that are live"
        ))
    } else {
        None
    }
}

/// Whether a write that failed so may have moved credits all the same.
pub(super) fn may_have_moved(status: &Status) -> bool {
    let unknown = [
        ErrorReason::DeadlineExceeded,
        ErrorReason::StoreUnavailable,
        ErrorReason::Internal,
    ];
    // A server that does not have the method has not carried it out.
    if status.code() == tonic::Code::Unimplemented {
        return false;
    }
    error_info(status.details()).is_none_or(|info| {
        unknown
            .iter()
            .any(|reason| info.reason == reason_name(*reason))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Advice that the API does not give any more would stand here for nothing.
    #[test]
    fn every_advice_stands_in_a_sentence_of_the_api() {
        let proto = include_str!("../../proto/creditd/v1/error_reason.proto");
        for (api, _) in ADVICE {
            assert!(proto.contains(api), "{api}");
        }
    }

    #[test]
    fn fields_are_told_as_flags() {
        let words = Words {
            account: "team-a",
            flags: &[("credits", "credits")],
            hints: &[],
        };
        for (sentence, field, expected) in [
            (
                "usage.duration is required",
                "usage.duration",
                "--duration is required",
            ),
            (
                "usage.service \"x\" is",
                "usage.service",
                "service \"x\" is",
            ),
            (
                "credits \"1e3\" is no amount",
                "credits",
                "credits \"1e3\" is no amount",
            ),
            ("services[1] is", "services[1]", "--service is"),
            (
                "--price-time cannot go together with prices.revision (X)",
                "prices.revision",
                "--price-time cannot go together with --revision (X)",
            ),
            ("something.new is", "something.new", "new is"),
        ] {
            assert_eq!(in_flags(sentence, field, words), expected);
        }
    }
}
