//! Calls made bad, in one field or in several.

use std::collections::BTreeMap;

use creditd::rpc::pb::creditd::v1 as pb;

use super::super::call::{Call, HOUR, Nanos, timestamp};
use super::rng::Rng;

const AMOUNTS: [&str; 10] = [
    "",
    "0",
    "0.0",
    "-1",
    "1e3",
    "+1",
    ".5",
    "1.0000000001",
    "9000000000.1",
    "1 ",
];

const TTLS: [(i64, i32); 6] = [
    (0, 0),
    (-1, 0),
    (86_400, 1),
    (90_000, 0),
    (1, -1),
    (i64::MAX, 0),
];

/// Makes a call bad. Some that come out are good after all, which is as well.
pub fn spoil(rng: &mut Rng, mut call: Call, now: Nanos) -> Call {
    for _ in 0..*rng.pick(&[1, 1, 2]) {
        spoil_once(rng, &mut call, now);
    }
    call
}

fn spoil_once(rng: &mut Rng, call: &mut Call, now: Nanos) {
    match call {
        Call::Grant(request) => match rng.below(7) {
            0 => spoil_request_id(rng, &mut request.request_id),
            1 => spoil_account(rng, &mut request.account),
            2 => request.credits = (*rng.pick(&AMOUNTS)).to_owned(),
            3 => request.expire_time = Some(bad_time(rng, now)),
            4 => request.source = "s".repeat(257),
            5 => match rng.below(4) {
                0 => request.services.push("images".to_owned()),
                1 => request.services.push(String::new()),
                2 => request.services.push("s".repeat(129)),
                _ => request.services = vec!["image".to_owned(); 101],
            },
            _ => request.labels = bad_pairs(rng),
        },
        Call::Charge(request) => spoil_charge(rng, request),
        Call::BatchCharge(request) => {
            if rng.chance(100) {
                request.charges.clear();
            } else {
                let last = i64::try_from(request.charges.len()).unwrap() - 1;
                if last >= 0 {
                    let at = usize::try_from(rng.between(0, last)).unwrap();
                    spoil_charge(rng, &mut request.charges[at]);
                }
            }
        }
        Call::Refund(request) => match rng.below(5) {
            0 => spoil_request_id(rng, &mut request.request_id),
            1 => spoil_account(rng, &mut request.account),
            2 => request.entry_id.clear(),
            3 => request.credits = Some((*rng.pick(&AMOUNTS)).to_owned()),
            _ => request.labels = bad_pairs(rng),
        },
        Call::Hold(request) => {
            if rng.chance(300) {
                let (seconds, nanos) = *rng.pick(&TTLS);
                request.ttl = Some(prost_types::Duration { seconds, nanos });
            } else {
                let mut charge = as_charge(request);
                spoil_charge(rng, &mut charge);
                *request = as_hold(charge, request.ttl);
            }
        }
        Call::ExtendHold(request) => match rng.below(5) {
            0 => spoil_request_id(rng, &mut request.request_id),
            1 => spoil_account(rng, &mut request.account),
            2 => request.hold_id.clear(),
            3 => request.ttl = None,
            _ => {
                let (seconds, nanos) = *rng.pick(&TTLS);
                request.ttl = Some(prost_types::Duration { seconds, nanos });
            }
        },
        Call::SettleHold(request) => spoil_settlement(rng, request),
        Call::ReleaseHold(request) => match rng.below(3) {
            0 => spoil_request_id(rng, &mut request.request_id),
            1 => spoil_account(rng, &mut request.account),
            _ => request.hold_id.clear(),
        },
        Call::RevokeGrant(request) => match rng.below(4) {
            0 => spoil_request_id(rng, &mut request.request_id),
            1 => spoil_account(rng, &mut request.account),
            2 => request.grant_id.clear(),
            _ => request.labels = bad_pairs(rng),
        },
        Call::GetHold(request) => match rng.below(2) {
            0 => spoil_account(rng, &mut request.account),
            _ => request.hold_id.clear(),
        },
        Call::ListHolds(request) => match rng.below(7) {
            0 => spoil_account(rng, &mut request.account),
            1 => request.page_size = -1,
            2 => spoil_request_id(rng, &mut request.request_id),
            3 => request.labels = bad_pairs(rng),
            4 => request.start_time = Some(no_time(rng)),
            5 => request.end_time = Some(no_time(rng)),
            _ => request.page_token = bad_token(rng),
        },
        Call::ListEntries(request) => match rng.below(7) {
            0 => spoil_account(rng, &mut request.account),
            1 => request.page_size = i32::MIN,
            2 => request.page_token = bad_token(rng),
            3 => request.start_time = Some(no_time(rng)),
            4 => request.end_time = Some(no_time(rng)),
            5 => request.service = "s".repeat(129),
            _ => request.kinds.push(99),
        },
        Call::GetBalance(request) => match rng.below(3) {
            0 => {
                // Beside it the time is compared with the clock, which may be behind.
                request.as_of = None;
                spoil_account(rng, &mut request.account);
            }
            1 => request.as_of = Some(no_time(rng)),
            _ => request.as_of = Some(timestamp(now + 100 * HOUR)),
        },
    }
}

