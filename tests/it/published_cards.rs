//! Published rate cards: what every store of them promises, and servers that share one.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use creditd::app::App;
use creditd::app::card_file::LoadedCard;
use creditd::app::prices::publish;
use creditd::domain::pricing::{Catalog, KnownCard, REPLACED_SERVICES_MAX};
use creditd::domain::schedule::CardHead;
use creditd::rpc::health::{Serving, State};
use creditd::rpc::pb::creditd::v1 as pb;
use creditd::rpc::pb::creditd::v1::ledger_service_client::LedgerServiceClient;
use creditd::rpc::pb::creditd::v1::pricing_service_client::PricingServiceClient;
use creditd::rpc::router::Router;
use creditd::server::SystemClock;
use creditd::store::cards::{NewCard, RateCardStore};
use creditd::store::sqlite::{SqliteSettings, SqliteStore};
use creditd::store::{StoreError, Unavailable};
use tokio::sync::watch;

use crate::support::keys::router;
use crate::support::rate_cards::{MemoryRateCards, card_text, loaded};
use crate::support::refusal::refused;
use crate::support::requests::{batch, charge_usage, hold, settle};
use crate::support::server::Server;
use crate::support::{estimate, grant, usage};

fn card(name: &str, credits: &str) -> LoadedCard {
    loaded(&card_text(name, credits))
}

fn stored(cards: &[&LoadedCard]) -> Vec<NewCard> {
    cards.iter().map(|loaded| loaded.to_store()).collect()
}

fn sqlite(directory: &Path) -> Arc<SqliteStore> {
    let file = directory.join("creditd.db");
    let clock = Arc::new(SystemClock);
    Arc::new(SqliteStore::open(&file, clock, SqliteSettings::default()).unwrap())
}

/// Names and prices of the cards in force, and of those that were replaced.
async fn listed(store: &dyn RateCardStore) -> (Vec<String>, Vec<String>) {
    let cards = store.list().await.unwrap().cards.into_iter();
    let (in_force, replaced): (Vec<_>, Vec<_>) = cards.partition(|card| card.replaced.is_none());
    let times: Vec<_> = replaced.iter().map(|card| card.replaced).collect();
    assert!(times.is_sorted(), "{times:?}");
    let revision = |card: CardHead| card.revision.into_string();
    (
        in_force.into_iter().map(revision).collect(),
        replaced.into_iter().map(revision).collect(),
    )
}

async fn keeps_its_promises(store: &dyn RateCardStore) {
    let [one, two, other] = [("plan", "1"), ("plan", "2"), ("other", "5")].map(|(n, c)| card(n, c));
    let revision = |card: &LoadedCard| card.stored.revision.clone();
    let mut changes = store.changes();
    store.publish(stored(&[&one, &other])).await.unwrap();
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    let in_force = vec![revision(&one), revision(&other)];
    assert_eq!(listed(store).await, (in_force, vec![]));

    // In another order they are the same.
    let before = store.list().await.unwrap();
    store.publish(stored(&[&other, &one])).await.unwrap();
    assert!(!changes.has_changed().unwrap());
    assert_eq!(store.list().await.unwrap().cards, before.cards);

    // What is not among the new ones is replaced, once.
    store.publish(stored(&[&two])).await.unwrap();
    assert!(changes.has_changed().unwrap());
    let (in_force, mut replaced) = listed(store).await;
    replaced.sort();
    let mut both = vec![revision(&one), revision(&other)];
    both.sort();
    assert_eq!((in_force, replaced), (vec![revision(&two)], both));
    let find = |card: &LoadedCard| store.find(vec![revision(card).into(), "absent".into()]);
    let found = find(&one).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].card, one.stored);
    let since = found[0].replaced.unwrap();
    store.publish(stored(&[&two, &other])).await.unwrap();
    assert_eq!(find(&one).await.unwrap()[0].replaced, Some(since));
    assert_eq!(find(&other).await.unwrap()[0].replaced, None);

    // Another content for a revision is refused with all that came along with it.
    changes.mark_unchanged();
    let before = store.list().await.unwrap();
    let mut false_card = two.to_store();
    false_card.card.content = one.stored.content.clone();
    for refused in [
        store
            .publish(vec![one.to_store(), false_card.clone()])
            .await,
        store.publish_one(false_card, None).await.map(|_| ()),
    ] {
        // The name is a file's, or the content is another.
        let cause = match refused.unwrap_err() {
            StoreError::Unavailable(unavailable) => unavailable.cause,
            other => format!("{other:?}"),
        };
        let expected = [revision(&two), "Origin(File)".to_owned()];
        assert!(expected.iter().any(|text| cause.contains(text)), "{cause}");
    }
    assert_eq!(store.list().await.unwrap().cards, before.cards);
    assert!(!changes.has_changed().unwrap());
}

