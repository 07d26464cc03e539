//! Conversions of `ledger.proto`: what callers ask the ledger to do. What is wrong
//! with a request, whatever the time, the prices and the account are, is collected in
//! its form.

use super::duration_nanos;
use super::pricing::{SelectorText, prices_from_text, selector_from_pb, usage_from_pb};
use crate::app::{
    ChargeForm, CostForm, GrantForm, HOLD_TTL_SECONDS_DEFAULT, HOLD_TTL_SECONDS_MAX, HoldForm,
    SettleForm, What, WriteForm,
};
use crate::domain::amount::AmountFault;
use crate::domain::ledger::{AccountId, EntryId, GrantId, HoldId, Named, Overage};
use crate::domain::names::{SERVICE_BYTES_MAX, VALUE_BYTES_MAX, check_length, repeated};
use crate::domain::pricing::Usage;
use crate::domain::{AccountName, Credits, Fault, Faults, Labels, RequestId};
use crate::rpc::pb::creditd::v1 as pb;

/// Most services that a grant may be restricted to.
pub const GRANT_SERVICES_MAX: usize = 100;
const NANOS_PER_SECOND: i64 = 1_000_000_000;
const TTL_NANOS_MAX: i64 = HOLD_TTL_SECONDS_MAX * NANOS_PER_SECOND;
const TTL_NANOS_DEFAULT: i64 = HOLD_TTL_SECONDS_DEFAULT * NANOS_PER_SECOND;

/// What every write has.
fn write_from_pb(request_id: &str, account: &str) -> WriteForm {
    let mut faults = Faults::new();
    WriteForm {
        request_id: faults.keep("request_id", RequestId::new(request_id)),
        account: faults.keep("account", AccountName::new(account)),
        labels: Labels::default(),
        faults,
    }
}

impl WriteForm {
    fn labelled(mut self, labels: &std::collections::BTreeMap<String, String>) -> Self {
        if !labels.is_empty() {
            let labels = self.faults.keep("labels", Labels::new(labels.iter()));
            self.labels = labels.unwrap_or_default();
        }
        self
    }
}

/// A request to add credits.
#[must_use]
pub fn grant_from_pb(request: &pb::GrantRequest) -> GrantForm {
    let mut write = write_from_pb(&request.request_id, &request.account);
    let faults = &mut write.faults;
    let credits = faults.keep(
        "credits",
        amount_from_pb(&request.credits, Credits::parse_positive),
    );
    let expire_time = request.expire_time.as_ref().map(super::timestamp_from_pb);
    let expire_time = expire_time.and_then(|time| faults.keep("expire_time", time));
    faults.keep("source", check_length(&request.source, 0, VALUE_BYTES_MAX));
    let services = faults.keep("services", services_from_pb(&request.services));
    GrantForm {
        write: write.labelled(&request.labels),
        credits,
        expire_time,
        priority: request.priority,
        source: request.source.as_str().into(),
        services: services.unwrap_or_default(),
    }
}

fn amount_from_pb(
    text: &str,
    parse: fn(&str) -> Result<Credits, AmountFault>,
) -> Result<Credits, Fault> {
    if text.is_empty() {
        return Err(Fault::Required);
    }
    parse(text).map_err(|fault| Fault::InvalidAmount {
        value: repeated(text),
        fault,
    })
}

/// A set of service keys: their order and repetitions mean nothing.
fn services_from_pb(services: &[String]) -> Result<Vec<Box<str>>, Fault> {
    if services.len() > GRANT_SERVICES_MAX {
        return Err(Fault::TooManyItems {
            size: services.len(),
            limit: GRANT_SERVICES_MAX,
        });
    }
    for service in services {
        check_length(service, 1, SERVICE_BYTES_MAX)?;
    }
    let mut services: Vec<Box<str>> = services.iter().map(|s| s.as_str().into()).collect();
    services.sort_unstable();
    services.dedup();
    Ok(services)
}

