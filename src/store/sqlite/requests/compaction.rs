//! Compaction of sorted runs, so that a lookup has few of them to search.
//!
//! The choice is by time windows of an eighth of the time for which request_ids are known.
//! Within the newest window it is size-tiered: a run is compacted with the newer ones as soon
//! as they are together as long as it, so that there are about as many runs as the logarithm
//! of the window's request_ids, and each request_id is rewritten as often. A window that is
//! over becomes one run. A run is dropped whole, so no request_id stays for much more than an
//! eighth longer than it has to.
//!
//! Runs of all request_ids are compacted only if memory has no room for their filters: a
//! filter in memory costs less than rewriting a million request_ids.
//!
//! The result is written a piece at a time, with groups. Lookups use the sources until it is
//! complete. What a kill leaves of a result is deleted, and the compaction begins again.

use std::collections::VecDeque;
use std::ops::Range;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::runs::{Runs, Scope, SortedRun, delete_run, pairs_of_row, write_row};
use super::{Limits, Pair, ROW_KEYS};
use crate::domain::Timestamp;
use crate::store::sqlite::filter::Filter;
use crate::store::sqlite::journal::StorageError;

/// Time windows in the time for which request_ids are known.
const WINDOWS: i64 = 8;

/// A compaction in progress.
pub(super) struct Compaction {
    /// The number of the resulting run.
    id: i64,
    scope: Scope,
    sources: Vec<i64>,
    last_position: i64,
    newest_time: Timestamp,
    length: usize,
    /// None if it would take too much memory, or the scope does not need one. After an undone
    /// group it has keys whose row is not in the file; they are written again.
    filter: Option<Filter>,
    /// The last pair of the result that is in the file.
    position: Option<Pair>,
    /// How many pairs of the result are in the file.
    written: usize,
}

/// The piece of a compaction that was written with one group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    position: Option<Pair>,
    pairs: usize,
    end: Option<End>,
}

/// How a compaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The result replaces its sources.
    Complete,
    /// The sources have more or fewer pairs than their rows say: the file is damaged.
    Damaged,
}

/// The number of the time window of a moment, in windows of so many nanoseconds.
fn window_of(time: Timestamp, window: i64) -> i64 {
    let nanos = time.since(Timestamp::from_unix_nanos(0)).as_nanos();
    let window = u128::from(window.unsigned_abs().max(1));
    i64::try_from(nanos.div_euclid(window)).unwrap_or(i64::MAX)
}

impl Compaction {
    /// Chooses the compaction that is due.
    pub(super) fn due(runs: &mut Runs, limits: &Limits) -> Option<Self> {
        let (scope, sources) = Scope::BOTH.into_iter().find_map(|scope| {
            let window = limits.retention_nanos(scope).div_euclid(WINDOWS).max(1);
            let all: Vec<&SortedRun> = runs.of(scope).collect();
            let candidates: Vec<_> = all
                .iter()
                .map(|run| Candidate {
                    length: run.length,
                    window: window_of(run.newest_time, window),
                    may_compact: scope == Scope::Credits || !run.has_filter(),
                })
                .collect();
            let chosen = choose(&candidates)?;
            Some((scope, all.get(chosen)?.to_vec()))
        })?;
        let newest = sources.last()?;
        let length = sources
            .iter()
            .fold(0_usize, |sum, run| sum.saturating_add(run.length));
        let filter_bytes = Filter::bytes_for(length);
        let has_filter =
            scope == Scope::Credits && filter_bytes <= limits.filter_bytes_max.div_euclid(4);
        let (last_position, newest_time) = (newest.last_position, newest.newest_time);
        let sources = sources.iter().map(|run| run.id).collect();
        Some(Self {
            id: runs.take_ids(1),
            scope,
            sources,
            last_position,
            newest_time,
            length,
            filter: has_filter.then(|| Filter::with_room_for(length)),
            position: None,
            written: 0,
        })
    }

    /// The runs that it reads.
    pub(super) fn sources(&self) -> &[i64] {
        &self.sources
    }

