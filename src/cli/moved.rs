//! What a subcommand that writes prints of its answer.
//!
//! The write is on disk by then. If its answer cannot be printed, standard error says that it
//! is done, what it made, and how to print the answer again.

use prost::{Message, Name};

use super::account::{ShownAccount, pairs};
use super::failure::{Failure, Outcome};
use super::holds;
use super::output::{Format, facts, printed, write};
use super::remote::Write;
use crate::rpc::pb::creditd::v1 as pb;

/// What people read of an answer that has an entry.
pub(super) struct EntryAnswer<'a> {
    pub(super) entry: Option<&'a pb::Entry>,
    /// The hold that was settled.
    pub(super) hold: Option<&'a pb::HoldState>,
    pub(super) available: &'a str,
    pub(super) replayed: bool,
}

/// What people read of an answer that has a hold and no entry.
pub(super) struct HoldAnswer<'a> {
    pub(super) hold: Option<&'a pb::HoldState>,
    /// Empty where the call moves no credits.
    pub(super) available: &'a str,
    pub(super) replayed: bool,
}

/// Prints an answer with an entry. People read first what was `done` to how many
/// credits.
pub(super) fn print_entry<M: Message + Name>(
    format: Format,
    call: Write<'_>,
    (done, credits): (&str, fn(&pb::Entry) -> &str),
    reply: &M,
    answer: &EntryAnswer<'_>,
) -> Result<(), Failure> {
    let nothing = pb::Entry::default();
    let entry = answer.entry.unwrap_or(&nothing);
    let made = ("entry", entry.entry_id.as_str());
    let text = || {
        let status = answer.hold.map(holds::status).unwrap_or_default();
        let price_values = pairs(&entry.price_values);
        facts(&[
            (done, credits(entry)),
            // Grants whose time is over may have taken back what returned to them.
            ("available", answer.available),
            ("account", &entry.account),
            ("service", &entry.service),
            ("rate card", &entry.rate_card),
            ("revision", &entry.revision),
            // What the account and the clock said.
            ("priced by", &price_values),
            ("grant", &entry.grant_id),
            ("hold", &entry.hold_id),
            ("status", &status),
            ("still held", answer.hold.map_or("", |hold| &hold.held)),
            ("refund of", &entry.refunded_entry_id),
            ("entry", &entry.entry_id),
            ("request_id", &entry.request_id),
            ("replayed", replayed(answer.replayed)),
        ])
    };
    let missing = answer.entry.is_none().then_some("the server sent no entry");
    finish(call, (done, made), missing, printed(format, reply, text))
}

/// Prints an answer with a hold and no entry; `done` is what was done to it.
pub(super) fn print_hold<M: Message + Name>(
    format: Format,
    call: Write<'_>,
    done: &str,
    reply: &M,
    answer: &HoldAnswer<'_>,
) -> Result<(), Failure> {
    let nothing = pb::HoldState::default();
    let hold = answer.hold.unwrap_or(&nothing);
    let text = || {
        let shown = holds::ShownHold::of(hold);
        let mut text = shown.facts();
        text.extend([
            ("available", answer.available),
            ("request_id", call.request_id),
            ("replayed", replayed(answer.replayed)),
        ]);
        facts(&text)
    };
    let missing = answer.hold.is_none().then_some("the server sent no hold");
    let made = ("hold", hold.hold_id.as_str());
    finish(call, (done, made), missing, printed(format, reply, text))
}

/// Prints an answer with an account.
pub(super) fn print_account<M: Message + Name>(
    format: Format,
    call: Write<'_>,
    reply: &M,
    account: Option<&pb::Account>,
    is_replayed: bool,
) -> Result<(), Failure> {
    let nothing = pb::Account::default();
    let text = || {
        let shown = ShownAccount::of(account.unwrap_or(&nothing));
        let mut text = shown.facts();
        text.extend([
            ("request_id", call.request_id),
            ("replayed", replayed(is_replayed)),
        ]);
        facts(&text)
    };
    let missing = account.is_none().then_some("the server sent no account");
    let made = ("account", "");
    finish(call, ("set", made), missing, printed(format, reply, text))
}

/// Writes the answer, or says that it is done all the same.
fn finish(
    call: Write<'_>,
    (done, (kind, id)): (&str, (&str, &str)),
    missing: Option<&str>,
    text: Result<String, String>,
) -> Result<(), Failure> {
    let problem = match (missing, text) {
        (Some(missing), _) => missing.to_owned(),
        (None, Err(problem)) => problem,
        // A closed pipe is an error too: the caller has not read what moved.
        (None, Ok(text)) => match write(&text) {
            Ok(()) => return Ok(()),
            Err(error) => format!("standard output: {error}"),
        },
    };
    let Write {
        request_id, again, ..
    } = call;
    let what = match id {
        "" => String::new(),
        id => format!(", {kind} {id}"),
    };
    let mut failure = Failure::from(format!(
        "{problem}; but it is done ({done}{what}): run it again with --request-id {request_id}{again} to read the answer, and nothing moves twice"
    ));
    match kind {
        "entry" => failure.details.entry_id = id.to_owned(),
        "hold" => failure.details.hold_id = id.to_owned(),
        _ => {}
    }
    Err(call.mark(failure, Outcome::Done))
}

const fn replayed(replayed: bool) -> &'static str {
    if replayed {
        "yes: this request_id was answered before, nothing moved"
    } else {
        ""
    }
}
