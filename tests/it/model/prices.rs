//! The price of a usage: which rate card counts, read from its file, what the account says of
//! it, and what is wrong with the usage. What it costs is said by `rate_card_model`.

use std::collections::BTreeMap;

use creditd::domain::{Credits, Timestamp};
use creditd::rpc::pb::creditd::v1 as pb;
use toml::{Table, Value};

use super::refusal::{FieldViolations, not_found};
use crate::ledger::time::{Nanos, SECOND, length_of, nanos_of};
use crate::rate_card_model::{self, Outcome, Texts};
use crate::support::refusal::Refusal;

/// The largest amount, in billionths of a credit.
pub const MAX: i64 = 9_000_000_000_000_000_000;

/// An attribute that the account has, and its values.
#[derive(Clone)]
struct Attribute {
    name: String,
    values: Vec<String>,
    default: String,
}

/// A service on a card.
struct Row {
    key: String,
    by_time: bool,
    /// Whether a usage has to say how many.
    needs_count: bool,
    /// The most pieces or nanoseconds.
    max: Option<i128>,
    /// By which it is priced, beside the factors of the card.
    attributes: Vec<Attribute>,
}

/// A rate card.
struct Card {
    name: String,
    revision: String,
    from: Option<Nanos>,
    rows: Vec<Row>,
    /// Of its factors.
    attributes: Vec<Attribute>,
    whole: rate_card_model::Card,
    /// The same without the factors of the card and their attributes.
    by_service: rate_card_model::Card,
}

/// All cards; the first one's name is the default.
pub struct Cards(Vec<Card>);

/// What an account says of its prices.
#[derive(Clone, Default)]
pub struct OfAccount {
    /// "" is the default.
    pub rate_card: String,
    pub attributes: Texts,
}

/// A usage and what it costs.
#[derive(Clone)]
pub struct Priced {
    pub usage: pb::Usage,
    pub cost: i64,
    pub rate_card: String,
    pub revision: String,
    /// The attributes of the account that had a part in it.
    pub values: Texts,
    /// The time that the request named.
    pub time: Option<prost_types::Timestamp>,
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
        self.services().contains(&key)
    }

    /// Whether there is a card of that name, in force or not.
    pub fn has_name(&self, name: &str) -> bool {
        self.0.iter().any(|card| card.name == name)
    }

    /// The names of cards with a service.
    pub fn names_with(&self, key: &str) -> Vec<&str> {
        let cards = self.0.iter().filter(|card| card.row(key).is_some());
        cards.map(|card| card.name.as_str()).collect()
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

    /// What can stand behind a revision: for each attribute in order, each of its values as it
    /// is written there.
    pub fn quotable(&self, revision: &str) -> Vec<Vec<String>> {
        let card = self.0.iter().find(|card| card.revision == revision);
        let mut quotable: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for attribute in card.unwrap().all_attributes() {
            let values = attribute.values.iter();
            let written = values.map(|value| written(&attribute.name, value));
            let known = quotable.entry(&attribute.name).or_default();
            known.extend(written);
        }
        quotable.into_values().collect()
    }

    /// What is wrong with attributes that an account is to have, of each bad one: no card has
    /// it, or none such a value of it.
    pub fn wrong_attributes(&self, attributes: &Texts) -> Vec<&'static str> {
        let wrong = attributes.iter().filter_map(|(name, value)| {
            let all = self.0.iter().flat_map(Card::all_attributes);
            let same: Vec<_> = all.filter(|known| known.name == *name).collect();
            match same.iter().any(|known| known.values.contains(value)) {
                true => None,
                false if same.is_empty() => Some("UNKNOWN_ATTRIBUTE"),
                false => Some("UNKNOWN_ATTRIBUTE_VALUE"),
            }
        });
        wrong.collect()
    }

    /// The card that is meant, and the values that the revision names.
    fn select(
        &self,
        prices: &pb::PriceSelector,
        account: &OfAccount,
        now: Nanos,
    ) -> Result<(&Card, Texts), Refusal> {
        if !prices.revision.is_empty() {
            let (revision, quoted) = match prices.revision.split_once('.') {
                Some((revision, quoted)) => (revision, Some(quoted)),
                None => (prices.revision.as_str(), None),
            };
            let mut cards = self.0.iter();
            let named = |card: &&Card| {
                card.revision == revision
                    && (prices.rate_card.is_empty() || prices.rate_card == card.name)
            };
            let found = cards.find(named).and_then(|card| {
                let values = quoted.map_or(Some(Texts::new()), |text| card.quoted(text));
                Some((card, values?))
            });
            return found
                .ok_or_else(|| not_found("REVISION_NOT_FOUND", "revision", &prices.revision));
        }
        let names = [&prices.rate_card, &account.rate_card, &self.0[0].name];
        let name = names.into_iter().find(|name| !name.is_empty()).unwrap();
        let at = prices.price_time.as_ref().map_or(now, nanos_of);
        let in_force = self
            .0
            .iter()
            .filter(|card| card.name == *name && card.from.is_none_or(|from| from <= at));
        in_force
            .max_by_key(|card| card.from)
            .map(|card| (card, Texts::new()))
            .ok_or_else(|| not_found("RATE_CARD_NOT_FOUND", "rate_card", name))
    }

    /// What the usage costs an account by these prices.
    pub fn price(
        &self,
        usage: &pb::Usage,
        prices: &pb::PriceSelector,
        account: &OfAccount,
        now: Nanos,
    ) -> Result<Priced, NoPrice> {
        let (card, quoted) = self.select(prices, account, now).map_err(NoPrice::NoCard)?;
        // What the revision names counts before what the account says.
        let mut given = account.attributes.clone();
        given.extend(quoted);
        let (values, cost) = card.cost(usage, &given).map_err(NoPrice::Fields)?;
        Ok(Priced {
            usage: usage.clone(),
            cost,
            rate_card: card.name.clone(),
            revision: card.revision.clone(),
            values,
            time: prices.price_time,
        })
    }

    /// What the usage costs by the revision and the values of a hold.
    pub fn price_of_hold(
        &self,
        usage: &pb::Usage,
        revision: &str,
        values: &Texts,
        now: Nanos,
    ) -> Result<Priced, NoPrice> {
        let prices = pb::PriceSelector {
            revision: revision.to_owned(),
            ..pb::PriceSelector::default()
        };
        let then = OfAccount {
            rate_card: String::new(),
            attributes: values.clone(),
        };
        self.price(usage, &prices, &then, now)
    }
}

