//! Where request_ids stand in the journal.
//!
//! The newest ones are a map in memory. When it is full it becomes a run: sorted by
//! a thread of its own, written into the file piece by piece along with later groups,
//! and from then on only a filter of it stays in memory, two bytes a request_id,
//! which says of nearly every new one that the run does not have it. A run whose
//! newest request_id is older than they are kept for is dropped whole.
//!
//! Those of calls that bring credits in or back are kept for longer. With each run they
//! become a run of their own, a small one mostly, and those are merged: see [`merge`].
//!
//! All of it can be read off the journal: at start the filters are read, and the
//! entries after the newest run.

mod merge;
mod runs;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

use rusqlite::Connection;
use siphasher::sip::SipHasher13;

use self::merge::{Merge, Step};
use self::runs::{Runs, delete_keys, delete_run, write_row};
use super::filter::Filter;
use super::journal::{BadRow, Position};
use crate::domain::{RequestId, Timestamp};

pub(super) use self::runs::{PAIR_BYTES, Run, Scope};

/// Pairs in one row of `request_keys`: a page of the file.
const ROW_KEYS: usize = 480;
/// Rows that one group writes at most, and at least where there is something to
/// write: more than a group adds.
const GROUP_ROWS: usize = 32;
/// How many request_ids are merged at least for each that a group adds: more often than
/// that none is written.
const MERGED_PER_NEW: usize = 16;

/// Stands for a request_id of an account.
pub(super) type Key = u64;

/// Entries by what stands for their request_ids.
type Newest = HashMap<Key, Position, BuildHasherDefault<Itself>>;

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
type Pair = (Key, Position);

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
    /// Those among them that bring credits in or back, in order of writing.
    credits: Vec<Pair>,
    newest_time: Timestamp,
    freezing: Option<Freezing>,
    runs: Runs,
    merging: Option<Merge>,
    /// Whether runs came or went since a merge was checked for.
    runs_changed: bool,
    /// Runs were found to be damaged, and are left as they are.
    damaged: bool,
}

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How many make a run.
    pub(super) run_length: usize,
    /// For how long one is kept at least, in nanoseconds.
    pub(super) kept_nanos: i64,
    /// The same for those that bring credits in or back.
    pub(super) credits_kept_nanos: i64,
    /// How much memory the filters may take.
    pub(super) filter_bytes_max: usize,
}

impl Limits {
    /// For how long the request_ids of a run are kept at least, in nanoseconds.
    pub(super) const fn kept_nanos(&self, scope: Scope) -> i64 {
        match scope {
            Scope::All => self.kept_nanos,
            Scope::Credits => self.credits_kept_nanos,
        }
    }
}

/// Runs on their way into the file: one of all, and one of those that bring credits in
/// or back, where there are any.
struct Freezing {
    newest: Newest,
    twins: Vec<Pair>,
    credits: Vec<Pair>,
    newest_time: Timestamp,
    last_position: Position,
    /// The numbers of the runs are this one and the next.
    first_id: i64,
    sorting: Option<Receiver<[Sorted; 2]>>,
    /// As [`Scope::BOTH`] has them.
    sorted: Option<[Sorted; 2]>,
    written: usize,
}

/// What the sorting thread makes of a run.
struct Sorted {
    pairs: Vec<Pair>,
    filter: Filter,
}

impl Requests {
    /// Reads what the file says, but for the entries after its newest run. What was being
    /// written when the server ended is begun anew.
    pub(super) fn load(
        connection: &Connection,
        key: [u8; 16],
        limits: Limits,
    ) -> Result<Self, BadRow> {
        Ok(Self {
            keys: Keys::new(key),
            newest: Newest::default(),
            twins: Vec::new(),
            credits: Vec::new(),
            newest_time: Timestamp::MIN,
            freezing: None,
            runs: Runs::load(connection, limits.filter_bytes_max)?,
            merging: None,
            runs_changed: true,
            damaged: false,
            limits,
        })
    }

