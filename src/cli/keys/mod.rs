//! `creditd keys`: one file for each subcommand.

mod create;
mod list;
mod log;
mod revoke;

use clap::Subcommand;

use super::failure::Failure;
use crate::rpc::pb::creditd::v1 as pb;

const EXAMPLES: &str = "Examples:
  creditd keys create --scope charge --scope read --title \"billing worker\"
  creditd keys create --scope read --account 'team-*' --expire-time 90d
  creditd keys list
  creditd keys revoke 4k7fq2m9xk4ab
  creditd keys log

All of them need a key with scope admin, once the server asks for keys: the one that it was
started with by --admin-key-file or CREDITD_ADMIN_KEY, or another.";

/// Create, list and revoke keys, and see what administrators did
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

/// What can be done with keys.
#[derive(Subcommand, Debug)]
enum Command {
    Create(create::Args),
    List(list::Args),
    Revoke(revoke::Args),
    Log(log::Args),
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::Create(args) => create::run(args),
        Command::List(args) => list::run(args),
        Command::Revoke(args) => revoke::run(args),
        Command::Log(args) => log::run(args),
    }
}

/// The accounts of a key as people read them.
fn accounts(key: &pb::Key) -> String {
    match key.accounts.is_empty() {
        true => "all".to_owned(),
        false => key.accounts.join(" "),
    }
}

/// The limit of a key as people read it.
fn limit(key: &pb::Key) -> String {
    match key.calls_per_second_max {
        0 => "none".to_owned(),
        calls => format!("{calls} calls/s"),
    }
}
