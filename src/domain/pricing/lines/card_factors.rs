//! Factors of a card: they apply to the total of every service, by attributes of the account.

use std::collections::{BTreeMap, HashMap};

use super::grid::{Cuts, Grid, Names, Shape, Test};
use super::inputs::unknown_account_value;
use super::program::{Outcome, Program, nanos_of};
use super::ratio::Ratio;
use super::run::ATTRIBUTES_MAX;
use super::sets::each_cell;
use super::spec::{AttributeSpec, FactorSpec, Spec};
use super::spec_error::{Place, SpecError};
use crate::domain::amount::{Rounded, Rounding};
use crate::domain::pricing::context::PriceContext;
use crate::domain::pricing::index::ByName;
use crate::domain::violation::Violation;

/// The largest numerator and denominator of factors that hold together: a product that then
/// leaves 128 bits is a cost over the largest amount.
const TIMES_MAX: i128 = 1_000_000_000_000_000_000;

/// The factors of a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardFactors {
    /// Attributes of the account by which they are chosen.
    pub attributes: BTreeMap<Box<str>, AttributeSpec>,
    /// The factors, in the order of the card.
    pub factors: Vec<FactorSpec>,
    grid: Grid,
    /// What holds in each cell: a position in `multipliers`.
    cells: Box<[u16]>,
    multipliers: Box<[Multiplier]>,
    /// The values of each attribute, by their words.
    values: Box<[ByName<Box<str>, u16>]>,
}

/// The factors that hold together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multiplier {
    /// By how much a total is multiplied.
    pub times: Ratio,
    /// The factors, by position.
    pub factors: Vec<usize>,
}

impl CardFactors {
    /// Checks and compiles them.
    ///
    /// # Errors
    /// What is wrong, where, and what to do.
    pub fn compile(
        attributes: BTreeMap<Box<str>, AttributeSpec>,
        factors: Vec<FactorSpec>,
    ) -> Result<Self, SpecError> {
        let names = Names::of_attributes(&attributes);
        let said = factors.iter().enumerate().map(|(position, factor)| {
            names.all_said(&factor.when, |name| {
                Place::FactorWhen(position, name.into())
            })
        });
        let said = said.collect::<Result<Vec<_>, _>>()?;
        let cuts = Cuts::of(said.iter().flatten(), &names);
        let tests = said.iter().map(|said| {
            let tests = said.iter().map(|said| cuts.test(said, &names));
            tests.collect()
        });
        let tests: Vec<Vec<Test>> = tests.collect();
        let shape = Shape::of(tests.iter().flatten(), &cuts, &names, &Place::Factor(0))?;
        let mut holding = vec![0_u64; shape.grid.size];
        each_cell(&shape, tests.iter().map(Vec::as_slice), |cell, matches| {
            if let Some(hold) = holding.get_mut(cell) {
                // There are at most 32 of a card, and of those that it extends.
                *hold = matches.word();
            }
        });
        let mut known: HashMap<u64, u16> = HashMap::new();
        let mut multipliers = Vec::new();
        let mut cells = Vec::with_capacity(shape.grid.size);
        for hold in holding {
            let at = match known.get(&hold) {
                Some(at) => *at,
                None => {
                    let at = u16::try_from(multipliers.len()).unwrap_or(u16::MAX);
                    multipliers.push(multiplier(&factors, hold)?);
                    known.insert(hold, at);
                    at
                }
            };
            cells.push(at);
        }
        let values = attributes.values().map(|attribute| {
            let values = attribute.values.iter().cloned();
            values.zip(0_u16..).collect()
        });
        Ok(Self {
            values: values.collect(),
            attributes,
            factors,
            grid: shape.grid,
            cells: cells.into(),
            multipliers: multipliers.into(),
        })
    }

    /// The factors that hold for an account.
    ///
    /// # Errors
    /// The name of an attribute, and that the account has a value of it that the card does not
    /// list.
    pub fn multiplier(
        &self,
        service: &str,
        context: &PriceContext<'_>,
    ) -> Result<&Multiplier, (&str, Violation)> {
        let mut positions = [0_u16; ATTRIBUTES_MAX];
        let values = self.values.iter().zip(&mut positions);
        for ((name, spec), (values, place)) in self.attributes.iter().zip(values) {
            let word = context.value(name, spec).unwrap_or_default();
            let value = values.get(word);
            let unknown = || (&**name, unknown_account_value(name, word, spec, service));
            *place = *value.ok_or_else(unknown)?;
        }
        let cell = self.grid.cell(&[], &positions);
        let cell = cell.and_then(|cell| self.cells.get(cell));
        let multiplier = cell.and_then(|at| self.multipliers.get(usize::from(*at)));
        Ok(multiplier.unwrap_or(&NOTHING))
    }

