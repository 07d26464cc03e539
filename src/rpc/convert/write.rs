//! Conversions of `ledger.proto`: writes. A request becomes a form, with all that is wrong with
//! it whatever the time, the prices and the account are; what was written becomes the reply.

use std::collections::BTreeMap;

use super::account::updated_account_to_pb;
use super::ledger::{entry_to_pb, hold_to_pb};
use super::pricing::{PricesParts, prices_from_pb, usage_from_pb};
use super::{credits_to_pb, duration_nanos, timestamp_from_pb};
use crate::app::{CostForm, HOLD_TTL_SECONDS_DEFAULT, HOLD_TTL_SECONDS_MAX, WriteForm, Written};
use crate::domain::amount::AmountError;
use crate::domain::ledger::{AccountId, Action, GrantAction, Named, Overage, UpdateAction};
use crate::domain::names::{
    SERVICE_BYTES_MAX, VALUE_BYTES_MAX, check_length, check_pairs, repeated,
};
use crate::domain::pricing::Usage;
use crate::domain::{AccountName, Credits, FieldViolations, Labels, RequestId, Violation};
use crate::rpc::pb::creditd::v1 as pb;

/// Most services that a grant may be restricted to.
pub const GRANT_SERVICES_MAX: usize = 100;
const NANOS_PER_SECOND: i64 = 1_000_000_000;
const TTL_NANOS_MAX: i64 = HOLD_TTL_SECONDS_MAX * NANOS_PER_SECOND;
const TTL_NANOS_DEFAULT: i64 = HOLD_TTL_SECONDS_DEFAULT * NANOS_PER_SECOND;

/// For the verbs whose entry has the labels of their hold.
static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();

/// How the amount of a verb is read: a settlement may be "0".
type ParseAmount = fn(&str) -> Result<Credits, AmountError>;

/// The oneof `what` of a request that has something to pay for.
#[derive(Clone, Copy, Debug)]
pub enum Work<'a> {
    /// A usage.
    Usage(Usage<'a>),
    /// An amount, as it was written.
    Credits(&'a str),
}

/// The same, of the type that the schema generates for each such request.
macro_rules! work {
    ($request:ident, $oneof:ident) => {
        $request.what.as_ref().map(|what| match what {
            pb::$oneof::What::Usage(usage) => Work::Usage(usage_from_pb(usage)),
            pb::$oneof::What::Credits(text) => Work::Credits(text),
        })
    };
}

/// The fields of a `ChargeRequest`, however it was read.
#[derive(Clone, Copy, Debug)]
pub struct ChargeParts<'a> {
    /// The idempotency key.
    pub request_id: &'a str,
    /// Who pays.
    pub account: &'a str,
    /// For what.
    pub work: Option<Work<'a>>,
    /// By which prices.
    pub prices: PricesParts<'a>,
    /// Kept with the entry.
    pub labels: &'a BTreeMap<String, String>,
}

impl Default for ChargeParts<'_> {
    fn default() -> Self {
        Self {
            request_id: "",
            account: "",
            work: None,
            prices: PricesParts::default(),
            labels: &NO_LABELS,
        }
    }
}

impl<'a> From<&'a pb::ChargeRequest> for ChargeParts<'a> {
    fn from(request: &'a pb::ChargeRequest) -> Self {
        Self {
            request_id: &request.request_id,
            account: &request.account,
            work: work!(request, charge_request),
            prices: PricesParts::of(request.prices.as_ref()),
            labels: &request.labels,
        }
    }
}

/// Replies of writes, each with its parts of what was written.
macro_rules! replies {
    ($($reply:ident { $($part:ident),+ })+) => {$(
        impl From<&Written> for pb::$reply {
            fn from(written: &Written) -> Self {
                Self { $($part: part_to_pb!($part, written)),+ }
            }
        }
    )+};
}

macro_rules! part_to_pb {
    (entry, $written:ident) => {
        Some(entry_to_pb(&$written.entry))
    };
    (hold, $written:ident) => {
        hold_part($written)
    };
    (available, $written:ident) => {
        credits_to_pb($written.available)
    };
    (account, $written:ident) => {
        updated_account_to_pb($written)
    };
    (replayed, $written:ident) => {
        $written.replayed
    };
}

