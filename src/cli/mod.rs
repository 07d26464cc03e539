//! The command line: one file a subcommand, and what they share.
//!
//! `main` parses, runs, and turns a [`failure::Failure`] into a sentence or an object on
//! standard error, and an exit status.

mod about;
mod account;
mod accounts;
mod addr;
mod archive;
mod args;
mod audit;
mod backup;
mod balance;
mod charge;
mod config;
mod entries;
mod erase;
mod estimate;
mod extend;
mod failure;
mod follow;
mod grant;
mod health;
mod hold;
mod holds;
mod key;
mod keys;
mod list;
mod moved;
mod output;
mod prices;
mod progress;
mod rates;
mod refund;
mod refusal;
mod release;
mod reload;
mod remote;
mod restore;
mod revoke;
mod serve;
mod settle;
mod times;
mod tls;
mod watch;

use std::process::ExitCode;

use clap::builder::{BoolishValueParser, TypedValueParser as _};
use clap::error::{ContextKind, ContextValue};
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use failure::{Failure, Kind};
#[cfg(any(test, fuzzing))]
pub(crate) use rates::convert::fuzz::run as fuzz_litellm;

const EXAMPLES: &str = "Examples:
  creditd estimate lip_sync_video --duration 31s      what would it cost?
  creditd serve                                       serve the built-in JoggAI card on loopback
  creditd rates                                       the rate card as a table
  creditd grant team-a 100 --source purchase          give an account credits
  creditd charge team-a ai_scripts                    take what that costs
  creditd balance team-a                              what does it have left?
  creditd entries team-a                              where did it go?
  creditd accounts                                    all accounts, and how they are priced
  creditd keys create --scope charge                  a key for a caller, and from then on for all
  creditd config check --config creditd.toml          is that configuration right?
  creditd reload                                      have a running server read it again
  creditd backup copy.db                              copy the data file while the server runs
  creditd backup --follow copies                      keep a continuous copy of it
  creditd restore copies --to then.db --at 10m        the data file of ten minutes ago
  creditd audit                                       prove that it adds up

The exit status is 0 where all went as asked, 2 where the command line is wrong, 3 where a rule
refused it, 4 where what it names does not exist, 5 where no server answers or it cannot now,
and 1 for everything else.";

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
    Account(account::Args),
    Accounts(accounts::Args),
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
    Keys(keys::Args),
    Backup(backup::Args),
    Restore(restore::Args),
    Audit(audit::Args),
    Erase(erase::Args),
    Archive(archive::Args),
    Health(health::Args),
    Config(config::Args),
    Reload(reload::Args),
    Version(about::Version),
    Completion(about::Completion),
    Man(about::Man),
}

/// Parses the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    let parsed = Line::command().try_get_matches();
    let parsed = parsed.and_then(|matches| Ok((Line::from_arg_matches(&matches)?, matches)));
    let (line, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return not_understood(&error),
    };
    // Of the subcommand, and of one below it.
    let mut matches = &matches;
    while let Some((_, of_it)) = matches.subcommand() {
        matches = of_it;
    }
    let Err(failure) = run(line.command, matches) else {
        return ExitCode::SUCCESS;
    };
    let json = matches.try_get_one::<bool>("json").ok().flatten();
    match json {
        Some(true) => output::complain_in_json(&failure.to_json()),
        _ => output::complain(failure.message()),
    }
    ExitCode::from(failure.exit_status())
}

fn run(command: Command, matches: &ArgMatches) -> Result<(), Failure> {
    match command {
        Command::Serve(args) => serve::run(args),
        Command::Estimate(args) => estimate::run(&args, matches),
        Command::Rates(args) => rates::run(&args, matches),
        Command::Backup(args) => backup::run(&args),
        Command::Restore(args) => restore::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Erase(args) => erase::run(&args),
        Command::Archive(args) => archive::run(&args),
        Command::Grant(args) => grant::run(&args),
        Command::Balance(args) => balance::run(&args),
        Command::Account(args) => account::run(&args),
        Command::Accounts(args) => accounts::run(&args),
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
        Command::Keys(args) => keys::run(&args),
        Command::Health(args) => health::run(&args),
        Command::Config(args) => config::run(args, matches),
        Command::Reload(args) => reload::run(&args),
        Command::Version(args) => about::version(&args),
        Command::Completion(args) => about::completion(&args, Line::command()),
        Command::Man(args) => about::man(&args, Line::command()),
    }
}

/// Help and version that were asked for, or what is wrong with the command line.
fn not_understood(error: &clap::Error) -> ExitCode {
    // What it asks for is not known, but that it is a program that asks.
    let by_variable = std::env::var("CREDITD_JSON").is_ok_and(|value| {
        BoolishValueParser::new()
            .parse_ref(&Line::command(), None, value.as_ref())
            .unwrap_or_default()
    });
    let json = by_variable || std::env::args_os().any(|arg| arg == "--json");
    let variable = variable_of(error);
    if json && error.use_stderr() {
        let message = error.render().to_string();
        let message = message.trim().trim_start_matches("error: ");
        let variable = variable.map_or_else(String::new, |text| format!("\n{text}"));
        output::complain_in_json(&Failure::usage(format!("{message}{variable}")).to_json());
    } else {
        // Standard error is closed: there is no other place for the message.
        let _ = error.print();
        if let Some(text) = variable {
            output::complain(&text);
        }
    }
    match error.use_stderr() {
        true => ExitCode::from(Kind::Usage.exit_status()),
        false => ExitCode::SUCCESS,
    }
}

/// That a value that cannot be read comes from the environment, where it does.
fn variable_of(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let flag = argument.split_whitespace().next()?;
    let mut line = std::env::args_os();
    let is_on_line = line.any(|arg| arg.to_string_lossy().split('=').next() == Some(flag));
    let variable = format!(
        "CREDITD_{}",
        flag.strip_prefix("--")?.replace('-', "_").to_uppercase()
    );
    let is_set = std::env::var_os(&variable).is_some();
    (is_set && !is_on_line).then(|| format!("that value is of the variable {variable}"))
}
