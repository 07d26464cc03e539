//! SIGHUP: rate cards are published again while the server runs, all of them or none, and
//! each call keeps the prices that it began with.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use creditd::app::App;
use creditd::app::prices::publish;
use creditd::domain::ledger::{AccountSettings, Command, Hold, HoldId, Named};
use creditd::domain::{AccountName, Timestamp};
use creditd::rpc::health::{Serving, State};
use creditd::rpc::pb::creditd::v1 as pb;
use creditd::rpc::pb::creditd::v1::ledger_service_server::LedgerService as _;
use creditd::rpc::pb::creditd::v1::pricing_service_server::PricingService as _;
use creditd::rpc::{LedgerApi, PricingApi};
use creditd::server::SystemClock;
use creditd::store::{
    AccountSnapshot, Answer, Changes, Clock, EntryPage, EntryQuery, KnownSettings, NameQuery,
    Pending, Promise, Store, Written,
};
use rustix::process::{Pid, Signal, kill_process};
use tonic::Request;

use crate::support::memory::MemoryStore;
use crate::support::rate_cards::{MemoryRateCards, card_text, loaded};
use crate::support::raw::{Raw, frame};
use crate::support::refusal::refused;
use crate::support::requests::{charge_usage, hold};
use crate::support::server::{Program, program};
use crate::support::{estimate, grant, usage, wait_until};

fn write_card(file: &Path, name: &str, credits: &str) {
    std::fs::write(file, card_text(name, credits)).unwrap();
}

/// Cards in a directory of their own, and a server of them.
struct Served {
    directory: tempfile::TempDir,
    server: Program,
    reloads: usize,
}