    /// Writes so many rows. They take effect with [`Self::committed`].
    pub(super) fn step(
        &mut self,
        connection: &Connection,
        rows: usize,
    ) -> Result<Step, StorageError> {
        let mut step = Step {
            position: self.position,
            pairs: 0,
            end: None,
        };
        let sources = self.sources.iter();
        let mut sources = sources
            .map(|run| Source::open(connection, *run, self.position))
            .collect::<Result<Vec<_>, _>>()?;
        let mut left = rows;
        let mut row: Vec<Pair> = Vec::with_capacity(ROW_KEYS);
        while left > 0 && step.end.is_none() {
            match pop_smallest(&mut sources)? {
                Some(pair) => row.push(pair),
                None => step.end = Some(End::Complete),
            }
            if row.len() == ROW_KEYS || (step.end.is_some() && !row.is_empty()) {
                write_row(connection, self.id, &row)?;
                if let Some(filter) = &mut self.filter {
                    row.iter().for_each(|(key, _)| filter.add(*key));
                }
                step.position = row.last().copied();
                step.pairs = step.pairs.saturating_add(row.len());
                row.clear();
                left = left.saturating_sub(1);
            }
        }
        if step.end.is_some() {
            if self.written.saturating_add(step.pairs) != self.length {
                step.end = Some(End::Damaged);
                return Ok(step);
            }
            for run in &self.sources {
                delete_run(connection, *run)?;
            }
            self.run(None).write(connection, self.filter.as_ref())?;
        }
        Ok(step)
    }

    fn run(&self, filter: Option<Filter>) -> SortedRun {
        SortedRun {
            id: self.id,
            scope: self.scope,
            last_position: self.last_position,
            newest_time: self.newest_time,
            length: self.length,
            filter,
        }
    }

    /// A step was committed. Returns the compaction, unless it has ended.
    pub(super) fn committed(mut self, step: Step, runs: &mut Runs) -> Option<Self> {
        self.position = step.position;
        self.written = self.written.saturating_add(step.pairs);
        match step.end {
            None => return Some(self),
            Some(End::Complete) => {
                let filter = self.filter.take();
                for run in &self.sources {
                    runs.forget(*run);
                }
                runs.add(self.run(filter));
            }
            Some(End::Damaged) => runs.forget(self.id),
        }
        None
    }
}

impl Step {
    /// Whether the runs of this file are damaged, so that none can be compacted.
    pub(super) fn found_damage(self) -> bool {
        self.end == Some(End::Damaged)
    }
}

/// A run, as the choice of a compaction sees it.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    length: usize,
    /// Its time window.
    window: i64,
    /// Whether it may be compacted.
    may_compact: bool,
}

/// Which of the runs of one scope, oldest first, are compacted next.
fn choose(runs: &[Candidate]) -> Option<Range<usize>> {
    let mut begin = 0_usize;
    while let Some(first) = runs.get(begin) {
        let rest = runs.get(begin..).unwrap_or_default();
        let same = rest
            .iter()
            .take_while(|run| run.may_compact && run.window == first.window);
        let length = same.count();
        let end = begin.saturating_add(length.max(1));
        let is_over = runs.get(end).is_some_and(|next| next.may_compact);
        if length > 1 && is_over {
            return Some(begin..end);
        }
        let group = rest.get(..length).unwrap_or_default();
        if let Some(from) = tier_start(group) {
            return Some(begin.saturating_add(from)..end);
        }
        begin = end;
    }
    None
}

/// The position of the oldest run that is not longer than all newer ones together.
fn tier_start(runs: &[Candidate]) -> Option<usize> {
    let mut newer = 0_usize;
    let mut from = None;
    for (at, run) in runs.iter().enumerate().rev() {
        if run.length <= newer {
            from = Some(at);
        }
        newer = newer.saturating_add(run.length);
    }
    from
}

/// Takes the smallest pair of all sources.
fn pop_smallest(sources: &mut [Source<'_>]) -> Result<Option<Pair>, StorageError> {
    let mut smallest: Option<(usize, Pair)> = None;
    for (at, source) in sources.iter_mut().enumerate() {
        if let Some(pair) = source.front()?
            && smallest.is_none_or(|(_, other)| order(pair) < order(other))
        {
            smallest = Some((at, pair));
        }
    }
    let source = smallest.and_then(|(at, _)| sources.get_mut(at));
    Ok(source.and_then(|source| source.pairs.pop_front()))
}

/// SQLite compares keys as signed integers.
fn order((key, id): Pair) -> (i64, i64) {
    (key.cast_signed(), id.0)
}

/// Reads a run in order, from after some pair on.
struct Source<'c> {
    connection: &'c Connection,
    run: i64,
    /// The next row has this first key or a larger one. None: there are no more rows.
    from: Option<i64>,
    after: Option<Pair>,
    pairs: VecDeque<Pair>,
}

