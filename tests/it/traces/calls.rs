//! The spans of single calls.

use std::sync::Arc;
use std::time::Duration;

use creditd::rpc::pb::creditd::v1 as pb;
use creditd::server::SystemClock;
use creditd::store::Clock as _;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message as _;

use super::collector::{Collector, Does};
use super::{PARENT, SECRET, TRACE, Traced, attributes, children, hex, names, one, sampled, with};
use crate::support::raw::{Raw, frame};
use crate::support::requests::{batch, charge, hold, settle};
use crate::support::server::{Program, Settings};
use crate::support::{balance, estimate, grant, wait_until};

const CHARGE: &str = "creditd.v1.LedgerService/Charge";

fn nanos() -> u64 {
    let now = SystemClock.now().unix_nanos().unwrap();
    u64::try_from(now).unwrap()
}

/// Each child is within its parent, and begins when the one before has ended.
#[track_caller]
fn check_times(spans: &[Span], parent: &Span) {
    let mut from = parent.start_time_unix_nano;
    for child in children(spans, parent) {
        assert!(from <= child.start_time_unix_nano, "{spans:#?}");
        from = child.end_time_unix_nano;
        assert!(child.start_time_unix_nano <= from, "{spans:#?}");
    }
    assert!(from <= parent.end_time_unix_nano, "{spans:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charge_is_one_span_with_its_parts_and_linked_to_its_group() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    std::fs::write(&keys, SECRET).unwrap();
    let traced = Traced::start(Does::Take, &["--admin-key-file", keys.to_str().unwrap()]);
    let address = traced.server.address.clone();
    let mut ledger = traced.server.ledger().await;
    let authorization = format!("Bearer {SECRET}");
    let key = ("authorization", authorization.as_str());
    ledger
        .grant(with(grant("g1", "team-a", "5"), &[key]))
        .await
        .unwrap();
    let before = nanos();
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let headers = [
        key,
        ("traceparent", parent.as_str()),
        ("tracestate", "vendor=of-the-test"),
        ("x-request-id", "web-42"),
    ];
    let request = with(charge("c1", "team-a", "1"), &headers);
    ledger.charge(request).await.unwrap();
    let after = nanos();
    let requests = Arc::clone(&traced.collector.requests);
    let spans = traced.spans();

    let call = one(&spans, CHARGE);
    assert_eq!(hex(&call.trace_id), TRACE);
    assert_eq!(hex(&call.parent_span_id), PARENT);
    assert_eq!(call.trace_state, "vendor=of-the-test");
    assert_eq!(call.kind(), SpanKind::Server);
    assert_eq!(
        call.status.as_ref().map_or(StatusCode::Unset, |s| s.code()),
        StatusCode::Unset
    );
    assert!(before <= call.start_time_unix_nano && call.end_time_unix_nano <= after);
    let mut said = attributes(&call.attributes);
    let peer = said.remove("network.peer.port").unwrap();
    assert!(peer.parse::<u16>().unwrap() > 0);
    let (host, port) = address.split_once(':').unwrap();
    let expected = [
        ("rpc.system.name", "grpc"),
        ("rpc.method", CHARGE),
        ("rpc.response.status_code", "OK"),
        ("network.transport", "tcp"),
        ("network.peer.address", "127.0.0.1"),
        ("server.address", host),
        ("server.port", port),
        ("creditd.x_request_id", "web-42"),
        ("creditd.key_id", "admin"),
        ("creditd.account", "team-a"),
    ];
    assert_eq!(
        said,
        expected
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into()
    );
    let parts = children(&spans, call);
    assert_eq!(names(&parts), ["queue", "decide", "commit"]);
    for part in parts {
        assert_eq!(hex(&part.trace_id), TRACE);
        assert_eq!(part.kind(), SpanKind::Internal);
    }
    check_times(&spans, call);

    let group = one(&spans, "ledger group");
    assert_ne!(hex(&group.trace_id), TRACE);
    assert_eq!(group.kind(), SpanKind::Internal);
    assert!(group.parent_span_id.is_empty());
    assert_eq!(attributes(&group.attributes)["creditd.group.commands"], "1");
    assert_eq!(
        names(&children(&spans, group)),
        ["decide", "write", "commit"]
    );
    check_times(&spans, group);
    let [link] = call.links.as_slice() else {
        panic!("{call:#?}");
    };
    assert_eq!(
        (&link.trace_id, &link.span_id),
        (&group.trace_id, &group.span_id)
    );
    // The grant was not traced, and nothing else was sent.
    assert_eq!(spans.len(), 8, "{spans:#?}");
    let ids: std::collections::BTreeSet<_> = spans.iter().map(|span| &span.span_id).collect();
    assert_eq!(ids.len(), 8);

    let requests = requests.lock().unwrap();
    let resource = requests[0].resource_spans[0].resource.as_ref().unwrap();
    assert_eq!(attributes(&resource.attributes)["service.name"], "creditd");
    for request in &*requests {
        let bytes = request.encode_to_vec();
        let has_secret = bytes
            .windows(SECRET.len())
            .any(|part| part == SECRET.as_bytes());
        assert!(!has_secret, "{request:#?}");
    }
}

/// What the spans of a call have to be.
struct Expected<'a> {
    method: &'a str,
    /// By their begin.
    parts: &'a [&'a str],
    code: &'a str,
    is_error: bool,
    reason: Option<&'a str>,
    links: usize,
}

