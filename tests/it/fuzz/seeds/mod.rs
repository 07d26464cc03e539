//! What the fuzzers of requests and of stored cards begin with: stories that call every method, each
//! with its answer, and cards of ours. `UPDATE=1 cargo test --test it fuzz::seeds` writes them to
//! `fuzz/corpus`.

mod ledger;
mod others;
mod step;

use std::collections::BTreeSet;

use creditd::app::card_file::load;
use creditd::rpc::method::METHODS;

use self::step::{Step, bytes_of};
use super::requests::call::PATHS;
use super::requests::{WITH_KEYS, WITH_REFLECTION, outcomes};
use crate::support::root;

/// The seeds by their names, each with its options.
fn seeds() -> Vec<(&'static str, u8, Vec<Step>)> {
    vec![
        ("ledger", 0, ledger::ledger()),
        ("time", 0, ledger::time()),
        ("prices", 0, ledger::prices()),
        ("administration", WITH_KEYS, others::administration()),
        ("keys", WITH_KEYS, others::keys()),
        ("server", WITH_REFLECTION, others::server()),
        ("framings", 0, others::framings()),
    ]
}

/// Writes a seed, where that is asked for, and compares it.
fn written(target: &str, name: &str, bytes: &[u8]) {
    let file = root("fuzz/corpus").join(target).join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, bytes).unwrap();
    }
    let written = std::fs::read(&file).unwrap_or_default();
    assert!(
        written == bytes,
        "{target}/{name} is not what is written; UPDATE=1 writes it"
    );
}

#[test]
fn seeds_of_stored_cards_are_cards() {
    for name in ["studio-2", "studio-3", "maker"] {
        let file = root("tests/data/ledger/cards").join(format!("{name}.toml"));
        let card = load(&file).unwrap();
        written("stored_cards", name, card.stored.content.as_bytes());
        super::stored_cards::run(card.stored.content.as_bytes());
    }
}

#[test]
fn seeds_reach_every_method() {
    let mut answered = BTreeSet::new();
    let mut wrong = Vec::new();
    for (name, options, steps) in seeds() {
        let bytes = bytes_of(options, &steps);
        written("requests", name, &bytes);
        let outcomes = outcomes(&bytes);
        assert_eq!(outcomes.len(), steps.len(), "{name}");
        for (step, (path, outcome)) in steps.iter().zip(outcomes) {
            assert_eq!(path, step.path);
            let refused = outcome
                .as_ref()
                .err()
                .map(|refusal| refusal.reason.as_str());
            if refused != step.refused {
                wrong.push(format!(
                    "{name}: {path}: {outcome:?}, not {:?}",
                    step.refused
                ));
            }
            if refused.is_none() {
                answered.insert(path);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let methods: BTreeSet<_> = METHODS.iter().map(|method| method.path).collect();
    assert_eq!(answered, methods, "each method is answered once at least");
    assert_eq!(PATHS.iter().copied().collect::<BTreeSet<_>>(), methods);
    assert_eq!(PATHS.len(), methods.len());
}
