//! Random usages of real price lists: the cost is what a second evaluator makes of the same
//! card (`rate_card_model`), lines sum to it, and more never costs less.

use std::collections::{BTreeMap, BTreeSet};

use creditd::app::card_file;
use creditd::domain::pricing::lines::{Is, Program, Ratio, Source};
use creditd::domain::pricing::{Card, Given, Line, PriceContext, ServicePrice, Usage};
use creditd::domain::{Credits, Violation};
use proptest::prelude::*;

use crate::rate_card_cases::cards;
use crate::rate_card_model::{self as model, Outcome};
use crate::support::NO_ACCOUNT;

/// A usage that owns its texts.
#[derive(Clone, Debug, Default)]
struct Owned {
    service: String,
    duration: Option<i128>,
    count: Option<i64>,
    meters: BTreeMap<String, String>,
    attributes: BTreeMap<String, String>,
    /// Attributes of the account and the clock.
    given: BTreeMap<String, String>,
}

impl Owned {
    fn context(&self) -> PriceContext<'_> {
        NO_ACCOUNT.with_quoted(&self.given)
    }

    fn as_usage(&self) -> Usage<'_> {
        let count = self.count.map(Given::Count);
        Usage {
            service: &self.service,
            quantity: self
                .duration
                .map(Given::Duration)
                .or(count)
                .unwrap_or(Given::Nothing),
            attributes: (&self.attributes).into(),
            meters: (&self.meters).into(),
        }
    }

    fn as_model(&self) -> model::Usage {
        model::Usage {
            service: self.service.clone(),
            duration: self.duration.map(|nanos| format!("{}s", units(nanos, 9))),
            count: self.count.map(|count| count.to_string()),
            meters: self.meters.clone(),
            attributes: self.attributes.clone(),
        }
    }

    /// Sets a meter to so many grains.
    fn set(&mut self, name: &str, decimals: u32, grains: i128) {
        match name {
            "duration" => self.duration = Some(grains),
            "count" => self.count = i64::try_from(grains).ok(),
            name => {
                self.meters.insert(name.to_owned(), units(grains, decimals));
            }
        }
    }
}

fn units(grains: i128, decimals: u32) -> String {
    Ratio::new(grains, 10_i128.pow(decimals))
        .unwrap()
        .to_string()
}

/// Numbers at which a price can change, in grains of the meter.
fn points(program: &Program, name: &str, decimals: u32) -> Vec<i128> {
    let spec = &program.spec;
    let scale = Ratio::whole(10_i128.pow(decimals));
    let conditions = spec.lines.iter().flat_map(|line| &line.when);
    let conditions = conditions.chain(spec.rows.iter().flat_map(|row| &row.when));
    let conditions = conditions.chain(spec.factors.iter().flat_map(|factor| &factor.when));
    let ranges = conditions.filter_map(|condition| match &condition.is {
        Is::In(ranges) => Some(ranges),
        Is::OneOf(_) => None,
    });
    let ends = ranges.flatten().flat_map(|range| [range.low, range.high]);
    let ends = ends.flatten().map(|end| end.at);
    let meter = &spec.meters[name];
    let ends = ends.chain([meter.min, meter.max, meter.default].into_iter().flatten());
    let grains = ends.filter_map(|end| Some(end.times(scale)?.floor()));
    grains
        .flat_map(|at| [at - 1, at, at + 1])
        .filter(|at| *at >= 0)
        .collect()
}

fn pick(number: u64, length: usize) -> usize {
    usize::try_from(number).unwrap() % length
}

/// A usage of a service, made from random numbers.
fn usage_of(card: &Card, key: &str, program: &Program, numbers: &[u64]) -> Owned {
    let mut numbers = numbers.iter().cycle().enumerate();
    let mut next = move |below: u64| {
        let (at, number) = numbers.next().unwrap();
        let at = u64::try_from(at).unwrap();
        (number.wrapping_add(at).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16) % below
    };
    let mut usage = Owned {
        service: key.to_owned(),
        ..Owned::default()
    };
    for (name, meter) in &program.spec.meters {
        let points = points(program, name, meter.decimals);
        let grains = match next(10) {
            0 => continue,
            1..=5 if !points.is_empty() => points[pick(next(u64::MAX), points.len())],
            6 => i128::from(next(4)),
            7 => i128::from(next(1_000_000_000_000)),
            _ => i128::from(next(100_000)),
        };
        usage.set(name, meter.decimals, grains);
    }
    let service = card.service(key).unwrap();
    for (name, attribute) in card.attributes_of(service) {
        let value = match next(20) {
            0 | 1 => continue,
            2 => "no such word",
            _ => &attribute.values[pick(next(u64::MAX), attribute.values.len())],
        };
        match attribute.source {
            Source::Caller => usage.attributes.insert(name.to_owned(), value.to_owned()),
            Source::Account | Source::Clock(_) => {
                usage.given.insert(name.to_owned(), value.to_owned())
            }
        };
    }
    for (name, attribute) in card.attributes_not_sent(service) {
        // The model knows no default of a card's own attribute.
        let default = attribute.default.as_deref().unwrap();
        usage
            .given
            .entry(name.to_owned())
            .or_insert_with(|| default.to_owned());
        if next(40) == 0 {
            usage.attributes.insert(name.to_owned(), default.to_owned());
        }
    }
    match next(40) {
        0 => drop(
            usage
                .meters
                .insert("no_such_meter".to_owned(), "1".to_owned()),
        ),
        1 => drop(
            usage
                .attributes
                .insert("no_such_attribute".to_owned(), "1".to_owned()),
        ),
        2 => drop(usage.meters.insert("odd".to_owned(), "1e3".to_owned())),
        _ => {}
    }
    usage
}

