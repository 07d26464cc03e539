//! The price of a usage: rate cards, read from their files, with a price a piece or a started
//! block.

use creditd::domain::{Credits, Timestamp};
use creditd::rpc::pb::creditd::v1 as pb;

use super::refusal::{FieldViolations, not_found};
use crate::ledger::time::{Nanos, SECOND, length_of, nanos_of};
use crate::support::refusal::Refusal;

/// The largest amount, in billionths of a credit.
pub const MAX: i64 = 9_000_000_000_000_000_000;

/// A service on a card.
struct Row {
    key: String,
    by_time: bool,
    /// Whether a usage has to say how many.
    needs_count: bool,
    credits: i64,
    /// Pieces or nanoseconds in a block.
    block: i128,
}

/// A rate card.
struct Card {
    name: String,
    revision: String,
    from: Option<Nanos>,
    rows: Vec<Row>,
}

/// All cards; the first one's name is the default.
pub struct Cards(Vec<Card>);

/// A usage and what it costs.
#[derive(Clone)]
pub struct Priced {
    pub usage: pb::Usage,
    pub cost: i64,
    pub rate_card: String,
    pub revision: String,
}

/// Why there is no price.
pub enum NoPrice {
    /// Fields of the usage are bad.
    Fields(FieldViolations),
    /// There are no such prices.
    NoCard(Refusal),
}

impl Cards {
    /// The cards of these files, each with its revision.
    pub fn new(files: &[(String, String)]) -> Self {
        let card = |(text, revision): &(String, String)| Card::read(text, revision);
        Self(files.iter().map(card).collect())
    }

    /// Whether some card has the service.
    pub fn has_service(&self, key: &str) -> bool {
        let mut rows = self.0.iter().flat_map(|card| &card.rows);
        rows.any(|row| row.key == key)
    }

    /// Whether there is a card of that name, in force or not.
    pub fn has_name(&self, name: &str) -> bool {
        self.0.iter().any(|card| card.name == name)
    }

