//! Grants and balances over the wire: durable, replayed, expired in time.

use std::time::Duration;

use creditd::domain::Timestamp;
use creditd::rpc::convert::timestamp_to_pb;
use creditd::rpc::pb::creditd::v1 as pb;
use creditd::rpc::pb::creditd::v1::ledger_service_client::LedgerServiceClient;
use tonic::Code;
use tonic::transport::Channel;

use crate::support::refusal::refused;
use crate::support::server::{Program, Server, Settings};
use crate::support::{PATIENCE, balance, estimate, grant, usage};

type Ledger = LedgerServiceClient<Channel>;

async fn read(ledger: &mut Ledger, account: &str) -> pb::Balance {
    let reply = ledger.get_balance(balance(account)).await.unwrap();
    reply.into_inner().balance.unwrap()
}

async fn read_at(ledger: &mut Ledger, account: &str, time: prost_types::Timestamp) -> pb::Balance {
    let request = pb::GetBalanceRequest {
        as_of: Some(time),
        ..balance(account)
    };
    let reply = ledger.get_balance(request).await.unwrap();
    reply.into_inner().balance.unwrap()
}

/// A time of a reply, later by so many milliseconds.
fn later(time: &prost_types::Timestamp, millis: i64) -> prost_types::Timestamp {
    let nanos = i64::from(time.nanos) + time.seconds * 1_000_000_000 + millis * 1_000_000;
    timestamp_to_pb(Timestamp::from_unix_nanos(nanos))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_answered_grant_survives_a_kill() {
    let server = Program::start();
    let mut ledger = server.ledger().await;
    let mut request = grant("r1", "team-a", "10.5");
    request.labels.insert("order".to_owned(), "17".to_owned());
    request.source = "purchase".to_owned();
    request.services = vec!["motion_1_0".to_owned(), "ai_scripts".to_owned()];
    request.priority = -2;
    let first = ledger.grant(request.clone()).await.unwrap().into_inner();
    let before = read(&mut ledger, "team-a").await;

    let directory = server.kill();
    let server = Program::start_settings(Settings {
        directory: Some(directory),
        ..Settings::default()
    });
    let mut ledger = server.ledger().await;
    let after = read(&mut ledger, "team-a").await;
    assert_eq!(
        pb::Balance {
            read_time: None,
            ..after
        },
        pb::Balance {
            read_time: None,
            ..before
        }
    );

    // The same request_id gives the first answer, field for field.
    let again = ledger.grant(request.clone()).await.unwrap().into_inner();
    assert!(again.replayed);
    assert_eq!(
        pb::GrantResponse {
            replayed: false,
            ..again
        },
        first
    );
    let entry = first.entry.unwrap();
    assert_eq!(entry.credits, "10.5");
    assert_eq!(entry.available, "10.5");
    assert_eq!(entry.spent, "0");
    assert_eq!(entry.held, "0");
    assert_eq!(entry.version, 1);
    assert_eq!(entry.source, "purchase");
    assert_eq!(entry.grants.len(), 1);

    // Another body is refused, and moves nothing.
    request.credits = "10.6".to_owned();
    let refusal = refused(ledger.grant(request).await);
    assert_eq!(
        (refusal.code, refusal.reason.as_str()),
        (Code::AlreadyExists, "REQUEST_ID_REUSED")
    );
    assert_eq!(read(&mut ledger, "team-a").await.available, "10.5");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn one_request_id_sent_by_many_at_once_moves_once() {
    let server = Server::start();
    let ledger = server.ledger().await;
    let calls: Vec<_> = (0..64)
        .map(|_| {
            let mut ledger = ledger.clone();
            tokio::spawn(async move { ledger.grant(grant("same", "team-a", "7")).await })
        })
        .collect();
    let mut replayed = 0;
    let mut entries = std::collections::BTreeSet::new();
    for call in calls {
        let reply = call.await.unwrap().unwrap().into_inner();
        replayed += usize::from(reply.replayed);
        entries.insert(reply.entry.unwrap().entry_id);
    }
    assert_eq!((replayed, entries.len()), (63, 1));
    assert_eq!(read(&mut ledger.clone(), "team-a").await.available, "7");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_refusal_does_not_use_the_request_id_up() {
    let server = Server::start();
    let mut ledger = server.ledger().await;
    let mut request = grant("r1", "team-a", "1");
    request.services = vec!["nothing_like_it".to_owned()];
    assert_eq!(
        refused(ledger.grant(request.clone()).await).reason,
        "UNKNOWN_SERVICE"
    );
    // It opened no account either.
    assert_eq!(
        refused(ledger.get_balance(balance("team-a")).await).reason,
        "ACCOUNT_NOT_FOUND"
    );
    request.services.clear();
    assert!(!ledger.grant(request).await.unwrap().into_inner().replayed);
}

/// A retry succeeds although the grant's time has come meanwhile, or its service
/// has left the rate card: the request_id is looked up before anything else.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_replay_does_not_depend_on_time_or_prices() {
    let server = Server::start();
    let mut ledger = server.ledger().await;
    let opened = ledger
        .grant(grant("r0", "team-a", "1"))
        .await
        .unwrap()
        .into_inner();
    let now = opened.entry.unwrap().create_time.unwrap();
    let mut request = grant("r1", "team-a", "5");
    request.expire_time = Some(later(&now, 1_000));
    let first = ledger.grant(request.clone()).await.unwrap().into_inner();
    wait_for_available(&mut ledger, "1").await;
    let again = ledger.grant(request.clone()).await.unwrap().into_inner();
    assert!(again.replayed);
    assert_eq!(again.entry, first.entry);
    // The same as a new request is refused.
    request.request_id = "r2".to_owned();
    assert_eq!(
        refused(ledger.grant(request).await).paths(),
        ["expire_time"]
    );
}

async fn wait_for_available(ledger: &mut Ledger, expected: &str) -> pb::Balance {
    let start = std::time::Instant::now();
    loop {
        let balance = read(ledger, "team-a").await;
        if balance.available == expected {
            return balance;
        }
        assert!(start.elapsed() < PATIENCE, "{balance:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn expiry_takes_effect_at_its_instant_without_a_write() {
    let server = Server::start();
    let mut ledger = server.ledger().await;
    let opened = ledger
        .grant(grant("r0", "team-a", "1"))
        .await
        .unwrap()
        .into_inner();
    let now = opened.entry.unwrap().create_time.unwrap();
    let (soon, sooner) = (later(&now, 300), later(&now, 200));
    for (id, credits, time) in [("r1", "5", soon), ("r2", "3", sooner)] {
        let mut request = grant(id, "team-a", credits);
        request.expire_time = Some(time);
        ledger.grant(request).await.unwrap();
    }
    let before = read(&mut ledger, "team-a").await;
    assert_eq!((before.available.as_str(), before.version), ("9", 3));
    // The soonest to expire burns first.
    let order: Vec<_> = before.grants.iter().map(|g| g.remaining.as_str()).collect();
    assert_eq!(order, ["3", "5", "1"]);

    let after = wait_for_available(&mut ledger, "1").await;
    assert_eq!((after.grants.len(), after.version), (1, 5));
    let read_time = after.read_time.unwrap();
    assert!((read_time.seconds, read_time.nanos) >= (soon.seconds, soon.nanos));

    // As of each moment, to the nanosecond, though no entry was written yet.
    let one_less = |time: &prost_types::Timestamp| {
        let nanos = i64::from(time.nanos) + time.seconds * 1_000_000_000 - 1;
        timestamp_to_pb(Timestamp::from_unix_nanos(nanos))
    };
    for (time, available, version) in [
        (one_less(&now), "0", 0),
        (now, "1", 1),
        (one_less(&sooner), "9", 3),
        (sooner, "6", 4),
        (one_less(&soon), "6", 4),
        (soon, "1", 5),
    ] {
        let then = read_at(&mut ledger, "team-a", time).await;
        assert_eq!(
            (then.available.as_str(), then.version),
            (available, version),
            "{time:?}"
        );
        assert_eq!(then.read_time, Some(time));
    }

    // The next write leaves the entries behind it, dated at their instants.
    let written = ledger
        .grant(grant("r3", "team-a", "10"))
        .await
        .unwrap()
        .into_inner();
    let entry = written.entry.unwrap();
    assert_eq!((entry.available.as_str(), entry.version), ("11", 6));
    let then = read_at(&mut ledger, "team-a", sooner).await;
    assert_eq!((then.available.as_str(), then.version), ("6", 4));

    // And all of it is the same after a restart.
    let server = server.restart(&[]);
    let mut ledger = server.ledger().await;
    let then = read_at(&mut ledger, "team-a", soon).await;
    assert_eq!((then.available.as_str(), then.version), ("1", 5));
    assert_eq!(read(&mut ledger, "team-a").await.available, "11");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn check_balance_considers_restricted_grants() {
    let server = Server::start();
    let mut ledger = server.ledger().await;
    let mut restricted = grant("r1", "team-a", "3");
    restricted.services = vec!["motion_1_0".to_owned()];
    ledger.grant(restricted).await.unwrap();
    ledger.grant(grant("r2", "team-a", "1.5")).await.unwrap();
    let mut pricing = server.pricing().await;
    let selector = pb::PriceSelector {
        account: "team-a".to_owned(),
        ..pb::PriceSelector::default()
    };
    for (service, quantity, sufficient, available, shortfall) in [
        ("motion_1_0", "x2", true, "4.5", "0"),
        ("motion_1_0", "x3", false, "4.5", "1.5"),
        ("motion_2_0", "x1", false, "1.5", "0.5"),
        ("ai_scripts", "x7", true, "1.5", "0"),
    ] {
        let request = pb::EstimateRequest {
            prices: Some(selector.clone()),
            check_balance: true,
            ..estimate(service, quantity)
        };
        let reply = pricing.estimate(request).await.unwrap().into_inner();
        let expected = pb::Affordability {
            sufficient,
            available: available.to_owned(),
            shortfall: shortfall.to_owned(),
        };
        assert_eq!(reply.affordability, Some(expected), "{service} {quantity}");
    }
    // A batch is paid in order: the restricted grant is the older and burns first.
    for (items, sufficient, shortfall) in [
        (vec![("motion_1_0", "x1"), ("ai_scripts", "x7")], true, "0"),
        (
            vec![("motion_1_0", "x2"), ("ai_scripts", "x7")],
            false,
            "0.9",
        ),
        (
            vec![
                ("ai_scripts", "x7"),
                ("motion_1_0", "x1"),
                ("nonsense", "x1"),
            ],
            true,
            "0",
        ),
    ] {
        let request = pb::BatchEstimateRequest {
            usages: items
                .iter()
                .map(|(service, quantity)| usage(service, quantity))
                .collect(),
            prices: Some(selector.clone()),
            check_balance: true,
            explain: false,
        };
        let reply = pricing.batch_estimate(request).await.unwrap().into_inner();
        let answer = reply.affordability.unwrap();
        assert_eq!(
            (answer.sufficient, answer.shortfall.as_str()),
            (sufficient, shortfall),
            "{items:?}"
        );
    }
    // It reserves nothing.
    assert_eq!(read(&mut ledger, "team-a").await.available, "4.5");
}

/// The file can be opened by the sqlite3 shell, and read by a person.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_person_can_read_the_data_file() {
    let server = Server::start();
    let mut ledger = server.ledger().await;
    ledger.grant(grant("r1", "team-a", "10.25")).await.unwrap();
    ledger
        .grant(grant("r2", "team-a", "0.000000001"))
        .await
        .unwrap();
    // While the server runs.
    let file = rusqlite::Connection::open_with_flags(
        server.data(),
        rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
    )
    .unwrap();
    let mut rows = file
        .prepare("SELECT kind, credits, available, request_id FROM ledger WHERE account = 'team-a' ORDER BY entry_id")
        .unwrap();
    let rows: Vec<[String; 4]> = rows
        .query_map([], |row| {
            Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])
        })
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(
        rows,
        [
            ["grant", "10.250000000", "10.250000000", "r1"],
            ["grant", "0.000000001", "10.250000001", "r2"],
        ]
    );
}

/// The end of 9999 is how people write "never".
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn times_of_the_whole_range_are_kept() {
    let mut server = Server::start();
    for (id, seconds, nanos) in [
        ("r1", 253_402_300_799, 999_999_999),
        ("r2", 7_258_118_400, 1),
    ] {
        let mut request = grant(id, "team-a", "1");
        request.expire_time = Some(prost_types::Timestamp { seconds, nanos });
        let mut ledger = server.ledger().await;
        let first = ledger.grant(request.clone()).await.unwrap().into_inner();
        let before = read(&mut ledger, "team-a").await;
        drop(ledger);
        server = server.restart(&[]);
        let mut ledger = server.ledger().await;
        let again = ledger.grant(request).await.unwrap().into_inner();
        assert!(again.replayed);
        assert_eq!(again.entry, first.entry);
        assert_eq!(read(&mut ledger, "team-a").await.grants, before.grants);
    }
}
