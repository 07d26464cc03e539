//! What creditd is held to: each goal compares it with a yardstick that is measured in turn
//! with it, on the same machine at the same time.

mod calls;
mod cards;
mod charges;
mod command;
mod core;
mod keys;
mod large;
mod row;

pub use row::Row;

use self::row::Goal;
use crate::load::requests::Template;
use crate::load::{Book, Job, Seen, Shape, Whom, callers, run_for};
use crate::machine::{processor_nanos, resident_bytes};
use crate::options::Options;
use crate::pairs::{Figure, Pairs, Side};
use crate::server::Server;
use crate::setup::Setup;

/// How long a server that was just started is left alone before its memory is read.
const IDLE: std::time::Duration = std::time::Duration::from_secs(1);
const MIB: f64 = 1_048_576.0;

/// Measures all goals, and prints each when it is known.
pub fn run(options: &Options, setup: &Setup) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    let mut add = |row: Row| {
        if options.wants(&row.name) {
            row.print();
            rows.push(row);
        }
    };
    row::print_head();
    core::rows(options, setup, &mut add)?;
    cards::rows(options, setup, &mut add)?;
    let goals = Goals::start(options, setup)?;
    let server = &goals.creditd;
    let idle = resident_bytes(server.pid()).map(|bytes| bytes as f64 / MIB);
    add(Row::of_one("Memory, idle", "MiB", Goal::AtMost(20.0), idle));
    goals.measure(&mut add)?;
    large::rows(options, setup, &mut add)?;
    for command in &options.rows_of {
        setup.say(&format!("rows of {command}"));
        for row in command::rows(command, setup)? {
            add(row);
        }
    }
    row::print_foot(&rows);
    Ok(rows)
}

/// Both servers, and what is measured on them.
struct Goals<'a> {
    options: &'a Options,
    setup: &'a Setup,
    directory: tempfile::TempDir,
    creditd: Server,
    yardstick: Server,
    /// What both stand on.
    http2_alone: Server,
    book: Book,
}

impl<'a> Goals<'a> {
    fn start(options: &'a Options, setup: &'a Setup) -> Result<Self, String> {
        if !setup.yardstick.exists() {
            return Err(format!(
                "{} is missing: build it by cargo build --release -p creditd-yardstick, or name \
                 another one by --yardstick",
                setup.yardstick.display()
            ));
        }
        let directory = setup.directory()?;
        let yardstick = |more: &[&str]| {
            let (program, directory) = (&setup.yardstick, directory.path());
            Server::yardstick(program, directory, more)
        };
        let http2_alone = yardstick(&["--http2-alone"])?;
        let yardstick = yardstick(&[])?;
        let creditd = Server::start(&setup.program, directory.path())?;
        std::thread::sleep(IDLE);
        Ok(Self {
            book: Book::new(&creditd.address, options.accounts),
            options,
            setup,
            directory,
            creditd,
            yardstick,
            http2_alone,
        })
    }

    /// All rows that compare the two; then the servers are stopped.
    fn measure(mut self, add: &mut dyn FnMut(Row)) -> Result<(), String> {
        let measured = self.measure_all(add);
        measured.map_err(|error| self.creditd.explain(&error))?;
        self.creditd.stop()
    }

    fn measure_all(&mut self, add: &mut dyn FnMut(Row)) -> Result<(), String> {
        self.book.open_all()?;
        calls::rows(self, add)?;
        keys::rows(self, add)?;
        charges::rows(self, add)?;
        let charges = self.book.check_balances()?;
        self.setup
            .say(&format!("all {charges} charges are in the balances"));
        Ok(())
    }

    fn server(&self, side: Side) -> &Server {
        match side {
            Side::Creditd => &self.creditd,
            Side::Yardstick => &self.yardstick,
        }
    }

    /// Measures a row's pairs, unless the row is not wanted.
    fn pairs(
        &mut self,
        name: &str,
        mut measure: impl FnMut(&mut Self, Side) -> Result<Figure, String>,
    ) -> Result<Option<Pairs>, String> {
        if !self.options.wants(name) {
            return Ok(None);
        }
        let count = self.options.pairs;
        let pairs = Pairs::measure(count, |side, pair| {
            self.setup
                .say(&format!("{name}: {pair} of {count}, {side:?}"));
            measure(self, side).map_err(|error| format!("{name}: {error}"))
        })?;
        Ok(Some(pairs))
    }

    /// Measures a row's pairs and adds the row.
    fn compare(
        &mut self,
        (name, unit, goal): (&str, &str, Goal),
        add: &mut dyn FnMut(Row),
        measure: impl FnMut(&mut Self, Side) -> Result<Figure, String>,
    ) -> Result<(), String> {
        if let Some(pairs) = self.pairs(name, measure)? {
            add(Row::of_pairs(name, unit, goal, pairs));
        }
        Ok(())
    }

    /// Charges on creditd, durable, by our own generator; and what was seen.
    fn charge(
        &mut self,
        template: &Template,
        whom: Whom,
        shape: Shape,
    ) -> Result<(Figure, Seen), String> {
        let (options, pid) = (self.options, self.creditd.pid());
        let mut figure = None;
        let seen = self.book.charge(template, whom, |address, job| {
            let (rates, seen) = timed(address, job, shape, options, pid)?;
            figure = Some(rates);
            Ok(seen)
        })?;
        Ok((figure.ok_or("nothing was measured")?, seen))
    }

    /// The yardstick's Estimate by the same generator and as many callers.
    fn estimate_on_yardstick(&self, shape: Shape) -> Result<Figure, String> {
        let template = Template::estimate(Some(crate::load::requests::SERVICE));
        let mut job = Job::of(&template);
        let server = &self.yardstick;
        let timed = timed(&server.address, &mut job, shape, self.options, server.pid());
        timed.map(|(figure, _)| figure)
    }
}

/// Runs a job for some time: items a second, the server's time for each, and what was seen.
fn timed(
    address: &str,
    job: &mut Job<'_>,
    shape: Shape,
    options: &Options,
    pid: u32,
) -> Result<(Figure, Seen), String> {
    let mut used = Vec::new();
    let mut look = || used.extend(processor_nanos(pid));
    let seen = run_for(address, job, shape, options.times(), &mut look)?;
    let items = seen.answered * job.template.items();
    if items == 0 {
        return Err("nothing was answered in the time".to_owned());
    }
    let nanos = match used[..] {
        [begin, end] => Some(end.saturating_sub(begin) as f64 / items as f64),
        _ => None,
    };
    let figure = Figure {
        value: items as f64 / options.seconds as f64,
        server_nanos: nanos,
    };
    Ok((figure, seen))
}
