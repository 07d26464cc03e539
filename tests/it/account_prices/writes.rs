//! Charges, holds and batches of accounts with prices of their own, and that a quote stays one.

use creditd::rpc::pb::creditd::v1 as pb;

use super::client::*;
use crate::support::refusal::Refusal;
use crate::support::requests::{batch, charge_usage, hold, settle};
use crate::support::server::run;
use crate::support::usage;

#[tokio::test]
async fn a_quote_stays_a_quote_and_entries_say_by_what_they_were_priced() {
    let server = start();
    let mut client = Client::of(&server).await;
    client.grant("team").await;
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
        if spent.is_empty() {
            // Max is not sold at night. The hour decides what this costs, and not whether.
            client
                .update("team", "acme", "plan=growth tier=partner")
                .await;
        }
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
    client.grant("team").await;
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
    // People read it too.
    let (directory, addr) = (tempfile::tempdir().unwrap(), server.address.to_string());
    let charge = ["charge", "team", "image", "--count", "100", "--addr", &addr];
    let (code, out, err) = run(directory.path(), &charge);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let line = out.lines().find(|line| line.starts_with("priced by"));
    let words: Vec<_> = line.unwrap().split_whitespace().skip(2).collect();
    assert_eq!(words, ["plan=payg,", "tier=retail"]);
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
        client.grant(account).await;
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