#[tokio::test]
async fn every_store_keeps_its_promises() {
    let directory = tempfile::tempdir().unwrap();
    keeps_its_promises(sqlite(directory.path()).as_ref()).await;
    keeps_its_promises(&MemoryRateCards::default()).await;
    // And what SQLite was given is in the file.
    let (in_force, replaced) = listed(sqlite(directory.path()).as_ref()).await;
    assert_eq!((in_force.len(), replaced.len()), (2, 1));
}

/// A server in this process: use cases over stores that others use too.
struct Served {
    app: Arc<App>,
    pricing: PricingServiceClient<Router>,
    ledger: LedgerServiceClient<Router>,
    _health: watch::Sender<State>,
}

impl Served {
    async fn start(
        store: &Arc<SqliteStore>,
        cards: Arc<dyn RateCardStore>,
        own: &[LoadedCard],
    ) -> Self {
        let catalog = publish(cards.as_ref(), own, None).await.unwrap();
        let app = App::new(catalog, store.clone(), cards, Arc::new(SystemClock));
        let app = Arc::new(app);
        let (health, state) = watch::channel(State {
            serving: Serving::Yes,
            writable: true,
        });
        let router = || router(&app, state.clone());
        Self {
            pricing: PricingServiceClient::new(router()),
            ledger: LedgerServiceClient::new(router()),
            app,
            _health: health,
        }
    }

    async fn price(
        &mut self,
        prices: pb::PriceSelector,
    ) -> Result<(String, String), tonic::Status> {
        let request = pb::EstimateRequest {
            prices: Some(prices),
            ..estimate("work", "x1")
        };
        let reply = self.pricing.estimate(request).await?.into_inner();
        let estimate = reply.estimate.unwrap();
        Ok((estimate.credits, estimate.revision))
    }
}

fn by_revision(revision: &str) -> pb::PriceSelector {
    pb::PriceSelector {
        revision: revision.to_owned(),
        ..pb::PriceSelector::default()
    }
}