/// The attributes of a table that come from the account.
fn attributes(table: &Value) -> Vec<Attribute> {
    let table = table.get("attributes").and_then(Value::as_table);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let attributes = table.into_iter().flatten().map(|(name, says)| {
        assert_eq!(says["from"].as_str(), Some("account"), "{name}");
        Attribute {
            name: name.clone(),
            values: says["values"]
                .as_array()
                .unwrap()
                .iter()
                .map(text)
                .collect(),
            default: text(&says["default"]),
        }
    });
    attributes.collect()
}

/// An attribute with its value as a revision names it.
fn written(name: &str, value: &str) -> String {
    let stays = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~".contains(&byte);
    let encode = |text: &str| -> String {
        let bytes = text.bytes().map(|byte| match stays(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        });
        bytes.collect()
    };
    format!("{}={}", encode(name), encode(value))
}

impl Row {
    fn read(row: &Value) -> Self {
        let meters = row.get("meters").and_then(Value::as_table);
        let meter = meters.and_then(|meters| meters.iter().next());
        let by_time = match meter {
            Some((name, _)) => name == "duration",
            None => row["meter"].as_str() == Some("duration"),
        };
        let required = row.get("quantity").and_then(Value::as_str) == Some("required");
        let max = meter.map(|(_, says)| {
            let max = says["max"].as_str().unwrap();
            let max: i128 = max.trim_end_matches('s').parse().unwrap();
            if by_time { max * SECOND } else { max }
        });
        Self {
            key: row["key"].as_str().unwrap().to_owned(),
            by_time,
            needs_count: meter.map_or(required, |(_, says)| says.get("default").is_none()),
            max,
            attributes: attributes(row),
        }
    }

    /// What is wrong with a quantity beside what is wrong with it on every card.
    fn quantity(&self, usage: &pb::Usage) -> Option<(&'static str, &'static str)> {
        use pb::usage::Quantity;
        let is_over = |quantity| self.max.is_some_and(|max| quantity > max);
        match (&usage.quantity, self.by_time) {
            (None, true) => Some(("usage.duration", "FIELD_REQUIRED")),
            (None, false) if self.needs_count => Some(("usage.count", "FIELD_REQUIRED")),
            (Some(Quantity::Count(count)), true) if *count > 0 => {
                Some(("usage.count", "WRONG_QUANTITY"))
            }
            (Some(Quantity::Duration(length)), false)
                if length_of(length).is_some_and(|length| length > 0) =>
            {
                Some(("usage.duration", "WRONG_QUANTITY"))
            }
            (Some(Quantity::Count(count)), false) if is_over(i128::from(*count)) => {
                Some(("usage.count", "QUANTITY_TOO_LARGE"))
            }
            (Some(Quantity::Duration(length)), true) if length_of(length).is_some_and(is_over) => {
                Some(("usage.duration", "QUANTITY_TOO_LARGE"))
            }
            _ => None,
        }
    }
}

