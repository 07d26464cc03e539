//! By which card and attributes accounts are priced, and what is refused.

use creditd::rpc::pb::creditd::v1 as pb;

use super::client::*;
use crate::support::refusal::refused;
use crate::support::requests::{batch, charge_usage};
use crate::support::usage;

#[tokio::test]
async fn an_account_is_priced_by_its_card_and_attributes() {
    let server = start();
    let mut client = Client::of(&server).await;
    client.update("growth", "", "plan=growth").await;
    client.update("max", "", "plan=max tier=partner").await;
    client.update("contract", "acme", "plan=growth").await;
    client.update("plain", "", "").await;
    for (account, rate_card, price_time, credits, card, revision, known) in [
        (
            "",
            "",
            PEAK,
            "2.0001",
            "plans",
            "hours=peak,plan=payg,tier=retail",
            false,
        ),
        (
            "nobody",
            "",
            PEAK,
            "2.0001",
            "plans",
            "hours=peak,plan=payg,tier=retail",
            false,
        ),
        (
            "plain",
            "",
            PEAK,
            "2.0001",
            "plans",
            "hours=peak,plan=payg,tier=retail",
            true,
        ),
        (
            "plain",
            "",
            OFF_PEAK,
            "1",
            "plans",
            "hours=off_peak,plan=payg,tier=retail",
            true,
        ),
        (
            "growth",
            "",
            PEAK,
            "1.900095",
            "plans",
            "hours=peak,plan=growth,tier=retail",
            true,
        ),
        (
            "growth",
            "acme",
            PEAK,
            "0.9500475",
            "acme",
            "hours=peak,plan=growth,tier=retail",
            true,
        ),
        (
            "max",
            "",
            PEAK,
            "1.520076",
            "plans",
            "hours=peak,plan=max,tier=partner",
            true,
        ),
        (
            "contract",
            "",
            PEAK,
            "0.9500475",
            "acme",
            "hours=peak,plan=growth,tier=retail",
            true,
        ),
        (
            "contract",
            "plans",
            PEAK,
            "1.900095",
            "plans",
            "hours=peak,plan=growth,tier=retail",
            true,
        ),
    ] {
        let prices = pb::PriceSelector {
            rate_card: rate_card.to_owned(),
            ..at(account, price_time)
        };
        let estimate = client.estimate(chat(), prices.clone()).await.unwrap();
        let what = format!("{account} {rate_card} {price_time}");
        assert_eq!(estimate.credits, credits, "{what}");
        assert_eq!(estimate.rate_card, card, "{what}");
        assert_eq!(estimate.account_known, known, "{what}");
        let (base, values) = estimate.revision.split_once('.').unwrap();
        assert_eq!((base.len(), values), (24, revision), "{what}");
        let sum: rust_decimal::Decimal = estimate
            .lines
            .iter()
            .map(|line| line.credits.parse::<rust_decimal::Decimal>().unwrap())
            .sum();
        assert_eq!(
            sum.normalize().to_string(),
            credits,
            "{what}: lines sum to it"
        );
        // A batch says the same, and the revision alone too, for whichever account.
        let request = pb::BatchEstimateRequest {
            usages: vec![chat()],
            prices: Some(prices),
            ..pb::BatchEstimateRequest::default()
        };
        let batch = client
            .pricing
            .batch_estimate(request)
            .await
            .unwrap()
            .into_inner();
        let Some(pb::batch_estimate_result::Result::Estimate(one)) = &batch.results[0].result
        else {
            panic!("{what}: {batch:?}");
        };
        assert_eq!(
            (&one.credits, &one.revision, one.account_known),
            (&estimate.credits, &estimate.revision, known)
        );
        let quoted = pb::PriceSelector {
            revision: estimate.revision.clone(),
            ..of("max")
        };
        let again = client.estimate(chat(), quoted).await.unwrap();
        assert_eq!(
            (again.credits, again.revision),
            (estimate.credits, estimate.revision),
            "{what}"
        );
    }
    // A service that asks neither account nor clock has the revision of its card: but the card's
    // own factors ask for the tier.
    let image = client
        .estimate(usage("image", "x10"), of("max"))
        .await
        .unwrap();
    assert!(
        image.revision.ends_with(".plan=max,tier=partner"),
        "{}",
        image.revision
    );
    assert_eq!(image.credits, "0.38");
}

