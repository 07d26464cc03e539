//! `creditd release`.

use super::args::RequestId;
use super::failure::Failure;
use super::moved::{HoldAnswer, print_hold};
use super::output::Format;
use super::refusal::Words;
use super::remote::{Remote, Write};
use crate::rpc::pb::creditd::v1 as pb;

const EXAMPLES: &str = "Examples:
  creditd release team-a h7-fe24";

/// Give back all that a hold has set aside
///
/// It is for work that was not done. A hold that is neither settled nor released gives back by
/// itself when its time ends.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Name of the account
    account: String,
    /// The hold, as "creditd hold" printed it; "creditd holds" lists those that are open
    hold: String,
    #[command(flatten)]
    request_id: RequestId,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let request_id = args.request_id.or_new()?;
    let request = pb::ReleaseHoldRequest {
        request_id: request_id.clone(),
        account: args.account.clone(),
        hold_id: args.hold.clone(),
    };
    let call = Write {
        words: Words::of(&args.account),
        request_id: &request_id,
        again: "",
    };
    let reply = args
        .remote
        .write(call, async |ledger| ledger.release_hold(request).await)?;
    let answer = HoldAnswer {
        hold: reply.hold.as_ref(),
        available: &reply.available,
        replayed: reply.replayed,
    };
    print_hold(args.format, call, "released", &reply, &answer)
}