replies! {
    GrantResponse { entry, available, replayed }
    ChargeResponse { entry, available, replayed }
    RefundResponse { entry, available, replayed }
    HoldResponse { hold, available, replayed }
    ExtendHoldResponse { hold, replayed }
    SettleHoldResponse { entry, hold, available, replayed }
    ReleaseHoldResponse { hold, available, replayed }
    RevokeGrantResponse { entry, available, replayed }
    UpdateAccountResponse { account, replayed }
}

fn hold_part(written: &Written) -> Option<pb::HoldState> {
    let hold = written.entry.hold.as_deref();
    hold.map(|hold| hold_to_pb(hold, &written.entry.account))
}

/// What every write has.
struct Head {
    request_id: Option<RequestId>,
    account: Option<AccountName>,
    /// Whose prices are asked for, where an account is named.
    priced_account: Option<AccountName>,
    violations: FieldViolations,
}

impl Head {
    fn from_pb(request_id: &str, account: &str) -> Self {
        let mut violations = FieldViolations::new();
        Self {
            request_id: violations.check("request_id", RequestId::new(request_id)),
            account: violations.check("account", AccountName::new(account)),
            priced_account: None,
            violations,
        }
    }

    /// What a write names on its account. Where it is missing, nothing stands in its place.
    fn id<T: AccountId>(&mut self, field: &'static str, text: &str) -> Named<T> {
        let named = id_from_pb(field, text, self.account.as_ref(), &mut self.violations);
        named.unwrap_or_else(|| Named::read("", None))
    }

    fn form<'a>(
        mut self,
        action: Action<CostForm<'a>>,
        labels: &BTreeMap<String, String>,
    ) -> WriteForm<'a> {
        let labels = match labels.is_empty() {
            true => None,
            false => self.violations.check("labels", Labels::new(labels.iter())),
        };
        WriteForm {
            request_id: self.request_id,
            account: self.account,
            priced_account: self.priced_account,
            labels: labels.unwrap_or_default(),
            action,
            violations: self.violations,
        }
    }
}

/// A `GrantRequest`.
#[must_use]
pub fn grant_from_pb(request: &pb::GrantRequest) -> WriteForm<'_> {
    let mut head = Head::from_pb(&request.request_id, &request.account);
    let violations = &mut head.violations;
    let credits = amount_from_pb(&request.credits, Credits::parse_positive);
    let credits = violations.check("credits", credits);
    let expire_time = request.expire_time.as_ref().map(timestamp_from_pb);
    let expire_time = expire_time.and_then(|time| violations.check("expire_time", time));
    violations.check("source", check_length(&request.source, 0, VALUE_BYTES_MAX));
    let services = violations.check("services", services_from_pb(&request.services));
    let action = Action::Grant(GrantAction {
        credits: credits.unwrap_or_default(),
        expire_time,
        priority: request.priority,
        source: request.source.as_str().into(),
        services: services.unwrap_or_default(),
        violations: FieldViolations::new(),
    });
    head.form(action, &request.labels)
}

/// A `ChargeRequest`.
#[must_use]
pub fn charge_from_parts<'a>(parts: &ChargeParts<'a>) -> WriteForm<'a> {
    let mut head = Head::from_pb(parts.request_id, parts.account);
    let cost = cost_from_pb(parts.work, parts.prices, Credits::parse_positive, &mut head);
    head.form(Action::Charge(cost), parts.labels)
}

/// A `RefundRequest`.
#[must_use]
pub fn refund_from_pb(request: &pb::RefundRequest) -> WriteForm<'_> {
    let mut head = Head::from_pb(&request.request_id, &request.account);
    let entry = head.id("entry_id", &request.entry_id);
    let violations = &mut head.violations;
    let credits = request
        .credits
        .as_ref()
        .and_then(|text| violations.check("credits", parsed_amount(text, Credits::parse_positive)));
    head.form(Action::Refund { entry, credits }, &request.labels)
}

