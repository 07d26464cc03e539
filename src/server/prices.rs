//! Prices at start and at SIGHUP: which cards are served, and which were once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::StartError;
use crate::app::card_file::{self, CardFileError, LoadedCard};
use crate::domain::pricing::{Card, Catalog, CatalogFault};
use crate::rfc3339;
use crate::store::{ServedCard, Store};

/// Cards and where they came from.
pub(super) struct Cards {
    cards: Vec<LoadedCard>,
    files: Vec<PathBuf>,
}

/// Reads the files, or takes the built-in card where there are none.
pub(super) fn load(files: &[PathBuf]) -> Result<Cards, CardFileError> {
    if files.is_empty() {
        return Ok(Cards {
            cards: vec![card_file::built_in()?],
            files: vec![PathBuf::from("(built in)")],
        });
    }
    let cards = files
        .iter()
        .map(|file| card_file::load(file))
        .collect::<Result<_, _>>()?;
    Ok(Cards {
        cards,
        files: files.to_vec(),
    })
}

/// Keeps the cards in the store, and adds those that it kept before.
pub(super) fn catalog(
    cards: Cards,
    store: &dyn Store,
    revision_age_days_max: Option<u32>,
) -> Result<Catalog, StartError> {
    let mut catalog = combine(&cards, revision_age_days_max)?;
    let mut once_served = HashMap::new();
    for kept in store.served_cards()? {
        once_served.insert(kept.revision.clone(), Arc::new(restore(&kept)?));
    }
    // Before their age is read: what this server replaces, it replaces now.
    let served: Vec<_> = cards
        .cards
        .iter()
        .map(|loaded| loaded.kept.clone())
        .collect();
    store.serve_cards(&served)?;
    for kept in store.served_cards()? {
        if let Some(card) = once_served.remove(&kept.revision) {
            catalog.remember(card, kept.replaced);
        }
    }
    Ok(catalog)
}

fn restore(kept: &ServedCard) -> Result<Card, StartError> {
    card_file::restore(kept).map_err(|problem| {
        StartError::Prices(format!(
            "the data file holds a rate card that cannot be read: {problem}; restore the file from a backup, or use the newer creditd that wrote it"
        ))
    })
}

fn combine(cards: &Cards, revision_age_days_max: Option<u32>) -> Result<Catalog, StartError> {
    let all = cards
        .cards
        .iter()
        .map(|loaded| Arc::new(loaded.card.clone()));
    Catalog::new(all.collect(), revision_age_days_max).map_err(|fault| {
        StartError::Prices(match fault {
            CatalogFault::NoCards => "there is no rate card".to_owned(),
            CatalogFault::SameTime(first, second) => {
                let file = |at| cards.files.get(at).map_or(Path::new("?"), PathBuf::as_path);
                let card = cards.cards.get(second).map(|loaded| &loaded.card);
                let since = card
                    .and_then(|card| card.effective_time())
                    .map_or_else(|| "have no effective_time".to_owned(), |time| {
                        format!("are effective from {}", rfc3339::format(time))
                    });
                format!(
                    "rate cards {} and {} are both named \"{}\" and {since}; give one another name or effective_time",
                    file(first).display(),
                    file(second).display(),
                    card.map_or("?", |card| card.name()),
                )
            }
        })
    })
}

/// The cards of these files as they would be served, without any store.
///
/// # Errors
/// What is wrong with them.
pub fn offline(files: &[PathBuf]) -> Result<Catalog, StartError> {
    combine(&load(files)?, None)
}
