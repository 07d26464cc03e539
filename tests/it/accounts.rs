//! Accounts over the service and in their stores: what the model of the ledger cannot show, such
//! as long lists, prices that are gone, and values with entries.

use std::path::Path;
use std::sync::Arc;

use creditd::app::App;
use creditd::app::prices::publish;

use creditd::domain::ledger::{
    Action, Command, Cost, EntryKind, Fingerprint, GrantAction, HoldTerms, Named, Overage,
    UpdateAction,
};
use creditd::domain::pricing::{Given, Pricing, UsageRecord};
use creditd::domain::{Credits, FieldViolations, Labels, Timestamp};
use creditd::rfc3339;
use creditd::rpc::LedgerApi;
use creditd::rpc::health::{Serving, State};
use creditd::rpc::pb::creditd::v1 as pb;
use creditd::rpc::pb::creditd::v1::ledger_service_server::LedgerService as _;
use creditd::store::sqlite::SqliteSettings;
use creditd::store::{EntryQuery, Store};
use tonic::{Code, Request, Status};

use crate::store::{Hand, command, name, open_with};
use crate::support::memory::MemoryStore;
use crate::support::rate_cards::{MemoryRateCards, card_text, loaded};
use crate::support::refusal::Refusal;
use crate::support::{balance, grant, usage};

/// The service in this process, over a store.
struct Served {
    app: Arc<App>,
    ledger: LedgerApi,
    _state: tokio::sync::watch::Sender<State>,
}

async fn serve(store: Arc<dyn Store>, clock: &Arc<Hand>) -> Served {
    let rate_cards = Arc::new(MemoryRateCards::default());
    let cards = [loaded(&card_text("plan", "1"))];
    let catalog = publish(rate_cards.as_ref(), &cards, None).await.unwrap();
    let app = Arc::new(App::new(catalog, store, rate_cards, clock.clone()));
    let (keep, state) = tokio::sync::watch::channel(State {
        serving: Serving::Yes,
        writable: true,
    });
    let ledger = LedgerApi::new(Arc::clone(&app), state);
    Served {
        app,
        ledger,
        _state: keep,
    }
}

/// SQLite in a file, with a cache of so many accounts.
fn sqlite(file: &Path, clock: &Arc<Hand>, accounts_max: usize) -> Arc<dyn Store> {
    let settings = SqliteSettings {
        accounts_max,
        ..SqliteSettings::default()
    };
    Arc::new(open_with(file, clock, settings))
}

impl Served {
    async fn grant(&self, account: &str, credits: &str) {
        let request = grant(&format!("g-{account}"), account, credits);
        self.ledger.grant(Request::new(request)).await.unwrap();
    }

    async fn update(
        &self,
        request: pb::UpdateAccountRequest,
    ) -> Result<pb::UpdateAccountResponse, Status> {
        let reply = self.ledger.update_account(Request::new(request)).await;
        reply.map(tonic::Response::into_inner)
    }

    async fn list(&self, request: pb::ListAccountsRequest) -> pb::ListAccountsResponse {
        let reply = self.ledger.list_accounts(Request::new(request)).await;
        reply.unwrap().into_inner()
    }

    /// All pages; how many there were.
    async fn list_all(&self, prefix: &str, page_size: i32) -> (Vec<pb::Account>, usize) {
        let (mut all, mut pages) = (Vec::new(), 0);
        let mut page_token = String::new();
        loop {
            let page = self
                .list(pb::ListAccountsRequest {
                    prefix: prefix.to_owned(),
                    page_size,
                    page_token,
                })
                .await;
            pages += 1;
            all.extend(page.accounts);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return (all, pages);
            }
            assert!(pages < 1_000, "the list has no end");
        }
    }
}