/// A `HoldRequest`.
#[must_use]
pub fn hold_from_pb(request: &pb::HoldRequest) -> WriteForm<'_> {
    let mut head = Head::from_pb(&request.request_id, &request.account);
    let work = work!(request, hold_request);
    let prices = PricesParts::of(request.prices.as_ref());
    let cost = cost_from_pb(work, prices, Credits::parse_positive, &mut head);
    let ttl_nanos = match &request.ttl {
        Some(ttl) => ttl_from_pb(ttl),
        None => Ok(TTL_NANOS_DEFAULT),
    };
    let ttl_nanos = head.violations.check("ttl", ttl_nanos).unwrap_or_default();
    head.form(Action::Hold { cost, ttl_nanos }, &request.labels)
}

/// An `ExtendHoldRequest`.
#[must_use]
pub fn extend_from_pb(request: &pb::ExtendHoldRequest) -> WriteForm<'_> {
    let mut head = Head::from_pb(&request.request_id, &request.account);
    let hold = head.id("hold_id", &request.hold_id);
    let ttl = request.ttl.as_ref().ok_or(Violation::Required);
    let ttl_nanos = head.violations.check("ttl", ttl.and_then(ttl_from_pb));
    let action = Action::ExtendHold {
        hold,
        ttl_nanos: ttl_nanos.unwrap_or_default(),
    };
    head.form(action, &NO_LABELS)
}

/// A `SettleHoldRequest`.
#[must_use]
pub fn settle_from_pb(request: &pb::SettleHoldRequest) -> WriteForm<'_> {
    let mut head = Head::from_pb(&request.request_id, &request.account);
    let hold = head.id("hold_id", &request.hold_id);
    let work = work!(request, settle_hold_request);
    let prices = PricesParts::of(request.prices.as_ref());
    let cost = cost_from_pb(work, prices, Credits::parse, &mut head);
    let overage = head
        .violations
        .check("overage", overage_from_pb(request.overage));
    let action = Action::SettleHold {
        hold,
        cost,
        keep_open: request.keep_open,
        overage: overage.unwrap_or(Overage::Reject),
    };
    head.form(action, &request.labels)
}

/// A `ReleaseHoldRequest`.
#[must_use]
pub fn release_from_pb(request: &pb::ReleaseHoldRequest) -> WriteForm<'_> {
    let mut head = Head::from_pb(&request.request_id, &request.account);
    let hold = head.id("hold_id", &request.hold_id);
    head.form(Action::ReleaseHold { hold }, &NO_LABELS)
}

/// A `RevokeGrantRequest`.
#[must_use]
pub fn revoke_from_pb(request: &pb::RevokeGrantRequest) -> WriteForm<'_> {
    let mut head = Head::from_pb(&request.request_id, &request.account);
    let grant = head.id("grant_id", &request.grant_id);
    head.form(Action::RevokeGrant { grant }, &request.labels)
}

/// An `UpdateAccountRequest`. Fields outside of the mask are not read.
#[must_use]
pub fn update_from_pb(request: &pb::UpdateAccountRequest) -> WriteForm<'_> {
    let mut violations = FieldViolations::new();
    let request_id = violations.check("request_id", RequestId::new(&request.request_id));
    let name = request.account.as_ref().map_or("", |a| &a.account);
    let name = violations.check("account.account", AccountName::new(name));
    let paths = request.update_mask.as_ref();
    let paths = paths.map_or(&[][..], |mask| &mask.paths);
    violations.check("update_mask", check_mask(paths));
    let mut update = UpdateAction {
        allow_missing: request.allow_missing,
        ..UpdateAction::default()
    };
    if let Some(account) = &request.account {
        let is_set = |field: &str| paths.iter().any(|path| path == field);
        if is_set(RATE_CARD) {
            update.rate_card = Some(account.rate_card.as_str().into());
        }
        if is_set(ATTRIBUTES) {
            let pairs = check_pairs(account.attributes.iter());
            let pairs = violations.check("account.attributes", pairs);
            update.attributes = pairs.map(|()| account.attributes.clone());
        }
        if is_set(LABELS) {
            let labels = Labels::new(account.labels.iter());
            update.labels = violations.check("account.labels", labels);
        }
    }
    WriteForm {
        request_id,
        account: name,
        priced_account: None,
        labels: Labels::default(),
        action: Action::UpdateAccount(Box::new(update)),
        violations,
    }
}

