//! Published rate cards in the data file.
//!
//! The writer's thread publishes, between two groups: a second connection that writes would
//! wait for the writer's transactions, and the writer for it. Reads have a connection of
//! their own and run on a thread for blocking work.

mod table;

use std::sync::mpsc::TrySendError;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{oneshot, watch};

use super::group::LOCKED;
use super::journal::StorageError;
use super::open::BUSY_TIMEOUT;
use super::writer::Writer;
use super::{Job, SqliteStore, Submitted};
use crate::domain::Refusal;
use crate::domain::clock::ClockNotBelieved;
use crate::domain::schedule::{Placed, Schedule};
use crate::store::cards::{CardsAnswer, CardsChange, NewCard, PublishedCard, RateCardStore};
use crate::store::{Changes, StoreError, Unavailable};

pub(super) use table::{apply, each};

/// How often to try again while another program is writing to the file, or the writer's
/// queue is full.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// The connection that reads; None once the store is closing.
pub(super) type Reader = Arc<Mutex<Option<Connection>>>;

/// Closes the connection that reads, once no read uses it.
pub(super) fn close(reader: &Reader) {
    *reader.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

/// What is to change about rate cards.
pub(super) enum Change {
    /// Exactly these cards of files are in force.
    Files(Vec<NewCard>),
    /// A card is published.
    One(NewCard),
    /// The card of this revision is withdrawn.
    Withdraw(Box<str>),
}

impl Change {
    /// Whether it is dated by the clock, so that a clock that is not believed forbids it.
    pub(super) const fn is_dated(&self) -> bool {
        match self {
            // A server starts, and follows its files, whatever its clock says.
            Self::Files(_) => false,
            Self::One(_) | Self::Withdraw(_) => true,
        }
    }
}

/// A request to the writer to change rate cards.
pub(super) struct Publish {
    pub(super) change: Arc<Change>,
    changes: watch::Sender<()>,
    answer: oneshot::Sender<Changed>,
}

/// The outcome of a change. Where a card was published, with its place in the schedule.
pub(super) enum Changed {
    Yes(Option<Placed>),
    /// It was so already.
    No(Option<Placed>),
    Refused(Box<Refusal>),
    NotBelieved(ClockNotBelieved),
    Failed(Unavailable),
    /// Another program is writing to the file: it is worth another try.
    Locked,
}

impl Changed {
    pub(super) const fn failed(cause: String) -> Self {
        let operation = "write";
        Self::Failed(Unavailable { operation, cause })
    }
}

impl Publish {
    /// Notifies those who follow the rate cards, then answers.
    pub(super) fn answer(self, changed: Changed) {
        if matches!(changed, Changed::Yes(_)) {
            self.changes.send_replace(());
        }
        // Whoever asked may be gone.
        let _ = self.answer.send(changed);
    }
}

impl SqliteStore {
    /// Has the writer do it, and tries again while another program is writing to the file.
    async fn change_cards(&self, change: Change) -> Result<Option<Placed>, StoreError> {
        let (change, began) = (Arc::new(change), Instant::now());
        loop {
            match self.change_once(Arc::clone(&change)).await {
                Changed::Yes(placed) | Changed::No(placed) => return Ok(placed),
                Changed::Refused(refusal) => return Err(StoreError::Refused(*refusal)),
                Changed::NotBelieved(not) => return Err(not.into()),
                Changed::Failed(unavailable) => return Err(unavailable.into()),
                Changed::Locked if began.elapsed() < BUSY_TIMEOUT => {}
                Changed::Locked => {
                    return Err(StoreError::Unavailable(Unavailable {
                        operation: "write",
                        cause: LOCKED.to_owned(),
                    }));
                }
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }

    /// Has the writer do it once.
    async fn change_once(&self, change: Arc<Change>) -> Changed {
        let stopped = || Changed::failed("the writer has stopped".to_owned());
        let Some(jobs) = &self.jobs else {
            return stopped();
        };
        let (answer, changed) = oneshot::channel();
        let changes = self.card_changes.clone();
        let job = Job::Cards(Publish {
            change,
            changes,
            answer,
        });
        self.admission.reads.add(1);
        let at = Instant::now();
        let unsent = match jobs.try_send(Submitted { job, at }) {
            Ok(()) => return changed.await.unwrap_or_else(|_| stopped()),
            Err(TrySendError::Full(_)) => Changed::Locked,
            Err(TrySendError::Disconnected(_)) => stopped(),
        };
        self.admission.reads.leave(1);
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
    fn publish(&self, cards: Vec<NewCard>) -> CardsChange<'_, ()> {
        Box::pin(async move {
            self.change_cards(Change::Files(cards)).await?;
            Ok(())
        })
    }

    fn publish_one(&self, card: NewCard) -> CardsChange<'_, Placed> {
        Box::pin(async move {
            let placed = self.change_cards(Change::One(card)).await?;
            placed.ok_or_else(|| {
                StoreError::Unavailable(Unavailable {
                    operation: "write",
                    cause: "the writer did not say when the card is in force".to_owned(),
                })
            })
        })
    }

    fn withdraw(&self, revision: Box<str>) -> CardsChange<'_, ()> {
        Box::pin(async move {
            self.change_cards(Change::Withdraw(revision)).await?;
            Ok(())
        })
    }

    fn find(&self, revisions: Vec<Box<str>>) -> CardsAnswer<'_, Vec<PublishedCard>> {
        let now = self.clock.now();
        Box::pin(self.read_cards(move |connection| table::find(connection, &revisions, now)))
    }

    fn text(&self, revision: Box<str>) -> CardsAnswer<'_, Option<String>> {
        Box::pin(self.read_cards(move |connection| table::text(connection, &revision)))
    }

    fn list(&self) -> CardsAnswer<'_, Schedule> {
        let now = self.clock.now();
        Box::pin(self.read_cards(move |connection| table::schedule(connection, None, now)))
    }

    fn changes(&self) -> Changes {
        self.card_changes.subscribe()
    }
}

fn failed(operation: &'static str, error: &rusqlite::Error) -> Unavailable {
    Unavailable {
        operation,
        cause: error.to_string(),
    }
}

impl Writer {
    /// Changes rate cards, between two groups.
    pub(super) fn publish_cards(&mut self, publish: Publish) {
        let now = match self.clock.believed() {
            Err(not) if publish.change.is_dated() => {
                return publish.answer(Changed::NotBelieved(not));
            }
            // From now on, for whoever reads the same clock.
            Ok(now) if publish.change.is_dated() => now,
            _ => self.last_time.max(self.clock.now()),
        };
        let changed = match (self.file.loss(), self.ledger.commit_checkpointed()) {
            (Some(loss), _) => Changed::failed(loss.description().to_owned()),
            // If that fails, the change fails with the same cause.
            (None, _) => {
                let connection = &mut self.ledger.journal.connection;
                apply(connection, &publish.change, now)
            }
        };
        let changed = match (changed, self.check_path()) {
            (Changed::Yes(_) | Changed::No(_), Err(StorageError(cause))) => Changed::failed(cause),
            (changed, _) => changed,
        };
        publish.answer(changed);
    }
}
