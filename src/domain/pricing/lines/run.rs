//! How a usage is priced. A recorder sees each step; the one of pricing sees nothing, the one
//! of explanations writes: an explanation cannot say something else than the cost.

use super::explain::Explanation;
use super::formula::Formula;
use super::number::Number;
use super::program::{Line, Outcome, Program, Rate, nanos_of};
use super::ratio::Ratio;
use super::spec::RowSays;
use crate::domain::amount::{Credits, Rounding, divide};
use crate::domain::pricing::context::PriceContext;
use crate::domain::pricing::quote;
use crate::domain::pricing::usage::Usage;
use crate::domain::violation::{FieldViolations, Violation};

/// Most numbers of a service: meters, named quantities and those of lines.
pub const SLOTS_MAX: usize = 80;
/// Most attributes of a service.
pub const ATTRIBUTES_MAX: usize = 16;

/// Most services have no more numbers. To clear room for all that one may have takes longer
/// than to price it.
const SLOTS_FEW: usize = 16;

/// What a usage brings, found and checked.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// Numbers by slot, in grains; quantities are worked out.
    pub slots: &'a mut [i128],
    /// Values by attribute.
    pub attributes: [u16; ATTRIBUTES_MAX],
}

impl<'a> Inputs<'a> {
    /// Nothing yet.
    const fn new(slots: &'a mut [i128]) -> Self {
        Self {
            slots,
            attributes: [0; ATTRIBUTES_MAX],
        }
    }
}

/// Why a usage has no price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A formula came out below 0: the slot, and its value in grains before the step.
    Negative(usize, i128),
    /// What is not sold, by that row.
    NotOffered(usize),
    /// More than the largest amount.
    TooLarge,
}

/// Sees how a cost adds up.
pub trait Record {
    /// A quantity: its slot, as measured, and as billed in its own grains.
    fn quantity(&mut self, slot: usize, measured: i128, billed: i128);
    /// A line's cost, in the order of its steps.
    fn line(&mut self, position: usize, cost: &LineCost<'_>);
    /// The sum, and what it became.
    fn total(&mut self, sum: i128, total: &TotalCost);
}

/// What a sum became; amounts in billionths.
#[derive(Clone, Copy, Debug)]
pub struct TotalCost {
    /// The total.
    pub nanos: i128,
    /// The least total, where it was used.
    pub min: Option<Credits>,
    /// The largest total, where it was used.
    pub max: Option<Credits>,
    /// The direction in which it was rounded, where digits were lost.
    pub rounding: Option<Rounding>,
}

/// How a line's cost came about; amounts in billionths.
pub struct LineCost<'a> {
    /// The line.
    pub line: &'a Line,
    /// Its price.
    pub rate: &'a Rate,
    /// What is billed, in grains.
    pub quantity: i128,
    /// Before limits and rounding: a dividend, to be divided by the rate's denominator.
    pub dividend: i128,
    /// The least cost, where it was used.
    pub min: Option<Credits>,
    /// The largest cost, where it was used.
    pub max: Option<Credits>,
    /// The amount before and after it was rounded to the line's decimals, where digits were lost.
    pub rounded: Option<(Amount, Amount)>,
    /// The amount in the unit of the card before and after its rounding, where digits were lost.
    pub exchanged: Option<(Amount, Amount)>,
    /// The amount before it was rounded to the decimals of an amount, where digits were lost.
    pub last: Option<Amount>,
    /// The cost.
    pub nanos: i128,
}

/// An exact fraction of billionths.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    /// The dividend.
    pub exact: i128,
    /// The divisor.
    pub per: i128,
    was_rounded: bool,
}

impl Amount {
    const fn new(exact: i128, per: i128) -> Self {
        Self {
            exact,
            per,
            was_rounded: false,
        }
    }

    /// The nearest multiple of a unit in that direction.
    fn rounded(self, unit: i128, direction: Rounding) -> Option<Self> {
        if self.per == 1 && unit == 1 {
            return Some(self);
        }
        let (units, was_rounded) = divide(self.exact, self.per.checked_mul(unit)?, direction)?;
        Some(Self {
            exact: units.checked_mul(unit)?,
            per: 1,
            was_rounded: self.was_rounded || was_rounded,
        })
    }

    fn times(self, ratio: Ratio) -> Option<Self> {
        Some(Self {
            exact: self.exact.checked_mul(ratio.numerator())?,
            per: self.per.checked_mul(ratio.denominator())?,
            ..self
        })
    }
}

/// Sees nothing.
pub struct Silent;

