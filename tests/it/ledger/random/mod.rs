//! Random operations, compared with the model one by one.
//!
//! `CREDITD_MODEL_SEED` repeats a run by the seed that a failure prints, and
//! `CREDITD_MODEL_OPERATIONS` says how many operations there are.

mod again;
mod compare;
mod generate;
mod ids;
mod pages;
mod rng;
mod run;
mod spoil;
mod wrong;

use super::subjects::{Factory, Modelled, Store};
use generate::{METHODS, Method, REFUSALS_OF_WRITES};

/// How many operations one ledger does; a new one does the next.
const OPERATIONS_IN_ONE: u64 = 2_000;

fn option(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// A new seed.
fn any_seed() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    u64::from_le_bytes(bytes)
}

/// Runs all operations, each part of them in a ledger of its own.
fn check(factory: Factory, operations: u64) {
    let operations = option("CREDITD_MODEL_OPERATIONS").unwrap_or(operations);
    check_seeded((factory, false), operations, any_seed);
}

fn check_seeded(
    subject: (Factory, bool),
    operations: u64,
    seed: impl FnOnce() -> u64,
) -> run::Counts {
    let seed = option("CREDITD_MODEL_SEED").unwrap_or_else(seed);
    let outcome = run::run_all(subject, seed, operations, OPERATIONS_IN_ONE);
    outcome.unwrap_or_else(|problem| panic!("{problem}"))
}

#[test]
fn the_store_in_memory_does_what_the_model_does() {
    check(Store::Memory.factory(), 10_000);
}

#[test]
fn a_store_that_tells_old_settings_does_what_the_model_does() {
    check(Store::OldSettings.factory(), 10_000);
}

#[test]
fn the_store_in_a_file_does_what_the_model_does() {
    check(Store::Sqlite.factory(), 20_000);
}

#[test]
fn the_store_with_small_caches_does_what_the_model_does() {
    check(Store::SmallCaches.factory(), 12_000);
}

/// Old entries are moved to archives in between, and both files prove each other.
#[test]
fn a_store_whose_old_entries_are_archived_does_what_the_model_does() {
    let mut missing = vec![
        "archive",
        "GetBalance HISTORY_ARCHIVED",
        "GetHold HISTORY_ARCHIVED",
        "Refund HISTORY_ARCHIVED",
        "SettleHold HISTORY_ARCHIVED",
        "ListEntries HISTORY_ARCHIVED",
    ];
    // The files are audited with each archive, which takes most of the time.
    let operations = option("CREDITD_MODEL_OPERATIONS").map_or(4_000, |all| all.div_ceil(20));
    // Of the first seed it is known that each comes about.
    let counts = check_seeded((Store::Sqlite.factory(), true), operations, || 1);
    missing.retain(|answer| !counts.contains_key(*answer));
    if option("CREDITD_MODEL_SEED").is_none() {
        assert!(missing.is_empty(), "{missing:?}");
    }
    check_seeded(
        (Store::SmallCaches.factory(), true),
        operations.div_ceil(2),
        any_seed,
    );
}

/// Random operations are worth something only where much comes about. Here the model is
/// compared with itself, which tests the comparison as well.
#[test]
fn random_operations_are_answered_in_every_way() {
    let counts = run::run_all((Modelled::factory, false), 1, 40_000, OPERATIONS_IN_ONE).unwrap();
    let mut missing = Vec::new();
    for Method { name, answers, .. } in METHODS {
        let is_write = answers.contains(&"replayed") && name != "BatchCharge";
        let more = match is_write {
            true => &REFUSALS_OF_WRITES[usize::from(name == "Grant")..],
            false => &[],
        };
        for answer in answers.iter().chain(more) {
            let key = format!("{name} {answer}");
            if counts.get(&key).is_none_or(|count| *count < 3) {
                missing.push(key);
            }
        }
    }
    assert!(missing.is_empty(), "{missing:?} of {counts:#?}");
}
