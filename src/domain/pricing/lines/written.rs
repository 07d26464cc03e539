//! What a card is refused for when it is read, and not when it comes from a store: prices that
//! are whole, and cannot be meant.

use super::number::Number;
use super::program::{Program, nanos_of};
use super::spec::QuantitySpec;
use super::spec_error::{Place, SpecError};
use crate::domain::amount::{Credits, Rounding};

impl Program {
    /// Checks what was written.
    ///
    /// # Errors
    /// What is wrong, where, and what to do.
    pub fn check_written(&self) -> Result<(), SpecError> {
        self.check_limits()?;
        self.check_quantities()
    }

    /// No limit of a cost lies between two figures to which it is rounded afterwards.
    fn check_limits(&self) -> Result<(), SpecError> {
        let spec = &self.spec;
        let exchange = spec.exchange.as_ref();
        let to_exchange = exchange.and_then(|exchange| exchange.decimals);
        for (position, (line, compiled)) in spec.lines.iter().zip(&self.lines).enumerate() {
            let place = Place::Line(position, line.key.clone());
            let own = line.decimals.zip(compiled.rounding);
            for to in [own, to_exchange].into_iter().flatten() {
                check_min(&place, "price_min", line.price_min, to)?;
                check_max(&place, "price_max", line.price_max, to)?;
            }
        }
        if let Some(to) = spec.total.decimals {
            check_min(&Place::Total, "total: min", spec.total.min, to)?;
            check_max(&Place::Total, "total: max", spec.total.max, to)?;
        }
        Ok(())
    }

    /// Something can be billed of each quantity.
    fn check_quantities(&self) -> Result<(), SpecError> {
        for (name, quantity) in &self.spec.quantities {
            let number = self.named_slots.get(name);
            let number = number.and_then(|slot| self.number(*slot));
            check_quantity(&Place::Quantity(name.clone()), quantity, number)?;
        }
        let lines = self.spec.lines.iter().zip(&self.lines).enumerate();
        for (position, (says, line)) in lines {
            if let Some(quantity) = &says.quantity {
                let place = Place::Line(position, says.key.clone());
                let number = line.slot.and_then(|slot| self.number(slot));
                check_quantity(&place, quantity, number)?;
            }
        }
        Ok(())
    }
}

/// What is rounded up does not fall below a limit.
fn check_min(
    place: &Place,
    name: &str,
    limit: Option<Credits>,
    (decimals, direction): (u32, Rounding),
) -> Result<(), SpecError> {
    let limit = limit.filter(|_| direction != Rounding::Up);
    check_limit(place, name, limit, decimals)
}

/// What is rounded down does not pass a limit.
fn check_max(
    place: &Place,
    name: &str,
    limit: Option<Credits>,
    (decimals, direction): (u32, Rounding),
) -> Result<(), SpecError> {
    let limit = limit.filter(|_| direction != Rounding::Down);
    check_limit(place, name, limit, decimals)
}

fn check_limit(
    place: &Place,
    name: &str,
    limit: Option<Credits>,
    decimals: u32,
) -> Result<(), SpecError> {
    let Some(limit) = limit else {
        return Ok(());
    };
    let unit = nanos_of(decimals);
    if i128::from(limit.nanos()).checked_rem(unit) == Some(0) {
        return Ok(());
    }
    let plural = if decimals == 1 { "" } else { "s" };
    let problem = format!(
        "{name} {limit} has more than {decimals} decimal{plural}, to which the cost is rounded after it; the cost could pass it"
    );
    let remedy = format!("write at most {decimals} decimal{plural}, or change decimals");
    Err(SpecError::new(place, problem, remedy))
}

fn check_quantity(
    place: &Place,
    quantity: &QuantitySpec,
    number: Option<&Number>,
) -> Result<(), SpecError> {
    if number.is_none_or(|number| number.last > 0) {
        return Ok(());
    }
    let what = if quantity.is_plain() {
        ""
    } else {
        "what is billed of "
    };
    let problem = format!("{what}\"{}\" is never above 0", quantity.of);
    let remedy = "change it or the max of its meters, or take it out";
    Err(SpecError::new(place, problem, remedy))
}
