//! `creditd watch`.

use std::pin::pin;

use tokio::signal::unix::{SignalKind, signal};

use super::failure::{Failure, Kind};
use super::output::{Format, More, print_line};
use super::refusal::Words;
use super::remote::{Remote, block_on, time_text};
use crate::rpc::client;
use crate::rpc::pb::creditd::v1 as pb;

const EXAMPLES: &str = "Examples:
  creditd watch team-a
  creditd watch team-a --json     (balances with their grants, an object a line)";

/// Print an account's balance now and at each change
///
/// It goes on until it is interrupted (Ctrl-C) or the server stops, and then ends with status 0;
/// where the connection breaks, it ends with status 5. A reader that is slow gets the newest
/// balance and misses those between. --timeout holds for the first one.
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

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    block_on(async {
        let failed = |error: std::io::Error| Failure::from(error.to_string());
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        tokio::select! {
            outcome = pin!(watch(args)) => outcome,
            _ = interrupt.recv() => Ok(()),
            _ = terminate.recv() => Ok(()),
        }
    })
}

/// Watches until the server stops. It also ends the stream in order where its connection is old:
/// then the watch goes on over another one.
async fn watch(args: &Args) -> Result<(), Failure> {
    // A deadline would end the watch.
    let mut connection = args.remote.connect(None).await?;
    let mut last_version = None;
    loop {
        if !watch_one(args, connection, &mut last_version).await? {
            return Ok(());
        }
        connection = match args.remote.connect(None).await {
            Ok(connection) => connection,
            // It has stopped.
            Err(_) => return Ok(()),
        };
    }
}

/// Watches until the server ends the stream; whether to watch again. A balance that was printed
/// before is not again.
async fn watch_one(
    args: &Args,
    connection: client::Connection,
    last_version: &mut Option<i64>,
) -> Result<bool, Failure> {
    // A stream that ends without a balance is not begun again and again.
    let mut has_balance = false;
    let words = Words::of(&args.account);
    let remote = &args.remote;
    let mut ledger = client::ledger(connection);
    let request = pb::WatchBalanceRequest {
        account: args.account.clone(),
    };
    let answered = tokio::time::timeout(remote.timeout, ledger.watch_balance(request)).await;
    let reply = answered.map_err(|_| {
        let here = &remote.addr;
        Failure::new(
            Kind::Unavailable,
            format!("{here} did not answer within --timeout"),
        )
    })?;
    let mut balances = match reply {
        Ok(reply) => reply.into_inner(),
        Err(status) => return Err(remote.refused(words, &status).await),
    };
    loop {
        let message = match balances.message().await {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(has_balance),
            Err(status) => {
                let mut failure = remote.refused(words, &status).await;
                failure.add("; watch again");
                return Err(failure);
            }
        };
        let balance = message
            .balance
            .as_ref()
            .ok_or("the server sent no balance")?;
        has_balance = true;
        if last_version.replace(balance.version) == Some(balance.version) {
            continue;
        }
        if print_line(args.format, &message, || to_text(balance))? == More::Enough {
            return Ok(false);
        }
    }
}

/// A line; the widths are those that most balances need, since the next is not known.
fn to_text(balance: &pb::Balance) -> String {
    format!(
        "{:<27}  available {:<12}  held {:<12}  version {}",
        time_text(balance.read_time.as_ref()),
        balance.available,
        balance.held,
        balance.version
    )
}
