//! `creditd entries`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::output::{Format, Listing, More};
use super::remote::{Ledger, Remote, short, time_text};
use super::time_option;
use crate::rpc::convert::timestamp_to_pb;
use crate::rpc::pb::creditd::v1 as pb;

const EXAMPLES: &str = "Examples:
  creditd entries team-a
  creditd entries team-a --kind charge --kind settle --limit 1000 --json
  creditd entries team-a --since 2026-11-01T00:00:00Z --until 2026-12-01T00:00:00Z
  creditd entries team-a --hold h7     (what became of this hold)";

/// The most entries that a page has.
const PAGE_SIZE_MAX: i32 = 1_000;
/// The most entries that are listed at once: a table is printed at its end.
const LIMIT_MAX: u64 = 1_000_000;
/// What begins the name of each kind in the API.
const KIND_PREFIX: &str = "ENTRY_KIND_";

/// List the moves of an account's credits, newest first
///
/// CREDITS is the change of what is available, HELD of what is set aside, SPENT what was paid for
/// work; AVAILABLE is what was left. Pages are fetched as they are needed. With --json each
/// entry is an object on a line of its own.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Name of the account
    account: String,
    /// Stop after so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=LIMIT_MAX))]
    limit: u64,
    /// How many to ask the server for at a time [default: as many as --limit, at most 1000]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    page_size: Option<i32>,
    /// Those at that time or later
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Those before that time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Those of that kind; may be repeated [default: all]
    #[arg(long = "kind", value_name = "KIND", ignore_case = true)]
    kinds: Vec<Kind>,
    /// Those that paid for that service
    #[arg(
        long,
        value_name = "KEY",
        default_value = "",
        hide_default_value = true
    )]
    service: String,
    /// Those of that hold
    #[arg(
        long,
        value_name = "HOLD",
        default_value = "",
        hide_default_value = true
    )]
    hold: String,
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

/// An entry as it is printed: what does not apply to its kind is left out.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EntryJson {
    pub(super) entry_id: String,
    pub(super) account: String,
    /// As the API names it, without the prefix that all have: "CHARGE".
    kind: String,
    pub(super) credits: String,
    held: String,
    pub(super) spent: String,
    pub(super) available: String,
    create_time: String,
    version: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) request_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) service: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageJson>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) rate_card: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) revision: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) grant_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) hold_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) refunded_entry_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    source: String,
    labels: BTreeMap<String, String>,
    grants: Vec<ShareJson>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UsageJson {
    service: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<i64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    meters: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShareJson {
    grant_id: String,
    credits: String,
    held: String,
}

pub(super) fn run(args: &Args) -> Result<(), String> {
    const EXAMPLE: &str = "2026-11-01T00:00:00Z";
    let start_time = time_option("--since", args.since.as_deref(), EXAMPLE)?.map(timestamp_to_pb);
    let end_time = time_option("--until", args.until.as_deref(), EXAMPLE)?.map(timestamp_to_pb);
    let page_size = args.page_size.unwrap_or_else(|| {
        i32::try_from(args.limit).map_or(PAGE_SIZE_MAX, |limit| limit.min(PAGE_SIZE_MAX))
    });
    let request = pb::ListEntriesRequest {
        account: args.account.clone(),
        page_size,
        page_token: String::new(),
        start_time,
        end_time,
        kinds: args.kinds.iter().map(|kind| kind.to_pb().into()).collect(),
        service: args.service.clone(),
        hold_id: args.hold.clone(),
    };
    let fetch = async |ledger: &mut Ledger, page_token| {
        let request = pb::ListEntriesRequest {
            page_token,
            ..request.clone()
        };
        let page = ledger.list_entries(request).await?.into_inner();
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
    ];
    let mut listing = Listing::new(args.format, &titles, &[3, 4, 5, 6]);
    let mut left = args.limit;
    args.remote.pages(&args.account, fetch, |entry| {
        let entry = to_json(entry);
        left = left.saturating_sub(1);
        let more = listing.add(&entry, || row(&entry))?;
        Ok(if left == 0 { More::Enough } else { more })
    })?;
    listing.end("no entries")
}

/// An entry, ready to print.
pub(super) fn to_json(entry: pb::Entry) -> EntryJson {
    let kind = pb::EntryKind::try_from(entry.kind).map_or("", |kind| kind.as_str_name());
    let shares = entry.grants.into_iter().map(|share| ShareJson {
        grant_id: share.grant_id,
        credits: share.credits,
        held: share.held,
    });
    EntryJson {
        kind: short(kind, KIND_PREFIX, entry.kind),
        create_time: time_text(entry.create_time.as_ref()),
        usage: entry.usage.map(usage_to_json),
        labels: entry.labels.into_iter().collect(),
        grants: shares.collect(),
        entry_id: entry.entry_id,
        account: entry.account,
        credits: entry.credits,
        held: entry.held,
        spent: entry.spent,
        available: entry.available,
        version: entry.version,
        request_id: entry.request_id,
        service: entry.service,
        rate_card: entry.rate_card,
        revision: entry.revision,
        grant_id: entry.grant_id,
        hold_id: entry.hold_id,
        refunded_entry_id: entry.refunded_entry_id,
        source: entry.source,
    }
}

fn usage_to_json(usage: pb::Usage) -> UsageJson {
    let (duration, count) = match usage.quantity {
        Some(pb::usage::Quantity::Duration(duration)) => (Some(duration_text(&duration)), None),
        Some(pb::usage::Quantity::Count(count)) => (None, Some(count)),
        None => (None, None),
    };
    UsageJson {
        service: usage.service,
        duration,
        count,
        attributes: usage.attributes.into_iter().collect(),
        meters: usage.meters.into_iter().collect(),
    }
}

/// A duration as protobuf's JSON writes it, "31.5s". Those of entries are positive.
fn duration_text(duration: &prost_types::Duration) -> String {
    let text = format!("{}.{:09}", duration.seconds, duration.nanos);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}s")
}

fn row(entry: &EntryJson) -> Vec<String> {
    let about = [&entry.grant_id, &entry.hold_id, &entry.refunded_entry_id];
    let about = about.into_iter().find(|id| !id.is_empty());
    let quantity = entry.usage.as_ref().map(|usage| {
        let count = usage.count.map(|count| count.to_string());
        usage.duration.clone().or(count).unwrap_or_default()
    });
    vec![
        entry.entry_id.clone(),
        entry.create_time.clone(),
        entry.kind.clone(),
        entry.credits.clone(),
        entry.held.clone(),
        entry.spent.clone(),
        entry.available.clone(),
        about.cloned().unwrap_or_default(),
        entry.service.clone(),
        quantity.unwrap_or_default(),
        entry.request_id.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_exactly() {
        for (seconds, nanos, text) in [
            (31, 0, "31s"),
            (100, 0, "100s"),
            (0, 500_000_000, "0.5s"),
            (31, 123_456_789, "31.123456789s"),
            (10, 1, "10.000000001s"),
        ] {
            let duration = prost_types::Duration { seconds, nanos };
            assert_eq!(duration_text(&duration), text);
        }
    }

    #[test]
    fn a_kind_that_is_newer_than_this_program_is_a_number() {
        let entry = pb::Entry {
            kind: 99,
            ..pb::Entry::default()
        };
        assert_eq!(to_json(entry).kind, "99");
        for kind in <Kind as clap::ValueEnum>::value_variants() {
            let entry = pb::Entry {
                kind: kind.to_pb().into(),
                ..pb::Entry::default()
            };
            let typed = format!("{kind:?}").to_uppercase();
            assert_eq!(to_json(entry).kind, typed);
        }
    }
}
