//! Meters and quantities as whole numbers of grains. A grain is the smallest part that can be
//! told apart: a nanosecond of time, one of what is counted, the step of a stepped quantity.

use super::formula::Formula;
use super::ratio::Ratio;
use super::spec::{MeterSpec, QuantitySpec, StepRounding, TIME_UNIT};
use super::spec_error::{Place, SpecError};
use crate::domain::amount::divide;

/// The largest number that a meter without `max` takes, in units.
pub const UNITS_MAX: i128 = 1_000_000_000_000_000_000;
/// The longest duration, in seconds: ten thousand years, as protobuf has it.
pub const SECONDS_MAX: i128 = 315_576_000_000;

/// What is known of a number before a usage is priced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    /// What one is called.
    pub unit: Box<str>,
    /// The size of a grain, in units.
    pub grain: Ratio,
    /// The smallest it can be, in grains.
    pub first: i128,
    /// The largest it can be, in grains.
    pub last: i128,
    /// Whether a card bounds it.
    pub is_bounded: bool,
    /// How many decimals a meter has.
    pub decimals: u32,
}

impl Number {
    /// The number of a meter.
    #[must_use]
    pub fn of_meter(meter: &MeterSpec) -> Option<Self> {
        let grain = Ratio::new(1, 10_i128.checked_pow(meter.decimals)?)?;
        let units_max = match &*meter.unit {
            TIME_UNIT => SECONDS_MAX,
            _ => UNITS_MAX,
        };
        let max = meter.max.unwrap_or(Ratio::whole(units_max));
        Some(Self {
            unit: meter.unit.clone(),
            grain,
            first: meter.min.unwrap_or(Ratio::ZERO).over(grain)?.ceil(),
            last: max.over(grain)?.floor(),
            is_bounded: meter.max.is_some(),
            decimals: meter.decimals,
        })
    }

    /// Whether it is time.
    #[must_use]
    pub fn is_time(&self) -> bool {
        &*self.unit == TIME_UNIT
    }

    /// That many grains in units.
    #[must_use]
    pub fn units(&self, grains: i128) -> Ratio {
        let units = self.grain.times(Ratio::whole(grains));
        units.unwrap_or(Ratio::whole(grains))
    }

    /// That many grains, with the unit.
    #[must_use]
    pub fn text(&self, grains: i128) -> String {
        with_unit(self.units(grains), &self.unit)
    }

    /// A figure of it as a card says it: "5s" or "200000".
    #[must_use]
    pub fn figure(&self, units: Ratio) -> String {
        match self.is_time() {
            true => format!("{units}s"),
            false => units.to_string(),
        }
    }
}

/// A number with its unit: "120 s", "1 image", "4 images", "10.35 USD".
pub fn with_unit(number: Ratio, unit: &str) -> String {
    let is_symbol = unit == TIME_UNIT || unit.bytes().all(|b| b.is_ascii_uppercase());
    let plural = if number == Ratio::ONE || is_symbol {
        ""
    } else {
        "s"
    };
    format!("{number} {unit}{plural}")
}

/// A product of a formula.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    coefficient: i128,
    slots: Box<[usize]>,
}

/// How a quantity is worked out of other numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantity {
    products: Box<[Product]>,
    /// The grain before the step.
    pub measured_grain: Ratio,
    at_least: Option<i128>,
    up_to: Option<i128>,
    above: Option<i128>,
    /// Steps in so many grains, and the direction.
    step: Option<(i128, i128, StepRounding)>,
}

impl Quantity {
    /// The sum, in grains before the step. None where 128 bits do not hold it.
    #[must_use]
    pub fn measured(&self, slots: &[i128]) -> Option<i128> {
        self.products.iter().try_fold(0_i128, |sum, product| {
            let mut factors = product.slots.iter();
            let value = factors.try_fold(product.coefficient, |value, slot| {
                value.checked_mul(*slots.get(*slot)?)
            })?;
            sum.checked_add(value)
        })
    }

    /// What is billed of it, in grains of the quantity.
    #[must_use]
    pub fn billed(&self, measured: i128) -> Option<i128> {
        if measured == 0 {
            return Some(0);
        }
        let mut billed = measured;
        if let Some(at_least) = self.at_least {
            billed = billed.max(at_least);
        }
        if let Some(up_to) = self.up_to {
            billed = billed.min(up_to);
        }
        if let Some(above) = self.above {
            billed = billed.saturating_sub(above).max(0);
        }
        match self.step {
            Some((times, per, rounding)) if billed > 0 => {
                let dividend = billed.checked_mul(times)?;
                match rounding {
                    StepRounding::To(rounding) => divide(dividend, per, rounding).map(|(n, _)| n),
                    StepRounding::Next => dividend.checked_div(per)?.checked_add(1),
                }
            }
            _ => Some(billed),
        }
    }