#[tokio::test]
async fn an_account_whose_card_is_gone_is_never_priced_by_another() {
    let server = start();
    let mut client = Client::of(&server).await;
    client.grant("team").await;
    client.update("team", "acme", "").await;
    let cards = cards();
    let without_acme: Vec<&str> = cards[..2].iter().map(String::as_str).collect();
    let server = server.restart(&without_acme);
    let mut client = Client::of(&server).await;
    let image = || usage("image", "x100");
    let refusal = client.estimate(image(), of("team")).await.unwrap_err();
    assert_eq!(
        (
            refusal.reason.as_str(),
            refusal.metadata["rate_card"].as_str()
        ),
        ("RATE_CARD_NOT_FOUND", "acme")
    );
    let refusal = client
        .charge("c1", "team", image(), of("team"))
        .await
        .unwrap_err();
    assert_eq!(refusal.reason, "RATE_CARD_NOT_FOUND");
    let request = pb::GetRateCardRequest {
        prices: Some(of("team")),
        ..Default::default()
    };
    assert_eq!(
        refused(client.pricing.get_rate_card(request).await).reason,
        "RATE_CARD_NOT_FOUND"
    );
    let named = pb::PriceSelector {
        rate_card: "plans".into(),
        ..of("team")
    };
    assert_eq!(
        client
            .charge("c2", "team", image(), named)
            .await
            .unwrap()
            .spent,
        "5"
    );
    let reply = client
        .ledger
        .batch_charge(batch(vec![charge_usage("c3", "team", image())]));
    let reply = reply.await.unwrap().into_inner();
    assert_eq!(reply.failed_count, 1);
}

#[tokio::test]
async fn what_is_wrong_with_values_and_accounts_is_refused_by_name() {
    let server = start();
    let mut client = Client::of(&server).await;
    client.update("team", "", "plan=growth").await;
    let estimate = client.estimate(chat(), at("team", PEAK)).await.unwrap();
    let (base, _) = estimate.revision.split_once('.').unwrap();
    for values in [
        "",
        "plan",
        "plan=gold",
        "hours=peak,plan=growth,tier=retail,",
        "plan=growth,hours=peak",
        "model=small",
        "plam=growth",
        "plan=growth,plan=growth",
        "plan=Growth",
        "hours=%70eak",
    ] {
        let prices = pb::PriceSelector {
            revision: format!("{base}.{values}"),
            ..Default::default()
        };
        let refusal = client.estimate(chat(), prices).await.unwrap_err();
        assert_eq!(refusal.reason, "REVISION_NOT_FOUND", "{values}");
    }
    let sent = pb::Usage {
        attributes: pairs("plan=max"),
        ..chat()
    };
    let refusal = client.estimate(sent, of("team")).await.unwrap_err();
    assert_eq!(
        (refusal.reason.as_str(), refusal.paths()),
        ("UNKNOWN_ATTRIBUTE", vec!["usage.attributes"])
    );
    let request = pb::EstimateRequest {
        usage: Some(chat()),
        prices: Some(of("nobody")),
        check_balance: true,
        ..Default::default()
    };
    assert_eq!(
        refused(client.pricing.estimate(request).await).reason,
        "ACCOUNT_NOT_FOUND"
    );
    for (field, account, rate_card, attributes, reason) in [
        ("rate_card", "x", "nothing", "", "RATE_CARD_NOT_FOUND"),
        (
            "attributes",
            "x",
            "",
            "plan=gold",
            "UNKNOWN_ATTRIBUTE_VALUE",
        ),
        (
            "attributes",
            "x",
            "",
            "plan=Growth",
            "UNKNOWN_ATTRIBUTE_VALUE",
        ),
        ("attributes", "x", "", "plam=growth", "UNKNOWN_ATTRIBUTE"),
        // Callers and the clock say these.
        ("attributes", "x", "", "model=large", "UNKNOWN_ATTRIBUTE"),
        ("attributes", "x", "", "hours=night", "UNKNOWN_ATTRIBUTE"),
    ] {
        let request = pb::UpdateAccountRequest {
            request_id: "bad".into(),
            account: Some(pb::Account {
                account: account.into(),
                rate_card: rate_card.into(),
                attributes: pairs(attributes),
                ..Default::default()
            }),
            update_mask: Some(prost_types::FieldMask {
                paths: vec![field.into()],
            }),
            allow_missing: true,
        };
        let refusal = refused(client.ledger.update_account(request).await);
        assert_eq!(refusal.reason, reason, "{attributes} {rate_card}");
    }
}