/// An update that sets the rate card.
fn to_card(request_id: &str, account: &str, rate_card: &str) -> pb::UpdateAccountRequest {
    pb::UpdateAccountRequest {
        request_id: request_id.to_owned(),
        account: Some(pb::Account {
            account: account.to_owned(),
            rate_card: rate_card.to_owned(),
            ..pb::Account::default()
        }),
        update_mask: mask(&["rate_card"]),
        allow_missing: true,
    }
}

fn mask(paths: &[&str]) -> Option<prost_types::FieldMask> {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    Some(prost_types::FieldMask { paths })
}

/// The list is in order of bytes, whole, each once, and each account as GetBalance has it.
#[tokio::test]
async fn accounts_are_listed_by_name_page_by_page() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Hand::new();
    // So few in memory that most are read from the file.
    let store = sqlite(&directory.path().join("creditd.db"), &clock, 4);
    for store in [store, Arc::new(MemoryStore::new(clock.clone()))] {
        let served = serve(store, &clock).await;
        let mut names: Vec<String> = ["~", "!", "Team-a", "team", "team-", "team-a", "team.a"]
            .map(str::to_owned)
            .into();
        names.extend((0..120).map(|number| format!("team-{number}")));
        for name in &names {
            served.grant(name, "2").await;
        }
        let request = to_card("u1", "team-7", "plan");
        served.update(request).await.unwrap();
        names.sort_unstable();
        for (prefix, page_size) in [("", 0), ("", 7), ("", 5_000), ("team-1", 3), ("zzz", 3)] {
            let (accounts, pages) = served.list_all(prefix, page_size).await;
            let listed: Vec<&str> = accounts.iter().map(|a| a.account.as_str()).collect();
            let expected: Vec<&str> = (names.iter().map(String::as_str))
                .filter(|name| name.starts_with(prefix))
                .collect();
            assert_eq!(listed, expected, "{prefix}");
            let size = match page_size {
                0 => 50,
                size => usize::try_from(size).unwrap(),
            };
            assert_eq!(pages, expected.len().div_ceil(size).max(1), "{prefix}");
            for account in accounts {
                let card = match account.account.as_str() {
                    "team-7" => "plan",
                    _ => "",
                };
                assert_eq!(account.rate_card, card);
                let balance = account.balance.unwrap();
                assert_eq!((&*balance.available, balance.version), ("2", 1));
                assert_eq!(balance.grants, Vec::new());
            }
        }
        // A token is good for its prefix, as it came.
        let page = |prefix: &str, page_token: &str| pb::ListAccountsRequest {
            prefix: prefix.to_owned(),
            page_size: 1,
            page_token: page_token.to_owned(),
        };
        let token = served.list(page("team-", "")).await.next_page_token;
        served.list(page("team-", &token)).await;
        for (prefix, token, field) in [
            ("team", token.clone(), "page_token"),
            ("", token.clone(), "page_token"),
            ("team-", token.to_uppercase(), "page_token"),
            ("team-", token[..token.len() - 1].to_owned(), "page_token"),
            ("team-", "00000000".to_owned(), "page_token"),
            ("team a", String::new(), "prefix"),
        ] {
            let refused = served
                .ledger
                .list_accounts(Request::new(page(prefix, &token)))
                .await;
            let refused = Refusal::of(&refused.unwrap_err());
            assert_eq!(refused.code, Code::InvalidArgument);
            let fields: Vec<_> = refused.fields.iter().map(|(path, _)| &**path).collect();
            assert_eq!(fields, [field], "{prefix} {token}");
        }
    }
}

/// A page holds fewer accounts than were asked for where its reply would be too large.
#[tokio::test]
async fn a_page_of_large_accounts_is_shorter() {
    let clock = Hand::new();
    let served = serve(Arc::new(MemoryStore::new(clock.clone())), &clock).await;
    let labels: std::collections::BTreeMap<String, String> = (0..16)
        .map(|n| (format!("{n:064}"), "x".repeat(256)))
        .collect();
    for number in 0..900 {
        let mut request = to_card("u1", &format!("team-{number}"), "");
        request.account.as_mut().unwrap().labels = labels.clone();
        request.update_mask = mask(&["labels"]);
        served.update(request).await.unwrap();
    }
    let (accounts, pages) = served.list_all("", 1_000).await;
    assert_eq!(accounts.len(), 900);
    assert_eq!(pages, 2);
    assert!(accounts.iter().all(|account| account.labels == labels));
}

