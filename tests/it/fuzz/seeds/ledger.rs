//! Stories of the ledger and of prices.

use creditd::domain::AccountName;
use creditd::domain::ledger::{AccountId as _, EntryId, GrantId, HoldId};
use creditd::rpc::pb::creditd::v1 as pb;

use super::step::{Step, call};
use crate::support::{estimate, grant, usage};

pub const TEAM: &str = "team-a";

pub fn account() -> AccountName {
    AccountName::new(TEAM).unwrap()
}

pub fn charge(request_id: &str, what: pb::charge_request::What) -> pb::ChargeRequest {
    pb::ChargeRequest {
        request_id: request_id.to_owned(),
        account: TEAM.to_owned(),
        what: Some(what),
        ..Default::default()
    }
}

pub fn hold(request_id: &str, credits: &str) -> pb::HoldRequest {
    pb::HoldRequest {
        request_id: request_id.to_owned(),
        account: TEAM.to_owned(),
        what: Some(pb::hold_request::What::Credits(credits.to_owned())),
        ttl: Some(prost_types::Duration {
            seconds: 3_600,
            nanos: 0,
        }),
        ..Default::default()
    }
}

pub fn settle(request_id: &str, hold: i64, keep_open: bool) -> pb::SettleHoldRequest {
    pb::SettleHoldRequest {
        request_id: request_id.to_owned(),
        account: TEAM.to_owned(),
        hold_id: HoldId(hold).text(&account()),
        what: Some(pb::settle_hold_request::What::Usage(usage(
            "ai_scripts",
            "x1",
        ))),
        keep_open,
        overage: pb::Overage::FromAvailable.into(),
        ..Default::default()
    }
}

/// The verbs of the ledger, and what reads it.
pub fn ledger() -> Vec<Step> {
    let name = TEAM.to_owned();
    let by_usage = pb::charge_request::What::Usage(usage("lip_sync_video", "31s"));
    let by_amount = pb::charge_request::What::Credits("0.000000001".to_owned());
    vec![
        call(
            "Grant",
            &pb::GrantRequest {
                source: "purchase".to_owned(),
                labels: [("invoice".to_owned(), "17".to_owned())].into(),
                ..grant("g1", TEAM, "100")
            },
        ),
        call(
            "UpdateAccount",
            &pb::UpdateAccountRequest {
                request_id: "u1".to_owned(),
                account: Some(pb::Account {
                    account: name.clone(),
                    rate_card: "maker".to_owned(),
                    attributes: [("plan".to_owned(), "1".to_owned())].into(),
                    ..Default::default()
                }),
                update_mask: Some(prost_types::FieldMask {
                    paths: vec!["rate_card".to_owned(), "attributes".to_owned()],
                }),
                ..Default::default()
            },
        ),
        call(
            "Charge",
            &charge("c1", pb::charge_request::What::Usage(usage("voice", "x2"))),
        ),
        call(
            "Charge",
            &pb::ChargeRequest {
                prices: Some(pb::PriceSelector {
                    rate_card: "jogg-api-v2".to_owned(),
                    ..Default::default()
                }),
                ..charge("c2", by_usage.clone())
            },
        ),
        call(
            "BatchCharge",
            &pb::BatchChargeRequest {
                charges: vec![
                    charge("b1", by_amount.clone()),
                    charge("b2", by_usage),
                    charge("b1", by_amount),
                ],
            },
        ),
        call(
            "Refund",
            &pb::RefundRequest {
                request_id: "r1".to_owned(),
                account: name.clone(),
                entry_id: EntryId(2).text(&account()),
                credits: Some("0.5".to_owned()),
                ..Default::default()
            },
        ),
        call("Hold", &hold("h1", "10")),
        call(
            "ExtendHold",
            &pb::ExtendHoldRequest {
                request_id: "x1".to_owned(),
                account: name.clone(),
                hold_id: HoldId(1).text(&account()),
                ttl: Some(prost_types::Duration {
                    seconds: 7_200,
                    nanos: 0,
                }),
            },
        ),
        call(
            "GetHold",
            &pb::GetHoldRequest {
                account: name.clone(),
                hold_id: HoldId(1).text(&account()),
            },
        ),
        call(
            "ListHolds",
            &pb::ListHoldsRequest {
                account: name.clone(),
                page_size: 1,
                ..Default::default()
            },
        ),
        call(
            "ReleaseHold",
            &pb::ReleaseHoldRequest {
                request_id: "y1".to_owned(),
                account: name.clone(),
                hold_id: HoldId(1).text(&account()),
            },
        ),
        call(
            "ListEntries",
            &pb::ListEntriesRequest {
                account: name.clone(),
                page_size: 2,
                kinds: vec![pb::EntryKind::Charge.into(), pb::EntryKind::Refund.into()],
                ..Default::default()
            },
        ),
        call("GetBalance", &crate::support::balance(TEAM)),
        call(
            "WatchBalance",
            &pb::WatchBalanceRequest {
                account: name.clone(),
            },
        ),
        call(
            "GetAccount",
            &pb::GetAccountRequest {
                account: name.clone(),
            },
        ),
        call(
            "ListAccounts",
            &pb::ListAccountsRequest {
                prefix: "team-".to_owned(),
                page_size: 10,
                ..Default::default()
            },
        ),
        call(
            "RevokeGrant",
            &pb::RevokeGrantRequest {
                request_id: "z1".to_owned(),
                account: name,
                grant_id: GrantId(1).text(&account()),
                ..Default::default()
            },
        ),
    ]
}

