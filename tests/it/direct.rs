//! The direct codec compared with the generated one: both read requests alike, and write the
//! same bytes of replies.

use std::collections::BTreeMap;
use std::sync::Arc;

use creditd::app::Written;
use creditd::domain::ledger::{Entry, EntryId, EntryKind, GrantId, GrantShare, Pricing};
use creditd::domain::pricing::{Given, UsageRecord};
use creditd::domain::{AccountName, Credits, Labels, RequestId, Timestamp};
use creditd::rpc::convert::ledger::charge_response_to_pb;
use creditd::rpc::convert::pricing::{selector_from_pb, usage_from_pb};
use creditd::rpc::convert::write::{charge_from_pb, charge_from_text};
use creditd::rpc::direct::entry::put_charge_response;
use creditd::rpc::direct::read;
use creditd::rpc::pb::creditd::v1 as pb;
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

prop_compose! {
    fn selectors()(
        account in text(),
        rate_card in text(),
        revision in text(),
        time in prop::option::weighted(0.1, number()),
    ) -> pb::PriceSelector {
        let price_time = time.map(|seconds| prost_types::Timestamp { seconds, nanos: 1 });
        pb::PriceSelector { account, rate_card, revision, price_time }
    }
}

prop_compose! {
    fn charges()(
        request_id in text(),
        account in text(),
        usage in usages(),
        kind in 0..3,
        credits in text(),
        prices in prop::option::of(selectors()),
        labels in maps(),
    ) -> pb::ChargeRequest {
        use pb::charge_request::What;
        let what = match kind {
            0 => None,
            1 => Some(What::Usage(usage)),
            _ => Some(What::Credits(credits)),
        };
        pb::ChargeRequest { request_id, account, what, prices, labels }
    }
}

/// A message's bytes, at times damaged: cut, changed, or with bytes appended.
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

/// Whether it is in the common form, by its definition and not by the reader.
fn is_common(usage: &pb::Usage) -> bool {
    usage.attributes.is_empty() && usage.meters.is_empty()
}

