//! Metrics and probes of the admin listener: they count exactly what was called, name nobody, and
//! say what health says.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};

use creditd::rpc::pb::creditd::v1 as pb;
use tonic::Code;

use crate::support::http::{self, get};
use crate::support::raw::{Raw, frame};
use crate::support::requests::{batch, charge, hold, refund, release, revoke, settle};
use crate::support::server::Server;
use crate::support::{grant, usage, wait_until};

fn start() -> (Server, SocketAddr) {
    let server = Server::start_with(&["--admin-listen", "127.0.0.1:0"]);
    let admin = server.admin.unwrap();
    (server, admin)
}

/// The series of a scrape that are whole numbers or decimals, by name and labels.
fn scrape(admin: SocketAddr) -> BTreeMap<String, String> {
    let reply = get(admin, "/metrics");
    assert_eq!(reply.status, 200);
    let lines = reply.body.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.to_owned())
        })
        .collect()
}

/// A number of a series; one that is not there is 0.
fn value(series: &BTreeMap<String, String>, name: &str) -> f64 {
    series.get(name).map_or(0.0, |value| value.parse().unwrap())
}

fn handled(service: &str, method: &str, code: &str) -> String {
    format!(
        "grpc_server_handled_total{{grpc_type=\"unary\",grpc_service=\"creditd.v1.{service}\",grpc_method=\"{method}\",grpc_code=\"{code}\"}}"
    )
}

fn with(name: &str, label: &str, value: &str) -> String {
    format!("{name}{{{label}=\"{value}\"}}")
}