impl Card {
    fn read(text: &str, revision: &str) -> Self {
        let mut table: Table = text.parse().unwrap();
        let from = table.get("effective_time").map(|time| {
            let time: Timestamp = creditd::rfc3339::parse(&time.to_string()).unwrap();
            Nanos::from(time.seconds()) * SECOND + Nanos::from(time.nanos())
        });
        let whole = rate_card_model::Card::read(text);
        let factors = table.remove("factors");
        let mut of_card = attributes(&Value::Table(table.clone()));
        table.remove("attributes");
        let by_service = rate_card_model::Card::read(&toml::to_string(&table).unwrap());
        let rows = table["service"].as_array().unwrap().iter().map(Row::read);
        let rows: Vec<Row> = rows.collect();
        // Factors can be about attributes that services declare.
        let factors = factors.iter().filter_map(Value::as_array).flatten();
        for (name, _) in factors.filter_map(Value::as_table).flatten() {
            let is_known = of_card.iter().any(|known| known.name == *name);
            let mut of_rows = rows.iter().flat_map(|row| &row.attributes);
            match of_rows.find(|known| known.name == *name) {
                Some(attribute) if !is_known => of_card.push(attribute.clone()),
                _ => {}
            }
        }
        of_card.sort_by(|one, other| one.name.cmp(&other.name));
        Self {
            name: table["name"].as_str().unwrap().to_owned(),
            revision: revision.to_owned(),
            from,
            rows,
            attributes: of_card,
            whole,
            by_service,
        }
    }

    fn row(&self, key: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.key == key)
    }

    fn all_attributes(&self) -> impl Iterator<Item = &Attribute> {
        let of_rows = self.rows.iter().flat_map(|row| &row.attributes);
        of_rows.chain(&self.attributes)
    }

    /// The values that stand behind a revision: each known, in order, and each in its one
    /// spelling.
    fn quoted(&self, text: &str) -> Option<Texts> {
        let mut quoted = Texts::new();
        for pair in text.split(',') {
            let mut known = self.all_attributes().flat_map(|attribute| {
                let values = attribute.values.iter();
                values.map(|value| (&attribute.name, value))
            });
            let (name, value) = known.find(|(name, value)| written(name, value) == pair)?;
            if quoted
                .last_key_value()
                .is_some_and(|(last, _)| last >= name)
            {
                return None;
            }
            quoted.insert(name.clone(), value.clone());
        }
        Some(quoted)
    }

    /// What a usage costs, and the attributes by which it is priced with their values.
    fn cost(&self, usage: &pb::Usage, given: &Texts) -> Result<(Texts, i64), FieldViolations> {
        let mut violations = FieldViolations::default();
        let Some(row) = self.row(&usage.service) else {
            if !usage.service.is_empty() {
                violations.add("usage.service", "UNKNOWN_SERVICE");
            }
            return Err(violations);
        };
        if let Some((field, reason)) = row.quantity(usage) {
            violations.add(field, reason);
        }
        let own = own_violations(usage);
        if !usage.attributes.is_empty() && !own.has("usage.attributes") {
            violations.add("usage.attributes", "UNKNOWN_ATTRIBUTE");
        }
        if !usage.meters.is_empty() && !own.has("usage.meters") {
            violations.add("usage.meters", "UNKNOWN_METER");
        }
        let value = |attribute: &Attribute| {
            let value = given.get(&attribute.name);
            value.unwrap_or(&attribute.default).clone()
        };
        let unknown = |attribute: &&Attribute| !attribute.values.contains(&value(attribute));
        for attribute in row.attributes.iter().filter(unknown) {
            let path = format!("usage.attributes.{}", attribute.name);
            violations.add(&path, "UNKNOWN_ATTRIBUTE_VALUE");
        }
        if !violations.is_empty() || !own.is_empty() {
            return Err(violations);
        }
        let attributes = row.attributes.iter().chain(&self.attributes);
        let values: Texts = attributes
            .map(|attribute| (attribute.name.clone(), value(attribute)))
            .collect();
        credits(&self.by_service, row, usage, &values)?;
        // Then come the factors of the card, with the first value that they do not know.
        if let Some(attribute) = self.attributes.iter().find(unknown) {
            let path = format!("usage.attributes.{}", attribute.name);
            violations.add(&path, "UNKNOWN_ATTRIBUTE_VALUE");
            return Err(violations);
        }
        let cost = credits(&self.whole, row, usage, &values)?;
        Ok((values, cost))
    }
}

/// What a usage costs with which only the cost can be wrong.
fn credits(
    card: &rate_card_model::Card,
    row: &Row,
    usage: &pb::Usage,
    values: &Texts,
) -> Result<i64, FieldViolations> {
    use pb::usage::Quantity;
    let mut asked = rate_card_model::Usage {
        service: usage.service.clone(),
        ..rate_card_model::Usage::default()
    };
    match &usage.quantity {
        None => {}
        Some(Quantity::Count(count)) => asked.count = Some(count.to_string()),
        Some(Quantity::Duration(length)) => {
            asked.duration = Some(format!("{}.{:09}s", length.seconds, length.nanos));
        }
    }
    match card.price(&asked, values) {
        Outcome::Credits { total, .. } => Ok(amount(&total).unwrap()),
        Outcome::Refused(reasons) => {
            assert_eq!(reasons, ["COST_TOO_LARGE"], "{usage:?}");
            let mut violations = FieldViolations::default();
            let field = match row.by_time {
                true => "usage.duration",
                false => "usage.count",
            };
            violations.add(field, "COST_TOO_LARGE");
            Err(violations)
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
