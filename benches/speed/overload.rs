//! Calls that arrive faster than they can be done: how many are, how long those take, and how many
//! are refused. The server has one processor to itself and the load another one, where there are
//! two.
//!
//! First callers who wait for their answers say what the peak is. Then calls arrive by the clock,
//! at parts and multiples of it, each at its time whatever became of those before it. A server that
//! does its best answers about as many as at the peak, as soon as in calm times.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::Serialize;

use crate::load::requests::{SERVICE, Template};
use crate::load::{Book, CONNECTIONS_MAX, Job, Seen, Shape, Spread, Whom, run_for};
use crate::machine::Used;
use crate::options::Options;
use crate::server::Server;
use crate::setup::{Setup, at};
use crate::svg;
use crate::text::{micros, millis, thousands};

/// How many calls arrive, in percent of the peak. At the first of them it is calm.
const PERCENTS: [u64; 5] = [50, 100, 200, 500, 1_000];
/// How many callers find out what the peak is.
const PEAK_CALLERS: usize = 1_024;
/// How long a sync takes on the slow disk: there the ledger is the bottleneck.
const SLOW_SYNC: Duration = Duration::from_millis(20);
/// After a burst, calls are looked at for so long at a time, until they take at most so many
/// times as long as before.
const CALM_WINDOW: Duration = Duration::from_millis(100);
const CALM_CALLERS: usize = 16;
const CALM_FACTOR: u64 = 3;
const CALM_WINDOWS_MAX: u32 = 100;

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    Charge,
    ChargeOnSlowDisk,
    Estimate,
    /// As many charges as estimates.
    Mix,
}

impl Load {
    const ALL: [Self; 4] = [
        Self::Charge,
        Self::ChargeOnSlowDisk,
        Self::Estimate,
        Self::Mix,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Charge => "Charge",
            Self::ChargeOnSlowDisk => "Charge, a sync takes 20 ms",
            Self::Estimate => "Estimate",
            Self::Mix => "Charge and Estimate",
        }
    }
}

/// A load, at all rates.
#[derive(Debug, Serialize)]
pub struct Row {
    pub name: &'static str,
    /// Answered in a second to callers who wait.
    pub peak: u64,
    pub points: Vec<Point>,
    /// How long after a burst of ten times the peak calls were as quick as before it, but for a
    /// factor of 3.
    pub calm_after_millis: Option<u64>,
}

/// One rate.
#[derive(Debug, Serialize)]
pub struct Point {
    pub percent: u64,
    /// In a second: calls that arrived, were answered, were refused by the server, and were
    /// not sent since as many as can be were under way.
    pub offered: u64,
    pub answered: u64,
    pub refused: u64,
    pub missed: u64,
    /// How long those took that were answered, from when they arrived.
    pub calls: Spread,
    /// What the server took for each that was answered, those that it refused included.
    pub server_nanos_per_call: Option<u64>,
}

/// Measures all loads at all rates, prints each when it is known, and draws them.
pub fn run(options: &Options, setup: &Setup) -> Result<Vec<Row>, String> {
    println!();
    println!("calls that arrive by the clock, a server with one thread");
    let all = sched_getaffinity(None).map_err(text)?;
    let processors: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|at| all.is_set(*at)).collect();
    let [first, second] = match processors[..] {
        [first, second, ..] => [first, second],
        _ => {
            println!("server and load share the only processor");
            [processors[0]; 2]
        }
    };
    print_head();
    let mut rows = Vec::new();
    for load in Load::ALL {
        if !options.wants(load.name()) {
            continue;
        }
        setup.say(load.name());
        let directory = setup.directory()?;
        // What is started from here on stays where this is.
        stay_on(first)?;
        let program = &setup.program;
        let server = match load {
            Load::ChargeOnSlowDisk => {
                let more = ["--threads", "1"];
                Server::start_on_slow_disk(program, directory.path(), SLOW_SYNC, &more)
            }
            _ => Server::start_with(program, directory.path(), &["--threads", "1"]),
        }?;
        stay_on(second)?;
        let measured = measure(options, load, &server);
        sched_setaffinity(None, &all).map_err(text)?;
        rows.push(measured.map_err(|error| server.explain(&error))?);
        server.stop()?;
    }
    draw(options, setup, &rows)?;
    Ok(rows)
}

fn stay_on(processor: usize) -> Result<(), String> {
    let mut one = CpuSet::new();
    one.set(processor);
    sched_setaffinity(None, &one).map_err(text)
}

fn measure(options: &Options, load: Load, server: &Server) -> Result<Row, String> {
    let mut book = Book::new(&server.address, options.accounts);
    book.open_all()?;
    let times = options.times();
    let closed = Shape::closed(PEAK_CALLERS, CONNECTIONS_MAX);
    let seen = call(options, load, &mut book, closed, times, &mut || ())?;
    let peak = (seen.answered / options.seconds).max(1);
    println!(
        "{}: {} in a second at the peak",
        load.name(),
        thousands(peak)
    );
    let mut row = Row {
        name: load.name(),
        peak,
        points: Vec::new(),
        calm_after_millis: None,
    };
    for percent in PERCENTS {
        let rate = (peak * percent / 100).max(2);
        let mut used = Vec::new();
        let mut look = || used.push(Used::by(server.pid()));
        let shape = Shape::open(rate, CONNECTIONS_MAX);
        let seen = call(options, load, &mut book, shape, times, &mut look)?;
        let by_server = match used[..] {
            [begin, end] => Used::between(begin, end),
            _ => None,
        };
        let point = Point {
            percent,
            offered: rate,
            answered: seen.answered / options.seconds,
            refused: seen.refused / options.seconds,
            missed: seen.missed / options.seconds,
            calls: seen.calls,
            server_nanos_per_call: by_server
                .map(|used| used.processor_nanos / seen.answered.max(1)),
        };
        print_point(&point);
        row.points.push(point);
    }
    row.calm_after_millis = calm_after(options, load, &mut book, peak)?;
    match row.calm_after_millis {
        Some(time) => println!("{time} ms after a burst of 1 s calls are as quick as before it"),
        None => println!("after a burst of 1 s calls are not as quick as before it for 10 s"),
    }
    if load != Load::Estimate {
        let charges = book.check_balances()?;
        println!("all {charges} charges that were answered are in the balances, and no other");
    }
    Ok(row)
}

