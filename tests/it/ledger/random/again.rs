//! Calls that were answered before: sent again in other words of the same meaning, or
//! with a little something changed.

use creditd::rpc::pb::creditd::v1 as pb;

use super::super::call::{BEGINNING, Call, HOUR, duration, timestamp};
use super::rng::Rng;
use crate::model::{MAX, amount, text};

/// A call that means the same.
pub fn reworded(rng: &mut Rng, mut call: Call) -> Call {
    match &mut call {
        Call::Grant(request) => {
            request.credits = longer(&request.credits);
            request.services.reverse();
            if let Some(first) = request.services.first().cloned() {
                request.services.push(first);
            }
        }
        Call::Charge(request) => {
            use pb::charge_request::What;
            match &mut request.what {
                Some(What::Credits(credits)) => *credits = longer(credits),
                Some(What::Usage(usage)) => count_one(usage),
                None => {}
            }
            name_account(&mut request.prices, &request.account);
            // A charge alone and a charge in a batch are one verb.
            if rng.chance(300) {
                return Call::BatchCharge(pb::BatchChargeRequest {
                    charges: vec![request.clone(), request.clone()],
                });
            }
        }
        Call::Hold(request) => {
            use pb::hold_request::What;
            match &mut request.what {
                Some(What::Credits(credits)) => *credits = longer(credits),
                Some(What::Usage(usage)) => count_one(usage),
                None => {}
            }
            name_account(&mut request.prices, &request.account);
            request.ttl.get_or_insert(duration(HOUR));
        }
        Call::SettleHold(request) => {
            use pb::settle_hold_request::What;
            match &mut request.what {
                Some(What::Credits(credits)) => *credits = longer(credits),
                Some(What::Usage(usage)) => count_one(usage),
                None => {}
            }
            name_account(&mut request.prices, &request.account);
            if request.overage == 0 {
                request.overage = pb::Overage::Reject.into();
            }
        }
        Call::Refund(request) => {
            if let Some(credits) = &mut request.credits {
                *credits = longer(credits);
            }
        }
        _ => {}
    }
    call
}

/// A call that means a little something else. Some come out the same, which is as well.
pub fn altered(rng: &mut Rng, mut call: Call) -> Call {
    match &mut call {
        Call::Grant(request) => match rng.below(6) {
            0 => request.credits = more(&request.credits),
            1 => request.priority ^= 1,
            2 => request.source.push('s'),
            3 => request.services.push("image".to_owned()),
            4 => other_labels(&mut request.labels),
            _ => match &mut request.expire_time {
                Some(time) => time.nanos ^= 1,
                none => *none = Some(timestamp(BEGINNING)),
            },
        },
        Call::Charge(request) => {
            use pb::charge_request::What;
            match (rng.below(3), &mut request.what) {
                (0, _) => other_labels(&mut request.labels),
                (1, Some(What::Usage(_))) => other_prices(rng, &mut request.prices),
                (_, Some(What::Usage(usage))) => other_usage(rng, usage),
                (_, Some(What::Credits(credits))) => *credits = more(credits),
                (_, None) => {}
            }
        }
        Call::Hold(request) => {
            use pb::hold_request::What;
            match (rng.below(4), &mut request.what) {
                (0, _) => other_labels(&mut request.labels),
                (1, _) => request.ttl = Some(duration(HOUR + 1)),
                (2, Some(What::Usage(_))) => other_prices(rng, &mut request.prices),
                (_, Some(What::Usage(usage))) => other_usage(rng, usage),
                (_, Some(What::Credits(credits))) => *credits = more(credits),
                (_, None) => {}
            }
        }
        Call::SettleHold(request) => {
            use pb::settle_hold_request::What;
            match (rng.below(6), &mut request.what) {
                (0, _) => other_labels(&mut request.labels),
                (1, _) => request.keep_open ^= true,
                (2, _) => request.overage = 2 - request.overage,
                (3, _) => request.hold_id.push('x'),
                (4, Some(What::Usage(_))) => other_prices(rng, &mut request.prices),
                (_, Some(What::Usage(usage))) => other_usage(rng, usage),
                (_, Some(What::Credits(credits))) => *credits = more(credits),
                (_, None) => {}
            }
        }
        Call::Refund(request) => match rng.below(3) {
            0 => other_labels(&mut request.labels),
            1 => request.entry_id.push('x'),
            _ => match &mut request.credits {
                Some(credits) => *credits = more(credits),
                none => *none = Some("1".to_owned()),
            },
        },
        Call::RevokeGrant(request) => match rng.below(2) {
            0 => other_labels(&mut request.labels),
            _ => request.grant_id.push('x'),
        },
        Call::ExtendHold(request) => match rng.below(2) {
            0 => request.ttl = Some(duration(HOUR + 1)),
            _ => request.hold_id.push('x'),
        },
        Call::ReleaseHold(request) => request.hold_id.push('x'),
        _ => {}
    }
    call
}

/// A billionth more.
fn more(credits: &str) -> String {
    text((amount(credits).unwrap() + 1).min(MAX))
}

fn other_labels(labels: &mut std::collections::BTreeMap<String, String>) {
    labels.entry("job".to_owned()).or_default().push('x');
}

fn other_usage(rng: &mut Rng, usage: &mut pb::Usage) {
    use pb::usage::Quantity;
    match (rng.below(2), &mut usage.quantity) {
        (0, _) => "motion".clone_into(&mut usage.service),
        (_, Some(Quantity::Count(count))) => *count = count.saturating_add(1),
        (_, Some(Quantity::Duration(length))) => length.nanos ^= 1,
        (_, none) => *none = Some(Quantity::Count(2)),
    }
}

fn other_prices(rng: &mut Rng, prices: &mut Option<pb::PriceSelector>) {
    let prices = prices.get_or_insert_default();
    match rng.below(2) {
        0 => prices.rate_card = "studio".to_owned(),
        _ if prices.revision.is_empty() => prices.price_time = Some(timestamp(BEGINNING)),
        _ => prices.revision = "0123abcd".to_owned(),
    }
}

/// The same amount with zeros around it.
fn longer(credits: &str) -> String {
    let decimals = credits
        .split_once('.')
        .map_or(0, |(_, digits)| digits.len());
    match decimals {
        0 => format!("0{credits}.0"),
        1..9 => format!("{credits}0"),
        _ => format!("0{credits}"),
    }
}

fn count_one(usage: &mut pb::Usage) {
    if usage.quantity.is_none() {
        usage.quantity = Some(pb::usage::Quantity::Count(1));
    }
}

fn name_account(prices: &mut Option<pb::PriceSelector>, account: &str) {
    let prices = prices.get_or_insert_default();
    account.clone_into(&mut prices.account);
}
