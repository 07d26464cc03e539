//! `creditd rates withdraw`.

use super::list::from;
use crate::cli::failure::Failure;
use crate::cli::output::{Format, facts, print};
use crate::cli::refusal::Words;
use crate::cli::remote::Remote;
use crate::rpc::client;
use crate::rpc::pb::creditd::v1 as pb;

const EXAMPLES: &str = "Examples:
  creditd rates withdraw 4b0a9ecf1f0b0b7f7a3c2d1e";

/// Withdraw a published rate card before it comes into force
///
/// "creditd rates list" shows those that are scheduled. What was quoted by its revision is still
/// honoured. With --json the answer has its text, to be published again.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Its revision
    revision: String,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let request = pb::WithdrawRateCardRequest {
        revision: args.revision.clone(),
    };
    let call = async |connection| client::admin(connection).withdraw_rate_card(request).await;
    let again = "it may have been withdrawn: run it again to see";
    let reply = args.remote.change(Words::of(""), Some(again), call)?;
    let card = reply.rate_card.as_ref().ok_or("the server sent no card")?;
    print(args.format, &reply, || {
        facts(&[
            ("withdrawn", &card.revision),
            ("rate card", &card.rate_card),
            ("title", &card.title),
            ("was from", &from(card)),
        ])
    })
}
