//! Prices a usage. The steps are those of "How a usage is priced" in the design.

use std::collections::BTreeMap;

use num_traits::{One, Zero};
use toml::Value;

use super::card::{
    Card, decimals, fields, is_about, is_in_range, is_one_of, list, names, number, rounding, text,
};
use super::number::{Number, plain, to_decimals, to_multiple, whole};
use super::usage::{Reasons, own_faults, read_attributes, read_meters};
use super::{Outcome, Texts, Usage, formula};

/// The largest cost.
const COST_MAX: i64 = 9_000_000_000;
/// Decimals of an amount.
const DECIMALS: u32 = 9;

/// Credits of lines, by key.
type Lines = Vec<(String, Number)>;

impl Card {
    /// What the usage costs. `given` has the values of attributes that come from the account or
    /// the clock; one that is not there has its default.
    #[must_use]
    pub fn price(&self, usage: &Usage, given: &Texts) -> Outcome {
        match self.lines_with_total(usage, given) {
            Ok(lines) => Outcome::Credits {
                total: plain(&sum(&lines)),
                lines: lines
                    .into_iter()
                    .map(|(key, credits)| (key, plain(&credits)))
                    .collect(),
            },
            Err(reasons) => Outcome::Refused(reasons.into_iter().map(str::to_owned).collect()),
        }
    }

    /// All lines; they sum to the cost.
    fn lines_with_total(&self, usage: &Usage, given: &Texts) -> Result<Lines, Reasons> {
        let mut reasons = own_faults(usage);
        let mut services = list(&self.card, "service");
        let Some(service) = services.find(|service| text(service, "key") == Some(&usage.service))
        else {
            if !usage.service.is_empty() {
                reasons.insert("UNKNOWN_SERVICE");
            }
            return Err(reasons);
        };
        // Steps 1 and 2.
        let facts = Facts {
            card: &self.card,
            service,
            meters: read_meters(usage, service, &mut reasons),
            attributes: read_attributes(usage, given, service, &mut reasons),
        };
        if !reasons.is_empty() {
            return Err(reasons);
        }
        let mut lines = match service.get("lines") {
            Some(_) => facts.lines()?,
            None => vec![(String::new(), facts.one_price())],
        };
        // The account's values for attributes of the card are looked at last.
        for (name, attribute) in names(&self.card, "attributes") {
            let values = attribute.get("values").expect("it has values");
            if given
                .get(name)
                .is_some_and(|value| !is_one_of(value, values))
            {
                return Err(Reasons::from(["UNKNOWN_ATTRIBUTE_VALUE"]));
            }
        }
        let sum = sum(&lines);
        let total = facts.total(&sum, given);
        // Step 8.
        if total > whole(COST_MAX) {
            return Err(Reasons::from(["COST_TOO_LARGE"]));
        }
        if total != sum {
            lines.push(("total".to_owned(), total - sum));
        }
        Ok(lines)
    }
}

fn sum(lines: &Lines) -> Number {
    lines
        .iter()
        .fold(Number::zero(), |sum, (_, credits)| sum + credits)
}

/// Where the value is more than nothing: at least the one and at most the other field.
fn clamped(value: Number, table: &Value, at_least: &str, at_most: &str) -> Number {
    if value.is_zero() {
        return value;
    }
    let value = match number(table, at_least) {
        Some(min) => value.max(min),
        None => value,
    };
    match number(table, at_most) {
        Some(max) => value.min(max),
        None => value,
    }
}

/// Rounds to the `decimals` of a table, where it has any.
fn rounded(value: Number, table: &Value, rounding: Option<&str>) -> Number {
    match decimals(table) {
        Some(decimals) => to_decimals(&value, decimals, rounding),
        None => value,
    }
}

/// The service of a usage, and the usage's meters and attributes.
struct Facts<'a> {
    card: &'a Value,
    service: &'a Value,
    meters: BTreeMap<String, Number>,
    attributes: Texts,
}

