//! What the prices of a service amount to: how many combinations of attribute values and ranges
//! it tells apart, and between which figures its prices lie.

use std::collections::{BTreeMap, BTreeSet};

use super::grid::{Names, Subject};
use super::program::{Line, Outcome, Program};
use super::ratio::Ratio;
use super::spec::LineSpec;

/// Most combinations of a service that are counted one by one.
const COMBINATIONS_MAX: usize = 1_048_576;
/// Billionths in a credit.
const NANOS: Ratio = Ratio::whole(1_000_000_000);

/// A service at a glance. Prices are in the unit of the card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// How many combinations its lines tell apart together.
    pub combinations: usize,
    /// In how many of them it is not sold; None where they are too many to be counted.
    pub refused: Option<usize>,
    /// The smallest and the largest price of a usage, where no line has a quantity and the sum
    /// is what is paid.
    pub prices: Option<(Ratio, Ratio)>,
    /// Its lines, in the order of the card.
    pub lines: Vec<LineSurvey>,
}

/// A line at a glance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineSurvey {
    /// What it is called for people.
    pub title: String,
    /// How many combinations its price tells apart.
    pub combinations: usize,
    /// In how many of them it is not sold.
    pub refused: usize,
    /// In how many of them it is left out.
    pub left_out: usize,
    /// The smallest and the largest price, with factors, for `per`.
    pub prices: (Ratio, Ratio),
    /// For how much the price is, "15 s"; None: for a usage.
    pub per: Option<String>,
    /// In how many combinations it costs nothing, and the first of them in words.
    pub free: Option<(usize, String)>,
}

impl Program {
    /// The service at a glance.
    #[must_use]
    pub fn survey(&self) -> Survey {
        let lines = self.lines.iter().zip(&self.spec.lines);
        let lines: Vec<_> = lines
            .map(|(line, says)| self.line_survey(line, says))
            .collect();
        let (combinations, refused, prices) = self.together();
        Survey {
            combinations,
            refused,
            prices,
            lines,
        }
    }

    fn line_survey(&self, line: &Line, says: &LineSpec) -> LineSurvey {
        let number = line.slot.and_then(|slot| self.numbers.get(slot));
        let of_outcome: Vec<Option<Ratio>> = line
            .outcomes
            .iter()
            .map(|outcome| match outcome {
                Outcome::Rate(rate) => Some(line.price(says, rate.nanos, &self.numbers)),
                Outcome::Skip | Outcome::Refuse(_) => None,
            })
            .collect();
        let outcome_of = |cell: &u16| line.outcomes.get(usize::from(*cell));
        let count = |is: fn(&Outcome) -> bool| {
            let cells = line.cells.iter().filter_map(outcome_of);
            cells.filter(|outcome| is(outcome)).count()
        };
        let is_free =
            |outcome: &Outcome| matches!(outcome, Outcome::Rate(rate) if rate.nanos == Ratio::ZERO);
        let free = line
            .cells
            .iter()
            .position(|cell| outcome_of(cell).is_some_and(is_free));
        let free = free.map(|cell| {
            let cells = line.cells.iter().filter_map(outcome_of);
            let free = cells.filter(|outcome| is_free(outcome)).count();
            (free, line.grid.words(cell, &self.names()))
        });
        let prices = of_outcome.into_iter().flatten();
        LineSurvey {
            title: says.title(),
            combinations: line.grid.size,
            refused: count(|outcome| matches!(outcome, Outcome::Refuse(_))),
            left_out: count(|outcome| matches!(outcome, Outcome::Skip)),
            prices: ends(prices).unwrap_or((Ratio::ZERO, Ratio::ZERO)),
            per: number.map(|number| super::number::with_unit(says.per, &number.unit)),
            free,
        }
    }

    fn names(&self) -> Names {
        Names {
            slots: self.named_slots.clone(),
            numbers: self.numbers.to_vec(),
            ..Names::of_attributes(&self.spec.attributes)
        }
    }

