//! Tables in text under `tests/data/ledger`; `README.md` there has the format.

mod facts;
mod parse;
mod read;
mod run;
mod time;

use super::subjects::{Factory, Modelled, Store};

/// Runs every section of every table, each in a ledger of its own.
fn check(factory: Factory) {
    let mut failures = Vec::new();
    for section in read::sections() {
        if let Err(failure) = run::run(factory(), &section) {
            failures.push(failure);
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// The model and the tables were written by hand, each for itself.
#[test]
fn the_model_passes_the_tables() {
    check(Modelled::factory);
}

#[test]
fn every_store_passes_the_tables() {
    for store in Store::ALL {
        eprintln!("store: {store:?}");
        check(store.factory());
    }
}
