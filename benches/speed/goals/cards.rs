//! Rate cards at their limits: how long a card takes to load from its file. The note says how
//! long it takes from the form that the store has; this process counts allocations, of which
//! that makes many, so the program is faster.

use std::time::Instant;

use creditd::app::card_file;

use super::row::{Goal, Row};
use crate::options::Options;
use crate::setup::Setup;

#[path = "../../../tests/it/support/large_cards.rs"]
mod large_cards;

/// How often each is loaded; the best counts.
const RUNS: usize = 3;
const SECONDS: f64 = 1.0;

pub fn rows(options: &Options, setup: &Setup, add: &mut dyn FnMut(Row)) -> Result<(), String> {
    for (what, text) in large_cards::ALL {
        let name = format!("Rate card, {what}");
        if !options.wants(&name) {
            continue;
        }
        setup.say(&name);
        let directory = setup.directory()?;
        let file = directory.path().join("card.toml");
        std::fs::write(&file, text()).map_err(|error| error.to_string())?;
        let (mut load, mut restore) = (f64::INFINITY, f64::INFINITY);
        let mut bytes = 0;
        for _ in 0..RUNS {
            let start = Instant::now();
            let loaded = card_file::load(&file).map_err(|error| error.to_string())?;
            load = load.min(start.elapsed().as_secs_f64());
            let start = Instant::now();
            let restored = card_file::restore(&loaded.stored)?;
            restore = restore.min(start.elapsed().as_secs_f64());
            assert_eq!(restored.revision(), loaded.card.revision());
            bytes = loaded.stored.content.len();
        }
        let row = Row::of_one(&name, "s", Goal::Under(SECONDS), Some(load));
        add(row.noting(format!(
            "{load:.2} s from its file, {restore:.2} s from its stored form of {:.1} MB",
            bytes as f64 / 1e6,
        )));
    }
    Ok(())
}