fn is_timeless(prices: Option<&pb::PriceSelector>) -> bool {
    prices.is_none_or(|prices| prices.price_time.is_none())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn a_charge_is_read_as_the_generated_decoder_reads_it(
        request in charges(), damage in 0_u8..8, at in any::<usize>(), byte in any::<u8>(),
    ) {
        let bytes = bytes_of(&request, damage, at, byte);
        if let Some(text) = read::charge(&bytes) {
            let message = pb::ChargeRequest::decode(&*bytes).unwrap();
            prop_assert_eq!(
                format!("{:?}", charge_from_text(&text)),
                format!("{:?}", charge_from_pb(&message))
            );
        } else if damage > 3 {
            use pb::charge_request::What;
            let usage = match &request.what {
                Some(What::Usage(usage)) => is_common(usage),
                _ => true,
            };
            let common = usage && request.labels.is_empty() && is_timeless(request.prices.as_ref());
            prop_assert!(!common, "it is in the common form: {:?}", request);
        }
    }

    #[test]
    fn an_estimate_is_read_as_the_generated_decoder_reads_it(
        usage in prop::option::of(usages()), prices in prop::option::of(selectors()),
        explain in any::<bool>(), check_balance in any::<bool>(),
        damage in 0_u8..8, at in any::<usize>(), byte in any::<u8>(),
    ) {
        let request = pb::EstimateRequest { usage, prices, explain, check_balance };
        let bytes = bytes_of(&request, damage, at, byte);
        if let Some(text) = read::estimate(&bytes) {
            let message = pb::EstimateRequest::decode(&*bytes).unwrap();
            prop_assert!(!message.explain && !message.check_balance);
            let usage = message.usage.as_ref().map(usage_from_pb);
            let prices = message.prices.as_ref().map(selector_from_pb);
            prop_assert_eq!(
                format!("{:?} {:?}", text.usage, text.prices),
                format!("{usage:?} {prices:?}")
            );
        } else if damage > 3 && !explain && !check_balance {
            let common = request.usage.as_ref().is_none_or(is_common)
                && is_timeless(request.prices.as_ref());
            prop_assert!(!common, "it is in the common form: {:?}", request);
        }
    }

    #[test]
    fn batches_are_read_as_the_generated_decoder_reads_them(
        usages in prop::collection::vec(usages(), 0..6),
        charges in prop::collection::vec(charges(), 0..4),
        prices in prop::option::of(selectors()),
        damage in 0_u8..8, at in any::<usize>(), byte in any::<u8>(),
    ) {
        let request = pb::BatchEstimateRequest { usages, prices, ..Default::default() };
        let bytes = bytes_of(&request, damage, at, byte);
        if let Some(text) = read::batch_estimate(&bytes, 5) {
            let message = pb::BatchEstimateRequest::decode(&*bytes).unwrap();
            prop_assert!(message.usages.len() <= 5 && !message.explain && !message.check_balance);
            let usages: Vec<_> = message.usages.iter().map(usage_from_pb).collect();
            let prices = message.prices.as_ref().map(selector_from_pb);
            prop_assert_eq!(
                format!("{:?} {:?}", text.usages, text.prices),
                format!("{usages:?} {prices:?}")
            );
        }
        let request = pb::BatchChargeRequest { charges };
        let bytes = bytes_of(&request, damage, at, byte);
        if let Some(texts) = read::batch_charge(&bytes, 3) {
            let message = pb::BatchChargeRequest::decode(&*bytes).unwrap();
            prop_assert!(message.charges.len() <= 3);
            let read: Vec<_> = texts.iter().map(charge_from_text).collect();
            let expected: Vec<_> = message.charges.iter().map(charge_from_pb).collect();
            prop_assert_eq!(format!("{read:?}"), format!("{expected:?}"));
        }
    }

    #[test]
    fn a_charge_is_written_as_the_generated_encoder_writes_it(
        numbers in prop::collection::vec(1_i64..9_000_000_000_000_000_000, 6),
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
        let written = Written { entry, available: credits(numbers[5]), replayed };
        let mut bytes = vec![7];
        put_charge_response(&written, &mut bytes);
        prop_assert_eq!(&bytes[1..], charge_response_to_pb(&written).encode_to_vec());
    }
}

/// The refusals of a reply, and everything else of it.
type Items = (Vec<Refusal>, Vec<u8>);

/// A field that no version knows: what has it is not in the common form.
const UNKNOWN_FIELD: [u8; 3] = [0x9a, 0x3f, 0x00];

/// What a call and the same call by the generated way are answered. `items` takes the
/// refusals out of a reply, since their metadata stand in no order.
async fn both_ways(
    raw: &mut Raw,
    path: &str,
    message: &impl Message,
    items: fn(&[u8]) -> Items,
) -> [String; 2] {
    let common = message.encode_to_vec();
    let mut uncommon = common.clone();
    uncommon.extend(UNKNOWN_FIELD);
    let mut answers = Vec::new();
    for bytes in [common, uncommon] {
        let answer = raw.send(path, &[], frame(0, &bytes)).await;
        let status = answer.status.unwrap();
        answers.push(match status.code() {
            tonic::Code::Ok => format!("{:?}", items(&answer.body[5..])),
            _ => format!("{:?}", Refusal::of(&status)),
        });
    }
    answers.try_into().unwrap()
}

fn whole(body: &[u8]) -> Items {
    (Vec::new(), body.to_vec())
}

fn estimates(body: &[u8]) -> Items {
    use pb::batch_estimate_result::Result;
    let mut reply = pb::BatchEstimateResponse::decode(body).unwrap();
    let mut refusals = Vec::new();
    for item in &mut reply.results {
        if let Some(Result::Error(status)) = &mut item.result {
            refusals.push(Refusal::of_pb(status));
            status.details.clear();
        }
    }
    assert_eq!(reply.failed_count, i32::try_from(refusals.len()).unwrap());
    (refusals, reply.encode_to_vec())
}