    /// Compiles a quantity over numbers that are there; `slot` finds them by name.
    pub fn compile(
        spec: &QuantitySpec,
        place: &Place,
        slot: impl Fn(&str) -> Option<usize>,
        numbers: &[Number],
    ) -> Result<(Self, Number), SpecError> {
        let too_large = || {
            let names = spec.of.names().filter(|name| {
                let number = slot(name).and_then(|slot| numbers.get(slot));
                number.is_some_and(|number| !number.is_bounded)
            });
            let mut names: Vec<_> = names.collect();
            names.dedup();
            SpecError::new(
                place,
                format!("\"{}\" can pass 38 digits", spec.of),
                match names.as_slice() {
                    [] => "give its meters a smaller max".to_owned(),
                    _ => format!("give {} a max", names.join(" and ")),
                },
            )
        };
        let unit = unit_of(spec, place, &slot, numbers)?;
        let (mut sizes, mut slots_by_term) = (Vec::new(), Vec::new());
        for term in spec.of.terms() {
            let slots = term.names.iter().map(|name| slot(name));
            let slots: Box<[usize]> = slots.collect::<Option<_>>().ok_or_else(too_large)?;
            let size = slots.iter().try_fold(term.coefficient, |size, slot| {
                size.times(numbers.get(*slot)?.grain)
            });
            sizes.push(size.ok_or_else(too_large)?);
            slots_by_term.push(slots);
        }
        let shapes = [spec.at_least, spec.up_to, spec.above];
        let grain = sizes
            .iter()
            .copied()
            .chain(shapes.into_iter().flatten())
            .filter(|size| *size != Ratio::ZERO)
            .try_fold(None, |grain: Option<Ratio>, size| match grain {
                None => Some(Some(size)),
                Some(grain) => grain.common(size).map(Some),
            });
        let grain = grain.ok_or_else(too_large)?.unwrap_or(Ratio::ONE);
        let grain = Ratio::ZERO.common(grain).ok_or_else(too_large)?;
        let grains = |size: Ratio| size.over(grain).map(|grains| grains.floor());
        let products = slots_by_term.into_iter().zip(sizes).map(|(slots, size)| {
            let coefficient = grains(size)?;
            Some(Product { coefficient, slots })
        });
        let products = products
            .collect::<Option<Box<[_]>>>()
            .ok_or_else(too_large)?;
        let step = match spec.step {
            None => None,
            Some(step) => {
                let steps = grain.over(step.size).ok_or_else(too_large)?;
                Some((steps.numerator(), steps.denominator(), step.rounding))
            }
        };
        let quantity = Self {
            products,
            measured_grain: grain,
            at_least: spec.at_least.and_then(grains),
            up_to: spec.up_to.and_then(grains),
            above: spec.above.and_then(grains),
            step,
        };
        let (first, last) = quantity.ends(numbers).ok_or_else(too_large)?;
        let number = Number {
            unit,
            grain: spec.step.map_or(grain, |step| step.size),
            first: quantity.billed(first).ok_or_else(too_large)?,
            last: quantity.billed(last).ok_or_else(too_large)?,
            is_bounded: true,
            decimals: 0,
        };
        Ok((quantity, number))
    }

    /// The smallest and the largest sum; what is below 0 is refused.
    fn ends(&self, numbers: &[Number]) -> Option<(i128, i128)> {
        let mut ends = (0_i128, 0_i128);
        for product in &self.products {
            let mut both = (product.coefficient, product.coefficient);
            for slot in &product.slots {
                let number = numbers.get(*slot)?;
                both = (
                    both.0.checked_mul(number.first)?,
                    both.1.checked_mul(number.last)?,
                );
            }
            if product.coefficient < 0 {
                both = (both.1, both.0);
            }
            ends = (ends.0.checked_add(both.0)?, ends.1.checked_add(both.1)?);
        }
        Some((ends.0.max(0), ends.1.max(0)))
    }

    /// The slots that it is made of, each with whether more of it takes something off.
    pub fn uses(&self) -> impl Iterator<Item = (usize, bool)> {
        self.products.iter().flat_map(|product| {
            let takes_off = product.coefficient < 0;
            product.slots.iter().map(move |slot| (*slot, takes_off))
        })
    }
}

/// What one of a quantity is called: as its card says, or as what it adds up is called.
fn unit_of(
    spec: &QuantitySpec,
    place: &Place,
    slot: &impl Fn(&str) -> Option<usize>,
    numbers: &[Number],
) -> Result<Box<str>, SpecError> {
    if let Some(unit) = &spec.unit {
        return Ok(unit.clone());
    }
    let found = unit_of_formula(&spec.of, slot, numbers);
    found.map(Into::into).ok_or_else(|| {
        SpecError::new(
            place,
            format!("nobody knows what one of \"{}\" is called", spec.of),
            "say it, such as unit = \"token\"",
        )
    })
}

/// What all that a formula adds up is called.
pub fn unit_of_formula<'n>(
    formula: &Formula,
    slot: &impl Fn(&str) -> Option<usize>,
    numbers: &'n [Number],
) -> Option<&'n str> {
    let mut found: Option<&str> = None;
    for term in formula.terms() {
        let unit = match term.names.as_slice() {
            [] => continue,
            [name] => numbers.get(slot(name)?)?.unit.as_ref(),
            _ => return None,
        };
        match found {
            Some(before) if unit != before => return None,
            _ => found = Some(unit),
        }
    }
    found
}
