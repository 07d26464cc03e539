//! What a usage costs, and how it adds up.

use super::card::{OnePrice, Service, ServicePrice};
use super::context::PriceContext;
use super::lines::{CardFactors, Multiplied};
use super::price::{Meter, Price, ProRata, decimal_text, started};
use super::usage::Usage;
use crate::domain::amount::{Credits, Rounded, Rounding};
use crate::domain::violation::FieldViolations;

/// A priced usage.
#[derive(Clone, Copy, Debug)]
pub struct Quote<'card> {
    service: &'card Service,
    atoms: i128,
    cost: Rounded,
    /// The cost by the service alone, where factors of the card apply to it.
    multiplied: Option<Multiplied<'card>>,
}

/// One line of the explanation. Line credits sum to the cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The key of the line on the card; empty for a price without lines.
    pub key: String,
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
    /// A price that is a sum of lines.
    pub(super) const fn of_lines(service: &'card Service, credits: Credits) -> Self {
        let cost = Rounded {
            credits,
            was_rounded: false,
        };
        Self::new(service, 0, cost)
    }

    pub(super) const fn new(service: &'card Service, atoms: i128, cost: Rounded) -> Self {
        Self {
            service,
            atoms,
            cost,
            multiplied: None,
        }
    }

    /// The cost after the factors of the card.
    pub(super) fn times(
        mut self,
        factors: &'card CardFactors,
        usage: &Usage<'_>,
        context: &PriceContext<'_>,
    ) -> Result<Self, FieldViolations> {
        let multiplier = factors.multiplier(&self.service.key, context);
        let multiplier = multiplier.map_err(|(attribute, violation)| {
            FieldViolations::of(format!("attributes.{attribute}"), violation)
        })?;
        let before = self.cost;
        let times = multiplier.times;
        // Where the card says none, none is needed.
        let rounding = self.service.rounding.unwrap_or(Rounding::HalfEven);
        let cost = before
            .credits
            .pro_rata(times.numerator(), times.denominator(), rounding);
        self.cost = cost.map_err(|_| usage.too_expensive())?;
        self.multiplied = Some(Multiplied {
            before,
            factors,
            multiplier,
        });
        Ok(self)
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

    /// How the cost of this usage, which was priced in this context, adds up.
    #[must_use]
    pub fn lines(&self, usage: &Usage<'_>, context: &PriceContext<'_>) -> Vec<Line> {
        let mut by_service = *self;
        if let Some(multiplied) = &self.multiplied {
            by_service.cost = multiplied.before;
        }
        let mut lines = match &self.service.price {
            ServicePrice::One(one) => vec![by_service.line(one)],
            ServicePrice::Lines(program) => program.explain(&self.service.key, usage, context),
        };
        lines.extend(self.multiplied.and_then(|m| self.factor_line(&m)));
        lines
    }

    /// What the factors of the card add to a cost or take off it, where they do.
    fn factor_line(&self, multiplied: &Multiplied<'_>) -> Option<Line> {
        let (before, after) = (multiplied.before.credits, self.cost.credits);
        // Both are between nothing and the largest amount.
        let difference = after.checked_sub(before).ok()?;
        let words = multiplied.factors.words(multiplied.multiplier);
        let mut description = format!("total: {before} {words}");
        if self.cost.was_rounded
            && let Some(rounding) = self.service.rounding
        {
            let direction = rounding_words(rounding);
            description.push_str(&format!(", rounded {direction} to {after}"));
        }
        (before != after).then(|| Line {
            key: "total".to_owned(),
            description,
            quantity: "1".to_owned(),
            unit: "total".to_owned(),
            unit_credits: difference,
            credits: difference,
        })
    }

    fn line(&self, one: &OnePrice) -> Line {
        match &one.price {
            Price::PerPiece { credits } => self.per_piece(&one.meter, *credits),
            Price::StartedBlock { credits, block } => self.blocks(&one.meter, *credits, *block),
            Price::ProRata(rate) => self.pro_rata(&one.meter, rate),
        }
    }

    fn per_piece(&self, meter: &Meter, unit_credits: Credits) -> Line {
        Line {
            key: String::new(),
            description: meter.quantity_text(self.atoms),
            quantity: decimal_text(self.atoms, meter.decimals()),
            unit: meter.unit().to_owned(),
            unit_credits,
            credits: self.cost.credits,
        }
    }

    fn blocks(&self, meter: &Meter, unit_credits: Credits, block: i128) -> Line {
        let blocks = started(self.atoms, block);
        let plural = if blocks == 1 { "" } else { "s" };
        let unit = meter.quantity_text(block);
        Line {
            key: String::new(),
            description: format!("{blocks} started block{plural} of {unit}"),
            quantity: blocks.to_string(),
            unit,
            unit_credits,
            credits: self.cost.credits,
        }
    }

    fn pro_rata(&self, meter: &Meter, rate: &ProRata) -> Line {
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
            let direction = rounding_words(rate.rounding());
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
            None => (
                self.blocks_as_fraction(meter, rate.per()),
                per,
                rate.credits(),
            ),
        };
        Line {
            key: String::new(),
            description,
            quantity,
            unit,
            unit_credits,
            credits: self.cost.credits,
        }
    }

    /// The quantity in blocks of `per`: a decimal number where it has an end, a
    /// fraction otherwise.
    fn blocks_as_fraction(&self, meter: &Meter, per: i128) -> String {
        let decimal = |atoms| decimal_text(atoms, meter.decimals());
        match ProRata::new(Credits::ONE, per, Rounding::Down).and_then(|one| one.exact(self.atoms))
        {
            Some(exact) => exact.to_string(),
            None => format!("{}/{}", decimal(self.atoms), decimal(per)),
        }
    }
}

/// A direction of rounding for people.
pub(super) const fn rounding_words(rounding: Rounding) -> &'static str {
    match rounding {
        Rounding::Up => "up",
        Rounding::Down => "down",
        Rounding::HalfUp => "half up",
        Rounding::HalfEven => "half to even",
    }
}
