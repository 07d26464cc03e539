//! `creditd balance`.

use super::failure::Failure;
use super::output::{Format, facts, print, table};
use super::refusal::Words;
use super::remote::{Remote, time_text};
use super::times::{self, Moment};
use crate::rpc::client;
use crate::rpc::convert::timestamp_to_pb;
use crate::rpc::pb::creditd::v1 as pb;

const EXAMPLES: &str = "Examples:
  creditd balance team-a
  creditd balance team-a --as-of yesterday
  creditd balance team-a --as-of 2026-11-01T00:00:00Z
  creditd balance team-a --addr 10.0.0.5:50051 --json";

/// Show what an account has left
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Name of the account
    account: String,
    /// The balance as it was then: a time, a day, or so long ago, such as 1h [default: now]
    #[arg(long, value_name = "TIME", value_parser = times::past)]
    as_of: Option<Moment>,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let request = pb::GetBalanceRequest {
        account: args.account.clone(),
        as_of: args.as_of.map(|moment| timestamp_to_pb(moment.time)),
    };
    let reply = args
        .remote
        .read(Words::of(&args.account), async |connection| {
            client::ledger(connection).get_balance(request).await
        })?;
    let balance = reply.balance.as_ref().ok_or("the server sent no balance")?;
    print(args.format, &reply, || to_text(balance))
}

fn to_text(balance: &pb::Balance) -> String {
    let mut text = facts(&[
        ("account", &balance.account),
        ("available", &balance.available),
        ("held", &balance.held),
        ("read at", &time_text(balance.read_time.as_ref())),
        ("version", &balance.version.to_string()),
    ]);
    if balance.grants.is_empty() {
        return text;
    }
    let titles = [
        "GRANT",
        "REMAINING",
        "OF",
        "HELD",
        "PRIORITY",
        "EXPIRES",
        "SOURCE",
        "SERVICES",
    ];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    for grant in &balance.grants {
        let services = match grant.services.as_slice() {
            [] => "all".to_owned(),
            services => services.join(", "),
        };
        rows.push(vec![
            grant.grant_id.clone(),
            grant.remaining.clone(),
            grant.granted.clone(),
            grant.held.clone(),
            grant.priority.to_string(),
            time_text(grant.expire_time.as_ref()),
            grant.source.clone(),
            services,
        ]);
    }
    text.push('\n');
    text.push_str(&table(&rows, &[1, 2, 3, 4]));
    text
}