#[track_caller]
fn check(spans: &[Span], expected: &Expected<'_>) {
    let call = one(spans, expected.method);
    assert_eq!(names(&children(spans, call)), expected.parts, "{spans:#?}");
    check_times(spans, call);
    let said = attributes(&call.attributes);
    let said = |key: &str| said.get(key).map(String::as_str);
    assert_eq!(said("rpc.method"), Some(expected.method));
    assert_eq!(said("rpc.response.status_code"), Some(expected.code));
    assert_eq!(said("creditd.reason"), expected.reason);
    let error = expected.is_error.then_some(expected.code);
    assert_eq!(said("error.type"), error, "{call:#?}");
    let status = call.status.as_ref().map(|status| status.code());
    let is_error = status == Some(StatusCode::Error);
    assert_eq!(is_error, expected.is_error, "{call:#?}");
    assert_eq!(call.links.len(), expected.links, "{call:#?}");
}

/// The spans of one call of that path, whose message may need the id of a hold.
async fn spans_of(path: &str, message: fn(&str) -> Vec<u8>) -> Vec<Span> {
    let traced = Traced::start(Does::Take, &[]);
    let mut ledger = traced.server.ledger().await;
    ledger.grant(grant("g1", "team-a", "5")).await.unwrap();
    let held = ledger.hold(hold("h1", "team-a", "1")).await.unwrap();
    let hold_id = held.into_inner().hold.unwrap().hold_id;
    let mut raw = Raw::connect(&traced.server).await;
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let headers = [("traceparent", parent.as_str())];
    raw.send(path, &headers, frame(0, &message(&hold_id))).await;
    traced.spans()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_of_call_has_the_parts_that_it_had() {
    let write = ["queue", "decide", "commit"].as_slice();
    let ok = Expected {
        method: "",
        parts: &[],
        code: "OK",
        is_error: false,
        reason: None,
        links: 0,
    };
    type Message = fn(&str) -> Vec<u8>;
    let cases: [(Message, Expected<'_>); 9] = [
        (
            |_| estimate("lip_sync_video", "31s").encode_to_vec(),
            Expected {
                method: "creditd.v1.PricingService/Estimate",
                ..ok
            },
        ),
        (
            |_| balance("team-a").encode_to_vec(),
            Expected {
                method: "creditd.v1.LedgerService/GetBalance",
                parts: &["queue", "read account"],
                ..ok
            },
        ),
        (
            |_| {
                let entries = pb::ListEntriesRequest {
                    account: "team-a".to_owned(),
                    ..Default::default()
                };
                entries.encode_to_vec()
            },
            Expected {
                method: "creditd.v1.LedgerService/ListEntries",
                parts: &["queue", "read account"],
                ..ok
            },
        ),
        (
            |_| {
                let charges = ["b1", "b2", "b3"].map(|id| charge(id, "team-a", "0.5"));
                batch(charges.to_vec()).encode_to_vec()
            },
            Expected {
                method: "creditd.v1.LedgerService/BatchCharge",
                parts: write,
                links: 1,
                ..ok
            },
        ),
        (
            // It wrote nothing, and so did its group.
            |_| charge("c1", "team-b", "1").encode_to_vec(),
            Expected {
                method: CHARGE,
                parts: &["queue", "decide"],
                code: "NOT_FOUND",
                reason: Some("ACCOUNT_NOT_FOUND"),
                ..ok
            },
        ),
        (
            |_| charge("c1", "team-a", "x").encode_to_vec(),
            Expected {
                method: CHARGE,
                code: "INVALID_ARGUMENT",
                reason: Some("INVALID_AMOUNT"),
                ..ok
            },
        ),
        (
            |_| balance("team-b").encode_to_vec(),
            Expected {
                method: "creditd.v1.LedgerService/GetBalance",
                parts: &["queue"],
                code: "NOT_FOUND",
                reason: Some("ACCOUNT_NOT_FOUND"),
                ..ok
            },
        ),
        (
            |hold_id| settle("s1", "team-a", hold_id, "1").encode_to_vec(),
            Expected {
                method: "creditd.v1.LedgerService/SettleHold",
                parts: write,
                links: 1,
                ..ok
            },
        ),
        (
            |_| Vec::new(),
            Expected {
                method: "_OTHER",
                code: "UNIMPLEMENTED",
                is_error: true,
                reason: Some("UNKNOWN_METHOD"),
                ..ok
            },
        ),
    ];
    for (message, expected) in cases {
        let path = match expected.method {
            "_OTHER" => "/creditd.v1.LedgerService/Nothing".to_owned(),
            method => format!("/{method}"),
        };
        check(&spans_of(&path, message).await, &expected);
    }
}

/// A message that comes later than its headers is a part of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_waits_for_its_message_says_so() {
    let traced = Traced::start(Does::Take, &[]);
    let mut raw = Raw::connect(&traced.server).await;
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let method = "creditd.v1.LedgerService/Grant";
    let path = format!("/{method}");
    let (answer, mut body) = raw.begin(&path, &[("traceparent", &parent)]).await;
    // An answer to the next call says that the headers of this one have come.
    let estimate = "/creditd.v1.PricingService/Estimate";
    let (next, mut next_body) = raw.begin(estimate, &[]).await;
    next_body.send_data(frame(0, &[]).into(), true).unwrap();
    Raw::answer(next).await;
    // A slow peer on purpose.
    tokio::time::sleep(Duration::from_millis(30)).await;
    let message = grant("g1", "team-a", "5").encode_to_vec();
    body.send_data(frame(0, &message).into(), true).unwrap();
    Raw::answer(answer).await;
    drop(traced.server.stop());
    let spans = traced.collector.spans();
    let call = one(&spans, method);
    let parts = children(&spans, call);
    assert_eq!(names(&parts), ["read message", "queue", "decide", "commit"]);
    let read = parts[0].end_time_unix_nano - parts[0].start_time_unix_nano;
    assert!(read >= 25_000_000, "{read}");
    check_times(&spans, call);
}

/// Callers say whether a call is traced, and the server where they say nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_traced_as_its_caller_says() {
    let parent = |flags: &str| format!("00-{TRACE}-{PARENT}-{flags}");
    for (per_million, traceparent, expected) in [
        ("0", Some(parent("01")), Some(Some(PARENT))),
        ("0", Some(parent("00")), None),
        ("0", None, None),
        ("0", Some("nonsense".to_owned()), None),
        ("1000000", Some(parent("01")), Some(Some(PARENT))),
        ("1000000", Some(parent("00")), None),
        ("1000000", None, Some(None)),
        ("1000000", Some("nonsense".to_owned()), Some(None)),
    ] {
        let args = ["--trace-calls-per-million", per_million];
        let traced = Traced::start(Does::Take, &args);
        let mut pricing = traced.server.pricing().await;
        let headers = traceparent.as_deref().map(|parent| ("traceparent", parent));
        let headers: Vec<_> = headers.into_iter().collect();
        let request = with(estimate("lip_sync_video", "31s"), &headers);
        pricing.estimate(request).await.unwrap();
        let spans = traced.spans();
        let found = spans.first().map(|span| hex(&span.parent_span_id));
        let expected = expected.map(Option::unwrap_or_default);
        assert_eq!(found.as_deref(), expected, "{per_million} {traceparent:?}");
        assert!(spans.len() <= 1);
        if expected == Some("") {
            assert_ne!(hex(&spans[0].trace_id), TRACE);
        }
    }
}

