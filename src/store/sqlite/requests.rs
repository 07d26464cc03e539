//! The index of request_ids: a log-structured merge tree from the hash of an account and a
//! request_id to the position of the entry that answers it.
//!
//! The newest request_ids are in a memtable. A full memtable becomes immutable and is flushed:
//! a thread sorts it, and the following groups write it into the file, a piece each, as a
//! sorted run. From then on memory has only a Bloom filter of it, two bytes a request_id, by
//! which a lookup of a new request_id rarely reads the file. A run whose newest request_id
//! has expired is dropped whole.
//!
//! Grants, refunds and revocations are remembered for longer. Their request_ids are written
//! into smaller runs of their own too, which [`compaction`] merges.
//!
//! The journal has all of it: a start reads the filters, and the entries after the newest run.

mod compaction;
mod runs;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

use rusqlite::Connection;
use siphasher::sip::SipHasher13;

use self::compaction::{Compaction, Step};
use self::runs::{Runs, delete_keys, delete_run, write_row};
use super::filter::Filter;
use super::journal::{Position, StorageError};
use crate::domain::{RequestId, Timestamp};

pub(super) use self::runs::{PAIR_BYTES, Scope, SortedRun};

/// Pairs in one row of `request_keys`; a row fills a page of the file.
const ROW_KEYS: usize = 480;
/// Rows of a memtable that one group flushes. It is more than one group adds, so that a flush
/// ends before the next memtable is full.
const GROUP_ROWS: usize = 32;
/// How many request_ids a group compacts for each that it adds: more than the compactions
/// write a request_id on average, so that they keep up.
const COMPACTED_PER_NEW: usize = 16;

/// The hash of an account and a request_id.
pub(super) type Key = u64;

/// The newest request_ids, by key, and the entries that answer them.
type Memtable = HashMap<Key, Position, BuildHasherDefault<PassThroughHasher>>;

/// Passes a key through: it is a keyed hash already, so callers cannot cause collisions.
#[derive(Default)]
struct PassThroughHasher(u64);

impl Hasher for PassThroughHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

/// A key and the entry that answers it.
type Pair = (Key, Position);

/// How request_ids are hashed in this file.
#[derive(Clone, Copy)]
pub(super) struct Keys(SipHasher13);

impl Keys {
    pub(super) fn new(key: [u8; 16]) -> Self {
        Self(SipHasher13::new_with_key(&key))
    }

    /// The key of a request_id of an account.
    pub(super) fn of(self, account: i64, id: &RequestId) -> Key {
        let mut hasher = self.0;
        hasher.write_i64(account);
        hasher.write(id.as_str().as_bytes());
        hasher.finish()
    }
}

/// The index of request_ids.
pub(super) struct Requests {
    keys: Keys,
    limits: Limits,
    memtable: Memtable,
    /// Older pairs of keys that are in the memtable twice: two request_ids have one hash, or a
    /// request_id was used again after it had expired. There are hardly ever any.
    collisions: Vec<Pair>,
    /// The pairs of grants, refunds and revocations in the memtable, in order of writing.
    credits: Vec<Pair>,
    newest_time: Timestamp,
    immutable: Option<ImmutableMemtable>,
    runs: Runs,
    compaction: Option<Compaction>,
    /// Whether runs were added or dropped since a compaction was last chosen.
    runs_changed: bool,
    /// A run was found to be damaged: there are no further compactions.
    damaged: bool,
}

/// Limits of the index.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How many request_ids fill the memtable.
    pub(super) run_length: usize,
    /// For how long a request_id is known at least, in nanoseconds.
    pub(super) retention_nanos: i64,
    /// The same for grants, refunds and revocations.
    pub(super) credits_retention_nanos: i64,
    /// How much memory the filters may take.
    pub(super) filter_bytes_max: usize,
}

impl Limits {
    /// For how long the request_ids of a run are known at least, in nanoseconds.
    pub(super) const fn retention_nanos(&self, scope: Scope) -> i64 {
        match scope {
            Scope::All => self.retention_nanos,
            Scope::Credits => self.credits_retention_nanos,
        }
    }
}

