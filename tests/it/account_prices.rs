//! Prices for each account, over the wire: by which card and which attributes an account is
//! priced, and that a quote stays a quote.

use std::collections::BTreeMap;

use creditd::rpc::pb::creditd::v1 as pb;
use creditd::rpc::pb::creditd::v1::ledger_service_client::LedgerServiceClient;
use creditd::rpc::pb::creditd::v1::pricing_service_client::PricingServiceClient;
use tonic::transport::Channel;

use crate::support::refusal::{Refusal, refused};
use crate::support::requests::{batch, charge_usage, hold, settle};
use crate::support::server::{Server, run};
use crate::support::{grant, root, usage};

/// A Friday, in the hours that the card calls peak, off peak and night.
const PEAK: &str = "2026-11-27T12:00:00Z";
const OFF_PEAK: &str = "2026-11-27T23:00:00Z";

fn cards() -> Vec<String> {
    let file = |name: &str| {
        root(&format!("tests/data/cards/{name}.toml"))
            .display()
            .to_string()
    };
    vec![
        "--rate-card-file".to_owned(),
        file("plans"),
        "--rate-card-file".to_owned(),
        file("acme"),
    ]
}

fn start() -> Server {
    let cards = cards();
    Server::start_with(&cards.iter().map(String::as_str).collect::<Vec<_>>())
}

