//! The rate cards of these tests, for the ledger and for the model.

use std::sync::Arc;

use creditd::app::card_file::{self, LoadedCard};
use creditd::domain::pricing::Catalog;
use creditd::store::cards::NewCard;

use crate::model::Cards;
use crate::support::root;

/// The first one's name is the default; the second takes its place a day later, and the third
/// two days after that.
pub const FILES: [&str; 5] = ["studio-1", "studio-2", "studio-3", "partner", "maker"];

fn file(name: &str) -> std::path::PathBuf {
    root("tests/data/ledger/cards").join(format!("{name}.toml"))
}

fn load(name: &str) -> LoadedCard {
    card_file::load(&file(name)).unwrap()
}

/// As the server serves them.
pub fn catalog() -> Catalog {
    let cards = FILES.iter().map(|name| Arc::new(load(name).card));
    Catalog::new(cards.collect(), None).unwrap()
}

/// As a store has them.
pub fn stored() -> Vec<NewCard> {
    FILES.iter().map(|name| load(name).to_store()).collect()
}

/// As the model reads them.
pub fn for_model() -> Cards {
    let read = |name: &&str| {
        let text = std::fs::read_to_string(file(name)).unwrap();
        (text, revision(name))
    };
    Cards::new(&FILES.iter().map(read).collect::<Vec<_>>())
}

/// The revision of a card, by its file.
pub fn revision(name: &str) -> String {
    load(name).stored.revision
}