fn spoil_charge(rng: &mut Rng, request: &mut pb::ChargeRequest) {
    use pb::charge_request::What;
    match rng.below(8) {
        0 => spoil_request_id(rng, &mut request.request_id),
        1 => spoil_account(rng, &mut request.account),
        2 => request.labels = bad_pairs(rng),
        3 => request.what = None,
        4 => spoil_prices(rng, &mut request.prices),
        _ => match &mut request.what {
            Some(What::Usage(usage)) => spoil_usage(rng, usage),
            Some(What::Credits(credits)) => *credits = (*rng.pick(&AMOUNTS)).to_owned(),
            None => {}
        },
    }
}

fn spoil_settlement(rng: &mut Rng, request: &mut pb::SettleHoldRequest) {
    use pb::settle_hold_request::What;
    // What a bad usage is told depends on the hold where no prices are named.
    if let Some(What::Usage(_)) = &request.what
        && request.prices.as_ref().is_none_or(|prices| {
            prices.rate_card.is_empty() && prices.revision.is_empty() && prices.price_time.is_none()
        })
    {
        request.prices = Some(pb::PriceSelector {
            rate_card: "partner".to_owned(),
            ..pb::PriceSelector::default()
        });
    }
    match rng.below(9) {
        0 => spoil_request_id(rng, &mut request.request_id),
        1 => spoil_account(rng, &mut request.account),
        2 => request.labels = bad_pairs(rng),
        3 => request.what = None,
        4 => spoil_prices(rng, &mut request.prices),
        5 => request.overage = *rng.pick(&[3, 7, -1]),
        6 => request.hold_id.clear(),
        _ => match &mut request.what {
            Some(What::Usage(usage)) => spoil_usage(rng, usage),
            Some(What::Credits(credits)) => *credits = (*rng.pick(&AMOUNTS)).to_owned(),
            None => {}
        },
    }
}

fn spoil_usage(rng: &mut Rng, usage: &mut pb::Usage) {
    use pb::usage::Quantity;
    let length = |seconds, nanos| Quantity::Duration(prost_types::Duration { seconds, nanos });
    match rng.below(10) {
        0 => usage.service.clear(),
        1 => usage.service = "images".to_owned(),
        2 => usage.quantity = None,
        3 => usage.quantity = Some(Quantity::Count(*rng.pick(&[0, -1, i64::MIN]))),
        4 => usage.quantity = Some(Quantity::Count(*rng.pick(&[1, i64::MAX]))),
        5 => usage.quantity = Some(length(0, *rng.pick(&[0, -1]))),
        6 => usage.quantity = Some(length(1, *rng.pick(&[1, -1]))),
        7 => usage.quantity = Some(length(315_576_000_000, *rng.pick(&[0, 999_999_999]))),
        8 => usage.attributes = odd_pairs(rng),
        _ => usage.meters = odd_pairs(rng),
    }
}