fn charged(body: &[u8]) -> Items {
    use pb::batch_charge_result::Result;
    let mut reply = pb::BatchChargeResponse::decode(body).unwrap();
    let mut refusals = Vec::new();
    for item in &mut reply.results {
        if let Some(Result::Error(status)) = &mut item.result {
            refusals.push(Refusal::of_pb(status));
            status.details.clear();
        }
    }
    assert_eq!(reply.failed_count, i32::try_from(refusals.len()).unwrap());
    (refusals, reply.encode_to_vec())
}

#[tokio::test]
async fn every_case_of_the_price_list_is_answered_alike_both_ways() {
    assert!(both_ways_of_table(&[], "prices.txt").await > 200);
}

#[tokio::test]
async fn a_card_with_long_keys_and_required_quantities_is_answered_alike_both_ways() {
    let card = root("tests/data/cards/models.toml");
    let card = ["--rate-card", card.to_str().unwrap()];
    assert!(both_ways_of_table(&card, "cards/models.txt").await > 10);
}

/// How many cases the table has.
async fn both_ways_of_table(args: &[&str], name: &str) -> usize {
    let server = Server::start_with(args);
    let mut raw = Raw::connect(&server).await;
    let rows = table::read(name, 5);
    let usages: Vec<_> = rows
        .iter()
        .map(|row| usage(&row.cells[0], &row.cells[1]))
        .collect();
    for usage in &usages {
        let request = pb::EstimateRequest {
            usage: Some(usage.clone()),
            ..Default::default()
        };
        let path = "/creditd.v1.PricingService/Estimate";
        let [direct, generated] = both_ways(&mut raw, path, &request, whole).await;
        assert_eq!(direct, generated, "{usage:?}");
    }
    let path = "/creditd.v1.PricingService/BatchEstimate";
    for prices in [None, Some(pb::PriceSelector::default())] {
        // One after another their total is small enough; all together it is not.
        for usages in usages.chunks(7).chain([usages.as_slice(), &[]]) {
            let request = pb::BatchEstimateRequest {
                usages: usages.to_vec(),
                prices: prices.clone(),
                ..Default::default()
            };
            let [direct, generated] = both_ways(&mut raw, path, &request, estimates).await;
            assert_eq!(direct, generated, "{usages:?}");
        }
    }
    usages.len()
}

#[tokio::test]
async fn charges_are_answered_again_alike_both_ways() {
    use pb::charge_request::What;
    let server = Server::start();
    let mut ledger = server.ledger().await;
    let grant = crate::support::grant("g", "team-a", "100");
    ledger.grant(grant).await.unwrap();
    let mut raw = Raw::connect(&server).await;
    let of = |id: &str, account: &str, what: Option<What>| pb::ChargeRequest {
        request_id: id.to_owned(),
        account: account.to_owned(),
        what,
        ..Default::default()
    };
    let work = || Some(What::Usage(usage("lip_sync_video", "31s")));
    let amount = |text: &str| Some(What::Credits(text.to_owned()));
    let charges = vec![
        of("1", "team-a", work()),
        of("2", "team-a", amount("0.5")),
        of("3", "team-a", amount("1000")),
        of("4", "team-b", amount("1")),
        of("5", "team-a", amount("1e3")),
        of("", "team a", None),
        of("6", "team-a", Some(What::Usage(usage("lip_sink", "31s")))),
    ];
    for charge in &charges {
        let path = "/creditd.v1.LedgerService/Charge";
        // Once, so that both ways answer what was answered before.
        raw.send(path, &[], frame(0, &charge.encode_to_vec())).await;
        let [direct, generated] = both_ways(&mut raw, path, charge, whole).await;
        assert_eq!(direct, generated, "{charge:?}");
    }
    let path = "/creditd.v1.LedgerService/BatchCharge";
    for charges in [charges, Vec::new()] {
        let batch = pb::BatchChargeRequest { charges };
        let [direct, generated] = both_ways(&mut raw, path, &batch, charged).await;
        assert_eq!(direct, generated);
    }
}
