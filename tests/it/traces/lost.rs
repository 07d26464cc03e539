//! Collectors that take nothing: no call waits for them, and what is lost is counted.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::collector::{Collector, Does};
use super::{Traced, sampled};
use crate::support::authority::Authority;
use crate::support::http::get;
use crate::support::requests::charge;
use crate::support::server::{Program, Server, Settings};
use crate::support::{estimate, grant, wait_until};

/// How many spans were sent, and how many were dropped.
fn counts(admin: SocketAddr) -> [f64; 2] {
    let page = get(admin, "/metrics").body;
    ["sent", "dropped"].map(|what| {
        let name = format!("creditd_trace_spans_{what}_total ");
        let value = page.lines().find_map(|line| line.strip_prefix(&name));
        value.unwrap().parse().unwrap()
    })
}

/// An address where nobody listens.
fn away() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_on_and_what_was_not_taken_is_counted() {
    const CALLS: u32 = 20;
    for does in [Some(Does::Take), None, Some(Does::Refuse), Some(Does::Hang)] {
        let admin = ["--admin-listen", "127.0.0.1:0"];
        let (server, collector) = match does {
            Some(does) => {
                let Traced { server, collector } = Traced::start(does, &admin);
                (server, Some(collector))
            }
            None => {
                let url = away();
                let away = ["--otlp-endpoint", &url];
                (Server::start_with(&[&away[..], &admin].concat()), None)
            }
        };
        let admin = server.admin.unwrap();
        assert_eq!(counts(admin), [0.0, 0.0]);
        let mut ledger = server.ledger().await;
        ledger.grant(grant("g1", "team-a", "100")).await.unwrap();
        let start = Instant::now();
        for number in 0..CALLS {
            let request = charge(&format!("c{number}"), "team-a", "1");
            ledger.charge(sampled(request)).await.unwrap();
        }
        assert!(start.elapsed() < Duration::from_secs(3), "{does:?}");
        // One after another, each is a group of its own.
        let spans = f64::from(CALLS * 8);
        wait_until("all spans were sent or dropped", || {
            counts(admin).iter().sum::<f64>() >= spans
        });
        let [sent, dropped] = counts(admin);
        let is_lost = does != Some(Does::Take);
        assert_eq!([sent == 0.0, dropped > 0.0], [is_lost; 2], "{does:?}");
        if let Some(collector) = collector {
            let taken = u32::try_from(collector.spans().len()).unwrap();
            assert_eq!(sent, f64::from(taken));
        }
    }
}

/// The queue is bounded: what it has no room for is dropped at once, and what is left at a stop is
/// given up within the bound.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_queue_has_room_for_is_dropped_and_counted() {
    // The queue, and what is taken out of it while a message waits for its answer.
    const CALLS: u32 = 8_000;
    let collector = Collector::start(Does::Hang);
    let args = ["--otlp-endpoint", &collector.url, "--drain-ms-max", "200"];
    let mut server = Program::start_with(&args);
    let pricing = server.pricing().await;
    for _ in 0..CALLS / 500 {
        let calls = (0..500).map(|_| {
            let mut pricing = pricing.clone();
            async move {
                let request = sampled(estimate("lip_sync_video", "31s"));
                pricing.estimate(request).await.unwrap();
            }
        });
        futures_util::future::join_all(calls).await;
    }
    drop(pricing);
    let start = Instant::now();
    server.signal(rustix::process::Signal::TERM);
    assert!(server.wait().success());
    assert!(start.elapsed() < Duration::from_secs(3));
    assert!(dropped(&server) >= CALLS, "{}", server.log());
}

/// How many spans were dropped, as the last line says that has it.
fn dropped(server: &Program) -> u32 {
    let log = server.log();
    let (_, dropped) = log.rsplit_once("dropped=").unwrap();
    dropped.split(' ').next().unwrap().parse().unwrap()
}

/// It is logged once a minute at most, and at the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_says_that_spans_were_dropped() {
    let url = away();
    let mut server = Program::start_with(&["--otlp-endpoint", &url]);
    server.wait_for_log("sends traces");
    let mut pricing = server.pricing().await;
    for _ in 0..2 {
        let request = sampled(estimate("lip_sync_video", "31s"));
        pricing.estimate(request).await.unwrap();
        server.wait_for_log("spans of traces were dropped");
    }
    let lines = server.log().matches("spans of traces were dropped").count();
    assert_eq!(lines, 1);
    server.signal(rustix::process::Signal::TERM);
    assert!(server.wait().success());
    // Two calls, of which the messages can have come late.
    assert!(dropped(&server) >= 2, "{}", server.log());
}

/// Over TLS spans go to a collector whose certificate the system trusts, and to no other one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_is_known_by_its_certificate() {
    let [ours, other] = ["ours", "other"].map(Authority::new);
    let collector = Collector::start_tls(&ours.issue(&["127.0.0.1"]));
    let folder = tempfile::tempdir().unwrap();
    for (authority, is_trusted) in [(&ours, true), (&other, false)] {
        let trusted = folder.path().join("trusted.pem");
        std::fs::write(&trusted, &authority.pem).unwrap();
        let server = Program::start_settings(Settings {
            args: ["--otlp-endpoint", &collector.url]
                .map(str::to_owned)
                .to_vec(),
            variables: vec![("SSL_CERT_FILE", trusted.into_os_string())],
            ..Settings::default()
        });
        let before = collector.spans().len();
        let mut pricing = server.pricing().await;
        let request = sampled(estimate("lip_sync_video", "31s"));
        pricing.estimate(request).await.unwrap();
        match is_trusted {
            true => wait_until("the span is sent", || collector.spans().len() > before),
            false => server.wait_for_log("spans of traces were dropped"),
        }
        assert_eq!(collector.spans().len() > before, is_trusted);
    }
}