    /// The combinations that all lines tell apart together, how many are refused, and between
    /// which sums they lie.
    fn together(&self) -> (usize, Option<usize>, Option<(Ratio, Ratio)>) {
        let sums_up = self.is_plain_sum();
        let (mut refused, mut sums) = (0_usize, Vec::new());
        let counted = self.each_combination(|outcomes| {
            let sum = outcomes
                .iter()
                .try_fold(Ratio::ZERO, |sum, outcome| match outcome {
                    Outcome::Skip => Some(sum),
                    Outcome::Refuse(_) => None,
                    Outcome::Rate(rate) => sum.plus(rate.nanos),
                });
            match sum {
                None => refused = refused.saturating_add(1),
                Some(sum) if sums_up => sums.extend(sum.over(NANOS)),
                Some(_) => {}
            }
        });
        match counted {
            Ok(size) => (size, Some(refused), ends(sums.into_iter())),
            Err(size) => (size, None, None),
        }
    }

    /// Calls with what holds for each line, in their order, of each combination that all lines
    /// tell apart together, and says how many there are.
    ///
    /// # Errors
    /// How many there are, where they are too many to be looked at one by one.
    pub fn each_combination(&self, mut see: impl FnMut(&[&Outcome])) -> Result<usize, usize> {
        let keys = self.keys();
        let sizes = keys.iter().map(|(_, firsts)| firsts.len());
        let size = sizes.fold(1_usize, usize::saturating_mul);
        if size > COMBINATIONS_MAX {
            return Err(size);
        }
        let mut slots = vec![0_i128; self.numbers.len()];
        let mut attributes = vec![0_u16; self.spec.attributes.len()];
        let mut outcomes = Vec::with_capacity(self.lines.len());
        for combination in 0..size {
            let mut rest = combination;
            for (subject, firsts) in &keys {
                let count = firsts.len().max(1);
                let first = firsts.get(rest.checked_rem(count).unwrap_or_default());
                let first = first.copied().unwrap_or_default();
                rest = rest.checked_div(count).unwrap_or_default();
                match subject {
                    Subject::Number(slot) => {
                        if let Some(slot) = slots.get_mut(*slot) {
                            *slot = first;
                        }
                    }
                    Subject::Attribute(position) => {
                        if let Some(attribute) = attributes.get_mut(*position) {
                            *attribute = u16::try_from(first).unwrap_or_default();
                        }
                    }
                }
            }
            outcomes.clear();
            outcomes.extend(self.lines.iter().filter_map(|line| {
                let cell = line.grid.cell(&slots, &attributes)?;
                let outcome = line.cells.get(cell)?;
                line.outcomes.get(usize::from(*outcome))
            }));
            see(&outcomes);
        }
        Ok(size)
    }

    /// What the lines look at, with the first number of each piece, or each value's position.
    fn keys(&self) -> Vec<(Subject, Vec<i128>)> {
        let mut breaks: BTreeMap<Subject, BTreeSet<i128>> = BTreeMap::new();
        for key in self.lines.iter().flat_map(|line| line.grid.keys.iter()) {
            let firsts = breaks.entry(key.subject).or_default();
            match key.subject {
                Subject::Attribute(_) => {
                    firsts.extend((0..key.count).filter_map(|at| i128::try_from(at).ok()));
                }
                Subject::Number(slot) => {
                    firsts.extend(self.numbers.get(slot).map(|number| number.first));
                    firsts.extend(key.breaks.iter().copied());
                }
            }
        }
        let keys = breaks.into_iter();
        keys.map(|(subject, firsts)| (subject, firsts.into_iter().collect()))
            .collect()
    }

    /// Whether a usage costs the sum of its lines' prices, whatever its meters say.
    fn is_plain_sum(&self) -> bool {
        let of_lines = self.lines.iter().zip(&self.spec.lines).all(|(line, says)| {
            line.slot.is_none()
                && line.rounding.is_none()
                && says.price_min.is_none()
                && says.price_max.is_none()
                && says.decimals.is_none()
        });
        let total = &self.spec.total;
        let of_total = total.min.is_none() && total.max.is_none() && total.decimals.is_none();
        of_lines && of_total && self.spec.exchange.is_none()
    }
}

/// The smallest and the largest.
fn ends(numbers: impl Iterator<Item = Ratio>) -> Option<(Ratio, Ratio)> {
    numbers.fold(None, |ends, number| match ends {
        None => Some((number, number)),
        Some((smallest, largest)) => Some((smallest.min(number), largest.max(number))),
    })
}