fn paid(name: &str, service: &str, rate_card: &str) -> String {
    format!("creditd_credits_{name}_total{{service=\"{service}\",rate_card=\"{rate_card}\"}}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_call_entry_and_refusal_is_counted_once() {
    let (server, admin) = start();
    let before = scrape(admin);
    let mut ledger = server.ledger().await;
    let mut pricing = server.pricing().await;

    ledger.grant(grant("g1", "team-a", "100")).await.unwrap();
    let dub = pb::GrantRequest {
        services: vec!["lip_sync_video".to_owned()],
        ..grant("g2", "team-a", "7.5")
    };
    let granted = ledger.grant(dub).await.unwrap().into_inner();
    let priced =
        crate::support::requests::charge_usage("c1", "team-a", usage("lip_sync_video", "31s"));
    let first = ledger.charge(priced.clone()).await.unwrap().into_inner();
    // The same again is a replay.
    ledger.charge(priced).await.unwrap();
    ledger.charge(charge("c2", "team-a", "2")).await.unwrap();
    let poor = ledger.charge(charge("c3", "team-a", "1000")).await;
    assert_eq!(poor.unwrap_err().code(), Code::FailedPrecondition);
    // Of a batch one item is paid, and three are refused for two reasons.
    let items = batch(vec![
        charge("b1", "team-a", "1"),
        charge("b2", "team-a", "1000"),
        charge("b3", "team-b", "1"),
        charge("b4", "team-a", "x"),
    ]);
    let reply = ledger.batch_charge(items).await.unwrap().into_inner();
    assert_eq!(reply.failed_count, 3);
    let usages = vec![usage("lip_sync_video", "31s"), usage("nothing", "31s")];
    let estimates = pb::BatchEstimateRequest {
        usages,
        ..Default::default()
    };
    let reply = pricing
        .batch_estimate(estimates)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(reply.failed_count, 1);
    let held = ledger
        .hold(hold("h1", "team-a", "10"))
        .await
        .unwrap()
        .into_inner();
    ledger.hold(hold("h2", "team-a", "5")).await.unwrap();
    let held = held.hold.unwrap().hold_id;
    let settled = settle("s1", "team-a", &held, "3");
    ledger.settle_hold(settled).await.unwrap();
    let gone = ledger.release_hold(release("r1", "team-a", &held)).await;
    assert_eq!(gone.unwrap_err().code(), Code::FailedPrecondition);
    let entry = first.entry.unwrap().entry_id;
    ledger
        .refund(refund("f1", "team-a", &entry, None))
        .await
        .unwrap();
    let grant_id = granted.entry.unwrap().grant_id;
    ledger
        .revoke_grant(revoke("v1", "team-a", &grant_id))
        .await
        .unwrap();

    let after = scrape(admin);
    let card = "jogg-api-v2";
    for (series, expected) in [
        (handled("LedgerService", "Grant", "OK"), 2.0),
        (handled("LedgerService", "Charge", "OK"), 3.0),
        (
            handled("LedgerService", "Charge", "FailedPrecondition"),
            1.0,
        ),
        (handled("LedgerService", "BatchCharge", "OK"), 1.0),
        (
            handled("LedgerService", "ReleaseHold", "FailedPrecondition"),
            1.0,
        ),
        (handled("PricingService", "BatchEstimate", "OK"), 1.0),
        (handled("PricingService", "Estimate", "OK"), 0.0),
        (
            with("creditd_refusals_total", "reason", "INSUFFICIENT_CREDITS"),
            2.0,
        ),
        (
            with("creditd_refusals_total", "reason", "ACCOUNT_NOT_FOUND"),
            1.0,
        ),
        (
            with("creditd_refusals_total", "reason", "INVALID_AMOUNT"),
            1.0,
        ),
        (
            with("creditd_refusals_total", "reason", "UNKNOWN_SERVICE"),
            1.0,
        ),
        (with("creditd_refusals_total", "reason", "HOLD_CLOSED"), 1.0),
        (with("creditd_entries_total", "kind", "grant"), 2.0),
        (with("creditd_entries_total", "kind", "charge"), 3.0),
        (with("creditd_entries_total", "kind", "hold"), 2.0),
        (with("creditd_entries_total", "kind", "settle"), 1.0),
        (with("creditd_entries_total", "kind", "refund"), 1.0),
        (with("creditd_entries_total", "kind", "revoke"), 1.0),
        ("creditd_replays_total".to_owned(), 1.0),
        (
            with("creditd_credits_granted_total", "service", "(any)"),
            100.0,
        ),
        (
            with("creditd_credits_granted_total", "service", "lip_sync_video"),
            7.5,
        ),
        (paid("spent", "lip_sync_video", card), 0.248),
        (paid("spent", "", ""), 6.0),
        (paid("refunded", "lip_sync_video", card), 0.248),
        ("creditd_credits_expired_total".to_owned(), 7.5),
        ("creditd_holds_open".to_owned(), 1.0),
        ("creditd_accounts".to_owned(), 1.0),
        ("creditd_store_failed_commits_total".to_owned(), 0.0),
    ] {
        let moved = value(&after, &series) - value(&before, &series);
        assert!(
            (moved - expected).abs() < 1e-9,
            "{series} moved by {moved}, not {expected}"
        );
    }
    // Each call that began has ended, and its time is counted.
    for (name, started) in after
        .iter()
        .filter(|(name, _)| name.starts_with("grpc_server_started"))
    {
        let labels = name.split_once('{').unwrap().1.trim_end_matches('}');
        let of_method = format!("grpc_server_handled_total{{{labels},");
        let ended: f64 = after
            .iter()
            .filter(|(name, _)| name.starts_with(&of_method))
            .map(|(_, calls)| calls.parse::<f64>().unwrap())
            .sum();
        let timed = value(
            &after,
            &format!("grpc_server_handling_seconds_count{{{labels}}}"),
        );
        let started: f64 = started.parse().unwrap();
        assert!(
            (started - ended).abs() < 0.5 && (started - timed).abs() < 0.5,
            "{name}: {started} began, {ended} ended, {timed} timed"
        );
    }
    // No label names an account, a request_id or a hold.
    for name in after.keys() {
        for secret in ["team-a", "\"c1\"", held.as_str()] {
            assert!(!name.contains(secret), "{name}");
        }
    }
}

/// What is measured of the ledger is measured of what is there, also after a start.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn open_holds_and_accounts_are_known_after_a_start() {
    let (server, _) = start();
    let mut ledger = server.ledger().await;
    for account in ["a", "b"] {
        ledger.grant(grant("g", account, "100")).await.unwrap();
        for id in ["h1", "h2", "h3"] {
            ledger.hold(hold(id, account, "1")).await.unwrap();
        }
    }
    let made = ledger
        .hold(hold("h4", "b", "1"))
        .await
        .unwrap()
        .into_inner();
    let made = made.hold.unwrap().hold_id;
    ledger.release_hold(release("r", "b", &made)).await.unwrap();
    let server = server.restart(&["--admin-listen", "127.0.0.1:0"]);
    let admin = server.admin.unwrap();
    wait_until("open holds are counted", || {
        scrape(admin).contains_key("creditd_holds_open")
    });
    let series = scrape(admin);
    for (name, expected) in [("creditd_holds_open", 6.0), ("creditd_accounts", 2.0)] {
        assert!(
            (value(&series, name) - expected).abs() < 0.1,
            "{name}: {series:#?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn probes_say_what_health_says() {
    let (mut server, admin) = start();
    // It listens, and serves a moment later.
    wait_until("it is ready", || get(admin, "/readyz").status == 200);
    for (method, path, status, body) in [
        ("GET", "/livez", 200, "ok\n"),
        ("GET", "/readyz", 200, "ok\n"),
        (
            "GET",
            "/readyz?service=creditd.v1.LedgerService",
            200,
            "ok\n",
        ),
        (
            "GET",
            "/readyz?x=1&service=creditd.v1.LedgerService",
            200,
            "ok\n",
        ),
        (
            "GET",
            "/readyz?x=1&service=x",
            404,
            "there is no such service; there are creditd.v1.PricingService, creditd.v1.LedgerService, creditd.v1.AdminService\n",
        ),
        (
            "GET",
            "/readyz?service=x",
            404,
            "there is no such service; there are creditd.v1.PricingService, creditd.v1.LedgerService, creditd.v1.AdminService\n",
        ),
        ("HEAD", "/livez", 200, ""),
        ("POST", "/metrics", 405, "use GET\n"),
        ("GET", "/", 404, "here are /metrics, /livez and /readyz\n"),
    ] {
        let reply = http::request(admin, method, path, "");
        assert_eq!(
            (reply.status, reply.body.as_str()),
            (status, body),
            "{method} {path}"
        );
    }
    // It drains for as long as a call goes on, and says so.
    let mut raw = Raw::connect(&server).await;
    let stuck = raw.begin("/creditd.v1.LedgerService/Grant", &[]).await;
    let answer = raw
        .send("/creditd.v1.Nothing/Nothing", &[], frame(0, &[]))
        .await;
    assert!(answer.status.is_some());
    server.signal_stop();
    wait_until("probes say that it stops", || {
        get(admin, "/readyz").status == 503
    });
    assert_eq!(get(admin, "/livez").status, 200);
    drop((stuck, raw));
    server.wait();
    assert!(TcpStream::connect(admin).is_err());
}

/// Prometheus asks for OpenMetrics, people do not.
#[test]
fn metrics_come_in_two_formats() {
    let (_server, admin) = start();
    for (accept, content_type, end) in [
        ("", "text/plain; version=0.0.4; charset=utf-8", "\n"),
        (
            "accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            "# EOF\n",
        ),
    ] {
        let reply = http::request(admin, "GET", "/metrics", accept);
        assert!(
            reply
                .headers
                .contains(&format!("content-type: {content_type}")),
            "{reply:?}"
        );
        assert!(reply.body.ends_with(end));
    }
    let large = format!("x: {}\r\n", "x".repeat(20_000));
    assert_eq!(http::request(admin, "GET", "/metrics", &large).status, 431);
}

/// Those who connect and say nothing do not keep others out.
#[test]
fn silent_connections_make_room() {
    let (_server, admin) = start();
    let silent: Vec<_> = (0..40)
        .map(|_| TcpStream::connect(admin).unwrap())
        .collect();
    assert_eq!(get(admin, "/livez").status, 200);
    drop(silent);
}
