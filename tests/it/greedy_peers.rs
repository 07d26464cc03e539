//! Peers that take what they can get, each beside an honest one that is served meanwhile: what
//! calls hold is bounded in bytes, and nobody holds more than a share.

use std::time::{Duration, Instant};

use bytes::Bytes;
use creditd::rpc::pb::creditd::v1 as pb;
use futures_util::future::select_all;
use h2::client::ResponseFuture;
use h2::{RecvStream, SendStream};
use prost::Message as _;
use tonic::{Code, Status};

use crate::support::books::Ledger;
use crate::support::raw::{Raw, frame};
use crate::support::refusal::Refusal;
use crate::support::requests::charge;
use crate::support::server::{Program, Running};
use crate::support::unread::Unread;
use crate::support::{PATIENCE, balance, estimate, grant, usage, wait_until};

const ESTIMATE: &str = "/creditd.v1.PricingService/Estimate";
const LIST_ENTRIES: &str = "/creditd.v1.LedgerService/ListEntries";
const WATCH_BALANCE: &str = "/creditd.v1.LedgerService/WatchBalance";
const GET_BALANCE: &str = "/creditd.v1.LedgerService/GetBalance";
const SHARE_IS_HELD: &str = "a connection holds its share";
/// The least that a server has for requests and replies.
const MEMORY: [&str; 2] = ["--call-memory-mib-max", "64"];
/// What a debug build takes beyond that, for what is not counted: threads, sockets, the ledger.
const BESIDE_MIB: usize = 48;

/// The resident memory of a process in MiB: now, and the most that it was.
fn memory_mib(server: &Program) -> (usize, usize) {
    let path = format!("/proc/{}/status", server.pid());
    let status = std::fs::read_to_string(path).unwrap();
    let figure = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        let kib = line.split_whitespace().nth(1).unwrap();
        kib.parse::<usize>().unwrap() / 1_024
    };
    (figure("VmRSS:"), figure("VmHWM:"))
}

/// Calls of all kinds over a connection of its own, none of which is refused.
async fn honest_is_served(server: &Running) {
    let mut ledger = server.ledger().await;
    let mut pricing = server.pricing().await;
    for _ in 0..20 {
        let priced = pricing.estimate(estimate("lip_sync_video", "31s"));
        assert_eq!(
            priced.await.unwrap().into_inner().estimate.unwrap().credits,
            "0.248"
        );
        ledger.get_balance(balance("honest")).await.unwrap();
        let list = pb::ListEntriesRequest {
            account: "honest".to_owned(),
            ..pb::ListEntriesRequest::default()
        };
        ledger.list_entries(list).await.unwrap();
        let batch = pb::BatchEstimateRequest {
            usages: vec![usage("lip_sync_video", "31s"); 100],
            ..pb::BatchEstimateRequest::default()
        };
        pricing.batch_estimate(batch).await.unwrap();
    }
    let watch = pb::WatchBalanceRequest {
        account: "honest".to_owned(),
    };
    let mut watch = ledger.watch_balance(watch).await.unwrap().into_inner();
    assert!(watch.message().await.unwrap().is_some());
}

async fn start(args: &[&str]) -> (Program, Ledger) {
    let server = Program::start_with(args);
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "honest", "5")).await.unwrap();
    (server, ledger)
}

/// Grants of an account, made many at a time.
async fn grant_many(ledger: &Ledger, count: usize, each: impl Fn(usize) -> pb::GrantRequest) {
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..count {
        let (mut ledger, request) = (ledger.clone(), each(number));
        calls.spawn(async move { ledger.grant(request).await.unwrap() });
        if calls.len() >= 100 {
            calls.join_next().await.unwrap().unwrap();
        }
    }
    calls.join_all().await;
}

/// The reply, which is given up when it is dropped, or why the call was refused. Refusals have
/// headers alone, so that a closed window does not keep them.
async fn answer(
    response: impl Future<Output = Result<http::Response<RecvStream>, h2::Error>>,
) -> Result<RecvStream, Refusal> {
    let response = tokio::time::timeout(PATIENCE, response).await;
    let response = response.expect("answered within a bound").unwrap();
    match Status::from_header_map(response.headers()) {
        None => Ok(response.into_body()),
        Some(status) => Err(Refusal::of(&status)),
    }
}

