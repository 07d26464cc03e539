//! What administrators change in the data file: rate cards and keys.
//!
//! The writer's thread does it, between two groups: a second connection that writes would
//! wait for the writer's transactions, and the writer for it. Reads have a connection of
//! their own and run on a thread for blocking work.

use std::sync::mpsc::TrySendError;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{oneshot, watch};

use super::group::{LOCKED, is_busy};
use super::journal::StorageError;
use super::open::BUSY_TIMEOUT;
use super::writer::Writer;
use super::{Job, SqliteStore, Submitted};
use crate::domain::clock::ClockNotBelieved;
use crate::domain::{Refusal, Timestamp};
use crate::store::{StoreError, Unavailable};

/// How often to try again while another program is writing to the file, or the writer's
/// queue is full.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// The connection that reads; None once the store is closing.
pub(super) type Reader = Arc<Mutex<Option<Connection>>>;

/// Closes the connection that reads, once no read uses it.
pub(super) fn close(reader: &Reader) {
    *reader.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

/// Why nothing was changed.
pub(super) enum Unchanged {
    Sqlite(rusqlite::Error),
    Refused(Box<Refusal>),
    NotBelieved(ClockNotBelieved),
    Failed(String),
    /// Another program is writing to the file, or the queue is full: it is worth another try.
    Locked,
}

impl From<rusqlite::Error> for Unchanged {
    fn from(error: rusqlite::Error) -> Self {
        match is_busy(&error) {
            true => Self::Locked,
            false => Self::Sqlite(error),
        }
    }
}

impl From<Refusal> for Unchanged {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

impl Unchanged {
    /// None where it is worth another try.
    fn into_error(self) -> Option<StoreError> {
        let failed = |cause| {
            let operation = "write";
            StoreError::Unavailable(Unavailable { operation, cause })
        };
        match self {
            Self::Sqlite(error) => Some(failed(error.to_string())),
            Self::Refused(refusal) => Some(StoreError::Refused(*refusal)),
            Self::NotBelieved(not) => Some(not.into()),
            Self::Failed(cause) => Some(failed(cause)),
            Self::Locked => None,
        }
    }
}

/// What a change comes to, and whether anything is another than before.
pub(super) struct Changed<T> {
    pub(super) answer: T,
    pub(super) is_new: bool,
}

/// A change within a transaction of its own, at a time.
pub(super) type Change<T> =
    dyn Fn(&Transaction<'_>, Timestamp) -> Result<Changed<T>, Unchanged> + Send + Sync;

/// Whether a change is dated by the clock, so that a clock that is not believed forbids it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dated {
    /// By the clock.
    ByClock,
    /// By the newest time that is known: a server starts, and follows its files, whatever its
    /// clock says.
    Anyway,
}

/// A request to the writer to change something.
pub(super) struct AdminJob {
    dated: Dated,
    work: Box<Work>,
}

/// What the writer gives: a connection and the time.
type WriterConnection<'a> = Result<(&'a mut Connection, Timestamp), Unchanged>;
/// Does the work; what it returns answers, once it is known whether the file is still there.
type Work = dyn FnOnce(WriterConnection<'_>) -> Box<Answering> + Send;
type Answering = dyn FnOnce(Result<(), StorageError>);

impl SqliteStore {
    /// Has the writer do it, and tries again while another program is writing to the file.
    /// Receivers of `changes` are notified where anything is new.
    pub(super) async fn administer<T: Send + 'static>(
        &self,
        dated: Dated,
        changes: &watch::Sender<()>,
        change: impl Fn(&Transaction<'_>, Timestamp) -> Result<Changed<T>, Unchanged>
        + Send
        + Sync
        + 'static,
    ) -> Result<T, StoreError> {
        let (change, began): (Arc<Change<T>>, _) = (Arc::new(change), Instant::now());
        loop {
            let done = self.administer_once(dated, changes.clone(), Arc::clone(&change));
            let unchanged = match done.await {
                Ok(answer) => return Ok(answer),
                Err(unchanged) => unchanged,
            };
            if let Some(error) = unchanged.into_error() {
                return Err(error);
            }
            if began.elapsed() >= BUSY_TIMEOUT {
                return Err(StoreError::Unavailable(Unavailable {
                    operation: "write",
                    cause: LOCKED.to_owned(),
                }));
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }

    async fn administer_once<T: Send + 'static>(
        &self,
        dated: Dated,
        changes: watch::Sender<()>,
        change: Arc<Change<T>>,
    ) -> Result<T, Unchanged> {
        let stopped = || Unchanged::Failed("the writer has stopped".to_owned());
        let jobs = self.jobs.as_ref().ok_or_else(stopped)?;
        let (answer, answered) = oneshot::channel();
        let work = move |connection: WriterConnection<'_>| -> Box<Answering> {
            let done =
                connection.and_then(|(connection, now)| in_transaction(connection, &*change, now));
            Box::new(move |path: Result<(), StorageError>| {
                let done = match (done, path) {
                    (Ok(_), Err(StorageError(cause))) => Err(Unchanged::Failed(cause)),
                    (done, _) => done,
                };
                if done.as_ref().is_ok_and(|changed| changed.is_new) {
                    changes.send_replace(());
                }
                // Whoever asked may be gone.
                let _ = answer.send(done.map(|changed| changed.answer));
            })
        };
        let job = Job::Admin(AdminJob {
            dated,
            work: Box::new(work),
        });
        self.admission.reads.add(1);
        let at = Instant::now();
        let unsent = match jobs.try_send(Submitted { job, at }) {
            Ok(()) => return answered.await.unwrap_or_else(|_| Err(stopped())),
            Err(TrySendError::Full(_)) => Unchanged::Locked,
            Err(TrySendError::Disconnected(_)) => stopped(),
        };
        self.admission.reads.leave(1);
        Err(unsent)
    }

    /// Reads what administrators have written.
    pub(super) async fn read_admin<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Unavailable> {
        let failed = |cause: String| Unavailable {
            operation: "read",
            cause,
        };
        let reader = Arc::clone(&self.admin);
        let read = tokio::task::spawn_blocking(move || {
            let connection = reader.lock().unwrap_or_else(PoisonError::into_inner);
            let connection = connection.as_ref();
            let connection = connection.ok_or_else(|| failed("the store is closing".to_owned()))?;
            query(connection).map_err(|error| failed(error.to_string()))
        });
        read.await
            .unwrap_or_else(|error| Err(failed(error.to_string())))
    }
}

/// Where it is not committed it is rolled back.
fn in_transaction<T>(
    connection: &mut Connection,
    change: &Change<T>,
    now: Timestamp,
) -> Result<Changed<T>, Unchanged> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let changed = change(&transaction, now)?;
    transaction.commit()?;
    Ok(changed)
}

impl Writer {
    /// Does the work, between two groups.
    pub(super) fn administer(&mut self, job: AdminJob) {
        let now = match self.clock.believed() {
            Err(not) if job.dated == Dated::ByClock => Err(Unchanged::NotBelieved(not)),
            // From now on, for whoever reads the same clock.
            Ok(now) if job.dated == Dated::ByClock => Ok(now),
            _ => Ok(self.last_time.max(self.clock.now())),
        };
        let connection = match (now, self.file.loss()) {
            (Err(unchanged), _) => Err(unchanged),
            (Ok(_), Some(loss)) => Err(Unchanged::Failed(loss.description().to_owned())),
            (Ok(now), None) => {
                // If that fails, the change fails with the same cause.
                let _ = self.ledger.commit_checkpointed();
                Ok((&mut self.ledger.journal.connection, now))
            }
        };
        let answer = (job.work)(connection);
        answer(self.check_path());
    }
}
