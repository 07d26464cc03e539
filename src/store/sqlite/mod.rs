//! The embedded store: one SQLite file, one writer.
//!
//! The writer's thread owns the state in memory and the connection that writes. It takes
//! queued commands as one group, batches in slices, decides them one after another, writes their entries in one
//! transaction, and answers after the commit (group commit: one fsync for many commands).
//! The same thread answers reads between two groups, so that they see exactly what is
//! durable. Reads of the past have threads of their own.

mod accounts;
mod admin;
mod admission;
mod archive;
mod audit;
mod backup;
mod cache;
mod cards;
mod chain;
mod charges;
mod clock;
mod columns;
mod dirty;
mod erase;
mod file_watch;
mod filter;
mod follow;
mod group;
mod history;
mod journal;
mod keys;
mod ledger;
mod open;
mod open_holds;
mod openings;
mod overload;
mod pace;
mod prefetch;
mod read;
mod replies;
mod requests;
mod rows;
mod settings;
mod slices;
mod start;
mod status_file;
mod text;
mod times;
mod trail;
mod wal;
mod wal_match;
mod watchers;
mod write_access;
mod writer;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::watch;

use self::admission::Admission;
use self::read::{Query, Read};
use self::settings::{KnownSettings, Settings};
use super::metrics::StoreMetrics;
use super::{
    AccountSnapshot, Answer, Changes, Clock, EntryPage, EntryQuery, NameQuery, Pending, Promise,
    Queued, Store, StoreError, Unavailable, Written,
};
use crate::domain::ledger::{Command, Hold, HoldId, Named};
use crate::domain::{AccountName, Timestamp};

pub use archive::{ArchiveReport, ArchiveStep, Archiving, archive, plan_archive};
pub use audit::{ArchiveProof, AuditReport, Reprice, audit, audit_with_archives};
pub use backup::backup;
pub use chain::head::{JournalHead, NoHead};
pub use erase::{Erasure, ErasureReport, erase};
pub use follow::{
    BEHIND_RESET_BYTES_MAX, CLOCK_BEHIND_MAX, FULL_HOLD_MAX, FULL_WAL_BYTES_MAX, FollowReport,
    FollowSettings, Generation, PENDING_BYTES_MAX, Restored, follow, list_generations, restore,
};
pub use history::SCAN_SLICE_TIME_MAX;
pub use open::OpenError;
pub use overload::{BATCH_DELAY_TARGET, OVERLOAD_INTERVAL, OVERLOADED_ITEMS_MAX, QUEUE_WRITES_MIN};
pub use pace::{DELAY_TARGET_MIN, SLICE_MAX, SLICE_MIN};
pub use status_file::StatusFile;
pub use wal_match::wal_bytes;
pub use writer::GROUP_LENGTH_MAX;

/// How many jobs may be queued for the writer.
pub const QUEUE_LENGTH_MAX: usize = 16_384;
/// How many of them may be single writes: the others always have room too. While there are more than
/// can be done, fewer may wait.
pub const QUEUE_WRITES_MAX: usize = 12_288;
/// How many items batches may have, and how many reads there may be. A batch is always accepted
/// where no other one waits.
pub const QUEUE_COMMANDS_MAX: usize = 65_536;

/// Limits of the memory, and for how long request_ids are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SqliteSettings {
    /// How many accounts may be in memory; the file has all of them.
    pub accounts_max: usize,
    /// For how many hours a request_id is known at least.
    pub request_hours: u32,
    /// For how many days the request_id of a grant, refund or revocation is known at least.
    pub request_days_credits: u32,
    /// How much memory the filters of request_ids may take, two bytes a request_id. Lookups of
    /// request_ids without a filter read the file.
    pub request_filter_bytes_max: usize,
    /// How many request_ids fill the memtable, which becomes one sorted run in the file.
    pub request_run_length: usize,
}

impl Default for SqliteSettings {
    fn default() -> Self {
        Self {
            accounts_max: 200_000,
            request_hours: 72,
            request_days_credits: 90,
            request_filter_bytes_max: 256 << 20,
            request_run_length: 1 << 20,
        }
    }
}

/// A request to the writer.
enum Job {
    Write(Command, Promise<Box<Written>>),
    Batch(Vec<Command>, Promise<Vec<Answer<Written>>>),
    Read(Read),
    Settings(Vec<AccountName>, Promise<Vec<Settings>>),
    Names(NameQuery, Promise<Vec<AccountName>>),
    Admin(admin::AdminJob),
}

