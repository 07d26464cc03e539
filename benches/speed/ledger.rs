//! The ledger under each kind of load: the real server, a real disk, and callers who wait
//! for each answer.
//!
//! A reply that is no success ends the run, and so does a balance at its end that is not
//! what was granted less what was charged.

use serde::Serialize;

use crate::disk::Disk;
use crate::load::requests::Template;
use crate::load::{Book, Shape, Spread, Whom, callers, run_for};
use crate::machine::Used;
use crate::options::Options;
use crate::server::Server;
use crate::setup::{Setup, at};
use crate::text::{micros, millis, thousands};

/// How many callers make single charges.
const CALLERS: [usize; 4] = [1, 16, 256, 1_024];
/// How many charges a batch has, and how many callers send batches.
const BATCH_LENGTH: usize = 1_000;
const BATCH_CALLERS: usize = 4;

/// All of it.
#[derive(Debug, Serialize)]
pub struct Ledger {
    pub accounts: u32,
    /// "usage" or "amount".
    pub charged: &'static str,
    pub disk_before: Disk,
    pub rows: Vec<Row>,
    pub disk_after: Disk,
    /// Charges that were answered, all of them found in the balances.
    pub charges_checked: u64,
}

/// One load.
#[derive(Debug, Serialize)]
pub struct Row {
    pub name: String,
    pub method: &'static str,
    pub charges_per_call: usize,
    pub accounts: u32,
    pub callers: usize,
    pub connections: usize,
    /// None: callers wait for each answer.
    pub arrivals_per_second: Option<u64>,
    pub charges: u64,
    pub charges_per_second: u64,
    pub calls: Spread,
    /// What each charge cost the server, and those who called it; None where the
    /// system does not say.
    pub server_nanos_per_charge: Option<u64>,
    pub load_nanos_per_charge: Option<u64>,
    pub written_bytes_per_charge: Option<u64>,
}

/// One kind of load.
#[derive(Clone, Copy)]
struct Load {
    callers: usize,
    /// How many charges a call has; None: it is a Charge.
    batch: Option<usize>,
    /// Over all accounts but the first, or over the first alone.
    spread: bool,
}

/// Measures all rows, and prints each when it is known.
pub fn run(options: &Options, setup: &Setup) -> Result<Ledger, String> {
    let charged = if options.amount { "amount" } else { "usage" };
    let rate = options.rate.map_or(String::new(), |rate| {
        format!("; {} calls arrive in a second", thousands(rate))
    });
    println!();
    println!("each charge is of a {charged} and answered when it is on disk{rate}");
    let directory = setup.directory()?;
    let directory = directory.path();
    let measure_disk = |when| {
        let disk = Disk::measure(directory).map_err(|error| at(directory, error))?;
        print_disk(when, &disk);
        Ok::<Disk, String>(disk)
    };
    let disk_before = measure_disk("before")?;
    let server = Server::start(&setup.program, directory)?;
    let measured = measure(options, setup, &server);
    let (rows, charges_checked) = measured.map_err(|error| server.explain(&error))?;
    server.stop()?;
    println!();
    let disk_after = measure_disk("after")?;
    println!("all {charges_checked} charges that were answered are in the balances");
    Ok(Ledger {
        accounts: options.accounts,
        charged,
        disk_before,
        rows,
        disk_after,
        charges_checked,
    })
}

/// All rows, and how many charges were answered and found in the balances.
fn measure(options: &Options, setup: &Setup, server: &Server) -> Result<(Vec<Row>, u64), String> {
    let mut book = Book::new(&server.address, options.accounts);
    book.open_all()?;
    print_row_head();
    let mut rows = Vec::new();
    for load in loads() {
        let name = name(load, options);
        if !options.wants(&name) {
            continue;
        }
        setup.say(&name);
        let row = measure_one(options, server, &mut book, load, name.clone());
        let row = row.map_err(|error| format!("{name}: {error}"))?;
        print_row(&row);
        rows.push(row);
    }
    let charges = book.check_balances()?;
    Ok((rows, charges))
}