/// What is to be paid for, as it comes.
#[derive(Clone, Copy, Debug, Default)]
pub enum Asked<'a> {
    /// Work.
    Usage(Usage<'a>),
    /// An amount.
    Credits(&'a str),
    /// It does not say.
    #[default]
    Nothing,
}

fn cost_from_text<'a>(
    asked: &Asked<'a>,
    parse: fn(&str) -> Result<Credits, AmountFault>,
    prices: Option<SelectorText<'a>>,
    write: &mut WriteForm,
) -> CostForm<'a> {
    let faults = &mut write.faults;
    let what = match asked {
        Asked::Nothing => {
            faults.add("usage", Fault::Required);
            None
        }
        Asked::Usage(usage) => {
            faults.merge(usage.own_faults().under("usage."));
            Some(What::Usage(*usage))
        }
        Asked::Credits(text) => faults
            .keep("credits", amount_from_pb(text, parse))
            .map(What::Credits),
    };
    let prices = prices_from_text(prices, false, faults);
    if let Some(other) = prices.account
        && write.account.as_ref().is_some_and(|payer| *payer != other)
    {
        faults.add(
            "prices.account",
            Fault::ConflictingFields { other: "account" },
        );
    }
    if matches!(asked, Asked::Credits(_)) && !prices.selector.is_default() {
        // An amount has no price: what was meant would be a guess.
        faults.add("prices", Fault::ConflictingFields { other: "credits" });
    }
    CostForm {
        what,
        prices: prices.selector,
    }
}

/// A `ChargeRequest` without its labels, as it came.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChargeText<'a> {
    /// The caller's name of it.
    pub request_id: &'a str,
    /// Whose credits.
    pub account: &'a str,
    /// What is to be paid for.
    pub what: Asked<'a>,
    /// By which prices.
    pub prices: Option<SelectorText<'a>>,
}

/// A request to pay for work.
#[must_use]
pub fn charge_from_pb(request: &pb::ChargeRequest) -> ChargeForm<'_> {
    use pb::charge_request::What as Pb;
    let mut form = charge_from_text(&ChargeText {
        request_id: &request.request_id,
        account: &request.account,
        what: match &request.what {
            Some(Pb::Usage(usage)) => Asked::Usage(usage_from_pb(usage)),
            Some(Pb::Credits(text)) => Asked::Credits(text),
            None => Asked::Nothing,
        },
        prices: request.prices.as_ref().map(selector_from_pb),
    });
    form.write = form.write.labelled(&request.labels);
    form
}

/// The same, of a request that need not be a message and has no labels.
#[must_use]
pub fn charge_from_text<'a>(text: &ChargeText<'a>) -> ChargeForm<'a> {
    let mut write = write_from_pb(text.request_id, text.account);
    let cost = cost_from_text(&text.what, Credits::parse_positive, text.prices, &mut write);
    ChargeForm { write, cost }
}

/// A request to set credits aside.
#[must_use]
pub fn hold_from_pb(request: &pb::HoldRequest) -> HoldForm<'_> {
    use pb::hold_request::What as Pb;
    let asked = match &request.what {
        Some(Pb::Usage(usage)) => Asked::Usage(usage_from_pb(usage)),
        Some(Pb::Credits(text)) => Asked::Credits(text),
        None => Asked::Nothing,
    };
    let mut write = write_from_pb(&request.request_id, &request.account);
    let prices = request.prices.as_ref().map(selector_from_pb);
    let cost = cost_from_text(&asked, Credits::parse_positive, prices, &mut write);
    let ttl_nanos = match &request.ttl {
        Some(ttl) => write.faults.keep("ttl", ttl_from_pb(ttl)),
        None => Some(TTL_NANOS_DEFAULT),
    };
    HoldForm {
        write: write.labelled(&request.labels),
        cost,
        ttl_nanos,
    }
}

/// More than 0 and at most 24 h.
fn ttl_from_pb(ttl: &prost_types::Duration) -> Result<i64, Fault> {
    let nanos = duration_nanos(ttl).and_then(|nanos| i64::try_from(nanos).ok());
    match nanos {
        Some(nanos) if (1..=TTL_NANOS_MAX).contains(&nanos) => Ok(nanos),
        _ => Err(Fault::InvalidTtl {
            value: ttl_text(ttl).into(),
            limit_seconds: HOLD_TTL_SECONDS_MAX,
        }),
    }
}

