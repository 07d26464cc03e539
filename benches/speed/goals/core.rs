//! The pricing core alone, in this process: no wire, no thread, no lock.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use creditd::app::card_file;
use creditd::domain::Timestamp;
use creditd::domain::pricing::{
    Card, Given, Meter, PairList, PairsRef, PriceContext, ServicePrice, Usage,
};

use super::row::{Goal, Row};
use crate::options::Options;
use crate::setup::Setup;

/// How often every usage is priced in a run, and how many runs there are.
const TIMES: u32 = 100_000;
const RUNS: usize = 7;
/// Quantities that each service gets: seconds with a fraction, or pieces.
const SECONDS: [i128; 3] = [31_000_000_000, 120_000_000_000, 754_321_000_000];
const PIECES: [i64; 3] = [1, 7, 1_000];

/// Price lists of which one usage is priced: the row's name, the card, the service, its duration
/// in seconds, meters, attributes, and the goal in nanoseconds.
const LINES: [LinesCase; 2] = [
    (
        "Pricing core, a table by attribute",
        "rate-cards/examples/runway.toml",
        "video",
        Some(8),
        &[],
        &[("model", "gen4.5")],
        100.0,
    ),
    (
        "Pricing core, five meters in five lines",
        "rate-cards/examples/anthropic.toml",
        "messages",
        None,
        &[
            ("input_tokens", "2000"),
            ("cache_write_5m_tokens", "10000"),
            ("cache_write_1h_tokens", "300"),
            ("cache_hit_tokens", "125000"),
            ("output_tokens", "512"),
        ],
        &[("model", "opus-5"), ("region", "us"), ("tier", "batch")],
        300.0,
    ),
];
type Pairs = &'static [(&'static str, &'static str)];
type LinesCase = (
    &'static str,
    &'static str,
    &'static str,
    Option<i128>,
    Pairs,
    Pairs,
    f64,
);

pub fn rows(options: &Options, setup: &Setup, add: &mut dyn FnMut(Row)) -> Result<(), String> {
    let (time, allocations) = ("Pricing core, a usage", "Pricing core, allocations a usage");
    let wants_one = options.wants(time) || options.wants(allocations);
    if wants_one {
        setup.say(time);
        let card = card_file::built_in()
            .map_err(|error| error.to_string())?
            .card;
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
                attributes: PairsRef::Nothing,
                meters: PairsRef::Nothing,
            }));
        }
        let (best, each) = measured(&card, &usages);
        add(Row::of_one(time, "ns", Goal::Under(60.0), Some(best)));
        let goal = Goal::AtMost(0.0);
        add(Row::of_one(allocations, "", goal, Some(each)));
    }
    for (name, file, service, seconds, meters, attributes, goal) in LINES {
        if !options.wants(name) {
            continue;
        }
        setup.say(name);
        let card = card_file::load(Path::new(file))
            .map_err(|error| error.to_string())?
            .card;
        let (mut meters, mut attributes) = (meters.to_vec(), attributes.to_vec());
        let meters = PairList::sorted(&mut meters).ok_or("two meters have one name")?;
        let attributes = PairList::sorted(&mut attributes).ok_or("two attributes have one name")?;
        let usage = Usage {
            service,
            quantity: seconds.map_or(Given::Nothing, |s| Given::Duration(s * 1_000_000_000)),
            attributes: PairsRef::List(&attributes),
            meters: PairsRef::List(&meters),
        };
        let (best, each) = measured(&card, &[usage]);
        if each > 0.0 {
            return Err(format!(
                "{name}: {each} allocations, and there must be none"
            ));
        }
        add(Row::of_one(name, "ns", Goal::Under(goal), Some(best)));
    }
    Ok(())
}

/// Nanoseconds and allocations for one of these usages.
fn measured(card: &Card, usages: &[Usage<'_>]) -> (f64, f64) {
    let all = f64::from(TIMES) * usages.len() as f64;
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        let start = Instant::now();
        for _ in 0..TIMES {
            price_all(card, usages);
        }
        best = best.min(start.elapsed().as_nanos() as f64 / all);
    }
    let counted = allocation_counter::measure(|| price_all(card, usages));
    (best, counted.count_total as f64 / usages.len() as f64)
}

fn price_all(card: &Card, usages: &[Usage<'_>]) {
    for usage in usages {
        let quote = card.price(black_box(usage), &PriceContext::at(Timestamp::MIN));
        assert!(black_box(&quote).is_ok(), "{usage:?} has no price");
    }
}
