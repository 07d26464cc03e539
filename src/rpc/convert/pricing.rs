//! Conversions of `pricing.proto`.

use super::{credits_to_pb, given_from_parts, optional_account_from_pb, timestamp_from_pb};
use crate::domain::ledger::Affordability;
use crate::domain::pricing::{Card, Given, Line, Quote, Selector, Service, Usage};
use crate::domain::{AccountName, Fault, Faults};
use crate::rpc::pb::creditd::v1 as pb;

/// A usage. Its faults are found when it is priced.
#[must_use]
pub fn usage_from_pb(usage: &pb::Usage) -> Usage<'_> {
    Usage {
        service: &usage.service,
        quantity: match &usage.quantity {
            None => Given::Nothing,
            Some(pb::usage::Quantity::Count(count)) => Given::Count(*count),
            Some(pb::usage::Quantity::Duration(time)) => given_from_parts(time.seconds, time.nanos),
        },
        attributes: &usage.attributes,
        meters: &usage.meters,
    }
}

/// A request without a selector has this one.
static DEFAULT_PRICES: pb::PriceSelector = pb::PriceSelector {
    account: String::new(),
    rate_card: String::new(),
    revision: String::new(),
    price_time: None,
};

/// A `PriceSelector`.
pub struct Prices<'a> {
    /// Which prices.
    pub selector: Selector<'a>,
    /// Whose prices, where it says.
    pub account: Option<AccountName>,
}

/// The `PriceSelector` of a request; what is wrong with it is added to `faults`.
pub fn prices_from_pb<'a>(
    prices: Option<&'a pb::PriceSelector>,
    check_balance: bool,
    faults: &mut Faults,
) -> Prices<'a> {
    let prices = prices.unwrap_or(&DEFAULT_PRICES);
    let account = faults
        .check("prices.account", optional_account_from_pb(&prices.account))
        .flatten();
    if check_balance && prices.account.is_empty() {
        faults.add("prices.account", Fault::Required);
    }
    let price_time = prices.price_time.as_ref().map(|time| {
        if prices.revision.is_empty() {
            return timestamp_from_pb(time);
        }
        Err(Fault::ConflictingFields {
            other: "prices.revision",
        })
    });
    let price_time = price_time.and_then(|time| faults.check("prices.price_time", time));
    Prices {
        selector: Selector {
            rate_card: &prices.rate_card,
            revision: &prices.revision,
            price_time,
        },
        account,
    }
}

/// A priced usage.
#[must_use]
pub fn estimate_to_pb(card: &Card, quote: &Quote<'_>, explain: bool) -> pb::Estimate {
    let lines = if explain {
        quote.lines().into_iter().map(line_to_pb).collect()
    } else {
        Vec::new()
    };
    pb::Estimate {
        service: quote.service().key.to_string(),
        credits: credits_to_pb(quote.credits()),
        display_credits: credits_to_pb(quote.shown()),
        rate_card: card.name().to_owned(),
        revision: card.revision().as_str().to_owned(),
        lines,
    }
}

fn line_to_pb(line: Line) -> pb::EstimateLine {
    pb::EstimateLine {
        description: line.description,
        quantity: line.quantity,
        unit: line.unit,
        unit_credits: credits_to_pb(line.unit_credits),
        credits: credits_to_pb(line.credits),
    }
}

/// Whether an account could pay.
#[must_use]
pub fn affordability_to_pb(affordability: &Affordability) -> pb::Affordability {
    pb::Affordability {
        sufficient: affordability.sufficient(),
        available: credits_to_pb(affordability.available),
        shortfall: credits_to_pb(affordability.shortfall),
    }
}

/// A rate card.
#[must_use]
pub fn rate_card_to_pb(card: &Card) -> pb::GetRateCardResponse {
    pb::GetRateCardResponse {
        rate_card: card.name().to_owned(),
        revision: card.revision().as_str().to_owned(),
        services: card.services().iter().map(service_to_pb).collect(),
    }
}

fn service_to_pb(service: &Service) -> pb::ServicePrice {
    pb::ServicePrice {
        service: service.key.to_string(),
        title: service.title.to_string(),
        rule: service.rule_in_words().into_owned(),
        meters: vec![service.meter.name().to_owned()],
        quantity_max: service
            .quantity_max
            .map_or_else(String::new, |atoms| service.meter.quantity_text(atoms)),
    }
}
