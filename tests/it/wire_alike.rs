//! Estimates and charges over the wire: answered alike whether a request was read in place or by
//! the generated decoder.

use bumpalo::Bump;
use creditd::rpc::pb::creditd::v1 as pb;
use creditd::rpc::wire::read;
use prost::Message as _;

use crate::support::raw::{Raw, frame};
use crate::support::refusal::Refusal;
use crate::support::server::Server;
use crate::support::{grant, root, table, usage};

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
        let room = Bump::new();
        assert!(read::usages(&in_place, 7, &room).is_some());
        assert!(read::usages(&whole, 7, &room).is_none());
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

/// The reply's message, or the refusal, of a request and of the same behind an unknown field.
async fn both_ways(raw: &mut Raw, path: &str, request: &[u8]) -> [Result<Vec<u8>, String>; 2] {
    let whole = [&UNKNOWN_FIELD[..], request].concat();
    let mut answers = [Ok(Vec::new()), Ok(Vec::new())];
    for (answer, bytes) in answers.iter_mut().zip([request, &whole]) {
        let reply = raw.send(path, &[], frame(0, bytes)).await;
        let status = reply.status.unwrap();
        *answer = match status.code() {
            tonic::Code::Ok => Ok(reply.body[5..].to_vec()),
            _ => Err(format!("{:?}", Refusal::of(&status))),
        };
    }
    answers
}

#[tokio::test]
async fn an_estimate_is_answered_alike_whichever_way_it_is_read() {
    let server = Server::start();
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-a", "100")).await.unwrap();
    let mut raw = Raw::connect(&server).await;
    let (mut replies, mut refusals) = (0, 0);
    for row in table::read("prices.txt", 5) {
        for (explain, account) in [(false, ""), (true, "team-a"), (false, "team-b")] {
            let request = pb::EstimateRequest {
                usage: Some(usage(&row.cells[0], &row.cells[1])),
                prices: Some(pb::PriceSelector {
                    account: account.to_owned(),
                    ..Default::default()
                }),
                explain,
                check_balance: !account.is_empty(),
            };
            let path = "/creditd.v1.PricingService/Estimate";
            let [in_place, decoded] = both_ways(&mut raw, path, &request.encode_to_vec()).await;
            assert_eq!(in_place, decoded, "{request:?}");
            match in_place {
                Ok(bytes) => {
                    let reply = pb::EstimateResponse::decode(&*bytes).unwrap();
                    assert_eq!(reply.encode_to_vec(), bytes);
                    assert_eq!(reply.affordability.is_some(), request.check_balance);
                    replies += 1;
                }
                Err(_) => refusals += 1,
            }
        }
    }
    assert!(replies > 20 && refusals > 20, "{replies}, {refusals}");
}

/// Attributes and meters of Anthropic's `messages`: as its card has them, and otherwise.
const MESSAGES: [(&str, &str); 8] = [
    ("model=opus-5", "input_tokens=2000 output_tokens=512"),
    (
        "tier=batch region=us model=fable-5",
        "output_tokens=1 cache_hit_tokens=7 input_tokens=3",
    ),
    ("", "input_tokens=1"),
    ("model=opus-5", ""),
    ("model=opus-4711 tier=batch", "input_tokens=1"),
    ("model=opus-5 colour=red", "input_tokens=1 pixels=2"),
    ("model=opus-5", "input_tokens=-1 output_tokens="),
    (
        "model=opus-5",
        "a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 i=1 j=1 k=1 l=1 m=1 n=1 o=1 p=1 q=1",
    ),
];

fn messages(attributes: &str, meters: &str) -> pb::Usage {
    let pairs = |words: &str| {
        let words = words.split_whitespace();
        let pairs = words.map(|word| word.split_once('=').unwrap());
        pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    };
    pb::Usage {
        service: "messages".to_owned(),
        quantity: None,
        attributes: pairs(attributes),
        meters: pairs(meters),
    }
}

fn of_usage(usage: pb::Usage, explain: bool) -> pb::EstimateRequest {
    pb::EstimateRequest {
        usage: Some(usage),
        explain,
        ..Default::default()
    }
}

fn serving_anthropic() -> Server {
    let card = root("rate-cards/examples/anthropic.toml");
    Server::start_with(&["--rate-card-file", card.to_str().unwrap()])
}

#[tokio::test]
async fn attributes_and_meters_are_answered_alike_whichever_way_they_are_read() {
    let server = serving_anthropic();
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-a", "100")).await.unwrap();
    let mut raw = Raw::connect(&server).await;
    let mut replies = 0;
    for (number, (attributes, meters)) in MESSAGES.iter().enumerate() {
        let usage = messages(attributes, meters);
        for explain in [false, true] {
            let path = "/creditd.v1.PricingService/Estimate";
            let request = of_usage(usage.clone(), explain).encode_to_vec();
            let is_common = usage.meters.len() <= 16;
            let room = Bump::new();
            assert_eq!(read::estimate(&request, &room).is_some(), is_common);
            let [in_place, decoded] = both_ways(&mut raw, path, &request).await;
            assert_eq!(in_place, decoded, "{usage:?}");
            replies += usize::from(in_place.is_ok());
            if attributes.contains("colour") {
                let refused = in_place.unwrap_err();
                assert!(refused.contains("it takes cache_hit_tokens, "), "{refused}");
            }
        }
        let charge = pb::ChargeRequest {
            request_id: format!("r{number}"),
            account: "team-a".to_owned(),
            what: Some(pb::charge_request::What::Usage(usage.clone())),
            ..Default::default()
        };
        let Some(first) = charged_both_ways(&mut raw, &charge).await else {
            continue;
        };
        assert_eq!(first.entry.unwrap().usage, Some(usage));
        replies += 1;
    }
    assert_eq!(replies, 9, "three of the usages have a price");
}

