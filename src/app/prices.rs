//! The prices in force: a snapshot, which is replaced while calls go on. A call takes one
//! snapshot when it begins and uses no other.
//!
//! What is in force stands in the store of rate cards, and other servers may publish there.
//! A revision that is not in the snapshot is looked up there, and the snapshot follows each
//! change.

use std::collections::{HashMap, VecDeque};
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::Guard;

use super::card_file::{self, LoadedCard};
use super::{App, AppError, ring};
use crate::domain::Refusal;
use crate::domain::pricing::{
    AccountTerms, Card, Catalog, CatalogError, KnownCard, Period, PriceTerms, Selector,
};
use crate::domain::schedule::{CardHead, Schedule};
use crate::store::cards::{PublishedCard, RateCardStore, StoredCard};
use crate::store::{Changes, StoreError, Unavailable};

/// How many revisions are looked up at once.
const LOOKUP_LENGTH_MAX: usize = 64;
/// How many revisions that nobody published are remembered, and for how long: another server
/// may publish one, and the notice of it may be late.
const ABSENT_MAX: usize = 256;
const ABSENT_AGE_MAX: Duration = Duration::from_secs(1);

/// The price snapshot of a call that does not wait: to take it, threads share no counter.
pub struct Prices(Guard<Arc<Catalog>>);

impl Prices {
    /// The same, for a call that waits.
    #[must_use]
    pub fn into_shared(self) -> Arc<Catalog> {
        Guard::into_inner(self.0)
    }
}

impl Prices {
    /// Whether the card that is asked for may be published and is not in the snapshot.
    pub(super) fn misses(&self, selector: &Selector<'_>) -> bool {
        missing(&self.0, selector).is_some()
    }
}

/// The revision to look up for what is asked for.
fn missing<'a>(prices: &'a Catalog, selector: &Selector<'a>) -> Option<&'a str> {
    let revision = prices.missing_revision(selector)?;
    card_file::is_revision(revision).then_some(revision)
}

impl Deref for Prices {
    type Target = Catalog;

    fn deref(&self) -> &Catalog {
        &self.0
    }
}

/// Why the prices in force cannot be taken from the store.
#[derive(Debug, thiserror::Error)]
pub enum PricesError {
    /// It cannot be read or written.
    #[error(transparent)]
    Store(#[from] Unavailable),
    /// A card in it cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// No cards are in force, or they do not go together.
    #[error("the rate cards in force do not go together: {0:?}")]
    InForce(CatalogError),
    /// A rule refuses what is to be published.
    #[error("{0:?}")]
    Refused(Refusal),
    /// A card of a file and others extend each other.
    #[error("rate card \"{0}\": {1}")]
    Ring(String, String),
    /// There is no card of the name that the server was told to take as its default.
    #[error(
        "--default-rate-card \"{0}\" names no rate card; give the file of such a card by --rate-card-file, publish one first, or name another"
    )]
    NoDefault(String),
}

impl From<StoreError> for PricesError {
    fn from(error: StoreError) -> Self {
        let cause = match error {
            StoreError::Refused(refusal) => return Self::Refused(refusal),
            StoreError::Unavailable(unavailable) => return Self::Store(unavailable),
            StoreError::Busy { limit, .. } => format!("more than {limit} wait for it"),
            StoreError::ClockNotBelieved(_) => "the clock is not believed".to_owned(),
            // Of commands alone.
            StoreError::OtherSettings(_) => "it answered for another call".to_owned(),
        };
        let operation = "write";
        Self::Store(Unavailable { operation, cause })
    }
}

impl From<PricesError> for AppError {
    fn from(error: PricesError) -> Self {
        match error {
            PricesError::Store(unavailable) => Self::Unavailable(unavailable),
            PricesError::Refused(refusal) => Self::Refused(refusal),
            other => Self::Unavailable(Unavailable {
                operation: "read",
                cause: other.to_string(),
            }),
        }
    }
}

/// The snapshot before a change and the one after it.
pub struct PriceChange {
    /// The one that calls took until then.
    pub before: Arc<Catalog>,
    /// The one that calls take from then on.
    pub after: Arc<Catalog>,
}

/// What is known of the store of rate cards beside the snapshot. Whoever has it locked is the
/// only one who looks cards up or replaces the snapshot.
pub(super) struct Lookups {
    absent: AbsentRevisions,
    changes: Changes,
}

