//! Conversions of `GetRateCard`: what a card prices, and pages of it.

use std::collections::HashSet;

use super::page::{ListKey, page_size_or_all};
use super::timestamp_to_pb;
use crate::domain::pricing::lines::{AttributeSpec, MeterSpec, Ratio, Source};
use crate::domain::pricing::{Card, Meter, OnePrice, Service, ServicePrice};
use crate::domain::{FieldViolations, Timestamp, Violation};
use crate::rpc::pb::creditd::v1 as pb;
use crate::rpc::wire::page::LIST_BYTES_MAX;

/// Most services that a request may name.
pub const SERVICES_NAMED_MAX: usize = 1_000;

/// Which services of a card a request wants.
pub struct ServicesQuery<'a> {
    services: &'a [String],
    page_token: &'a str,
    /// None: all that fit.
    limit: Option<usize>,
}

/// The page of a `GetRateCardRequest`; what is wrong with it is added to `violations`.
pub fn services_query_from_pb<'a>(
    request: &'a pb::GetRateCardRequest,
    violations: &mut FieldViolations,
) -> ServicesQuery<'a> {
    let limit = violations.check("page_size", page_size_or_all(request.page_size));
    let size = request.services.len();
    if size > SERVICES_NAMED_MAX {
        let limit = SERVICES_NAMED_MAX;
        violations.add("services", Violation::TooManyItems { size, limit });
    }
    ServicesQuery {
        services: &request.services,
        page_token: &request.page_token,
        limit: limit.flatten(),
    }
}

/// The services of a card that a page is made of.
pub struct ServicesPage<'a> {
    card: &'a Card,
    asked: Vec<&'a Service>,
    /// How many were listed on the pages before: the token has it.
    before: usize,
    limit: Option<usize>,
    key: ListKey,
}

/// What a page of a card is made of.
///
/// # Errors
/// A service that it does not have, or a page token of another list.
pub fn services_page<'a>(
    card: &'a Card,
    query: &ServicesQuery<'_>,
) -> Result<ServicesPage<'a>, FieldViolations> {
    let mut violations = FieldViolations::new();
    let key = key_of(card, query.services);
    let last = violations.check("page_token", key.last(query.page_token));
    let unknown = query
        .services
        .iter()
        .find(|key| card.service(key).is_none());
    if let Some(unknown) = unknown {
        violations.add("services", card.unknown_service(unknown));
    }
    violations.or(())?;
    let before = last.flatten().and_then(|last| usize::try_from(last).ok());
    let before = before.unwrap_or_default();
    let named: HashSet<&str> = query.services.iter().map(String::as_str).collect();
    let is_asked = |service: &&Service| named.is_empty() || named.contains(&*service.key);
    let asked = card.services().iter().filter(is_asked).skip(before);
    Ok(ServicesPage {
        card,
        asked: asked.collect(),
        before,
        limit: query.limit,
        key,
    })
}

impl ServicesPage<'_> {
    /// The services that may be on it, in their order.
    pub fn services(&self) -> impl Iterator<Item = pb::ServicePrice> {
        let services = self.asked.iter();
        services.map(|service| service_to_pb(self.card, service))
    }

    /// Whether it is full, with so many services on it, and another one would make it so many
    /// bytes.
    #[must_use]
    pub fn is_full(&self, length: usize, bytes: usize) -> bool {
        length > 0 && (self.limit == Some(length) || bytes > LIST_BYTES_MAX)
    }

    /// What stands beside its services, of which it has so many. `times` are those since when
    /// the card is in force, and when another one takes its place.
    #[must_use]
    pub fn rest_to_pb(
        &self,
        length: usize,
        (since, next): (Option<Timestamp>, Option<Timestamp>),
    ) -> pb::GetRateCardResponse {
        let listed = i64::try_from(self.before.saturating_add(length)).unwrap_or(i64::MAX);
        pb::GetRateCardResponse {
            effective_time: since.map(timestamp_to_pb),
            next_effective_time: next.map(timestamp_to_pb),
            next_page_token: match length < self.asked.len() {
                true => self.key.token(listed),
                false => String::new(),
            },
            ..head_to_pb(self.card)
        }
    }
}