/// A sender may write an entry of a map twice: the last one counts.
#[tokio::test]
async fn of_two_attributes_with_one_name_the_last_counts() {
    let server = serving_anthropic();
    let mut raw = Raw::connect(&server).await;
    let path = "/creditd.v1.PricingService/Estimate";
    let (first, last) = ("model=opus-5", "model=fable-5");
    let usage = messages(first, "input_tokens=1000").encode_to_vec();
    let mut again = messages(last, "");
    again.service.clear();
    let both = [usage, again.encode_to_vec()].concat();
    let mut request = vec![0x0a, u8::try_from(both.len()).unwrap()];
    request.extend(both);
    assert!(read::estimate(&request, &Bump::new()).is_none());
    let expected = of_usage(messages(last, "input_tokens=1000"), false);
    let [_, expected] = both_ways(&mut raw, path, &expected.encode_to_vec()).await;
    let [answer, _] = both_ways(&mut raw, path, &request).await;
    assert!(answer.is_ok());
    assert_eq!(answer, expected);
}

/// The answer to a charge that was sent both ways; None where it was refused.
async fn charged_both_ways(
    raw: &mut Raw,
    charge: &pb::ChargeRequest,
) -> Option<pb::ChargeResponse> {
    let path = "/creditd.v1.LedgerService/Charge";
    let answers = both_ways(raw, path, &charge.encode_to_vec()).await;
    let [Ok(in_place), Ok(decoded)] = &answers else {
        assert_eq!(answers[0], answers[1], "{charge:?}");
        return None;
    };
    let [mut first, second] = [in_place, decoded].map(|bytes| {
        let reply = pb::ChargeResponse::decode(&**bytes).unwrap();
        assert_eq!(&reply.encode_to_vec(), bytes);
        reply
    });
    check_replay(&mut first, &second);
    Some(first)
}

/// What two requests of one charge may be answered: the same, once as a replay.
fn check_replay(in_place: &mut pb::ChargeResponse, decoded: &pb::ChargeResponse) {
    assert!(!in_place.replayed);
    in_place.replayed = true;
    assert_eq!(in_place, decoded);
}

#[tokio::test]
async fn charges_are_answered_alike_whichever_way_they_are_read() {
    use pb::batch_charge_result::Result as Item;
    use pb::charge_request::What;
    let server = Server::start();
    let mut ledger = server.ledger().await;
    for number in 0..3 {
        let request = grant(&format!("g{number}"), "team-a", "10");
        ledger.grant(request).await.unwrap();
    }
    let mut raw = Raw::connect(&server).await;
    let rows = table::read("prices.txt", 5);
    let mut works: Vec<_> = rows
        .iter()
        .map(|row| Some(What::Usage(usage(&row.cells[0], &row.cells[1]))))
        .collect();
    works.extend(["12.5", "0", "x", ""].map(|credits| Some(What::Credits(credits.to_owned()))));
    works.push(None);
    let charges: Vec<_> = works
        .into_iter()
        .enumerate()
        .map(|(number, what)| pb::ChargeRequest {
            request_id: format!("r{number}"),
            account: if number % 10 == 9 { "team-b" } else { "team-a" }.to_owned(),
            what,
            ..Default::default()
        })
        .collect();
    let (mut replies, mut refusals, mut most_grants) = (0, 0, 0);
    for charge in &charges {
        let Some(first) = charged_both_ways(&mut raw, charge).await else {
            refusals += 1;
            continue;
        };
        most_grants = most_grants.max(first.entry.unwrap().grants.len());
        replies += 1;
    }
    assert!(replies > 5 && refusals > 10, "{replies}, {refusals}");
    assert!(most_grants > 1);

    ledger.grant(grant("g3", "team-a", "10")).await.unwrap();
    let charges: Vec<_> = charges
        .into_iter()
        .map(|charge| pb::ChargeRequest {
            request_id: format!("batch-{}", charge.request_id),
            ..charge
        })
        .collect();
    let path = "/creditd.v1.LedgerService/BatchCharge";
    let request = pb::BatchChargeRequest { charges }.encode_to_vec();
    let [in_place, decoded] = both_ways(&mut raw, path, &request).await.map(|answer| {
        let bytes = answer.unwrap();
        let reply = pb::BatchChargeResponse::decode(&*bytes).unwrap();
        assert_eq!(reply.encode_to_vec(), bytes);
        reply
    });
    assert_eq!(in_place.failed_count, decoded.failed_count);
    let mut done = 0;
    for (first, second) in in_place.results.into_iter().zip(decoded.results) {
        match (first.result.unwrap(), second.result.unwrap()) {
            (Item::Charge(mut first), Item::Charge(second)) => {
                check_replay(&mut first, &second);
                assert!(first.entry.unwrap().grants.is_empty());
                done += 1;
            }
            (first, second) => assert_eq!(first, second),
        }
    }
    assert!(done > 5, "{done}");
}