impl Lookups {
    pub(super) fn new(cards: &dyn RateCardStore) -> Self {
        Self {
            absent: AbsentRevisions::default(),
            changes: cards.changes(),
        }
    }
}

/// Revisions that were not found a moment ago.
#[derive(Default)]
struct AbsentRevisions(VecDeque<(Box<str>, Instant)>);

impl AbsentRevisions {
    fn contains(&mut self, revision: &str) -> bool {
        while let Some((_, since)) = self.0.front()
            && since.elapsed() > ABSENT_AGE_MAX
        {
            self.0.pop_front();
        }
        self.0.iter().any(|(absent, _)| **absent == *revision)
    }

    fn add(&mut self, revision: Box<str>) {
        if self.0.len() >= ABSENT_MAX {
            self.0.pop_front();
        }
        self.0.push_back((revision, Instant::now()));
    }
}

/// Publishes these cards of files, at least one, and answers with the prices in force then. The
/// first card's name is the default. Where a card in the store cannot be read, nothing is
/// published.
///
/// # Errors
/// What is wrong with the store or with a card in it.
pub async fn publish(
    store: &dyn RateCardStore,
    cards: &[LoadedCard],
    revision_age_days_max: Option<u32>,
) -> Result<Catalog, PricesError> {
    publish_with_default(store, cards, revision_age_days_max, None).await
}

/// The same with another default, where one is given: there must be a card of that name.
///
/// # Errors
/// As [`publish`].
pub async fn publish_with_default(
    store: &dyn RateCardStore,
    cards: &[LoadedCard],
    revision_age_days_max: Option<u32>,
    default: Option<&str>,
) -> Result<Catalog, PricesError> {
    let of_files = cards.iter().map(|loaded| Arc::new(loaded.card.clone()));
    let own = Catalog::new(of_files.collect(), revision_age_days_max);
    let mut own = own.map_err(PricesError::InForce)?;
    let schedule = store.list().await?;
    check(&schedule, cards, default)?;
    ring::check_files(store, &schedule, cards).await?;
    let all: Vec<_> = schedule.cards.iter().map(|c| c.revision.clone()).collect();
    for revisions in all.chunks(LOOKUP_LENGTH_MAX) {
        for published in store.find(revisions.to_vec()).await? {
            remember(&mut own, published)?;
        }
    }
    let new = cards.iter().map(LoadedCard::to_store);
    store.publish(new.collect()).await?;
    // When others were replaced is known only now.
    let default = default.unwrap_or_else(|| own.default_name());
    in_force_now(store, &own, default).await
}

/// The cards that were published, without those of files: those of files may extend them. Cards
/// that `known` has are not read again.
///
/// # Errors
/// What is wrong with the store or with a card in it.
pub async fn published(store: &dyn RateCardStore, known: &Catalog) -> Result<Catalog, PricesError> {
    let mut published = Catalog::empty("", None);
    let schedule = store.list().await?;
    let names = schedule.by_name();
    if names.is_empty() {
        return Ok(published);
    }
    let all = in_force_now(store, known, "").await?;
    for name in names.into_keys() {
        let periods = all.periods().into_iter();
        let periods = periods.filter(|(of, _)| *of == name);
        published = published.with_periods(name, periods.map(|(_, p)| p.clone()).collect());
    }
    Ok(published)
}

/// Refuses cards of files beside which a server cannot serve what was published, and a default
/// that no card has.
fn check(
    schedule: &Schedule,
    cards: &[LoadedCard],
    default: Option<&str>,
) -> Result<(), PricesError> {
    let names = || cards.iter().map(|loaded| loaded.card.name());
    schedule
        .check_files(names())
        .map_err(PricesError::Refused)?;
    match default {
        Some(name) if !names().any(|of_file| of_file == name) => {
            let published = schedule.by_name().contains_key(name);
            let none = || PricesError::NoDefault(name.to_owned());
            published.then_some(()).ok_or_else(none)
        }
        _ => Ok(()),
    }
}

