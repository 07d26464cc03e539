//! A reference model of rate cards, formats 1 and 2: a second evaluator, as plain as possible.
//! It shares no code with the project that it tests.
//!
//! All arithmetic is on exact fractions. A figure is rounded only where the card writes a step,
//! a number of decimals, or the 9 decimals of an amount.
//!
//! The model assumes that a card is valid and makes none of the checks of a loader. A card that
//! is not valid panics, or has a price that means nothing. Quantities that are counted over a
//! day or a month are priced as the first of their window.

mod card;
mod formula;
mod number;
mod price;
mod usage;

use std::collections::BTreeMap;

pub use card::Card;

/// Words or numbers by name, as texts.
pub type Texts = BTreeMap<String, String>;

/// One billable thing, as a caller sends it.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// Key of a service of the card.
    pub service: String,
    /// The duration, "31s" or "1m30s".
    pub duration: Option<String>,
    /// The number of pieces, "3".
    pub count: Option<String>,
    /// All other meters, as decimal numbers; time in seconds.
    pub meters: Texts,
    /// Words that the price depends on.
    pub attributes: Texts,
}

/// What pricing a usage leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The usage has a price.
    Credits {
        /// The cost, a plain decimal number without trailing zeros.
        total: String,
        /// Key and credits of each line; they sum to `total`. The only line of a service of
        /// format 1 has the key "". What `total` of the service, factors of the card and
        /// their rounding change is the line "total".
        lines: Vec<(String, String)>,
    },
    /// The usage is refused. Each reason stands once, in alphabetical order.
    Refused(Vec<String>),
}
