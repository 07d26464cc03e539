//! The pricing core alone, in this process: no wire, no thread, no lock.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use creditd::app::card_file;
use creditd::domain::pricing::{Card, Given, Meter, ServicePrice, Usage};

use super::row::{Goal, Row};
use crate::options::Options;
use crate::setup::Setup;

/// How often every usage is priced in a run, and how many runs there are.
const TIMES: u32 = 100_000;
const RUNS: usize = 7;
/// Quantities that each service gets: seconds with a fraction, or pieces.
const SECONDS: [i128; 3] = [31_000_000_000, 120_000_000_000, 754_321_000_000];
const PIECES: [i64; 3] = [1, 7, 1_000];

pub fn rows(options: &Options, setup: &Setup, add: &mut dyn FnMut(Row)) -> Result<(), String> {
    let (time, allocations) = ("Pricing core, a usage", "Pricing core, allocations a usage");
    if !options.wants(time) && !options.wants(allocations) {
        return Ok(());
    }
    setup.say(time);
    let loaded = card_file::built_in().map_err(|error| error.to_string())?;
    let (card, nothing) = (loaded.card, BTreeMap::new());
    let mut usages = Vec::new();
    for service in card.services() {
        let ServicePrice::One(one) = &service.price else {
            continue;
        };
        let quantities = match one.meter {
            Meter::Duration => SECONDS.map(Given::Duration),
            Meter::Count { .. } => PIECES.map(Given::Count),
        };
        usages.extend(quantities.map(|quantity| Usage {
            service: &service.key,
            quantity,
            attributes: &nothing,
            meters: &nothing,
        }));
    }
    let all = f64::from(TIMES) * usages.len() as f64;
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        let start = Instant::now();
        for _ in 0..TIMES {
            price_all(&card, &usages);
        }
        best = best.min(start.elapsed().as_nanos() as f64 / all);
    }
    let counted = allocation_counter::measure(|| price_all(&card, &usages));
    let each = counted.count_total as f64 / usages.len() as f64;
    add(Row::of_one(time, "ns", Goal::Under(60.0), Some(best)));
    let goal = Goal::AtMost(0.0);
    add(Row::of_one(allocations, "", goal, Some(each)));
    Ok(())
}

fn price_all(card: &Card, usages: &[Usage<'_>]) {
    for usage in usages {
        let quote = card.price(black_box(usage));
        assert!(black_box(&quote).is_ok(), "{usage:?} has no price");
    }
}
