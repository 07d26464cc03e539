//! The numbers of a service in an order in which each rests on those before it.

use std::collections::BTreeSet;

use super::formula::Formula;
use super::grid::{Names, did_you_mean};
use super::number::{Number, Quantity};
use super::spec::{QuantitySpec, Spec};
use super::spec_error::{Place, SpecError};

/// Meters and named quantities; the quantities compiled, each after those that it rests on.
pub fn numbers(spec: &Spec) -> Result<(Names, Vec<(usize, Quantity)>), SpecError> {
    let mut names = Names::of_attributes(&spec.attributes);
    for (name, meter) in &spec.meters {
        let place = Place::Meter(name.clone());
        let number = Number::of_meter(meter).filter(|number| number.first <= number.last);
        let number = number.ok_or_else(|| {
            SpecError::new(
                &place,
                "nothing lies between its min and its max",
                "change one of them",
            )
        })?;
        names.slots.insert(name.clone(), names.numbers.len());
        names.numbers.push(number);
    }
    let mut compiled = Vec::new();
    for (name, quantity) in in_order(spec)? {
        let place = Place::Quantity(name.into());
        check_names(&quantity.of, &place, &names)?;
        check_shape(quantity, &place)?;
        let slot_by_name = |name: &str| names.slots.get(name).copied();
        let (code, number) = Quantity::compile(quantity, &place, slot_by_name, &names.numbers)?;
        let slot = names.numbers.len();
        names.slots.insert(name.into(), slot);
        names.numbers.push(number);
        compiled.push((slot, code));
    }
    Ok((names, compiled))
}

/// Named quantities, each after those that it rests on.
fn in_order(spec: &Spec) -> Result<Vec<(&str, &QuantitySpec)>, SpecError> {
    let mut order = Vec::with_capacity(spec.quantities.len());
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let others = |quantity: &QuantitySpec| {
        let quantities = quantity
            .of
            .names()
            .filter_map(|name| spec.quantities.get_key_value(name));
        quantities.map(|(name, _)| &**name).collect()
    };
    let rest_on: Vec<BTreeSet<&str>> = spec.quantities.values().map(others).collect();
    while order.len() < spec.quantities.len() {
        let before = order.len();
        for ((name, quantity), rests_on) in spec.quantities.iter().zip(&rest_on) {
            if rests_on.is_subset(&done) && done.insert(name) {
                order.push((&**name, quantity));
            }
        }
        if order.len() == before {
            let ring: Vec<&str> = spec
                .quantities
                .keys()
                .map(|name| &**name)
                .filter(|name| !done.contains(name))
                .collect();
            let first = ring.first().copied().unwrap_or_default();
            return Err(SpecError::bare(
                &Place::Quantity(first.into()),
                format!("the quantities {} rest on each other", ring.join(", ")),
                "break the ring",
            ));
        }
    }
    Ok(order)
}

/// A formula names meters and quantities alone.
pub fn check_names(formula: &Formula, place: &Place, names: &Names) -> Result<(), SpecError> {
    for name in formula.names() {
        if names.slots.contains_key(name) {
            continue;
        }
        let numbers = || names.slots.keys().map(|name| &**name);
        if names.attributes.iter().any(|(known, _)| &**known == name) {
            let known: Vec<_> = numbers().collect();
            return Err(SpecError::new(
                place,
                format!("\"{name}\" is an attribute, and no number"),
                format!("choose from {}", known.join(", ")),
            ));
        }
        return Err(SpecError::new(
            place,
            format!("\"{name}\" is not declared"),
            did_you_mean(name, numbers()),
        ));
    }
    Ok(())
}

/// The window of a quantity has room.
pub fn check_shape(quantity: &QuantitySpec, place: &Place) -> Result<(), SpecError> {
    let low = quantity.at_least.max(quantity.above);
    if let (Some(up_to), Some(low)) = (quantity.up_to, low)
        && up_to <= low
    {
        return Err(SpecError::new(
            place,
            "up_to is not more than at_least or above; nothing would be left to bill",
            "change one of them",
        ));
    }
    Ok(())
}
