//! `creditd extend`.

use super::args::RequestId;
use super::failure::Failure;
use super::moved::{HoldAnswer, print_hold};
use super::output::Format;
use super::refusal::Words;
use super::remote::{Remote, Write};
use super::times;
use crate::rpc::pb::creditd::v1 as pb;

const EXAMPLES: &str = "Examples:
  creditd extend team-a h7-fe24 --ttl 2h
  creditd extend team-a h7-fe24 --ttl 30s     (it may also end earlier than it would)";

/// Set the end of an open hold anew
///
/// It moves no credits.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Name of the account
    account: String,
    /// The hold, as "creditd hold" printed it; "creditd holds" lists those that are open
    hold: String,
    /// When the hold ends by itself, counted from now; at most 24h
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = times::duration)]
    ttl: prost_types::Duration,
    #[command(flatten)]
    request_id: RequestId,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let request_id = args.request_id.or_new()?;
    let request = pb::ExtendHoldRequest {
        request_id: request_id.clone(),
        account: args.account.clone(),
        hold_id: args.hold.clone(),
        ttl: Some(args.ttl),
    };
    let call = Write {
        words: Words::of(&args.account),
        request_id: &request_id,
        again: "",
    };
    let reply = args
        .remote
        .write(call, async |ledger| ledger.extend_hold(request).await)?;
    let answer = HoldAnswer {
        hold: reply.hold.as_ref(),
        available: "",
        replayed: reply.replayed,
    };
    print_hold(args.format, call, "extended", &reply, &answer)
}
