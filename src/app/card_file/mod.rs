//! Rate cards as files and in their stored form.
//!
//! A person writes a card as TOML ([`parse`]); an error names the file, the line and
//! what to do. A store has each published card as JSON in one fixed form ([`stored`]).
//! The revision is the beginning of that text's SHA-256, so that equal cards have equal
//! revisions on every machine, whatever order, comments or spellings the files have.

mod duration;
mod format_2;
mod lines;
mod parse;
mod problems;
mod stored;
mod stored_lines;

use std::path::Path;

use crate::domain::pricing::Card;
use crate::store::cards::StoredCard;

pub use duration::parse_nanos;
pub use lines::{Example, examples};
pub use parse::{CardFileError, SERVICES_MAX};
pub use problems::problems;
pub use stored::is_revision;

/// The card that is served where no other is given, as a file.
const BUILT_IN: &str = include_str!("../../../rate-cards/jogg-api-v2.toml");
/// What errors call it.
const BUILT_IN_NAME: &str = "rate-cards/jogg-api-v2.toml (built in)";
/// Largest rate card file.
pub const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A card and its stored form.
#[derive(Clone, Debug)]
pub struct LoadedCard {
    /// The card.
    pub card: Card,
    /// The stored form.
    pub stored: StoredCard,
}

/// The built-in card.
///
/// # Errors
/// Never in a build whose tests pass.
pub fn built_in() -> Result<LoadedCard, CardFileError> {
    parse::parse(Path::new(BUILT_IN_NAME), BUILT_IN)
}

/// Reads a card from a file.
///
/// # Errors
/// What is wrong, with file, line and what to do.
pub fn load(path: &Path) -> Result<LoadedCard, CardFileError> {
    read(path, &text_of(path)?)
}

/// Reads a card from the text of that file.
///
/// # Errors
/// As [`load`].
pub fn read(path: &Path, text: &str) -> Result<LoadedCard, CardFileError> {
    parse::parse(path, text)
}

/// The text of a rate card file.
///
/// # Errors
/// That it cannot be read.
pub fn text_of(path: &Path) -> Result<String, CardFileError> {
    let unreadable = |problem: String| {
        CardFileError::new(path, None, problem, "give the path of a rate card file")
    };
    let found = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
    if !found.is_file() {
        return Err(unreadable("it is not a file".to_owned()));
    }
    if found.len() > FILE_BYTES_MAX {
        return Err(unreadable(format!(
            "it has more than {FILE_BYTES_MAX} bytes"
        )));
    }
    std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))
}

/// Reads a card from its stored form.
///
/// # Errors
/// That the content is not a card of this revision.
pub fn restore(stored: &StoredCard) -> Result<Card, String> {
    stored::restore(stored)
}
