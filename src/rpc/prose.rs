//! The sentence, the reason and the code of each refusal by the rules. Those of bad fields
//! stand in [`field`].
//!
//! A sentence is a template over the refusal's variables, and exactly those variables are the
//! metadata of its ErrorInfo: no program has to parse a message. `error_reason.proto` has an
//! example of each, which a test compares.

pub mod field;

use tonic::Code;

use super::pb::creditd::v1::ErrorReason;
use crate::domain::Refusal;
use crate::domain::refusal::CardNamedBy;
use crate::domain::schedule::{CardState, NameTaken, Origin};
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

/// The code and the words of a refusal. None for bad fields, each of which has words of its
/// own: [`field::prose`].
#[must_use]
#[expect(clippy::too_many_lines, reason = "one arm a refusal, read as a table")]
pub fn refusal(refusal: &Refusal) -> Option<(Code, Prose)> {
    use ErrorReason as Reason;
    let (code, prose) = match refusal {
        Refusal::Invalid(_) => return None,
        Refusal::RateCardNotFound {
            rate_card,
            at,
            named_by,
        } => (
            Code::NotFound,
            Prose::new(
                Reason::RateCardNotFound,
                match named_by {
                    CardNamedBy::Request => {
                        "no rate card \"{rate_card}\" is in force at {time}; name one that is, or choose another price_time"
                    }
                    CardNamedBy::Account => {
                        "rate card \"{rate_card}\", which the account has, is not in force at {time}; publish it, or give the account another with UpdateAccount"
                    }
                    CardNamedBy::Update => {
                        "no rate card \"{rate_card}\" is there at {time}; publish it first, or name one that ListRateCards has"
                    }
                },
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
        Refusal::RevisionOfAnother {
            revision,
            rate_card,
        } => (
            Code::NotFound,
            Prose::new(
                Reason::RevisionNotFound,
                "revision \"{revision}\" is none of rate card \"{rate_card}\"; leave out rate_card or revision",
                vec![
                    ("revision", revision.to_string()),
                    ("rate_card", rate_card.to_string()),
                ],
            ),
        ),
        Refusal::RevisionNotPublished { revision } => (
            Code::NotFound,
            Prose::new(
                Reason::RevisionNotFound,
                "revision \"{revision}\" was never published here; ListRateCards has all revisions",
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
        Refusal::RateCardNameTaken {
            rate_card,
            taken_by,
        } => (Code::AlreadyExists, name_taken(rate_card, taken_by)),
        Refusal::RateCardNotScheduled {
            revision,
            origin,
            state,
        } => (
            Code::FailedPrecondition,
            not_scheduled(revision, *origin, *state),
        ),
        Refusal::TooManyRateCards {
            rate_card,
            limit,
            scheduled,
        } => (
            Code::FailedPrecondition,
            Prose::new(
                Reason::TooManyRateCards,
                match scheduled {
                    true => {
                        "rate card \"{rate_card}\" has {limit} revisions that are scheduled, the most that it may have; withdraw one first"
                    }
                    false => {
                        "rate card \"{rate_card}\" is one too many: rate cards were published {limit} times, the most that this server keeps, and to withdraw one frees none; serve further cards from files, under names that were not published"
                    }
                },
                vec![
                    ("rate_card", rate_card.to_string()),
                    ("limit", limit.to_string()),
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
        Refusal::HistoryArchived {
            account,
            archive,
            oldest,
        } => (
            Code::FailedPrecondition,
            Prose::new(
                Reason::HistoryArchived,
                "what account \"{account}\" did before {oldest_time} is in archive {archive}; ask a server over a copy of that file",
                vec![
                    ("account", account.to_string()),
                    ("archive", archive.to_string()),
                    ("oldest_time", rfc3339::format(*oldest)),
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
        Refusal::NotAllowed {
            scope,
            with_account,
        } => (
            Code::PermissionDenied,
            Prose::new(
                Reason::NotAllowed,
                match with_account {
                    false => "the key may not do that; it takes one with scope \"{scope}\"",
                    true => {
                        "the key may not do that with this account; it takes one with scope \"{scope}\" whose accounts include it"
                    }
                },
                vec![("scope", scope.name().to_owned())],
            ),
        ),
        Refusal::RateLimited { of, limit, .. } => (
            Code::ResourceExhausted,
            Prose::new(
                Reason::RateLimited,
                "the {of} is called for more than {limit} {limit:time|times} a second, its limit; try again when RetryInfo says",
                vec![("limit", limit.to_string()), ("of", of.name().to_owned())],
            ),
        ),
        Refusal::KeyNotFound { key_id } => (
            Code::NotFound,
            Prose::new(
                Reason::KeyNotFound,
                "no key has the key_id \"{key_id}\"; \"creditd keys list\" shows the keys",
                vec![("key_id", key_id.to_string())],
            ),
        ),
        Refusal::TooManyKeys { limit } => (
            Code::FailedPrecondition,
            Prose::new(
                Reason::TooManyKeys,
                "there are {limit} keys, the most that a server keeps; revoke one first",
                vec![("limit", limit.to_string())],
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
    Some((code, prose))
}

/// What has the name of a rate card that is to be published, and what to do about it.
fn name_taken(rate_card: &str, taken_by: &NameTaken) -> Prose {
    let of_name = ("rate_card", rate_card.to_owned());
    let (template, more) = match taken_by {
        NameTaken::Origin(origin) => {
            let template = match origin {
                Origin::BuiltIn => {
                    "the name \"{rate_card}\" is taken by the rate card of origin \"{origin}\"; publish it under another name, or start the server with files of its own, by --rate-card-file"
                }
                Origin::File => {
                    "the name \"{rate_card}\" is taken by a rate card of origin \"{origin}\"; publish it under another name, or take that card out of the server's files first"
                }
                Origin::Published => {
                    "the name \"{rate_card}\" is taken by a rate card of origin \"{origin}\"; take the file away and publish it, or give its card another name"
                }
            };
            (template, vec![("origin", origin.name().to_owned())])
        }
        NameTaken::EffectiveTime {
            effective_time,
            revision,
        } => (
            "the name \"{rate_card}\" with effective_time {effective_time} is taken by revision \"{revision}\" of origin \"{origin}\", whose time has come; give the card a later effective_time, or none to put it in force at once",
            vec![
                ("origin", Origin::Published.name().to_owned()),
                ("effective_time", rfc3339::format(*effective_time)),
                ("revision", revision.to_string()),
            ],
        ),
    };
    let variables = std::iter::once(of_name).chain(more).collect();
    Prose::new(ErrorReason::RateCardNameTaken, template, variables)
}

/// Why a rate card cannot be withdrawn.
fn not_scheduled(revision: &str, origin: Origin, state: CardState) -> Prose {
    let state = match state {
        CardState::InForce => "in force",
        CardState::Scheduled => "scheduled",
        CardState::Replaced => "replaced",
        CardState::Withdrawn => "withdrawn",
    };
    let template = match (origin, state) {
        (Origin::Published, "in force") => {
            "revision \"{revision}\" of origin \"{origin}\" is {state} and cannot be withdrawn; publish another card in its place"
        }
        (Origin::Published, _) => {
            "revision \"{revision}\" of origin \"{origin}\" is {state}, so there is nothing to withdraw"
        }
        (Origin::BuiltIn | Origin::File, _) => {
            "revision \"{revision}\" of origin \"{origin}\" is {state} and was not published; change the files of the server instead"
        }
    };
    Prose::new(
        ErrorReason::RateCardNotScheduled,
        template,
        vec![
            ("revision", revision.to_owned()),
            ("origin", origin.name().to_owned()),
            ("state", state.to_owned()),
        ],
    )
}