/// A whole card.
#[must_use]
pub fn rate_card_to_pb(card: &Card) -> pb::GetRateCardResponse {
    let services = card.services().iter();
    pb::GetRateCardResponse {
        services: services
            .map(|service| service_to_pb(card, service))
            .collect(),
        ..head_to_pb(card)
    }
}

fn key_of(card: &Card, services: &[String]) -> ListKey {
    let mut parts: Vec<&[u8]> = vec![b"services", card.revision().as_str().as_bytes()];
    parts.extend(services.iter().map(String::as_bytes));
    ListKey::of(&parts)
}

fn head_to_pb(card: &Card) -> pb::GetRateCardResponse {
    pb::GetRateCardResponse {
        rate_card: card.name().to_owned(),
        revision: card.revision().as_str().to_owned(),
        title: card.title().to_owned(),
        effective_time: card.effective_time().map(timestamp_to_pb),
        ..pb::GetRateCardResponse::default()
    }
}

fn service_to_pb(card: &Card, service: &Service) -> pb::ServicePrice {
    let meter_details: Vec<pb::Meter> = match &service.price {
        ServicePrice::One(one) => vec![one_meter_to_pb(one)],
        ServicePrice::Lines(program) => {
            let meters = program.spec.meters.iter();
            meters.map(|(name, spec)| meter_to_pb(name, spec)).collect()
        }
    };
    let quantity_max = match &service.price {
        ServicePrice::One(one) => one.quantity_max.map(|atoms| one.meter.quantity_text(atoms)),
        ServicePrice::Lines(_) => None,
    };
    let attributes = card.attributes_of(service).into_iter();
    pb::ServicePrice {
        service: service.key.to_string(),
        title: service.title.to_string(),
        rule: service.rule_in_words().into_owned(),
        meters: meter_details
            .iter()
            .map(|meter| meter.meter.clone())
            .collect(),
        quantity_max: quantity_max.unwrap_or_default(),
        meter_details,
        attributes: attributes
            .map(|(name, spec)| attribute_to_pb(name, spec))
            .collect(),
    }
}

fn one_meter_to_pb(one: &OnePrice) -> pb::Meter {
    let default_value = match one.meter {
        Meter::Count {
            required: false, ..
        } => "1",
        Meter::Count { .. } | Meter::Duration => "",
    };
    let decimals = one.meter.decimals();
    let max = one.quantity_max.and_then(|atoms| {
        let scale = Ratio::whole(10_i128.checked_pow(decimals)?);
        Ratio::whole(atoms).over(scale)
    });
    pb::Meter {
        meter: one.meter.name().to_owned(),
        unit: one.meter.unit().to_owned(),
        decimals: i32::try_from(decimals).unwrap_or_default(),
        default_value: default_value.to_owned(),
        min: String::new(),
        max: figure_to_pb(max),
    }
}

fn meter_to_pb(name: &str, spec: &MeterSpec) -> pb::Meter {
    pb::Meter {
        meter: name.to_owned(),
        unit: spec.unit.to_string(),
        decimals: i32::try_from(spec.decimals).unwrap_or_default(),
        default_value: figure_to_pb(spec.default),
        min: figure_to_pb(spec.min),
        max: figure_to_pb(spec.max),
    }
}

fn figure_to_pb(figure: Option<Ratio>) -> String {
    figure.map_or_else(String::new, |figure| figure.to_string())
}

fn attribute_to_pb(name: &str, spec: &AttributeSpec) -> pb::Attribute {
    let source = match spec.source {
        Source::Caller => pb::AttributeSource::Caller,
        Source::Account => pb::AttributeSource::Account,
        Source::Clock(_) => pb::AttributeSource::Clock,
    };
    pb::Attribute {
        attribute: name.to_owned(),
        values: spec.values.iter().map(ToString::to_string).collect(),
        default_value: spec.default.as_deref().unwrap_or_default().to_owned(),
        source: source.into(),
    }
}