impl Record for Silent {
    fn quantity(&mut self, _: usize, _: i128, _: i128) {}
    fn line(&mut self, _: usize, _: &LineCost<'_>) {}
    fn total(&mut self, _: i128, _: &TotalCost) {}
}

impl Program {
    /// What the usage costs.
    ///
    /// # Errors
    /// Why it has no price.
    pub fn price(
        &self,
        inputs: &mut Inputs<'_>,
        record: &mut impl Record,
    ) -> Result<Credits, Stop> {
        for (slot, quantity) in &self.quantities {
            let measured = quantity.measured(inputs.slots).ok_or(Stop::TooLarge)?;
            if measured < 0 {
                return Err(Stop::Negative(*slot, measured));
            }
            let billed = quantity.billed(measured).ok_or(Stop::TooLarge)?;
            if let Some(place) = inputs.slots.get_mut(*slot) {
                *place = billed;
            }
            record.quantity(*slot, measured, billed);
        }
        let mut sum = 0_i128;
        for (position, line) in self.lines.iter().enumerate() {
            let nanos = self.line(position, line, inputs, record)?;
            sum = sum.checked_add(nanos).ok_or(Stop::TooLarge)?;
        }
        let total = self.total(sum, record).ok_or(Stop::TooLarge)?;
        let nanos = i64::try_from(total).map_err(|_| Stop::TooLarge)?;
        Credits::from_nanos(nanos).map_err(|_| Stop::TooLarge)
    }

    fn line(
        &self,
        position: usize,
        line: &Line,
        inputs: &Inputs<'_>,
        record: &mut impl Record,
    ) -> Result<i128, Stop> {
        let cell = line.grid.cell(inputs.slots, &inputs.attributes);
        let outcome = cell.and_then(|cell| line.cells.get(cell));
        let outcome = outcome.and_then(|outcome| line.outcomes.get(usize::from(*outcome)));
        let rate = match outcome {
            Some(Outcome::Rate(rate)) => rate,
            Some(Outcome::Refuse(row)) => return Err(Stop::NotOffered(*row)),
            Some(Outcome::Skip) | None => return Ok(0),
        };
        let quantity = match line.slot {
            None => 1,
            Some(slot) => inputs.slots.get(slot).copied().unwrap_or_default(),
        };
        if quantity == 0 {
            return Ok(0);
        }
        let spec = self.spec.lines.get(position);
        let denominator = rate.nanos.denominator();
        let dividend = rate
            .nanos
            .numerator()
            .checked_mul(quantity)
            .ok_or(Stop::TooLarge)?;
        let is_less = |limit: Credits| {
            let limit = i128::from(limit.nanos()).checked_mul(denominator);
            limit.is_none_or(|limit| dividend < limit)
        };
        let min = spec.and_then(|spec| spec.price_min);
        let min = min.filter(|min| dividend > 0 && is_less(*min));
        let max = spec.and_then(|spec| spec.price_max);
        let max = max.filter(|max| !is_less(*max) && min.is_none());
        let (exact, per) = match min.or(max) {
            Some(limit) => (i128::from(limit.nanos()), 1),
            None => (dividend, denominator),
        };
        let direction = line.rounding.unwrap_or(Rounding::HalfEven);
        let mut amount = Amount::new(exact, per);
        let mut rounded = None;
        if let Some(decimals) = spec.and_then(|spec| spec.decimals) {
            let before = amount;
            amount = amount
                .rounded(nanos_of(decimals), direction)
                .ok_or(Stop::TooLarge)?;
            rounded = amount.was_rounded.then_some((before, amount));
        }
        let mut exchanged = None;
        if let Some(exchange) = &self.spec.exchange {
            if let Some((decimals, direction)) = exchange.decimals {
                let before = amount;
                amount = amount
                    .rounded(nanos_of(decimals), direction)
                    .ok_or(Stop::TooLarge)?;
                let rounded = amount.was_rounded && !before.was_rounded;
                exchanged = rounded.then_some((before, amount));
            }
            amount = amount.times(exchange.credits).ok_or(Stop::TooLarge)?;
        }
        let before = amount;
        let amount = amount.rounded(1, direction).ok_or(Stop::TooLarge)?;
        let is_last = amount.was_rounded && !before.was_rounded;
        let cost = LineCost {
            line,
            rate,
            quantity,
            dividend,
            min,
            max: max.filter(|max| dividend != i128::from(max.nanos()).saturating_mul(denominator)),
            rounded,
            exchanged,
            last: is_last.then_some(before),
            nanos: amount.exact,
        };
        let nanos = amount.exact;
        record.line(position, &cost);
        Ok(nanos)
    }