impl Job {
    /// How many commands and reads it counts as.
    fn length(&self) -> usize {
        match self {
            Self::Write(..) | Self::Read(_) | Self::Names(..) | Self::Admin(_) => 1,
            Self::Batch(commands, _) => commands.len(),
            Self::Settings(names, _) => names.len(),
        }
    }

    fn refuse(self, refusal: StoreError) {
        match self {
            Self::Write(_, promise) => drop(promise.send(Err(refusal))),
            Self::Batch(_, promise) => drop(promise.send(Err(refusal))),
            Self::Read(read) => read.refuse(refusal),
            Self::Settings(_, promise) => drop(promise.send(Err(refusal))),
            Self::Names(_, promise) => drop(promise.send(Err(refusal))),
            // Dropping it closes the channel of its answer.
            Self::Admin(_) => {}
        }
    }
}

/// A job, and when it was queued.
struct Submitted {
    job: Job,
    at: Instant,
}

/// The embedded store.
pub struct SqliteStore {
    /// None once the store is closing.
    jobs: Option<SyncSender<Submitted>>,
    /// What is queued for the writer.
    admission: Arc<Admission>,
    metrics: Arc<StoreMetrics>,
    /// Counts open holds, and ends.
    open_holds: Option<JoinHandle<()>>,
    writer: Option<JoinHandle<()>>,
    /// What readers need not ask the writer for.
    known_settings: Arc<KnownSettings>,
    /// Reads rate cards and keys.
    admin: admin::Reader,
    clock: Arc<dyn Clock>,
    /// Notified of each change of the rate cards in force.
    card_changes: watch::Sender<()>,
    /// Notified of each change of the keys.
    key_changes: watch::Sender<()>,
    closing: Arc<AtomicBool>,
    writable: watch::Receiver<bool>,
    /// Prevents a second server from opening the file. It is dropped last, since closing any
    /// descriptor of the file releases SQLite's locks of this process on it.
    _lock: open::Lock,
}

impl SqliteStore {
    /// Opens the file, or creates it.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the file and what to do.
    pub fn open(
        path: &Path,
        clock: Arc<dyn Clock>,
        settings: SqliteSettings,
    ) -> Result<Self, OpenError> {
        let opened = open::open(path)?;
        let history = (0..history::THREADS).map(|_| opened.another_connection());
        let history = history.collect::<Result<_, _>>()?;
        let admin = opened.another_connection()?;
        let counting = opened.another_connection()?;
        let closing = Arc::new(AtomicBool::new(false));
        let writable = watch::Sender::new(true);
        let history = history::History::start(history, &closing)
            .map_err(|error| OpenError::other(path, &error))?;
        let checkpointer = opened.another_connection()?;
        let metrics: Arc<StoreMetrics> = Arc::default();
        let shared = (Arc::clone(&closing), Arc::clone(&metrics));
        let wal = wal::Wal::start(&opened.connection, checkpointer, shared)
            .map_err(|error| OpenError::other(path, &error))?;
        let file = Arc::clone(&opened.lock.0);
        let file = file_watch::FileWatch::new(path, file, &opened.connection)
            .map_err(|error| OpenError::other(path, &error))?;
        let known_settings: Arc<KnownSettings> = Arc::default();
        let started = writer::Writer::open(
            opened.connection,
            (history, wal, file),
            writer::WriterContext {
                clock: Arc::clone(&clock),
                closing: Arc::clone(&closing),
                writable: writable.clone(),
                known_settings: Arc::clone(&known_settings),
                metrics: Arc::clone(&metrics),
            },
            settings,
        );
        let writer =
            started.map_err(|journal::StorageError(cause)| OpenError::damaged(path, cause))?;
        let admission = Arc::clone(&writer.admission);
        let open_holds = open_holds::start(
            counting,
            writer.ledger.next_position.previous(),
            Arc::clone(&metrics),
            Arc::clone(&closing),
        )
        .map_err(|error| OpenError::other(path, &error))?;
        let (jobs, queue) = sync_channel(QUEUE_LENGTH_MAX);
        let handle = std::thread::Builder::new()
            .name("ledger-writer".to_owned())
            .spawn(move || writer.run(&queue))
            .map_err(|error| OpenError::other(path, &error))?;
        Ok(Self {
            jobs: Some(jobs),
            admission,
            metrics,
            open_holds: Some(open_holds),
            writer: Some(handle),
            known_settings,
            admin: Arc::new(Mutex::new(Some(admin))),
            clock,
            card_changes: watch::Sender::new(()),
            key_changes: watch::Sender::new(()),
            closing,
            writable: writable.subscribe(),
            _lock: opened.lock,
        })
    }

