//! The rules by which a quantity becomes a cost.
//!
//! Quantities are counted in *atoms*, the smallest that can be told apart: a
//! nanosecond for what is priced by time, one piece for what is counted. All
//! arithmetic is on whole atoms and billionths of a credit, in 128 bits.

use rust_decimal::Decimal;

use super::lines::Ratio;
use crate::domain::amount::{Credits, Rounded, Rounding, TooLarge};

/// The largest `per` of a price, in units (seconds, pieces). It bounds the
/// arithmetic: a product that leaves 128 bits then is a cost over the limit.
pub const PER_MAX_UNITS: i128 = 1_000_000_000;

/// What a quantity measures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meter {
    /// Time.
    Duration,
    /// Pieces.
    Count {
        /// The name of one piece, "call" or "image".
        piece: Box<str>,
        /// Whether a usage must have a count. If it need not, a usage without one counts as 1.
        required: bool,
    },
}

impl Meter {
    /// The name of the meter in the API.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Duration => "duration",
            Self::Count { .. } => "count",
        }
    }

    /// Decimals that one unit has, in atoms.
    #[must_use]
    pub const fn decimals(&self) -> u32 {
        match self {
            Self::Duration => 9,
            Self::Count { .. } => 0,
        }
    }

    /// Atoms in one unit.
    #[must_use]
    pub const fn atoms_per_unit(&self) -> i128 {
        match self {
            Self::Duration => 1_000_000_000,
            Self::Count { .. } => 1,
        }
    }

    /// The name of one unit, "s" or "image".
    #[must_use]
    pub fn unit(&self) -> &str {
        match self {
            Self::Duration => "s",
            Self::Count { piece, .. } => piece,
        }
    }

    /// A quantity with its unit: "120 s", "1 image", "4 images".
    #[must_use]
    pub fn quantity_text(&self, atoms: i128) -> String {
        let number = decimal_text(atoms, self.decimals());
        match self {
            Self::Duration => format!("{number} s"),
            Self::Count { piece, .. } if atoms == 1 => format!("{number} {piece}"),
            Self::Count { piece, .. } => format!("{number} {piece}s"),
        }
    }
}

/// A decimal number without trailing zeros.
pub(super) fn decimal_text(atoms: i128, decimals: u32) -> String {
    Decimal::try_from_i128_with_scale(atoms, decimals)
        .map_or_else(|_| atoms.to_string(), |d| d.normalize().to_string())
}

/// How a quantity becomes a cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Price {
    /// A price for each piece.
    PerPiece {
        /// The price of one piece.
        credits: Credits,
    },
    /// A price for each block that was begun.
    StartedBlock {
        /// The price of one block.
        credits: Credits,
        /// Atoms in a block; more than 0.
        block: i128,
    },
    /// A price in proportion to the quantity.
    ProRata(ProRata),
}

/// A price in proportion to the quantity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProRata {
    credits: Credits,
    per: i128,
    rounding: Rounding,
    /// The same price with the common divisor taken out, for small numbers.
    reduced: (Credits, i128),
}

impl ProRata {
    /// `credits` for `per` atoms, which must be more than 0.
    #[must_use]
    pub fn new(credits: Credits, per: i128, rounding: Rounding) -> Option<Self> {
        if per <= 0 {
            return None;
        }
        let reduced = Ratio::new(i128::from(credits.nanos()), per)?;
        let nanos = i64::try_from(reduced.numerator()).ok()?;
        let reduced = (Credits::from_nanos(nanos).ok()?, reduced.denominator());
        Some(Self {
            credits,
            per,
            rounding,
            reduced,
        })
    }

    /// Credits for [`ProRata::per`].
    #[must_use]
    pub const fn credits(&self) -> Credits {
        self.credits
    }

    /// Atoms that [`ProRata::credits`] are for.
    #[must_use]
    pub const fn per(&self) -> i128 {
        self.per
    }

    /// In which direction a cost of more than 9 decimals goes.
    #[must_use]
    pub const fn rounding(&self) -> Rounding {
        self.rounding
    }

    /// The exact price of one unit, where it has at most 9 decimals.
    #[must_use]
    pub fn unit_credits(&self, atoms_per_unit: i128) -> Option<Credits> {
        let (credits, per) = self.reduced;
        let exact = credits.pro_rata(atoms_per_unit, per, Rounding::Down).ok()?;
        (!exact.was_rounded).then_some(exact.credits)
    }

    fn cost(&self, atoms: i128) -> Result<Rounded, TooLarge> {
        let (credits, per) = self.reduced;
        credits.pro_rata(atoms, per, self.rounding)
    }

    /// The cost before it was rounded, where it has an end within 28 digits.
    #[must_use]
    pub fn exact(&self, atoms: i128) -> Option<Decimal> {
        let (credits, per) = self.reduced;
        let nanos = i128::from(credits.nanos());
        let dividend = Decimal::try_from_i128_with_scale(nanos.checked_mul(atoms)?, 9).ok()?;
        let divisor = Decimal::try_from_i128_with_scale(per, 0).ok()?;
        let quotient = dividend.checked_div(divisor)?;
        (quotient.checked_mul(divisor)? == dividend).then(|| quotient.normalize())
    }
}

impl Price {
    /// Billionths of which every cost is a multiple.
    pub(super) fn unit_of_costs(&self) -> i128 {
        match self {
            Self::PerPiece { credits } | Self::StartedBlock { credits, .. } => {
                credits.nanos().into()
            }
            Self::ProRata(rate) => match rate.reduced {
                (credits, 1) => credits.nanos().into(),
                _ => 1,
            },
        }
    }

    /// What that many atoms cost.
    ///
    /// # Errors
    /// [`TooLarge`] where that is over the largest amount.
    pub(super) fn cost(&self, atoms: i128) -> Result<Rounded, TooLarge> {
        match self {
            Self::PerPiece { credits } => credits.checked_times(atoms).map(exactly),
            Self::StartedBlock { credits, block } => {
                credits.checked_times(started(atoms, *block)).map(exactly)
            }
            Self::ProRata(rate) => rate.cost(atoms),
        }
    }
}

const fn exactly(credits: Credits) -> Rounded {
    Rounded {
        credits,
        was_rounded: false,
    }
}

/// How many blocks were begun.
pub(super) fn started(atoms: i128, block: i128) -> i128 {
    let full = atoms.checked_div(block).unwrap_or_default();
    let rest = atoms.checked_rem(block).unwrap_or_default();
    full.saturating_add(i128::from(rest > 0))
}