    fn total(&self, sum: i128, record: &mut impl Record) -> Option<i128> {
        let spec = &self.spec.total;
        let nanos = |limit: Credits| i128::from(limit.nanos());
        let min = spec.min.filter(|min| sum > 0 && sum < nanos(*min));
        let max = spec.max.filter(|max| sum > nanos(*max));
        let mut total = TotalCost {
            nanos: min.or(max).map_or(sum, nanos),
            min,
            max,
            rounding: None,
        };
        if let Some((decimals, direction)) = spec.decimals {
            let rounded = Amount::new(total.nanos, 1).rounded(nanos_of(decimals), direction)?;
            total.nanos = rounded.exact;
            total.rounding = rounded.was_rounded.then_some(direction);
        }
        record.total(sum, &total);
        Some(total.nanos)
    }

    /// The number of a slot.
    #[must_use]
    pub fn number(&self, slot: usize) -> Option<&Number> {
        self.numbers.get(slot)
    }
}

/// A dividend of billionths as credits, exact.
pub fn credits_of(dividend: i128, denominator: i128) -> Option<Ratio> {
    Ratio::new(dividend, denominator)?.over(Ratio::whole(1_000_000_000))
}

impl Program {
    /// What a usage costs, or everything that is wrong with it; `violations` has what was
    /// found before.
    pub fn quote(
        &self,
        service: &str,
        usage: &Usage<'_>,
        context: &PriceContext<'_>,
        mut violations: FieldViolations,
    ) -> Result<Credits, FieldViolations> {
        self.with_inputs(|mut inputs| {
            self.read_inputs(service, usage, context, &mut inputs, &mut violations);
            if !violations.is_empty() {
                return Err(violations);
            }
            self.price(&mut inputs, &mut Silent)
                .map_err(|stop| self.violation(service, usage, &stop))
        })
    }

    /// Calls with room for what a usage of this service brings.
    #[inline]
    fn with_inputs<T>(&self, then: impl FnOnce(Inputs<'_>) -> T) -> T {
        match self.numbers.len() {
            0..=SLOTS_FEW => then(Inputs::new(&mut [0; SLOTS_FEW])),
            _ => then(Inputs::new(&mut [0; SLOTS_MAX])),
        }
    }

    /// What is wrong where a usage has no price.
    fn violation(&self, service: &str, usage: &Usage<'_>, stop: &Stop) -> FieldViolations {
        match stop {
            Stop::TooLarge => usage.too_expensive(),
            Stop::NotOffered(row) => {
                let why = match self.spec.rows.get(*row).map(|row| &row.says) {
                    Some(RowSays::Refuse { why, .. }) => why.clone(),
                    _ => "it is not offered".into(),
                };
                let service = service.into();
                FieldViolations::of("service", Violation::NotOffered { service, why })
            }
            Stop::Negative(slot, measured) => {
                let code = self.quantities.iter().find(|(at, _)| at == slot);
                let grain = code.map_or(Ratio::ONE, |(_, quantity)| quantity.measured_grain);
                let value = grain.times(Ratio::whole(*measured)).unwrap_or(Ratio::ZERO);
                let formula = self.formula(*slot);
                let terms = formula.into_iter().flat_map(|formula| formula.terms());
                let mut taken_off = terms.filter(|term| term.coefficient.is_negative());
                let meter = taken_off
                    .next()
                    .map_or(String::new(), |term| term.to_string());
                let violation = Violation::MetersDisagree {
                    service: service.into(),
                    formula: formula.map_or(String::new(), ToString::to_string).into(),
                    value: value.to_string().into(),
                    meter: meter.into(),
                };
                FieldViolations::of("meters", violation)
            }
        }
    }

    /// The formula of a quantity.
    fn formula(&self, slot: usize) -> Option<&Formula> {
        let named = self.named_slots.iter().find(|(_, at)| **at == slot);
        let named = named.and_then(|(name, _)| self.spec.quantities.get(name));
        let own = self.lines.iter().position(|line| line.slot == Some(slot));
        let own = own.and_then(|line| self.spec.lines.get(line)?.quantity.as_ref());
        named.or(own).map(|quantity| &quantity.of)
    }

    /// How a usage that was priced adds up.
    #[must_use]
    pub fn explain(
        &self,
        service: &str,
        usage: &Usage<'_>,
        context: &PriceContext<'_>,
    ) -> Vec<quote::Line> {
        let mut violations = FieldViolations::new();
        self.with_inputs(|mut inputs| {
            self.read_inputs(service, usage, context, &mut inputs, &mut violations);
            match violations.is_empty() {
                true => Explanation::of(self, &mut inputs).unwrap_or_default(),
                false => Vec::new(),
            }
        })
    }
}