/// One publishes: the other honours the revision at once in every call that can name one, and
/// serves the new prices after the notice of the change.
#[tokio::test]
async fn a_server_honours_and_follows_what_another_publishes() {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite(directory.path());
    let mut one = Served::start(&store, store.clone(), &[card("plan", "1")]).await;
    let mut two = Served::start(&store, store.clone(), &[card("plan", "1")]).await;
    let mut changes = two.app.price_changes();
    let (credits, first) = two.price(Default::default()).await.unwrap();
    assert_eq!(credits, "1");
    one.ledger
        .grant(grant("g", "team-a", "1000"))
        .await
        .unwrap();

    // Each time a revision that the second server never heard of.
    let mut prices = (2..).map(|credits: u32| credits.to_string());
    let mut quote = async |one: &mut Served| {
        let credits = prices.next().unwrap();
        let new = [card("plan", &credits)];
        one.app.publish_prices(&new).await.unwrap();
        let quote = one.price(Default::default()).await.unwrap();
        assert_eq!(quote.0, credits);
        quote
    };
    let (credits, revision) = quote(&mut one).await;
    let absent = "0123456789abcdef01234567";
    let refusal = refused(two.price(by_revision(absent)).await);
    assert_eq!(refusal.reason, "REVISION_NOT_FOUND");
    assert_eq!(two.price(by_revision(&revision)).await.unwrap().0, credits);
    let (credits, revision) = quote(&mut one).await;
    let request = pb::GetRateCardRequest {
        prices: Some(by_revision(&revision)),
        ..Default::default()
    };
    let reply = two.pricing.get_rate_card(request).await.unwrap();
    assert_eq!(reply.into_inner().revision, revision);
    assert_eq!(two.price(by_revision(&revision)).await.unwrap().0, credits);
    let (credits, revision) = quote(&mut one).await;
    let request = pb::BatchEstimateRequest {
        prices: Some(by_revision(&revision)),
        usages: vec![usage("work", "x1")],
        ..Default::default()
    };
    let reply = two.pricing.batch_estimate(request).await.unwrap();
    assert_eq!(reply.into_inner().total_credits, credits);

    let priced = |id: &str, revision: &str| pb::ChargeRequest {
        prices: Some(by_revision(revision)),
        ..charge_usage(id, "team-a", usage("work", "x1"))
    };
    let (credits, revision) = quote(&mut one).await;
    let reply = two.ledger.charge(priced("c", &revision)).await.unwrap();
    let entry = reply.into_inner().entry.unwrap();
    assert_eq!((entry.spent, entry.revision), (credits, revision));
    // One that nobody published is refused, beside others in a batch too.
    let (credits, revision) = quote(&mut one).await;
    let charges = vec![
        priced("b1", &revision),
        priced("b2", absent),
        priced("b3", &first),
    ];
    let reply = two.ledger.batch_charge(batch(charges)).await.unwrap();
    let reply = reply.into_inner();
    assert_eq!(reply.failed_count, 1);
    let spent = |at: usize| match reply.results[at].result.clone().unwrap() {
        pb::batch_charge_result::Result::Charge(charge) => charge.entry.unwrap().spent,
        pb::batch_charge_result::Result::Error(error) => error.message,
    };
    assert_eq!((spent(0), spent(2)), (credits, "1".to_owned()));
    assert!(spent(1).contains(absent), "{}", spent(1));
    let (_, revision) = quote(&mut one).await;
    let held = pb::HoldRequest {
        what: Some(pb::hold_request::What::Usage(usage("work", "x1"))),
        prices: Some(by_revision(&revision)),
        ..hold("h1", "team-a", "0")
    };
    two.ledger.hold(held).await.unwrap();
    // What the first one held is settled by the second at the first one's prices.
    let (credits, revision) = quote(&mut one).await;
    let held = pb::HoldRequest {
        what: Some(pb::hold_request::What::Usage(usage("work", "x2"))),
        ..hold("h2", "team-a", "0")
    };
    let held = one.ledger.hold(held).await.unwrap().into_inner();
    let hold_id = held.hold.unwrap().hold_id;
    let settled = pb::SettleHoldRequest {
        what: Some(pb::settle_hold_request::What::Usage(usage("work", "x1"))),
        ..settle("s", "team-a", &hold_id, "0")
    };
    let settled = two.ledger.settle_hold(settled).await.unwrap().into_inner();
    let entry = settled.entry.unwrap();
    assert_eq!((entry.spent, entry.revision.clone()), (credits, revision));

    // Where nothing is named the second one still has the prices from its start.
    assert_eq!(two.price(Default::default()).await.unwrap().1, first);
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    let change = two.app.follow_prices().await.unwrap();
    assert_eq!(change.before.cards()[0].revision().as_str(), first);
    let newest = two.price(Default::default()).await.unwrap().1;
    assert_eq!(newest, entry.revision);
    assert!(!changes.has_changed().unwrap());
}

