//! What stands on a card and changes no cost. It is allowed, since no usage is priced otherwise
//! than the card says, and it may not be meant.

use std::collections::BTreeSet;

use super::grid::{Key, Subject};
use super::program::{Line, Outcome, Program, Rate};
use super::ratio::Ratio;
use super::spec::RowSays;

/// What is paid for by some usage.
struct Paid {
    /// By position of a line: whether its own price is, and that of each row.
    prices: Vec<(bool, Vec<bool>)>,
    /// Factors that apply, as bits.
    factors: u64,
}

impl Paid {
    fn add(&mut self, line: usize, rate: &Rate) {
        self.factors |= rate.factors;
        let Some((own, rows)) = self.prices.get_mut(line) else {
            return;
        };
        let place = rate.row.map_or(Some(own), |row| rows.get_mut(row));
        if let Some(place) = place {
            *place = true;
        }
    }

    fn has(&self, line: usize, row: Option<usize>) -> bool {
        let Some((own, rows)) = self.prices.get(line) else {
            return false;
        };
        row.map_or(*own, |row| rows.get(row).copied().unwrap_or_default())
    }
}

impl Program {
    /// Prices, factors, attributes and meters of the service without an effect, each in words.
    #[must_use]
    pub fn without_effect(&self) -> Vec<String> {
        let mut found = self.names_without_effect();
        let rows = vec![false; self.spec.rows.len()];
        let mut paid = Paid {
            prices: vec![(false, rows); self.lines.len()],
            factors: 0,
        };
        let counted = self.each_combination(|outcomes| {
            let is_sold = !outcomes
                .iter()
                .any(|outcome| matches!(outcome, Outcome::Refuse(_)));
            let rates = outcomes.iter().enumerate().filter(|_| is_sold);
            for (line, outcome) in rates {
                if let Outcome::Rate(rate) = outcome {
                    paid.add(line, rate);
                }
            }
        });
        // Of too many combinations nothing is said.
        if counted.is_ok() {
            found.extend(self.prices_without_effect(&paid));
            found.extend(self.factors_without_effect(&paid));
        }
        found
    }

    fn prices_without_effect(&self, paid: &Paid) -> Vec<String> {
        let mut found = Vec::new();
        for (line, says) in self.spec.lines.iter().enumerate() {
            if says.price.is_some() && !paid.has(line, None) {
                let key = &says.key;
                found.push(format!(
                    "line \"{key}\": no usage pays its own price; rows of prices say another, or what is not sold"
                ));
            }
        }
        for (row, says) in self.spec.rows.iter().enumerate() {
            let RowSays::Prices(prices) = &says.says else {
                continue;
            };
            for (key, _) in prices {
                let mut lines = self.spec.lines.iter();
                let line = lines.position(|line| line.key == *key);
                if line.is_some_and(|line| !paid.has(line, Some(row))) {
                    let number = row.saturating_add(1);
                    found.push(format!(
                        "prices, row {number}: no usage pays its price of \"{key}\"; what it is about is not sold"
                    ));
                }
            }
        }
        found
    }

    fn factors_without_effect(&self, paid: &Paid) -> Vec<String> {
        let factors = self.spec.factors.iter().enumerate();
        let found = factors.filter_map(|(position, factor)| {
            let number = position.saturating_add(1);
            if factor.times == Ratio::ONE {
                return Some(format!("factors, entry {number}: times 1 changes no price"));
            }
            let applies = paid.factors >> (position % 64) & 1 == 1;
            (!applies).then(|| format!("factors, entry {number}: it never applies to what is sold"))
        });
        found.collect()
    }

    /// Attributes and meters that conditions name, where all that they tell apart is the same.
    fn names_without_effect(&self) -> Vec<String> {
        let mut changing: BTreeSet<Subject> = BTreeSet::new();
        for line in &self.lines {
            changing.extend(line.slot.map(Subject::Number));
            let keys = line.grid.keys.iter();
            changing.extend(keys.filter(|key| changes(line, key)).map(|key| key.subject));
        }
        // What a quantity is made of has an effect where the quantity has, or where it could come
        // out below 0; each rests on those before it.
        for (slot, quantity) in self.quantities.iter().rev() {
            let can_disagree = quantity.uses().any(|(_, takes_off)| takes_off);
            if can_disagree || changing.contains(&Subject::Number(*slot)) {
                changing.extend(quantity.uses().map(|(slot, _)| Subject::Number(slot)));
            }
        }
        let has_effect = |subject: Subject| changing.contains(&subject);
        let attributes = self.spec.attributes.keys().enumerate();
        let attributes = attributes.filter(|(at, _)| !has_effect(Subject::Attribute(*at)));
        let attributes = attributes.map(|(_, name)| ("attribute", name));
        let meters = self.spec.meters.keys().filter(|name| {
            let slot = self.named_slots.get(*name);
            slot.is_some_and(|slot| !has_effect(Subject::Number(*slot)))
        });
        let meters = meters.map(|name| ("meter", name));
        let words = attributes.chain(meters).map(|(what, name)| {
            format!("{what} \"{name}\" changes no price: the cost is the same whatever it is")
        });
        words.collect()
    }
}

/// Whether a line costs something else, or is sold or not, by a key.
fn changes(line: &Line, key: &Key) -> bool {
    let outcome = |cell: usize| {
        let outcome = line.cells.get(cell)?;
        line.outcomes.get(usize::from(*outcome))
    };
    let is_other = |cell: usize| {
        let next = cell.saturating_add(key.stride);
        match (outcome(cell), outcome(next)) {
            (Some(Outcome::Rate(one)), Some(Outcome::Rate(other))) => one.nanos != other.nanos,
            (Some(Outcome::Refuse(_)), Some(Outcome::Refuse(_)))
            | (Some(Outcome::Skip), Some(Outcome::Skip)) => false,
            _ => true,
        }
    };
    // All cells but those of the last value or piece.
    let cells = (0..line.grid.size).filter(|cell| {
        let position = cell.checked_div(key.stride).unwrap_or_default();
        let position = position.checked_rem(key.count).unwrap_or_default();
        position.saturating_add(1) < key.count
    });
    cells.into_iter().any(is_other)
}
