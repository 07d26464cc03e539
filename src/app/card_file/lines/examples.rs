//! The examples of a service: usages and what they cost, checked when the card is loaded.

use std::ops::Range;
use std::sync::Arc;

use toml::de::DeTable;

use super::fields::{Fields, Read, Value, error, text_of};
use crate::app::card_file::duration::parse_nanos;
use crate::app::card_file::parse::amount;
use crate::domain::Timestamp;
use crate::domain::pricing::lines::{Program, TIME_UNIT, did_you_mean};
use crate::domain::pricing::{
    Card, Given, Pairs, PriceContext, Service, ServicePrice, UsageRecord,
};
use crate::domain::violation::Violation;

/// A usage that a card shows, and what the card says that it costs.
#[derive(Clone, Debug)]
pub struct Example {
    /// The key of its service.
    pub service: Arc<str>,
    /// The usage.
    pub usage: UsageRecord,
    /// Attributes of the account and the clock that it says.
    pub given: Pairs,
    /// Credits, or the reason why it is refused.
    pub says: String,
}

/// The examples that a text has for the services of its card.
#[must_use]
pub fn examples(text: &str, card: &Card) -> Vec<Example> {
    let Ok(table) = DeTable::parse(text) else {
        return Vec::new();
    };
    let services = table.get_ref().get("service");
    let services = services.and_then(|services| services.get_ref().as_array());
    let mut all = Vec::new();
    for value in services.into_iter().flatten() {
        let Ok(fields) = Fields::of(value, "a service") else {
            continue;
        };
        let service = fields.text("key").ok().flatten();
        let service = service.and_then(|(key, _)| card.service(key));
        if let Some(service) = service
            && let ServicePrice::Lines(program) = &service.price
            && let Ok(of_service) = of_service(&fields, card, service, program)
        {
            all.extend(of_service.into_iter().map(|(example, _)| example));
        }
    }
    all
}

/// Prices each example of a service, which must cost what it says or be refused as it says.
pub fn check(value: &Value<'_>, card: &Card, service: &Service) -> Read<()> {
    check_all(value, card, service).map_err(|mut error| {
        error.problem = format!("service \"{}\": {}", service.key, error.problem);
        error
    })
}

fn check_all(value: &Value<'_>, card: &Card, service: &Service) -> Read<()> {
    let ServicePrice::Lines(program) = &service.price else {
        return Ok(());
    };
    let fields = Fields::of(value, "a service")?;
    let examples = of_service(&fields, card, service, program)?;
    for (position, (example, at)) in examples.iter().enumerate() {
        let usage = example.usage.of(&service.key);
        // What an example does not say has its default, whatever the hour is.
        let given = card.with_defaults(service, example.given.clone());
        let context = PriceContext::at(Timestamp::MIN).with_quoted(&given);
        let outcome = match card.price(&usage, &context) {
            Ok(quote) => quote.credits().to_string(),
            Err(violations) => {
                let first = violations.as_slice().first();
                first.map_or_else(String::new, |found| reason(&found.violation).to_owned())
            }
        };
        if example.says != outcome {
            let name = name_of(position);
            return Err(error(
                at,
                format!(
                    "{name}: it says {}, and the prices say {outcome}",
                    example.says
                ),
                "one of them is wrong",
            ));
        }
    }
    Ok(())
}

fn name_of(position: usize) -> String {
    format!("examples, entry {}", position.saturating_add(1))
}

/// The examples of a service, each with the place of what it says.
fn of_service(
    fields: &Fields<'_, '_>,
    card: &Card,
    service: &Service,
    program: &Program,
) -> Read<Vec<(Example, Range<usize>)>> {
    let not_sent = card.attributes_not_sent(service);
    let not_sent: Vec<&str> = not_sent.map(|(name, _)| name).collect();
    let examples = fields.list("examples")?.iter().enumerate();
    let examples = examples.map(|(position, value)| {
        let example = Fields::of(value, "an example")?;
        let mut usage = usage(&example, &name_of(position), program)?;
        let mut given = Pairs::new();
        for name in &not_sent {
            given.extend(usage.attributes.remove_entry(*name));
        }
        let (says, at) = says(&example, &name_of(position))?;
        let example = Example {
            service: Arc::clone(&service.key),
            usage,
            given,
            says,
        };
        Ok((example, at))
    });
    examples.collect()
}

