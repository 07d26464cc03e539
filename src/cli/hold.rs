//! `creditd hold`.

use super::args::{Labels, Prices, RequestId, What, duration_to_pb};
use super::moved::{HoldAnswer, print_hold};
use super::output::Format;
use super::remote::Remote;
use crate::rpc::pb::creditd::v1 as pb;
use crate::rpc::pb::creditd::v1::hold_request::What as Wire;

const USAGE: &str =
    "creditd hold [OPTIONS] <ACCOUNT> <SERVICE [--duration D | --count N] | --credits N>";
const EXAMPLES: &str = "Examples:
  creditd hold team-a video_generation --duration 10m
  creditd hold team-a --credits 5 --ttl 30m
  creditd settle team-a h7 video_generation --duration 7m12s     (when the work is done)";

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
    what: What,
    /// When the hold ends by itself, counted from now; at most 24h [default: 1h]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    ttl: Option<String>,
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

pub(super) fn run(args: &Args) -> Result<(), String> {
    let ttl = args.ttl.as_deref();
    let request_id = args.request_id.or_new()?;
    let request = pb::HoldRequest {
        request_id: request_id.clone(),
        account: args.account.clone(),
        prices: args.prices.to_pb()?,
        ttl: ttl.map(|ttl| duration_to_pb("--ttl", ttl)).transpose()?,
        labels: args.labels.to_pb()?,
        what: Some(args.what.to_pb(Wire::Usage, Wire::Credits)?),
    };
    let reply = args
        .remote
        .write(&args.account, &request_id, async |ledger| {
            ledger.hold(request).await
        })?;
    let answer = HoldAnswer {
        hold: reply.hold,
        available: Some(reply.available),
        request_id,
        replayed: reply.replayed,
    };
    print_hold(args.format, answer)
}
