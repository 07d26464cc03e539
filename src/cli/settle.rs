//! `creditd settle`.

use super::args::{CostArgs, Labels, Prices, RequestId};
use super::failure::Failure;
use super::moved::{EntryAnswer, print_entry};
use super::output::Format;
use super::refusal::Words;
use super::remote::{Remote, Write};
use crate::rpc::pb::creditd::v1 as pb;
use crate::rpc::pb::creditd::v1::settle_hold_request::What as Wire;

const USAGE: &str =
    "creditd settle [OPTIONS] <ACCOUNT> <HOLD> <SERVICE [--duration D | --count N] | --credits N>";
const EXAMPLES: &str = "Examples:
  creditd settle team-a h7-fe24 video_generation --duration 7m12s
  creditd settle team-a h7-fe24 --credits 1.5 --keep-open     (the rest stays held)
  creditd settle team-a h7-fe24 --credits 9 --overage from-available";

/// Charge what the work behind a hold cost, and return the rest
///
/// Prices are those with which the hold was made, unless others are named.
#[derive(clap::Args, Debug)]
#[command(override_usage = USAGE, after_help = EXAMPLES)]
pub(super) struct Args {
    /// Name of the account
    account: String,
    /// The hold, as "creditd hold" printed it; "creditd holds" lists those that are open
    hold: String,
    #[command(flatten)]
    cost: CostArgs,
    /// Keep the rest held for a further settlement
    #[arg(long)]
    keep_open: bool,
    /// What to do where the cost is more than what is held
    #[arg(long, value_name = "WHAT", default_value = "reject")]
    overage: Overage,
    #[command(flatten)]
    prices: Prices,
    #[command(flatten)]
    labels: Labels,
    #[command(flatten)]
    request_id: RequestId,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    format: Format,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Overage {
    /// Charge nothing, and leave the hold as it is
    Reject,
    /// Take what is missing from what is available, or charge nothing
    FromAvailable,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let overage = match args.overage {
        Overage::Reject => pb::Overage::Reject,
        Overage::FromAvailable => pb::Overage::FromAvailable,
    };
    let request_id = args.request_id.or_new()?;
    let request = pb::SettleHoldRequest {
        request_id: request_id.clone(),
        account: args.account.clone(),
        hold_id: args.hold.clone(),
        keep_open: args.keep_open,
        overage: overage.into(),
        prices: args.prices.to_pb(),
        labels: args.labels.to_pb()?,
        what: Some(args.cost.to_pb(Wire::Usage, Wire::Credits)?),
    };
    let again = args.prices.again();
    let call = Write {
        words: Words::of(&args.account),
        request_id: &request_id,
        again: &again,
    };
    let reply = args
        .remote
        .write(call, async |ledger| ledger.settle_hold(request).await)?;
    let answer = EntryAnswer {
        entry: reply.entry.as_ref(),
        hold: reply.hold.as_ref(),
        available: &reply.available,
        replayed: reply.replayed,
    };
    print_entry(
        args.format,
        call,
        ("paid", |entry| &entry.spent),
        &reply,
        &answer,
    )
}