fn spoil_prices(rng: &mut Rng, prices: &mut Option<pb::PriceSelector>) {
    let prices = prices.get_or_insert_default();
    match rng.below(5) {
        0 => prices.account = "somebody-else".to_owned(),
        1 => prices.account = "no name".to_owned(),
        2 => prices.price_time = Some(no_time(rng)),
        3 => {
            prices.revision = "0123abcd".to_owned();
            prices.price_time = Some(timestamp(0));
        }
        _ => prices.rate_card = "unheard-of".to_owned(),
    }
}

fn spoil_request_id(rng: &mut Rng, request_id: &mut String) {
    *request_id = match rng.below(3) {
        0 => String::new(),
        1 => "r".repeat(257),
        _ => "\u{fc}ber".to_owned(),
    };
}

fn spoil_account(rng: &mut Rng, account: &mut String) {
    *account = match rng.below(3) {
        0 => String::new(),
        1 => "a".repeat(129),
        _ => (*rng.pick(&["team a", "team\"a", "team\\a", "team\u{7f}"])).to_owned(),
    };
}

/// Pairs that are too many or too long.
fn bad_pairs(rng: &mut Rng) -> BTreeMap<String, String> {
    match rng.below(4) {
        0 => (0..17).map(|n| (n.to_string(), String::new())).collect(),
        1 => BTreeMap::from([(String::new(), "v".to_owned())]),
        2 => BTreeMap::from([("k".repeat(65), "v".to_owned())]),
        _ => BTreeMap::from([("k".to_owned(), "v".repeat(257))]),
    }
}

/// The same, or pairs that no price knows.
fn odd_pairs(rng: &mut Rng) -> BTreeMap<String, String> {
    if rng.chance(500) {
        return bad_pairs(rng);
    }
    BTreeMap::from([("size".to_owned(), "1".to_owned())])
}

/// Out of range.
fn no_time(rng: &mut Rng) -> prost_types::Timestamp {
    let (seconds, nanos) = *rng.pick(&[
        (253_402_300_800, 0),
        (-62_135_596_801, 0),
        (0, -1),
        (0, 1_000_000_000),
        (i64::MIN, 0),
    ]);
    prost_types::Timestamp { seconds, nanos }
}

/// Out of range, or long ago.
fn bad_time(rng: &mut Rng, now: Nanos) -> prost_types::Timestamp {
    if rng.chance(500) {
        return no_time(rng);
    }
    timestamp(now - 100 * HOUR)
}

fn bad_token(rng: &mut Rng) -> String {
    let tokens = [
        "nonsense",
        "AAAA",
        "0",
        "e1",
        "\u{fc}",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ];
    (*rng.pick(&tokens)).to_owned()
}

fn as_charge(request: &pb::HoldRequest) -> pb::ChargeRequest {
    use pb::charge_request::What;
    pb::ChargeRequest {
        request_id: request.request_id.clone(),
        account: request.account.clone(),
        what: request.what.clone().map(|what| match what {
            pb::hold_request::What::Usage(usage) => What::Usage(usage),
            pb::hold_request::What::Credits(credits) => What::Credits(credits),
        }),
        prices: request.prices.clone(),
        labels: request.labels.clone(),
    }
}

/// The charge as a hold.
pub fn as_hold(charge: pb::ChargeRequest, ttl: Option<prost_types::Duration>) -> pb::HoldRequest {
    use pb::hold_request::What;
    pb::HoldRequest {
        request_id: charge.request_id,
        account: charge.account,
        what: charge.what.map(|what| match what {
            pb::charge_request::What::Usage(usage) => What::Usage(usage),
            pb::charge_request::What::Credits(credits) => What::Credits(credits),
        }),
        prices: charge.prices,
        ttl,
        labels: charge.labels,
    }
}