    /// Queues a job for the writer, or refuses it at once.
    fn submit(&self, job: Job, at: Instant) {
        let stopped = StoreError::Unavailable(Unavailable {
            operation: "write",
            cause: "the writer has stopped".to_owned(),
        });
        let Some(jobs) = &self.jobs else {
            return job.refuse(stopped);
        };
        let busy = |limit, queued| StoreError::Busy { limit, queued };
        let length = job.length();
        if let Err(limit) = self.admission.of(&job).enter(length) {
            // If the writer has ended, the queue stays full.
            let ended = self.writer.as_ref().is_none_or(JoinHandle::is_finished);
            return job.refuse(match ended {
                true => stopped,
                false => busy(limit, Queued::Commands),
            });
        }
        let (job, refusal) = match jobs.try_send(Submitted { job, at }) {
            Ok(()) => return,
            Err(TrySendError::Disconnected(Submitted { job, .. })) => (job, stopped),
            Err(TrySendError::Full(Submitted { job, .. })) => {
                (job, busy(QUEUE_LENGTH_MAX, Queued::Jobs))
            }
        };
        self.admission.of(&job).leave(length);
        job.refuse(refusal);
    }

    fn read<T>(&self, name: AccountName, query: impl FnOnce(Promise<T>) -> Query) -> Pending<T> {
        let (promise, pending) = Pending::to_read();
        let query = query(promise);
        self.submit(Job::Read(Read { name, query }), pending.since());
        pending
    }
}

impl Store for SqliteStore {
    fn write(&self, command: Command) -> Pending<Box<Written>> {
        let (promise, pending) = Pending::new();
        self.submit(Job::Write(command, promise), pending.since());
        pending
    }

    fn write_batch(&self, commands: Vec<Command>) -> Pending<Vec<Answer<Written>>> {
        let (promise, pending) = Pending::new();
        self.submit(Job::Batch(commands, promise), pending.since());
        pending
    }

    fn known_settings(&self, name: &AccountName) -> super::KnownSettings {
        let known = self.known_settings.get(name);
        known.map_or(super::KnownSettings::None, super::KnownSettings::Current)
    }

    fn settings(&self, names: Vec<AccountName>) -> Pending<Vec<Settings>> {
        let (promise, pending) = Pending::to_read();
        self.submit(Job::Settings(names, promise), pending.since());
        pending
    }

    fn account(&self, name: AccountName, as_of: Option<Timestamp>) -> Pending<AccountSnapshot> {
        self.read(name, |promise| Query::Account(as_of, promise))
    }

    fn hold(&self, name: AccountName, hold: Named<HoldId>) -> Pending<Arc<Hold>> {
        self.read(name, |promise| Query::Hold(hold, promise))
    }

    fn entries(&self, name: AccountName, query: EntryQuery) -> Pending<EntryPage> {
        self.read(name, |promise| Query::Entries(query, promise))
    }

    fn account_names(&self, query: NameQuery) -> Pending<Vec<AccountName>> {
        let (promise, pending) = Pending::to_read();
        self.submit(Job::Names(query, promise), pending.since());
        pending
    }

    fn watch(&self, name: AccountName) -> Pending<Changes> {
        self.read(name, Query::Watch)
    }

    fn refuses_writes(&self) -> Option<(usize, Queued)> {
        let limit = self.admission.writes.refuses()?;
        Some((limit, Queued::Commands))
    }

    fn writable(&self) -> watch::Receiver<bool> {
        self.writable.clone()
    }

    fn metrics(&self) -> Arc<StoreMetrics> {
        Arc::clone(&self.metrics)
    }

    fn queued_commands(&self) -> usize {
        self.admission.queued_commands()
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        // The connection of the checkpoint thread must be closed last: it knows whether the
        // -wal may be checkpointed.
        admin::close(&self.admin);
        // Without senders the writer finishes the writes that wait, and stops.
        self.closing.store(true, Ordering::Relaxed);
        self.jobs = None;
        if let Some(open_holds) = self.open_holds.take()
            && open_holds.join().is_err()
        {
            tracing::error!("the count of open holds ended by a panic");
        }
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the ledger's writer ended by a panic");
        }
    }
}