/// A full memtable that is being flushed into two runs: one of all request_ids, and one of
/// those of grants, refunds and revocations, if there are any.
struct ImmutableMemtable {
    memtable: Memtable,
    collisions: Vec<Pair>,
    credits: Vec<Pair>,
    newest_time: Timestamp,
    last_position: Position,
    /// The first of the two numbers of the runs.
    first_id: i64,
    /// Receives from the thread that sorts, until it is done.
    sorting: Option<Receiver<[Sorted; 2]>>,
    /// In the order of [`Scope::BOTH`].
    sorted: Option<[Sorted; 2]>,
    /// How many pairs are in the file.
    written: usize,
}

/// The pairs of a run in the order of the file, and their filter.
struct Sorted {
    pairs: Vec<Pair>,
    filter: Filter,
}

impl Requests {
    /// Reads the runs. The entries after the newest one are noted by [`Self::insert`]. A flush
    /// or compaction that was not complete begins again.
    pub(super) fn load(
        connection: &Connection,
        key: [u8; 16],
        limits: Limits,
    ) -> Result<Self, StorageError> {
        Ok(Self {
            keys: Keys::new(key),
            memtable: Memtable::default(),
            collisions: Vec::new(),
            credits: Vec::new(),
            newest_time: Timestamp::MIN,
            immutable: None,
            runs: Runs::load(connection, limits.filter_bytes_max)?,
            compaction: None,
            runs_changed: true,
            damaged: false,
            limits,
        })
    }

    /// The key of a request_id of an account.
    pub(super) fn key(&self, account: i64, id: &RequestId) -> Key {
        self.keys.of(account, id)
    }

    /// The entries that may answer the request_id of a key, newest first. The caller compares
    /// their request_ids.
    pub(super) fn find(
        &self,
        connection: &Connection,
        key: Key,
    ) -> Result<Vec<Position>, StorageError> {
        let mut positions = Vec::new();
        let immutable = self.immutable.as_ref();
        let maps = [Some(&self.memtable), immutable.map(|f| &f.memtable)];
        let collisions = [Some(&self.collisions), immutable.map(|f| &f.collisions)];
        positions.extend(maps.into_iter().flatten().filter_map(|map| map.get(&key)));
        for (collision, id) in collisions.into_iter().flatten().flatten() {
            if *collision == key {
                positions.push(*id);
            }
        }
        self.runs.find(connection, key, &mut positions)?;
        // A request_id that was used again after it had expired has two entries: the newer one
        // answers it.
        positions.sort_unstable_by(|a, b| b.cmp(a));
        positions.dedup();
        Ok(positions)
    }

    /// How much memory the filters take.
    pub(super) fn filter_bytes(&self) -> usize {
        self.runs.filter_bytes()
    }

    /// Adds the entry that answers a request_id; `scope` says for how long.
    pub(super) fn insert(&mut self, key: Key, entry: Position, time: Timestamp, scope: Scope) {
        self.newest_time = self.newest_time.max(time);
        if let Some(other) = self.memtable.insert(key, entry) {
            self.collisions.push((key, other));
        }
        if scope == Scope::Credits {
            self.credits.push((key, entry));
        }
    }

    /// Undoes [`Self::insert`]; the newest pair must be removed first.
    pub(super) fn remove(&mut self, key: Key, entry: Position) {
        if self.credits.last() == Some(&(key, entry)) {
            self.credits.pop();
        }
        let collision = self
            .collisions
            .iter()
            .position(|(collision, _)| *collision == key);
        if self.memtable.get(&key) == Some(&entry) {
            match collision {
                Some(position) => {
                    let (_, other) = self.collisions.swap_remove(position);
                    self.memtable.insert(key, other);
                }
                None => {
                    self.memtable.remove(&key);
                }
            }
        } else {
            self.collisions.retain(|pair| *pair != (key, entry));
        }
    }