/// Four connections that read none of their pages: a page is made when there is room for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_nobody_reads_take_a_share() {
    let (server, ledger) = start(&MEMORY).await;
    let labels = (0..16).map(|key| (format!("k{key}"), "x".repeat(256)));
    let labels: std::collections::BTreeMap<_, _> = labels.collect();
    grant_many(&ledger, 700, |number| pb::GrantRequest {
        labels: labels.clone(),
        ..grant(&format!("r{number}"), "large", "1")
    })
    .await;
    let (before, _) = memory_mib(&server);
    // Each page has 3 MB, and all of them 600 MB.
    let list = pb::ListEntriesRequest {
        account: "large".to_owned(),
        page_size: 1_000,
        ..pb::ListEntriesRequest::default()
    };
    let mut calls = Vec::new();
    for _ in 0..4 {
        let peer = Unread::connect(&server).await;
        for _ in 0..50 {
            calls.push(peer.call(LIST_ENTRIES, &list).await);
        }
    }
    // The first page of each has been made, since its headers have come.
    let mut unread = Vec::new();
    for response in calls.iter_mut().step_by(50) {
        unread.push(answer(response).await.unwrap());
    }
    honest_is_served(&server).await;
    let (_, most) = memory_mib(&server);
    assert!(most < before + 64 + BESIDE_MIB, "{before}, then {most} MiB");
}

/// Watches of a large balance, and reads of it, whose peers read nothing: what a connection
/// holds is bounded, it is told once in the log, and the connection ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn balances_that_nobody_reads_take_a_share() {
    let (server, ledger) =
        start(&["--call-memory-mib-max", "64", "--deadline-ms-max", "2000"]).await;
    grant_many(&ledger, 1_000, |number| pb::GrantRequest {
        source: "s".repeat(250),
        labels: std::collections::BTreeMap::default(),
        ..grant(&format!("r{number}"), "large", "1")
    })
    .await;
    let (before, _) = memory_mib(&server);
    // Each has 350 KB, and all of them 175 MB.
    let peer = Unread::connect(&server).await;
    let mut watches = Vec::new();
    for _ in 0..250 {
        let watch = pb::WatchBalanceRequest {
            account: "large".to_owned(),
        };
        watches.push(peer.call(WATCH_BALANCE, &watch).await);
    }
    let mut unread = Vec::new();
    for response in watches {
        // Those that come when it holds its share are refused.
        unread.extend(answer(response).await.ok());
    }
    // Most of them end when they have no room, and leave their place to the next.
    assert!(unread.len() >= 20, "{} of 250", unread.len());
    server.wait_for_log(SHARE_IS_HELD);
    let reader = Unread::connect(&server).await;
    let mut reads = Vec::new();
    for _ in 0..250 {
        reads.push(reader.call(GET_BALANCE, &balance("large")).await);
    }
    let mut over_share = 0;
    for read in reads {
        match answer(read).await {
            Ok(reply) => unread.push(reply),
            Err(refusal) => {
                assert_eq!(refusal.code, Code::Unavailable);
                assert_eq!(refusal.reason, "SERVER_OVERLOADED");
                let resource = "KiB of memory for requests and replies of one connection";
                assert_eq!(refusal.metadata["resource"], resource);
                over_share += 1;
            }
        }
    }
    assert!((100..250).contains(&over_share), "{over_share} of 250");
    honest_is_served(&server).await;
    let (_, most) = memory_mib(&server);
    assert!(most < before + 64 + BESIDE_MIB, "{before}, then {most} MiB");
    // Once for each of the two connections.
    assert_eq!(server.log().matches(SHARE_IS_HELD).count(), 2);
    wait_until("both connections have ended", || {
        server
            .log()
            .matches("its peer does not read its replies")
            .count()
            == 2
    });
}

/// Nine connections with bodies of which a part has come: a call takes its permit when its
/// message is whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_under_way_take_no_permits() {
    let (server, _) = start(&["--calls-max", "64"]).await;
    let mut peers = Vec::new();
    for _ in 0..9 {
        let mut raw = Raw::connect(&server).await;
        for _ in 0..50 {
            let (response, mut out) = raw.begin(ESTIMATE, &[]).await;
            out.send_data(vec![0, 0, 0, 0, 9, 1].into(), false).unwrap();
            peers.push((response, out));
        }
        // It has come when what was sent after it is answered.
        let good = frame(0, &estimate("lip_sync_video", "31s").encode_to_vec());
        let answer = raw.send(ESTIMATE, &[], good).await;
        assert_eq!(answer.status.unwrap().code(), Code::Ok);
    }
    honest_is_served(&server).await;
}