fn ttl_text(ttl: &prost_types::Duration) -> String {
    match ttl.nanos {
        0 => format!("{} s", ttl.seconds),
        nanos => format!("{} s and {nanos} ns", ttl.seconds),
    }
}

/// A request to set the end of a hold anew.
#[must_use]
pub fn extend_from_pb(
    request: &pb::ExtendHoldRequest,
) -> (WriteForm, Option<Named<HoldId>>, Option<i64>) {
    let mut write = write_from_pb(&request.request_id, &request.account);
    let hold = write_id("hold_id", &request.hold_id, &mut write);
    let ttl = request.ttl.as_ref().ok_or(Fault::Required);
    let ttl_nanos = write.faults.keep("ttl", ttl.and_then(ttl_from_pb));
    (write, hold, ttl_nanos)
}

/// A request to pay out of a hold.
#[must_use]
pub fn settle_from_pb(request: &pb::SettleHoldRequest) -> SettleForm<'_> {
    use pb::settle_hold_request::What as Pb;
    let asked = match &request.what {
        Some(Pb::Usage(usage)) => Asked::Usage(usage_from_pb(usage)),
        Some(Pb::Credits(text)) => Asked::Credits(text),
        None => Asked::Nothing,
    };
    let mut write = write_from_pb(&request.request_id, &request.account);
    let hold = write_id("hold_id", &request.hold_id, &mut write);
    let prices = request.prices.as_ref().map(selector_from_pb);
    let cost = cost_from_text(&asked, Credits::parse, prices, &mut write);
    let overage = write
        .faults
        .keep("overage", overage_from_pb(request.overage));
    SettleForm {
        write: write.labelled(&request.labels),
        hold,
        cost,
        keep_open: request.keep_open,
        overage: overage.unwrap_or(Overage::Reject),
    }
}

fn overage_from_pb(value: i32) -> Result<Overage, Fault> {
    match pb::Overage::try_from(value) {
        Ok(pb::Overage::Unspecified | pb::Overage::Reject) => Ok(Overage::Reject),
        Ok(pb::Overage::FromAvailable) => Ok(Overage::FromAvailable),
        Err(_) => Err(Fault::UnknownValue { value }),
    }
}

/// A request to return what a hold keeps.
#[must_use]
pub fn release_from_pb(request: &pb::ReleaseHoldRequest) -> (WriteForm, Option<Named<HoldId>>) {
    let mut write = write_from_pb(&request.request_id, &request.account);
    let hold = write_id("hold_id", &request.hold_id, &mut write);
    (write, hold)
}

/// A request to give back a charge.
#[must_use]
pub fn refund_from_pb(
    request: &pb::RefundRequest,
) -> (WriteForm, Option<Named<EntryId>>, Option<Credits>) {
    let mut write = write_from_pb(&request.request_id, &request.account);
    let entry = write_id("entry_id", &request.entry_id, &mut write);
    let credits = request.credits.as_ref().and_then(|text| {
        let amount = Credits::parse_positive(text).map_err(|fault| Fault::InvalidAmount {
            value: repeated(text),
            fault,
        });
        write.faults.keep("credits", amount)
    });
    (write.labelled(&request.labels), entry, credits)
}

/// A request to take a grant back.
#[must_use]
pub fn revoke_from_pb(request: &pb::RevokeGrantRequest) -> (WriteForm, Option<Named<GrantId>>) {
    let mut write = write_from_pb(&request.request_id, &request.account);
    let grant = write_id("grant_id", &request.grant_id, &mut write);
    (write.labelled(&request.labels), grant)
}

/// What a write names on its account.
fn write_id<T: AccountId>(
    field: &'static str,
    text: &str,
    write: &mut WriteForm,
) -> Option<Named<T>> {
    id_from_pb(field, text, write.account.as_ref(), &mut write.faults)
}

/// What a caller names on an account.
pub fn id_from_pb<T: AccountId>(
    field: &'static str,
    text: &str,
    account: Option<&AccountName>,
    faults: &mut Faults,
) -> Option<Named<T>> {
    if text.is_empty() {
        faults.add(field, Fault::Required);
        return None;
    }
    Some(Named::read(text, account))
}
