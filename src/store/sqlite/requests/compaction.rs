//! Runs are merged, so that a request_id is not checked for in more and more of them.
//!
//! Time is cut into parts of an eighth of what request_ids are kept for. Within the part
//! that goes on, a run is merged with the newer ones as soon as they are together as long
//! as it: there are about as many as the logarithm of what the part has, and a request_id
//! is written as often. A part that is over becomes one run. So nothing is kept for much
//! more than an eighth longer than it has to be, since a run is dropped whole.
//!
//! Runs of all request_ids are merged where memory has no room for their filters. A filter
//! in memory is cheaper than writing a million request_ids once more.
//!
//! A merge is written into the file a piece at a time, along with groups. The runs that it
//! is made of count until it is whole; what a kill leaves of it is deleted and made anew.

use std::collections::VecDeque;
use std::ops::Range;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::runs::{Run, Runs, Scope, delete_run, pairs_of_row, write_row};
use super::{Limits, Pair, ROW_KEYS};
use crate::domain::Timestamp;
use crate::store::sqlite::filter::Filter;
use crate::store::sqlite::journal::BadRow;

/// Parts into which the time is cut for which request_ids are kept.
const PARTS: i64 = 8;

/// A merge that goes on.
pub(super) struct Merge {
    /// The run that it makes.
    id: i64,
    scope: Scope,
    sources: Vec<i64>,
    last_position: i64,
    newest_time: Timestamp,
    length: usize,
    /// None where it would take too much memory, or none is wanted. It may have keys
    /// already whose row was taken back: they are written again.
    filter: Option<Filter>,
    /// The last pair that is in the file.
    position: Option<Pair>,
    /// How many are.
    written: usize,
}

/// What was done of a merge along with one group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    position: Option<Pair>,
    pairs: usize,
    end: Option<End>,
}

/// How a merge ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Its run has taken the place of the others.
    Whole,
    /// The runs do not have as many request_ids as they say: somebody damaged them.
    Damaged,
}

/// The part of time to which a moment belongs, in parts of so many nanoseconds.
fn part_of(time: Timestamp, part: i64) -> i64 {
    let nanos = time.since(Timestamp::from_unix_nanos(0)).as_nanos();
    let part = u128::from(part.unsigned_abs().max(1));
    i64::try_from(nanos.div_euclid(part)).unwrap_or(i64::MAX)
}

