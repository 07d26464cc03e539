//! The form of requests: what is wrong with their fields whatever the time, the
//! prices and the account are, and what their bodies mean.

use std::collections::BTreeMap;

use creditd::domain::Credits;
use creditd::rpc::pb::creditd::v1 as pb;

use super::prices::own_faults;
use super::refusal::Faults;
use crate::ledger::call::{HOUR, Nanos, length_of, nanos_of};

/// What a request means, but for its request_id and account: a field that is left
/// out is its default.
pub type Body = BTreeMap<&'static str, String>;

/// What to charge, hold or settle.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Usage(pb::Usage),
    Credits(i64),
}

/// The fields that all requests have.
pub fn caller(faults: &mut Faults, id: &str, account: &str) {
    request_id(faults, id);
    account_name(faults, "account", account);
}

pub fn request_id(faults: &mut Faults, request_id: &str) {
    let printable = request_id.bytes().all(|byte| (32..127).contains(&byte));
    if request_id.is_empty() {
        faults.add("request_id", "FIELD_REQUIRED");
    } else if request_id.len() > 256 || !printable {
        faults.add("request_id", "INVALID_REQUEST_ID");
    }
}

pub fn account_name(faults: &mut Faults, path: &str, name: &str) {
    let allowed = |byte: u8| (33..127).contains(&byte) && byte != b'"' && byte != b'\\';
    if name.is_empty() {
        faults.add(path, "FIELD_REQUIRED");
    } else if name.len() > 128 || !name.bytes().all(allowed) {
        faults.add(path, "INVALID_ACCOUNT");
    }
}

/// An amount; 0 where it is bad.
pub fn credits(faults: &mut Faults, text: &str, may_be_zero: bool) -> i64 {
    if text.is_empty() {
        faults.add("credits", "FIELD_REQUIRED");
        return 0;
    }
    match Credits::parse(text) {
        Ok(credits) if may_be_zero || credits != Credits::ZERO => credits.nanos(),
        _ => {
            faults.add("credits", "INVALID_AMOUNT");
            0
        }
    }
}

/// The id of something.
pub fn id(faults: &mut Faults, path: &'static str, text: &str) {
    if text.is_empty() {
        faults.add(path, "FIELD_REQUIRED");
    }
}

/// A time in the years 1 to 9999.
pub fn time(
    faults: &mut Faults,
    path: &'static str,
    time: Option<&prost_types::Timestamp>,
) -> Option<Nanos> {
    let time = time?;
    let years = -62_135_596_800..=253_402_300_799;
    if years.contains(&time.seconds) && (0..1_000_000_000).contains(&time.nanos) {
        return Some(nanos_of(time));
    }
    faults.add(path, "INVALID_TIME");
    None
}

/// How long a hold lasts.
pub fn ttl(faults: &mut Faults, ttl: &prost_types::Duration) -> Nanos {
    match length_of(ttl) {
        Some(length) if (1..=24 * HOUR).contains(&length) => length,
        _ => {
            faults.add("ttl", "INVALID_TTL");
            0
        }
    }
}

pub fn page_size(faults: &mut Faults, size: i32) -> usize {
    match size {
        ..0 => {
            faults.add("page_size", "INVALID_PAGE_SIZE");
            0
        }
        0 => 50,
        size => usize::try_from(size.min(1_000)).unwrap(),
    }
}

/// What to charge, hold or settle, and by which prices.
pub fn what(
    faults: &mut Faults,
    what: Option<What>,
    prices: Option<&pb::PriceSelector>,
    account: &str,
) -> (Option<What>, pb::PriceSelector) {
    let mut prices = prices.cloned().unwrap_or_default();
    match &what {
        None => faults.add("usage", "FIELD_REQUIRED"),
        Some(What::Usage(usage)) => faults.merge(own_faults(usage)),
        Some(What::Credits(_)) => {}
    }
    if !prices.account.is_empty() {
        let mut own = Faults::default();
        account_name(&mut own, "prices.account", &prices.account);
        if own.is_empty() && !faults.has("account") && prices.account != account {
            own.add("prices.account", "CONFLICTING_FIELDS");
        }
        faults.merge(own);
    }
    if prices.price_time.is_some() && !prices.revision.is_empty() {
        faults.add("prices.price_time", "CONFLICTING_FIELDS");
    } else if time(faults, "prices.price_time", prices.price_time.as_ref()).is_none() {
        // What else is wrong is told by the prices of now.
        prices.price_time = None;
    }
    // Left out, it is the account that pays.
    prices.account = String::new();
    if matches!(what, Some(What::Credits(_))) && prices != pb::PriceSelector::default() {
        faults.add("prices", "CONFLICTING_FIELDS");
    }
    (what, prices)
}

/// What a request says about what to charge, hold or settle.
pub fn what_body(body: &mut Body, what: Option<&What>, prices: &pb::PriceSelector) {
    match what {
        None => {}
        Some(What::Credits(credits)) => {
            body.insert("credits", credits.to_string());
        }
        Some(What::Usage(usage)) => {
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
