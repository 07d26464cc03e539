//! A service of format 2 as a person writes it: read into a specification, which is then
//! proved and compiled; its examples are priced.

mod attribute;
mod examples;
mod fields;
mod parts;
mod read;

use std::ops::Range;

use super::format_2::ServiceHead;
use super::parse::SpannedError;
use crate::domain::Rounding;
use crate::domain::pricing::lines::{Exchange, FactorSpec, Place, Program, Spec, SpecError};
use crate::domain::pricing::{Service, ServicePrice};

pub use attribute::attribute;
pub use examples::check as check_examples;
pub use examples::{Example, examples};
pub use fields::{Fields, Value};
pub use parts::WHEN_BESIDE;
pub use read::{ENTRIES_MAX, ROWS_MAX, VALUES_MAX, new_name};

/// Whether a service is written with one price for one quantity.
pub fn has_one_price(service: &Value<'_>) -> bool {
    let table = service.get_ref().as_table();
    table.is_some_and(|table| table.contains_key("price") || table.contains_key("meter"))
}

/// Reads a service whose price is a sum of lines. `card_rounding` is the direction that the card
/// says.
pub fn service(
    value: &Value<'_>,
    card_rounding: Option<Rounding>,
    exchange: Option<&Exchange>,
) -> Result<ReadService, SpannedError> {
    let fields = Fields::of(value, "a service")?;
    let head = ServiceHead::read(&fields)?;
    let in_service = |mut error: SpannedError| {
        error.problem = format!("service \"{}\": {}", head.key, error.problem);
        error
    };
    let mut spec = read::spec(&fields, card_rounding).map_err(in_service)?;
    spec.exchange = exchange.cloned();
    let inherited = parts::rounding_field(&fields).map_err(in_service)?;
    let wrong = |error: SpecError| {
        in_service(SpannedError {
            at: place(&fields, &error.place),
            problem: error.problem,
            remedy: error.remedy,
        })
    };
    let program = Program::compile(spec.normal(), inherited.or(card_rounding)).map_err(wrong)?;
    program.check_written().map_err(wrong)?;
    let service = Service {
        key: head.key.as_str().into(),
        title: head.title.as_str().into(),
        rule: head.rule.as_str().into(),
        price: ServicePrice::Lines(Box::new(program)),
        shown: head.shown,
        rounding: None,
    };
    Ok(ReadService {
        service,
        key_at: head.key_at.clone(),
        rounding: inherited,
    })
}

/// A service that was read.
pub struct ReadService {
    /// The service.
    pub service: Service,
    /// Where its key stands.
    pub key_at: Range<usize>,
    /// The direction of rounding that it says for all of its lines.
    pub rounding: Option<Rounding>,
}

/// A factor of a card, by attributes alone.
pub fn factor(value: &Value<'_>, position: usize, spec: &Spec) -> Result<FactorSpec, SpannedError> {
    parts::factor(value, position, spec, &parts::Units::of(spec, &[]))
}

/// Where a fault stands in the text.
fn place(fields: &Fields<'_, '_>, place: &Place) -> Range<usize> {
    let named = |table: &'static str, name: &str| {
        let entries = fields.table(table).ok()?;
        entries
            .into_iter()
            .find(|(key, _, _)| *key == name)
            .map(|(_, at, _)| at)
    };
    let entry = |list: &str, position: usize| fields.list(list).ok()?.get(position);
    let within = |list: &str, position: usize, name: &str| {
        let fields = Fields::of(entry(list, position)?, "an entry").ok()?;
        let mut entries = fields.entries().into_iter();
        entries
            .find(|(key, _, _)| *key == name)
            .map(|(_, at, _)| at)
    };
    let found = match place {
        Place::Service => None,
        Place::Meter(name) => named("meters", name),
        Place::Attribute(name) => named("attributes", name),
        Place::Quantity(name) => named("quantities", name),
        Place::Line(position, _) => entry("lines", *position).map(|value| value.span()),
        Place::Row(position) => entry("prices", *position).map(|value| value.span()),
        Place::RowWhen(position, name) => within("prices", *position, name),
        Place::Factor(position) => entry("factors", *position).map(|value| value.span()),
        Place::FactorWhen(position, name) => within("factors", *position, name),
        Place::Total => fields.get("total").map(|value| value.span()),
        Place::MayFall => fields.get("may_fall").map(|value| value.span()),
    };
    found.unwrap_or_else(|| fields.at.clone())
}