    /// Whether a total that is a multiple of so many billionths can get more than 9 decimals.
    #[must_use]
    pub fn can_round(&self, unit: i128) -> bool {
        let mut all = self.multipliers.iter();
        !all.all(|multiplier| {
            let total = multiplier.times.times(Ratio::whole(unit));
            total.is_some_and(Ratio::is_whole)
        })
    }

    /// What they do to a total, in words: "times 0.8 (contract)".
    #[must_use]
    pub fn words(&self, multiplier: &Multiplier) -> String {
        let factors = multiplier.factors.iter();
        let factors = factors.filter_map(|at| self.factors.get(*at));
        let words: Vec<String> = factors.map(factor_words).collect();
        words.join(", ")
    }
}

/// No factor holds.
static NOTHING: Multiplier = Multiplier {
    times: Ratio::ONE,
    factors: Vec::new(),
};

/// "times 0.8 (contract)".
#[must_use]
pub fn factor_words(factor: &FactorSpec) -> String {
    match &factor.title {
        Some(title) => format!("times {} ({title})", factor.times),
        None => format!("times {}", factor.times),
    }
}

/// The product of the factors whose bits are set.
fn multiplier(factors: &[FactorSpec], hold: u64) -> Result<Multiplier, SpecError> {
    let holding = factors.iter().enumerate();
    let holding = holding.filter(|(at, _)| hold >> (at % 64) & 1 == 1);
    let mut times = Some(Ratio::ONE);
    let mut positions = Vec::new();
    for (position, factor) in holding {
        positions.push(position);
        times = times.and_then(|times| times.times(factor.times));
        times = times
            .filter(|times| times.numerator() <= TIMES_MAX && times.denominator() <= TIMES_MAX);
    }
    let times = times.ok_or_else(|| {
        let last = positions.last().copied().unwrap_or_default();
        let problem = "the factors that hold together have too many digits";
        SpecError::new(&Place::Factor(last), problem, "use shorter numbers")
    })?;
    Ok(Multiplier {
        times,
        factors: positions,
    })
}

/// Billionths of which every total of a service is a multiple.
#[must_use]
pub fn unit_of_totals(program: &Program) -> i128 {
    let spec = &program.spec;
    if let Some((decimals, _)) = spec.total.decimals {
        return nanos_of(decimals);
    }
    let lines = spec.lines.iter().zip(&program.lines);
    let lines = lines.map(|(says, line)| {
        let credits_each = spec.exchange.as_ref();
        let credits_each = credits_each.map_or(Ratio::ONE, |exchange| exchange.credits);
        if line.rounding.is_some() || spec.exchange.as_ref().is_some_and(|e| e.decimals.is_some()) {
            return match (says.decimals, &spec.exchange) {
                (Some(decimals), None) => nanos_of(decimals),
                _ => 1,
            };
        }
        let rates = line.outcomes.iter().filter_map(|outcome| match outcome {
            Outcome::Rate(rate) => Some(rate.nanos),
            Outcome::Skip | Outcome::Refuse(_) => None,
        });
        let limits = [says.price_min, says.price_max].into_iter().flatten();
        let limits = limits.map(|limit| Ratio::whole(i128::from(limit.nanos())));
        let amounts = rates.chain(limits).map(|nanos| {
            let nanos = nanos.times(credits_each).filter(|nanos| nanos.is_whole());
            nanos.map_or(1, Ratio::numerator)
        });
        amounts.fold(0, common_divisor)
    });
    let limits = [spec.total.min, spec.total.max].into_iter().flatten();
    let limits = limits.map(|limit| i128::from(limit.nanos()));
    lines.chain(limits).fold(0, common_divisor)
}

/// The largest number that divides both; 0 is divided by all.
fn common_divisor(mut a: i128, mut b: i128) -> i128 {
    while b != 0 {
        (a, b) = (b, a.checked_rem(b).unwrap_or_default());
    }
    a.saturating_abs()
}

/// The direction in which all lines of a service are rounded that are, where it is one.
#[must_use]
pub fn common_rounding(spec: &Spec) -> Option<Rounding> {
    let mut roundings = spec.lines.iter().filter_map(|line| line.rounding);
    let first = roundings.next()?;
    roundings.all(|other| other == first).then_some(first)
}

/// A total after the factors that hold.
#[derive(Clone, Copy, Debug)]
pub struct Multiplied<'card> {
    /// What was multiplied.
    pub before: Rounded,
    /// All factors of the card.
    pub factors: &'card CardFactors,
    /// Those that hold.
    pub multiplier: &'card Multiplier,
}