/// The prices in force in the store. Cards that `known` has are not read again.
async fn in_force_now(
    store: &dyn RateCardStore,
    known: &Catalog,
    default: &str,
) -> Result<Catalog, PricesError> {
    let schedule = store.list().await?;
    let mut cards: HashMap<&str, Arc<Card>> = HashMap::new();
    let mut missing: Vec<Box<str>> = Vec::new();
    let (mut files, mut published) = (Vec::new(), Vec::new());
    let mut need = |revision: &str| match known.card_of_revision(revision) {
        Some(_) => {}
        None => missing.push(revision.into()),
    };
    for file in schedule.files() {
        need(&file.revision);
        files.push(file);
    }
    for (name, publications) in schedule.by_name() {
        let current = publications.iter().rposition(|p| p.since <= schedule.time);
        for (position, publication) in publications.iter().enumerate() {
            let over = current.is_some_and(|current| position < current);
            if !over {
                need(&publication.revision);
            }
            published.push((name, *publication, over));
        }
    }
    missing.sort_unstable();
    missing.dedup();
    for revisions in missing.chunks(LOOKUP_LENGTH_MAX) {
        for found in store.find(revisions.to_vec()).await? {
            if let Some(head) = schedule.card(&found.card.revision) {
                cards.insert(&head.revision, restore(&found.card)?);
            }
        }
    }
    let card = |revision: &str| {
        let card = known.card_of_revision(revision);
        card.or_else(|| cards.get(revision)).cloned()
    };
    let of_files = files.iter().filter_map(|file| card(&file.revision));
    let catalog = Catalog::new(of_files.collect(), known.revision_age_days_max());
    let catalog = match catalog {
        Err(CatalogError::NoCards) if !published.is_empty() => {
            Catalog::empty(default, known.revision_age_days_max())
        }
        catalog => catalog.map_err(PricesError::InForce)?,
    };
    let mut catalog = catalog.with_default(default);
    let mut periods: HashMap<&str, Vec<Period>> = HashMap::new();
    for (name, publication, over) in published {
        periods.entry(name).or_default().push(Period {
            since: Some(publication.since),
            revision: publication.revision.clone(),
            card: match over {
                true => None,
                false => card(&publication.revision),
            },
        });
    }
    for (name, periods) in periods {
        catalog = catalog.with_periods(name, periods);
    }
    let ends = schedule.ends();
    for CardHead {
        revision, replaced, ..
    } in &schedule.cards
    {
        // Others are looked up where somebody asks for them.
        if let Some(card) = known.card_of_revision(revision) {
            let end = ends.get(&**revision).copied().flatten();
            let replaced = replaced.or(end);
            let card = Arc::clone(card);
            catalog.remember(KnownCard { card, replaced });
        }
    }
    catalog.remember_services(known);
    Ok(catalog)
}

fn restore(stored: &StoredCard) -> Result<Arc<Card>, PricesError> {
    let card = card_file::restore(stored).map_err(PricesError::Unreadable)?;
    Ok(Arc::new(card))
}

fn remember(catalog: &mut Catalog, published: PublishedCard) -> Result<(), PricesError> {
    catalog.remember(KnownCard {
        card: restore(&published.card)?,
        replaced: published.replaced,
    });
    Ok(())
}

impl App {
    /// The price snapshot of this moment.
    #[must_use]
    pub fn prices(&self) -> Prices {
        Prices(self.catalog.load())
    }

    /// The cards that were published, without those of files.
    ///
    /// # Errors
    /// What is wrong with the store or with a card in it.
    pub async fn published_cards(&self) -> Result<Catalog, PricesError> {
        let known = self.prices().into_shared();
        published(self.cards.as_ref(), &known).await
    }

