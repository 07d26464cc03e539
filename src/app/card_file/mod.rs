//! Rate cards as files and in their stored form.
//!
//! A person writes a card as TOML ([`parse`]); an error names the file, the line and
//! what to do. A store has each published card as JSON in one fixed form ([`stored`]).
//! The revision is the beginning of that text's SHA-256, so that equal cards have equal
//! revisions on every machine, whatever order, comments or spellings the files have.

mod bases;
mod card_factors;
mod duration;
mod error;
mod files;
mod format_2;
mod lines;
mod parse;
mod problems;
mod stored;
mod stored_factors;
mod stored_lines;
mod warnings;

use std::path::Path;

use crate::domain::pricing::lines::{CardFactors, Exchange};
use crate::domain::pricing::{Card, Service};
use crate::domain::schedule::Origin;
use crate::store::cards::{NewCard, StoredCard};

pub use bases::{Bases, Loading, NoBases};
pub use duration::parse_nanos;
pub use error::CardFileError;
pub use files::{KnownCards, extend_others, extended, load_files, load_together, ring, text_of};
pub use format_2::CELLS_MAX as CARD_CELLS_MAX;
pub use lines::{ENTRIES_MAX, ROWS_MAX, VALUES_MAX};
pub use lines::{Example, examples};
pub use parse::SERVICES_MAX;
pub use problems::problems;
pub use stored::is_revision;
pub use warnings::free_prices;

/// The card that is served where no other is given, as a file.
const BUILT_IN: &str = include_str!("../../../rate-cards/jogg-api-v2.toml");
/// What errors call it.
const BUILT_IN_NAME: &str = "rate-cards/jogg-api-v2.toml (built in)";
/// Largest rate card file.
pub const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Largest text of a card that is published while a server runs.
pub const PUBLISHED_BYTES_MAX: usize = 2 * 1024 * 1024;

/// A card, its stored form and its text.
#[derive(Clone, Debug)]
pub struct LoadedCard {
    /// The card.
    pub card: Card,
    /// The stored form.
    pub stored: StoredCard,
    /// The text as it was written.
    pub toml: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Its prices of nothing, where it is read to be published.
    pub warnings: Vec<String>,
}

impl LoadedCard {
    /// The card as a store takes it.
    #[must_use]
    pub fn to_store(&self) -> NewCard {
        NewCard {
            card: self.stored.clone(),
            title: self.card.title().to_owned(),
            effective_time: self.card.effective_time(),
            origin: self.origin,
            toml: self.toml.clone(),
        }
    }
}

/// What a card is made of, beside its name.
struct CardParts {
    services: Vec<Service>,
    exchange: Option<Exchange>,
    factors: Option<CardFactors>,
}

/// The built-in card.
///
/// # Errors
/// Never in a build whose tests pass.
pub fn built_in() -> Result<LoadedCard, CardFileError> {
    let loaded = parse::parse(Path::new(BUILT_IN_NAME), BUILT_IN, &Loading::ALONE)?;
    Ok(LoadedCard {
        origin: Origin::BuiltIn,
        ..loaded
    })
}

/// Reads a card that is published from its text.
///
/// # Errors
/// What is wrong, with the line and what to do; its file has no name.
pub fn load_text(text: &str, loading: &Loading<'_>) -> Result<LoadedCard, CardFileError> {
    let loaded = parse::parse(Path::new(""), text, loading)?;
    Ok(LoadedCard {
        origin: Origin::Published,
        warnings: free_prices(&loaded.card),
        ..loaded
    })
}

/// Reads a card from a file. It may extend no other.
///
/// # Errors
/// What is wrong, with file, line and what to do.
pub fn load(path: &Path) -> Result<LoadedCard, CardFileError> {
    read(path, &text_of(path)?)
}

/// Reads a card from the text of that file. It may extend no other.
///
/// # Errors
/// As [`load`].
pub fn read(path: &Path, text: &str) -> Result<LoadedCard, CardFileError> {
    parse::parse(path, text, &Loading::ALONE)
}

/// Reads a card from its stored form.
///
/// # Errors
/// That the content is not a card of this revision.
pub fn restore(stored: &StoredCard) -> Result<Card, String> {
    stored::restore(stored)
}
