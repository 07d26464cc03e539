//! A service's price as it is evaluated: everything is found when the card is loaded, so that
//! pricing looks up, multiplies and divides.

use std::collections::{BTreeMap, HashMap};

use super::grid::{Grid, Names, Test};
use super::inputs::{Index, default_grains};
use super::number::{Number, Quantity};
use super::ratio::Ratio;
use super::sets::Walk;
use super::spec::{FactorSpec, LineSpec, QuantitySpec, RowSays, Spec};
use super::spec_error::{Place, SpecError};
use crate::domain::amount::{Credits, DECIMALS_MAX, Rounding};

/// The largest denominator of a rate: a product that then leaves 128 bits is a cost over the
/// largest amount.
const DENOMINATOR_MAX: i128 = 1_000_000_000_000_000_000;
/// Billionths in a credit.
const NANOS: i128 = 1_000_000_000;

/// What a service costs, compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// What the card says.
    pub spec: Spec,
    /// Numbers by slot: meters by name, then named quantities by name, then those of lines.
    pub numbers: Box<[Number]>,
    /// Named quantities and those of lines, each after those that it rests on, with its slot.
    pub quantities: Box<[(usize, Quantity)]>,
    /// Lines, in the order of the card.
    pub lines: Box<[Line]>,
    /// Slots of meters and named quantities.
    pub named_slots: BTreeMap<Box<str>, usize>,
    /// What a usage can bring.
    pub index: Index,
}

/// A line, compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The slot of its quantity; None: once for a usage.
    pub slot: Option<usize>,
    /// What its price depends on.
    pub grid: Grid,
    /// What holds in each cell: a position in `outcomes`.
    pub cells: Box<[u16]>,
    /// What can hold.
    pub outcomes: Box<[Outcome]>,
    /// In which direction its cost is rounded, where that can be needed.
    pub rounding: Option<Rounding>,
}

/// The row and, as bits, the factors that hold; None where the line is left out.
type RowAndFactors = Option<(Option<usize>, u64)>;

/// What holds for a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is left out.
    Skip,
    /// It is not sold, by that row.
    Refuse(usize),
    /// Its price.
    Rate(Rate),
}

/// The price of a line where something holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Billionths for a grain, with factors.
    pub nanos: Ratio,
    /// The price before factors.
    pub price: Credits,
    /// The row that it comes from; None: the line's own.
    pub row: Option<usize>,
    /// The factors that hold.
    pub factors: Box<[usize]>,
}

impl Program {
    /// Checks and compiles a service. `inherited` is the direction that the service or the card
    /// says. Roundings that round nothing are taken out of the specification.
    ///
    /// # Errors
    /// What is wrong, where, and what to do.
    pub fn compile(mut spec: Spec, inherited: Option<Rounding>) -> Result<Self, SpecError> {
        super::checks::check_lines(&spec)?;
        let (mut names, mut quantities) = super::order::numbers(&spec)?;
        let mut slots = Vec::with_capacity(spec.lines.len());
        for (position, line) in spec.lines.iter().enumerate() {
            let place = Place::Line(position, line.key.clone());
            let slot = match &line.quantity {
                None => None,
                Some(quantity) => Some(slot_of(quantity, &place, &mut names, &mut quantities)?),
            };
            slots.push(slot);
        }
        let mut tests = Tests::of(&spec, &names)?;
        let mut lines = Vec::with_capacity(spec.lines.len());
        for (position, slot) in slots.into_iter().enumerate() {
            lines.push(tests.line(&spec, position, slot, &names)?);
        }
        tests.check_refusals(&spec)?;
        super::checks::check_effects(&spec)?;
        super::checks::check_falls(&spec, &names, &quantities, &lines)?;
        let mut roundings = Vec::with_capacity(lines.len());
        for (position, line) in lines.iter_mut().enumerate() {
            let own = spec.lines.get(position).and_then(|line| line.rounding);
            line.rounding = super::checks::rounding(&spec, position, line, own.or(inherited))?;
            roundings.push(line.rounding);
        }
        for (line, rounding) in spec.lines.iter_mut().zip(roundings) {
            line.rounding = rounding;
        }
        let meters = spec.meters.iter().map(|(name, meter)| {
            let number = names
                .slots
                .get(name)
                .and_then(|slot| names.numbers.get(*slot));
            let default = number.and_then(|number| default_grains(meter.default, number));
            (name.clone(), default)
        });
        let index = Index::of(meters, &names.attributes);
        Ok(Self {
            index,
            numbers: names.numbers.into(),
            named_slots: names.slots,
            quantities: quantities.into(),
            lines: lines.into(),
            spec,
        })
    }

    /// How many cells its lines have.
    #[must_use]
    pub fn cells(&self) -> usize {
        let sizes = self.lines.iter().map(|line| line.grid.size);
        sizes.fold(0, usize::saturating_add)
    }
}

