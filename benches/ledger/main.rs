//! The ledger's benchmark: the real server, a real disk, and callers who wait for each
//! answer. docs/performance.md says what it measures and how to read it.
//!
//! A reply that is no success ends the run, and so does a balance at its end that is not
//! what was granted less what was charged.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::float_arithmetic,
    clippy::print_stdout,
    clippy::print_stderr
)]

mod client;
mod disk;
mod load;
mod machine;
mod options;
mod report;
mod requests;
mod server;
mod spread;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;

use self::disk::Disk;
use self::load::{Bench, Load};
use self::machine::{Machine, Used};
use self::options::Options;
use self::report::{Report, Row, Settings};
use self::server::Server;

/// How many callers make single charges.
const CALLERS: [usize; 4] = [1, 16, 256, 1_024];
/// How many charges a batch has, and how many callers send batches.
const BATCH_LENGTH: usize = 1_000;
const BATCH_CALLERS: usize = 4;

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
    let place = options.directory();
    let failed = |error: std::io::Error| format!("{}: {error}", options.directory().display());
    std::fs::create_dir_all(&place).map_err(failed)?;
    // The server runs in another directory.
    let place = place.canonicalize().map_err(failed)?;
    let program = options.program();
    let program = program
        .canonicalize()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    // Removed at the end.
    let directory = tempfile::tempdir_in(&place).map_err(failed)?;
    let machine = Machine::of(directory.path());
    if machine.in_memory() {
        return Err(format!(
            "{} is in memory, where nothing is durable; choose another --directory",
            place.display()
        ));
    }
    let settings = Settings {
        seconds: options.seconds,
        warm_up_seconds: options.warm_up_seconds,
        accounts: options.accounts,
        charged: if options.amount { "amount" } else { "usage" },
    };
    report::print_head(&machine, &settings);
    let disk_before = Disk::measure(directory.path()).map_err(failed)?;
    report::print_disk("before", &disk_before);

    let server = Server::start(&program, directory.path())?;
    // One thread for all callers: two of them would take the server's.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let measured = runtime.block_on(measure(options, &server));
    let (rows, charges_checked) = measured.map_err(|error| format!("{error}\n{}", server.log()))?;
    if !server.stop() {
        return Err("the server did not stop as it should".to_owned());
    }

    println!();
    let disk_after = Disk::measure(directory.path()).map_err(failed)?;
    report::print_disk("after", &disk_after);
    println!("all {charges_checked} charges that were answered are in the balances");
    let report = Report {
        machine,
        settings,
        disk_before,
        rows,
        disk_after,
        charges_checked,
    };
    if let Some(path) = &options.json {
        let mut text = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
        text.push('\n');
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// All rows, and how many charges were answered and found in the balances.
async fn measure(options: &Options, server: &Server) -> Result<(Vec<Row>, u64), String> {
    let bench = Arc::new(Bench::new(&server.address, options.accounts));
    bench.open_accounts().await?;
    report::print_row_head();
    let mut rows = Vec::new();
    for load in loads(options) {
        let name = name(load, options);
        if options
            .only
            .as_ref()
            .is_some_and(|only| !name.contains(only))
        {
            continue;
        }
        let row = measure_one(options, server, &bench, load, name.clone());
        let row = row.await.map_err(|error| format!("{name}: {error}"))?;
        report::print_row(&row);
        rows.push(row);
    }
    if rows.is_empty() {
        return Err("no row has that in its name".to_owned());
    }
    let charges = bench.check_balances().await?;
    Ok((rows, charges))
}

/// All loads. Of each pair, one account and many, now the one comes first and now the
/// other, so that what changes in the course of a run favours neither.
fn loads(options: &Options) -> Vec<Load> {
    let singles = CALLERS.map(|callers| (callers, None));
    let pairs = singles
        .into_iter()
        .chain([(BATCH_CALLERS, Some(BATCH_LENGTH))]);
    let loads = pairs.enumerate().flat_map(|(position, (callers, batch))| {
        let spread_first = position % 2 == 1;
        [spread_first, !spread_first].map(|spread| Load {
            callers,
            batch,
            spread,
            amount: options.amount,
        })
    });
    loads.collect()
}

fn name(load: Load, options: &Options) -> String {
    let method = match load.batch {
        None => "charge".to_owned(),
        Some(length) => format!("batch of {length}"),
    };
    let accounts = match load.spread {
        true => format!("{} accounts", options.accounts),
        false => "1 account".to_owned(),
    };
    format!("{method}, {accounts}, {} callers", load.callers)
}

async fn measure_one(
    options: &Options,
    server: &Server,
    bench: &Arc<Bench>,
    load: Load,
    name: String,
) -> Result<Row, String> {
    let mut used = Vec::new();
    let look = || used.push((Used::by(server.pid()), Used::by(std::process::id())));
    let seen = bench.run(load, options.warm_up(), options.measured(), look);
    let seen = seen.await?;
    if seen.charges == 0 {
        return Err("nothing was answered in the time".to_owned());
    }
    let [
        Some((server_begin, load_begin)),
        Some((server_end, load_end)),
    ] = [used.first(), used.last()].map(|used| used.copied())
    else {
        return Err("the time was not measured".to_owned());
    };
    let by_server = Used::between(server_begin, server_end);
    let by_load = Used::between(load_begin, load_end);
    Ok(Row {
        name,
        method: if load.batch.is_some() {
            "BatchCharge"
        } else {
            "Charge"
        },
        charges_per_call: load.batch.unwrap_or(1),
        accounts: if load.spread { options.accounts } else { 1 },
        callers: load.callers,
        connections: seen.connections,
        charges: seen.charges,
        charges_per_second: seen.charges / options.seconds.max(1),
        calls: seen.calls,
        server_nanos_per_charge: by_server.map(|used| used.processor_nanos / seen.charges),
        load_nanos_per_charge: by_load.map(|used| used.processor_nanos / seen.charges),
        written_bytes_per_charge: by_server.map(|used| used.written_bytes / seen.charges),
    })
}
