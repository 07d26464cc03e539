//! `creditd config`: one file for each subcommand, and how all of them read a configuration.

mod check;
mod load;
mod print;
mod variables;

use clap::{ArgMatches, Subcommand};

use super::failure::Failure;
pub(super) use load::{ConfigArgs, load};

const EXAMPLES: &str = "Examples:
  creditd config check --config /etc/creditd.toml
  creditd config print --config /etc/creditd.toml --calls-max 500
  creditd config print > creditd.toml";

/// Check a configuration, or print it, without a server
///
/// Both take the options of "creditd serve", read the same environment, and change nothing.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

/// What can be done with a configuration.
#[derive(Subcommand, Debug)]
enum Command {
    Check(check::Args),
    Print(print::Args),
}

pub(super) fn run(args: Args, matches: &ArgMatches) -> Result<(), Failure> {
    match args.command {
        Command::Check(args) => check::run(args),
        Command::Print(args) => print::run(args, matches),
    }
}