/// A default that is not in force any more is refused, and never another card's price.
#[tokio::test]
async fn a_default_that_another_server_took_out_of_force_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite(directory.path());
    let mut one = Served::start(&store, store.clone(), &[card("plan", "1")]).await;
    let mut two = Served::start(&store, store.clone(), &[card("other", "2")]).await;
    one.app.follow_prices().await.unwrap();
    let refusal = refused(one.price(Default::default()).await);
    assert_eq!(refusal.reason, "RATE_CARD_NOT_FOUND");
    assert_eq!(refusal.metadata["rate_card"], "plan");
    assert_eq!(two.price(Default::default()).await.unwrap().0, "2");
    // Services are known as before, also those of no card in force, and others are not.
    let grant_for = |id: &str, service: &str| pb::GrantRequest {
        services: vec![service.to_owned()],
        ..grant(id, "team-a", "1")
    };
    one.ledger.grant(grant_for("g1", "work")).await.unwrap();
    let refusal = refused(one.ledger.grant(grant_for("g2", "wrok")).await);
    assert_eq!(refusal.reason, "UNKNOWN_SERVICE");
}

/// The tests of look-ups: a server whose cards are in memory, and another that publishes there.
async fn over_memory() -> (Served, Arc<MemoryRateCards>, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite(directory.path());
    let cards = Arc::new(MemoryRateCards::default());
    let served = Served::start(&store, cards.clone(), &[card("plan", "1")]).await;
    (served, cards, directory)
}

#[tokio::test]
async fn one_lookup_answers_many_calls() {
    let (mut served, cards, _directory) = over_memory().await;
    let lookups = || cards.lookups.swap(0, Ordering::Relaxed);
    let new = card("plan", "2");
    cards.publish(stored(&[&new])).await.unwrap();
    let revision = new.stored.revision.as_str();
    let selector = || creditd::domain::pricing::Selector {
        revision,
        ..Default::default()
    };
    let calls = (0..100).map(|_| served.app.prices_for([selector()]));
    for prices in futures_util::future::join_all(calls).await {
        assert!(prices.unwrap().has_revision_of(&selector()));
    }
    assert_eq!(lookups(), 1);
    // It is in memory from then on.
    served.price(by_revision(revision)).await.unwrap();
    assert_eq!(lookups(), 0);

    // One that nobody published is looked up once a second, or after a change.
    for _ in 0..100 {
        let absent = by_revision("0123456789abcdef01234567");
        let refusal = refused(served.price(absent).await);
        assert_eq!(refusal.reason, "REVISION_NOT_FOUND");
    }
    assert!((1..=3).contains(&lookups()));
    // What no revision looks like is not looked up.
    for text in ["x", "0123456789abcdef0123456", "0123456789ABCDEF01234567"] {
        let refusal = refused(served.price(by_revision(text)).await);
        assert_eq!(refusal.reason, "REVISION_NOT_FOUND");
    }
    assert_eq!(lookups(), 0);
    // A revision that was asked for before it was published is found once it is.
    let late = card("plan", "3");
    let revision = late.stored.revision.as_str();
    refused(served.price(by_revision(revision)).await);
    cards.publish(stored(&[&late])).await.unwrap();
    assert_eq!(served.price(by_revision(revision)).await.unwrap().0, "3");
    // Many revisions of one call are looked up together.
    lookups();
    let texts: Vec<_> = (0..100).map(|n| format!("{n:024x}")).collect();
    let selectors = texts
        .iter()
        .map(|revision| creditd::domain::pricing::Selector {
            revision,
            ..Default::default()
        });
    served.app.prices_for(selectors).await.unwrap();
    assert_eq!(lookups(), 2);
}

