//! `creditd entries`.

use std::cell::Cell;

use clap::builder::NonEmptyStringValueParser;

use super::failure::Failure;
use super::list::{Listing, Size};
use super::output::{Format, print_line};
use super::refusal::Words;
use super::remote::{Ledger, Remote, short, time_text};
use super::times::{self, Moment, duration_text};
use crate::rpc::convert::timestamp_to_pb;
use crate::rpc::pb::creditd::v1 as pb;

const EXAMPLES: &str = "Examples:
  creditd entries team-a
  creditd entries team-a --since yesterday --until today
  creditd entries team-a --kind charge --kind settle --since 30d --json
  creditd entries team-a --since 2026-11-01 --until 2026-12-01T00:00:00Z --all
  creditd entries team-a --hold h7-fe24     (what became of this hold)
  creditd entries team-a --key k7fq2m9xk4ab     (what this key did)";

/// What begins the name of each kind in the API.
const KIND_PREFIX: &str = "ENTRY_KIND_";
/// What this command calls fields of its request.
const FLAGS: &[(&str, &str)] = &[
    ("service", "--service"),
    ("hold_id", "--hold"),
    ("key_id", "--key"),
];

/// List the moves of an account's credits, newest first
///
/// CREDITS is the change of what is available, HELD of what is set aside, SPENT what was paid for
/// work; AVAILABLE is what was left. People see the first 50, unless --limit or --all says
/// otherwise; with --json all are listed, each an object on a line of its own. Where older entries
/// are in an archive, the list ends with the opening balance that stands for them.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Name of the account
    account: String,
    #[command(flatten)]
    size: Size,
    /// How many to ask the server for at a time [default: as many as are wanted, at most 1000]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    page_size: Option<i32>,
    /// Those at that time or later
    #[arg(long, value_name = "TIME", value_parser = times::past)]
    since: Option<Moment>,
    /// Those before that time
    #[arg(long, value_name = "TIME", value_parser = times::past)]
    until: Option<Moment>,
    /// Those of that kind; may be repeated [default: all]
    #[arg(long = "kind", value_name = "KIND", ignore_case = true)]
    kinds: Vec<Kind>,
    /// Those that paid for that service
    #[arg(long, value_name = "KEY", value_parser = NonEmptyStringValueParser::new())]
    service: Option<String>,
    /// Those of that hold
    #[arg(long, value_name = "HOLD", value_parser = NonEmptyStringValueParser::new())]
    hold: Option<String>,
    /// What that key did
    #[arg(long, value_name = "KEY_ID", value_parser = NonEmptyStringValueParser::new())]
    key: Option<String>,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    format: Format,
}

/// Kinds of entries, as they are typed.
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Kind {
    Grant,
    Charge,
    Refund,
    Hold,
    Settle,
    Release,
    Expire,
    Revoke,
}

impl Kind {
    const fn to_pb(self) -> pb::EntryKind {
        match self {
            Self::Grant => pb::EntryKind::Grant,
            Self::Charge => pb::EntryKind::Charge,
            Self::Refund => pb::EntryKind::Refund,
            Self::Hold => pb::EntryKind::Hold,
            Self::Settle => pb::EntryKind::Settle,
            Self::Release => pb::EntryKind::Release,
            Self::Expire => pb::EntryKind::Expire,
            Self::Revoke => pb::EntryKind::Revoke,
        }
    }
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let page_size = args
        .page_size
        .unwrap_or_else(|| args.size.page_size(args.format));
    let request = pb::ListEntriesRequest {
        account: args.account.clone(),
        page_size,
        page_token: String::new(),
        start_time: args.since.map(|moment| timestamp_to_pb(moment.time)),
        end_time: args.until.map(|moment| timestamp_to_pb(moment.time)),
        kinds: args.kinds.iter().map(|kind| kind.to_pb().into()).collect(),
        service: args.service.clone().unwrap_or_default(),
        hold_id: args.hold.clone().unwrap_or_default(),
        key_id: args.key.clone().unwrap_or_default(),
    };
    let (received, opening) = (Cell::new(0_u64), Cell::new(None));
    let fetch = async |ledger: &mut Ledger, page_token| {
        let request = pb::ListEntriesRequest {
            page_token,
            ..request.clone()
        };
        let page = ledger.list_entries(request).await?.into_inner();
        let length = u64::try_from(page.entries.len()).unwrap_or(u64::MAX);
        received.set(received.get().saturating_add(length));
        opening.set(page.opening_balance);
        Ok((page.entries, page.next_page_token))
    };
    let titles = [
        "ENTRY",
        "TIME",
        "KIND",
        "CREDITS",
        "HELD",
        "SPENT",
        "AVAILABLE",
        "ABOUT",
        "SERVICE",
        "QUANTITY",
        "REQUEST_ID",
        "KEY_ID",
    ];
    let mut listing = Listing::new(args.format, args.size, &titles, &[3, 4, 5, 6]);
    let words = Words {
        account: &args.account,
        flags: FLAGS,
        hints: &[],
    };
    args.remote.pages(words, fetch, |entry: pb::Entry| {
        listing.add(&entry, || row(&entry))
    })?;
    // What was received and not listed stands between the list and the opening balance.
    let is_whole = listing.listed() == received.get();
    let opening = opening.take().filter(|_| is_whole);
    listing.end("no entries")?;
    match opening {
        Some(opening) => print_opening(args.format, opening),
        None => Ok(()),
    }
}

/// Prints what stands for the archived entries: for programs as a list's page has it.
fn print_opening(format: Format, opening: pb::OpeningBalance) -> Result<(), Failure> {
    let text = format!(
        "opening balance {}, held {}, after {} at {}; older entries are in archive {}",
        opening.available,
        opening.held,
        opening.entry_id,
        time_text(opening.create_time.as_ref()),
        opening.archive
    );
    let page = pb::ListEntriesResponse {
        opening_balance: Some(opening),
        ..pb::ListEntriesResponse::default()
    };
    print_line(format, &page, || text).map(|_| ())
}

/// The kind of an entry as people read it: "CHARGE".
fn kind(entry: &pb::Entry) -> String {
    let name = pb::EntryKind::try_from(entry.kind).map_or("", |kind| kind.as_str_name());
    short(name, KIND_PREFIX, entry.kind)
}

fn row(entry: &pb::Entry) -> Vec<String> {
    let about = [&entry.grant_id, &entry.hold_id, &entry.refunded_entry_id];
    let about = about.into_iter().find(|id| !id.is_empty());
    let quantity = entry
        .usage
        .as_ref()
        .and_then(|usage| usage.quantity.as_ref());
    vec![
        entry.entry_id.clone(),
        time_text(entry.create_time.as_ref()),
        kind(entry),
        entry.credits.clone(),
        entry.held.clone(),
        entry.spent.clone(),
        entry.available.clone(),
        about.cloned().unwrap_or_default(),
        entry.service.clone(),
        quantity.map_or_else(String::new, |quantity| match quantity {
            pb::usage::Quantity::Duration(duration) => duration_text(duration),
            pb::usage::Quantity::Count(count) => count.to_string(),
        }),
        entry.request_id.clone(),
        entry.key_id.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_is_newer_than_this_program_is_a_number() {
        let entry = |kind| pb::Entry {
            kind,
            ..pb::Entry::default()
        };
        assert_eq!(kind(&entry(99)), "99");
        for typed in <Kind as clap::ValueEnum>::value_variants() {
            let name = format!("{typed:?}").to_uppercase();
            assert_eq!(kind(&entry(typed.to_pb().into())), name);
        }
    }
}
