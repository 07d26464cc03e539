//! Published rate cards in the data file.
//!
//! The writer's thread publishes, between two groups: a second connection that writes would
//! wait for the writer's transactions, and the writer for it. Reads have a connection of
//! their own and run on a thread for blocking work.

use std::sync::atomic::Ordering;
use std::sync::mpsc::TrySendError;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};
use tokio::sync::{oneshot, watch};

use super::group::{LOCKED, is_busy};
use super::open::BUSY_TIMEOUT;
use super::times::At;
use super::{Job, SqliteStore};
use crate::domain::Timestamp;
use crate::store::cards::{CardsAnswer, PublishedCard, RateCardStore, StoredCard};
use crate::store::{Changes, Unavailable};

/// How often to try again while another program is writing to the file, or the writer's
/// queue is full.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// The connection that reads; None once the store is closing.
pub(super) type Reader = Arc<Mutex<Option<Connection>>>;

/// Closes the connection that reads, once no read uses it.
pub(super) fn close(reader: &Reader) {
    *reader.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

/// A request to the writer to publish rate cards.
pub(super) struct Publish {
    pub(super) cards: Arc<[StoredCard]>,
    changes: watch::Sender<()>,
    answer: oneshot::Sender<Published>,
}

/// The outcome of publishing.
pub(super) enum Published {
    Changed,
    /// The same cards were in force.
    Unchanged,
    Failed(Unavailable),
    /// Another program is writing to the file: it is worth another try.
    Locked,
}

impl Published {
    pub(super) const fn failed(cause: String) -> Self {
        let operation = "write";
        Self::Failed(Unavailable { operation, cause })
    }
}

impl Publish {
    /// Notifies those who follow the rate cards, then answers.
    pub(super) fn answer(self, published: Published) {
        if matches!(published, Published::Changed) {
            self.changes.send_replace(());
        }
        // Whoever asked may be gone.
        let _ = self.answer.send(published);
    }
}

impl SqliteStore {
    /// Has the writer publish the cards once.
    async fn publish_once(&self, cards: Arc<[StoredCard]>) -> Published {
        let stopped = || Published::failed("the writer has stopped".to_owned());
        let Some(jobs) = &self.jobs else {
            return stopped();
        };
        let (answer, published) = oneshot::channel();
        let changes = self.card_changes.clone();
        let job = Job::Cards(Publish {
            cards,
            changes,
            answer,
        });
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let unsent = match jobs.try_send(job) {
            Ok(()) => return published.await.unwrap_or_else(|_| stopped()),
            Err(TrySendError::Full(_)) => Published::Locked,
            Err(TrySendError::Disconnected(_)) => stopped(),
        };
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        unsent
    }

    async fn read_cards<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Unavailable> {
        let reader = Arc::clone(&self.cards);
        let read = tokio::task::spawn_blocking(move || {
            let connection = reader.lock().unwrap_or_else(PoisonError::into_inner);
            let connection = connection.as_ref().ok_or_else(|| Unavailable {
                operation: "read",
                cause: "the store is closing".to_owned(),
            })?;
            query(connection).map_err(|error| failed("read", &error))
        });
        read.await.unwrap_or_else(|error| {
            Err(Unavailable {
                operation: "read",
                cause: error.to_string(),
            })
        })
    }
}

impl RateCardStore for SqliteStore {
    fn publish(&self, cards: Vec<StoredCard>) -> CardsAnswer<'_, ()> {
        let cards: Arc<[StoredCard]> = cards.into();
        Box::pin(async move {
            let began = Instant::now();
            loop {
                match self.publish_once(Arc::clone(&cards)).await {
                    Published::Changed | Published::Unchanged => return Ok(()),
                    Published::Failed(unavailable) => return Err(unavailable),
                    Published::Locked if began.elapsed() < BUSY_TIMEOUT => {}
                    Published::Locked => {
                        return Err(Unavailable {
                            operation: "write",
                            cause: LOCKED.to_owned(),
                        });
                    }
                }
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        })
    }

    fn find(&self, revisions: Vec<Box<str>>) -> CardsAnswer<'_, Vec<PublishedCard>> {
        Box::pin(self.read_cards(move |connection| find(connection, &revisions)))
    }

    fn list(&self) -> CardsAnswer<'_, Vec<PublishedCard>> {
        Box::pin(self.read_cards(list))
    }

    fn changes(&self) -> Changes {
        self.card_changes.subscribe()
    }
}