/// A reload changes how many begin a trace.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_changes_how_many_calls_are_traced() {
    let collector = Collector::start(Does::Take);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("creditd.toml");
    let write = |per_million: u32| {
        let text = format!("trace_calls_per_million = {per_million}\n");
        std::fs::write(&file, text).unwrap();
    };
    write(0);
    let server = Program::start_settings(Settings {
        args: [
            "--config",
            "creditd.toml",
            "--otlp-endpoint",
            &collector.url,
        ]
        .map(str::to_owned)
        .to_vec(),
        directory: Some(directory),
        ..Settings::default()
    });
    let mut pricing = server.pricing().await;
    let estimates = [
        estimate("lip_sync_video", "31s"),
        estimate("lip_sync_video", "32s"),
    ];
    pricing.estimate(estimates[0].clone()).await.unwrap();
    write(1_000_000);
    server.signal(rustix::process::Signal::HUP);
    server.wait_for_log("trace_calls_per_million: 0 -> 1000000");
    pricing.estimate(estimates[1].clone()).await.unwrap();
    drop(server.stop());
    let spans = collector.spans();
    let calls = spans.iter().filter(|span| span.kind() == SpanKind::Server);
    assert_eq!(calls.count(), 1, "{spans:#?}");
}

/// A part of those calls, about as large as it is to be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_many_calls_of_a_million_are_traced() {
    let traced = Traced::start(Does::Take, &["--trace-calls-per-million", "250000"]);
    let mut pricing = traced.server.pricing().await;
    for _ in 0..400 {
        pricing
            .estimate(estimate("lip_sync_video", "31s"))
            .await
            .unwrap();
    }
    let spans = traced.spans();
    // 100, and it is outside of this once in a million runs.
    assert!((55..=145).contains(&spans.len()), "{}", spans.len());
    let traces: std::collections::BTreeSet<_> = spans.iter().map(|span| &span.trace_id).collect();
    assert_eq!(traces.len(), spans.len());
}

