//! Batches that are read in place and written from values: as the generated code reads and
//! writes them, to the byte.

use std::collections::BTreeMap;
use std::sync::Arc;

use creditd::app::{Written, card_file};
use creditd::domain::ledger::{Entry, EntryId, EntryKind, GrantId, GrantShare, Pricing};
use creditd::domain::pricing::{Given, UsageRecord};
use creditd::domain::{AccountName, Credits, Labels, RequestId, Timestamp};
use creditd::rpc::convert::pricing::{estimate_to_pb, usage_from_pb};
use creditd::rpc::pb::creditd::v1 as pb;
use creditd::rpc::wire::read;
use creditd::rpc::wire::write::{EstimateWriter, put_charge};
use proptest::prelude::*;
use prost::Message;

use crate::support::raw::{Raw, frame};
use crate::support::refusal::Refusal;
use crate::support::server::Server;
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

fn maps() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop_oneof![
        9 => Just(BTreeMap::new()),
        1 => Just(BTreeMap::from([("k".to_owned(), "v".to_owned())])),
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
        if let Some((usages, rest)) = read::usages(&bytes, 5) {
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
            let plain = |usage: &pb::Usage| usage.attributes.is_empty() && usage.meters.is_empty();
            let plain = request.usages.len() <= 5 && request.usages.iter().all(plain);
            prop_assert!(!plain, "it can be read in place: {:?}", request);
        }
    }

    #[test]
    fn a_charge_is_written_as_the_generated_encoder_writes_it(
        numbers in prop::collection::vec(1_i64..9_000_000_000_000_000_000, 5),
        shares in prop::collection::vec((1_i64..1 << 50, 0_i64..1 << 60), 0..40),
        usage in prop::option::of((0..3, number(), maps())),
        label in prop::option::of(("[a-z]{1,64}", "[a-z]{0,256}")),
        priced in any::<bool>(),
        replayed in any::<bool>(),
        account in "[!#-\\[\\]-~]{1,128}",
        request_id in "[ -~]{1,256}",
        service in "[A-Za-z0-9._/:@+~-]{1,128}",
    ) {
        let credits = |nanos| Credits::from_nanos(nanos).unwrap();
        let pairs: BTreeMap<String, String> = label.into_iter().collect();
        let pricing = Pricing { rate_card: "jogg-api-v2".into(), revision: "c38700ee".into() };
        let usage = usage.map(|(kind, number, meters)| UsageRecord {
            quantity: match kind {
                0 => Given::Nothing,
                1 => Given::Count(number),
                _ => Given::Duration(i128::from(number)),
            },
            attributes: BTreeMap::new(),
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
        message.entry.as_mut().unwrap().grants.clear();
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
        let writer = EstimateWriter::new(card);
        let mut count = 0;
        for row in table::read(table, 5) {
            let usage = usage(&row.cells[0], &row.cells[1]);
            let Ok(quote) = card.price(&usage_from_pb(&usage)) else {
                continue;
            };
            let mut bytes = vec![7];
            writer.put(&quote, &mut bytes);
            let expected = estimate_to_pb(card, &quote, false).encode_to_vec();
            assert_eq!(&bytes[1..], expected, "{usage:?}");
            count += 1;
        }
        assert!(count > 5, "{table}");
    }
}

/// A field that no version knows: the generated decoder reads what has it.
const UNKNOWN_FIELD: [u8; 3] = [0x9a, 0x3f, 0x00];

#[tokio::test]
async fn a_batch_is_answered_alike_whichever_way_its_usages_are_read() {
    let server = Server::start();
    let mut raw = Raw::connect(&server).await;
    let usages: Vec<_> = table::read("prices.txt", 5)
        .iter()
        .map(|row| usage(&row.cells[0], &row.cells[1]))
        .collect();
    let mut replies = 0;
    // The total of some is too large: that is a refusal.
    for (explain, usages) in [false, true]
        .iter()
        .zip([7, 5])
        .flat_map(|(explain, length)| usages.chunks(length).map(|usages| (*explain, usages)))
    {
        let request = pb::BatchEstimateRequest {
            usages: usages.to_vec(),
            explain,
            ..Default::default()
        };
        let in_place = request.encode_to_vec();
        // Behind an unknown field the items are not where the reader expects them.
        let whole = [&UNKNOWN_FIELD[..], &in_place].concat();
        assert!(read::usages(&in_place, 7).is_some() && read::usages(&whole, 7).is_none());
        let mut answers = Vec::new();
        for bytes in [in_place, whole] {
            let path = "/creditd.v1.PricingService/BatchEstimate";
            let answer = raw.send(path, &[], frame(0, &bytes)).await;
            let status = answer.status.unwrap();
            let refusal = (status.code() != tonic::Code::Ok).then(|| Refusal::of(&status));
            answers.push((answer.body, refusal.map(|refusal| format!("{refusal:?}"))));
        }
        assert_eq!(answers[0], answers[1]);
        if answers[0].1.is_some() {
            continue;
        }
        let bytes = &answers[0].0[5..];
        let reply = pb::BatchEstimateResponse::decode(bytes).unwrap();
        assert_eq!(reply.results.len(), usages.len());
        // Fields in order, none twice: as the generated encoder writes them.
        assert_eq!(reply.encode_to_vec(), bytes);
        replies += 1;
    }
    assert!(replies > 20, "{replies}");
}
