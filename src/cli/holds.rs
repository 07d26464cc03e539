//! `creditd holds`.

use serde::Serialize;

use super::output::{Format, Listing, facts, print};
use super::remote::{Ledger, Remote, short, time_text};
use crate::rpc::pb::creditd::v1 as pb;

const EXAMPLES: &str = "Examples:
  creditd holds team-a
  creditd holds team-a --json     (an object a line)
  creditd holds team-a h7         (also one that is settled, released or expired)";

/// Holds that are asked for at a time: the most that a page has.
const PAGE_SIZE: i32 = 1_000;
/// What begins the name of each status in the API.
const STATUS_PREFIX: &str = "HOLD_STATUS_";

/// List the open holds of an account, oldest first, or show one hold
///
/// A worker that crashed finds here what it had set aside: settle it, release it, or let its
/// time end.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Name of the account
    account: String,
    /// Show this one alone, whatever its status is
    hold: Option<String>,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    format: Format,
}

/// A hold as it is printed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HoldJson {
    pub(super) hold_id: String,
    account: String,
    /// As the API names it, without the prefix that all have: "OPEN".
    pub(super) status: String,
    pub(super) held: String,
    settled: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    service: String,
    create_time: String,
    expire_time: String,
}

pub(super) fn run(args: &Args) -> Result<(), String> {
    match &args.hold {
        Some(hold_id) => show(args, hold_id),
        None => list(args),
    }
}

fn show(args: &Args, hold_id: &str) -> Result<(), String> {
    let request = pb::GetHoldRequest {
        account: args.account.clone(),
        hold_id: hold_id.to_owned(),
    };
    let reply = args
        .remote
        .read(&args.account, async |ledger| ledger.get_hold(request).await)?;
    let value = to_json(reply.hold.ok_or("the server sent no hold")?);
    print(args.format, &value, || facts(&facts_of(&value)))
}

fn list(args: &Args) -> Result<(), String> {
    let titles = ["HOLD", "HELD", "SETTLED", "SERVICE", "CREATED", "EXPIRES"];
    let mut listing = Listing::new(args.format, &titles, &[1, 2]);
    let fetch = async |ledger: &mut Ledger, page_token| {
        let request = pb::ListHoldsRequest {
            account: args.account.clone(),
            page_size: PAGE_SIZE,
            page_token,
            ..pb::ListHoldsRequest::default()
        };
        let page = ledger.list_holds(request).await?.into_inner();
        Ok((page.holds, page.next_page_token))
    };
    args.remote.pages(&args.account, fetch, |hold| {
        let hold = to_json(hold);
        listing.add(&hold, || {
            vec![
                hold.hold_id.clone(),
                hold.held.clone(),
                hold.settled.clone(),
                hold.service.clone(),
                hold.create_time.clone(),
                hold.expire_time.clone(),
            ]
        })
    })?;
    listing.end("no open holds")
}

/// A hold, ready to print.
pub(super) fn to_json(hold: pb::HoldState) -> HoldJson {
    let status = pb::HoldStatus::try_from(hold.status).map_or("", |s| s.as_str_name());
    HoldJson {
        status: short(status, STATUS_PREFIX, hold.status),
        create_time: time_text(hold.create_time.as_ref()),
        expire_time: time_text(hold.expire_time.as_ref()),
        hold_id: hold.hold_id,
        account: hold.account,
        held: hold.held,
        settled: hold.settled,
        service: hold.service,
    }
}

/// What people read of a hold.
pub(super) fn facts_of(hold: &HoldJson) -> Vec<(&str, &str)> {
    vec![
        ("hold", &hold.hold_id),
        ("status", &hold.status),
        ("held", &hold.held),
        ("settled", &hold.settled),
        ("account", &hold.account),
        ("service", &hold.service),
        ("created", &hold.create_time),
        ("expires", &hold.expire_time),
    ]
}
