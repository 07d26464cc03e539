//! A store of rate cards in memory.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use creditd::app::card_file::{LoadedCard, load};
use creditd::domain::Timestamp;
use creditd::store::cards::{CardsAnswer, PublishedCard, RateCardStore, StoredCard};
use creditd::store::{Changes, Unavailable};
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
    cards: Mutex<Vec<PublishedCard>>,
    changes: watch::Sender<()>,
    clock: AtomicUsize,
    /// How often cards were looked up.
    pub lookups: AtomicUsize,
    /// Fails what it is asked from now on.
    pub broken: Mutex<Option<Unavailable>>,
}

impl MemoryRateCards {
    fn check(&self) -> Result<(), Unavailable> {
        self.broken.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    fn try_publish(&self, new: Vec<StoredCard>) -> Result<(), Unavailable> {
        self.check()?;
        let mut cards = self.cards.lock().unwrap();
        let mut after = cards.clone();
        let now = self.clock.load(Ordering::Relaxed) + 1;
        let now = Timestamp::from_unix_nanos(i64::try_from(now).unwrap());
        for known in &mut after {
            match new.iter().find(|card| card.revision == known.card.revision) {
                Some(card) if card.content != known.card.content => {
                    return Err(Unavailable {
                        operation: "write",
                        cause: format!(
                            "another rate card was published as revision {}",
                            card.revision
                        ),
                    });
                }
                Some(_) => known.replaced = None,
                None => _ = known.replaced.get_or_insert(now),
            }
        }
        for card in new {
            if !after
                .iter()
                .any(|known| known.card.revision == card.revision)
            {
                let replaced = None;
                after.push(PublishedCard { card, replaced });
            }
        }
        if *cards != after {
            after.sort_by_key(|known| (known.replaced.is_none(), known.replaced));
            *cards = after;
            self.clock.fetch_add(1, Ordering::Relaxed);
            self.changes.send_replace(());
        }
        Ok(())
    }
}

impl RateCardStore for MemoryRateCards {
    fn publish(&self, cards: Vec<StoredCard>) -> CardsAnswer<'_, ()> {
        Box::pin(async move { self.try_publish(cards) })
    }

    fn find(&self, revisions: Vec<Box<str>>) -> CardsAnswer<'_, Vec<PublishedCard>> {
        Box::pin(async move {
            self.lookups.fetch_add(1, Ordering::Relaxed);
            // Others get their turn meanwhile.
            tokio::task::yield_now().await;
            self.check()?;
            let cards = self.cards.lock().unwrap();
            let asked = |known: &&PublishedCard| {
                let revision = &known.card.revision;
                revisions.iter().any(|asked| **asked == **revision)
            };
            Ok(cards.iter().filter(asked).cloned().collect())
        })
    }

    fn list(&self) -> CardsAnswer<'_, Vec<PublishedCard>> {
        Box::pin(async move {
            self.check()?;
            Ok(self.cards.lock().unwrap().clone())
        })
    }

    fn changes(&self) -> Changes {
        self.changes.subscribe()
    }
}