/// The columns that [`published_card`] reads.
macro_rules! select_cards {
    ($rest:literal) => {
        concat!(
            "SELECT revision, name, content, replaced FROM rate_cards ",
            $rest
        )
    };
}

fn published_card(row: &Row<'_>) -> rusqlite::Result<PublishedCard> {
    Ok(PublishedCard {
        card: StoredCard {
            revision: row.get(0)?,
            name: row.get(1)?,
            content: row.get(2)?,
        },
        replaced: row.get::<_, Option<At>>(3)?.map(|At(time)| time),
    })
}

fn find(connection: &Connection, revisions: &[Box<str>]) -> rusqlite::Result<Vec<PublishedCard>> {
    let mut statement = connection.prepare_cached(select_cards!("WHERE revision = ?1"))?;
    let cards = revisions.iter().map(|revision| {
        let card = statement.query_row([revision], published_card);
        card.optional().transpose()
    });
    cards.flatten().collect()
}

/// Every card of a file, in the order that the contract names.
pub(super) fn list(connection: &Connection) -> rusqlite::Result<Vec<PublishedCard>> {
    connection
        .prepare(select_cards!(
            "ORDER BY replaced IS NULL, replaced, card_id"
        ))?
        .query_map([], published_card)?
        .collect()
}

/// Puts exactly these cards in force, in a transaction of its own.
pub(super) fn publish(
    connection: &mut Connection,
    cards: &[StoredCard],
    now: Timestamp,
) -> Published {
    match try_publish(connection, cards, now) {
        Ok(published) => published,
        Err(error) if is_busy(&error) => Published::Locked,
        Err(error) => Published::Failed(failed("write", &error)),
    }
}

fn try_publish(
    connection: &mut Connection,
    cards: &[StoredCard],
    now: Timestamp,
) -> rusqlite::Result<Published> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut published = Published::Unchanged;
    for revision in in_force(&transaction)? {
        if !cards.iter().any(|card| card.revision == revision) {
            set_replaced(&transaction, &revision, Some(now))?;
            published = Published::Changed;
        }
    }
    for card in cards {
        let known = transaction
            .prepare_cached(
                "SELECT content = ?2, replaced IS NULL FROM rate_cards WHERE revision = ?1",
            )?
            .query_row([&card.revision, &card.content], |row| {
                Ok((row.get::<_, bool>(0)?, row.get::<_, bool>(1)?))
            });
        match known.optional()? {
            Some((true, true)) => continue,
            Some((true, false)) => set_replaced(&transaction, &card.revision, None)?,
            Some((false, _)) => {
                // The transaction is rolled back.
                return Ok(Published::failed(format!(
                    "another rate card was published as revision {}",
                    card.revision
                )));
            }
            None => {
                transaction.execute(
                    "INSERT INTO rate_cards (revision, name, first_published, content)
                     VALUES (?1, ?2, ?3, ?4)",
                    params![card.revision, card.name, At(now), card.content],
                )?;
            }
        }
        published = Published::Changed;
    }
    transaction.commit()?;
    Ok(published)
}

fn in_force(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare_cached("SELECT revision FROM rate_cards WHERE replaced IS NULL")?
        .query_map([], |row| row.get(0))?
        .collect()
}

fn set_replaced(
    connection: &Connection,
    revision: &str,
    replaced: Option<Timestamp>,
) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare_cached("UPDATE rate_cards SET replaced = ?1 WHERE revision = ?2")?;
    statement.execute(params![replaced.map(At), revision])?;
    Ok(())
}

fn failed(operation: &'static str, error: &rusqlite::Error) -> Unavailable {
    Unavailable {
        operation,
        cause: error.to_string(),
    }
}
