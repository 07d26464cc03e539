//! What a subcommand that writes prints of its answer.
//!
//! As JSON it is the entry, or the hold where there is no entry, with the fields of
//! the answer among its own: `available` is what is left after all of it, and
//! `requestId` is there to be used again.

use serde::Serialize;

use super::entries::{self, EntryJson};
use super::holds::{self, HoldJson};
use super::output::{Format, facts, print};
use crate::rpc::pb::creditd::v1 as pb;

/// An answer that an entry was written for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EntryMoved {
    #[serde(flatten)]
    entry: EntryJson,
    /// The hold that was settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<HoldJson>,
    replayed: bool,
}

/// An answer about a hold.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HoldMoved {
    #[serde(flatten)]
    hold: HoldJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    available: Option<String>,
    request_id: String,
    replayed: bool,
}

/// An answer that has an entry.
pub(super) struct EntryAnswer {
    pub(super) entry: Option<pb::Entry>,
    pub(super) hold: Option<pb::HoldState>,
    pub(super) available: String,
    pub(super) replayed: bool,
}

/// An answer that has a hold and no entry.
pub(super) struct HoldAnswer {
    pub(super) hold: Option<pb::HoldState>,
    /// None where the call moves no credits.
    pub(super) available: Option<String>,
    pub(super) request_id: String,
    pub(super) replayed: bool,
}

/// Prints an answer with an entry. People read first what was `done` to how many
/// credits.
pub(super) fn print_entry(
    format: Format,
    done: &str,
    credits: impl Fn(&EntryJson) -> &str,
    answer: EntryAnswer,
) -> Result<(), String> {
    let entry = answer.entry.ok_or("the server sent no entry")?;
    let mut entry = entries::to_json(entry);
    // Grants whose time is over may have taken back what returned to them.
    entry.available = answer.available;
    let value = EntryMoved {
        entry,
        hold: answer.hold.map(holds::to_json),
        replayed: answer.replayed,
    };
    print(format, &value, || {
        let entry = &value.entry;
        let hold = value.hold.as_ref();
        facts(&[
            (done, credits(entry)),
            ("available", &entry.available),
            ("account", &entry.account),
            ("service", &entry.service),
            ("rate card", &entry.rate_card),
            ("revision", &entry.revision),
            ("grant", &entry.grant_id),
            ("hold", &entry.hold_id),
            ("status", hold.map_or("", |hold| &hold.status)),
            ("still held", hold.map_or("", |hold| &hold.held)),
            ("refund of", &entry.refunded_entry_id),
            ("entry", &entry.entry_id),
            ("request_id", &entry.request_id),
            ("replayed", replayed(value.replayed)),
        ])
    })
}

/// Prints an answer with a hold and no entry.
pub(super) fn print_hold(format: Format, answer: HoldAnswer) -> Result<(), String> {
    let hold = answer.hold.ok_or("the server sent no hold")?;
    let value = HoldMoved {
        hold: holds::to_json(hold),
        available: answer.available,
        request_id: answer.request_id,
        replayed: answer.replayed,
    };
    print(format, &value, || {
        let mut text = holds::facts_of(&value.hold);
        text.extend([
            ("available", value.available.as_deref().unwrap_or_default()),
            ("request_id", &value.request_id),
            ("replayed", replayed(value.replayed)),
        ]);
        facts(&text)
    })
}

const fn replayed(replayed: bool) -> &'static str {
    if replayed {
        "yes: this request_id was answered before, nothing moved"
    } else {
        ""
    }
}
