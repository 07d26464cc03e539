//! `creditd grant`.

use serde::Serialize;

use super::output::{Format, print, table};
use super::remote::{Remote, block_on, in_words, new_request_id, time_text};
use super::time_option;
use crate::rpc::client;
use crate::rpc::convert::timestamp_to_pb;
use crate::rpc::pb::creditd::v1 as pb;

const EXAMPLES: &str = "Examples:
  creditd grant team-a 100
  creditd grant team-a 500 --source \"monthly plan\" --expire-time 2026-12-31T23:59:59Z
  creditd grant team-a 20 --service ai_scripts --priority -1 --label campaign=autumn
  creditd grant team-a 100 --request-id order-17     (a second time moves nothing)";

/// Give an account credits; the first grant opens it
///
/// The request_id names this grant: sent again with the same contents it answers what it
/// answered before. Without --request-id one is made and printed; use it to repeat a grant
/// whose answer was lost.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Name of the account: 1 to 128 of A-Z a-z 0-9 . _ : @ / -
    account: String,
    /// How many, such as 100 or 0.25
    #[arg(allow_hyphen_values = true)]
    credits: String,
    /// When what is left expires [default: never]
    #[arg(long, value_name = "TIME")]
    expire_time: Option<String>,
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
    /// Label to keep with the entry; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// The name of this grant [default: a new one]
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    format: Format,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GrantJson {
    entry_id: String,
    grant_id: String,
    account: String,
    credits: String,
    available: String,
    create_time: String,
    request_id: String,
    replayed: bool,
}

fn label(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| "write it like campaign=autumn".to_owned())
}

pub(super) fn run(args: &Args) -> Result<(), String> {
    let expire_time = time_option(
        "--expire-time",
        args.expire_time.as_deref(),
        "2026-12-31T23:59:59Z",
    )?
    .map(timestamp_to_pb);
    let request_id = match &args.request_id {
        Some(given) => given.clone(),
        None => new_request_id()?,
    };
    let request = pb::GrantRequest {
        request_id: request_id.clone(),
        account: args.account.clone(),
        credits: args.credits.clone(),
        expire_time,
        priority: args.priority,
        source: args.source.clone(),
        services: args.services.clone(),
        labels: args.labels.iter().cloned().collect(),
    };
    let reply = block_on(async {
        let mut ledger = client::ledger(&args.remote.addr).await?;
        let reply = ledger.grant(request).await;
        reply
            .map(tonic::Response::into_inner)
            .map_err(|status| format!("{}; the request_id was {request_id}", in_words(&status)))
    })?;
    let entry = reply.entry.unwrap_or_default();
    let value = GrantJson {
        create_time: time_text(entry.create_time.as_ref()),
        entry_id: entry.entry_id,
        grant_id: entry.grant_id,
        account: entry.account,
        credits: entry.credits,
        available: reply.available,
        request_id: entry.request_id,
        replayed: reply.replayed,
    };
    print(args.format, &value, || to_text(&value))
}

fn to_text(value: &GrantJson) -> String {
    let row = |name: &str, text: &str| vec![name.to_owned(), text.to_owned()];
    let mut rows = vec![
        row("granted", &value.credits),
        row("available", &value.available),
        row("account", &value.account),
        row("grant", &value.grant_id),
        row("entry", &value.entry_id),
        row("request_id", &value.request_id),
    ];
    if value.replayed {
        rows.push(row(
            "replayed",
            "yes: this request_id was answered before, nothing moved",
        ));
    }
    table(&rows, &[])
}
