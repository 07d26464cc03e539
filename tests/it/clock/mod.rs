//! Clocks that jump: no entry gets a wrong time, and the server recovers by itself.

mod contract;
mod far;
mod start;

use std::time::{Duration, Instant};

use creditd::rfc3339;
use creditd::rpc::convert::timestamp_to_pb;
use creditd::rpc::pb::creditd::v1 as pb;
use creditd::rpc::pb::google::rpc;
use prost::Message as _;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::support::books::{Ledger, audit, entries, read};
use crate::support::call::Call;
use crate::support::clocks::{Clocks, HOUR, SECOND, YEAR, from_now};
use crate::support::refusal::{Refusal, refused};
use crate::support::requests::{
    batch, charge, extend, get_hold, hold, hold_for, refund, release, revoke, settle,
};
use crate::support::server::{Program, run};
use crate::support::{PATIENCE, estimate, grant};

/// Lines of the log: the clock is not believed, and it is believed again.
const LOST: &str = "the clock is not believed";
const BACK: &str = "the clock is believed again";

/// Jumps that must not become permanent.
const JUMPS: [i64; 4] = [8 * HOUR, 10 * YEAR, -8 * HOUR, -10 * YEAR];

async fn health(server: &Program) -> [ServingStatus; 3] {
    let mut client = HealthClient::new(server.channel().await);
    let mut told = [ServingStatus::Unknown; 3];
    let services = ["", "creditd.v1.LedgerService", "creditd.v1.PricingService"];
    for (status, service) in told.iter_mut().zip(services) {
        let service = service.to_owned();
        let reply = client.check(HealthCheckRequest { service }).await.unwrap();
        *status = reply.into_inner().status();
    }
    told
}

/// The ledger and the server as a whole follow the clock, prices do not.
const fn told(believed: bool) -> [ServingStatus; 3] {
    match believed {
        true => [ServingStatus::Serving; 3],
        false => [
            ServingStatus::NotServing,
            ServingStatus::NotServing,
            ServingStatus::Serving,
        ],
    }
}