    /// Does a group's share of maintenance, for a group that added so many rows: drops an expired
    /// run, flushes or compacts a piece, and deletes rows of dropped runs. It takes effect in
    /// memory with [`Self::committed`].
    ///
    /// Runs expire by `now`, the time of request_ids that the group writes; None: it writes none.
    /// By a time that the file does not have nothing is forgotten: the next start may be at an
    /// earlier one.
    pub(super) fn advance(
        &mut self,
        connection: &Connection,
        now: Option<Timestamp>,
        added: usize,
    ) -> Result<Progress, StorageError> {
        let mut progress = Progress::default();
        let used = self
            .compaction
            .as_ref()
            .map_or(&[][..], Compaction::sources);
        let expired = now.and_then(|now| self.runs.expired(now, &self.limits, used));
        if let Some(run) = expired {
            delete_run(connection, run)?;
            progress.dropped = Some(run);
        }
        let compacted = added.saturating_mul(COMPACTED_PER_NEW);
        let rows = compacted.div_ceil(ROW_KEYS).max(GROUP_ROWS);
        if let Some(immutable) = &mut self.immutable {
            immutable.take_sorted();
            progress.flushed = immutable.write_some(connection)?;
        }
        if progress.flushed.is_none()
            && let Some(compaction) = &mut self.compaction
        {
            progress.compacted = Some(compaction.step(connection, rows)?);
        }
        if let Some(run) = self.runs.garbage() {
            let more = delete_keys(connection, run, rows.saturating_mul(2))?;
            progress.cleaned = (!more).then_some(run);
        }
        Ok(progress)
    }

    /// Applies the maintenance of a group that was committed; `last_position` is the journal's
    /// newest. Only now can a full memtable become immutable, since none of it will be undone.
    pub(super) fn committed(&mut self, progress: Progress, last_position: Position) {
        if let Some(run) = progress.cleaned {
            self.runs.cleaned(run);
        }
        if let Some(run) = progress.dropped {
            self.runs.forget(run);
            self.runs_changed = true;
        }
        if let Some(step) = progress.compacted
            && let Some(compaction) = self.compaction.take()
        {
            self.compaction = compaction.committed(step, &mut self.runs);
            self.runs_changed |= self.compaction.is_none();
            if step.found_damage() {
                self.damaged = true;
                tracing::error!(
                    "runs of request_ids are damaged and are not merged; run \"creditd audit\""
                );
            }
        }
        if let Some(step) = progress.flushed {
            self.flushed(step);
        }
        if self.runs_changed && self.compaction.is_none() && !self.damaged {
            self.compaction = Compaction::due(&mut self.runs, &self.limits);
            self.runs_changed = false;
        }
        if self.immutable.is_none() && self.memtable.len() >= self.limits.run_length {
            self.start_flush(last_position);
        }
    }

    /// A piece of the flush was committed.
    fn flushed(&mut self, step: FlushStep) {
        let Some(immutable) = &mut self.immutable else {
            return;
        };
        immutable.written = immutable.written.saturating_add(step.pairs);
        if !step.finished {
            return;
        }
        let new_runs = immutable.runs();
        let Some(immutable) = self.immutable.take() else {
            return;
        };
        let mut freed = Vec::new();
        for (mut run, sorted) in new_runs
            .into_iter()
            .zip(immutable.sorted.into_iter().flatten())
        {
            if run.length > 0 {
                run.filter = Some(sorted.filter);
                self.runs.add(run);
            }
            freed.push(sorted.pairs);
        }
        self.runs_changed = true;
        // Freeing a large map takes long enough to delay the writer.
        let freed = (immutable.memtable, freed);
        let _ = std::thread::Builder::new().spawn(move || drop(freed));
    }

