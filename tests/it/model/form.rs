//! The form of requests: what is wrong with their fields whatever the time, the
//! prices and the account are, and what their bodies mean.

use std::collections::BTreeMap;

use creditd::domain::Credits;
use creditd::rpc::pb::creditd::v1 as pb;

use super::prices::own_violations;
use super::refusal::FieldViolations;
use crate::ledger::time::{HOUR, Nanos, length_of, nanos_of};

/// What a request means, but for its request_id and account: a field that is left
/// out is its default.
pub type Body = BTreeMap<&'static str, String>;

/// What to charge, hold or settle.
#[derive(Clone, Debug, PartialEq)]
pub enum UsageOrCredits {
    Usage(pb::Usage),
    Credits(i64),
}

/// What is wrong with the fields that all writes have.
pub fn of_write(id: &str, account: &str) -> FieldViolations {
    let mut violations = FieldViolations::default();
    request_id(&mut violations, id);
    account_name(&mut violations, "account", account);
    violations
}

pub fn request_id(violations: &mut FieldViolations, request_id: &str) {
    let printable = request_id.bytes().all(|byte| (32..127).contains(&byte));
    if request_id.is_empty() {
        violations.add("request_id", "FIELD_REQUIRED");
    } else if request_id.len() > 256 || !printable {
        violations.add("request_id", "INVALID_REQUEST_ID");
    }
}

pub fn account_name(violations: &mut FieldViolations, path: &str, name: &str) {
    let allowed = |byte: u8| (33..127).contains(&byte) && byte != b'"' && byte != b'\\';
    if name.is_empty() {
        violations.add(path, "FIELD_REQUIRED");
    } else if name.len() > 128 || !name.bytes().all(allowed) {
        violations.add(path, "INVALID_ACCOUNT");
    }
}

/// An amount; 0 where it is bad.
pub fn credits(violations: &mut FieldViolations, text: &str, may_be_zero: bool) -> i64 {
    if text.is_empty() {
        violations.add("credits", "FIELD_REQUIRED");
        return 0;
    }
    match Credits::parse(text) {
        Ok(credits) if may_be_zero || credits != Credits::ZERO => credits.nanos(),
        _ => {
            violations.add("credits", "INVALID_AMOUNT");
            0
        }
    }
}

/// The id of something.
pub fn id(violations: &mut FieldViolations, path: &'static str, text: &str) {
    if text.is_empty() {
        violations.add(path, "FIELD_REQUIRED");
    }
}

/// A time in the years 1 to 9999.
pub fn time(
    violations: &mut FieldViolations,
    path: &'static str,
    time: Option<&prost_types::Timestamp>,
) -> Option<Nanos> {
    let time = time?;
    let years = -62_135_596_800..=253_402_300_799;
    if years.contains(&time.seconds) && (0..1_000_000_000).contains(&time.nanos) {
        return Some(nanos_of(time));
    }
    violations.add(path, "INVALID_TIME");
    None
}

/// How long a hold lasts.
pub fn ttl(violations: &mut FieldViolations, ttl: &prost_types::Duration) -> Nanos {
    match length_of(ttl) {
        Some(length) if (1..=24 * HOUR).contains(&length) => length,
        _ => {
            violations.add("ttl", "INVALID_TTL");
            0
        }
    }
}

pub fn page_size(violations: &mut FieldViolations, size: i32) -> usize {
    match size {
        ..0 => {
            violations.add("page_size", "INVALID_PAGE_SIZE");
            0
        }
        0 => 50,
        size => usize::try_from(size.min(1_000)).unwrap(),
    }
}

/// A usage or an amount as a request has it.
pub enum Requested<'a> {
    Usage(&'a pb::Usage),
    Credits(&'a str),
}

macro_rules! requested {
    ($($request:ident)*) => {$(
        impl<'a> From<&'a pb::$request::What> for Requested<'a> {
            fn from(requested: &'a pb::$request::What) -> Self {
                match requested {
                    pb::$request::What::Usage(usage) => Self::Usage(usage),
                    pb::$request::What::Credits(credits) => Self::Credits(credits),
                }
            }
        }
    )*};
}

requested!(charge_request hold_request settle_hold_request);

/// What to charge, hold or settle, and by which prices.
pub fn usage_or_credits<'a>(
    violations: &mut FieldViolations,
    requested: Option<impl Into<Requested<'a>>>,
    may_be_zero: bool,
    prices: Option<&pb::PriceSelector>,
    account: &str,
) -> (Option<UsageOrCredits>, pb::PriceSelector) {
    let mut prices = prices.cloned().unwrap_or_default();
    let requested = match requested.map(Into::into) {
        None => {
            violations.add("usage", "FIELD_REQUIRED");
            None
        }
        Some(Requested::Usage(usage)) => {
            violations.merge(own_violations(usage));
            Some(UsageOrCredits::Usage(usage.clone()))
        }
        Some(Requested::Credits(text)) => Some(UsageOrCredits::Credits(credits(
            violations,
            text,
            may_be_zero,
        ))),
    };
    if !prices.account.is_empty() {
        let mut own = FieldViolations::default();
        account_name(&mut own, "prices.account", &prices.account);
        if own.is_empty() && !violations.has("account") && prices.account != account {
            own.add("prices.account", "CONFLICTING_FIELDS");
        }
        violations.merge(own);
    }
    if prices.price_time.is_some() && !prices.revision.is_empty() {
        violations.add("prices.price_time", "CONFLICTING_FIELDS");
    } else if time(violations, "prices.price_time", prices.price_time.as_ref()).is_none() {
        // Other violations are those by the prices in force now.
        prices.price_time = None;
    }
    // Left out, it is the account that pays.
    prices.account = String::new();
    if matches!(requested, Some(UsageOrCredits::Credits(_)))
        && prices != pb::PriceSelector::default()
    {
        violations.add("prices", "CONFLICTING_FIELDS");
    }
    (requested, prices)
}

/// What a request says about what to charge, hold or settle.
pub fn describe_usage_or_credits(
    body: &mut Body,
    requested: Option<&UsageOrCredits>,
    prices: &pb::PriceSelector,
) {
    match requested {
        None => {}
        Some(UsageOrCredits::Credits(credits)) => {
            body.insert("credits", credits.to_string());
        }
        Some(UsageOrCredits::Usage(usage)) => {
            body.insert("usage.service", usage.service.clone());
            let quantity = match &usage.quantity {
                None => "1 pieces".to_owned(),
                Some(pb::usage::Quantity::Count(count)) => format!("{count} pieces"),
                Some(pb::usage::Quantity::Duration(length)) => format!("{length:?}"),
            };
            body.insert("usage.quantity", quantity);
            body.insert("usage.attributes", pairs_text(&usage.attributes));
            body.insert("usage.meters", pairs_text(&usage.meters));
        }
    }
    body.insert("prices", format!("{prices:?}"));
}

/// Pairs in the order of their keys.
pub fn pairs_text(pairs: &BTreeMap<String, String>) -> String {
    format!("{:?}", pairs.iter().collect::<BTreeMap<_, _>>())
}

/// A set in order.
pub fn set(items: &[String]) -> Vec<String> {
    let mut items = items.to_vec();
    items.sort_unstable();
    items.dedup();
    items
}
