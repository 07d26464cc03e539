//! Where request_ids stand in the journal.
//!
//! The newest ones are a map in memory. When it is full it becomes a run: sorted by
//! a thread of its own, written into the file piece by piece along with later groups,
//! and from then on only a filter of it stays in memory, two bytes a request_id,
//! which says of nearly every new one that the run does not have it. A run whose
//! newest request_id is older than they are kept for is dropped whole.
//!
//! All of it can be read off the journal: at start the filters are read, and the
//! entries after the newest run.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

use rusqlite::{Connection, params};
use siphasher::sip::SipHasher13;

use super::filter::Filter;
use super::journal::BadRow;
use super::times::At;
use crate::domain::ledger::EntryId;
use crate::domain::{RequestId, Timestamp};

/// Pairs in one row of `request_keys`: a page of the file.
const ROW_KEYS: usize = 480;
/// Rows that one group writes at most, and at least where there is something to
/// write: more than a group adds.
const GROUP_ROWS: usize = 32;
pub(super) const PAIR_BYTES: usize = 16;

/// Stands for a request_id of an account.
pub(super) type Key = u64;

/// Entries by what stands for their request_ids.
type Newest = HashMap<Key, EntryId, BuildHasherDefault<Itself>>;

/// A hash of a number that is a hash already, by a key that nobody outside knows.
#[derive(Default)]
struct Itself(u64);

impl Hasher for Itself {
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

/// A hash and the entry that answers it.
type Pair = (Key, EntryId);

/// How request_ids are hashed in this file.
#[derive(Clone, Copy)]
pub(super) struct Keys(SipHasher13);

impl Keys {
    pub(super) fn new(key: [u8; 16]) -> Self {
        Self(SipHasher13::new_with_key(&key))
    }

    /// What stands for a request_id of an account.
    pub(super) fn of(self, account: i64, id: &RequestId) -> Key {
        let mut hasher = self.0;
        hasher.write_i64(account);
        hasher.write(id.as_str().as_bytes());
        hasher.finish()
    }
}

/// What is known about request_ids.
pub(super) struct Requests {
    keys: Keys,
    limits: Limits,
    newest: Newest,
    /// Different request_ids of one key: there are hardly ever any.
    twins: Vec<Pair>,
    newest_time: Timestamp,
    freezing: Option<Freezing>,
    runs: Vec<Run>,
    next_run: i64,
}

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How many make a run.
    pub(super) run_length: usize,
    /// For how long one is kept at least, in nanoseconds.
    pub(super) kept_nanos: i64,
    /// How much memory the filters may take.
    pub(super) filter_bytes_max: usize,
}

/// A run in the file.
pub(super) struct Run {
    id: i64,
    newest_time: Timestamp,
    /// None where memory has no room for it: then every question goes to the file.
    filter: Option<Filter>,
}

impl Run {
    /// All runs of a file, oldest first, with their number and where they end; the
    /// filters of the newest ones, as far as memory has room for them.
    pub(super) fn read_all(
        connection: &Connection,
        filter_bytes_max: usize,
    ) -> Result<Vec<(i64, i64, Self)>, BadRow> {
        let mut statement = connection.prepare(
            "SELECT run_id, last_entry, newest_time, filter FROM request_runs ORDER BY run_id DESC",
        )?;
        let mut rows = statement.query([])?;
        let mut runs = Vec::new();
        let mut bytes = 0_usize;
        while let Some(row) = rows.next()? {
            let id = row.get(0)?;
            let filter = row.get_ref(3)?.as_blob().unwrap_or_default();
            bytes = bytes.saturating_add(filter.len());
            let filter = match bytes <= filter_bytes_max {
                true => Some(
                    Filter::from_bytes(filter)
                        .ok_or_else(|| BadRow(format!("the filter of run {id} cannot be read")))?,
                ),
                false => None,
            };
            let run = Self {
                id,
                newest_time: row.get::<_, At>(2)?.0,
                filter,
            };
            runs.push((id, row.get(1)?, run));
        }
        runs.reverse();
        Ok(runs)
    }

    pub(super) fn may_have(&self, key: Key) -> bool {
        self.filter
            .as_ref()
            .is_none_or(|filter| filter.may_have(key))
    }
}

/// A run on its way into the file.
struct Freezing {
    newest: Newest,
    twins: Vec<Pair>,
    newest_time: Timestamp,
    last_entry: EntryId,
    sorting: Option<Receiver<Sorted>>,
    sorted: Option<Sorted>,
    written: usize,
}

/// What the sorting thread makes of a run.
struct Sorted {
    pairs: Arc<Vec<Pair>>,
    filter: Filter,
}