/// Without a stop, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_are_sent_while_the_server_runs() {
    let traced = Traced::start(Does::Take, &[]);
    let mut pricing = traced.server.pricing().await;
    pricing
        .estimate(sampled(estimate("lip_sync_video", "31s")))
        .await
        .unwrap();
    wait_until("the collector has the span", || {
        !traced.collector.spans().is_empty()
    });
}

/// A server without a collector has no thread for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_collector_there_is_no_thread_for_one() {
    let collector = Collector::start(Does::Take);
    for (args, expected) in [
        (&[][..], false),
        (&["--otlp-endpoint", &collector.url][..], true),
    ] {
        let server = Program::start_with(args);
        let mut pricing = server.pricing().await;
        let request = sampled(estimate("lip_sync_video", "31s"));
        pricing.estimate(request).await.unwrap();
        let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
        let mut names =
            tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap());
        let has_thread = names.any(|name| name.trim() == "otlp-export");
        assert_eq!(has_thread, expected, "{args:?}");
    }
}

/// A collector asks for its key, and others tell servers apart, by OpenTelemetry's own variables.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_and_attributes_of_the_environment_are_sent() {
    let collector = Collector::start(Does::Take);
    let variables = [
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "x-collector-key=of the team%2C secret",
        ),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "deployment.environment.name=staging,service.name=another",
        ),
    ];
    let server = Program::start_settings(Settings {
        args: vec!["--otlp-endpoint".to_owned(), collector.url.clone()],
        variables: variables.map(|(name, value)| (name, value.into())).into(),
        ..Settings::default()
    });
    let mut pricing = server.pricing().await;
    let request = sampled(estimate("lip_sync_video", "31s"));
    pricing.estimate(request).await.unwrap();
    wait_until("the collector has the span", || {
        !collector.spans().is_empty()
    });
    let metadata = collector.metadata.lock().unwrap().clone();
    assert_eq!(
        metadata.get("x-collector-key").unwrap(),
        "of the team, secret"
    );
    let request = collector.requests.lock().unwrap()[0].clone();
    let resource = request.resource_spans[0].resource.clone().unwrap();
    let attributes = attributes(&resource.attributes);
    assert_eq!(attributes["deployment.environment.name"], "staging");
    assert_eq!(attributes["service.name"], "creditd");
    assert!(!server.log().contains("of the team"), "a secret");
}