impl Facts<'_> {
    /// The price of a service of format 1.
    fn one_price(&self) -> Number {
        let price = self
            .service
            .get("price")
            .expect("a service has lines or a price");
        let meter = text(self.service, "meter").expect("a service with a price has a meter");
        let quantity = &self.meters[meter];
        let blocks = match (text(price, "model"), number(price, "per")) {
            (Some("per_piece"), None) => quantity.clone(),
            (Some("started_block"), Some(per)) => (quantity / per).ceil(),
            (Some("pro_rata"), Some(per)) => quantity / per,
            _ => panic!("{price} is no price"),
        };
        let credits = number(price, "credits").expect("a price has credits");
        to_decimals(&(blocks * credits), DECIMALS, rounding(&[price]))
    }

    /// Steps 3 to 6: the lines of a service that has some.
    fn lines(&self) -> Result<Lines, Reasons> {
        let named = names(self.service, "quantities").map(|(_, quantity)| quantity);
        let unnamed = list(self.service, "lines").filter_map(|line| line.get("quantity"));
        for quantity in named.chain(unnamed) {
            self.billed(quantity)?;
        }
        let mut lines = Vec::new();
        for line in list(self.service, "lines") {
            let key = text(line, "key").expect("a line has a key");
            if let Some(cost) = self.line_cost(line, key)? {
                lines.push((key.to_owned(), self.in_credits(line, cost)));
            }
        }
        Ok(lines)
    }

    /// Step 3: a quantity as it is billed.
    fn billed(&self, quantity: &Value) -> Result<Number, Reasons> {
        let formula = quantity.as_str().or_else(|| text(quantity, "of"));
        let formula = formula.expect("a quantity has a formula");
        let mut value = formula::evaluate(formula, &|name| self.number(name))?;
        if value < Number::zero() {
            return Err(Reasons::from(["METERS_DISAGREE"]));
        }
        value = clamped(value, quantity, "at_least", "up_to");
        if let Some(above) = number(quantity, "above") {
            value = (value - above).max(Number::zero());
        }
        match (number(quantity, "step"), rounding(&[quantity])) {
            (Some(step), Some(rounding)) if !value.is_zero() => {
                Ok(to_multiple(&value, &step, rounding))
            }
            _ => Ok(value),
        }
    }

    /// A meter as it was sent, or a named quantity as it is billed.
    fn number(&self, name: &str) -> Result<Number, Reasons> {
        let quantity = self.service.get("quantities").and_then(|all| all.get(name));
        match (self.meters.get(name), quantity) {
            (Some(value), _) => Ok(value.clone()),
            (None, Some(quantity)) => self.billed(quantity),
            (None, None) => panic!("{name:?} is no meter and no quantity"),
        }
    }

    /// Whether the attribute, meter or quantity of that name is what the condition says.
    fn holds(&self, name: &str, condition: &Value) -> Result<bool, Reasons> {
        match self.attributes.get(name) {
            Some(value) => Ok(is_one_of(value, condition)),
            None => Ok(is_in_range(&self.number(name)?, condition)),
        }
    }

    /// Whether all conditions of a `when`, a row or a factor hold. A field is a condition if an
    /// attribute, a meter or a quantity has its name.
    fn all_hold(&self, table: &Value) -> Result<bool, Reasons> {
        let quantities = self.service.get("quantities");
        for (name, condition) in fields(table) {
            let is_condition = self.attributes.contains_key(name)
                || self.meters.contains_key(name)
                || quantities.is_some_and(|all| all.get(name).is_some());
            if is_condition && !self.holds(name, condition)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Steps 4 and 5: the exact cost of a line, or None where the line is left out.
    fn line_cost(&self, line: &Value, key: &str) -> Result<Option<Number>, Reasons> {
        if let Some(when) = line.get("when")
            && !self.all_hold(when)?
        {
            return Ok(None);
        }
        let price = self.unit_price(line, key)?;
        let quantity = match line.get("quantity") {
            Some(quantity) => self.billed(quantity)?,
            None => Number::one(),
        };
        if quantity.is_zero() {
            return Ok(None);
        }
        let per = number(line, "per").unwrap_or_else(Number::one);
        let mut cost = price * quantity / per;
        for factor in list(self.service, "factors") {
            if is_about(factor, key) && self.all_hold(factor)? {
                cost *= number(factor, "times").expect("a factor has times");
            }
        }
        Ok(Some(clamped(cost, line, "price_min", "price_max")))
    }

    /// The price in the first row that fits and names the line, or else the line's own.
    fn unit_price(&self, line: &Value, key: &str) -> Result<Number, Reasons> {
        for row in list(self.service, "prices") {
            let refuses = row.get("refuse").is_some() && is_about(row, key);
            let price = number(row, key);
            if (refuses || price.is_some()) && self.all_hold(row)? {
                return price.ok_or_else(|| Reasons::from(["NOT_OFFERED"]));
            }
        }
        Ok(number(line, "price").expect("a line has a price wherever no row fits"))
    }

    /// Step 6: the cost of a line in credits, of at most 9 decimals.
    fn in_credits(&self, line: &Value, cost: Number) -> Number {
        let direction = rounding(&[line, self.service, self.card]);
        let mut credits = rounded(cost, line, direction);
        if let Some(exchange) = self.card.get("exchange") {
            credits = rounded(credits, exchange, rounding(&[exchange, self.card]));
            credits *= number(exchange, "credits").expect("an exchange has credits");
        }
        to_decimals(&credits, DECIMALS, direction)
    }

    /// Step 7: the total of lines that come to `sum`, and then the factors of the card.
    fn total(&self, sum: &Number, given: &Texts) -> Number {
        let mut total = sum.clone();
        if let Some(rule) = self.service.get("total") {
            total = clamped(total, rule, "min", "max");
            total = rounded(total, rule, rounding(&[rule, self.service, self.card]));
        }
        for factor in list(self.card, "factors") {
            if self.all_given(factor, given) {
                total *= number(factor, "times").expect("a factor has times");
            }
        }
        let nearest = self.service.get("price").unwrap_or(self.service);
        to_decimals(
            &total,
            DECIMALS,
            rounding(&[nearest, self.service, self.card]),
        )
    }

    /// Whether all conditions of a factor of the card hold, on values of the account or the
    /// clock. One that is not given is the service's attribute of that name, or fails.
    fn all_given(&self, factor: &Value, given: &Texts) -> bool {
        let words = ["times", "title"];
        let mut conditions = fields(factor).filter(|(name, _)| !words.contains(name));
        conditions.all(|(name, values)| {
            let value = given.get(name).or(self.attributes.get(name));
            value.is_some_and(|value| is_one_of(value, values))
        })
    }
}