/// What has expired counts in a list as in a balance, whether it was written or not.
#[tokio::test]
async fn a_list_shows_balances_without_what_has_expired() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Hand::new();
    let store = sqlite(&directory.path().join("creditd.db"), &clock, 1_000);
    let served = serve(store, &clock).await;
    let soon = rfc3339::parse("2026-01-01T01:00:00Z").unwrap();
    let brief = pb::GrantRequest {
        expire_time: Some(creditd::rpc::convert::timestamp_to_pb(soon)),
        ..grant("g1", "team-a", "5")
    };
    served.ledger.grant(Request::new(brief)).await.unwrap();
    served.grant("team-a", "2").await;
    clock.step(2);
    let (accounts, _) = served.list_all("", 0).await;
    let listed = accounts[0].balance.clone().unwrap();
    assert_eq!((&*listed.available, listed.version), ("2", 3));
}

/// The refusal by the rate cards counts only for a request_id that is new.
#[tokio::test]
async fn an_update_is_answered_again_after_its_rate_card_is_gone() {
    let clock = Hand::new();
    let served = serve(Arc::new(MemoryStore::new(clock.clone())), &clock).await;
    let first = served.update(to_card("u1", "team-a", "plan")).await;
    let first = first.unwrap();
    assert_eq!(first.account.as_ref().unwrap().rate_card, "plan");
    served.grant("team-a", "3").await;
    let other = [loaded(&card_text("other", "1"))];
    served.app.publish_prices(&other).await.unwrap();
    let again = served.update(to_card("u1", "team-a", "plan")).await;
    let again = again.unwrap();
    assert!(again.replayed);
    assert_eq!(again.account, first.account, "field for field");
    let refused = served.update(to_card("u2", "team-a", "plan")).await;
    let refused = Refusal::of(&refused.unwrap_err());
    assert_eq!(
        (refused.code, &*refused.reason),
        (Code::NotFound, "RATE_CARD_NOT_FOUND")
    );
    assert_eq!(refused.metadata["rate_card"], "plan");
    // Work for it has no price until it has another, which is said in words of its own.
    let charge = pb::ChargeRequest {
        request_id: "c1".to_owned(),
        account: "team-a".to_owned(),
        what: Some(pb::charge_request::What::Usage(usage("work", "x1"))),
        ..pb::ChargeRequest::default()
    };
    let refused = served.ledger.charge(Request::new(charge)).await;
    let refused = Refusal::of(&refused.unwrap_err());
    let expected = "rate card \"plan\", which the account has, is not in force at ";
    assert!(refused.message.starts_with(expected), "{}", refused.message);
    // The request_id was not used up.
    let other = served.update(to_card("u2", "team-a", "other")).await;
    assert!(!other.unwrap().replayed);
}