    /// What stands for a request_id of an account.
    pub(super) fn key(&self, account: i64, id: &RequestId) -> Key {
        self.keys.of(account, id)
    }

    /// The entries that may answer it: at most one does, and nearly always there is
    /// none.
    pub(super) fn find(&self, connection: &Connection, key: Key) -> Result<Vec<Position>, BadRow> {
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
        self.runs.find(connection, key, &mut found)?;
        // One that counted as new once it was old has two entries: the newer one counts.
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.dedup();
        Ok(found)
    }

    /// Notes that an entry answers it; `scope` says for how long.
    pub(super) fn insert(&mut self, key: Key, entry: Position, time: Timestamp, scope: Scope) {
        self.newest_time = self.newest_time.max(time);
        if let Some(other) = self.newest.insert(key, entry) {
            self.twins.push((key, other));
        }
        if scope == Scope::Credits {
            self.credits.push((key, entry));
        }
    }

    /// Takes a note back, the newest one first.
    pub(super) fn remove(&mut self, key: Key, entry: Position) {
        if self.credits.last() == Some(&(key, entry)) {
            self.credits.pop();
        }
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

    /// Does what is due along with a group that added so many: drops a run that is old,
    /// writes a piece of the runs that are being made, or merges a piece, and deletes a
    /// piece of what is not needed any more. It counts once [`Self::committed`] says so.
    pub(super) fn advance(
        &mut self,
        connection: &Connection,
        now: Timestamp,
        added: usize,
    ) -> Result<Progress, BadRow> {
        let mut progress = Progress::default();
        let used = self.merging.as_ref().map_or(&[][..], Merge::sources);
        if let Some(run) = self.runs.too_old(now, &self.limits, used) {
            delete_run(connection, run)?;
            progress.dropped = Some(run);
        }
        let merged = added.saturating_mul(MERGED_PER_NEW);
        let rows = merged.div_ceil(ROW_KEYS).max(GROUP_ROWS);
        if let Some(freezing) = &mut self.freezing {
            freezing.take_sorted();
            progress.frozen = freezing.write_some(connection)?;
        }
        if progress.frozen.is_none()
            && let Some(merging) = &mut self.merging
        {
            progress.merged = Some(merging.step(connection, rows)?);
        }
        if let Some(run) = self.runs.garbage() {
            let more = delete_keys(connection, run, rows.saturating_mul(2))?;
            progress.cleaned = (!more).then_some(run);
        }
        Ok(progress)
    }

    /// The group is in the file, and what was done along with it; `last_position` is the
    /// journal's newest. What is full becomes a run now, when nothing of it can be
    /// taken back any more.
    pub(super) fn committed(&mut self, progress: Progress, last_position: Position) {
        if let Some(run) = progress.cleaned {
            self.runs.cleaned(run);
        }
        if let Some(run) = progress.dropped {
            self.runs.forget(run);
            self.runs_changed = true;
        }
        if let Some(step) = progress.merged
            && let Some(merging) = self.merging.take()
        {
            self.merging = merging.committed(step, &mut self.runs);
            self.runs_changed |= self.merging.is_none();
            if step.found_damage() {
                self.damaged = true;
                tracing::error!(
                    "runs of request_ids are damaged and are not merged; run \"creditd audit\""
                );
            }
        }
        if let Some(frozen) = progress.frozen {
            self.frozen(frozen);
        }
        if self.runs_changed && self.merging.is_none() && !self.damaged {
            self.merging = Merge::due(&mut self.runs, &self.limits);
            self.runs_changed = false;
        }
        if self.freezing.is_none() && self.newest.len() >= self.limits.run_length {
            self.freeze(last_position);
        }
    }

    /// A piece of the runs that are being made is in the file.
    fn frozen(&mut self, frozen: Frozen) {
        let Some(freezing) = &mut self.freezing else {
            return;
        };
        freezing.written = freezing.written.saturating_add(frozen.pairs);
        if !frozen.finished {
            return;
        }
        let made = freezing.runs();
        let Some(freezing) = self.freezing.take() else {
            return;
        };
        let mut gone = Vec::new();
        for (mut run, sorted) in made.into_iter().zip(freezing.sorted.into_iter().flatten()) {
            if run.length > 0 {
                run.filter = Some(sorted.filter);
                self.runs.add(run);
            }
            gone.push(sorted.pairs);
        }
        self.runs_changed = true;
        // A large map is not given back in one of the writer's groups.
        let gone = (freezing.newest, gone);
        let _ = std::thread::Builder::new().spawn(move || drop(gone));
    }

    fn freeze(&mut self, last_position: Position) {
        let newest = std::mem::take(&mut self.newest);
        let twins = std::mem::take(&mut self.twins);
        let credits = std::mem::take(&mut self.credits);
        let unsorted = [pairs_of(&newest, &twins), credits.clone()];
        let (sender, sorting) = sync_channel(1);
        let sort = move || {
            let _ = sender.send(unsorted.map(Sorted::of));
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

/// What was done along with one group.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    dropped: Option<i64>,
    frozen: Option<Frozen>,
    merged: Option<Step>,
    cleaned: Option<i64>,
}

/// A piece of the runs that are being made.
#[derive(Clone, Copy, Debug, Default)]
struct Frozen {
    pairs: usize,
    finished: bool,
}

impl Sorted {
    fn of(mut pairs: Vec<Pair>) -> Self {
        // By the keys as the file orders them.
        pairs.sort_unstable_by_key(|(key, id)| (key.cast_signed(), *id));
        let filter = Filter::of(pairs.iter().map(|(key, _)| *key));
        Self { pairs, filter }
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
                let unsorted = [pairs_of(&self.newest, &self.twins), self.credits.clone()];
                self.sorted = Some(unsorted.map(Sorted::of));
                self.sorting = None;
            }
        }
    }

    /// The runs that are being made, as far as they are sorted, without their filters.
    fn runs(&self) -> Vec<Run> {
        let sorted = self.sorted.iter().flatten();
        let numbered = Scope::BOTH.into_iter().zip(self.first_id..).zip(sorted);
        let run = |((scope, id), sorted): ((Scope, i64), &Sorted)| Run {
            id,
            scope,
            last_position: self.last_position.0,
            newest_time: self.newest_time,
            length: sorted.pairs.len(),
            filter: None,
        };
        numbered.map(run).collect()
    }

    /// Writes a piece, and the runs themselves with the last one. None where they are
    /// still being sorted.
    fn write_some(&self, connection: &Connection) -> Result<Option<Frozen>, BadRow> {
        let Some(sorted) = &self.sorted else {
            return Ok(None);
        };
        let runs = self.runs();
        let mut frozen = Frozen::default();
        let (mut before, mut rows, mut rest) = (self.written, GROUP_ROWS, 0_usize);
        for (run, sorted) in runs.iter().zip(sorted) {
            let begin = before.min(sorted.pairs.len());
            before = before.saturating_sub(begin);
            let pairs = sorted.pairs.get(begin..).unwrap_or_default();
            rest = rest.saturating_add(pairs.len());
            for pairs in pairs.chunks(ROW_KEYS).take(rows) {
                write_row(connection, run.id, pairs)?;
                frozen.pairs = frozen.pairs.saturating_add(pairs.len());
                rows = rows.saturating_sub(1);
            }
        }
        frozen.finished = frozen.pairs == rest;
        if frozen.finished {
            for (run, sorted) in runs.iter().zip(sorted).filter(|(run, _)| run.length > 0) {
                run.write(connection, Some(&sorted.filter))?;
            }
            connection
                .prepare_cached("UPDATE file SET indexed = ?1")?
                .execute([self.last_position.0])?;
        }
        Ok(Some(frozen))
    }
}
