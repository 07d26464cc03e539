//! `creditd rates`: rate cards as tables, and one file for each subcommand.

mod check;
pub(super) mod convert;
mod diff;
mod files;
mod list;
mod new;
mod publish;
mod table;
mod usage;
mod withdraw;
mod written;

use clap::{ArgMatches, Subcommand};

use super::failure::Failure;

const EXAMPLES: &str = "Examples:
  creditd rates
  creditd rates --addr 127.0.0.1:50051 --json
  creditd rates --rate-card-file prices.toml
  creditd rates check prices.toml
  creditd rates new --output prices.toml
  creditd rates diff prices.toml prices-2027.toml
  creditd rates convert litellm model_prices_and_context_window.json --output models.toml
  creditd rates publish prices.toml
  creditd rates list
  creditd rates withdraw 4b0a9ecf1f0b0b7f7a3c2d1e";

/// Show rate cards as tables, of a server or without any; check, compare and make them
///
/// Without --addr and CREDITD_ADDR the built-in rate card is shown, or --rate-card-file, which
/// is read as "creditd serve" would. With --json each card is an object on a line of its own.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    shown: table::Shown,
}

/// What can be done with rate cards beside showing them.
#[derive(Subcommand, Debug)]
enum Command {
    Check(check::Args),
    New(new::Args),
    Diff(diff::Args),
    Convert(convert::Args),
    Publish(publish::Args),
    List(list::Args),
    Withdraw(withdraw::Args),
}

pub(super) fn run(args: &Args, matches: &ArgMatches) -> Result<(), Failure> {
    match &args.command {
        None => table::run(&args.shown, matches),
        Some(Command::Check(args)) => check::run(args),
        Some(Command::New(args)) => new::run(args),
        Some(Command::Diff(args)) => diff::run(args),
        Some(Command::Convert(args)) => convert::run(args),
        Some(Command::Publish(args)) => publish::run(args),
        Some(Command::List(args)) => list::run(args),
        Some(Command::Withdraw(args)) => withdraw::run(args),
    }
}
