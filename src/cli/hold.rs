//! `creditd hold`.

use super::args::{CostArgs, Labels, Prices, RequestId};
use super::failure::Failure;
use super::moved::{HoldAnswer, print_hold};
use super::output::Format;
use super::refusal::Words;
use super::remote::{Remote, Write};
use super::times;
use crate::rpc::pb::creditd::v1 as pb;
use crate::rpc::pb::creditd::v1::hold_request::What as Wire;

const USAGE: &str =
    "creditd hold [OPTIONS] <ACCOUNT> <SERVICE [--duration D | --count N] | --credits N>";
const EXAMPLES: &str = "Examples:
  creditd hold team-a video_generation --duration 10m
  creditd hold team-a --credits 5 --ttl 30m
  creditd settle team-a h7-fe24 video_generation --duration 7m12s     (when the work is done)";

/// Set credits aside for work whose cost is not known yet
///
/// Nobody else can spend them until "creditd settle" charges what the work cost,
/// "creditd release" gives them back, or the hold's time ends, which gives them back too. A
/// hold for a service pays for that service alone, a hold of --credits for any.
#[derive(clap::Args, Debug)]
#[command(override_usage = USAGE, after_help = EXAMPLES)]
pub(super) struct Args {
    /// Name of the account
    account: String,
    #[command(flatten)]
    cost: CostArgs,
    /// When the hold ends by itself, counted from now; at most 24h [default: 1h]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = times::duration)]
    ttl: Option<prost_types::Duration>,
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

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let request_id = args.request_id.or_new()?;
    let request = pb::HoldRequest {
        request_id: request_id.clone(),
        account: args.account.clone(),
        prices: args.prices.to_pb(),
        ttl: args.ttl,
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
        .write(call, async |ledger| ledger.hold(request).await)?;
    let answer = HoldAnswer {
        hold: reply.hold.as_ref(),
        available: &reply.available,
        replayed: reply.replayed,
    };
    print_hold(args.format, call, "set aside", &reply, &answer)
}
