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
                check_limit(&place, ("price_min", line.price_min, Rounding::Up), to)?;
                check_limit(&place, ("price_max", line.price_max, Rounding::Down), to)?;
            }
        }
        if let Some(to) = spec.total.decimals {
            check_limit(
                &Place::Total,
                ("total: min", spec.total.min, Rounding::Up),
                to,
            )?;
            check_limit(
                &Place::Total,
                ("total: max", spec.total.max, Rounding::Down),
                to,
            )?;
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

/// A cost that is rounded in one direction does not pass a limit: down a largest one, up a least.
fn check_limit(
    place: &Place,
    (name, limit, allowed): (&str, Option<Credits>, Rounding),
    (decimals, direction): (u32, Rounding),
) -> Result<(), SpecError> {
    let Some(limit) = limit.filter(|_| direction != allowed) else {
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
