//! `creditd revoke`.

use super::args::{Labels, RequestId};
use super::failure::Failure;
use super::moved::{EntryAnswer, print_entry};
use super::output::Format;
use super::refusal::Words;
use super::remote::{Remote, Write};
use crate::rpc::pb::creditd::v1 as pb;

const EXAMPLES: &str = "Examples:
  creditd revoke team-a g7-j2xf
  creditd revoke team-a g7-j2xf --label reason=chargeback";

/// Take back what is left of a grant that was made by mistake
///
/// What was spent stays spent. What open holds have set aside stays with them, and leaves when
/// they return it.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Name of the account
    account: String,
    /// The grant; "creditd balance" lists those that are live
    grant: String,
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
    let request = pb::RevokeGrantRequest {
        request_id: request_id.clone(),
        account: args.account.clone(),
        grant_id: args.grant.clone(),
        labels: args.labels.to_pb()?,
    };
    let call = Write {
        words: Words::of(&args.account),
        request_id: &request_id,
        again: "",
    };
    let reply = args
        .remote
        .write(call, async |ledger| ledger.revoke_grant(request).await)?;
    let answer = EntryAnswer {
        entry: reply.entry.as_ref(),
        hold: None,
        available: &reply.available,
        replayed: reply.replayed,
    };
    print_entry(args.format, call, ("revoked", taken), &reply, &answer)
}

/// How much was taken back: the entry says what left the account, so with a minus.
fn taken(entry: &pb::Entry) -> &str {
    entry.credits.trim_start_matches('-')
}
