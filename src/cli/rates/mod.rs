//! `creditd rates`: rate cards as tables, and one file for each subcommand.

mod table;

use clap::{ArgMatches, Subcommand};

use super::failure::Failure;

const EXAMPLES: &str = "Examples:
  creditd rates
  creditd rates --addr 127.0.0.1:50051 --json
  creditd rates --rate-card-file prices.toml";

/// Show rate cards as tables, of a server or without any
///
/// Without --addr and CREDITD_ADDR the built-in rate card is shown, or --rate-card-file, which
/// is read as "creditd serve" would, so this also checks files. With --json each card is an
/// object on a line of its own.
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
enum Command {}

pub(super) fn run(args: &Args, matches: &ArgMatches) -> Result<(), Failure> {
    match &args.command {
        None => table::run(&args.shown, matches),
        Some(command) => match *command {},
    }
}