/// What an example says that its usage costs, or why it is refused; and where that stands.
fn says(example: &Fields<'_, '_>, name: &str) -> Read<(String, Range<usize>)> {
    let Some((refused, at)) = example.text("refused")? else {
        let (costs, at) = example.required("costs")?;
        let costs = amount(&format!("{name}: costs"), costs, &at)?;
        return Ok((costs.to_string(), at));
    };
    if let Some(costs) = example.get("costs") {
        let problem = format!("{name}: it says costs and refused");
        return Err(error(&costs.span(), problem, "take one out"));
    }
    if !REASONS.contains(&refused) {
        let problem = format!("{name}: no usage is refused for \"{refused}\"");
        return Err(error(&at, problem, did_you_mean(refused, REASONS)));
    }
    Ok((refused.to_owned(), at))
}

fn usage(example: &Fields<'_, '_>, name: &str, program: &Program) -> Read<UsageRecord> {
    let (mut quantity, mut meters, mut attributes) = (Given::Nothing, Pairs::new(), Pairs::new());
    for (key, at, value) in example.entries() {
        if matches!(key, "costs" | "refused") {
            continue;
        }
        let (text, _) = text_of(value, key)?;
        let wrong = |problem: &str| wrong(&at, name, key, text, problem);
        match (key, program.spec.meters.get(key)) {
            ("duration", _) => {
                let nanos = parse_nanos(text).map_err(|problem| wrong(&problem))?;
                quantity = Given::Duration(nanos);
            }
            ("count", _) => {
                let count = text.parse().map_err(|_| wrong("is no whole number"))?;
                quantity = Given::Count(count);
            }
            (_, Some(meter)) if &*meter.unit == TIME_UNIT => {
                let nanos = parse_nanos(text).map_err(|problem| wrong(&problem))?;
                let seconds = rust_decimal::Decimal::try_from_i128_with_scale(nanos, 9);
                let seconds = seconds.map_err(|_| wrong("is too long"))?;
                meters.insert(key.to_owned(), seconds.normalize().to_string());
            }
            (_, Some(_)) => {
                meters.insert(key.to_owned(), text.to_owned());
            }
            (_, None) => {
                attributes.insert(key.to_owned(), text.to_owned());
            }
        }
    }
    Ok(UsageRecord {
        quantity,
        attributes,
        meters,
    })
}

fn wrong(
    at: &Range<usize>,
    name: &str,
    key: &str,
    text: &str,
    problem: &str,
) -> crate::app::card_file::parse::SpannedError {
    error(
        at,
        format!("{name}: {key} \"{text}\": {problem}"),
        "docs/rate-cards.md has examples",
    )
}

/// All reasons for which a usage can be refused.
const REASONS: [&str; 11] = [
    "FIELD_REQUIRED",
    "UNKNOWN_ATTRIBUTE",
    "UNKNOWN_ATTRIBUTE_VALUE",
    "UNKNOWN_METER",
    "WRONG_QUANTITY",
    "INVALID_QUANTITY",
    "QUANTITY_TOO_LARGE",
    "QUANTITY_TOO_SMALL",
    "NOT_OFFERED",
    "METERS_DISAGREE",
    "COST_TOO_LARGE",
];

/// The reason by which the API refuses what a usage can be refused for.
const fn reason(violation: &Violation) -> &'static str {
    match violation {
        Violation::Required => "FIELD_REQUIRED",
        Violation::UnknownAttribute { .. } | Violation::AttributeNotSent { .. } => {
            "UNKNOWN_ATTRIBUTE"
        }
        Violation::UnknownAttributeValue { .. } | Violation::UnknownAccountValue { .. } => {
            "UNKNOWN_ATTRIBUTE_VALUE"
        }
        Violation::UnknownMeter { .. } => "UNKNOWN_METER",
        Violation::WrongQuantity { .. } => "WRONG_QUANTITY",
        Violation::InvalidQuantity { .. }
        | Violation::InvalidMeter { .. }
        | Violation::QuantityOutOfRange { .. } => "INVALID_QUANTITY",
        Violation::QuantityTooLarge { .. } => "QUANTITY_TOO_LARGE",
        Violation::QuantityTooSmall { .. } => "QUANTITY_TOO_SMALL",
        Violation::NotOffered { .. } => "NOT_OFFERED",
        Violation::MetersDisagree { .. } => "METERS_DISAGREE",
        Violation::CostTooLarge => "COST_TOO_LARGE",
        _ => "another reason",
    }
}
