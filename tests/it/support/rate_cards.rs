//! A store of rate cards in memory.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use creditd::app::card_file::{LoadedCard, load};
use creditd::domain::Timestamp;
use creditd::domain::keys::KeyId;
use creditd::domain::schedule::{CardHead, Origin, Placed, Publication, Removed, Schedule};
use creditd::store::cards::{CardsAnswer, CardsChange, NewCard, PublishedCard, RateCardStore};
use creditd::store::{Changes, StoreError, Unavailable};
use tokio::sync::watch;

/// A card of one service, "work", by the piece.
pub fn card_text(name: &str, credits: &str) -> String {
    format!(
        "format = 1\nname = \"{name}\"\ntitle = \"Plan\"\n\n[[service]]\nkey = \"work\"\n\
         title = \"Work\"\nrule = \"a piece\"\nmeter = \"count\"\npiece = \"piece\"\n\
         price = {{ model = \"per_piece\", credits = \"{credits}\" }}\n"
    )
}

/// The card of a text.
pub fn loaded(text: &str) -> LoadedCard {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("card.toml");
    std::fs::write(&file, text).unwrap();
    load(&file).unwrap()
}

/// The store. Its clock counts the changes.
#[derive(Default)]
pub struct MemoryRateCards {
    kept: Mutex<Kept>,
    changes: watch::Sender<()>,
    /// How often cards were looked up.
    pub lookups: AtomicUsize,
    /// Fails what it is asked from now on.
    pub broken: Mutex<Option<Unavailable>>,
}

/// All that it has.
#[derive(Clone, Default, PartialEq)]
struct Kept {
    /// By the time of each change, unless it stands.
    now: i64,
    stands: bool,
    cards: Vec<(CardHead, NewCard)>,
    publications: Vec<Publication>,
}

impl Kept {
    fn time(&self) -> Timestamp {
        Timestamp::from_unix_nanos(self.now)
    }

    fn schedule(&self) -> Schedule {
        let mut schedule = Schedule::empty(self.time());
        schedule.cards = self.cards.iter().map(|(head, _)| head.clone()).collect();
        schedule
            .cards
            .sort_by_key(|head| (head.replaced.is_none(), head.replaced, head.number));
        schedule.publications = self.publications.clone();
        schedule.publications.sort_by_key(|one| one.since);
        schedule
    }

    /// Adds a card, or makes one that is there as this one.
    fn put(&mut self, new: &NewCard) -> Result<(), StoreError> {
        let revision = &new.card.revision;
        let mut cards = self.cards.iter_mut();
        let Some((head, kept)) = cards.find(|(_, kept)| kept.card.revision == *revision) else {
            let head = CardHead {
                number: i64::try_from(self.cards.len()).unwrap() + 1,
                revision: revision.as_str().into(),
                name: new.card.name.as_str().into(),
                title: new.title.as_str().into(),
                effective_time: new.effective_time,
                origin: new.origin,
                replaced: None,
            };
            self.cards.push((head, new.clone()));
            return Ok(());
        };
        if kept.card != new.card {
            return Err(StoreError::Unavailable(Unavailable {
                operation: "write",
                cause: format!("another rate card was published as revision {revision}"),
            }));
        }
        (head.origin, head.replaced) = (new.origin, None);
        *kept = new.clone();
        Ok(())
    }

    fn remove(&mut self, revision: &str, withdrawn: bool) {
        let time = self.time();
        for one in &mut self.publications {
            if *one.revision == *revision && one.removed.is_none() && one.since > time {
                one.removed = Some(Removed { time, withdrawn });
            }
        }
    }
}

impl MemoryRateCards {
    /// Its clock stands at that time from now on.
    pub fn set_time(&self, time: Timestamp) {
        let mut kept = self.kept.lock().unwrap();
        (kept.now, kept.stands) = (time.unix_nanos().unwrap(), true);
    }

    fn check(&self) -> Result<(), Unavailable> {
        self.broken.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut Kept) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.check()?;
        let mut kept = self.kept.lock().unwrap();
        let mut after = kept.clone();
        after.now += i64::from(!after.stands);
        let answer = change(&mut after)?;
        if (&after.cards, &after.publications) != (&kept.cards, &kept.publications) {
            *kept = after;
            self.changes.send_replace(());
        }
        Ok(answer)
    }
}

impl RateCardStore for MemoryRateCards {
    fn publish(&self, cards: Vec<NewCard>) -> CardsChange<'_, ()> {
        let changed = self.change(|kept| {
            let names = cards.iter().map(|new| new.card.name.as_str());
            kept.schedule().check_files(names)?;
            let now = kept.time();
            for (head, _) in &mut kept.cards {
                let stays = cards.iter().any(|new| *new.card.revision == *head.revision);
                if head.origin != Origin::Published && !stays {
                    head.replaced.get_or_insert(now);
                }
            }
            cards.iter().try_for_each(|new| kept.put(new))
        });
        Box::pin(async move { changed })
    }

    fn publish_one(&self, new: NewCard, _by: Option<KeyId>) -> CardsChange<'_, Placed> {
        let changed = self.change(|kept| {
            let placed = kept.schedule().publish(&new.publication(), kept.time())?;
            if !placed.unchanged {
                if let Some(other) = &placed.replaces {
                    kept.remove(other, false);
                }
                kept.put(&new)?;
                kept.publications.push(Publication {
                    revision: new.card.revision.as_str().into(),
                    name: new.card.name.as_str().into(),
                    effective_time: new.effective_time,
                    published: placed.published,
                    since: placed.since,
                    removed: None,
                });
            }
            Ok(placed)
        });
        Box::pin(async move { changed })
    }

    fn withdraw(&self, revision: Box<str>, _by: Option<KeyId>) -> CardsChange<'_, ()> {
        let changed = self.change(|kept| {
            if kept.schedule().withdraw(&revision, kept.time())? {
                kept.remove(&revision, true);
            }
            Ok(())
        });
        Box::pin(async move { changed })
    }

    fn find(&self, revisions: Vec<Box<str>>) -> CardsAnswer<'_, Vec<PublishedCard>> {
        Box::pin(async move {
            self.lookups.fetch_add(1, Ordering::Relaxed);
            // Others get their turn meanwhile.
            tokio::task::yield_now().await;
            self.check()?;
            let kept = self.kept.lock().unwrap();
            let schedule = kept.schedule();
            let ends = schedule.ends();
            let asked = |head: &CardHead| revisions.contains(&head.revision);
            let found = kept.cards.iter().filter(|(head, _)| asked(head));
            let found = found.map(|(head, new)| PublishedCard {
                card: new.card.clone(),
                replaced: match head.origin {
                    Origin::Published => ends[&*head.revision],
                    _ => head.replaced,
                },
            });
            Ok(found.collect())
        })
    }

    fn text(&self, revision: Box<str>) -> CardsAnswer<'_, Option<String>> {
        Box::pin(async move {
            self.check()?;
            let kept = self.kept.lock().unwrap();
            let mut cards = kept.cards.iter();
            let card = cards.find(|(head, _)| head.revision == revision);
            Ok(card.map(|(_, new)| new.toml.clone()))
        })
    }

    fn list(&self) -> CardsAnswer<'_, Schedule> {
        Box::pin(async move {
            self.check()?;
            Ok(self.kept.lock().unwrap().schedule())
        })
    }

    fn changes(&self) -> Changes {
        self.changes.subscribe()
    }
}
