//! Estimates and charges that are read in place and written from values: as the generated code
//! reads and writes them, to the byte.

use std::collections::BTreeMap;
use std::sync::Arc;

use bumpalo::Bump;
use creditd::app::{Written, card_file};
use creditd::domain::keys::KeyId;
use creditd::domain::ledger::{Entry, EntryId, EntryKind, GrantId, GrantShare};
use creditd::domain::pricing::{AccountTerms, Catalog, Given, Pricing, Selector, UsageRecord};
use creditd::domain::{AccountName, Credits, Labels, RequestId, Timestamp};
use creditd::rpc::convert::pricing::{EstimateParts, estimate_to_pb, usage_from_pb};
use creditd::rpc::convert::write::ChargeParts;
use creditd::rpc::pb::creditd::v1 as pb;
use creditd::rpc::wire::read;
use creditd::rpc::wire::write::{EstimateWriter, put_batch_item, put_charge, put_estimate};
use proptest::prelude::*;
use prost::Message;

use crate::support::{root, table, usage};

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[a-z_]{1,20}",
        "\\PC{0,8}",
        Just("x".repeat(300)),
    ]
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), Just(31), any::<i64>(), -5_i64..5]
}

/// More than 16 are more than are allowed.
fn maps() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop_oneof![
        8 => Just(BTreeMap::new()),
        1 => prop::collection::btree_map("[a-z_]{0,9}", text(), 1..4),
        1 => prop::collection::btree_map("[a-z]{1,3}", "[0-9.]{0,4}", 14..19),
    ]
}

prop_compose! {
    fn usages()(
        service in text(),
        kind in 0..3,
        seconds in number(),
        nanos in number(),
        attributes in maps(),
        meters in maps(),
    ) -> pb::Usage {
        use pb::usage::Quantity;
        let nanos = i32::try_from(nanos).unwrap_or(999_999_999);
        pb::Usage {
            service,
            quantity: match kind {
                0 => None,
                1 => Some(Quantity::Count(seconds)),
                _ => Some(Quantity::Duration(prost_types::Duration { seconds, nanos })),
            },
            attributes,
            meters,
        }
    }
}

prop_compose! {
    fn selectors()(
        account in text(),
        rate_card in text(),
        revision in text(),
        price_time in prop::option::weighted(0.1, number()),
    ) -> pb::PriceSelector {
        let price_time = price_time.map(|seconds| prost_types::Timestamp { seconds, nanos: 0 });
        pb::PriceSelector { account, rate_card, revision, price_time }
    }
}

prop_compose! {
    fn charges()(
        request_id in text(),
        account in text(),
        usage in prop::option::of(usages()),
        credits in prop::option::of(text()),
        prices in prop::option::of(selectors()),
        labels in maps(),
    ) -> pb::ChargeRequest {
        use pb::charge_request::What;
        let what = usage.map(What::Usage).or(credits.map(What::Credits));
        pb::ChargeRequest { request_id, account, what, prices, labels }
    }
}

fn is_common_usage(usage: &pb::Usage) -> bool {
    usage.attributes.len() <= 16 && usage.meters.len() <= 16
}

fn is_common_selector(prices: Option<&pb::PriceSelector>) -> bool {
    prices.is_none_or(|prices| prices.price_time.is_none())
}

fn is_common_charge(charge: &pb::ChargeRequest) -> bool {
    let usage = match &charge.what {
        Some(pb::charge_request::What::Usage(usage)) => Some(usage),
        _ => None,
    };
    charge.labels.is_empty()
        && usage.is_none_or(is_common_usage)
        && is_common_selector(charge.prices.as_ref())
}

