//! Sorted runs of request_ids in the file, their filters in memory, and lookups in them.

use std::cmp::Reverse;
use std::collections::HashSet;

use rusqlite::{Connection, params};

use super::{Key, Limits, Pair, ROW_KEYS};
use crate::domain::Timestamp;
use crate::store::sqlite::filter::Filter;
use crate::store::sqlite::journal::{Position, StorageError};
use crate::store::sqlite::times::At;

/// Bytes of a pair in a row of `request_keys`.
pub(in crate::store::sqlite) const PAIR_BYTES: usize = 16;

/// Which request_ids a run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::sqlite) enum Scope {
    /// All of its range of the journal.
    All,
    /// Those of grants, refunds and revocations, which are known for longer.
    Credits,
}

impl Scope {
    pub(in crate::store::sqlite) const BOTH: [Self; 2] = [Self::All, Self::Credits];

    /// The scope whose runs know a request_id for longest, by the kind of its entry.
    pub(in crate::store::sqlite) fn of(kind: &str) -> Self {
        match kind {
            "grant" | "refund" | "revoke" => Self::Credits,
            _ => Self::All,
        }
    }

    const fn column(self) -> i64 {
        match self {
            Self::All => 0,
            Self::Credits => 1,
        }
    }
}

/// A sorted run in the file.
pub(in crate::store::sqlite) struct SortedRun {
    pub(in crate::store::sqlite) id: i64,
    pub(in crate::store::sqlite) scope: Scope,
    /// It indexes the journal up to this position, from where the run of its scope before it
    /// ends.
    pub(in crate::store::sqlite) last_position: i64,
    pub(in crate::store::sqlite) newest_time: Timestamp,
    /// How many request_ids it has.
    pub(in crate::store::sqlite) length: usize,
    /// None if memory has no room for it: then every lookup reads the file.
    pub(super) filter: Option<Filter>,
}

impl SortedRun {
    /// All runs of a file, oldest first, with as many filters as fit into memory.
    pub(in crate::store::sqlite) fn read_all(
        connection: &Connection,
        filter_bytes_max: usize,
    ) -> Result<Vec<Self>, StorageError> {
        let mut statement = connection.prepare(
            "SELECT run_id, credits, last_position, newest_time, pairs, length(filter)
               FROM request_runs ORDER BY last_position, credits",
        )?;
        let mut rows = statement.query([])?;
        let (mut runs, mut sizes) = (Vec::new(), Vec::new());
        while let Some(row) = rows.next()? {
            let credits: i64 = row.get(1)?;
            let length: i64 = row.get(4)?;
            let bytes: i64 = row.get(5)?;
            sizes.push(usize::try_from(bytes).unwrap_or_default());
            runs.push(Self {
                id: row.get(0)?,
                scope: match credits == Scope::Credits.column() {
                    true => Scope::Credits,
                    false => Scope::All,
                },
                last_position: row.get(2)?,
                newest_time: row.get::<_, At>(3)?.0,
                length: usize::try_from(length).unwrap_or_default(),
                filter: None,
            });
        }
        for at in filters_that_fit(&sizes, filter_bytes_max) {
            let Some(run) = runs.get_mut(at) else {
                continue;
            };
            let bytes: Vec<u8> = connection.query_row(
                "SELECT filter FROM request_runs WHERE run_id = ?1",
                [run.id],
                |row| row.get(0),
            )?;
            let wrong = || StorageError(format!("the filter of run {} cannot be read", run.id));
            run.filter = Some(Filter::from_bytes(&bytes).ok_or_else(wrong)?);
        }
        Ok(runs)
    }

    /// Whether its filter is in memory.
    pub(in crate::store::sqlite) const fn has_filter(&self) -> bool {
        self.filter.is_some()
    }

    pub(in crate::store::sqlite) fn may_have(&self, key: Key) -> bool {
        self.filter
            .as_ref()
            .is_none_or(|filter| filter.may_have(key))
    }

