//! `creditd charge`.

use super::args::{CostArgs, Labels, Prices, RequestId};
use super::failure::Failure;
use super::moved::{EntryAnswer, print_entry};
use super::output::Format;
use super::refusal::Words;
use super::remote::{Remote, Write};
use crate::rpc::pb::creditd::v1 as pb;
use crate::rpc::pb::creditd::v1::charge_request::What as Wire;

const USAGE: &str =
    "creditd charge [OPTIONS] <ACCOUNT> <SERVICE [--duration D | --count N] | --credits N>";
const EXAMPLES: &str = "Examples:
  creditd charge team-a lip_sync_video --duration 31s
  creditd charge team-a photo_avatar_generation --count 4 --label job=4711
  creditd charge team-a --credits 2.5
  creditd charge team-a ai_scripts --request-id job-4711     (a second time moves nothing)";

/// Take credits for work that is done
///
/// The whole cost is paid, or nothing: an account that has too little is told how much it lacks.
/// For work whose cost is not known yet see "creditd hold".
#[derive(clap::Args, Debug)]
#[command(override_usage = USAGE, after_help = EXAMPLES)]
pub(super) struct Args {
    /// Name of the account
    account: String,
    #[command(flatten)]
    cost: CostArgs,
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
    let request = pb::ChargeRequest {
        request_id: request_id.clone(),
        account: args.account.clone(),
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
        .write(call, async |ledger| ledger.charge(request).await)?;
    let answer = EntryAnswer {
        entry: reply.entry.as_ref(),
        hold: None,
        available: &reply.available,
        replayed: reply.replayed,
    };
    print_entry(
        args.format,
        call,
        ("charged", |entry| &entry.spent),
        &reply,
        &answer,
    )
}
