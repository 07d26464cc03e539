//! Charges that arrive faster than they can be done: how many are, how long those take, and
//! how many are refused. The server has one processor to itself and the load another one,
//! where there are two.
//!
//! Calls arrive by the clock, each at its time whatever became of those before it. A server
//! that does its best answers about as many as it could if it were not asked for more.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::Serialize;

use crate::load::requests::Template;
use crate::load::{Book, CONNECTIONS_MAX, Shape, Spread, Whom, run_for};
use crate::machine::Used;
use crate::options::Options;
use crate::server::Server;
use crate::setup::Setup;
use crate::text::{micros, millis, thousands};

/// How many charges arrive in a second: what one processor can do, and more.
const RATES: [u64; 4] = [20_000, 40_000, 100_000, 200_000];

/// One rate.
#[derive(Debug, Serialize)]
pub struct Row {
    pub name: String,
    /// In a second: charges that arrived, were answered, were refused by the server, and were
    /// not sent since as many as can be were under way.
    pub offered: u64,
    pub answered: u64,
    pub refused: u64,
    pub missed: u64,
    /// How long those took that were answered, from when they arrived.
    pub calls: Spread,
    /// What the server took for each that was answered, those that it refused included.
    pub server_nanos_per_charge: Option<u64>,
}

/// Measures all rates, and prints each when it is known.
pub fn run(options: &Options, setup: &Setup) -> Result<Vec<Row>, String> {
    println!();
    println!("charges that arrive by the clock, a server with one thread");
    let directory = setup.directory()?;
    let all = sched_getaffinity(None).map_err(text)?;
    let processors: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|at| all.is_set(*at)).collect();
    let [first, second] = match processors[..] {
        [first, second, ..] => [first, second],
        _ => {
            println!("server and load share the only processor");
            [processors[0]; 2]
        }
    };
    // What is started from here on stays where this is.
    stay_on(first)?;
    let server = Server::start_with(&setup.program, directory.path(), &["--threads", "1"])?;
    stay_on(second)?;
    let measured = measure(options, setup, &server);
    sched_setaffinity(None, &all).map_err(text)?;
    let rows = measured.map_err(|error| server.explain(&error))?;
    server.stop()?;
    Ok(rows)
}

fn stay_on(processor: usize) -> Result<(), String> {
    let mut one = CpuSet::new();
    one.set(processor);
    sched_setaffinity(None, &one).map_err(text)
}

fn measure(options: &Options, setup: &Setup, server: &Server) -> Result<Vec<Row>, String> {
    let mut book = Book::new(&server.address, options.accounts);
    book.open_all()?;
    print_head();
    let mut rows = Vec::new();
    for rate in RATES {
        let name = format!("Charge, {} offered", thousands(rate));
        if !options.wants(&name) {
            continue;
        }
        setup.say(&name);
        let row = measure_one(options, server, &mut book, rate, name.clone());
        let row = row.map_err(|error| format!("{name}: {error}"))?;
        print_row(&row);
        rows.push(row);
    }
    let charges = book.check_balances()?;
    println!("all {charges} charges that were answered are in the balances, and no other");
    Ok(rows)
}

fn measure_one(
    options: &Options,
    server: &Server,
    book: &mut Book,
    rate: u64,
    name: String,
) -> Result<Row, String> {
    let mut used = Vec::new();
    let mut look = || used.push(Used::by(server.pid()));
    let template = Template::charge(options.amount);
    let shape = Shape::open(rate, CONNECTIONS_MAX);
    let seen = book.charge(&template, Whom::TheOthers, |address, job| {
        run_for(address, job, shape, options.times(), &mut look)
    })?;
    if seen.answered == 0 {
        return Err("nothing was answered in the time".to_owned());
    }
    let [begin, end] = used[..] else {
        return Err("the time was not measured".to_owned());
    };
    let by_server = Used::between(begin, end);
    Ok(Row {
        name,
        offered: rate,
        answered: seen.answered / options.seconds,
        refused: seen.refused / options.seconds,
        missed: seen.missed / options.seconds,
        calls: seen.calls,
        server_nanos_per_charge: by_server.map(|used| used.processor_nanos / seen.answered),
    })
}

fn print_head() {
    println!();
    println!(
        "{:>9} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "offered/s",
        "answered/s",
        "refused/s",
        "unsent/s",
        "p50 ms",
        "p99 ms",
        "max ms",
        "server µs",
    );
}

fn print_row(row: &Row) {
    let server = row.server_nanos_per_charge;
    println!(
        "{:>9} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        thousands(row.offered),
        thousands(row.answered),
        thousands(row.refused),
        thousands(row.missed),
        millis(row.calls.p50_nanos),
        millis(row.calls.p99_nanos),
        millis(row.calls.max_nanos),
        server.map_or_else(|| "-".to_owned(), micros),
    );
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
