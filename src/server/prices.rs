//! The rate cards that a server publishes when it starts and at SIGHUP: those of its files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{StartError, SystemClock};
use crate::app::card_file::{self, Bases, CardFileError, LoadedCard, Loading, NoBases};
use crate::app::prices::PricesError;
use crate::domain::pricing::{Catalog, CatalogError};
use crate::rfc3339;
use crate::rpc::refused::Refused;
use crate::store::Clock as _;

/// Cards and where they came from.
struct Cards {
    cards: Vec<LoadedCard>,
    files: Vec<PathBuf>,
}

/// Reads the files, or takes the built-in card where there are none. They may extend each other,
/// or one of `bases`.
///
/// # Errors
/// What is wrong with one of them, or that they do not go together.
pub(super) fn load(files: &[PathBuf], bases: &dyn Bases) -> Result<Vec<LoadedCard>, StartError> {
    let cards = read(files, bases)?;
    // They are not published unless they go together.
    combine(&cards)?;
    Ok(cards.cards)
}

fn read(files: &[PathBuf], bases: &dyn Bases) -> Result<Cards, CardFileError> {
    if files.is_empty() {
        return Ok(Cards {
            cards: vec![card_file::built_in()?],
            files: vec![PathBuf::from("(built in)")],
        });
    }
    let loading = Loading {
        bases,
        now: SystemClock.now(),
    };
    Ok(Cards {
        cards: card_file::load_files(files, &loading)?,
        files: files.to_vec(),
    })
}

impl From<PricesError> for StartError {
    fn from(error: PricesError) -> Self {
        match error {
            PricesError::Store(unavailable) => Self::Store(unavailable),
            PricesError::Unreadable(problem) => Self::Prices(format!(
                "the data file holds a rate card that cannot be read: {problem}; restore the file from a backup, or use the newer creditd that wrote it"
            )),
            PricesError::Refused(refusal) => {
                let status = Refused::from(refusal).into_status();
                Self::Prices(status.message().to_owned())
            }
            other @ (PricesError::InForce(_)
            | PricesError::NoDefault(_)
            | PricesError::Ring(..)) => Self::Prices(other.to_string()),
        }
    }
}

fn combine(cards: &Cards) -> Result<Catalog, StartError> {
    let all = cards
        .cards
        .iter()
        .map(|loaded| Arc::new(loaded.card.clone()));
    Catalog::new(all.collect(), None).map_err(|error| {
        StartError::Prices(match error {
            CatalogError::NoCards => "there is no rate card".to_owned(),
            CatalogError::SameTime(first, second) => {
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

/// The cards of these files as a server would publish them, without any store.
///
/// # Errors
/// What is wrong with them.
pub fn offline(files: &[PathBuf]) -> Result<Catalog, StartError> {
    combine(&read(files, &NoBases)?)
}