/// Connections whose requests are a byte short of 4 MiB take a share of the memory each, and
/// leave some for the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_that_are_under_way_take_a_share() {
    const MESSAGE: usize = 4 * 1_024 * 1_024;
    let (server, _) = start(&MEMORY).await;
    let (before, _) = memory_mib(&server);
    let mut part = frame(0, &vec![0; MESSAGE]);
    part.pop();
    let part = Bytes::from(part);
    let mut peers = Vec::new();
    let mut refusals = Vec::new();
    for _ in 0..9 {
        let mut raw = Raw::connect(&server).await;
        for _ in 0..15 {
            let (response, mut out) = raw.begin(ESTIMATE, &[]).await;
            out.send_data(part.clone(), false).unwrap();
            peers.push(out);
            refusals.push(tokio::spawn(answer(response)));
        }
    }
    server.wait_for_log(SHARE_IS_HELD);
    let start = Instant::now();
    while refusals
        .iter()
        .filter(|refusal| refusal.is_finished())
        .count()
        < 9 * 10
    {
        assert!(start.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    honest_is_served(&server).await;
    for refusal in refusals.extract_if(.., |refusal| refusal.is_finished()) {
        let refusal = refusal.await.unwrap().unwrap_err();
        assert_eq!(refusal.reason, "SERVER_OVERLOADED");
    }
    // What is on its way on nine connections comes on top.
    let (_, most) = memory_mib(&server);
    assert!(
        most < before + 64 + 9 * 4 + BESIDE_MIB,
        "{before}, then {most} MiB"
    );
    let told = server.log().matches(SHARE_IS_HELD).count();
    assert!((1..=9).contains(&told), "{told} lines of 9 connections");
}

/// The refusal of one of these calls. The others wait for their messages, which never come.
async fn first_refusal(calls: &mut [(ResponseFuture, SendStream<Bytes>)]) -> Refusal {
    let responses = calls.iter_mut().map(|(response, _)| response);
    let first = select_all(responses);
    answer(async { first.await.0 }).await.unwrap_err()
}

/// Headers alone count, whatever the method.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_alone_take_a_share() {
    let ballast = "b".repeat(15_000);
    for path in [ESTIMATE, "/grpc.health.v1.Health/Check"] {
        let (server, _) = start(&MEMORY).await;
        let mut calls = Vec::new();
        // All of them would take a quarter of the memory.
        let mut raw = Raw::connect(&server).await;
        for _ in 0..390 {
            calls.push(raw.begin(path, &[("ballast", &ballast)]).await);
        }
        let refusal = first_refusal(&mut calls).await;
        assert_eq!(refusal.reason, "SERVER_OVERLOADED", "{path}");
        honest_is_served(&server).await;
    }
    let (server, _) = start(&MEMORY).await;
    let mut raw = Raw::connect(&server).await;
    let mut calls = Vec::new();
    for _ in 0..250 {
        calls.push(raw.begin(WATCH_BALANCE, &[]).await);
    }
    let refusal = first_refusal(&mut calls).await;
    assert_eq!(
        refusal.metadata["resource"],
        "balances watched by one connection"
    );
    honest_is_served(&server).await;
}

/// A connection whose calls are in flight leaves permits to others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_nobody_reads_take_a_share() {
    let (server, _) = start(&["--calls-max", "64"]).await;
    let peer = Unread::connect(&server).await;
    let request = estimate("lip_sync_video", "31s");
    let mut served = Vec::new();
    let mut over_share = 0;
    for _ in 0..60 {
        match answer(peer.call(ESTIMATE, &request).await).await {
            Ok(unread) => served.push(unread),
            Err(refusal) => {
                let resource = "calls in flight of one connection";
                assert_eq!(refusal.metadata["resource"], resource);
                over_share += 1;
            }
        }
    }
    // A quarter of those that were left.
    assert_eq!((served.len(), over_share), (13, 47));
    honest_is_served(&server).await;
}

/// A batch of the largest size is done, also where it takes more than a share: nobody else has
/// asked for that memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_the_largest_size_is_served() {
    let (_server, mut ledger) = start(&MEMORY).await;
    let labels: std::collections::BTreeMap<_, _> = [("a", 180), ("b", 190)]
        .map(|(key, length)| (key.to_owned(), "x".repeat(length)))
        .into();
    let item = pb::ChargeRequest {
        labels,
        ..charge("r", "honest", "0.001")
    };
    let request = pb::BatchChargeRequest {
        charges: vec![item; 10_000],
    };
    assert!(
        request.encoded_len() > 4_000_000,
        "{}",
        request.encoded_len()
    );
    for _ in 0..3 {
        let refused = ledger.batch_charge(request.clone()).await.unwrap_err();
        // It would have been taken, were it not for its reply.
        assert_eq!(Refusal::of(&refused).reason, "REPLY_TOO_LARGE");
    }
}