    /// The keys of all services, each once.
    pub fn services(&self) -> Vec<&str> {
        let rows = self.0.iter().flat_map(|card| &card.rows);
        let mut keys: Vec<&str> = rows.map(|row| row.key.as_str()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Whether a service is measured by time.
    pub fn by_time(&self, key: &str) -> bool {
        let mut rows = self.0.iter().flat_map(|card| &card.rows);
        rows.any(|row| row.key == key && row.by_time)
    }

    /// Names and revisions.
    pub fn revisions(&self) -> Vec<(&str, &str)> {
        let names = self.0.iter().map(|card| (&*card.name, &*card.revision));
        names.collect()
    }

    fn select(&self, prices: &pb::PriceSelector, now: Nanos) -> Result<&Card, Refusal> {
        if !prices.revision.is_empty() {
            let mut cards = self.0.iter();
            let named = |card: &&Card| {
                card.revision == prices.revision
                    && (prices.rate_card.is_empty() || prices.rate_card == card.name)
            };
            return cards
                .find(named)
                .ok_or_else(|| not_found("REVISION_NOT_FOUND", "revision", &prices.revision));
        }
        let name = match prices.rate_card.as_str() {
            "" => &self.0[0].name,
            name => name,
        };
        let at = prices.price_time.as_ref().map_or(now, nanos_of);
        let in_force = self
            .0
            .iter()
            .filter(|card| card.name == name && card.from.is_none_or(|from| from <= at));
        in_force
            .max_by_key(|card| card.from)
            .ok_or_else(|| not_found("RATE_CARD_NOT_FOUND", "rate_card", name))
    }

    /// What the usage costs by these prices.
    pub fn price(
        &self,
        usage: &pb::Usage,
        prices: &pb::PriceSelector,
        now: Nanos,
    ) -> Result<Priced, NoPrice> {
        let card = self.select(prices, now).map_err(NoPrice::NoCard)?;
        let cost = card.cost(usage).map_err(NoPrice::Fields)?;
        Ok(Priced {
            usage: usage.clone(),
            cost,
            rate_card: card.name.clone(),
            revision: card.revision.clone(),
        })
    }
}

impl Card {
    fn read(text: &str, revision: &str) -> Self {
        let table: toml::Table = text.parse().unwrap();
        let from = table.get("effective_time").map(|time| {
            let time: Timestamp = creditd::rfc3339::parse(&time.to_string()).unwrap();
            Nanos::from(time.seconds()) * SECOND + Nanos::from(time.nanos())
        });
        let rows = table["service"].as_array().unwrap().iter().map(|row| {
            let by_time = row["meter"].as_str() == Some("duration");
            let price = &row["price"];
            let per = price.get("per").map_or("1", |per| per.as_str().unwrap());
            let number: i128 = per.trim_end_matches('s').parse().unwrap();
            Row {
                key: row["key"].as_str().unwrap().to_owned(),
                by_time,
                needs_count: row
                    .get("quantity")
                    .is_some_and(|q| q.as_str() == Some("required")),
                credits: amount(price["credits"].as_str().unwrap()).unwrap(),
                block: if by_time { number * SECOND } else { number },
            }
        });
        Self {
            name: table["name"].as_str().unwrap().to_owned(),
            revision: revision.to_owned(),
            from,
            rows: rows.collect(),
        }
    }

    fn cost(&self, usage: &pb::Usage) -> Result<i64, FieldViolations> {
        use pb::usage::Quantity;
        let mut violations = FieldViolations::default();
        let Some(row) = self.rows.iter().find(|row| row.key == usage.service) else {
            if !usage.service.is_empty() {
                violations.add("usage.service", "UNKNOWN_SERVICE");
            }
            return Err(violations);
        };
        let quantity = match (&usage.quantity, row.by_time) {
            (None, false) if !row.needs_count => 1,
            (None, false) => {
                violations.add("usage.count", "FIELD_REQUIRED");
                0
            }
            (Some(Quantity::Count(count)), false) => i128::from(*count),
            (Some(Quantity::Duration(length)), true) => length_of(length).unwrap_or_default(),
            (None, true) => {
                violations.add("usage.duration", "FIELD_REQUIRED");
                0
            }
            (Some(Quantity::Count(count)), true) => {
                if *count > 0 {
                    violations.add("usage.count", "WRONG_QUANTITY");
                }
                0
            }
            (Some(Quantity::Duration(length)), false) => {
                if length_of(length).is_some_and(|length| length > 0) {
                    violations.add("usage.duration", "WRONG_QUANTITY");
                }
                0
            }
        };
        let own = own_violations(usage);
        if !usage.attributes.is_empty() && !own.has("usage.attributes") {
            violations.add("usage.attributes", "UNKNOWN_ATTRIBUTE");
        }
        if !usage.meters.is_empty() && !own.has("usage.meters") {
            violations.add("usage.meters", "UNKNOWN_METER");
        }
        if !violations.is_empty() || !own.is_empty() {
            return Err(violations);
        }
        let blocks = (quantity + row.block - 1) / row.block;
        let cost = blocks * i128::from(row.credits);
        match i64::try_from(cost) {
            Ok(cost) if cost <= MAX => Ok(cost),
            _ => {
                let field = if row.by_time {
                    "usage.duration"
                } else {
                    "usage.count"
                };
                violations.add(field, "COST_TOO_LARGE");
                Err(violations)
            }
        }
    }
}

/// What is wrong with a usage whatever the prices are.
pub fn own_violations(usage: &pb::Usage) -> FieldViolations {
    use pb::usage::Quantity;
    let mut violations = FieldViolations::default();
    if usage.service.is_empty() {
        violations.add("usage.service", "FIELD_REQUIRED");
    }
    match &usage.quantity {
        Some(Quantity::Count(count)) if *count <= 0 => {
            violations.add("usage.count", "INVALID_QUANTITY");
        }
        Some(Quantity::Duration(length)) if length_of(length).is_none_or(|length| length <= 0) => {
            violations.add("usage.duration", "INVALID_QUANTITY");
        }
        _ => {}
    }
    violations.pairs("usage.attributes", &usage.attributes);
    violations.pairs("usage.meters", &usage.meters);
    violations
}

/// Billionths of a credit.
pub fn amount(text: &str) -> Option<i64> {
    Credits::parse(text).ok().map(Credits::nanos)
}

/// An amount as the API writes it.
pub fn text(nanos: i64) -> String {
    Credits::from_nanos(nanos).unwrap().to_string()
}
