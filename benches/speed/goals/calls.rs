//! Estimates, which h2load can make: it sends the same request again and again.

use super::row::{Goal, Row};
use super::{Goals, Job};
use crate::h2load::{self, H2load};
use crate::load::requests::{SERVICE, Template};
use crate::load::{callers, run_all};

/// Usages in a batch.
const BATCH: u32 = 1_000;

/// The yardstick of loads that it has no method for.
pub const WIDE: H2load = H2load {
    connections: 16,
    streams: 32,
};

pub fn rows(goals: &mut Goals<'_>, add: &mut dyn FnMut(Row)) -> Result<(), String> {
    let one = || Template::estimate(Some(SERVICE));
    let load = |connections, streams| H2load {
        connections,
        streams,
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
            let server = goals.server(side);
            // h2load does not see a refusal.
            let mut job = Job {
                calls_max: Some(1),
                ..Job::of(&template)
            };
            run_all(&server.address, &mut job, callers(1))?;
            let (options, directory) = (goals.options, goals.directory.path());
            load.run(server, &template, items, options, directory)
        })?;
    }
    Ok(())
}