impl Merge {
    /// The merge that is due.
    pub(super) fn due(runs: &mut Runs, limits: &Limits) -> Option<Self> {
        let (scope, sources) = Scope::BOTH.into_iter().find_map(|scope| {
            let part = limits.kept_nanos(scope).div_euclid(PARTS).max(1);
            let all: Vec<&Run> = runs.of(scope).collect();
            let candidates: Vec<_> = all
                .iter()
                .map(|run| Candidate {
                    length: run.length,
                    part: part_of(run.newest_time, part),
                    free: scope == Scope::Credits || !run.has_filter(),
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

    /// The runs that it needs.
    pub(super) fn sources(&self) -> &[i64] {
        &self.sources
    }

    /// Writes so many rows more. It counts once [`Self::committed`] says so.
    pub(super) fn step(&mut self, connection: &Connection, rows: usize) -> Result<Step, BadRow> {
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
            match take_least(&mut sources)? {
                Some(pair) => row.push(pair),
                None => step.end = Some(End::Whole),
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

    fn run(&self, filter: Option<Filter>) -> Run {
        Run {
            id: self.id,
            scope: self.scope,
            last_position: self.last_position,
            newest_time: self.newest_time,
            length: self.length,
            filter,
        }
    }

    /// A step is in the file. The merge, unless that was its last one.
    pub(super) fn committed(mut self, step: Step, runs: &mut Runs) -> Option<Self> {
        self.position = step.position;
        self.written = self.written.saturating_add(step.pairs);
        match step.end {
            None => return Some(self),
            Some(End::Whole) => {
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
    /// Whether nothing more can be merged in this file.
    pub(super) fn found_damage(self) -> bool {
        self.end == Some(End::Damaged)
    }
}

/// What the choice of a merge needs to know about a run.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    length: usize,
    /// The part of time to which it belongs.
    part: i64,
    /// Whether it may be merged.
    free: bool,
}

/// Which runs are merged next, of those of one scope, oldest first.
fn choose(runs: &[Candidate]) -> Option<Range<usize>> {
    let mut begin = 0_usize;
    while let Some(first) = runs.get(begin) {
        let rest = runs.get(begin..).unwrap_or_default();
        let same = rest
            .iter()
            .take_while(|run| run.free && run.part == first.part);
        let length = same.count();
        let end = begin.saturating_add(length.max(1));
        let is_over = runs.get(end).is_some_and(|next| next.free);
        if length > 1 && is_over {
            return Some(begin..end);
        }
        let group = rest.get(..length).unwrap_or_default();
        if let Some(from) = longer_together(group) {
            return Some(begin.saturating_add(from)..end);
        }
        begin = end;
    }
    None
}

/// The oldest run that is not longer than all newer ones together.
fn longer_together(runs: &[Candidate]) -> Option<usize> {
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

/// The next pair of all.
fn take_least(sources: &mut [Source<'_>]) -> Result<Option<Pair>, BadRow> {
    let mut least: Option<(usize, Pair)> = None;
    for (at, source) in sources.iter_mut().enumerate() {
        if let Some(pair) = source.front()?
            && least.is_none_or(|(_, other)| order(pair) < order(other))
        {
            least = Some((at, pair));
        }
    }
    let source = least.and_then(|(at, _)| sources.get_mut(at));
    Ok(source.and_then(|source| source.pairs.pop_front()))
}

/// As the file orders them.
fn order((key, id): Pair) -> (i64, i64) {
    (key.cast_signed(), id.0)
}

/// A run that is read from some place on.
struct Source<'c> {
    connection: &'c Connection,
    run: i64,
    /// The rows from this key on were not read. None: there are no more.
    from: Option<i64>,
    after: Option<Pair>,
    pairs: VecDeque<Pair>,
}

impl<'c> Source<'c> {
    fn open(connection: &'c Connection, run: i64, after: Option<Pair>) -> Result<Self, BadRow> {
        let from = match after {
            // Twins may stand on both sides of the seam between two rows.
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

    fn front(&mut self) -> Result<Option<Pair>, BadRow> {
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

    /// Runs come in, all of one length or of any; merges are done as they are due. How
    /// many runs there are at most, and how often one is written.
    fn grow(lengths: &[usize], runs_a_part: usize) -> (usize, usize) {
        let mut runs: Vec<Candidate> = Vec::new();
        let (mut most, mut written) = (0, 0);
        for (number, length) in lengths.iter().enumerate() {
            runs.push(Candidate {
                length: *length,
                part: i64::try_from(number / runs_a_part).unwrap(),
                free: true,
            });
            while let Some(chosen) = choose(&runs) {
                assert!(chosen.len() > 1);
                let merged = Candidate {
                    length: runs[chosen.clone()].iter().map(|run| run.length).sum(),
                    ..runs[chosen.end - 1]
                };
                let parts = runs[chosen.clone()]
                    .iter()
                    .all(|run| run.part == merged.part);
                assert!(parts, "a run of two parts would be kept for too long");
                written += merged.length;
                runs.splice(chosen, [merged]);
            }
            // Those of parts that are over long since are dropped.
            let newest = runs.last().unwrap().part;
            runs.retain(|run| run.part >= newest - PARTS);
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
        let run = |length, part, free| Candidate { length, part, free };
        let choose = |runs: &[Candidate]| choose(runs);
        assert_eq!(choose(&[run(1, 0, false), run(1, 0, false)]), None);
        assert_eq!(choose(&[run(1, 0, true), run(1, 0, false)]), None);
        // Those that follow are still to come: the part is not over.
        let part = [run(9, 0, true), run(2, 0, true), run(1, 1, false)];
        assert_eq!(choose(&part), None);
        let over = [run(9, 0, true), run(2, 0, true), run(1, 1, true)];
        assert_eq!(choose(&over), Some(0..2));
        let pair = [run(9, 0, true), run(2, 0, true), run(2, 0, true)];
        assert_eq!(choose(&pair), Some(1..3));
    }
}