/// Updates are no entries, however many there are: lists pass over them and end.
#[tokio::test]
async fn a_list_of_entries_ends_behind_many_updates() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Hand::new();
    let store = sqlite(&directory.path().join("creditd.db"), &clock, 1_000);
    let update = |account: &str, number: usize| {
        let action = UpdateAction {
            rate_card: Some("plan".into()),
            allow_missing: true,
            ..UpdateAction::default()
        };
        let action = Action::UpdateAccount(Box::new(action));
        command(account, &format!("u{number}"), action)
    };
    let served = serve(Arc::clone(&store), &clock).await;
    served.grant("team-a", "3").await;
    // More than one page scans.
    let commands = (0..10_500).map(|number| update("team-a", number));
    let answers = store.write_batch(commands.collect()).await.unwrap();
    assert!(answers.iter().all(Result::is_ok));
    // One that has no entries at all.
    let commands = (0..10_500).map(|number| update("team-b", number));
    store.write_batch(commands.collect()).await.unwrap();
    for (account, entries) in [("team-a", 1), ("team-b", 0)] {
        let (mut found, mut pages) = (0, 0);
        let mut query = EntryQuery {
            limit: 10,
            ..EntryQuery::default()
        };
        loop {
            let page = store.entries(name(account), query.clone()).await.unwrap();
            found += page.entries.len();
            pages += 1;
            assert!(pages < 500, "{account}: the list has no end");
            match page.next {
                Some(next) => query.before = Some(next),
                None => break,
            }
        }
        assert_eq!(found, entries, "{account}");
    }
    let reply = served.ledger.get_balance(Request::new(balance("team-b")));
    let balance = reply.await.unwrap().into_inner().balance.unwrap();
    assert_eq!((&*balance.available, balance.version), ("0", 0));
    drop((served, store));
    let file = directory.path().join("creditd.db");
    let report = creditd::server::files::audit(&file, &mut |_, _| {}).unwrap();
    assert_eq!(report.findings, Vec::<String>::new());
}

/// A cost with values that came from the account and the clock.
fn valued(revision: &str, price_time: Option<Timestamp>) -> Box<Cost> {
    Box::new(Cost {
        credits: Credits::ONE,
        service: Some("work".into()),
        pricing: Some(Arc::new(Pricing {
            rate_card: "plan".into(),
            revision: revision.into(),
            values: [("plan".to_owned(), "growth".to_owned())].into(),
            time: price_time,
        })),
        usage: Some(Arc::new(UsageRecord {
            quantity: Given::Count(1),
            attributes: Default::default(),
            meters: Default::default(),
        })),
        assumed: None,
    })
}

fn with(id: &str, fingerprint: Fingerprint, action: Action) -> Command {
    let mut command = command("team-a", id, action);
    command.request.fingerprint = fingerprint;
    command
}

