//! Conversions of `pricing.proto`.

use prost_types::Timestamp;

use super::{credits_to_pb, given_from_parts, optional_account_from_pb, timestamp_from_pb};
use crate::domain::ledger::Affordability;
use crate::domain::pricing::{Given, Line, PriceTerms, Quote, Selector, Usage};
use crate::domain::{AccountName, FieldViolations, Violation};
use crate::rpc::pb::creditd::v1 as pb;

/// A usage. Its violations are found when it is priced.
#[must_use]
pub fn usage_from_pb(usage: &pb::Usage) -> Usage<'_> {
    Usage {
        service: &usage.service,
        quantity: match &usage.quantity {
            None => Given::Nothing,
            Some(pb::usage::Quantity::Count(count)) => Given::Count(*count),
            Some(pb::usage::Quantity::Duration(time)) => given_from_parts(time.seconds, time.nanos),
        },
        attributes: (&usage.attributes).into(),
        meters: (&usage.meters).into(),
    }
}

/// The fields of an `EstimateRequest`, however it was read.
#[derive(Clone, Debug, Default)]
pub struct EstimateParts<'a> {
    /// The work.
    pub usage: Option<Usage<'a>>,
    /// Which prices.
    pub prices: PricesParts<'a>,
    /// Whether to return how the cost adds up.
    pub explain: bool,
    /// Whether to return if the account can pay.
    pub check_balance: bool,
}

impl<'a> From<&'a pb::EstimateRequest> for EstimateParts<'a> {
    fn from(request: &'a pb::EstimateRequest) -> Self {
        Self {
            usage: request.usage.as_ref().map(usage_from_pb),
            prices: PricesParts::of(request.prices.as_ref()),
            explain: request.explain,
            check_balance: request.check_balance,
        }
    }
}

/// The fields of a `PriceSelector`, however it was read.
#[derive(Clone, Copy, Debug, Default)]
pub struct PricesParts<'a> {
    /// Whose prices.
    pub account: &'a str,
    /// By which card.
    pub rate_card: &'a str,
    /// By which revision of it.
    pub revision: &'a str,
    /// In force at which time.
    pub price_time: Option<Timestamp>,
}

impl<'a> PricesParts<'a> {
    /// The fields of a request's selector, where it has one.
    #[must_use]
    pub fn of(prices: Option<&'a pb::PriceSelector>) -> Self {
        prices.map_or_else(Self::default, |prices| Self {
            account: &prices.account,
            rate_card: &prices.rate_card,
            revision: &prices.revision,
            price_time: prices.price_time,
        })
    }
}

/// A `PriceSelector`.
pub struct Prices<'a> {
    /// Which prices.
    pub selector: Selector<'a>,
    /// Whose prices, where it says.
    pub account: Option<AccountName>,
}

/// The `PriceSelector` of a request; what is wrong with it is added to `violations`.
pub fn prices_from_pb<'a>(
    prices: PricesParts<'a>,
    check_balance: bool,
    violations: &mut FieldViolations,
) -> Prices<'a> {
    let account = violations
        .check("prices.account", optional_account_from_pb(prices.account))
        .flatten();
    if check_balance && prices.account.is_empty() {
        violations.add("prices.account", Violation::Required);
    }
    let price_time = prices.price_time.as_ref().map(|time| {
        if prices.revision.is_empty() {
            return timestamp_from_pb(time);
        }
        Err(Violation::ConflictingFields {
            other: "prices.revision",
        })
    });
    let price_time = price_time.and_then(|time| violations.check("prices.price_time", time));
    Prices {
        selector: Selector {
            rate_card: prices.rate_card,
            revision: prices.revision,
            price_time,
        },
        account,
    }
}

/// A usage that was priced by these terms; where the usage is given, how it adds up.
#[must_use]
pub fn estimate_to_pb(
    terms: &PriceTerms<'_>,
    quote: &Quote<'_>,
    account_known: bool,
    to_explain: Option<&Usage<'_>>,
) -> pb::Estimate {
    let lines = to_explain.map_or_else(Vec::new, |usage| terms.lines(quote, usage));
    let lines = lines.into_iter().map(line_to_pb).collect();
    pb::Estimate {
        service: quote.service().key.to_string(),
        credits: credits_to_pb(quote.credits()),
        display_credits: credits_to_pb(quote.shown()),
        rate_card: terms.card().name().to_owned(),
        revision: terms.revision(quote).into_owned(),
        lines,
        account_known,
    }
}

fn line_to_pb(line: Line) -> pb::EstimateLine {
    pb::EstimateLine {
        description: line.description,
        quantity: line.quantity,
        unit: line.unit,
        unit_credits: credits_to_pb(line.unit_credits),
        credits: credits_to_pb(line.credits),
        key: line.key,
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