impl Requests {
    /// Reads what the file says, but for the entries after its newest run.
    pub(super) fn load(
        connection: &Connection,
        key: [u8; 16],
        limits: Limits,
    ) -> Result<Self, BadRow> {
        // What was being written when the server ended is begun anew.
        connection.execute(
            "DELETE FROM request_keys
              WHERE run_id > (SELECT coalesce(max(run_id), 0) FROM request_runs)",
            [],
        )?;
        let runs = Run::read_all(connection, limits.filter_bytes_max)?;
        let runs: Vec<_> = runs.into_iter().map(|(_, _, run)| run).collect();
        let next_run = runs.last().map_or(1, |run| run.id.saturating_add(1));
        Ok(Self {
            keys: Keys::new(key),
            newest: Newest::default(),
            twins: Vec::new(),
            newest_time: Timestamp::MIN,
            freezing: None,
            next_run,
            runs,
            limits,
        })
    }

    /// Lets go of the oldest filters where they are more than memory has room for.
    fn keep_to_memory(&mut self) {
        let mut bytes = 0_usize;
        for run in self.runs.iter_mut().rev() {
            let size = run.filter.as_ref().map_or(0, |f| f.to_bytes().len());
            bytes = bytes.saturating_add(size);
            if bytes > self.limits.filter_bytes_max {
                run.filter = None;
            }
        }
    }

    /// What stands for a request_id of an account.
    pub(super) fn key(&self, account: i64, id: &RequestId) -> Key {
        self.keys.of(account, id)
    }

    /// The entries that may answer it: at most one does, and nearly always there is
    /// none.
    pub(super) fn find(&self, connection: &Connection, key: Key) -> Result<Vec<EntryId>, BadRow> {
        let mut found = Vec::new();
        let frozen = self.freezing.as_ref();
        let maps = [Some(&self.newest), frozen.map(|f| &f.newest)];
        let twins = [Some(&self.twins), frozen.map(|f| &f.twins)];
        found.extend(maps.into_iter().flatten().filter_map(|map| map.get(&key)));
        for (twin, id) in twins.into_iter().flatten().flatten() {
            if *twin == key {
                found.push(*id);
            }
        }
        for run in self.runs.iter().filter(|run| run.may_have(key)) {
            find_in_run(connection, run.id, key, &mut found)?;
        }
        Ok(found)
    }

    /// Notes that an entry answers it.
    pub(super) fn insert(&mut self, key: Key, entry: EntryId, time: Timestamp) {
        self.newest_time = self.newest_time.max(time);
        if let Some(other) = self.newest.insert(key, entry) {
            self.twins.push((key, other));
        }
    }

    /// Takes a note back.
    pub(super) fn remove(&mut self, key: Key, entry: EntryId) {
        let twin = self.twins.iter().position(|(twin, _)| *twin == key);
        if self.newest.get(&key) == Some(&entry) {
            match twin {
                Some(position) => {
                    let (_, other) = self.twins.swap_remove(position);
                    self.newest.insert(key, other);
                }
                None => {
                    self.newest.remove(&key);
                }
            }
        } else {
            self.twins.retain(|pair| *pair != (key, entry));
        }
    }

