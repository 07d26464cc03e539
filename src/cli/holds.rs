//! `creditd holds`.

use super::args;
use super::failure::Failure;
use super::list::{Listing, Size};
use super::output::{Format, facts, print};
use super::refusal::Words;
use super::remote::{Ledger, Remote, short, time_text};
use super::times::{self, Moment};
use crate::rpc::client;
use crate::rpc::convert::timestamp_to_pb;
use crate::rpc::pb::creditd::v1 as pb;

const EXAMPLES: &str = "Examples:
  creditd holds team-a
  creditd holds team-a --label worker=7 --since 1h
  creditd holds team-a --json     (all of them, an object a line)
  creditd holds team-a h7-fe24    (also one that is settled, released or expired)";

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
    #[arg(conflicts_with_all = ["limit", "all", "request_id", "labels", "since", "until"])]
    hold: Option<String>,
    #[command(flatten)]
    size: Size,
    /// The one that was made with that request_id
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    request_id: String,
    /// Those that were made with that label; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = args::label)]
    labels: Vec<(String, String)>,
    /// Those that were made at that time or later
    #[arg(long, value_name = "TIME", value_parser = times::past)]
    since: Option<Moment>,
    /// Those that were made before that time
    #[arg(long, value_name = "TIME", value_parser = times::past)]
    until: Option<Moment>,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.hold {
        Some(hold_id) => show(args, hold_id),
        None => list(args),
    }
}

fn show(args: &Args, hold_id: &str) -> Result<(), Failure> {
    let request = pb::GetHoldRequest {
        account: args.account.clone(),
        hold_id: hold_id.to_owned(),
    };
    let reply = args
        .remote
        .read(Words::of(&args.account), async |connection| {
            client::ledger(connection).get_hold(request).await
        })?;
    let hold = reply.hold.as_ref().ok_or("the server sent no hold")?;
    print(args.format, &reply, || {
        let shown = ShownHold::of(hold);
        let mut text = shown.facts();
        text.extend([
            ("request_id", hold.request_id.as_str()),
            ("labels", &shown.labels),
        ]);
        facts(&text)
    })
}

fn list(args: &Args) -> Result<(), Failure> {
    let titles = [
        "HOLD",
        "HELD",
        "SETTLED",
        "SERVICE",
        "CREATED",
        "EXPIRES",
        "REQUEST_ID",
        "LABELS",
    ];
    let mut listing = Listing::new(args.format, args.size, &titles, &[1, 2]);
    let request = pb::ListHoldsRequest {
        account: args.account.clone(),
        page_size: args.size.page_size(args.format),
        page_token: String::new(),
        request_id: args.request_id.clone(),
        labels: args::labels_to_pb(&args.labels)?,
        start_time: args.since.map(|moment| timestamp_to_pb(moment.time)),
        end_time: args.until.map(|moment| timestamp_to_pb(moment.time)),
    };
    let fetch = async |ledger: &mut Ledger, page_token| {
        let request = pb::ListHoldsRequest {
            page_token,
            ..request.clone()
        };
        let page = ledger.list_holds(request).await?.into_inner();
        Ok((page.holds, page.next_page_token))
    };
    args.remote
        .pages(Words::of(&args.account), fetch, |hold: pb::HoldState| {
            listing.add(&hold, || {
                let shown = ShownHold::of(&hold);
                vec![
                    hold.hold_id.clone(),
                    hold.held.clone(),
                    hold.settled.clone(),
                    hold.service.clone(),
                    shown.created,
                    shown.expires,
                    hold.request_id.clone(),
                    shown.labels,
                ]
            })
        })?;
    listing.end("no open holds")
}

/// A hold as people read it.
pub(super) struct ShownHold<'a> {
    hold: &'a pb::HoldState,
    status: String,
    created: String,
    expires: String,
    /// "job=4711, worker=7"
    labels: String,
}

impl<'a> ShownHold<'a> {
    pub(super) fn of(hold: &'a pb::HoldState) -> Self {
        let labels = hold.labels.iter();
        let labels = labels.map(|(key, value)| format!("{key}={value}"));
        Self {
            hold,
            status: status(hold),
            created: time_text(hold.create_time.as_ref()),
            expires: time_text(hold.expire_time.as_ref()),
            labels: labels.collect::<Vec<_>>().join(", "),
        }
    }

    pub(super) fn facts(&self) -> Vec<(&str, &str)> {
        vec![
            ("hold", &self.hold.hold_id),
            ("status", &self.status),
            ("held", &self.hold.held),
            ("settled", &self.hold.settled),
            ("account", &self.hold.account),
            ("service", &self.hold.service),
            ("created", &self.created),
            ("expires", &self.expires),
        ]
    }
}

/// The status of a hold as people read it: "OPEN".
pub(super) fn status(hold: &pb::HoldState) -> String {
    let name = pb::HoldStatus::try_from(hold.status).map_or("", |status| status.as_str_name());
    short(name, STATUS_PREFIX, hold.status)
}