fn pairs(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split(' ').filter_map(|pair| pair.split_once('='));
    pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

fn time(text: &str) -> Option<prost_types::Timestamp> {
    let time = creditd::rfc3339::parse(text)?;
    Some(creditd::rpc::convert::timestamp_to_pb(time))
}

/// A million tokens of the small model.
fn chat() -> pb::Usage {
    pb::Usage {
        meters: pairs("tokens=1000000"),
        ..usage("chat", "-")
    }
}

struct Client {
    pricing: PricingServiceClient<Channel>,
    ledger: LedgerServiceClient<Channel>,
    updates: usize,
}

impl Client {
    async fn of(server: &Server) -> Self {
        Self {
            pricing: server.pricing().await,
            ledger: server.ledger().await,
            updates: 0,
        }
    }

    /// Sets card and attributes of an account, and opens it where it is not.
    async fn update(&mut self, account: &str, rate_card: &str, attributes: &str) {
        self.updates += 1;
        let request = pb::UpdateAccountRequest {
            request_id: format!("u{}", self.updates),
            account: Some(pb::Account {
                account: account.to_owned(),
                rate_card: rate_card.to_owned(),
                attributes: pairs(attributes),
                ..pb::Account::default()
            }),
            update_mask: Some(prost_types::FieldMask {
                paths: vec!["rate_card".to_owned(), "attributes".to_owned()],
            }),
            allow_missing: true,
        };
        self.ledger.update_account(request).await.unwrap();
    }

    async fn estimate(
        &mut self,
        usage: pb::Usage,
        prices: pb::PriceSelector,
    ) -> Result<pb::Estimate, Refusal> {
        let request = pb::EstimateRequest {
            usage: Some(usage),
            prices: Some(prices),
            explain: true,
            check_balance: false,
        };
        match self.pricing.estimate(request).await {
            Ok(reply) => Ok(reply.into_inner().estimate.unwrap()),
            Err(status) => Err(Refusal::of(&status)),
        }
    }

    async fn charge(
        &mut self,
        request_id: &str,
        account: &str,
        usage: pb::Usage,
        prices: pb::PriceSelector,
    ) -> Result<pb::Entry, Refusal> {
        let request = pb::ChargeRequest {
            prices: Some(prices),
            ..charge_usage(request_id, account, usage)
        };
        match self.ledger.charge(request).await {
            Ok(reply) => Ok(reply.into_inner().entry.unwrap()),
            Err(status) => Err(Refusal::of(&status)),
        }
    }
}

fn of(account: &str) -> pb::PriceSelector {
    pb::PriceSelector {
        account: account.to_owned(),
        ..pb::PriceSelector::default()
    }
}

fn at(account: &str, text: &str) -> pb::PriceSelector {
    pb::PriceSelector {
        price_time: time(text),
        ..of(account)
    }
}

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
async fn a_quote_stays_a_quote_and_entries_say_by_what_they_were_priced() {
    let server = start();
    let mut client = Client::of(&server).await;
    client
        .ledger
        .grant(grant("g1", "team", "1000"))
        .await
        .unwrap();
    client.update("team", "", "plan=growth").await;
    let quote = client.estimate(chat(), at("team", PEAK)).await.unwrap();
    client.update("team", "acme", "plan=max tier=partner").await;
    let quoted = pb::PriceSelector {
        revision: quote.revision.clone(),
        ..pb::PriceSelector::default()
    };
    for (request_id, prices, spent, card, values, has_time) in [
        (
            "c1",
            quoted.clone(),
            "1.900095",
            "plans",
            "hours=peak plan=growth tier=retail",
            false,
        ),
        (
            "c2",
            at("", PEAK),
            "0.760038",
            "acme",
            "hours=peak plan=max tier=partner",
            true,
        ),
        (
            "c3",
            pb::PriceSelector {
                rate_card: "plans".into(),
                ..at("team", PEAK)
            },
            "1.520076",
            "plans",
            "hours=peak plan=max tier=partner",
            true,
        ),
        (
            "c4",
            pb::PriceSelector {
                revision: quote.revision[..24].to_owned(),
                ..of("team")
            },
            "",
            "plans",
            "",
            true,
        ),
    ] {
        let entry = client
            .charge(request_id, "team", chat(), prices.clone())
            .await
            .unwrap();
        assert_eq!(entry.rate_card, card, "{request_id}");
        assert_eq!(entry.revision.len(), 24, "{request_id}: that of the card");
        assert_eq!(entry.price_time.is_some(), has_time, "{request_id}");
        // The hour decides the last one.
        if !spent.is_empty() {
            assert_eq!(
                (&*entry.spent, &entry.price_values),
                (spent, &pairs(values)),
                "{request_id}"
            );
        }
        let again = client.charge(request_id, "team", chat(), prices).await;
        assert_eq!(again, Ok(entry), "the first answer");
    }
    let entries = pb::ListEntriesRequest {
        account: "team".into(),
        ..Default::default()
    };
    let entries = client
        .ledger
        .list_entries(entries)
        .await
        .unwrap()
        .into_inner()
        .entries;
    assert_eq!(
        entries[3].price_values,
        pairs("hours=peak plan=growth tier=retail")
    );
    // Each entry is priced again by what it says.
    let server = server.restart(&cards().iter().map(String::as_str).collect::<Vec<_>>());
    let directory = server.stop();
    let data = directory.path().join("creditd.db").display().to_string();
    let (code, out, _) = run(directory.path(), &["audit", "--data", &data]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("4 priced again"), "{out}");
}

#[tokio::test]
async fn a_hold_is_settled_by_the_values_with_which_it_was_made() {
    let server = start();
    let mut client = Client::of(&server).await;
    client
        .ledger
        .grant(grant("g1", "team", "1000"))
        .await
        .unwrap();
    client.update("team", "", "plan=growth tier=partner").await;
    let image = || usage("image", "x100");
    let held = client.ledger.hold(pb::HoldRequest {
        what: Some(pb::hold_request::What::Usage(image())),
        ..hold("h1", "team", "")
    });
    let held = held.await.unwrap().into_inner().hold.unwrap();
    assert_eq!(held.held, "3.8");
    assert_eq!(held.price_values, pairs("plan=growth tier=partner"));
    let by_amount = client.ledger.hold(hold("h2", "team", "10")).await.unwrap();
    let by_amount = by_amount.into_inner().hold.unwrap();
    assert_eq!(by_amount.price_values, pairs(""));
    client.update("team", "", "").await;
    for (request_id, hold, spent, values) in [
        ("s1", &held, "3.8", "plan=growth tier=partner"),
        // One by amount is settled by the account's prices of now.
        ("s2", &by_amount, "5", "plan=payg tier=retail"),
    ] {
        let request = pb::SettleHoldRequest {
            what: Some(pb::settle_hold_request::What::Usage(image())),
            ..settle(request_id, "team", &hold.hold_id, "")
        };
        let entry = client
            .ledger
            .settle_hold(request)
            .await
            .unwrap()
            .into_inner()
            .entry
            .unwrap();
        assert_eq!(
            (&*entry.spent, entry.price_values),
            (spent, pairs(values)),
            "{request_id}"
        );
    }
    let got = pb::GetHoldRequest {
        account: "team".into(),
        hold_id: held.hold_id,
    };
    let got = client
        .ledger
        .get_hold(got)
        .await
        .unwrap()
        .into_inner()
        .hold
        .unwrap();
    assert_eq!(got.price_values, pairs("plan=growth tier=partner"));
}

#[tokio::test]
async fn a_batch_is_priced_by_each_of_its_accounts() {
    let server = start();
    let mut client = Client::of(&server).await;
    for (account, rate_card, attributes) in [
        ("a", "", ""),
        ("b", "", "plan=growth"),
        ("c", "acme", "tier=partner"),
    ] {
        client.update(account, rate_card, attributes).await;
        client
            .ledger
            .grant(grant(&format!("g-{account}"), account, "1000"))
            .await
            .unwrap();
    }
    // What the server knew of them is gone.
    let server = server.restart(&cards().iter().map(String::as_str).collect::<Vec<_>>());
    let mut client = Client::of(&server).await;
    let image = |id: &str, account: &str| charge_usage(id, account, usage("image", "x100"));
    let bad = charge_usage("bad", "b", usage("imago", "x100"));
    let request = batch(vec![
        image("1", "a"),
        image("2", "b"),
        image("3", "c"),
        image("4", "b"),
        bad,
        image("5", "nobody"),
    ]);
    let reply = client
        .ledger
        .batch_charge(request)
        .await
        .unwrap()
        .into_inner();
    let outcomes: Vec<String> = reply
        .results
        .iter()
        .map(|item| match item.result.as_ref().unwrap() {
            pb::batch_charge_result::Result::Charge(charge) => {
                charge.entry.as_ref().unwrap().spent.clone()
            }
            pb::batch_charge_result::Result::Error(error) => Refusal::of_pb(error).reason,
        })
        .collect();
    assert_eq!(
        outcomes,
        [
            "5",
            "4.75",
            "2",
            "4.75",
            "UNKNOWN_SERVICE",
            "ACCOUNT_NOT_FOUND"
        ]
    );
    // A charge of an account that is not known yet, as the first call after a start.
    let server = server.restart(&cards().iter().map(String::as_str).collect::<Vec<_>>());
    let mut client = Client::of(&server).await;
    let entry = client
        .charge(
            "6",
            "c",
            usage("image", "x100"),
            pb::PriceSelector::default(),
        )
        .await
        .unwrap();
    assert_eq!(
        (entry.spent.as_str(), entry.rate_card.as_str()),
        ("2", "acme")
    );
}

#[tokio::test]
async fn an_account_whose_card_is_gone_is_never_priced_by_another() {
    let server = start();
    let mut client = Client::of(&server).await;
    client
        .ledger
        .grant(grant("g1", "team", "1000"))
        .await
        .unwrap();
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

#[tokio::test]
async fn a_rate_card_is_shown_whole_or_in_pages() {
    let server = start();
    let mut client = Client::of(&server).await;
    let request = pb::GetRateCardRequest {
        services: vec!["chat".into()],
        ..Default::default()
    };
    let card = client
        .pricing
        .get_rate_card(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!((card.title.as_str(), card.services.len()), ("Plans", 1));
    let chat = &card.services[0];
    let attributes: Vec<(&str, String, &str, pb::AttributeSource)> = chat
        .attributes
        .iter()
        .map(|a| {
            (
                a.attribute.as_str(),
                a.values.join(" "),
                a.default_value.as_str(),
                a.source(),
            )
        })
        .collect();
    assert_eq!(
        attributes,
        [
            (
                "hours",
                "peak off_peak night".to_owned(),
                "peak",
                pb::AttributeSource::Clock
            ),
            (
                "model",
                "small large".to_owned(),
                "small",
                pb::AttributeSource::Caller
            ),
            (
                "plan",
                "payg growth max".to_owned(),
                "payg",
                pb::AttributeSource::Account
            ),
            (
                "tier",
                "retail partner house".to_owned(),
                "retail",
                pb::AttributeSource::Account
            ),
        ]
    );
    let meters: Vec<(&str, &str, i32, &str)> = chat
        .meter_details
        .iter()
        .map(|m| {
            (
                m.meter.as_str(),
                m.unit.as_str(),
                m.decimals,
                m.default_value.as_str(),
            )
        })
        .collect();
    assert_eq!(meters, [("tokens", "token", 0, "")]);
    let (mut keys, mut page_token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let request = pb::GetRateCardRequest {
            page_size: 1,
            page_token,
            ..Default::default()
        };
        let page = client
            .pricing
            .get_rate_card(request)
            .await
            .unwrap()
            .into_inner();
        keys.extend(page.services.into_iter().map(|service| service.service));
        pages += 1;
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!((keys.join(" ").as_str(), pages), ("image lip_sync chat", 3));
    for (request, path, reason) in [
        (
            pb::GetRateCardRequest {
                page_size: -1,
                ..Default::default()
            },
            "page_size",
            "INVALID_PAGE_SIZE",
        ),
        (
            pb::GetRateCardRequest {
                page_token: "x".into(),
                ..Default::default()
            },
            "page_token",
            "INVALID_PAGE_TOKEN",
        ),
        (
            pb::GetRateCardRequest {
                services: vec!["chap".into()],
                ..Default::default()
            },
            "services",
            "UNKNOWN_SERVICE",
        ),
        (
            pb::GetRateCardRequest {
                services: vec!["chat".into(); 1_001],
                ..Default::default()
            },
            "services",
            "TOO_MANY_ITEMS",
        ),
    ] {
        let refusal = refused(client.pricing.get_rate_card(request).await);
        assert_eq!(refusal.fields, [(path.to_owned(), reason.to_owned())]);
    }
}
