//! Panics on the server's own threads: waiting calls are answered, and the server goes on or
//! ends.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use creditd::rpc::pb::creditd::v1 as pb;
use tempfile::TempDir;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::support::books::{Ledger, audit, read};
use crate::support::health::Health;
use crate::support::refusal::refused;
use crate::support::requests::{batch, charge};
use crate::support::server::{Program, Settings};
use crate::support::{balance, grant, wait_until};

/// How soon a server has ended that cannot go on.
const END_MAX: Duration = Duration::from_secs(3);

fn start(directory: Option<TempDir>) -> Program {
    let directory = directory.unwrap_or_else(|| tempfile::tempdir().unwrap());
    let file = OsString::from(directory.path().join("failpoint"));
    Program::start_settings(Settings {
        directory: Some(directory),
        variables: vec![("CREDITD_FAILPOINT", file)],
        ..Settings::default()
    })
}

/// Arms a failpoint: the next thread that reaches it panics.
fn fail(server: &Program, place: &str) {
    // At once: a file half written names another place.
    let next = server.directory.path().join("next");
    std::fs::write(&next, place).unwrap();
    std::fs::rename(next, server.directory.path().join("failpoint")).unwrap();
}

fn has_failed(server: &Program) -> bool {
    !server.directory.path().join("failpoint").exists()
}

/// Ten credits, of which one is spent.
async fn spend_one(server: &Program) -> Ledger {
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-a", "10")).await.unwrap();
    ledger.charge(charge("c", "team-a", "1")).await.unwrap();
    ledger
}

/// The server ends by itself, soon and with a failure, and its last line says what to do.
fn ends(mut server: Program, what: &str) -> TempDir {
    let start = Instant::now();
    let status = server.wait();
    assert!(start.elapsed() < END_MAX, "{:?}", start.elapsed());
    assert_eq!(status.code(), Some(1));
    let log = server.log();
    let last = log.lines().last().unwrap().to_owned();
    assert!(
        last.starts_with(&format!(
            "creditd: a defect ended {what}: start the server again"
        )),
        "{last}"
    );
    assert!(log.contains("failpoint"), "{log}");
    std::mem::replace(&mut server.directory, tempfile::tempdir().unwrap())
}