/// A message's bytes, sometimes damaged: cut, changed, or with something behind them.
fn bytes_of<T: Message>(message: &T, damage: u8, at: usize, byte: u8) -> Vec<u8> {
    let mut bytes = message.encode_to_vec();
    if bytes.is_empty() {
        return bytes;
    }
    let at = at % bytes.len();
    match damage {
        0 => bytes.truncate(at),
        1 => bytes[at] = byte,
        2 => bytes.insert(at, byte),
        3 => bytes.extend(bytes.clone()),
        _ => {}
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn usages_are_read_in_place_as_the_generated_decoder_reads_them(
        usages in prop::collection::vec(usages(), 0..6),
        rate_card in prop::option::of(text()), explain in any::<bool>(),
        damage in 0_u8..8, at in any::<usize>(), byte in any::<u8>(),
    ) {
        let prices = rate_card.map(|rate_card| pb::PriceSelector { rate_card, ..Default::default() });
        let request = pb::BatchEstimateRequest { usages, prices, explain, check_balance: false };
        let bytes = bytes_of(&request, damage, at, byte);
        if let Some((usages, rest)) = read::usages(&bytes, 5, &Bump::new()) {
            prop_assert!(usages.len() <= 5);
            // What is wrong with the rest is wrong with the whole.
            let (Ok(whole), Ok(rest)) = (
                pb::BatchEstimateRequest::decode(&*bytes),
                pb::BatchEstimateRequest::decode(rest),
            ) else {
                prop_assert!(pb::BatchEstimateRequest::decode(&*bytes).is_err());
                prop_assert!(pb::BatchEstimateRequest::decode(rest).is_err());
                return Ok(());
            };
            let expected: Vec<_> = whole.usages.iter().map(usage_from_pb).collect();
            prop_assert_eq!(format!("{usages:?}"), format!("{expected:?}"));
            prop_assert_eq!(rest, pb::BatchEstimateRequest { usages: Vec::new(), ..whole });
        } else if damage > 3 {
            let common = request.usages.len() <= 5 && request.usages.iter().all(is_common_usage);
            prop_assert!(!common, "it can be read in place: {:?}", request);
        }
    }

    #[test]
    fn an_estimate_is_read_in_place_as_the_generated_decoder_reads_it(
        usage in prop::option::of(usages()), prices in prop::option::of(selectors()),
        explain in any::<bool>(), check_balance in any::<bool>(),
        damage in 0_u8..8, at in any::<usize>(), byte in any::<u8>(),
    ) {
        let request = pb::EstimateRequest { usage, prices, explain, check_balance };
        let bytes = bytes_of(&request, damage, at, byte);
        if let Some(parts) = read::estimate(&bytes, &Bump::new()) {
            let decoded = pb::EstimateRequest::decode(&*bytes).unwrap();
            let expected = EstimateParts::from(&decoded);
            prop_assert_eq!(format!("{parts:?}"), format!("{expected:?}"));
        } else if damage > 3 {
            let common = request.usage.as_ref().is_none_or(is_common_usage)
                && is_common_selector(request.prices.as_ref());
            prop_assert!(!common, "it can be read in place: {:?}", request);
        }
    }

    #[test]
    fn charges_are_read_in_place_as_the_generated_decoder_reads_them(
        charges in prop::collection::vec(charges(), 0..5),
        damage in 0_u8..8, at in any::<usize>(), byte in any::<u8>(),
    ) {
        for charge in &charges {
            let bytes = bytes_of(charge, damage, at, byte);
            if let Some(parts) = read::charge(&bytes, &Bump::new()) {
                let decoded = pb::ChargeRequest::decode(&*bytes).unwrap();
                let expected = ChargeParts::from(&decoded);
                prop_assert_eq!(format!("{parts:?}"), format!("{expected:?}"));
            } else if damage > 3 {
                prop_assert!(!is_common_charge(charge), "it can be read in place: {:?}", charge);
            }
        }
        let request = pb::BatchChargeRequest { charges };
        let bytes = bytes_of(&request, damage, at, byte);
        if let Some(charges) = read::charges(&bytes, 4, &Bump::new()) {
            prop_assert!(charges.len() <= 4);
            let decoded = pb::BatchChargeRequest::decode(&*bytes).unwrap();
            let expected: Vec<_> = decoded.charges.iter().map(ChargeParts::from).collect();
            let parts: Vec<_> = charges.iter().map(|(parts, _)| parts).collect();
            prop_assert_eq!(format!("{parts:?}"), format!("{expected:?}"));
            // By the sizes it is decided whether the reply has room.
            for ((_, size), charge) in charges.iter().zip(&decoded.charges) {
                prop_assert!(*size >= charge.encoded_len());
            }
        } else if damage > 3 {
            let common = request.charges.len() <= 4 && request.charges.iter().all(is_common_charge);
            prop_assert!(!common, "it can be read in place: {:?}", request);
        }
    }

    #[test]
    fn a_charge_is_written_as_the_generated_encoder_writes_it(
        numbers in prop::collection::vec(1_i64..9_000_000_000_000_000_000, 5),
        shares in prop::collection::vec((1_i64..1 << 50, 0_i64..1 << 60), 0..40),
        usage in prop::option::of((0..3, number(), maps(), maps())),
        label in prop::option::of(("[a-z]{1,64}", "[a-z]{0,256}")),
        priced in any::<bool>(),
        values in prop::bool::weighted(0.2),
        price_time in prop::option::weighted(0.2, 0_i64..1 << 60),
        replayed in any::<bool>(),
        account in "[!#-\\[\\]-~]{1,128}",
        request_id in "[ -~]{1,256}",
        service in "[A-Za-z0-9._/:@+~-]{1,128}",
    ) {
        let credits = |nanos| Credits::from_nanos(nanos).unwrap();
        let pairs: BTreeMap<String, String> = label.into_iter().collect();
        let pricing = Arc::new(Pricing { rate_card: "jogg-api-v2".into(), revision: "c38700ee".into(), values: if values { pairs.clone() } else { BTreeMap::new() }, time: price_time.map(Timestamp::from_unix_nanos) });
        let usage = usage.map(|(kind, number, attributes, meters)| UsageRecord {
            quantity: match kind {
                0 => Given::Nothing,
                1 => Given::Count(number),
                _ => Given::Duration(i128::from(number)),
            },
            attributes,
            meters,
        });
        let entry = Entry {
            id: EntryId(numbers[0]),
            account: AccountName::new(&account).unwrap(),
            kind: EntryKind::Charge,
            credits: credits(-numbers[1]),
            held: Credits::ZERO,
            spent: credits(numbers[1]),
            available: credits(numbers[2]),
            create_time: Timestamp::from_unix_nanos(numbers[3]),
            request_id: Some(RequestId::new(&request_id).unwrap()),
            key_id: if values { KeyId::new(&request_id) } else { None },
            labels: Labels::new(pairs.iter()).unwrap(),
            service: usage.is_some().then(|| service.as_str().into()),
            pricing: priced.then_some(pricing),
            usage: usage.map(Arc::new),
            hold: None,
            shares: shares.iter().map(|(id, nanos)| GrantShare {
                grant: GrantId(*id),
                credits: credits(-nanos),
                held: Credits::ZERO,
            }).collect(),
        };
        let written = Written { entry, available: credits(numbers[4]), replayed };
        let mut bytes = vec![7];
        put_charge(&written, &mut bytes);
        let mut message = pb::ChargeResponse::from(&written);
        prop_assert_eq!(&bytes[1..], message.encode_to_vec());
        bytes.truncate(1);
        put_batch_item(&written, &mut bytes);
        let entry = message.entry.as_mut().unwrap();
        entry.grants.clear();
        entry.key_id.clear();
        prop_assert_eq!(&bytes[1..], message.encode_to_vec());
    }
}

#[test]
fn estimates_are_written_as_the_generated_encoder_writes_them() {
    let built_in = card_file::built_in().unwrap().card;
    let models = card_file::load(&root("tests/data/cards/models.toml")).unwrap();
    for (card, table) in [
        (&built_in, "prices.txt"),
        (&models.card, "cards/models.txt"),
    ] {
        let catalog = Catalog::new(vec![Arc::new(card.clone())], None).unwrap();
        let terms = catalog.terms(&Selector::default(), AccountTerms::NONE, Timestamp::MAX);
        let terms = terms.unwrap();
        let writer = EstimateWriter::new(&terms, false);
        let mut count = 0;
        for row in table::read(table, 5) {
            let usage = usage(&row.cells[0], &row.cells[1]);
            let Ok(quote) = terms.price(&usage_from_pb(&usage)) else {
                continue;
            };
            let mut bytes = vec![7];
            writer.put(&quote, &mut bytes);
            let expected = estimate_to_pb(&terms, &quote, false, None).encode_to_vec();
            assert_eq!(&bytes[1..], expected, "{usage:?}");
            bytes.truncate(1);
            put_estimate(&terms, &quote, false, &mut bytes);
            assert_eq!(&bytes[1..], expected, "{usage:?}");
            count += 1;
        }
        assert!(count > 5, "{table}");
    }
}
