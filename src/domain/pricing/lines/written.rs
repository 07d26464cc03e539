//! What a card is refused for when it is read, and not when it comes from a store: prices that
//! are whole, and cannot be meant.

use super::number::Number;
use super::program::{Program, nanos_of};
use super::spec::QuantitySpec;
use super::spec_error::{Place, SpecError};
use crate::domain::amount::Credits;

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
        for (position, line) in spec.lines.iter().enumerate() {
            let place = Place::Line(position, line.key.clone());
            let decimals = [line.decimals, to_exchange.map(|(decimals, _)| decimals)];
            for decimals in decimals.into_iter().flatten() {
                for (name, limit) in [("price_min", line.price_min), ("price_max", line.price_max)]
                {
                    check_limit(&place, name, limit, decimals)?;
                }
            }
        }
        if let Some((decimals, _)) = spec.total.decimals {
            check_limit(&Place::Total, "total: min", spec.total.min, decimals)?;
            check_limit(&Place::Total, "total: max", spec.total.max, decimals)?;
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