/// After a restart by a supervisor everything that was answered is there, and nothing twice.
async fn goes_on(directory: TempDir, available: &str) -> Program {
    let server = start(Some(directory));
    let mut ledger = server.ledger().await;
    assert_eq!(audit(&mut ledger, "team-a").await.sums().0, available);
    assert!(!server.log().contains("missing"), "{}", server.log());
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_writer_the_server_ends() {
    let server = start(None);
    let mut ledger = spend_one(&server).await;
    fail(&server, "ledger-writer");
    // Also those who wait then are told that there is no answer.
    let refusal = refused(ledger.charge(charge("d", "team-a", "1")).await);
    assert_eq!(refusal.reason, "STORE_UNAVAILABLE");
    let directory = ends(server, "the thread that writes the data file");
    let server = goes_on(directory, "9").await;
    let mut ledger = server.ledger().await;
    let again = ledger.charge(charge("d", "team-a", "1")).await.unwrap();
    assert!(!again.into_inner().replayed);
}

/// A write that was committed and not answered is replayed by its request_id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_before_the_writer_ended_is_there() {
    let server = start(None);
    let mut ledger = spend_one(&server).await;
    fail(&server, "ledger-writer-committed");
    let refusal = refused(ledger.charge(charge("d", "team-a", "1")).await);
    assert_eq!(refusal.reason, "STORE_UNAVAILABLE");
    let directory = ends(server, "the thread that writes the data file");
    let server = goes_on(directory, "8").await;
    let mut ledger = server.ledger().await;
    let again = ledger.charge(charge("d", "team-a", "1")).await.unwrap();
    assert!(again.into_inner().replayed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_thread_that_serves_the_server_ends() {
    let server = start(None);
    spend_one(&server).await;
    fail(&server, "serve");
    let connected = tokio::net::TcpStream::connect(&server.address).await;
    let directory = ends(server, "a thread that serves");
    drop(connected);
    goes_on(directory, "9").await;
}

/// One call is refused, and no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_over_one_account_is_over_with_its_call() {
    let server = start(None);
    let mut ledger = spend_one(&server).await;
    for (place, id) in [("decide", "d1"), ("decide", "d2")] {
        fail(&server, place);
        let refusal = refused(ledger.charge(charge(id, "team-a", "1")).await);
        assert_eq!(refusal.reason, "STORE_UNAVAILABLE");
        assert!(has_failed(&server));
    }
    fail(&server, "decide");
    let charges = vec![charge("d3", "team-a", "1"), charge("d4", "team-a", "1")];
    let results = ledger.batch_charge(batch(charges)).await.unwrap();
    assert_eq!(results.into_inner().failed_count, 1);
    fail(&server, "read");
    let refusal = refused(ledger.get_balance(balance("team-a")).await);
    assert_eq!(refusal.reason, "STORE_UNAVAILABLE");
    assert_eq!(refusal.metadata["operation"], "read");
    assert_eq!(read(&mut ledger, "team-a").await.available, "8");
    let status = Health::of(&server).await.ledger().await;
    assert_eq!(status, ServingStatus::Serving);
    let books = audit(&mut ledger, "team-a").await;
    assert_eq!(books.sums().0, "8");
    goes_on(server.kill(), "8").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_over_the_past_is_over_with_its_question() {
    let server = start(None);
    let mut ledger = spend_one(&server).await;
    let entries = || pb::ListEntriesRequest {
        account: "team-a".to_owned(),
        ..pb::ListEntriesRequest::default()
    };
    let now = read(&mut ledger, "team-a").await.read_time;
    let as_of = || pb::GetBalanceRequest {
        as_of: now,
        ..balance("team-a")
    };
    for _ in 0..3 {
        fail(&server, "ledger-history");
        let refusal = refused(ledger.list_entries(entries()).await);
        assert_eq!(refusal.reason, "STORE_UNAVAILABLE");
        assert_eq!(refusal.metadata["operation"], "read");
        let page = ledger.list_entries(entries()).await.unwrap().into_inner();
        assert_eq!(page.entries.len(), 2);
        fail(&server, "ledger-history");
        let refusal = refused(ledger.get_balance(as_of()).await);
        assert_eq!(refusal.reason, "STORE_UNAVAILABLE");
        let then = ledger.get_balance(as_of()).await.unwrap().into_inner();
        assert_eq!(then.balance.unwrap().available, "9");
    }
    server.wait_for_log("a defect ended a question about the past");
    server.stop();
}

/// The writer does what the thread beside it does not do any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_thread_that_empties_the_wal_the_writer_does_it() {
    let server = start(None);
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-a", "100000")).await.unwrap();
    fail(&server, "wal-checkpoint");
    let labels = (0..16).map(|n| (format!("label-{n}"), "x".repeat(256)));
    let labels: std::collections::BTreeMap<_, _> = labels.collect();
    let mut spent = 0;
    let mut spend = async |ledger: &mut Ledger| {
        let charges = (spent..spent + 400).map(|n| pb::ChargeRequest {
            labels: labels.clone(),
            ..charge(&format!("c{n}"), "team-a", "1")
        });
        let reply = ledger.batch_charge(batch(charges.collect())).await;
        assert_eq!(reply.unwrap().into_inner().failed_count, 0);
        spent += 400;
        spent
    };
    while !has_failed(&server) {
        spend(&mut ledger).await;
    }
    wait_until("the log says so", || {
        server.log().contains("failpoint wal-checkpoint")
    });
    for _ in 0..10 {
        spend(&mut ledger).await;
    }
    server.wait_for_log("the writer runs them");
    let spent = spend(&mut ledger).await;
    let wal = std::fs::metadata(server.directory.path().join("creditd.db-wal")).unwrap();
    assert!(wal.len() < 40 << 20, "{} bytes", wal.len());
    let directory = server.stop();
    goes_on(directory, &(100_000 - spent).to_string()).await;
}
