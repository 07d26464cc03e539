//! What is proved of a service when its card is loaded, beside that each case has a price:
//! that every word of it has an effect, that more never costs less, and that it says how it
//! rounds where it can have to.

use std::collections::BTreeSet;

use super::grid::{Grid, Names, Subject};
use super::number::Quantity;
use super::program::{Line, Outcome, nanos_of};
use super::ratio::Ratio;
use super::spec::{Condition, LineSpec, RowSays, Spec};
use super::spec_error::{Place, SpecError};
use crate::domain::amount::{DECIMALS_MAX, Rounding};

/// Every meter and every attribute changes a price.
pub fn check_effects(spec: &Spec) -> Result<(), SpecError> {
    let conditions = spec.lines.iter().map(|line| &line.when);
    let conditions = conditions.chain(spec.rows.iter().map(|row| &row.when));
    let conditions = conditions.chain(spec.factors.iter().map(|factor| &factor.when));
    let of_lines = spec.lines.iter().filter_map(|line| line.quantity.as_ref());
    let mut waiting: Vec<&str> = conditions.flatten().map(name_of).collect();
    waiting.extend(of_lines.flat_map(|quantity| quantity.of.names()));
    // What a quantity rests on has an effect where the quantity has.
    let mut used: BTreeSet<&str> = BTreeSet::new();
    while let Some(name) = waiting.pop() {
        if used.insert(name)
            && let Some(quantity) = spec.quantities.get(name)
        {
            waiting.extend(quantity.of.names());
        }
    }
    let is_unused = |name: &str| !used.contains(name);
    let attribute = spec.attributes.keys().find(|name| is_unused(name));
    let meter = spec.meters.keys().find(|name| is_unused(name));
    let quantity = spec.quantities.keys().find(|name| is_unused(name));
    let found = attribute
        .map(|name| ("attribute", Place::Attribute(name.clone()), name))
        .or_else(|| meter.map(|name| ("meter", Place::Meter(name.clone()), name)))
        .or_else(|| quantity.map(|name| ("quantity", Place::Quantity(name.clone()), name)));
    if let Some((what, place, name)) = found {
        let problem = format!("{what} \"{name}\" changes no price");
        return Err(SpecError::bare(&place, problem, "use it, or take it out"));
    }
    Ok(())
}

fn name_of(condition: &Condition) -> &str {
    &condition.name
}