/// All loads. Of each pair, one account and many, now the one comes first and now the
/// other, so that what changes in the course of a run favours neither.
fn loads() -> Vec<Load> {
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
        })
    });
    loads.collect()
}

fn name(load: Load, options: &Options) -> String {
    let method = match load.batch {
        None => "Charge".to_owned(),
        Some(length) => format!("BatchCharge of {}", thousands(length)),
    };
    let accounts = match load.spread {
        true => format!("{} accounts", thousands(options.accounts)),
        false => "1 account".to_owned(),
    };
    format!("{method}, {accounts}, {} callers", thousands(load.callers))
}

fn measure_one(
    options: &Options,
    server: &Server,
    book: &mut Book,
    load: Load,
    name: String,
) -> Result<Row, String> {
    let mut used = Vec::new();
    let mut look = || used.push((Used::by(server.pid()), Used::by(std::process::id())));
    let template = match load.batch {
        None => Template::charge(options.amount),
        Some(length) => Template::batch(length, options.amount),
    };
    let shape = Shape {
        arrivals: options.rate,
        ..callers(load.callers)
    };
    let whom = match load.spread {
        true => Whom::TheOthers,
        false => Whom::TheFirst,
    };
    let seen = book.charge(&template, whom, |address, job| {
        run_for(address, job, shape, options.times(), &mut look)
    })?;
    let charges = seen.answered * template.items();
    if charges == 0 {
        return Err("nothing was answered in the time".to_owned());
    }
    let [(server_begin, load_begin), (server_end, load_end)] = used[..] else {
        return Err("the time was not measured".to_owned());
    };
    let by_server = Used::between(server_begin, server_end);
    let by_load = Used::between(load_begin, load_end);
    Ok(Row {
        name,
        method: match load.batch {
            Some(_) => "BatchCharge",
            None => "Charge",
        },
        charges_per_call: load.batch.unwrap_or(1),
        accounts: if load.spread { options.accounts } else { 1 },
        callers: load.callers,
        connections: shape.connections,
        arrivals_per_second: options.rate,
        charges,
        charges_per_second: charges / options.seconds,
        calls: seen.calls,
        server_nanos_per_charge: by_server.map(|used| used.processor_nanos / charges),
        load_nanos_per_charge: by_load.map(|used| used.processor_nanos / charges),
        written_bytes_per_charge: by_server.map(|used| used.written_bytes / charges),
    })
}

fn print_disk(when: &str, disk: &Disk) {
    for (what, spread) in [
        ("append of 8 KiB and fsync", &disk.append_fsync),
        (
            "overwrite of 8 KiB and fdatasync",
            &disk.overwrite_fdatasync,
        ),
    ] {
        println!(
            "disk {when:6} {what:33} p50 {} ms, p99 {} ms ({} times)",
            millis(spread.p50_nanos),
            millis(spread.p99_nanos),
            spread.count,
        );
    }
}

fn print_row_head() {
    println!();
    println!(
        "{:<19} {:>8} {:>7} {:>9} {:>8} {:>8} {:>8} {:>9} {:>7} {:>7}",
        "",
        "accounts",
        "callers",
        "charges/s",
        "p50 ms",
        "p99 ms",
        "max ms",
        "server µs",
        "load µs",
        "disk B",
    );
}

/// One line; what a charge cost stands at its end.
fn print_row(row: &Row) {
    let method = match row.charges_per_call {
        1 => row.method.to_owned(),
        many => format!("{} of {}", row.method, thousands(many)),
    };
    let figure = |figure: Option<String>| figure.unwrap_or_else(|| "-".to_owned());
    println!(
        "{:<19} {:>8} {:>7} {:>9} {:>8} {:>8} {:>8} {:>9} {:>7} {:>7}",
        method,
        thousands(row.accounts),
        thousands(row.callers),
        thousands(row.charges_per_second),
        millis(row.calls.p50_nanos),
        millis(row.calls.p99_nanos),
        millis(row.calls.max_nanos),
        figure(row.server_nanos_per_charge.map(micros)),
        figure(row.load_nanos_per_charge.map(micros)),
        figure(row.written_bytes_per_charge.map(thousands)),
    );
}