/// Where the store of rate cards cannot be read, nothing is said about a revision, and all
/// other calls go on.
#[tokio::test]
async fn a_lookup_that_fails_is_unavailable() {
    let (mut served, cards, _directory) = over_memory().await;
    let new = card("plan", "2");
    cards.publish(stored(&[&new])).await.unwrap();
    let (_, old) = served.price(Default::default()).await.unwrap();
    *cards.broken.lock().unwrap() = Some(Unavailable {
        operation: "read",
        cause: "a test".to_owned(),
    });
    let refusal = refused(served.price(by_revision(&new.stored.revision)).await);
    assert_eq!(refusal.reason, "STORE_UNAVAILABLE");
    assert!(served.app.follow_prices().await.is_err());
    assert!(
        served
            .app
            .publish_prices(&[card("plan", "7")])
            .await
            .is_err()
    );
    assert_eq!(served.price(by_revision(&old)).await.unwrap().0, "1");
    assert_eq!(served.price(Default::default()).await.unwrap().0, "1");
    *cards.broken.lock().unwrap() = None;
    let found = served.price(by_revision(&new.stored.revision)).await;
    assert_eq!(found.unwrap().0, "2");
}

/// A card of many services.
fn large(number: usize, services: usize) -> LoadedCard {
    let mut text = card_text("plan", &number.to_string());
    let row = text.split_once("[[service]]").unwrap().1.to_owned();
    for service in 1..services {
        let row = row.replace("\"work\"", &format!("\"work-{service}\""));
        text.push_str(&format!("\n[[service]]{row}"));
    }
    loaded(&text)
}

/// Replaced cards take a bounded part of memory, and those that are not in it are found in
/// the store.
#[tokio::test]
async fn replaced_cards_in_memory_are_bounded() {
    let services = 4_096;
    let (mut served, _, _directory) = over_memory().await;
    let (_, first) = served.price(Default::default()).await.unwrap();
    let fit = REPLACED_SERVICES_MAX / services;
    for number in 0..fit + 2 {
        let cards = [large(number + 2, services)];
        served.app.publish_prices(&cards).await.unwrap();
    }
    let prices = served.app.prices().into_shared();
    assert!(prices.card_of_revision(&first).is_none());
    assert_eq!(served.price(by_revision(&first)).await.unwrap().0, "1");
    let prices = served.app.prices().into_shared();
    assert!(prices.card_of_revision(&first).is_some());
}

#[test]
fn a_catalog_keeps_the_newest_of_those_that_were_replaced() {
    let known = |number| KnownCard {
        card: Arc::new(large(number, 4_096).card),
        replaced: None,
    };
    let in_force = known(0).card;
    let mut catalog = Catalog::new(vec![in_force.clone()], None).unwrap();
    let cards: Vec<_> = (1..=18).map(known).collect();
    for card in &cards {
        catalog.remember(card.clone());
        catalog.remember(card.clone());
    }
    let has = |card: &Arc<creditd::domain::pricing::Card>| {
        catalog.card_of_revision(card.revision().as_str()).is_some()
    };
    let newest = cards.iter().map(|known| has(&known.card));
    let expected = (1..=18).map(|number| number > 2);
    assert!(newest.eq(expected));
    assert!(has(&in_force));
}

/// What is in force follows from what was published, not from starts.
#[tokio::test]
async fn a_restart_with_the_same_cards_changes_nothing() {
    let rows = |server: &Server| {
        let file = rusqlite::Connection::open(server.data()).unwrap();
        let mut select = file
            .prepare("SELECT revision, first_published, replaced FROM rate_cards ORDER BY card_id")
            .unwrap();
        let rows = select.query_map([], |row| {
            let (published, replaced): (i64, Option<i64>) = (row.get(1)?, row.get(2)?);
            Ok((row.get::<_, String>(0)?, published, replaced))
        });
        rows.unwrap().map(Result::unwrap).collect::<Vec<_>>()
    };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("plan.toml");
    let write = |credits: &str| std::fs::write(&file, card_text("plan", credits)).unwrap();
    let args = ["--rate-card-file", file.to_str().unwrap()];
    write("1");
    let server = Server::start_with(&args);
    write("2");
    let server = server.restart(&args);
    let before = rows(&server);
    assert_eq!(before.len(), 2);
    assert!(before[0].2.is_some() && before[1].2.is_none(), "{before:?}");
    let server = server.restart(&args);
    assert_eq!(rows(&server), before);
}
