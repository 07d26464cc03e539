//! Calls that were answered before: sent again, in other words of the same meaning,
//! or with their request_id on something else.

use creditd::rpc::pb::creditd::v1 as pb;

use super::super::call::{Call, HOUR, duration};
use super::rng::Rng;

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
