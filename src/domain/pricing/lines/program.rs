//! A service's price as it is evaluated: everything is found when the card is loaded, so that
//! pricing looks up, multiplies and divides.

use std::collections::{BTreeMap, HashMap};

use super::grid::{Cuts, Grid, Names, Said, Shape, Test};
use super::inputs::{Index, default_grains};
use super::number::{Number, Quantity};
use super::ratio::Ratio;
use super::sets::each_cell;
use super::spec::{FactorSpec, LineSpec, QuantitySpec, RowSays, Spec};
use super::spec_error::{Place, SpecError};
use crate::domain::amount::{Credits, DECIMALS_MAX, Rounding};
use crate::domain::pricing::index::ByName;

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
    /// The factors that hold, as bits.
    pub factors: u64,
}

impl Line {
    /// A price of so many billionths for a grain in the unit of the card, for `per`.
    #[must_use]
    pub fn price(&self, says: &LineSpec, nanos: Ratio, numbers: &[Number]) -> Ratio {
        let number = self.slot.and_then(|slot| numbers.get(slot));
        let grain = number.map_or(Ratio::ONE, |number| number.grain);
        let price = nanos.over(grain).and_then(|nanos| nanos.times(says.per));
        let price = price.and_then(|nanos| nanos.over(Ratio::whole(NANOS)));
        price.unwrap_or(nanos)
    }
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

/// A row about a line: its position, and the price, None where it refuses the line.
type RowOfLine = (usize, Option<Credits>);

/// All conditions of a service, with their subjects found.
struct Tests {
    cuts: Cuts,
    whens: Vec<Vec<Test>>,
    rows: Vec<Vec<Test>>,
    factors: Vec<Vec<Test>>,
    rows_by_line: Vec<Vec<RowOfLine>>,
    /// Rows that refused some line in some cell.
    refusing: Vec<bool>,
}

impl Tests {
    fn of(spec: &Spec, names: &Names) -> Result<Self, SpecError> {
        let lines = spec.lines.iter().enumerate();
        let whens = lines.map(|(position, line)| {
            names.all_said(&line.when, |_| Place::Line(position, line.key.clone()))
        });
        let rows = spec.rows.iter().enumerate().map(|(position, row)| {
            names.all_said(&row.when, |name| Place::RowWhen(position, name.into()))
        });
        let factors = spec.factors.iter().enumerate().map(|(position, factor)| {
            names.all_said(&factor.when, |name| {
                Place::FactorWhen(position, name.into())
            })
        });
        let whens = whens.collect::<Result<Vec<_>, _>>()?;
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        let factors = factors.collect::<Result<Vec<_>, _>>()?;
        let said = [&whens, &rows, &factors].into_iter().flatten().flatten();
        let cuts = Cuts::of(said, names);
        let tests = |all: &[Vec<Said>]| -> Vec<Vec<Test>> {
            let tests = |said: &Vec<Said>| said.iter().map(|said| cuts.test(said, names)).collect();
            all.iter().map(tests).collect()
        };
        Ok(Self {
            whens: tests(&whens),
            rows: tests(&rows),
            factors: tests(&factors),
            rows_by_line: rows_by_line(spec),
            refusing: vec![false; spec.rows.len()],
            cuts,
        })
    }