/// What an update can set.
const RATE_CARD: &str = "rate_card";
const ATTRIBUTES: &str = "attributes";
const LABELS: &str = "labels";

fn check_mask(paths: &[String]) -> Result<(), Violation> {
    let is_known = |path: &String| [RATE_CARD, ATTRIBUTES, LABELS].contains(&path.as_str());
    match !paths.is_empty() && paths.iter().all(is_known) {
        true => Ok(()),
        false => Err(Violation::InvalidMask {
            paths: repeated(&paths.join(",")),
        }),
    }
}

fn amount_from_pb(text: &str, parse: ParseAmount) -> Result<Credits, Violation> {
    match text {
        "" => Err(Violation::Required),
        text => parsed_amount(text, parse),
    }
}

fn parsed_amount(text: &str, parse: ParseAmount) -> Result<Credits, Violation> {
    parse(text).map_err(|violation| Violation::InvalidAmount {
        value: repeated(text),
        error: violation,
    })
}

/// A set of service keys: their order and repetitions mean nothing.
fn services_from_pb(services: &[String]) -> Result<Vec<Box<str>>, Violation> {
    if services.len() > GRANT_SERVICES_MAX {
        return Err(Violation::TooManyItems {
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

/// What is to be paid for, and by which prices.
fn cost_from_pb<'a>(
    work: Option<Work<'a>>,
    prices: PricesParts<'a>,
    parse: ParseAmount,
    head: &mut Head,
) -> CostForm<'a> {
    let violations = &mut head.violations;
    let usage = match work {
        None => {
            violations.add("usage", Violation::Required);
            None
        }
        Some(Work::Usage(usage)) => {
            violations.merge(usage.own_violations().under("usage."));
            Some(usage)
        }
        Some(Work::Credits(_)) => None,
    };
    let credits = match work {
        Some(Work::Credits(text)) => violations.check("credits", amount_from_pb(text, parse)),
        _ => None,
    };
    let prices = prices_from_pb(prices, false, violations);
    if let (Some(other), Some(payer)) = (&prices.account, &head.account)
        && payer != other
    {
        let other = "account";
        violations.add("prices.account", Violation::ConflictingFields { other });
    }
    head.priced_account = prices.account;
    let prices = prices.selector;
    match usage {
        Some(usage) => CostForm::Usage { usage, prices },
        None => {
            if matches!(work, Some(Work::Credits(_))) && !prices.is_default() {
                // An amount has no price: what was meant would be a guess.
                violations.add("prices", Violation::ConflictingFields { other: "credits" });
            }
            CostForm::Credits(credits.unwrap_or_default())
        }
    }
}

/// More than 0 and at most 24 h.
fn ttl_from_pb(ttl: &prost_types::Duration) -> Result<i64, Violation> {
    let nanos = duration_nanos(ttl).and_then(|nanos| i64::try_from(nanos).ok());
    match nanos {
        Some(nanos) if (1..=TTL_NANOS_MAX).contains(&nanos) => Ok(nanos),
        _ => Err(Violation::InvalidTtl {
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

fn overage_from_pb(value: i32) -> Result<Overage, Violation> {
    match pb::Overage::try_from(value) {
        Ok(pb::Overage::Unspecified | pb::Overage::Reject) => Ok(Overage::Reject),
        Ok(pb::Overage::FromAvailable) => Ok(Overage::FromAvailable),
        Err(_) => Err(Violation::UnknownValue { value }),
    }
}

/// What a caller names on an account.
pub fn id_from_pb<T: AccountId>(
    field: &'static str,
    text: &str,
    account: Option<&AccountName>,
    violations: &mut FieldViolations,
) -> Option<Named<T>> {
    if text.is_empty() {
        violations.add(field, Violation::Required);
        return None;
    }
    Some(Named::read(text, account))
}
