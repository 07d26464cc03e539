//! The command line: one file a subcommand.

mod args;
mod audit;
mod backup;
mod balance;
mod charge;
mod entries;
mod estimate;
mod extend;
mod grant;
mod hold;
mod holds;
mod moved;
mod output;
mod progress;
mod rates;
mod refund;
mod release;
mod remote;
mod revoke;
mod serve;
mod settle;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::domain::Timestamp;
use crate::rfc3339;

/// Everything went as asked.
const DONE: u8 = 0;
/// It did not; standard error says why. (A wrong command line ends with 2.)
const FAILED: u8 = 1;

const EXAMPLES: &str = "Examples:
  creditd serve                                       serve the built-in JoggAI card on loopback
  creditd estimate lip_sync_video --duration 31s      what would it cost?
  creditd rates                                       the rate card as a table
  creditd grant team-a 100 --source purchase          give an account credits
  creditd charge team-a ai_scripts                    take what that costs
  creditd balance team-a                              what does it have left?
  creditd entries team-a                              where did it go?
  creditd backup copy.db                              copy the data file while the server runs
  creditd audit                                       prove that it adds up";

/// Prices usage in credits and keeps prepaid balances, over gRPC.
#[derive(Parser)]
#[command(name = "creditd", version, after_help = EXAMPLES, propagate_version = true)]
#[command(arg_required_else_help = true)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(serve::Args),
    Estimate(estimate::Args),
    Rates(rates::Args),
    Grant(grant::Args),
    Balance(balance::Args),
    Watch(watch::Args),
    Entries(entries::Args),
    Charge(charge::Args),
    Refund(refund::Args),
    Hold(hold::Args),
    Extend(extend::Args),
    Settle(settle::Args),
    Release(release::Args),
    Holds(holds::Args),
    Revoke(revoke::Args),
    Backup(backup::Args),
    Audit(audit::Args),
}

/// The time that an option gives, or what is wrong with its text.
fn time_option(
    option: &str,
    text: Option<&str>,
    example: &str,
) -> Result<Option<Timestamp>, String> {
    let Some(text) = text else { return Ok(None) };
    rfc3339::parse(text)
        .map(Some)
        .ok_or_else(|| format!("{option} {text} is no time; write it like {example}"))
}

/// Parses the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    let outcome = match Line::parse().command {
        Command::Serve(args) => serve::run(args),
        Command::Estimate(args) => estimate::run(&args),
        Command::Rates(args) => rates::run(&args),
        Command::Backup(args) => backup::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Grant(args) => grant::run(&args),
        Command::Balance(args) => balance::run(&args),
        Command::Watch(args) => watch::run(&args),
        Command::Entries(args) => entries::run(&args),
        Command::Charge(args) => charge::run(&args),
        Command::Refund(args) => refund::run(&args),
        Command::Hold(args) => hold::run(&args),
        Command::Extend(args) => extend::run(&args),
        Command::Settle(args) => settle::run(&args),
        Command::Release(args) => release::run(&args),
        Command::Holds(args) => holds::run(&args),
        Command::Revoke(args) => revoke::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::from(DONE),
        Err(problem) => {
            output::complain(&problem);
            ExitCode::from(FAILED)
        }
    }
}
