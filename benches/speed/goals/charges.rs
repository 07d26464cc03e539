//! Charges, each of them durable. The yardstick never waits for a disk.

use super::calls::WIDE;
use super::row::{Goal, Row};
use super::{Figure, Goals, Pairs, Side, Whom, callers};
use crate::disk::append_fsync;
use crate::h2load;
use crate::load::requests::{SERVICE, Template};

/// What the rows but the last two count.
const UNIT: &str = "charges/s";

pub fn rows(goals: &mut Goals<'_>, add: &mut dyn FnMut(Row)) -> Result<(), String> {
    let template = Template::charge(false);
    for (number, times) in [(256, 0.8), (1_024, 1.0)] {
        let name = format!("Charge, {} callers", crate::text::thousands(number));
        let row = (&*name, UNIT, Goal::TimesAtLeast(times));
        goals.compare(row, add, |goals, side| match side {
            Side::Creditd => figure(goals.charge(&template, Whom::TheOthers, callers(number))),
            Side::Yardstick => goals.estimate_on_yardstick(callers(number)),
        })?;
    }
    let name = "Charge, one hot account to many, 256 callers";
    let row = (name, UNIT, Goal::TimesAtLeast(0.9));
    goals.compare(row, add, |goals, side| {
        let whom = match side {
            Side::Creditd => Whom::TheFirst,
            Side::Yardstick => Whom::TheOthers,
        };
        figure(goals.charge(&template, whom, callers(256)))
    })?;
    batches(goals, add)?;
    waits(goals, &template, add)
}

fn figure<T>(measured: Result<(Figure, T), String>) -> Result<Figure, String> {
    measured.map(|(figure, _)| figure)
}

fn batches(goals: &mut Goals<'_>, add: &mut dyn FnMut(Row)) -> Result<(), String> {
    let (name, goal) = (
        "BatchCharge of 1,000, 4 connections",
        Goal::TimesAtLeast(3.0),
    );
    if h2load::is_missing() {
        add(Row::missing(name, UNIT, goal, h2load::MISSING));
        return Ok(());
    }
    let batch = Template::batch(1_000, false);
    let estimate = Template::estimate(Some(SERVICE));
    goals.compare((name, UNIT, goal), add, |goals, side| match side {
        Side::Creditd => figure(goals.charge(&batch, Whom::TheOthers, callers(4))),
        Side::Yardstick => {
            let (server, directory) = (&goals.yardstick, goals.directory.path());
            WIDE.run(server, &estimate, 1, goals.options, directory)
        }
    })
}

/// How long a charge takes, by how long a sync of the disk takes.
fn waits(
    goals: &mut Goals<'_>,
    template: &Template,
    add: &mut dyn FnMut(Row),
) -> Result<(), String> {
    let millis = |nanos: u64| Figure::of(nanos as f64 / 1e6);
    let mut longest = Vec::new();
    let name = "Charge, 16 callers, p50 by the disk's p99";
    let Some(typical) = goals.pairs(name, |goals, side| match side {
        Side::Creditd => {
            let (_, seen) = goals.charge(template, Whom::TheOthers, callers(16))?;
            longest.push(millis(seen.calls.p99_nanos));
            Ok(millis(seen.calls.p50_nanos))
        }
        Side::Yardstick => {
            let disk = append_fsync(goals.directory.path());
            let disk = disk.map_err(|error| error.to_string())?;
            Ok(millis(disk.p99_nanos))
        }
    })?
    else {
        return Ok(());
    };
    let longest = Pairs {
        creditd: longest,
        yardstick: typical.yardstick.clone(),
    };
    add(Row::of_pairs(name, "ms", Goal::TimesUnder(3.0), typical));
    let name = "Charge, 16 callers, p99 by the disk's p99";
    add(Row::of_pairs(name, "ms", Goal::TimesUnder(6.0), longest));
    Ok(())
}
