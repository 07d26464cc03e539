//! Conversions of `pricing.proto`.

use super::{given_from_parts, optional_account_from_pb, timestamp_from_pb};
use crate::domain::ledger::Affordability;
use crate::domain::pricing::{Card, Given, Line, Quote, Selector, Service, Usage};
use crate::domain::{AccountName, Fault, Faults};
use crate::rpc::pb::creditd::v1 as pb;

/// A usage; what is wrong with it is found when it is priced.
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

/// Which prices, and the account that they are for.
pub struct Prices<'a> {
    /// Which prices.
    pub selector: Selector<'a>,
    /// The account, where one is named.
    pub account: Option<AccountName>,
}

/// A `PriceSelector` as it came.
#[derive(Clone, Copy, Debug, Default)]
pub struct SelectorText<'a> {
    /// Whose prices; "" for nobody's.
    pub account: &'a str,
    /// Name of a card, or "".
    pub rate_card: &'a str,
    /// A revision, or "".
    pub revision: &'a str,
    /// Prices in force then.
    pub price_time: Option<prost_types::Timestamp>,
}

/// Which prices a request asks for; what is wrong is added to `faults`.
pub fn prices_from_pb<'a>(
    prices: Option<&'a pb::PriceSelector>,
    check_balance: bool,
    faults: &mut Faults,
) -> Prices<'a> {
    prices_from_text(prices.map(selector_from_pb), check_balance, faults)
}

/// A selector as it came.
#[must_use]
pub fn selector_from_pb(prices: &pb::PriceSelector) -> SelectorText<'_> {
    SelectorText {
        account: &prices.account,
        rate_card: &prices.rate_card,
        revision: &prices.revision,
        price_time: prices.price_time,
    }
}

/// The same, of a selector that need not be a message.
pub fn prices_from_text<'a>(
    prices: Option<SelectorText<'a>>,
    check_balance: bool,
    faults: &mut Faults,
) -> Prices<'a> {
    let prices = prices.unwrap_or_default();
    let account = faults
        .keep("prices.account", optional_account_from_pb(prices.account))
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
    let price_time = price_time.and_then(|time| faults.keep("prices.price_time", time));
    Prices {
        selector: Selector {
            rate_card: prices.rate_card,
            revision: prices.revision,
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
        credits: quote.credits().to_string(),
        display_credits: quote.shown().to_string(),
        rate_card: card.name().to_owned(),
        revision: card.revision().to_string(),
        lines,
    }
}

fn line_to_pb(line: Line) -> pb::EstimateLine {
    pb::EstimateLine {
        description: line.description,
        quantity: line.quantity,
        unit: line.unit,
        unit_credits: line.unit_credits.to_string(),
        credits: line.credits.to_string(),
    }
}

/// Whether an account could pay.
#[must_use]
pub fn affordability_to_pb(affordability: &Affordability) -> pb::Affordability {
    pb::Affordability {
        sufficient: affordability.sufficient(),
        available: affordability.available.to_string(),
        shortfall: affordability.shortfall.to_string(),
    }
}

/// A rate card.
#[must_use]
pub fn rate_card_to_pb(card: &Card) -> pb::GetRateCardResponse {
    pb::GetRateCardResponse {
        rate_card: card.name().to_owned(),
        revision: card.revision().to_string(),
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
