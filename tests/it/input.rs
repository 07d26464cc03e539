//! Bad fields, amounts, quantities and batches: all that is wrong is named at
//! once, by path and reason, and nothing changes.

use creditd::rpc::pb::creditd::v1 as pb;
use creditd::rpc::pb::creditd::v1::batch_estimate_result::Result as Item;
use prost::Message as _;
use tonic::Code;

use crate::support::refusal::{Refusal, refused};
use crate::support::server::Server;
use crate::support::{balance, estimate, grant, usage};

#[tokio::test]
async fn batches_at_their_limits() {
    let server = Server::start();
    let mut pricing = server.pricing().await;
    let batch = |count: usize, explain: bool, service: &str| pb::BatchEstimateRequest {
        usages: vec![usage(service, "31.123456789s"); count],
        explain,
        ..pb::BatchEstimateRequest::default()
    };
    let reply = pricing
        .batch_estimate(batch(10_000, false, "lip_sync_video"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(reply.results.len(), 10_000);
    assert_eq!(
        (reply.total_credits.as_str(), reply.failed_count),
        ("2489.87655", 0)
    );
    assert!(reply.encoded_len() < 4 * 1024 * 1024);

    for (count, reason) in [(0, "BATCH_EMPTY"), (10_001, "TOO_MANY_ITEMS")] {
        let refusal = refused(
            pricing
                .batch_estimate(batch(count, false, "lip_sync_video"))
                .await,
        );
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (Code::InvalidArgument, reason)
        );
        assert_eq!(refusal.paths(), ["usages"]);
    }

    // A reply that would not fit is refused whole, and says how many would.
    let service = "x".repeat(64);
    let refusal = refused(pricing.batch_estimate(batch(10_000, true, &service)).await);
    assert_eq!(refusal.reason, "REPLY_TOO_LARGE");
    let fit: usize = refusal.metadata["items_that_fit"].parse().unwrap();
    assert!((1_000..10_000).contains(&fit), "{fit}");
    let reply = pricing
        .batch_estimate(batch(fit, true, &service))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(reply.failed_count, i32::try_from(fit).unwrap());
    assert!(reply.encoded_len() <= 4 * 1024 * 1024);
    // It is about as many as there is room for.
    assert!(
        reply.encoded_len() > 4 * 1024 * 1024 * 95 / 100,
        "{}",
        reply.encoded_len()
    );
}

#[tokio::test]
async fn one_bad_item_fails_alone_and_the_rest_keeps_its_order() {
    let server = Server::start();
    let mut pricing = server.pricing().await;
    let request = pb::BatchEstimateRequest {
        usages: vec![
            usage("ai_scripts", "x1"),
            usage("lip_sink_video", "-1s"),
            pb::Usage::default(),
            usage("motion_2_0_pro", "-"),
        ],
        ..pb::BatchEstimateRequest::default()
    };
    let reply = pricing.batch_estimate(request).await.unwrap().into_inner();
    assert_eq!(
        (reply.total_credits.as_str(), reply.failed_count),
        ("3.2", 2)
    );
    let told: Vec<String> = reply
        .results
        .into_iter()
        .map(|result| match result.result.unwrap() {
            Item::Estimate(estimate) => format!("{} {}", estimate.service, estimate.credits),
            Item::Error(status) => {
                let refusal = Refusal::of_pb(&status);
                format!("{:?} {:?}", refusal.code, refusal.fields)
            }
        })
        .collect();
    assert_eq!(
        told,
        [
            "ai_scripts 0.2",
            "InvalidArgument [(\"service\", \"UNKNOWN_SERVICE\"), (\"duration\", \"INVALID_QUANTITY\")]",
            "InvalidArgument [(\"service\", \"FIELD_REQUIRED\")]",
            "motion_2_0_pro 3",
        ]
    );
}

/// All bad fields at once, also those that depend on the time or the prices.
#[tokio::test]
async fn all_bad_fields_are_named_at_once() {
    let server = Server::start();
    let mut pricing = server.pricing().await;
    let mut request = estimate("", "-1s");
    let pairs = |from: usize| {
        (from..from + 17)
            .map(|i| (i.to_string(), String::new()))
            .collect()
    };
    let bad = request.usage.as_mut().unwrap();
    bad.attributes = pairs(0);
    bad.meters = [("k".repeat(65), String::new())].into();
    request.prices = Some(pb::PriceSelector {
        account: "team a".to_owned(),
        rate_card: "nowhere".to_owned(),
        revision: "r".to_owned(),
        price_time: Some(prost_types::Timestamp {
            seconds: i64::MAX,
            nanos: -1,
        }),
    });
    let refusal = refused(pricing.estimate(request).await);
    assert_eq!(refusal.code, Code::InvalidArgument);
    let mut fields = refusal.fields.clone();
    fields.sort();
    let expected = [
        ("prices.account", "INVALID_ACCOUNT"),
        ("prices.price_time", "CONFLICTING_FIELDS"),
        ("usage.attributes", "TOO_MANY_ITEMS"),
        ("usage.duration", "INVALID_QUANTITY"),
        ("usage.meters", "INVALID_LENGTH"),
        ("usage.service", "FIELD_REQUIRED"),
    ];
    assert_eq!(
        fields,
        expected.map(|(path, reason)| (path.to_owned(), reason.to_owned()))
    );
    assert_eq!(refusal.reason, "FIELD_REQUIRED", "that of the first field");

    let mut ledger = server.ledger().await;
    let request = pb::GrantRequest {
        request_id: "r".repeat(257),
        account: String::new(),
        credits: "1e3".to_owned(),
        expire_time: Some(prost_types::Timestamp {
            seconds: 0,
            nanos: 0,
        }),
        source: "s".repeat(257),
        services: vec!["lip_sink_video".to_owned()],
        labels: [(String::new(), String::new())].into(),
        priority: 0,
    };
    let refusal = refused(ledger.grant(request).await);
    let mut paths = refusal.paths();
    paths.sort_unstable();
    assert_eq!(
        paths,
        [
            "account",
            "credits",
            "expire_time",
            "labels",
            "request_id",
            "services",
            "source"
        ]
    );

    let request = pb::GetBalanceRequest {
        as_of: Some(prost_types::Timestamp {
            seconds: 253_402_300_799,
            nanos: 0,
        }),
        ..balance("")
    };
    assert_eq!(
        refused(ledger.get_balance(request).await).paths(),
        ["account", "as_of"]
    );
}

#[tokio::test]
async fn amounts_that_are_none() {
    let server = Server::start();
    let mut ledger = server.ledger().await;
    for text in [
        "1e3",
        "1_000",
        "1,000",
        "+1",
        ".5",
        "1.",
        "NaN",
        "Infinity",
        "0x10",
        " 1",
        "1 ",
        "-1",
        "0",
        "0.0",
        "0.0000000001",
        "1.0000000000",
        "9000000000.000000001",
        "9000000001",
        "\u{ff11}",
        &"9".repeat(1_000),
    ] {
        let refusal = refused(ledger.grant(grant("r1", "team-a", text)).await);
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (Code::InvalidArgument, "INVALID_AMOUNT"),
            "{text}"
        );
        assert_eq!(refusal.paths(), ["credits"]);
    }
    assert_eq!(
        refused(ledger.grant(grant("r1", "team-a", "")).await).reason,
        "FIELD_REQUIRED"
    );
    // Nothing was opened, nothing used up.
    assert_eq!(
        refused(ledger.get_balance(balance("team-a")).await).reason,
        "ACCOUNT_NOT_FOUND"
    );
    ledger
        .grant(grant("r1", "team-a", "9000000000"))
        .await
        .unwrap();
    let refusal = refused(ledger.grant(grant("r2", "team-a", "0.000000001")).await);
    assert_eq!(
        (refusal.code, refusal.reason.as_str()),
        (Code::FailedPrecondition, "BALANCE_TOO_LARGE")
    );
}

#[tokio::test]
async fn durations_that_are_none() {
    let server = Server::start();
    let mut pricing = server.pricing().await;
    for (seconds, nanos) in [
        (i64::MAX, 0),
        (i64::MIN, 0),
        (315_576_000_001, 0),
        (1, 1_000_000_000),
        (1, i32::MAX),
        (1, -1),
        (-1, 1),
    ] {
        let mut request = estimate("lip_sync_video", "-");
        let duration = prost_types::Duration { seconds, nanos };
        request.usage.as_mut().unwrap().quantity = Some(pb::usage::Quantity::Duration(duration));
        let refusal = refused(pricing.estimate(request).await);
        assert_eq!(refusal.reason, "INVALID_QUANTITY", "{seconds} {nanos}");
        assert_eq!(refusal.paths(), ["usage.duration"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_request_without_usage_is_refused() {
    let server = Server::start();
    let mut pricing = server.pricing().await;
    let refusal = refused(pricing.estimate(pb::EstimateRequest::default()).await);
    assert_eq!(
        (refusal.code, refusal.reason.as_str()),
        (Code::InvalidArgument, "FIELD_REQUIRED")
    );
    assert_eq!(refusal.paths(), ["usage"]);
}