impl<'c> Source<'c> {
    fn open(
        connection: &'c Connection,
        run: i64,
        after: Option<Pair>,
    ) -> Result<Self, StorageError> {
        let from = match after {
            // Pairs of one key can be split between two rows.
            Some((key, _)) => connection
                .prepare_cached(
                    "SELECT max(first_key) FROM request_keys WHERE run_id = ?1 AND first_key < ?2",
                )?
                .query_row([run, key.cast_signed()], |row| row.get::<_, Option<i64>>(0))?,
            None => None,
        };
        Ok(Self {
            connection,
            run,
            from: Some(from.unwrap_or(i64::MIN)),
            after,
            pairs: VecDeque::new(),
        })
    }

    fn front(&mut self) -> Result<Option<Pair>, StorageError> {
        while self.pairs.is_empty()
            && let Some(from) = self.from
        {
            let after = self.after.map(order);
            let row = self
                .connection
                .prepare_cached(
                    "SELECT first_key, keys FROM request_keys
                      WHERE run_id = ?1 AND first_key >= ?2 ORDER BY first_key LIMIT 1",
                )?
                .query_row(params![self.run, from], |row| {
                    let pairs = pairs_of_row(row.get_ref(1)?.as_blob().unwrap_or_default());
                    let rest = pairs.filter(|pair| after.is_none_or(|after| order(*pair) > after));
                    Ok((row.get::<_, i64>(0)?, rest.collect::<VecDeque<_>>()))
                })
                .optional()?;
            self.from = None;
            if let Some((first, pairs)) = row {
                self.from = first.checked_add(1);
                self.pairs = pairs;
            }
        }
        Ok(self.pairs.front().copied())
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers of a test")]
mod tests {
    use super::*;

    /// Adds runs of these lengths, and compacts whenever that is due. Returns the largest
    /// number of runs, and how often a request_id was rewritten on average.
    fn grow(lengths: &[usize], runs_a_window: usize) -> (usize, usize) {
        let mut runs: Vec<Candidate> = Vec::new();
        let (mut most, mut written) = (0, 0);
        for (number, length) in lengths.iter().enumerate() {
            runs.push(Candidate {
                length: *length,
                window: i64::try_from(number / runs_a_window).unwrap(),
                may_compact: true,
            });
            while let Some(chosen) = choose(&runs) {
                assert!(chosen.len() > 1);
                let merged = Candidate {
                    length: runs[chosen.clone()].iter().map(|run| run.length).sum(),
                    ..runs[chosen.end - 1]
                };
                let windows = runs[chosen.clone()]
                    .iter()
                    .all(|run| run.window == merged.window);
                assert!(windows, "a run of two windows would be kept for too long");
                written += merged.length;
                runs.splice(chosen, [merged]);
            }
            // Runs whose windows have expired are dropped.
            let newest = runs.last().unwrap().window;
            runs.retain(|run| run.window >= newest - WINDOWS);
            most = most.max(runs.len());
        }
        (most, written / lengths.iter().sum::<usize>())
    }

    #[test]
    fn there_are_few_runs_however_many_were_made() {
        let equal = vec![1_000; 50_000];
        let (most, times) = grow(&equal, 4_096);
        assert!(most <= 8 + 13, "{most}");
        assert!(times <= 13, "{times}");
        let uneven: Vec<usize> = (0..50_000).map(|n| 1 + n * 7_919 % 1_000).collect();
        let (most, times) = grow(&uneven, 4_096);
        assert!(most <= 8 + 20, "{most}");
        assert!(times <= 20, "{times}");
        let (most, _) = grow(&equal[..1_000], 1);
        assert!(most <= 9, "{most}");
    }

    #[test]
    fn runs_whose_filters_are_in_memory_are_left_alone() {
        let run = |length, window, may_compact| Candidate {
            length,
            window,
            may_compact,
        };
        let choose = |runs: &[Candidate]| choose(runs);
        assert_eq!(choose(&[run(1, 0, false), run(1, 0, false)]), None);
        assert_eq!(choose(&[run(1, 0, true), run(1, 0, false)]), None);
        // The next run still has its filter, so the window may get more runs.
        let window = [run(9, 0, true), run(2, 0, true), run(1, 1, false)];
        assert_eq!(choose(&window), None);
        let over = [run(9, 0, true), run(2, 0, true), run(1, 1, true)];
        assert_eq!(choose(&over), Some(0..2));
        let pair = [run(9, 0, true), run(2, 0, true), run(2, 0, true)];
        assert_eq!(choose(&pair), Some(1..3));
    }
}
