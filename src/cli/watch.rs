//! `creditd watch`.

use std::pin::pin;

use tokio::signal::unix::{SignalKind, signal};

use super::balance::{self, BalanceJson};
use super::output::{Format, More, print_line};
use super::remote::{Remote, block_on, in_words};
use crate::rpc::client;
use crate::rpc::pb::creditd::v1 as pb;

const EXAMPLES: &str = "Examples:
  creditd watch team-a
  creditd watch team-a --json     (balances with their grants, an object a line)";

/// Print an account's balance now and at each change
///
/// It goes on until it is interrupted (Ctrl-C) or the server stops, and then ends with status 0;
/// where the connection breaks, it ends with status 1. A reader that is slow gets the newest
/// balance and misses those between.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Name of the account
    account: String,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(args: &Args) -> Result<(), String> {
    block_on(async {
        let told = |error: std::io::Error| error.to_string();
        let mut interrupt = signal(SignalKind::interrupt()).map_err(told)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(told)?;
        tokio::select! {
            outcome = pin!(watch(args)) => outcome,
            _ = interrupt.recv() => Ok(()),
            _ = terminate.recv() => Ok(()),
        }
    })
}

/// Watches until the server ends the stream.
async fn watch(args: &Args) -> Result<(), String> {
    let broken = |status| format!("{}; watch again", in_words(&args.account, &status));
    let mut ledger = client::ledger(&args.remote.addr).await?;
    let request = pb::WatchBalanceRequest {
        account: args.account.clone(),
    };
    let reply = ledger.watch_balance(request).await;
    let reply = reply.map_err(|status| in_words(&args.account, &status))?;
    let mut balances = reply.into_inner();
    while let Some(message) = balances.message().await.map_err(broken)? {
        let balance = message.balance.ok_or("the server sent no balance")?;
        let balance = balance::to_json(balance);
        if print_line(args.format, &balance, || to_text(&balance))? == More::Enough {
            return Ok(());
        }
    }
    Ok(())
}

/// A line; the widths are those that most balances need, since the next is not known.
fn to_text(balance: &BalanceJson) -> String {
    format!(
        "{:<27}  available {:<12}  held {:<12}  version {}",
        balance.read_time, balance.available, balance.held, balance.version
    )
}
