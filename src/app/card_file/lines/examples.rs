//! The examples of a service: usages and what they cost, checked when the card is loaded.

use std::ops::Range;

use super::fields::{Fields, Read, Value, error, text_of};
use crate::app::card_file::duration::parse_nanos;
use crate::domain::Timestamp;
use crate::domain::pricing::lines::TIME_UNIT;
use crate::domain::pricing::{Card, Given, Pairs, PriceContext, Service, ServicePrice, Usage};
use crate::domain::violation::Violation;

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
    let not_sent: Vec<&str> = card
        .attributes_not_sent(service)
        .map(|(name, _)| name)
        .collect();
    for (position, value) in fields.list("examples")?.iter().enumerate() {
        let name = format!("examples, entry {}", position.saturating_add(1));
        let example = Fields::of(value, "an example")?;
        let (mut quantity, mut meters) = (Given::Nothing, Pairs::new());
        // Those that callers send, and those that the account or the clock has.
        let (mut attributes, mut quoted) = (Pairs::new(), Pairs::new());
        for (key, at, value) in example.entries() {
            if matches!(key, "costs" | "refused") {
                continue;
            }
            let (text, _) = text_of(value, key)?;
            let wrong = |problem: &str| wrong(&at, &name, key, text, problem);
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
                    match not_sent.contains(&key) {
                        true => quoted.insert(key.to_owned(), text.to_owned()),
                        false => attributes.insert(key.to_owned(), text.to_owned()),
                    };
                }
            }
        }
        // What an example does not say has its default, whatever the hour is.
        for (name, attribute) in card.attributes_not_sent(service) {
            let default = attribute.default.as_deref().unwrap_or_default();
            quoted
                .entry(name.to_owned())
                .or_insert_with(|| default.to_owned());
        }
        let usage = Usage {
            service: &service.key,
            quantity,
            attributes: &attributes,
            meters: &meters,
        };
        let context = PriceContext::at(Timestamp::MIN).with_quoted(&quoted);
        let outcome = match card.price(&usage, &context) {
            Ok(quote) => quote.credits().to_string(),
            Err(violations) => {
                let first = violations.as_slice().first();
                first.map_or_else(String::new, |found| reason(&found.violation).to_owned())
            }
        };
        let (says, at) = match example.text("refused")? {
            Some(refused) => refused,
            None => example.required("costs")?,
        };
        if says != outcome {
            return Err(error(
                &at,
                format!("{name}: it says {says}, and the prices say {outcome}"),
                "one of them is wrong",
            ));
        }
    }
    Ok(())
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