    /// Writes the row of the run, with this filter, once all its rows of keys are written.
    pub(super) fn write(
        &self,
        connection: &Connection,
        filter: Option<&Filter>,
    ) -> Result<(), StorageError> {
        connection
            .prepare_cached(
                "INSERT INTO request_runs (run_id, credits, last_position, newest_time, pairs, filter)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                self.id,
                self.scope.column(),
                self.last_position,
                At(self.newest_time),
                i64::try_from(self.length).unwrap_or(i64::MAX),
                filter.map(Filter::to_bytes).unwrap_or_default(),
            ])?;
        Ok(())
    }
}

/// Which filters fit into memory: those of the smallest runs first, since a filter of any size
/// saves one read of the file for a lookup, and of equal ones the newest first. `sizes` are
/// oldest first, 0 for no filter.
fn filters_that_fit(sizes: &[usize], bytes_max: usize) -> impl Iterator<Item = usize> {
    let mut order: Vec<_> = (sizes.iter().copied().enumerate())
        .filter(|(_, size)| *size > 0)
        .map(|(at, size)| (size, Reverse(at)))
        .collect();
    order.sort_unstable();
    let mut bytes = 0_usize;
    order.into_iter().map_while(move |(size, Reverse(at))| {
        bytes = bytes.saturating_add(size);
        (bytes <= bytes_max).then_some(at)
    })
}

/// The runs of a file.
pub(super) struct Runs {
    /// Oldest first.
    list: Vec<SortedRun>,
    /// Numbers of runs that were dropped or never completed, and still have rows of keys.
    garbage: Vec<i64>,
    next_id: i64,
    filter_bytes_max: usize,
}

impl Runs {
    /// How much memory the filters take.
    pub(super) fn filter_bytes(&self) -> usize {
        let filters = self.list.iter().filter_map(|run| run.filter.as_ref());
        let bytes = filters.map(|filter| filter.to_bytes().len());
        bytes.fold(0, usize::saturating_add)
    }

    pub(super) fn load(
        connection: &Connection,
        filter_bytes_max: usize,
    ) -> Result<Self, StorageError> {
        let list = SortedRun::read_all(connection, filter_bytes_max)?;
        let known: HashSet<i64> = list.iter().map(|run| run.id).collect();
        let mut newest = known.iter().copied().max().unwrap_or_default();
        let mut garbage = Vec::new();
        let mut statement =
            connection.prepare("SELECT min(run_id) FROM request_keys WHERE run_id > ?1")?;
        let mut after = i64::MIN;
        while let Some(id) = statement.query_row([after], |row| row.get::<_, Option<i64>>(0))? {
            if !known.contains(&id) {
                garbage.push(id);
            }
            newest = newest.max(id);
            after = id;
        }
        Ok(Self {
            list,
            garbage,
            next_id: newest.saturating_add(1),
            filter_bytes_max,
        })
    }

    /// Reserves so many numbers for runs; returns the first one.
    pub(super) fn take_ids(&mut self, count: i64) -> i64 {
        let first = self.next_id;
        self.next_id = first.saturating_add(count);
        first
    }

    /// The runs of a scope, oldest first.
    pub(super) fn of(&self, scope: Scope) -> impl Iterator<Item = &SortedRun> {
        self.list.iter().filter(move |run| run.scope == scope)
    }

    /// Adds a run that is in the file.
    pub(super) fn add(&mut self, run: SortedRun) {
        let at = (self.list).partition_point(|other| other.last_position <= run.last_position);
        self.list.insert(at, run);
        let size = |run: &SortedRun| run.filter.as_ref().map_or(0, |f| f.to_bytes().len());
        let sizes: Vec<_> = self.list.iter().map(size).collect();
        let fitting: HashSet<_> = filters_that_fit(&sizes, self.filter_bytes_max).collect();
        for (at, run) in self.list.iter_mut().enumerate() {
            if !fitting.contains(&at) {
                run.filter = None;
            }
        }
    }

    /// Removes a run; later groups delete its rows of keys.
    pub(super) fn forget(&mut self, id: i64) {
        self.list.retain(|run| run.id != id);
        self.garbage.push(id);
    }

    /// A run whose request_ids have all expired, but for those that a compaction reads.
    pub(super) fn expired(&self, now: Timestamp, limits: &Limits, used: &[i64]) -> Option<i64> {
        let is_old = |run: &&SortedRun| {
            run.newest_time
                .plus_nanos(limits.retention_nanos(run.scope))
                < now
        };
        let mut old = self.list.iter().filter(is_old);
        old.find(|run| !used.contains(&run.id)).map(|run| run.id)
    }