/// By which values and at which time something was priced stays with its entry and its hold.
#[tokio::test]
async fn values_and_time_of_a_price_stay_with_entries_and_holds() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("creditd.db");
    let clock = Hand::new();
    let card = loaded(&card_text("plan", "1"));
    let revision = card.stored.revision.clone();
    let night = rfc3339::parse("2025-12-31T23:30:00Z");
    let open = || async {
        let store = open_with(&file, &clock, SqliteSettings::default());
        use creditd::store::cards::RateCardStore as _;
        store.publish(vec![card.to_store()]).await.unwrap();
        store
    };
    let store = open().await;
    let granted = Action::Grant(GrantAction {
        credits: Credits::parse("10").unwrap(),
        expire_time: None,
        priority: 0,
        source: "".into(),
        services: Vec::new(),
        violations: FieldViolations::new(),
    });
    store.write(with("g1", [1; 16], granted)).await.unwrap();
    let charge = |time| Action::Charge(Ok(valued(&revision, time)));
    let hold = Action::Hold {
        cost: Ok(valued(&revision, night)),
        ttl_nanos: 3_600_000_000_000,
    };
    let held = store
        .write(with("h1", [2; 16], hold.clone()))
        .await
        .unwrap();
    let hold_id = held.entry.hold.as_ref().unwrap().id;
    let mut written = vec![held.entry.clone()];
    for (id, time) in [("c1", night), ("c2", None)] {
        let command = with(id, [3; 16], charge(time));
        let mut answers = store.write_batch(vec![command]).await.unwrap();
        written.push(answers.remove(0).unwrap().entry);
    }
    let settle = Action::SettleHold {
        hold: Named::of(hold_id, &name("team-a")),
        cost: Ok(valued(&revision, None)),
        keep_open: true,
        overage: Overage::Reject,
    };
    written.push(
        store
            .write(with("s1", [4; 16], settle))
            .await
            .unwrap()
            .entry,
    );
    let terms = HoldTerms::of(&held.entry).unwrap();
    let check = async |store: &dyn Store, closed: bool| {
        let query = EntryQuery {
            limit: 100,
            ..EntryQuery::default()
        };
        let page = store.entries(name("team-a"), query).await.unwrap();
        for entry in &written {
            let found = page.entries.iter().find(|found| found.id == entry.id);
            let found = found.unwrap();
            assert_eq!(found.pricing, entry.pricing);
            assert_eq!(found.hold, entry.hold);
        }
        let named = Named::of(hold_id, &name("team-a"));
        let found = store.hold(name("team-a"), named).await.unwrap();
        assert_eq!(*found.terms, terms);
        let account = store.account(name("team-a"), None).await.unwrap().account;
        let open = account.holds().get(&hold_id).map(|open| &open.hold.terms);
        assert_eq!(open.is_none(), closed);
        assert!(open.is_none_or(|open| **open == terms));
        let again = store
            .write(with("h1", [2; 16], hold.clone()))
            .await
            .unwrap();
        assert!(again.replayed);
        assert_eq!(again.entry, held.entry);
        let command = with("c1", [3; 16], charge(night));
        let again = store.write_batch(vec![command]).await.unwrap().remove(0);
        let again = again.unwrap();
        assert!(again.replayed);
        assert_eq!(again.entry.pricing, written[1].pricing);
    };
    check(&store, false).await;
    drop(store);
    let store = open().await;
    check(&store, false).await;
    let release = Action::ReleaseHold {
        hold: Named::of(hold_id, &name("team-a")),
    };
    let released = store.write(with("l1", [5; 16], release)).await.unwrap();
    assert!(matches!(released.entry.kind, EntryKind::Release));
    drop(store);
    let store = open().await;
    check(&store, true).await;
    drop(store);
    // Of an entry without values and time nothing is stored.
    let connection = rusqlite::Connection::open(&file).unwrap();
    let count = |sql: &str| -> i64 { connection.query_row(sql, [], |row| row.get(0)).unwrap() };
    assert_eq!(count("SELECT count(price_values) FROM entries"), 4);
    assert_eq!(count("SELECT count(price_time) FROM entries"), 2);
    assert_eq!(count("SELECT count(account) FROM entries"), 0);
}

/// Settings are in all that a store reads an account from: memory, its row, snapshots, journal.
#[tokio::test]
async fn settings_are_of_their_time() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("creditd.db");
    let clock = Hand::new();
    let labels = |value: &str| {
        let pairs = [("crm".to_owned(), value.to_owned())];
        Labels::new(pairs.iter().map(|(key, value)| (key, value))).unwrap()
    };
    let mut times = Vec::new();
    for round in 0..4 {
        let store = open_with(&file, &clock, SqliteSettings::default());
        for number in 0..100 {
            let update = UpdateAction {
                labels: Some(labels(&format!("{round}-{number}"))),
                allow_missing: true,
                ..UpdateAction::default()
            };
            let action = Action::UpdateAccount(Box::new(update));
            let written = store.write(command("team-a", &format!("{round}-{number}"), action));
            let written = written.await.unwrap();
            times.push((written.entry.create_time, format!("{round}-{number}")));
            clock.step(1);
        }
        for (time, value) in &times {
            let then = store.account(name("team-a"), Some(*time)).await.unwrap();
            let settings = then.account.settings().unwrap();
            assert_eq!(settings.labels, labels(value));
            assert_eq!(then.account.create_time(), Some(times[0].0));
        }
        let before = times[0].0.plus_nanos(-1_000);
        let before = store.account(name("team-a"), Some(before)).await.unwrap();
        assert!(before.account.is_unopened() && before.account.settings().is_none());
    }
    let report = creditd::server::files::audit(&file, &mut |_, _| {}).unwrap();
    assert_eq!(report.findings, Vec::<String>::new());
    assert_eq!((report.entries, report.other_rows), (0, 400));
}
