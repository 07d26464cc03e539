//! `creditd balance`.

use serde::Serialize;

use super::output::{Format, facts, print, table};
use super::remote::{Remote, time_text};
use super::time_option;
use crate::rpc::convert::timestamp_to_pb;
use crate::rpc::pb::creditd::v1 as pb;

const EXAMPLES: &str = "Examples:
  creditd balance team-a
  creditd balance team-a --as-of 2026-11-01T00:00:00Z
  creditd balance team-a --addr 10.0.0.5:50051 --json";

/// Show what an account has left
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Name of the account
    account: String,
    /// The balance as it was then [default: now]
    #[arg(long, value_name = "TIME")]
    as_of: Option<String>,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    format: Format,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BalanceJson {
    account: String,
    pub(super) available: String,
    pub(super) held: String,
    grants: Vec<GrantJson>,
    pub(super) read_time: String,
    pub(super) version: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GrantJson {
    grant_id: String,
    granted: String,
    remaining: String,
    held: String,
    priority: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    expire_time: Option<String>,
    source: String,
    services: Vec<String>,
    create_time: String,
}

pub(super) fn run(args: &Args) -> Result<(), String> {
    let as_of =
        time_option("--as-of", args.as_of.as_deref(), "2026-11-01T00:00:00Z")?.map(timestamp_to_pb);
    let request = pb::GetBalanceRequest {
        account: args.account.clone(),
        as_of,
    };
    let reply = args.remote.read(&args.account, async |ledger| {
        ledger.get_balance(request).await
    })?;
    let balance = reply
        .balance
        .ok_or_else(|| "the server sent no balance".to_owned())?;
    let value = to_json(balance);
    print(args.format, &value, || to_text(&value))
}

pub(super) fn to_json(balance: pb::Balance) -> BalanceJson {
    let grants = balance.grants.into_iter().map(|grant| GrantJson {
        expire_time: grant.expire_time.as_ref().map(|time| time_text(Some(time))),
        create_time: time_text(grant.create_time.as_ref()),
        grant_id: grant.grant_id,
        granted: grant.granted,
        remaining: grant.remaining,
        held: grant.held,
        priority: grant.priority,
        source: grant.source,
        services: grant.services,
    });
    BalanceJson {
        grants: grants.collect(),
        read_time: time_text(balance.read_time.as_ref()),
        account: balance.account,
        available: balance.available,
        held: balance.held,
        version: balance.version,
    }
}

fn to_text(balance: &BalanceJson) -> String {
    let mut text = facts(&[
        ("account", &balance.account),
        ("available", &balance.available),
        ("held", &balance.held),
        ("read at", &balance.read_time),
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
            grant
                .expire_time
                .clone()
                .unwrap_or_else(|| "never".to_owned()),
            grant.source.clone(),
            services,
        ]);
    }
    text.push('\n');
    text.push_str(&table(&rows, &[1, 2, 3, 4]));
    text
}
