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

/// Runs all operations, each part of them in a ledger of its own.
fn check(factory: Factory, operations: u64) {
    let operations = option("CREDITD_MODEL_OPERATIONS").unwrap_or(operations);
    let seed = option("CREDITD_MODEL_SEED").unwrap_or_else(any_seed);
    if let Err(problem) = run::run_all(factory, seed, operations, OPERATIONS_IN_ONE) {
        panic!("{problem}");
    }
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

/// What random operations are answered: of each verb all that it can answer, but for
/// what takes too many operations to come about.
const ANSWERS: [(&str, &[&str]); 13] = [
    ("Grant", &["ok", "replayed", "BALANCE_TOO_LARGE"]),
    (
        "Charge",
        &[
            "ok",
            "replayed",
            "INSUFFICIENT_CREDITS",
            "RATE_CARD_NOT_FOUND",
            "REVISION_NOT_FOUND",
        ],
    ),
    (
        "BatchCharge",
        &[
            "ok",
            "replayed",
            "REQUEST_ID_REUSED",
            "INSUFFICIENT_CREDITS",
            "ACCOUNT_NOT_FOUND",
        ],
    ),
    (
        "Refund",
        &[
            "ok",
            "replayed",
            "ENTRY_NOT_FOUND",
            "ENTRY_NOT_REFUNDABLE",
            "REFUND_EXCEEDS_CHARGE",
            "BALANCE_TOO_LARGE",
        ],
    ),
    ("Hold", &["ok", "replayed", "INSUFFICIENT_CREDITS"]),
    (
        "ExtendHold",
        &["ok", "replayed", "HOLD_NOT_FOUND", "HOLD_CLOSED"],
    ),
    (
        "SettleHold",
        &[
            "ok",
            "replayed",
            "HOLD_NOT_FOUND",
            "HOLD_CLOSED",
            "HOLD_SERVICE_MISMATCH",
            "HOLD_EXCEEDED",
            "INSUFFICIENT_CREDITS",
        ],
    ),
    (
        "ReleaseHold",
        &["ok", "replayed", "HOLD_NOT_FOUND", "HOLD_CLOSED"],
    ),
    ("RevokeGrant", &["ok", "replayed", "GRANT_NOT_FOUND"]),
    ("GetHold", &["ok", "HOLD_NOT_FOUND", "ACCOUNT_NOT_FOUND"]),
    (
        "ListHolds",
        &[
            "ok",
            "INVALID_PAGE_SIZE",
            "INVALID_PAGE_TOKEN",
            "INVALID_REQUEST_ID",
            "INVALID_LENGTH",
            "INVALID_TIME",
        ],
    ),
    (
        "ListEntries",
        &[
            "ok",
            "HOLD_NOT_FOUND",
            "INVALID_PAGE_SIZE",
            "INVALID_PAGE_TOKEN",
            "UNKNOWN_VALUE",
            "INVALID_LENGTH",
        ],
    ),
    ("GetBalance", &["ok", "INVALID_TIME", "ACCOUNT_NOT_FOUND"]),
];

/// What every write can be refused for, and what all but Grant, which opens accounts.
const OF_WRITES: [&str; 5] = [
    "ACCOUNT_NOT_FOUND",
    "REQUEST_ID_REUSED",
    "FIELD_REQUIRED",
    "INVALID_ACCOUNT",
    "INVALID_REQUEST_ID",
];

/// Random operations are worth something only where much comes about. Here the model is
/// asked twice, so that it finds out too whether the comparing itself goes wrong.
#[test]
fn random_operations_are_answered_in_every_way() {
    let counts = run::run_all(Modelled::factory, 1, 40_000, OPERATIONS_IN_ONE).unwrap();
    let mut missing = Vec::new();
    for (method, answers) in ANSWERS {
        let write = answers.contains(&"replayed") && method != "BatchCharge";
        let more = match write {
            true => &OF_WRITES[usize::from(method == "Grant")..],
            false => &[],
        };
        for answer in answers.iter().chain(more) {
            let key = format!("{method} {answer}");
            if counts.get(&key).is_none_or(|count| *count < 3) {
                missing.push(key);
            }
        }
    }
    assert!(missing.is_empty(), "{missing:?} of {counts:#?}");
}
