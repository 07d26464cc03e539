//! creditd's benchmark: what it is held to, the ledger under load, and how cost grows.
//! docs/performance.md says what it measures and how to read it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::float_arithmetic,
    clippy::print_stdout,
    clippy::print_stderr
)]

mod disk;
mod goals;
mod growth;
mod h2load;
mod ledger;
mod load;
mod machine;
mod options;
mod overload;
mod pairs;
mod server;
mod setup;
mod svg;
mod text;

use std::process::ExitCode;

use clap::Parser as _;
use serde::Serialize;

use self::machine::Machine;
use self::options::{Options, Part};
use self::setup::{Setup, at};

/// All of a run. It has no date: a run of the same program on the same machine differs
/// in its figures alone.
#[derive(Serialize)]
struct Report {
    machine: Machine,
    seconds: u64,
    warm_up_seconds: u64,
    /// Parts that were left out are null.
    goals: Option<Vec<goals::Row>>,
    ledger: Option<ledger::Ledger>,
    overload: Option<Vec<overload::Row>>,
    growth: Option<Vec<growth::Plot>>,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nFAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let setup = Setup::new(options)?;
    print_head(options, &setup.machine);
    let mut report = Report {
        machine: setup.machine.clone(),
        seconds: options.seconds,
        warm_up_seconds: options.warm_up_seconds,
        goals: None,
        ledger: None,
        overload: None,
        growth: None,
    };
    // What is known is kept where a later part fails.
    if options.has(Part::Goals) {
        report.goals = Some(goals::run(options, &setup)?);
        write(&report, &setup)?;
    }
    if options.has(Part::Ledger) {
        report.ledger = Some(ledger::run(options, &setup)?);
        write(&report, &setup)?;
    }
    if options.has(Part::Overload) {
        report.overload = Some(overload::run(options, &setup)?);
        write(&report, &setup)?;
    }
    if options.has(Part::Growth) {
        report.growth = Some(growth::run(options, &setup)?);
        write(&report, &setup)?;
    }
    setup.say(&format!("all figures are in {}", setup.json.display()));
    Ok(())
}

/// The first lines: where and how.
fn print_head(options: &Options, machine: &Machine) {
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    println!(
        "{} processors ({}), kernel {}, data files on {}",
        machine.processors,
        known(&machine.processor),
        known(&machine.kernel),
        known(&machine.file_system),
    );
    println!(
        "{} s a measurement after {} s to warm up; the load runs on the same machine",
        options.seconds, options.warm_up_seconds,
    );
}

fn write(report: &Report, setup: &Setup) -> Result<(), String> {
    let mut text = serde_json::to_string_pretty(report).map_err(|error| error.to_string())?;
    text.push('\n');
    std::fs::write(&setup.json, text).map_err(|error| at(&setup.json, error))
}