/// More of a meter never costs less, unless `may_fall` names it; and it names no other.
pub fn check_falls(
    spec: &Spec,
    names: &Names,
    quantities: &[(usize, Quantity)],
    lines: &[Line],
) -> Result<(), SpecError> {
    for name in &spec.may_fall {
        if !spec.meters.contains_key(name) {
            let known = spec.meters.keys().map(|name| &**name);
            let remedy = super::grid::did_you_mean(name, known);
            return Err(SpecError::new(
                &Place::MayFall,
                format!("\"{name}\" is no meter"),
                remedy,
            ));
        }
    }
    let uses: Vec<Uses> = quantities
        .iter()
        .map(|(slot, quantity)| (*slot, quantity.uses().collect()))
        .collect();
    let falls: Vec<_> = lines
        .iter()
        .zip(&spec.lines)
        .map(|(line, says)| falls_of_line(says, line, names))
        .collect();
    for (name, slot) in spec
        .meters
        .keys()
        .filter_map(|name| Some((name, *names.slots.get(name)?)))
    {
        let fall = fall_of(spec, names, &uses, lines, &falls, slot);
        match (fall, spec.may_fall.contains(name)) {
            (Some(why), false) => {
                return Err(SpecError::bare(
                    &Place::Meter(name.clone()),
                    format!("more {name} would cost less: {why}"),
                    format!("if that is meant, write may_fall = [\"{name}\"]"),
                ));
            }
            (None, true) => {
                return Err(SpecError::new(
                    &Place::MayFall,
                    format!("more {name} never costs less"),
                    "take it out",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A quantity by its slot: the numbers that it is made of, and whether each is taken off.
type Uses = (usize, BTreeSet<(usize, bool)>);

/// Where a cost falls as that meter grows.
fn fall_of(
    spec: &Spec,
    names: &Names,
    uses: &[Uses],
    lines: &[Line],
    falls: &[Falls],
    meter: usize,
) -> Option<String> {
    // Numbers that grow with the meter.
    let mut grows = BTreeSet::from([meter]);
    for (slot, uses) in uses {
        if !uses.iter().any(|(slot, _)| grows.contains(slot)) {
            continue;
        }
        let mut falls = uses.iter().filter(|(_, takes_off)| *takes_off);
        if falls.any(|(slot, _)| grows.contains(slot)) {
            return Some(format!(
                "\"{}\" falls",
                formula_of(spec, names, lines, *slot)
            ));
        }
        grows.insert(*slot);
    }
    let mut falls = falls.iter().flatten();
    falls
        .find(|(slot, _)| grows.contains(slot))
        .map(|(_, why)| why.clone())
}

/// Numbers along which a line falls, in the order of its keys, and how.
type Falls = Vec<(usize, String)>;

fn falls_of_line(says: &LineSpec, line: &Line, names: &Names) -> Falls {
    let keys = line.grid.keys.iter().enumerate();
    let falls = keys.filter_map(|(key, along)| match along.subject {
        Subject::Number(slot) => Some((slot, falls_along(says, line, key, names)?)),
        Subject::Attribute(_) => None,
    });
    falls.collect()
}

/// The text of the formula of a quantity.
fn formula_of(spec: &Spec, names: &Names, lines: &[Line], slot: usize) -> String {
    let named = spec.quantities.iter();
    let mut named = named.filter(|(name, _)| names.slots.get(&**name) == Some(&slot));
    let own = lines
        .iter()
        .zip(&spec.lines)
        .find(|(line, _)| line.slot == Some(slot));
    let own = own.and_then(|(_, line)| line.quantity.as_ref());
    let quantity = named.next().map(|(_, quantity)| quantity).or(own);
    quantity.map_or_else(String::new, |quantity| quantity.of.to_string())
}

/// Whether a line costs less in a later piece of one key, all others being equal.
fn falls_along(says: &LineSpec, line: &Line, key: usize, names: &Names) -> Option<String> {
    let along = line.grid.keys.get(key)?;
    let outcome = |cell: usize| {
        let outcome = usize::from(*line.cells.get(cell)?);
        Some((outcome, line.outcomes.get(outcome)?))
    };
    // Cells of its first piece stand together, as many as the stride; those of the next follow.
    let block = along.stride.saturating_mul(along.count).max(1);
    let starts = (0..line.grid.size).step_by(block);
    let starts = starts.flat_map(|block| block..block.saturating_add(along.stride));
    for start in starts {
        let mut before: Option<(usize, usize, Ratio)> = None;
        for piece in 0..along.count {
            let cell = start.saturating_add(piece.saturating_mul(along.stride));
            let (at, outcome) = outcome(cell)?;
            if let Some((cell_before, before, _)) = &mut before
                && *before == at
            {
                *cell_before = cell;
                continue;
            }
            let now = match outcome {
                Outcome::Refuse(_) => continue,
                Outcome::Skip => Ratio::ZERO,
                Outcome::Rate(rate) => rate.nanos,
            };
            if let Some((cell_before, _, before)) = before
                && now < before
            {
                return Some(fall_in_words(
                    says,
                    line,
                    key,
                    (cell_before, before),
                    (cell, now),
                    names,
                ));
            }
            before = Some((cell, at, now));
        }
    }
    None
}

fn fall_in_words(
    says: &LineSpec,
    line: &Line,
    key: usize,
    before: (usize, Ratio),
    after: (usize, Ratio),
    names: &Names,
) -> String {
    // Only the key that changes is said.
    let one = line.grid.keys.get(key).cloned();
    let grid = Grid {
        keys: one.into_iter().collect(),
        size: line.grid.size,
    };
    let cell_words = |cell: usize| grid.words(cell, names);
    let price = |cell: usize, nanos: Ratio| {
        let outcome = line
            .cells
            .get(cell)
            .and_then(|at| line.outcomes.get(usize::from(*at)));
        match outcome {
            Some(Outcome::Rate(_)) => line.price(says, nanos, &names.numbers).to_string(),
            _ => "nothing".to_owned(),
        }
    };
    format!(
        "line \"{}\" is {} for {} and {} for {}",
        says.key,
        price(before.0, before.1),
        cell_words(before.0),
        price(after.0, after.1),
        cell_words(after.0),
    )
}

/// In which direction a line's cost is rounded; None where it never is.
pub fn rounding(
    spec: &Spec,
    position: usize,
    line: &Line,
    said: Option<Rounding>,
) -> Result<Option<Rounding>, SpecError> {
    let Some(says) = spec.lines.get(position) else {
        return Ok(None);
    };
    let place = Place::Line(position, says.key.clone());
    let is_whole = |nanos: Option<Ratio>| nanos.is_some_and(Ratio::is_whole);
    let credits = spec
        .exchange
        .as_ref()
        .map_or(Ratio::ONE, |exchange| exchange.credits);
    let to_exchange = spec
        .exchange
        .as_ref()
        .and_then(|exchange| exchange.decimals);
    // Each rounding to a unit makes all amounts multiples of it.
    let is_exact = |nanos: Ratio| {
        let mut step = nanos;
        if let Some(decimals) = says.decimals {
            let unit = Ratio::whole(nanos_of(decimals));
            if !is_whole(step.over(unit)) {
                return false;
            }
            step = unit;
        }
        if let Some((decimals, _)) = to_exchange {
            step = Ratio::whole(nanos_of(decimals));
        }
        is_whole(step.times(credits))
    };
    let rates_are_exact = line.outcomes.iter().all(|outcome| match outcome {
        Outcome::Rate(rate) => is_exact(rate.nanos),
        Outcome::Skip | Outcome::Refuse(_) => true,
    });
    let limits = [says.price_min, says.price_max].into_iter().flatten();
    let limits_are_exact = limits
        .map(|limit| Ratio::whole(i128::from(limit.nanos())))
        .all(is_exact);
    let is_needed = !(rates_are_exact && limits_are_exact);
    match (is_needed, said, says.rounding) {
        (true, None, _) => Err(SpecError::new(
            &place,
            format!(
                "its price can have more than {} decimals and must say how it rounds",
                says.decimals.unwrap_or(DECIMALS_MAX)
            ),
            "add rounding = \"up\", \"down\", \"half_up\" or \"half_even\" to the line, the service or the card",
        )),
        (true, Some(said), _) => Ok(Some(said)),
        (false, _, Some(_)) => Err(SpecError::new(
            &place,
            "nothing is rounded here",
            "take rounding out",
        )),
        (false, _, None) => Ok(None),
    }
}

/// Whether a row says something of lines that are there.
pub fn check_lines(spec: &Spec) -> Result<(), SpecError> {
    let known = || spec.lines.iter().map(|line| &*line.key);
    let is_line = |key: &str| known().any(|known| known == key);
    for (row, says) in spec.rows.iter().enumerate() {
        let mut keys: Vec<&str> = match &says.says {
            RowSays::Prices(prices) => prices.iter().map(|(line, _)| &**line).collect(),
            RowSays::Refuse { lines, .. } => lines.iter().map(|line| &**line).collect(),
        };
        keys.retain(|key| !is_line(key));
        if let Some(key) = keys.first() {
            let problem = format!("\"{key}\" is no line of this service");
            let remedy = super::grid::did_you_mean(key, known());
            return Err(SpecError::new(&Place::Row(row), problem, remedy));
        }
    }
    for (factor, says) in spec.factors.iter().enumerate() {
        if let Some(key) = says.lines.iter().find(|key| !is_line(key)) {
            let problem = format!("\"{key}\" is no line of this service");
            let remedy = super::grid::did_you_mean(key, known());
            return Err(SpecError::new(&Place::Factor(factor), problem, remedy));
        }
        if says.when.is_empty() {
            return Err(SpecError::new(
                &Place::Factor(factor),
                "it always applies",
                "say when, or change the prices",
            ));
        }
    }
    Ok(())
}
