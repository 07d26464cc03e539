//! Estimates, which h2load can make: it sends the same request again and again.

use super::row::{Goal, Row};
use super::{Figure, Goals, Job, Side};
use crate::h2load::{self, H2load, Scheme};
use crate::load::requests::{SERVICE, Template};
use crate::load::{callers, run_all};
use crate::server::Server;

/// Usages in a batch.
const BATCH: u32 = 1_000;

/// The yardstick of loads that it has no method for.
pub const WIDE: H2load = H2load {
    connections: 16,
    streams: 32,
    scheme: Scheme::Http,
    key: None,
};

pub fn rows(goals: &mut Goals<'_>, add: &mut dyn FnMut(Row)) -> Result<(), String> {
    let one = || Template::estimate(Some(SERVICE));
    let load = |connections, streams| H2load {
        connections,
        streams,
        ..WIDE
    };
    let rows = [
        ("Estimate, 16 x 32", WIDE, 1, 1.6),
        ("Estimate, 4 x 32", load(4, 32), 1, 1.6),
        ("Estimate, 2 x 8", load(2, 8), 1, 1.3),
        ("BatchEstimate of 1,000, 4 x 4", load(4, 4), BATCH, 1.5),
    ];
    for (name, load, items, times) in rows {
        let (unit, template) = match items {
            1 => ("calls/s", one()),
            _ => ("items/s", Template::estimates(1_000)),
        };
        let goal = Goal::TimesAtLeast(times);
        if h2load::is_missing() {
            add(Row::missing(name, unit, goal, h2load::MISSING));
            continue;
        }
        goals.compare((name, unit, goal), add, |goals, side| {
            measure(goals, goals.server(side), load, &template, items)
        })?;
    }
    if !h2load::is_missing() {
        // What creditd's row of this load could come up to.
        let row = ("HTTP/2 alone, 16 x 32", "calls/s", Goal::Nothing);
        goals.compare(row, add, |goals, side| {
            let server = match side {
                Side::Creditd => &goals.http2_alone,
                Side::Yardstick => &goals.yardstick,
            };
            measure(goals, server, WIDE, &one(), 1)
        })?;
    }
    Ok(())
}

fn measure(
    goals: &Goals<'_>,
    server: &Server,
    load: H2load,
    template: &Template,
    items: u32,
) -> Result<Figure, String> {
    // h2load does not see a refusal.
    let mut job = Job {
        calls_max: Some(1),
        ..Job::of(template)
    };
    run_all(&server.address, &mut job, callers(1))?;
    let (options, directory) = (goals.options, goals.directory.path());
    load.run(server, template, items, options, directory)
}