    /// The price snapshot of this moment, with the cards of the revisions that are asked for:
    /// those that it does not have are looked up. A revision that is not there either was
    /// never published.
    ///
    /// # Errors
    /// That the store of rate cards cannot be read.
    pub async fn prices_for<'s>(
        &self,
        selectors: impl IntoIterator<Item = Selector<'s>>,
    ) -> Result<Arc<Catalog>, AppError> {
        let mut prices = self.prices().into_shared();
        let mut missing: Vec<Box<str>> = selectors
            .into_iter()
            .filter_map(|selector| missing(&prices, &selector).map(Box::from))
            .collect();
        if missing.is_empty() {
            return Ok(prices);
        }
        missing.sort_unstable();
        missing.dedup();
        let mut found = Vec::new();
        for revisions in missing.chunks(LOOKUP_LENGTH_MAX) {
            found.extend(self.look_up(revisions).await?);
        }
        prices = self.prices().into_shared();
        let in_it = |known: &KnownCard| {
            let revision = known.card.revision().as_str();
            prices.card_of_revision(revision).is_some()
        };
        if !found.iter().all(in_it) {
            // So many were looked up meanwhile that the snapshot lost some again.
            let catalog = Arc::make_mut(&mut prices);
            found.into_iter().for_each(|known| catalog.add(known));
        }
        Ok(prices)
    }

    /// The published cards of these revisions. One look-up is under way at a time: calls that
    /// wait for the same card find it in the snapshot when it is their turn.
    async fn look_up(&self, revisions: &[Box<str>]) -> Result<Vec<KnownCard>, AppError> {
        let mut lookups = self.lookups.lock().await;
        if lookups.changes.has_changed().unwrap_or(false) {
            lookups.changes.mark_unchanged();
            lookups.absent = AbsentRevisions::default();
        }
        let mut prices = self.prices().into_shared();
        let mut found = Vec::new();
        let mut missing = Vec::new();
        for revision in revisions {
            match prices.known(revision) {
                Some(known) => found.push(known.clone()),
                None if lookups.absent.contains(revision) => {}
                None => missing.push(revision.clone()),
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        let mut published = HashMap::new();
        for card in self.cards.find(missing.clone()).await? {
            published.insert(card.card.revision.clone(), card);
        }
        let before = found.len();
        for revision in missing {
            let Some(PublishedCard { card, replaced }) = published.remove(&*revision) else {
                lookups.absent.add(revision);
                continue;
            };
            let card = restore(&card).map_err(|problem| Unavailable {
                operation: "read",
                cause: problem.to_string(),
            })?;
            found.push(KnownCard { card, replaced });
        }
        let new = found.iter().skip(before);
        let new: Vec<_> = new.cloned().collect();
        if !new.is_empty() {
            let catalog = Arc::make_mut(&mut prices);
            new.into_iter().for_each(|known| catalog.remember(known));
            self.catalog.store(prices);
        }
        Ok(found)
    }

    /// Publishes these cards of files, and serves their prices from then on. By default it means
    /// `configured`, or else the first one.
    ///
    /// # Errors
    /// What is wrong with the store or with a card in it. The snapshot stays as it was.
    pub async fn publish_prices_with(
        &self,
        cards: &[LoadedCard],
        configured: Option<&str>,
    ) -> Result<PriceChange, PricesError> {
        let schedule = self.cards.list().await?;
        check(&schedule, cards, configured)?;
        ring::check_files(&*self.cards, &schedule, cards).await?;
        let new = cards.iter().map(LoadedCard::to_store);
        self.cards.publish(new.collect()).await?;
        let first = cards.first().map_or("", |loaded| loaded.card.name());
        let default = configured.unwrap_or(first);
        let change = self.take_up(Some(default), None).await?;
        self.set_default_rate_card(configured);
        Ok(change)
    }

    /// Serves the prices that are in force in the store, whoever published them.
    ///
    /// # Errors
    /// As [`App::publish_prices_with`].
    pub async fn follow_prices(&self) -> Result<PriceChange, PricesError> {
        self.take_up(None, None).await
    }

    /// Notifies of each change of what is in force in the store.
    #[must_use]
    pub fn price_changes(&self) -> Changes {
        self.cards.changes()
    }

    /// Serves what is in force in the store. `new` is a card that was just published and need
    /// not be read from there.
    pub(super) async fn take_up(
        &self,
        default: Option<&str>,
        new: Option<Arc<Card>>,
    ) -> Result<PriceChange, PricesError> {
        let mut lookups = self.lookups.lock().await;
        lookups.absent = AbsentRevisions::default();
        let before = self.prices().into_shared();
        let mut known = Arc::clone(&before);
        if let Some(card) = new {
            let replaced = None;
            Arc::make_mut(&mut known).add(KnownCard { card, replaced });
        }
        let default = default.unwrap_or_else(|| before.default_name());
        let after = in_force_now(self.cards.as_ref(), &known, default).await?;
        let after = Arc::new(after);
        self.catalog.store(Arc::clone(&after));
        Ok(PriceChange { before, after })
    }

    /// The card of the snapshot of this moment that a request means.
    ///
    /// # Errors
    /// That there is none.
    pub fn rate_card(&self, selector: &Selector<'_>) -> Result<Arc<Card>, Refusal> {
        self.prices().select(selector, self.clock.now()).cloned()
    }

    /// The terms of these prices that a request means for an account.
    ///
    /// # Errors
    /// That there is no such card.
    pub fn terms<'a>(
        &self,
        prices: &'a Catalog,
        selector: &Selector<'_>,
        account: AccountTerms<'a>,
    ) -> Result<PriceTerms<'a>, Refusal> {
        prices.terms(selector, account, self.clock.now())
    }
}