    /// Does what is due along with a group: writes a piece of the run that is being
    /// made, drops one that is old. It counts once [`Self::committed`] says so.
    pub(super) fn advance(
        &mut self,
        connection: &Connection,
        now: Timestamp,
    ) -> Result<Progress, BadRow> {
        let mut progress = Progress::default();
        if let Some(run) = self.runs.first()
            && run.newest_time.plus_nanos(self.limits.kept_nanos) < now
        {
            connection.execute("DELETE FROM request_runs WHERE run_id = ?1", [run.id])?;
            connection.execute("DELETE FROM request_keys WHERE run_id = ?1", [run.id])?;
            progress.dropped = true;
        }
        let run_id = self.next_run;
        let Some(freezing) = &mut self.freezing else {
            return Ok(progress);
        };
        freezing.take_sorted();
        let Some(sorted) = &freezing.sorted else {
            return Ok(progress);
        };
        let rest = sorted.pairs.get(freezing.written..).unwrap_or_default();
        for pairs in rest.chunks(ROW_KEYS).take(GROUP_ROWS) {
            write_pairs(connection, run_id, pairs)?;
            progress.written = progress.written.saturating_add(pairs.len());
        }
        if progress.written == rest.len() {
            connection
                .prepare_cached("INSERT INTO request_runs VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![
                    run_id,
                    freezing.last_entry.0,
                    At(freezing.newest_time),
                    sorted.filter.to_bytes(),
                ])?;
            connection
                .prepare_cached("UPDATE file SET covered = ?1")?
                .execute([freezing.last_entry.0])?;
            progress.finished = true;
        }
        Ok(progress)
    }

    /// The group is in the file, and what was done along with it; `last_entry` is the
    /// journal's newest. What is full becomes a run now, when nothing of it can be
    /// taken back any more.
    pub(super) fn committed(&mut self, progress: Progress, last_entry: EntryId) {
        if progress.dropped && !self.runs.is_empty() {
            self.runs.remove(0);
        }
        if let Some(freezing) = &mut self.freezing {
            freezing.written = freezing.written.saturating_add(progress.written);
        }
        if progress.finished
            && let Some(freezing) = self.freezing.take()
            && let Some(sorted) = freezing.sorted
        {
            self.runs.push(Run {
                id: self.next_run,
                newest_time: freezing.newest_time,
                filter: Some(sorted.filter),
            });
            self.keep_to_memory();
            self.next_run = self.next_run.saturating_add(1);
            // A large map is not given back in one of the writer's groups.
            let gone = (freezing.newest, sorted.pairs);
            let _ = std::thread::Builder::new().spawn(move || drop(gone));
        }
        if self.freezing.is_none() && self.newest.len() >= self.limits.run_length {
            self.freeze(last_entry);
        }
    }

    fn freeze(&mut self, last_entry: EntryId) {
        let newest = std::mem::take(&mut self.newest);
        let twins = std::mem::take(&mut self.twins);
        let pairs = pairs_of(&newest, &twins);
        let (sender, sorting) = sync_channel(1);
        let sort = move || {
            let _ = sender.send(Sorted::of(pairs));
        };
        let spawned = std::thread::Builder::new()
            .name("request-run".to_owned())
            .spawn(sort);
        if let Err(error) = spawned {
            tracing::warn!(%error, "no thread to sort request_ids; the writer does it");
        }
        self.freezing = Some(Freezing {
            newest,
            twins,
            newest_time: self.newest_time,
            last_entry,
            sorting: Some(sorting),
            sorted: None,
            written: 0,
        });
    }
}

/// What was done along with one group.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    written: usize,
    finished: bool,
    dropped: bool,
}

impl Sorted {
    fn of(mut pairs: Vec<Pair>) -> Self {
        // By the keys as the file orders them.
        pairs.sort_unstable_by_key(|(key, id)| (key.cast_signed(), *id));
        let filter = Filter::of(pairs.iter().map(|(key, _)| *key));
        Self {
            pairs: Arc::new(pairs),
            filter,
        }
    }
}

fn pairs_of(newest: &Newest, twins: &[Pair]) -> Vec<Pair> {
    let pairs = newest.iter().map(|(key, id)| (*key, *id));
    pairs.chain(twins.iter().copied()).collect()
}

impl Freezing {
    /// Takes what the sorting thread has made, where it is ready.
    fn take_sorted(&mut self) {
        let Some(sorting) = &self.sorting else { return };
        match sorting.try_recv() {
            Ok(sorted) => {
                self.sorted = Some(sorted);
                self.sorting = None;
            }
            Err(TryRecvError::Empty) => {}
            // There is no such thread: better late than never.
            Err(TryRecvError::Disconnected) => {
                self.sorted = Some(Sorted::of(pairs_of(&self.newest, &self.twins)));
                self.sorting = None;
            }
        }
    }
}

fn write_pairs(connection: &Connection, run: i64, pairs: &[Pair]) -> Result<(), BadRow> {
    let Some((first, _)) = pairs.first() else {
        return Ok(());
    };
    let mut bytes = Vec::with_capacity(pairs.len().saturating_mul(PAIR_BYTES));
    for (key, id) in pairs {
        bytes.extend(key.to_be_bytes());
        bytes.extend(id.0.to_be_bytes());
    }
    connection
        .prepare_cached("INSERT INTO request_keys VALUES (?1, ?2, ?3)")?
        .execute(params![run, first.cast_signed(), bytes])?;
    Ok(())
}

fn find_in_run(
    connection: &Connection,
    run: i64,
    key: Key,
    found: &mut Vec<EntryId>,
) -> Result<(), BadRow> {
    let mut statement = connection.prepare_cached(
        // Twins may stand on both sides of the seam between two rows.
        "SELECT keys FROM request_keys WHERE run_id = ?1 AND first_key <= ?2
             ORDER BY first_key DESC LIMIT 2",
    )?;
    let mut rows = statement.query([run, key.cast_signed()])?;
    while let Some(row) = rows.next()? {
        let pairs = row.get_ref(0)?.as_blob().unwrap_or_default();
        for pair in pairs.chunks_exact(PAIR_BYTES) {
            let (bytes, id) = pair.split_at(8);
            if bytes == key.to_be_bytes() {
                let id = id.try_into().map_or(0, i64::from_be_bytes);
                found.push(EntryId(id));
            }
        }
    }
    Ok(())
}
