//! Random operations, compared with the model one by one.
//!
//! `CREDITD_MODEL_SEED` repeats a run by the seed that a failure prints, and
//! `CREDITD_MODEL_OPERATIONS` says how many operations there are.

mod again;
mod compare;
mod generate;
mod ids;
mod rng;
mod run;
mod spoil;

use run::Counts;

use super::subjects::{Factory, Modelled, Store};

/// How many of them are done in one ledger; the next ones begin in a new one.
const OPERATIONS_IN_ONE: u64 = 2_000;

fn option(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// A seed that nobody chose.
fn any_seed() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    u64::from_le_bytes(bytes)
}

/// Runs all operations, each part of them in a ledger of its own; how often what was
/// answered.
fn check(factory: Factory, operations: u64) -> Counts {
    let operations = option("CREDITD_MODEL_OPERATIONS").unwrap_or(operations);
    let mut seed = option("CREDITD_MODEL_SEED").unwrap_or_else(any_seed);
    let mut counts = Counts::new();
    let mut left = operations;
    while left > 0 {
        let part = left.min(OPERATIONS_IN_ONE);
        match run::run(factory(), seed, part) {
            Ok(found) => {
                for (what, count) in found {
                    *counts.entry(what).or_default() += count;
                }
            }
            Err(problem) => panic!("CREDITD_MODEL_SEED={seed}\n{problem}"),
        }
        left -= part;
        seed = seed.wrapping_add(1);
    }
    counts
}

#[test]
fn the_store_in_memory_does_what_the_model_does() {
    check(Store::Memory.factory(), 20_000);
}

#[test]
fn the_store_in_a_file_does_what_the_model_does() {
    check(Store::Sqlite.factory(), 50_000);
}

#[test]
fn the_store_that_remembers_little_does_what_the_model_does() {
    check(Store::Crowded.factory(), 30_000);
}

#[test]
fn the_harness_agrees_with_itself() {
    let counts = check(Modelled::factory, 20_000);
    for (what, count) in counts {
        eprintln!("{count:>8} {what}");
    }
}