/// Calls only the health service until its status is so; about a second is promised.
async fn wait_for_health(server: &Program, believed: bool) {
    let start = Instant::now();
    while health(server).await != told(believed) {
        assert!(start.elapsed() < Duration::from_secs(5), "{believed}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn count(server: &Program, text: &str) -> usize {
    server.log().matches(text).count()
}

/// What CLOCK_NOT_BELIEVED has to carry.
fn check_refusal(status: &Status, wall: i64, boot: i64) {
    let refusal = Refusal::of(status);
    assert_eq!(refusal.reason, "CLOCK_NOT_BELIEVED", "{refusal:?}");
    assert_eq!(refusal.code, Code::Unavailable);
    let time = |key: &str| rfc3339::parse(&refusal.metadata[key]).unwrap();
    let apart = time("clock_time").abs_diff(from_now(wall));
    assert!(apart < Duration::from_secs(20), "{refusal:?}");
    let apart = time("believed_time").abs_diff(from_now(boot));
    assert!(apart < Duration::from_secs(20), "{refusal:?}");
    let details = rpc::Status::decode(status.details()).unwrap().details;
    let retry = details
        .iter()
        .find(|any| any.type_url.ends_with("RetryInfo"));
    let retry = rpc::RetryInfo::decode(retry.unwrap().value.as_slice()).unwrap();
    assert!(retry.retry_delay.is_some());
}

/// A grant whose time is over so many milliseconds from now.
fn brief(request_id: &str, credits: &str, millis: i64) -> pb::GrantRequest {
    pb::GrantRequest {
        expire_time: Some(timestamp_to_pb(from_now(millis))),
        ..grant(request_id, "team-a", credits)
    }
}

/// What was there before the clock jumped.
struct Before {
    charged: String,
    granted: String,
    held: String,
    brief: String,
}

async fn before(ledger: &mut Ledger) -> Before {
    // The plan of this hour, and what is bought for good.
    let plan = ledger.grant(brief("plan", "100", HOUR)).await.unwrap();
    ledger.grant(grant("g1", "team-a", "50")).await.unwrap();
    let charged = ledger.charge(charge("c1", "team-a", "10")).await.unwrap();
    let held = ledger.hold(hold("h1", "team-a", "5")).await.unwrap();
    let short = hold_for("h2", "team-a", "7", 1_000);
    let short = ledger.hold(short).await.unwrap();
    Before {
        charged: charged.into_inner().entry.unwrap().entry_id,
        granted: plan.into_inner().entry.unwrap().grant_id,
        held: held.into_inner().hold.unwrap().hold_id,
        brief: short.into_inner().hold.unwrap().hold_id,
    }
}

impl Before {
    /// Each verb with a request_id of its own.
    fn calls(&self) -> Vec<Call> {
        vec![
            Call::Grant(grant("n1", "team-a", "7")),
            Call::Grant(grant("n2", "team-new", "7")),
            Call::Charge(charge("n3", "team-a", "1.5")),
            Call::Hold(hold("n4", "team-a", "2")),
            Call::ExtendHold(extend("n5", "team-a", &self.held, 7_200_000)),
            Call::SettleHold(settle("n6", "team-a", &self.held, "3")),
            Call::ReleaseHold(release("n7", "team-a", &self.held)),
            Call::Refund(refund("n8", "team-a", &self.charged, Some("4"))),
            Call::RevokeGrant(revoke("n9", "team-a", &self.granted)),
            Call::BatchCharge(batch(vec![
                charge("i1", "team-a", "0.25"),
                charge("i2", "team-a", "0.25"),
            ])),
        ]
    }
}

/// A clock jumps while there are holds, watches and expiring grants, clients read and write
/// meanwhile, and the clock comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_for_a_moment_changes_nothing() {
    for jump in JUMPS {
        let clocks = Clocks::new();
        let server = clocks.server(None, &[]);
        let mut ledger = server.ledger().await;
        let had = before(&mut ledger).await;
        let watch = pb::WatchBalanceRequest {
            account: "team-a".to_owned(),
        };
        let watched = ledger.watch_balance(watch).await.unwrap();
        let mut watched = watched.into_inner();
        let first = watched.message().await.unwrap().unwrap().balance.unwrap();
        assert_eq!((first.version, first.held.as_str()), (5, "12"));

        clocks.set(jump);
        let now = read(&mut ledger, "team-a").await;
        assert_eq!((now.version, now.available.as_str()), (5, "128"));
        assert_eq!((now.held.as_str(), now.grants.len()), ("12", 2));
        let read_time = now.read_time.unwrap().seconds;
        assert!((read_time - from_now(0).seconds()).abs() < 20, "{jump}");
        assert_eq!(entries(&mut ledger, "team-a", 100).await.len(), 5);
        // Prices do not wait for the clock.
        let mut pricing = server.pricing().await;
        pricing
            .estimate(estimate("lip_sync_video", "31s"))
            .await
            .unwrap();

        // Nothing new is written, whatever it is, and what was is answered again.
        for call in had.calls() {
            for outcome in call.outcomes(&mut ledger).await {
                assert_eq!(outcome.reason(), "CLOCK_NOT_BELIEVED", "{call:?}");
            }
        }
        let refusal = ledger.charge(charge("n3", "team-a", "1.5")).await;
        check_refusal(&refusal.unwrap_err(), jump, 0);
        let again = ledger.charge(charge("c1", "team-a", "10")).await.unwrap();
        assert!(again.into_inner().replayed);
        let reused = ledger.charge(charge("c1", "team-a", "11")).await;
        assert_eq!(refused(reused).reason, "REQUEST_ID_REUSED");
        let mixed = batch(vec![
            charge("n3", "team-a", "1.5"),
            charge("c1", "team-a", "10"),
        ]);
        let outcomes = Call::BatchCharge(mixed).outcomes(&mut ledger).await;
        let reasons = outcomes.iter().map(|outcome| outcome.reason());
        assert!(
            reasons.eq(["CLOCK_NOT_BELIEVED", "REPLAYED"]),
            "{outcomes:?}"
        );
        wait_for_health(&server, false).await;

        clocks.right();
        wait_for_health(&server, true).await;
        // The hold of a second ends, and whoever watches hears of it.
        let next = tokio::time::timeout(PATIENCE, watched.message()).await;
        let next = next.unwrap().unwrap().unwrap().balance.unwrap();
        assert_eq!((next.version, next.held.as_str()), (6, "5"), "{jump}");
        let ended = get_hold("team-a", &had.brief);
        let ended = ledger.get_hold(ended).await.unwrap().into_inner();
        assert_eq!(ended.hold.unwrap().status(), pb::HoldStatus::Expired);
        // The plan's credits are there, and grants of the next hours are taken.
        ledger.grant(brief("g2", "1", HOUR)).await.unwrap();
        for call in had.calls() {
            let outcomes = call.outcomes(&mut ledger).await;
            // One of the three that close the hold does.
            let allowed = ["OK", "HOLD_CLOSED"];
            assert!(
                outcomes.iter().all(|o| allowed.contains(&o.reason())),
                "{jump}: {call:?}: {outcomes:?}"
            );
        }
        let again = ledger.charge(charge("c1", "team-a", "10")).await.unwrap();
        assert!(again.into_inner().replayed);
        let books = audit(&mut ledger, "team-a").await;
        for entry in &books.entries {
            let time = entry.create_time.as_ref().unwrap().seconds;
            assert!((time - from_now(0).seconds()).abs() < 20, "{entry:?}");
        }
        server.wait_for_log(BACK);
        assert_eq!((count(&server, LOST), count(&server, BACK)), (1, 1));
        let directory = server.stop();
        let (status, out, err) = run(directory.path(), &["audit"]);
        assert_eq!(status, Some(0), "{out}{err}");
    }
}

/// The same without any call.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_jump_is_noticed_and_told_once() {
    let clocks = Clocks::new();
    let server = clocks.server(None, &[]);
    clocks.set(8 * HOUR);
    server.wait_for_log(LOST);
    wait_for_health(&server, false).await;
    let mut ledger = server.ledger().await;
    for n in 0..20 {
        let refusal = ledger.grant(grant(&format!("g{n}"), "team-a", "1")).await;
        check_refusal(&refusal.unwrap_err(), 8 * HOUR, 0);
    }
    // It jumps again meanwhile: what is believed stays.
    clocks.set(-3 * HOUR);
    let refusal = ledger.grant(grant("g", "team-a", "1")).await;
    check_refusal(&refusal.unwrap_err(), -3 * HOUR, 0);
    assert_eq!((count(&server, LOST), count(&server, BACK)), (1, 0));
    let log = server.log();
    let line = log.lines().find(|line| line.contains(LOST)).unwrap();
    for part in [
        "ERROR",
        "clock_time",
        "believed_time",
        "60",
        "--accept-clock 20",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    clocks.right();
    server.wait_for_log(BACK);
    wait_for_health(&server, true).await;
    ledger.grant(grant("g0", "team-a", "1")).await.unwrap();
    let log = server.log();
    let line = log.lines().find(|line| line.contains(BACK)).unwrap();
    assert!(line.contains("INFO"), "{line}");
}

/// Steps of some seconds, as time services make them, and a machine that sleeps.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn small_steps_and_suspension_pass_unnoticed() {
    let clocks = Clocks::new();
    let server = clocks.server(None, &[]);
    let mut ledger = server.ledger().await;
    ledger.grant(brief("plan", "100", HOUR)).await.unwrap();
    ledger.grant(grant("g", "team-a", "100")).await.unwrap();
    for (n, seconds) in [1, -1, 5, -5, 30, -30, 55, -55, 0].into_iter().enumerate() {
        clocks.set(seconds * SECOND);
        let request = charge(&format!("c{n}"), "team-a", "1");
        ledger.charge(request).await.unwrap();
        assert_eq!(health(&server).await, told(true));
    }
    clocks.pass(10 * HOUR);
    // What has ended meanwhile has ended, at its instant.
    let books = audit(&mut ledger, "team-a").await;
    assert_eq!(books.sums(), ("100", "0"));
    ledger.charge(charge("c", "team-a", "1")).await.unwrap();
    let books = audit(&mut ledger, "team-a").await;
    let times = |n: usize| books.entries[n].create_time.unwrap().seconds;
    assert!((times(11) - from_now(HOUR).seconds()).abs() < 20);
    assert!((times(12) - from_now(10 * HOUR).seconds()).abs() < 20);
    assert_eq!(health(&server).await, told(true));
    assert_eq!(count(&server, LOST), 0);
}

/// A clock that runs at twice the speed is not followed.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_clock_that_runs_away_is_not_followed() {
    let clocks = Clocks::new();
    let server = clocks.server(None, &[]);
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-a", "1000")).await.unwrap();
    // An hour in steps of 10 s, each of which would pass.
    for n in 1..=360_i64 {
        clocks.shift(20 * n * SECOND, 10 * n * SECOND);
        let request = charge(&format!("c{n}"), "team-a", "1");
        let outcome = ledger.charge(request).await;
        assert_eq!(outcome.is_ok(), n <= 6, "{n}: {outcome:?}");
    }
    clocks.pass(3_600 * SECOND);
    ledger.charge(charge("c", "team-a", "1")).await.unwrap();
}