/// The slot of a line's quantity: that of a name, or a new one.
fn slot_of(
    quantity: &QuantitySpec,
    place: &Place,
    names: &mut Names,
    quantities: &mut Vec<(usize, Quantity)>,
) -> Result<usize, SpecError> {
    if quantity.is_plain()
        && quantity.unit.is_none()
        && let Some(name) = quantity.of.as_name()
        && let Some(slot) = names.slots.get(name)
    {
        return Ok(*slot);
    }
    super::order::check_names(&quantity.of, place, names)?;
    super::order::check_shape(quantity, place)?;
    let slot_by_name = |name: &str| names.slots.get(name).copied();
    let (compiled, number) = Quantity::compile(quantity, place, slot_by_name, &names.numbers)?;
    let slot = names.numbers.len();
    names.numbers.push(number);
    quantities.push((slot, compiled));
    Ok(slot)
}

/// All conditions of a service, with their subjects found.
struct Tests {
    whens: Vec<Vec<Test>>,
    rows: Vec<Vec<Test>>,
    factors: Vec<Vec<Test>>,
    /// Rows that refused some line in some cell.
    refusing: Vec<bool>,
}

impl Tests {
    fn of(spec: &Spec, names: &Names) -> Result<Self, SpecError> {
        let lines = spec.lines.iter().enumerate();
        let whens = lines.map(|(position, line)| {
            names.tests(&line.when, |_| Place::Line(position, line.key.clone()))
        });
        let rows = spec.rows.iter().enumerate().map(|(position, row)| {
            names.tests(&row.when, |name| Place::RowWhen(position, name.into()))
        });
        let factors = spec.factors.iter().enumerate().map(|(position, factor)| {
            names.tests(&factor.when, |name| {
                Place::FactorWhen(position, name.into())
            })
        });
        Ok(Self {
            whens: whens.collect::<Result<_, _>>()?,
            rows: rows.collect::<Result<_, _>>()?,
            factors: factors.collect::<Result<_, _>>()?,
            refusing: vec![false; spec.rows.len()],
        })
    }

    fn line(
        &mut self,
        spec: &Spec,
        position: usize,
        slot: Option<usize>,
        names: &Names,
    ) -> Result<Line, SpecError> {
        let Some(line) = spec.lines.get(position) else {
            return Err(SpecError::new(
                &Place::Service,
                "it has no such line",
                "report this",
            ));
        };
        let place = Place::Line(position, line.key.clone());
        let when = self.whens.get(position).map_or(&[][..], Vec::as_slice);
        let rows: Vec<_> = spec
            .rows
            .iter()
            .enumerate()
            .filter_map(|(row, says)| {
                let tests = self.rows.get(row)?;
                says_of(&says.says, &line.key).map(|price| (row, tests, price))
            })
            .collect();
        let factors: Vec<_> = spec
            .factors
            .iter()
            .enumerate()
            .filter_map(|(factor, says)| {
                let tests = self.factors.get(factor)?;
                says.is_about(&line.key).then_some((factor, tests, says))
            })
            .collect();
        let all = when.iter();
        let all = all.chain(rows.iter().flat_map(|(_, tests, _)| tests.iter()));
        let all = all.chain(factors.iter().flat_map(|(_, tests, _)| tests.iter()));
        let grid = Grid::of(all, names, &place)?;
        let walk = Walk::of(&grid, names);
        let when_set = walk.sets(std::iter::once(when));
        let row_sets = walk.sets(rows.iter().map(|(_, tests, _)| tests.as_slice()));
        let factor_sets = walk.sets(factors.iter().map(|(_, tests, _)| tests.as_slice()));
        let mut outcomes: Vec<Outcome> = Vec::new();
        let mut known: HashMap<RowAndFactors, u16> = HashMap::new();
        let mut cells = Vec::with_capacity(grid.size);
        let mut used = vec![false; rows.len()];
        let mut positions = Vec::with_capacity(grid.keys.len());
        for cell in 0..grid.size {
            grid.positions_into(cell, &mut positions);
            let holds = when_set.first(&positions).is_some();
            let row_at = if holds {
                row_sets.first(&positions)
            } else {
                None
            };
            let row = row_at.and_then(|at| rows.get(at));
            if let Some(row) = row_at.and_then(|at| used.get_mut(at)) {
                *row = true;
            }
            let refused = matches!(row, Some((_, _, None)));
            let factors_that_hold = match holds && !refused {
                // There are at most 32.
                true => factor_sets.word(&positions, 0),
                false => 0,
            };
            let key = holds.then_some((row_at, factors_that_hold));
            let outcome = match known.get(&key) {
                Some(outcome) => *outcome,
                None => {
                    let outcome = if !holds {
                        Outcome::Skip
                    } else if refused {
                        Outcome::Refuse(row.map_or(0, |(row, _, _)| *row))
                    } else {
                        let price = row.and_then(|(_, _, price)| *price).or(line.price);
                        let Some(price) = price else {
                            return Err(no_price(&place, &grid.words(cell, names)));
                        };
                        let list: Vec<_> = factors
                            .iter()
                            .enumerate()
                            .filter(|(at, _)| factors_that_hold >> (at % 64) & 1 == 1)
                            .map(|(_, (factor, _, says))| (*factor, *says))
                            .collect();
                        let grain = slot.and_then(|slot| names.numbers.get(slot));
                        let grain = grain.map_or(Ratio::ONE, |number| number.grain);
                        Outcome::Rate(rate(
                            line,
                            price,
                            grain,
                            row.map(|(row, _, _)| *row),
                            &list,
                            &place,
                        )?)
                    };
                    let at = u16::try_from(outcomes.len()).unwrap_or(u16::MAX);
                    outcomes.push(outcome);
                    known.insert(key, at);
                    at
                }
            };
            cells.push(outcome);
        }
        check_outcomes(&place, &outcomes)?;
        for ((row, _, price), used) in rows.iter().zip(used) {
            match price {
                Some(_) if !used => {
                    let number = row.saturating_add(1);
                    let problem = format!(
                        "{place}prices, row {number} is never reached; an earlier row is always first"
                    );
                    let remedy = "change the order or take it out";
                    return Err(SpecError::bare(&Place::Row(*row), problem, remedy));
                }
                _ => {
                    if let Some(refusing) = self.refusing.get_mut(*row) {
                        *refusing |= used;
                    }
                }
            }
        }
        Ok(Line {
            slot,
            grid,
            cells: cells.into(),
            outcomes: outcomes.into(),
            rounding: None,
        })
    }