    /// Makes the memtable immutable and begins to flush it.
    fn start_flush(&mut self, last_position: Position) {
        let memtable = std::mem::take(&mut self.memtable);
        let collisions = std::mem::take(&mut self.collisions);
        let credits = std::mem::take(&mut self.credits);
        let unsorted = [pairs_of(&memtable, &collisions), credits.clone()];
        let (sender, sorting) = sync_channel(1);
        let sort = move || {
            let _ = sender.send(unsorted.map(Sorted::of));
        };
        let spawned = std::thread::Builder::new()
            .name("memtable-sort".to_owned())
            .spawn(sort);
        if let Err(error) = spawned {
            tracing::warn!(%error, "no thread to sort request_ids; the writer does it");
        }
        self.immutable = Some(ImmutableMemtable {
            memtable,
            collisions,
            credits,
            newest_time: self.newest_time,
            last_position,
            first_id: self.runs.take_ids(2),
            sorting: Some(sorting),
            sorted: None,
            written: 0,
        });
    }
}

/// The maintenance that was done with one group.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    dropped: Option<i64>,
    flushed: Option<FlushStep>,
    compacted: Option<Step>,
    cleaned: Option<i64>,
}

/// A piece of a flush.
#[derive(Clone, Copy, Debug, Default)]
struct FlushStep {
    pairs: usize,
    finished: bool,
}

impl Sorted {
    fn of(mut pairs: Vec<Pair>) -> Self {
        // SQLite compares keys as signed integers.
        pairs.sort_unstable_by_key(|(key, id)| (key.cast_signed(), *id));
        let filter = Filter::of(pairs.iter().map(|(key, _)| *key));
        Self { pairs, filter }
    }
}

fn pairs_of(memtable: &Memtable, collisions: &[Pair]) -> Vec<Pair> {
    let pairs = memtable.iter().map(|(key, id)| (*key, *id));
    pairs.chain(collisions.iter().copied()).collect()
}

impl ImmutableMemtable {
    /// Receives the sorted pairs, if the thread is done.
    fn take_sorted(&mut self) {
        let Some(sorting) = &self.sorting else { return };
        match sorting.try_recv() {
            Ok(sorted) => {
                self.sorted = Some(sorted);
                self.sorting = None;
            }
            Err(TryRecvError::Empty) => {}
            // The thread did not start or panicked.
            Err(TryRecvError::Disconnected) => {
                let unsorted = [
                    pairs_of(&self.memtable, &self.collisions),
                    self.credits.clone(),
                ];
                self.sorted = Some(unsorted.map(Sorted::of));
                self.sorting = None;
            }
        }
    }

    /// The two runs, without their filters; none before they are sorted.
    fn runs(&self) -> Vec<SortedRun> {
        let sorted = self.sorted.iter().flatten();
        let numbered = Scope::BOTH.into_iter().zip(self.first_id..).zip(sorted);
        let run = |((scope, id), sorted): ((Scope, i64), &Sorted)| SortedRun {
            id,
            scope,
            last_position: self.last_position.0,
            newest_time: self.newest_time,
            length: sorted.pairs.len(),
            filter: None,
        };
        numbered.map(run).collect()
    }

    /// Writes a piece, and with the last piece the rows of the runs. None while the pairs are
    /// being sorted.
    fn write_some(&self, connection: &Connection) -> Result<Option<FlushStep>, StorageError> {
        let Some(sorted) = &self.sorted else {
            return Ok(None);
        };
        let runs = self.runs();
        let mut step = FlushStep::default();
        let (mut before, mut rows, mut rest) = (self.written, GROUP_ROWS, 0_usize);
        for (run, sorted) in runs.iter().zip(sorted) {
            let begin = before.min(sorted.pairs.len());
            before = before.saturating_sub(begin);
            let pairs = sorted.pairs.get(begin..).unwrap_or_default();
            rest = rest.saturating_add(pairs.len());
            for pairs in pairs.chunks(ROW_KEYS).take(rows) {
                write_row(connection, run.id, pairs)?;
                step.pairs = step.pairs.saturating_add(pairs.len());
                rows = rows.saturating_sub(1);
            }
        }
        step.finished = step.pairs == rest;
        if step.finished {
            for (run, sorted) in runs.iter().zip(sorted).filter(|(run, _)| run.length > 0) {
                run.write(connection, Some(&sorted.filter))?;
            }
            connection
                .prepare_cached("UPDATE file SET indexed = ?1")?
                .execute([self.last_position.0])?;
        }
        Ok(Some(step))
    }
}