/// Holds and grants whose time passes, and prices that change.
pub fn time() -> Vec<Step> {
    let script = |id: &str| pb::ChargeRequest {
        prices: Some(pb::PriceSelector {
            rate_card: "studio".to_owned(),
            ..Default::default()
        }),
        ..charge(id, pb::charge_request::What::Usage(usage("script", "x1")))
    };
    vec![
        call(
            "Grant",
            &pb::GrantRequest {
                expire_time: Some(prost_types::Timestamp {
                    seconds: 1_767_330_000,
                    nanos: 0,
                }),
                priority: -1,
                services: vec!["ai_scripts".to_owned()],
                ..grant("g1", TEAM, "7")
            },
        ),
        call("Grant", &grant("g2", TEAM, "100")),
        call("Charge", &script("s1")),
        call("Hold", &hold("h1", "5")),
        call("SettleHold", &settle("t1", 1, true)),
        call("Hold", &hold("h2", "6")),
        call("SettleHold", &settle("t2", 2, false)),
        call("Charge", &script("s2"))
            .after(4_000)
            .refused("UNKNOWN_SERVICE"),
        call("SettleHold", &settle("t3", 1, false)).refused("HOLD_CLOSED"),
        call("GetBalance", &crate::support::balance(TEAM)).after(100_000),
        call(
            "GetBalance",
            &pb::GetBalanceRequest {
                account: TEAM.to_owned(),
                as_of: Some(prost_types::Timestamp {
                    seconds: 1_767_308_500,
                    nanos: 0,
                }),
            },
        ),
    ]
}

pub fn prices() -> Vec<Step> {
    let of_team = Some(pb::PriceSelector {
        account: TEAM.to_owned(),
        ..Default::default()
    });
    vec![
        call("Grant", &grant("g1", TEAM, "1")),
        call(
            "Estimate",
            &pb::EstimateRequest {
                explain: true,
                check_balance: true,
                prices: of_team.clone(),
                ..estimate("lip_sync_video", "31s")
            },
        ),
        call(
            "Estimate",
            &pb::EstimateRequest {
                prices: Some(pb::PriceSelector {
                    rate_card: "maker".to_owned(),
                    price_time: Some(prost_types::Timestamp {
                        seconds: 1_767_400_000,
                        nanos: 1,
                    }),
                    ..Default::default()
                }),
                ..estimate("dub", "12.5s")
            },
        ),
        call(
            "BatchEstimate",
            &pb::BatchEstimateRequest {
                usages: vec![
                    usage("ai_scripts", "x3"),
                    usage("lip_sync_vide", "1s"),
                    usage("ai_scripts", "-"),
                ],
                prices: of_team,
                ..Default::default()
            },
        ),
        call(
            "GetRateCard",
            &pb::GetRateCardRequest {
                page_size: 3,
                ..Default::default()
            },
        ),
        call("Estimate", &estimate("lip_sync_vide", "-31s")).refused("UNKNOWN_SERVICE"),
    ]
}
