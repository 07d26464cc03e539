//! A service whose price is a sum of lines, as its card says it: by names, before it is
//! checked and compiled.

use std::collections::{BTreeMap, BTreeSet};

use super::formula::Formula;
use super::hours::Hours;
use super::range::Range;
use super::ratio::Ratio;
use crate::domain::amount::{Credits, Rounding};

/// The unit of time, in which numbers are written as durations.
pub const TIME_UNIT: &str = "s";
/// Decimals of time.
pub const TIME_DECIMALS: u32 = 9;

/// What a service costs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spec {
    /// Numbers that a usage brings.
    pub meters: BTreeMap<Box<str>, MeterSpec>,
    /// Words that the price depends on.
    pub attributes: BTreeMap<Box<str>, AttributeSpec>,
    /// Numbers that are made of meters.
    pub quantities: BTreeMap<Box<str>, QuantitySpec>,
    /// What adds up.
    pub lines: Vec<LineSpec>,
    /// Prices of lines, by what must hold; the first that fits.
    pub rows: Vec<RowSpec>,
    /// Multipliers.
    pub factors: Vec<FactorSpec>,
    /// Limits and decimals of the sum.
    pub total: TotalSpec,
    /// Meters of which more may cost less.
    pub may_fall: BTreeSet<Box<str>>,
    /// The unit of the card's prices, where they are not in credits.
    pub exchange: Option<Exchange>,
}

/// The unit of a card's prices, and what one is in credits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// What it is called, "USD".
    pub unit: Box<str>,
    /// Credits for one.
    pub credits: Ratio,
    /// Decimals to which each line is rounded before it is converted, and in which direction.
    pub decimals: Option<(u32, Rounding)>,
}

/// A number that a usage brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterSpec {
    /// What one is called; "s" is time.
    pub unit: Box<str>,
    /// How many decimals it may have.
    pub decimals: u32,
    /// What holds where a usage does not bring it.
    pub default: Option<Ratio>,
    /// Less is refused.
    pub min: Option<Ratio>,
    /// More is refused.
    pub max: Option<Ratio>,
}

/// A word that a price depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeSpec {
    /// The words that it can be.
    pub values: Vec<Box<str>>,
    /// What holds where nobody says it.
    pub default: Option<Box<str>>,
    /// Who says it.
    pub source: Source,
}

/// Where the value of an attribute comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// A usage brings it.
    #[default]
    Caller,
    /// The account that is priced has it.
    Account,
    /// The time for which it is priced decides it.
    Clock(Hours),
}

impl Source {
    /// Whether a usage brings it.
    #[must_use]
    pub const fn is_caller(&self) -> bool {
        matches!(self, Self::Caller)
    }
}

/// A number that is made of meters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuantitySpec {
    /// Of what.
    pub of: Formula,
    /// What one is called, where the formula does not say.
    pub unit: Option<Box<str>>,
    /// At least so much.
    pub at_least: Option<Ratio>,
    /// At most so much.
    pub up_to: Option<Ratio>,
    /// What lies above.
    pub above: Option<Ratio>,
    /// To a multiple.
    pub step: Option<Step>,
}

impl QuantitySpec {
    /// The quantity that is this formula.
    #[must_use]
    pub const fn of(formula: Formula) -> Self {
        Self {
            of: formula,
            unit: None,
            at_least: None,
            up_to: None,
            above: None,
            step: None,
        }
    }

    /// Whether it is its formula and no more.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.at_least.is_none()
            && self.up_to.is_none()
            && self.above.is_none()
            && self.step.is_none()
    }
}

/// To which multiple a quantity goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Of what.
    pub size: Ratio,
    /// In which direction.
    pub rounding: StepRounding,
}

/// The direction of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepRounding {
    /// To the nearest multiple in a direction.
    To(Rounding),
    /// A full one begins the next.
    Next,
}

/// What adds up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineSpec {
    /// By which rows name it.
    pub key: Box<str>,
    /// For people.
    pub title: Option<Box<str>>,
    /// How much; None: once for a usage.
    pub quantity: Option<QuantitySpec>,
    /// For how much the price is.
    pub per: Ratio,
    /// The price where no row has another.
    pub price: Option<Credits>,
    /// Where the line is left out unless all of it holds.
    pub when: Vec<Condition>,
    /// Costs less than this are this.
    pub price_min: Option<Credits>,
    /// Costs more than this are this.
    pub price_max: Option<Credits>,
    /// Decimals of the line's cost.
    pub decimals: Option<u32>,
    /// In which direction its cost is rounded.
    pub rounding: Option<Rounding>,
}

impl LineSpec {
    /// What it is called for people.
    #[must_use]
    pub fn title(&self) -> String {
        match &self.title {
            Some(title) => (**title).to_owned(),
            None => self.key.replace('_', " "),
        }
    }
}

/// What must hold of an attribute or a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The attribute, meter or quantity.
    pub name: Box<str>,
    /// What it must be.
    pub is: Is,
}

/// What must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Is {
    /// One of these words.
    OneOf(Vec<Box<str>>),
    /// In one of these ranges.
    In(Vec<Range>),
}

/// Prices of lines where something holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowSpec {
    /// What must hold.
    pub when: Vec<Condition>,
    /// Prices by line, or that it is not sold.
    pub says: RowSays,
}

/// What a row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowSays {
    /// The prices of lines, by their keys.
    Prices(Vec<(Box<str>, Credits)>),
    /// What is not sold.
    Refuse {
        /// Why.
        why: Box<str>,
        /// The lines that it is about; none: all.
        lines: Vec<Box<str>>,
    },
}

/// A multiplier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactorSpec {
    /// What must hold.
    pub when: Vec<Condition>,
    /// By how much.
    pub times: Ratio,
    /// The lines that it is about; none: all.
    pub lines: Vec<Box<str>>,
    /// For people.
    pub title: Option<Box<str>>,
}

impl FactorSpec {
    /// Whether it is about that line.
    #[must_use]
    pub fn is_about(&self, line: &str) -> bool {
        self.lines.is_empty() || self.lines.iter().any(|key| &**key == line)
    }
}

/// Limits and decimals of the sum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TotalSpec {
    /// Sums of more than nothing and less than this are this.
    pub min: Option<Credits>,
    /// Sums of more than this are this.
    pub max: Option<Credits>,
    /// Decimals, and the direction in which the sum is rounded to them.
    pub decimals: Option<(u32, Rounding)>,
}
