//! Times to the year 9999: what 64 bits of nanoseconds do not reach, after April 2262.

use creditd::domain::Timestamp;
use creditd::rfc3339;
use creditd::rpc::convert::timestamp_to_pb;
use creditd::rpc::pb::creditd::v1 as pb;

use crate::support::books::{audit, audit_by};
use crate::support::clocks::{Clocks, HOUR, YEAR, from_now};
use crate::support::requests::{charge, get_hold, hold_for, refund, release};
use crate::support::server::{Program, run};
use crate::support::{PATIENCE, grant, wait_until};

fn expiring(request_id: &str, credits: &str, expire_time: Timestamp) -> pb::GrantRequest {
    pb::GrantRequest {
        expire_time: Some(timestamp_to_pb(expire_time)),
        ..grant(request_id, "team-a", credits)
    }
}

/// The voluntary context switches of the writer.
fn sleeps(server: &Program) -> u64 {
    let threads = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    for thread in threads {
        let path = thread.unwrap().path();
        let name = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
        if name.trim() == "ledger-writer" {
            let status = std::fs::read_to_string(path.join("status")).unwrap();
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            return line.unwrap().trim().parse().unwrap();
        }
    }
    panic!("no writer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watched_account_whose_next_end_is_far_wakes_nobody() {
    let server = Program::start();
    let mut ledger = server.ledger().await;
    for (n, time) in [
        "2262-04-12T00:00:00Z",
        "2400-02-29T12:00:00.123456789Z",
        "9999-12-31T23:59:59.999999999Z",
    ]
    .into_iter()
    .enumerate()
    {
        let time = rfc3339::parse(time).unwrap();
        let request = expiring(&format!("g{n}"), "10", time);
        ledger.grant(request).await.unwrap();
    }
    let watch = pb::WatchBalanceRequest {
        account: "team-a".to_owned(),
    };
    let mut watched = ledger.watch_balance(watch).await.unwrap().into_inner();
    let balance = watched.message().await.unwrap().unwrap().balance.unwrap();
    let last = balance.grants.last().unwrap().expire_time;
    assert_eq!(last, Some(timestamp_to_pb(Timestamp::MAX)));
    let before = sleeps(&server);
    let start = std::time::Instant::now();
    wait_until("half a second is over", || {
        start.elapsed() > std::time::Duration::from_millis(500)
    });
    let slept = sleeps(&server) - before;
    assert!(slept < 50, "it woke {slept} times in half a second");
    ledger.charge(charge("c", "team-a", "1")).await.unwrap();
    let next = watched.message().await.unwrap().unwrap().balance.unwrap();
    assert_eq!(next.available, "29");
}

/// In three hundred years everything works as it does today.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_beyond_2262_is_as_any_other() {
    let clocks = Clocks::new();
    let later = 300 * YEAR;
    clocks.pass(later);
    let server = clocks.server(None, &[]);
    let mut ledger = server.ledger().await;
    let far = rfc3339::parse("9999-12-31T23:59:59.999999999Z").unwrap();
    ledger.grant(expiring("g1", "1000", far)).await.unwrap();
    let soon = from_now(later + HOUR).plus_nanos(1);
    let brief = pb::GrantRequest {
        // It burns last, so that something is left to expire.
        priority: 1,
        ..expiring("g2", "5", soon)
    };
    ledger.grant(brief).await.unwrap();
    let held = ledger.hold(hold_for("h1", "team-a", "4", 900)).await;
    let held = held.unwrap().into_inner().hold.unwrap();
    let watch = pb::WatchBalanceRequest {
        account: "team-a".to_owned(),
    };
    let mut watched = ledger.watch_balance(watch).await.unwrap().into_inner();
    watched.message().await.unwrap().unwrap();
    // The hold ends by itself, and whoever watches hears of it.
    let next = tokio::time::timeout(PATIENCE, watched.message()).await;
    let next = next.unwrap().unwrap().unwrap().balance.unwrap();
    assert_eq!((next.held.as_str(), next.version), ("0", 4));
    // Enough for checkpoints.
    for n in 0..300 {
        let request = charge(&format!("c{n}"), "team-a", "1");
        ledger.charge(request).await.unwrap();
    }
    let kept = ledger.hold(hold_for("h2", "team-a", "4", 60_000_000)).await;
    let kept = kept.unwrap().into_inner().hold.unwrap();
    let books = audit_by(&mut ledger, "team-a", 50).await;
    let entry = &books.entries[200];
    assert!((entry.create_time.unwrap().seconds - from_now(later).seconds()).abs() < 60);

    // A server that was killed finds all of it again.
    let directory = server.kill();
    clocks.pass(later + 2 * HOUR);
    let server = clocks.server(Some(directory), &[]);
    let mut ledger = server.ledger().await;
    let again = ledger.charge(charge("c7", "team-a", "1")).await.unwrap();
    assert!(again.into_inner().replayed);
    let ended = get_hold("team-a", &held.hold_id);
    let ended = ledger
        .get_hold(ended)
        .await
        .unwrap()
        .into_inner()
        .hold
        .unwrap();
    assert_eq!(ended.expire_time, held.expire_time);
    assert_eq!(ended.status(), pb::HoldStatus::Expired);
    let open = get_hold("team-a", &kept.hold_id);
    let open = ledger
        .get_hold(open)
        .await
        .unwrap()
        .into_inner()
        .hold
        .unwrap();
    assert_eq!(open, kept);
    let then = audit(&mut ledger, "team-a").await;
    assert_eq!(then.sums(), ("696", "4"));
    let expired = then.of_kind(pb::EntryKind::Expire);
    assert_eq!(expired[0].create_time, Some(timestamp_to_pb(soon)));
    let refunded = refund("r1", "team-a", &entry.entry_id, None);
    ledger.refund(refunded).await.unwrap();
    let released = release("l1", "team-a", &kept.hold_id);
    ledger.release_hold(released).await.unwrap();
    audit(&mut ledger, "team-a").await;

    // As of each entry it says what was available after it.
    for entry in books.entries.iter().step_by(37) {
        let request = pb::GetBalanceRequest {
            account: "team-a".to_owned(),
            as_of: entry.create_time,
        };
        let then = ledger.get_balance(request).await.unwrap().into_inner();
        assert_eq!(then.balance.unwrap().version, entry.version);
    }
    let request = pb::ListEntriesRequest {
        account: "team-a".to_owned(),
        start_time: books.entries[100].create_time,
        end_time: books.entries[120].create_time,
        ..pb::ListEntriesRequest::default()
    };
    let listed = ledger.list_entries(request).await.unwrap().into_inner();
    assert_eq!(listed.entries.len(), 20);
    assert_eq!(listed.entries[0], books.entries[119]);

    let directory = server.stop();
    let (status, out, err) = run(directory.path(), &["audit"]);
    assert_eq!(status, Some(0), "{out}{err}");
    let file = rusqlite::Connection::open(directory.path().join("creditd.db")).unwrap();
    let sql = "SELECT create_time FROM ledger WHERE entry_id = 1";
    let shown: String = file.query_row(sql, [], |row| row.get(0)).unwrap();
    let shown = rfc3339::parse(&shown).unwrap();
    assert_eq!(Some(timestamp_to_pb(shown)), books.entries[0].create_time);
}
