//! `creditd refund`.

use super::args::{Labels, RequestId};
use super::failure::Failure;
use super::moved::{EntryAnswer, print_entry};
use super::output::Format;
use super::refusal::Words;
use super::remote::{Remote, Write};
use crate::rpc::pb::creditd::v1 as pb;

const EXAMPLES: &str = "Examples:
  creditd refund team-a e7-2p2n
  creditd refund team-a e7-2p2n --credits 0.1 --label ticket=88";

/// Give back a charge or a settlement, or a part of it
///
/// Credits go back to the grants that paid; where a grant's time is over they leave again at
/// once. Several refunds of one entry never give back more than it took.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Name of the account
    account: String,
    /// The charge or settlement; "creditd entries" lists them
    entry: String,
    /// How many [default: all that is not refunded yet]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    credits: Option<String>,
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
    let request = pb::RefundRequest {
        request_id: request_id.clone(),
        account: args.account.clone(),
        entry_id: args.entry.clone(),
        credits: args.credits.clone(),
        labels: args.labels.to_pb()?,
    };
    let call = Write {
        words: Words::of(&args.account),
        request_id: &request_id,
        again: "",
    };
    let reply = args
        .remote
        .write(call, async |ledger| ledger.refund(request).await)?;
    let answer = EntryAnswer {
        entry: reply.entry.as_ref(),
        hold: None,
        available: &reply.available,
        replayed: reply.replayed,
    };
    print_entry(
        args.format,
        call,
        ("refunded", |entry| &entry.credits),
        &reply,
        &answer,
    )
}