    /// Each row that refuses does so somewhere.
    fn check_refusals(&self, spec: &Spec) -> Result<(), SpecError> {
        for (row, refusing) in self.refusing.iter().enumerate() {
            let says = spec.rows.get(row).map(|row| &row.says);
            if !refusing && matches!(says, Some(RowSays::Refuse { .. })) {
                return Err(SpecError::new(
                    &Place::Row(row),
                    "it refuses nothing; an earlier row is always first",
                    "change the order or take it out",
                ));
            }
        }
        Ok(())
    }
}

/// The price that a row has for a line, None inside where it refuses it; None where it is about
/// others.
fn says_of(says: &RowSays, line: &str) -> Option<Option<Credits>> {
    match says {
        RowSays::Prices(prices) => {
            let mut prices = prices.iter();
            prices
                .find(|(key, _)| &**key == line)
                .map(|(_, price)| Some(*price))
        }
        RowSays::Refuse { lines, .. } => {
            let is_about = lines.is_empty() || lines.iter().any(|key| &**key == line);
            is_about.then_some(None)
        }
    }
}

fn no_price(place: &Place, cell: &str) -> SpecError {
    let problem = match cell {
        "" => "it has no price".to_owned(),
        cell => format!("no price where {cell}"),
    };
    SpecError::new(
        place,
        problem,
        "add a row to prices, a price to the line, or a row with refuse = \"why not\"",
    )
}

fn rate(
    line: &LineSpec,
    price: Credits,
    grain: Ratio,
    row: Option<usize>,
    factors: &[(usize, &FactorSpec)],
    place: &Place,
) -> Result<Rate, SpecError> {
    let nanos = Ratio::whole(i128::from(price.nanos()))
        .times(grain)
        .and_then(|nanos| nanos.over(line.per))
        .and_then(|nanos| {
            let mut factors = factors.iter();
            factors.try_fold(nanos, |nanos, (_, factor)| nanos.times(factor.times))
        })
        .filter(|nanos| nanos.denominator() <= DENOMINATOR_MAX);
    let nanos = nanos.ok_or_else(|| {
        SpecError::new(
            place,
            "a price, its per and its factors have too many digits together",
            "use shorter numbers",
        )
    })?;
    Ok(Rate {
        nanos,
        price,
        row,
        factors: factors.iter().map(|(factor, _)| *factor).collect(),
    })
}

/// A line is charged somewhere.
fn check_outcomes(place: &Place, outcomes: &[Outcome]) -> Result<(), SpecError> {
    if outcomes
        .iter()
        .any(|outcome| matches!(outcome, Outcome::Rate(_)))
    {
        return Ok(());
    }
    let refused = outcomes.iter().find_map(|outcome| match outcome {
        Outcome::Refuse(row) => Some(*row),
        _ => None,
    });
    Err(match refused {
        Some(row) => SpecError::new(
            place,
            format!(
                "it is always refused, by prices, row {}",
                row.saturating_add(1)
            ),
            "say which lines that row is about, with lines = [...]",
        ),
        None => SpecError::new(place, "its when never holds", "change it"),
    })
}

/// The unit to which a line's cost is rounded, in billionths.
#[must_use]
pub fn nanos_of(decimals: u32) -> i128 {
    let places = DECIMALS_MAX.saturating_sub(decimals);
    10_i128.checked_pow(places).unwrap_or(NANOS)
}
