//! What a usage costs, and how it adds up.

use super::card::Service;
use super::price::{Price, ProRata, decimal_text, started};
use crate::domain::amount::{Credits, Rounded, Rounding};

/// A priced usage.
#[derive(Clone, Copy, Debug)]
pub struct Quote<'card> {
    service: &'card Service,
    atoms: i128,
    cost: Rounded,
}

/// One line of the explanation. Line credits sum to the cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// "2 started blocks of 120 s".
    pub description: String,
    /// Billed quantity, "2"; "31/3" where it has no finite decimal.
    pub quantity: String,
    /// What one of it is, "120 s".
    pub unit: String,
    /// Credits for one.
    pub unit_credits: Credits,
    /// Credits for all.
    pub credits: Credits,
}

impl<'card> Quote<'card> {
    pub(super) const fn new(service: &'card Service, atoms: i128, cost: Rounded) -> Self {
        Self {
            service,
            atoms,
            cost,
        }
    }

    /// The row that priced it.
    #[must_use]
    pub const fn service(&self) -> &'card Service {
        self.service
    }

    /// The cost that a charge deducts.
    #[must_use]
    pub const fn credits(&self) -> Credits {
        self.cost.credits
    }

    /// The cost as the price list would print it.
    #[must_use]
    pub fn shown(&self) -> Credits {
        self.service.show(self.cost.credits)
    }

    /// How the cost adds up.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        vec![match &self.service.price {
            Price::PerPiece { credits } => self.per_piece(*credits),
            Price::StartedBlock { credits, block } => self.blocks(*credits, *block),
            Price::ProRata(rate) => self.pro_rata(rate),
        }]
    }

    fn per_piece(&self, unit_credits: Credits) -> Line {
        let meter = &self.service.meter;
        Line {
            description: meter.quantity_text(self.atoms),
            quantity: decimal_text(self.atoms, meter.decimals()),
            unit: meter.unit().to_owned(),
            unit_credits,
            credits: self.cost.credits,
        }
    }

    fn blocks(&self, unit_credits: Credits, block: i128) -> Line {
        let blocks = started(self.atoms, block);
        let plural = if blocks == 1 { "" } else { "s" };
        let unit = self.service.meter.quantity_text(block);
        Line {
            description: format!("{blocks} started block{plural} of {unit}"),
            quantity: blocks.to_string(),
            unit,
            unit_credits,
            credits: self.cost.credits,
        }
    }

    fn pro_rata(&self, rate: &ProRata) -> Line {
        let meter = &self.service.meter;
        let per = meter.quantity_text(rate.per());
        let plural = if rate.credits() == Credits::ONE {
            ""
        } else {
            "s"
        };
        let mut description = format!(
            "{} at {} credit{plural} per {per}",
            meter.quantity_text(self.atoms),
            rate.credits(),
        );
        if self.cost.was_rounded {
            let direction = match rate.rounding() {
                Rounding::Up => "up",
                Rounding::Down => "down",
                Rounding::HalfUp => "half up",
                Rounding::HalfEven => "half to even",
            };
            let exact = rate
                .exact(self.atoms)
                .map_or_else(|| "more than 9 decimals".to_owned(), |d| d.to_string());
            description.push_str(&format!(
                ", {exact} rounded {direction} to {}",
                self.cost.credits
            ));
        }
        let (quantity, unit, unit_credits) = match rate.unit_credits(meter.atoms_per_unit()) {
            Some(unit_credits) => (
                decimal_text(self.atoms, meter.decimals()),
                meter.unit().to_owned(),
                unit_credits,
            ),
            None => (self.blocks_as_fraction(rate.per()), per, rate.credits()),
        };
        Line {
            description,
            quantity,
            unit,
            unit_credits,
            credits: self.cost.credits,
        }
    }

    /// The quantity in blocks of `per`: a decimal number where it has an end, a
    /// fraction otherwise.
    fn blocks_as_fraction(&self, per: i128) -> String {
        let decimal = |atoms| decimal_text(atoms, self.service.meter.decimals());
        match ProRata::new(Credits::ONE, per, Rounding::Down).and_then(|one| one.exact(self.atoms))
        {
            Some(exact) => exact.to_string(),
            None => format!("{}/{}", decimal(self.atoms), decimal(per)),
        }
    }
}