impl Served {
    fn new(cards: &[(&str, &str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut args = Vec::new();
        for (file, name, credits) in cards {
            let file = directory.path().join(file);
            write_card(&file, name, credits);
            args.extend(["--rate-card".to_owned(), file.display().to_string()]);
        }
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        Self {
            server: Program::start_with(&args),
            directory,
            reloads: 0,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Has the cards read again, and waits until the log says how it went.
    fn reload(&mut self) {
        self.server.signal(Signal::HUP);
        self.reloads += 1;
        wait_until("the log tells of the reload", || {
            let told = |words: &str| self.server.log().matches(words).count();
            told("configuration reloaded") + told("configuration not reloaded") == self.reloads
        });
    }

    async fn price(&self) -> (String, String) {
        let mut pricing = self.server.pricing().await;
        let reply = pricing.estimate(estimate("work", "x1")).await.unwrap();
        let estimate = reply.into_inner().estimate.unwrap();
        (estimate.credits, estimate.revision)
    }
}

fn by_revision(revision: &str) -> pb::EstimateRequest {
    pb::EstimateRequest {
        prices: Some(pb::PriceSelector {
            revision: revision.to_owned(),
            ..pb::PriceSelector::default()
        }),
        ..estimate("work", "x1")
    }
}

#[tokio::test]
async fn new_prices_are_served_and_old_revisions_are_honoured() {
    let mut served = Served::new(&[("plan.toml", "plan", "1")]);
    let (credits, first) = served.price().await;
    assert_eq!(credits, "1");
    let mut ledger = served.server.ledger().await;
    ledger.grant(grant("g", "team-a", "100")).await.unwrap();
    let held = pb::HoldRequest {
        what: Some(pb::hold_request::What::Usage(usage("work", "x5"))),
        ..hold("h", "team-a", "0")
    };
    let held = ledger.hold(held).await.unwrap().into_inner();
    let hold_id = held.hold.unwrap().hold_id;

    write_card(&served.file("plan.toml"), "plan", "2");
    served.reload();
    let (credits, second) = served.price().await;
    assert_eq!(credits, "2");
    let line = format!("rate card \"plan\": {first} -> {second}");
    assert!(served.server.log().contains(&line.replace('"', "\\\"")));
    // On a connection that was there before, and for a charge.
    let charged = ledger.charge(charge_usage("c", "team-a", usage("work", "x1")));
    let entry = charged.await.unwrap().into_inner().entry.unwrap();
    assert_eq!((entry.credits.as_str(), &entry.revision), ("-2", &second));
    // A hold is settled by the prices with which it was made.
    let settle = pb::SettleHoldRequest {
        request_id: "s".to_owned(),
        account: "team-a".to_owned(),
        hold_id,
        what: Some(pb::settle_hold_request::What::Usage(usage("work", "x3"))),
        ..pb::SettleHoldRequest::default()
    };
    let settled = ledger.settle_hold(settle).await.unwrap().into_inner();
    let settled = settled.entry.unwrap();
    assert_eq!((settled.spent.as_str(), &settled.revision), ("3", &first));
    let mut pricing = served.server.pricing().await;
    let old = pricing.estimate(by_revision(&first)).await.unwrap();
    assert_eq!(old.into_inner().estimate.unwrap().credits, "1");

    // The same files again change nothing, and a card that comes back is the one it was.
    served.reload();
    assert!(served.server.log().contains("nothing changed"));
    write_card(&served.file("plan.toml"), "plan", "1");
    served.reload();
    assert_eq!(served.price().await, ("1".to_owned(), first.clone()));

    // All of them outlive the server.
    let file = served.file("plan.toml").display().to_string();
    write_card(&served.file("plan.toml"), "plan", "7");
    let server = served.server.restart(&["--rate-card", &file]);
    let mut pricing = server.pricing().await;
    for (revision, credits) in [(&first, "1"), (&second, "2")] {
        let reply = pricing.estimate(by_revision(revision)).await.unwrap();
        assert_eq!(reply.into_inner().estimate.unwrap().credits, credits);
    }
}

/// Prices that a reload replaced are counted by their age from then on.
#[tokio::test]
async fn replaced_revisions_have_an_age() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("plan.toml");
    write_card(&file, "plan", "1");
    let path = file.display().to_string();
    let args = ["--rate-card", &path, "--revision-age-days-max", "0"];
    let server = Program::start_with(&args);
    let mut served = Served {
        directory,
        server,
        reloads: 0,
    };
    let (_, first) = served.price().await;
    let mut pricing = served.server.pricing().await;
    pricing.estimate(by_revision(&first)).await.unwrap();
    write_card(&file, "plan", "2");
    served.reload();
    let refusal = refused(pricing.estimate(by_revision(&first)).await);
    assert_eq!(refusal.reason, "REVISION_TOO_OLD");
}

#[tokio::test]
async fn a_wrong_card_changes_nothing() {
    let mut served = Served::new(&[("a.toml", "plan", "1"), ("b.toml", "other", "5")]);
    let before = served.price().await;
    // One is new and good, the other is wrong: neither is served.
    write_card(&served.file("a.toml"), "plan", "2");
    let wrong = std::fs::read_to_string(served.file("b.toml")).unwrap();
    let wrong = wrong.replace("credits = \"5\"", "credits = 5");
    std::fs::write(served.file("b.toml"), wrong).unwrap();
    for expected in [
        "b.toml:11: ",
        // And so where one is gone, or two do not go together.
        "b.toml: No such file",
        "are both named \\\"plan\\\"",
    ] {
        served.reload();
        let log = served.server.log();
        let line = log.lines().rfind(|line| line.contains("reloaded"));
        let line = line.unwrap();
        let told = line.contains("ERROR") && line.contains("not reloaded");
        assert!(told && line.contains(expected), "{line}");
        assert_eq!(served.price().await, before);
        match served.file("b.toml") {
            file if file.exists() => std::fs::remove_file(file).unwrap(),
            file => write_card(&file, "plan", "3"),
        }
    }
    // Once all are right they are served.
    write_card(&served.file("b.toml"), "other", "6");
    served.reload();
    assert_eq!(served.price().await.0, "2");
}

#[tokio::test]
async fn without_files_the_built_in_card_serves_on() {
    let server = Program::start();
    server.signal(Signal::HUP);
    server.wait_for_log("configuration reloaded changes=\"nothing changed\"");
    let mut pricing = server.pricing().await;
    let reply = pricing.estimate(estimate("lip_sync_video", "31s")).await;
    assert_eq!(
        reply.unwrap().into_inner().estimate.unwrap().credits,
        "0.248"
    );
}

/// A batch is priced by one card whatever comes meanwhile, and no call fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_under_load_are_seen_whole() {
    let mut served = Served::new(&[("plan.toml", "plan", "1")]);
    let mut pricing = served.server.pricing().await;
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stop = done.clone();
    let calls = tokio::spawn(async move {
        let request = pb::BatchEstimateRequest {
            usages: vec![usage("work", "x1"); 500],
            ..pb::BatchEstimateRequest::default()
        };
        let mut totals = BTreeSet::new();
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            let reply = pricing.batch_estimate(request.clone()).await.unwrap();
            let reply = reply.into_inner();
            assert_eq!(reply.failed_count, 0);
            totals.insert(reply.total_credits);
        }
        totals
    });
    for credits in ["2", "1", "2", "1", "2"] {
        write_card(&served.file("plan.toml"), "plan", credits);
        served = tokio::task::spawn_blocking(move || {
            served.reload();
            served
        })
        .await
        .unwrap();
    }
    assert_eq!(served.price().await.0, "2");
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    let totals = calls.await.unwrap();
    let whole = ["500", "1000"].map(str::to_owned);
    assert!(
        totals.iter().all(|total| whole.contains(total)),
        "{totals:?}"
    );
}

/// SIGHUP is handled from early in the start until the end.
#[test]
fn no_start_is_killed_by_it() {
    for _ in 0..5 {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("creditd.db");
        let log = std::fs::File::create(directory.path().join("log")).unwrap();
        let mut child = program()
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(&data)
            .current_dir(directory.path())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let pid = Pid::from_child(&child);
        wait_until("it makes its file", || data.exists());
        let log = || std::fs::read_to_string(directory.path().join("log")).unwrap();
        wait_until("it serves, and reads its cards again", || {
            kill_process(pid, Signal::HUP).unwrap();
            assert!(child.try_wait().unwrap().is_none(), "{}", log());
            log().contains("serving") && log().contains("configuration reloaded")
        });
        kill_process(pid, Signal::TERM).unwrap();
        let status = child.wait().unwrap();
        assert!(status.success(), "{status}: {}", log());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_drain_is_cut_by_it() {
    let mut server = Program::start_with(&["--drain-ms-max", "600000"]);
    let mut raw = Raw::connect(&server).await;
    let path = "/creditd.v1.PricingService/Estimate";
    let (response, mut body) = raw.begin(path, &[]).await;
    let unknown = raw.send("/x/y", &[], frame(0, &[])).await;
    assert!(unknown.status.is_some());
    server.signal(Signal::TERM);
    server.wait_for_log("stopping");
    server.signal(Signal::HUP);
    server.wait_for_log("configuration reloaded");
    assert!(server.ended().is_none());
    // The call that came before is answered.
    use prost::Message as _;
    let good = frame(0, &estimate("lip_sync_video", "31s").encode_to_vec());
    body.send_data(good.into(), true).unwrap();
    let answer = Raw::answer(response).await;
    assert_eq!(answer.status.unwrap().code(), tonic::Code::Ok);
    assert!(server.wait().success());
}

/// A store whose accounts are shown when the gate is opened.
struct Gated {
    store: MemoryStore,
    waiting: Mutex<Vec<Read>>,
}

type Read = (AccountName, Option<Timestamp>, Promise<AccountSnapshot>);

impl Gated {
    async fn open(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap());
        for (name, as_of, promise) in waiting {
            let snapshot = self.store.account(name, as_of).await;
            promise.send(snapshot).unwrap();
        }
    }
}

impl Store for Gated {
    fn write(&self, command: Command) -> Pending<Box<Written>> {
        self.store.write(command)
    }

    fn write_batch(&self, commands: Vec<Command>) -> Pending<Vec<Answer<Written>>> {
        self.store.write_batch(commands)
    }

    fn known_settings(&self, name: &AccountName) -> KnownSettings {
        self.store.known_settings(name)
    }

    fn settings(&self, names: Vec<AccountName>) -> Pending<Vec<Option<Arc<AccountSettings>>>> {
        self.store.settings(names)
    }

    fn account(&self, name: AccountName, as_of: Option<Timestamp>) -> Pending<AccountSnapshot> {
        let (promise, pending) = Pending::to_read();
        self.waiting.lock().unwrap().push((name, as_of, promise));
        pending
    }

    fn hold(&self, name: AccountName, hold: Named<HoldId>) -> Pending<Arc<Hold>> {
        self.store.hold(name, hold)
    }

    fn entries(&self, name: AccountName, query: EntryQuery) -> Pending<EntryPage> {
        self.store.entries(name, query)
    }

    fn account_names(&self, query: NameQuery) -> Pending<Vec<AccountName>> {
        self.store.account_names(query)
    }

    fn watch(&self, name: AccountName) -> Pending<Changes> {
        self.store.watch(name)
    }

    fn refuses_writes(&self) -> Option<(usize, creditd::store::Queued)> {
        self.store.refuses_writes()
    }

    fn writable(&self) -> tokio::sync::watch::Receiver<bool> {
        self.store.writable()
    }

    fn metrics(&self) -> Arc<creditd::store::metrics::StoreMetrics> {
        self.store.metrics()
    }

    fn queued_commands(&self) -> usize {
        self.store.queued_commands()
    }
}

/// A call that waits while prices are replaced answers by those that it began with.
#[tokio::test]
async fn a_call_under_way_keeps_its_prices() {
    let cards = ["1", "2"].map(|credits| [loaded(&card_text("plan", credits))]);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let gated = Arc::new(Gated {
        store: MemoryStore::new(Arc::clone(&clock)),
        waiting: Mutex::default(),
    });
    let store = Arc::clone(&gated) as Arc<dyn Store>;
    let rate_cards = Arc::new(MemoryRateCards::default());
    let catalog = publish(rate_cards.as_ref(), &cards[0], None).await.unwrap();
    let app = Arc::new(App::new(catalog, store, rate_cards, clock));
    let api = PricingApi::new(Arc::clone(&app));
    let request = || {
        Request::new(pb::BatchEstimateRequest {
            usages: vec![usage("work", "x1"); 3],
            prices: Some(pb::PriceSelector {
                account: "team-a".to_owned(),
                ..pb::PriceSelector::default()
            }),
            check_balance: true,
            ..pb::BatchEstimateRequest::default()
        })
    };
    let before = app.rate_card(&Default::default()).unwrap();
    let state = State {
        serving: Serving::Yes,
        writable: true,
    };
    let (_keep, state) = tokio::sync::watch::channel(state);
    let ledger = LedgerApi::new(Arc::clone(&app), state);
    let opened = ledger.grant(Request::new(grant("g", "team-a", "10")));
    opened.await.unwrap();
    let mut old = Box::pin(api.batch_estimate(request()));
    let waits = tokio::time::timeout(std::time::Duration::from_millis(1), old.as_mut());
    assert!(waits.await.is_err(), "it waits for the account");
    app.publish_prices(&cards[1]).await.unwrap();
    let mut new = Box::pin(api.batch_estimate(request()));
    let waits = tokio::time::timeout(std::time::Duration::from_millis(1), new.as_mut());
    assert!(waits.await.is_err(), "it waits for the account");
    // It is read for its prices, and for its balance.
    let both = async { (old.await, new.await) };
    tokio::pin!(both);
    let (old, new) = loop {
        tokio::select! {
            both = &mut both => break both,
            () = tokio::time::sleep(std::time::Duration::from_millis(1)) => gated.open().await,
        }
    };
    for (call, total, revision) in [
        (old, "3", before.revision().clone()),
        (
            new,
            "6",
            app.rate_card(&Default::default())
                .unwrap()
                .revision()
                .clone(),
        ),
    ] {
        let reply = call.unwrap().into_inner();
        assert_eq!(reply.total_credits, total);
        for result in reply.results {
            let Some(pb::batch_estimate_result::Result::Estimate(estimate)) = result.result else {
                panic!("{result:?}");
            };
            assert_eq!(estimate.revision, revision.as_str());
        }
    }
}