    /// The number of a dropped run that still has rows of keys.
    pub(super) fn garbage(&self) -> Option<i64> {
        self.garbage.last().copied()
    }

    /// All rows of keys of a dropped run are deleted.
    pub(super) fn cleaned(&mut self, id: i64) {
        self.garbage.retain(|other| *other != id);
    }

    /// Adds the positions of the entries of a key.
    pub(super) fn find(
        &self,
        connection: &Connection,
        key: Key,
        positions: &mut Vec<Position>,
    ) -> Result<(), StorageError> {
        for run in self.list.iter().filter(|run| run.may_have(key)) {
            find_in_run(connection, run.id, key, positions)?;
        }
        Ok(())
    }
}

/// Deletes the row of a run. Its rows of keys stay for [`delete_keys`].
pub(super) fn delete_run(connection: &Connection, id: i64) -> Result<(), StorageError> {
    connection
        .prepare_cached("DELETE FROM request_runs WHERE run_id = ?1")?
        .execute([id])?;
    Ok(())
}

/// Deletes at most so many rows of keys of a dropped run; returns whether there may be more.
pub(super) fn delete_keys(
    connection: &Connection,
    id: i64,
    rows: usize,
) -> Result<bool, StorageError> {
    let deleted = connection
        .prepare_cached(
            "DELETE FROM request_keys WHERE run_id = ?1 AND first_key IN
               (SELECT first_key FROM request_keys WHERE run_id = ?1 ORDER BY first_key LIMIT ?2)",
        )?
        .execute([id, i64::try_from(rows).unwrap_or(i64::MAX)])?;
    Ok(deleted >= rows)
}

/// Writes one row of a run.
pub(super) fn write_row(
    connection: &Connection,
    run: i64,
    pairs: &[Pair],
) -> Result<(), StorageError> {
    let Some((first, _)) = pairs.first() else {
        return Ok(());
    };
    let mut bytes = Vec::with_capacity(ROW_KEYS.saturating_mul(PAIR_BYTES));
    for (key, id) in pairs {
        bytes.extend(key.to_be_bytes());
        bytes.extend(id.0.to_be_bytes());
    }
    connection
        .prepare_cached("INSERT INTO request_keys VALUES (?1, ?2, ?3)")?
        .execute(params![run, first.cast_signed(), bytes])?;
    Ok(())
}

/// The pairs of a row.
pub(super) fn pairs_of_row(bytes: &[u8]) -> impl Iterator<Item = Pair> {
    let number = |bytes: &[u8]| bytes.try_into().map_or(0, i64::from_be_bytes);
    bytes.chunks_exact(PAIR_BYTES).map(move |pair| {
        let (key, id) = pair.split_at(8);
        (number(key).cast_unsigned(), Position(number(id)))
    })
}

fn find_in_run(
    connection: &Connection,
    run: i64,
    key: Key,
    positions: &mut Vec<Position>,
) -> Result<(), StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT first_key, keys FROM request_keys WHERE run_id = ?1 AND first_key <= ?2
             ORDER BY first_key DESC LIMIT 2",
    )?;
    let mut rows = statement.query([run, key.cast_signed()])?;
    while let Some(row) = rows.next()? {
        let first: i64 = row.get(0)?;
        let pairs = row.get_ref(1)?.as_blob().unwrap_or_default();
        let (pairs, _) = pairs.as_chunks::<PAIR_BYTES>();
        let key_of = |pair: &[u8; PAIR_BYTES]| {
            let (key, _) = pair.split_at(8);
            key.try_into().map_or(0, i64::from_be_bytes)
        };
        let begin = pairs.partition_point(|pair| key_of(pair) < key.cast_signed());
        let same = pairs.get(begin..).unwrap_or_default();
        let same = same
            .iter()
            .take_while(|pair| key_of(pair) == key.cast_signed());
        for pair in same {
            positions.extend(pairs_of_row(pair).map(|(_, id)| id));
        }
        // Pairs of one key can be split between two rows.
        if first != key.cast_signed() {
            break;
        }
    }
    Ok(())
}