/// The reason of a violation that a usage can have.
fn reason(violation: &Violation) -> &'static str {
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
        other => panic!("{other:?}"),
    }
}

fn outcome(card: &Card, owned: &Owned) -> Outcome {
    let usage = &owned.as_usage();
    match card.price(usage, &owned.context()) {
        Ok(quote) => Outcome::Credits {
            total: quote.credits().to_string(),
            lines: with_one_total(&quote.lines(usage, &owned.context())),
        },
        Err(violations) => {
            let reasons = violations
                .as_slice()
                .iter()
                .map(|found| reason(&found.violation));
            let reasons: BTreeSet<_> = reasons.map(ToOwned::to_owned).collect();
            Outcome::Refused(reasons.into_iter().collect())
        }
    }
}

/// What is said of a usage that is priced.
fn explained(card: &Card, owned: &Owned) -> Vec<Line> {
    let usage = &owned.as_usage();
    let quote = card.price(usage, &owned.context());
    let lines = quote.map(|quote| quote.lines(usage, &owned.context()));
    lines.unwrap_or_default()
}

/// Keys and credits of lines. The model has one line for what the total of the service and the
/// factors of the card change.
fn with_one_total(lines: &[Line]) -> Vec<(String, String)> {
    let mut sums: Vec<(String, Credits)> = Vec::new();
    for line in lines {
        match sums.last_mut() {
            Some((key, credits)) if key == "total" => {
                *credits = credits.checked_add(line.credits).unwrap();
            }
            _ => sums.push((line.key.clone(), line.credits)),
        }
    }
    sums.retain(|(key, credits)| key != "total" || !credits.is_zero());
    let sums = sums.into_iter();
    sums.map(|(key, credits)| (key, credits.to_string()))
        .collect()
}

fn programs(card: &Card) -> impl Iterator<Item = (&str, &Program)> {
    card.services()
        .iter()
        .filter_map(|service| match &service.price {
            ServicePrice::Lines(program) => Some((&*service.key, &**program)),
            ServicePrice::One(_) => None,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_usage_costs_what_the_model_says(numbers in prop::collection::vec(any::<u64>(), 40)) {
        for (text, card) in cards() {
            let model = model::Card::read(text);
            let restored = card_file::restore(&card.stored).unwrap();
            for (key, program) in programs(&card.card) {
                let usage = usage_of(&card.card, key, program, &numbers);
                let says = outcome(&card.card, &usage);
                let expected = model.price(&usage.as_model(), &usage.given);
                prop_assert_eq!(&says, &expected, "{:?}\n{}", usage, text);
                prop_assert_eq!(&outcome(&restored, &usage), &says, "as stored");
                prop_assert_eq!(explained(&restored, &usage), explained(&card.card, &usage));
                if let Outcome::Credits { total, lines } = says {
                    let sum = lines.iter().map(|(_, credits)| credits.parse::<rust_decimal::Decimal>().unwrap());
                    let sum: rust_decimal::Decimal = sum.sum();
                    prop_assert_eq!(sum, total.parse::<rust_decimal::Decimal>().unwrap());
                }
            }
        }
    }

    #[test]
    fn more_never_costs_less(numbers in prop::collection::vec(any::<u64>(), 40), more in 1..1_000_000_i128) {
        for (text, card) in cards() {
            for (key, program) in programs(&card.card) {
                let usage = usage_of(&card.card, key, program, &numbers);
                let cost = |usage: &Owned| -> Option<Credits> {
                    card.card.price(&usage.as_usage(), &usage.context()).ok().map(|quote| quote.credits())
                };
                let Some(before) = cost(&usage) else { continue };
                for (name, meter) in &program.spec.meters {
                    if program.spec.may_fall.contains(name) { continue }
                    let sent = match &**name {
                        "duration" => usage.duration,
                        "count" => usage.count.map(i128::from),
                        name => usage.meters.get(name).map(|text| {
                            let scale = Ratio::whole(10_i128.pow(meter.decimals));
                            Ratio::parse(text).unwrap().times(scale).unwrap().floor()
                        }),
                    };
                    let Some(sent) = sent else { continue };
                    let mut larger = usage.clone();
                    larger.set(name, meter.decimals, sent + more);
                    if let Some(after) = cost(&larger) {
                        prop_assert!(after >= before, "{} {:?} {}\n{}", name, usage, more, text);
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    /// A card with a piece of it changed is loaded or refused, and never breaks the loader.
    #[test]
    fn a_damaged_card_is_loaded_or_refused(
        card in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        length in 0..12_usize,
        piece in prop::sample::select(vec![
            "", "\"", "-", "0", "99999999999999999999", "1e9", "above ", " * ", "(", "[", "{", "}",
            "duration", "\"from 1\"", "0.0000000001", "next", "images", ", ", "=", "/ 0", "per = \"7\", ",
            "step = \"3\", rounding = \"up\", ", "max = \"1\", ", "default = \"0\", ", "\n", "\u{fffd}",
        ]),
    ) {
        let (text, _) = card.get(cards());
        let at = at.index(text.len());
        let end = (at + length).min(text.len());
        if let (Some(before), Some(after)) = (text.get(..at), text.get(end..)) {
            let damaged = format!("{before}{piece}{after}");
            if let Ok(loaded) = crate::rate_card_cases::load(&damaged) {
                let restored = card_file::restore(&loaded.stored);
                prop_assert!(restored.is_ok(), "{:?}\n{}", restored.err(), damaged);
            }
        }
    }
}
