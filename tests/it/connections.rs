//! Connections that are told to go at their age: no call of an ordinary client fails, and what it
//! watches goes on.

use std::time::{Duration, Instant};

use creditd::rpc::pb::creditd::v1 as pb;
use creditd::rpc::pb::creditd::v1::pricing_service_client::PricingServiceClient;
use tonic::transport::Channel;

use crate::support::server::{Running, Server};
use crate::support::{estimate, grant, usage};

/// Some ages of a connection.
const WHILE: Duration = Duration::from_secs(5);

/// Calls one after the other; how many.
async fn estimates(
    mut pricing: PricingServiceClient<Channel>,
    items: usize,
) -> usize {
    let (began, mut number) = (Instant::now(), 0);
    while began.elapsed() < WHILE {
        let outcome = match items {
            1 => pricing.estimate(estimate("lip_sync_video", "31s")).await.err(),
            _ => {
                let request = pb::BatchEstimateRequest {
                    usages: vec![usage("lip_sync_video", "31s"); items],
                    ..pb::BatchEstimateRequest::default()
                };
                pricing.batch_estimate(request).await.err()
            }
        };
        assert!(outcome.is_none(), "call {number} after {:?}: {outcome:?}", began.elapsed());
        number += 1;
    }
    number
}

/// Watches a balance, again where that has ended in order; how often it did.
async fn watch(server: &Running) -> usize {
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-a", "1")).await.unwrap();
    let (began, mut ended, mut granted) = (Instant::now(), 0, 1);
    while began.elapsed() < WHILE {
        let account = "team-a".to_owned();
        let stream = ledger.watch_balance(pb::WatchBalanceRequest { account });
        let mut stream = stream.await.expect("a watch begins").into_inner();
        let first = stream.message().await.expect("no watch breaks");
        if let Some(balance) = first {
            let balance = balance.balance.unwrap();
            assert_eq!(balance.available, granted.to_string());
            // While it is watched, calls go on over the same channel.
            while began.elapsed() < WHILE {
                granted += 1;
                let next = grant(&format!("g{granted}"), "team-a", "1");
                ledger.grant(next).await.expect("a call beside a watch");
                match stream.message().await.expect("no watch breaks") {
                    Some(balance) => {
                        assert_eq!(balance.balance.unwrap().available, granted.to_string());
                    }
                    None => break,
                }
            }
        }
        ended += 1;
    }
    ended
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_and_watches_go_on_over_the_next_connection() {
    let server = Server::start_with(&["--connection-age-seconds-max", "1"]);
    let mut calls = tokio::task::JoinSet::new();
    // One after the other, many at once, and some that take longer.
    for (callers, items) in [(1, 1), (16, 1), (4, 3_000)] {
        let pricing = server.pricing().await;
        for _ in 0..callers {
            calls.spawn(estimates(pricing.clone(), items));
        }
    }
    let ended = watch(&server).await;
    let counts = calls.join_all().await;
    eprintln!("calls {counts:?}, watches {ended}");
    assert!(ended >= 4, "{ended} watches");
    assert!(counts.iter().all(|count| *count > 0));
}