    fn line(
        &mut self,
        spec: &Spec,
        position: usize,
        slot: Option<usize>,
        names: &Names,
    ) -> Result<Line, SpecError> {
        let (Some(line), Some(when), Some(rows)) = (
            spec.lines.get(position),
            self.whens.get(position),
            self.rows_by_line.get(position),
        ) else {
            return Err(SpecError::new(
                &Place::Service,
                "it has no such line",
                "report this",
            ));
        };
        let place = Place::Line(position, line.key.clone());
        let row_tests = || rows.iter().filter_map(|(row, _)| self.rows.get(*row));
        let factors: Vec<_> = spec
            .factors
            .iter()
            .zip(&self.factors)
            .enumerate()
            .filter_map(|(at, (factor, tests))| {
                let is_about = factor.is_about(&line.key);
                is_about.then_some((at, factor, tests))
            })
            .collect();
        let factor_tests = || factors.iter().map(|(_, _, tests)| tests.as_slice());
        let all = when.iter().chain(row_tests().flatten());
        let all = all.chain(factor_tests().flatten());
        let shape = Shape::of(all, &self.cuts, names, &place)?;
        let grid = &shape.grid;
        let mut holds = vec![false; grid.size];
        each_cell(&shape, std::iter::once(when.as_slice()), |cell, _| {
            set(&mut holds, cell, true);
        });
        let mut first_rows = vec![None; grid.size];
        each_cell(&shape, row_tests().map(Vec::as_slice), |cell, held| {
            set(&mut first_rows, cell, held.first());
        });
        let mut factors_that_hold = vec![0_u64; grid.size];
        each_cell(&shape, factor_tests(), |cell, held| {
            // There are at most 32.
            set(&mut factors_that_hold, cell, held.word());
        });
        let grain = slot.and_then(|slot| names.numbers.get(slot));
        let grain = grain.map_or(Ratio::ONE, |number| number.grain);
        let mut outcomes: Vec<Outcome> = Vec::new();
        let mut known: ByName<RowAndFactors, u16> = ByName::default();
        let mut cells = Vec::with_capacity(grid.size);
        let mut used = vec![false; rows.len()];
        let by_cell = holds.into_iter().zip(first_rows).zip(factors_that_hold);
        for (cell, ((holds, row_at), factors_that_hold)) in by_cell.enumerate() {
            let row_at = row_at.filter(|_| holds);
            let row = row_at.and_then(|at| rows.get(at));
            if let Some(row) = row_at.and_then(|at| used.get_mut(at)) {
                *row = true;
            }
            let refused = matches!(row, Some((_, None)));
            let factors_that_hold = match holds && !refused {
                true => factors_that_hold,
                false => 0,
            };
            let key = holds.then_some((row_at, factors_that_hold));
            let outcome = match known.get(&key) {
                Some(outcome) => *outcome,
                None => {
                    let outcome = if !holds {
                        Outcome::Skip
                    } else if refused {
                        Outcome::Refuse(row.map_or(0, |(row, _)| *row))
                    } else {
                        let price = row.and_then(|(_, price)| *price).or(line.price);
                        let Some(price) = price else {
                            return Err(no_price(&place, &grid.words(cell, names)));
                        };
                        let that_hold = factors.iter().enumerate();
                        let that_hold =
                            that_hold.filter(|(at, _)| factors_that_hold >> at & 1 == 1);
                        let that_hold = that_hold.map(|(_, (factor, says, _))| (*factor, *says));
                        let row = row.map(|(row, _)| *row);
                        Outcome::Rate(rate(line, price, grain, row, that_hold, &place)?)
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
        for ((row, price), used) in rows.iter().zip(used) {
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
            grid: shape.grid,
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

fn set<T>(list: &mut [T], at: usize, value: T) {
    if let Some(place) = list.get_mut(at) {
        *place = value;
    }
}

/// The rows about each line, in order, by the positions of lines.
fn rows_by_line(spec: &Spec) -> Vec<Vec<RowOfLine>> {
    let lines = spec.lines.iter().enumerate();
    let lines: HashMap<&str, usize> = lines.map(|(at, line)| (&*line.key, at)).collect();
    let mut by_line: Vec<Vec<RowOfLine>> = vec![Vec::new(); spec.lines.len()];
    for (row, says) in spec.rows.iter().enumerate() {
        let mut add = |line: usize, price: Option<Credits>| {
            if let Some(rows) = by_line.get_mut(line)
                && rows.last().is_none_or(|(last, _)| *last != row)
            {
                rows.push((row, price));
            }
        };
        match &says.says {
            RowSays::Prices(prices) => {
                for (key, price) in prices {
                    if let Some(line) = lines.get(&**key) {
                        add(*line, Some(*price));
                    }
                }
            }
            RowSays::Refuse { lines: about, .. } if about.is_empty() => {
                (0..spec.lines.len()).for_each(|line| add(line, None));
            }
            RowSays::Refuse { lines: about, .. } => {
                for key in about {
                    if let Some(line) = lines.get(&**key) {
                        add(*line, None);
                    }
                }
            }
        }
    }
    by_line
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

fn rate<'s>(
    line: &LineSpec,
    price: Credits,
    grain: Ratio,
    row: Option<usize>,
    factors: impl Iterator<Item = (usize, &'s FactorSpec)>,
    place: &Place,
) -> Result<Rate, SpecError> {
    let nanos = Ratio::whole(i128::from(price.nanos()))
        .times(grain)
        .and_then(|nanos| nanos.over(line.per));
    let (mut nanos, mut bits) = (nanos, 0_u64);
    for (at, factor) in factors {
        nanos = nanos.and_then(|nanos| nanos.times(factor.times));
        bits |= 1_u64 << (at % 64);
    }
    let nanos = nanos.filter(|nanos| nanos.denominator() <= DENOMINATOR_MAX);
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
        factors: bits,
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
