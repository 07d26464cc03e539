//! `creditd grant`.

use super::args::{Labels, RequestId, again};
use super::failure::Failure;
use super::moved::{EntryAnswer, print_entry};
use super::output::Format;
use super::refusal::Words;
use super::remote::{Remote, Write};
use super::times::{self, Moment};
use crate::rpc::convert::timestamp_to_pb;
use crate::rpc::pb::creditd::v1 as pb;

const EXAMPLES: &str = "Examples:
  creditd grant team-a 100
  creditd grant team-a 500 --source \"monthly plan\" --expire-time 30d
  creditd grant team-a 500 --expire-time 2026-12-31T23:59:59Z --request-id plan-12
  creditd grant team-a 20 --service ai_scripts --priority -1 --label campaign=autumn
  creditd grant team-a 100 --request-id order-17     (a second time moves nothing)";

/// What this command calls fields of its request.
const FLAGS: &[(&str, &str)] = &[("credits", "credits")];

/// Give an account credits; the first grant opens it
///
/// The request_id names this grant: sent again with the same contents it answers what it
/// answered before. Without --request-id one is made and printed; use it to repeat a grant
/// whose answer was lost. A time that counts from now is another one then: give a grant that
/// may be repeated its --expire-time as a date.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Name of the account: 1 to 128 printable ASCII characters but space, " and \
    account: String,
    /// How many, such as 100 or 0.25
    #[arg(allow_hyphen_values = true)]
    credits: String,
    /// When what is left expires: a time, a day, or so long from now, such as 30d [default: never]
    #[arg(long, value_name = "TIME", value_parser = times::future)]
    expire_time: Option<Moment>,
    /// Lower burns first
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    priority: i32,
    /// Where the credits come from
    #[arg(long, value_name = "TEXT", default_value = "")]
    source: String,
    /// Service that the credits may pay for; may be repeated [default: all]
    #[arg(long = "service", value_name = "KEY")]
    services: Vec<String>,
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
    let request = pb::GrantRequest {
        request_id: request_id.clone(),
        account: args.account.clone(),
        credits: args.credits.clone(),
        expire_time: args.expire_time.map(|moment| timestamp_to_pb(moment.time)),
        priority: args.priority,
        source: args.source.clone(),
        services: args.services.clone(),
        labels: args.labels.to_pb()?,
    };
    let again = again("--expire-time", args.expire_time);
    let call = Write {
        words: Words {
            account: &args.account,
            flags: FLAGS,
            hints: &[],
        },
        request_id: &request_id,
        again: &again,
    };
    let reply = args
        .remote
        .write(call, async |ledger| ledger.grant(request).await)?;
    let answer = EntryAnswer {
        entry: reply.entry.as_ref(),
        hold: None,
        available: &reply.available,
        replayed: reply.replayed,
    };
    print_entry(
        args.format,
        call,
        ("granted", |entry| &entry.credits),
        &reply,
        &answer,
    )
}