/// Makes the calls of a load.
fn call(
    options: &Options,
    load: Load,
    book: &mut Book,
    shape: Shape,
    times: (Duration, Duration),
    look: &mut dyn FnMut(),
) -> Result<Seen, String> {
    let charge = |book: &mut Book, shape, look: &mut dyn FnMut()| {
        let template = Template::charge(options.amount);
        book.charge(&template, Whom::TheOthers, |address, job| {
            run_for(address, job, shape, times, look)
        })
    };
    let estimate = |address: &str, shape, look: &mut dyn FnMut()| {
        let template = Template::estimate(Some(SERVICE));
        run_for(address, &mut Job::of(&template), shape, times, look)
    };
    match load {
        Load::Charge | Load::ChargeOnSlowDisk => charge(book, shape, look),
        Load::Estimate => estimate(&book.address, shape, look),
        Load::Mix => {
            let half = Shape {
                callers: shape.callers / 2,
                connections: shape.connections / 2,
                arrivals: shape.arrivals.map(|rate| rate / 2),
                ..shape
            };
            let address = book.address.clone();
            let [charges, estimates] = std::thread::scope(|scope| {
                let estimates = scope.spawn(|| estimate(&address, half, &mut || ()));
                let charges = charge(book, half, look);
                let ended = |_| Err("the thread of the estimates ended".to_owned());
                [charges, estimates.join().unwrap_or_else(ended)]
            });
            Ok(both(shape, charges?, &estimates?))
        }
    }
}

/// What was seen of both; the times are those of the slower ones. Of callers who wait as many count
/// of each, as many arrive of each later.
fn both(shape: Shape, one: Seen, other: &Seen) -> Seen {
    let slower = match one.calls.p99_nanos >= other.calls.p99_nanos {
        true => one.calls,
        false => other.calls,
    };
    Seen {
        answered: match shape.arrivals {
            None => 2 * one.answered.min(other.answered),
            Some(_) => one.answered + other.answered,
        },
        refused: one.refused + other.refused,
        missed: one.missed + other.missed,
        calls: slower,
        ..one
    }
}

/// How long after a burst calls are as quick as before it.
fn calm_after(
    options: &Options,
    load: Load,
    book: &mut Book,
    peak: u64,
) -> Result<Option<u64>, String> {
    let few = Shape::closed(CALM_CALLERS, CONNECTIONS_MAX);
    let before = call(options, load, book, few, options.times(), &mut || ())?;
    let burst = Shape::open(peak * 10, CONNECTIONS_MAX);
    let second = Duration::from_secs(1);
    let end = Instant::now() + second;
    call(
        options,
        load,
        book,
        burst,
        (Duration::ZERO, second),
        &mut || (),
    )?;
    for _ in 0..CALM_WINDOWS_MAX {
        let began = end.elapsed();
        let window = (Duration::ZERO, CALM_WINDOW);
        let seen = call(options, load, book, few, window, &mut || ())?;
        if seen.calls.p99_nanos <= before.calls.p99_nanos * CALM_FACTOR {
            return Ok(u64::try_from(began.as_millis()).ok());
        }
    }
    Ok(None)
}

/// Goodput and what callers wait, by the load that is offered.
fn draw(options: &Options, setup: &Setup, rows: &[Row]) -> Result<(), String> {
    let place = match &options.plots {
        Some(place) => place.clone(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/overload"),
    };
    std::fs::create_dir_all(&place).map_err(|error| at(&place, error))?;
    let series = rows.iter().map(|row| svg::Series {
        name: row.name,
        points: (row.points.iter())
            .map(|point| svg::Point {
                x: point.percent as f64 / 100.0,
                values: [
                    Some(point.answered as f64 * 100.0 / row.peak as f64),
                    Some(point.calls.p99_nanos as f64 / 1e6),
                ],
            })
            .collect(),
    });
    let chart = svg::Chart {
        title: "More than can be done",
        x: "times the peak that arrive",
        panels: ["answered, % of the peak", "99 of 100 answers within ms"],
        series: series.collect(),
    };
    let file = place.join("overload.svg");
    std::fs::write(&file, svg::draw(&chart)).map_err(|error| at(&file, error))?;
    setup.say(&format!("the plot is {}", file.display()));
    Ok(())
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

fn print_point(point: &Point) {
    let server = point.server_nanos_per_call;
    println!(
        "{:>9} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        thousands(point.offered),
        thousands(point.answered),
        thousands(point.refused),
        thousands(point.missed),
        millis(point.calls.p50_nanos),
        millis(point.calls.p99_nanos),
        millis(point.calls.max_nanos),
        server.map_or_else(|| "-".to_owned(), micros),
    );
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
