//! The scan for a page of entries, in slices: a filter that few entries pass is searched for long,
//! and in between the thread does what others ask.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rusqlite::{OptionalExtension as _, params};

use super::AccountHead;
use crate::domain::ledger::{AccountId as _, Entry, EntryId, HoldId, Named, Opening};
use crate::domain::{Refusal, Violation};
use crate::store::sqlite::journal::{Journal, Position, StorageError};
use crate::store::sqlite::openings::StoredOpening;
use crate::store::sqlite::rows::StoredEntry;
use crate::store::sqlite::times::At;
use crate::store::{Answer, EntryPage, EntryQuery};

/// How many entries the scan for one page may read, and for how long.
const SCANNED_MAX: usize = 10_000;
const SCAN_TIME_MAX: Duration = Duration::from_millis(50);
/// After how long it gives its thread back.
pub const SCAN_SLICE_TIME_MAX: Duration = Duration::from_millis(5);
/// How many entries one statement reads.
const ROWS_MIN: usize = 16;
const ROWS_MAX: usize = 256;

/// A scan back from the first entry of a page, over a bounded number of entries.
pub(in crate::store::sqlite) struct Scan {
    query: EntryQuery,
    /// None before it has begun.
    range: Option<Range>,
    /// What the account has instead of its archived entries.
    opening: Option<Opening>,
    /// Entries that were read and not scanned yet.
    stored: VecDeque<StoredEntry>,
    page: EntryPage,
    last_scanned: Option<EntryId>,
    scanned: usize,
    /// How long the slices before took.
    took: Duration,
}

/// The oldest entry that can match, the position from which on nothing was read yet, how many
/// of the unwritten entries were not scanned yet, and where the archived rows begin.
#[derive(Clone, Copy)]
struct Range {
    oldest: Option<EntryId>,
    next: Option<Position>,
    unwritten: usize,
    /// Rows up to here are archived.
    archived: Option<Position>,
}

impl Scan {
    pub(in crate::store::sqlite) fn new(query: EntryQuery) -> Self {
        Self {
            query,
            range: None,
            opening: None,
            stored: VecDeque::new(),
            page: EntryPage::default(),
            last_scanned: None,
            scanned: 0,
            took: Duration::ZERO,
        }
    }

    /// Scans a slice. None: there is more to scan.
    pub(super) fn advance(
        &mut self,
        journal: &Journal,
        head: &AccountHead,
    ) -> Result<Option<Answer<EntryPage>>, StorageError> {
        let began = Instant::now();
        let query = &self.query;
        let mut range = match self.range {
            Some(range) => range,
            None => {
                let stored = journal.stored_opening(head.id)?;
                self.opening = (stored.as_ref().map(StoredOpening::opening)).transpose()?;
                let archived = stored.map(|stored| stored.position);
                match begin(journal, head, query, (archived, self.opening.as_ref()))? {
                    Ok(range) => range,
                    Err(refusal) => return Ok(Some(Err(refusal.into()))),
                }
            }
        };
        while self.scanned < SCANNED_MAX {
            let entry = if let Some(last) = range.unwritten.checked_sub(1) {
                range.unwritten = last;
                match head.unwritten.get(last) {
                    Some(entry) => entry.clone(),
                    None => continue,
                }
            } else {
                if self.stored.is_empty()
                    && let Some(from) = range.next.filter(|next| Some(*next) > range.archived)
                {
                    let time = began.elapsed();
                    if self.took.saturating_add(time) > SCAN_TIME_MAX {
                        break;
                    }
                    if time > SCAN_SLICE_TIME_MAX {
                        self.took = self.took.saturating_add(time);
                        self.range = Some(range);
                        return Ok(None);
                    }
                    let wanted = query.limit.saturating_sub(self.page.entries.len());
                    // A page that is almost full needs few entries; a scan that finds none reads
                    // many at once.
                    let wanted = wanted.max(self.scanned).clamp(ROWS_MIN, ROWS_MAX);
                    self.stored = journal
                        .entries_back(head.id, (from, range.archived), wanted)?
                        .into();
                }
                let Some(next_stored) = self.stored.pop_front() else {
                    self.page.opening = self.opening.take().filter(|opening| {
                        // Updates alone are no entries that could match.
                        let has_entries = opening.entry.0 > 0;
                        let late = query.start_time.is_some_and(|start| start > opening.time);
                        has_entries
                            && !late
                            && range.oldest.is_none_or(|oldest| oldest <= opening.entry)
                    });
                    return Ok(Some(Ok(std::mem::take(&mut self.page))));
                };
                range.next = next_stored.place.previous;
                next_stored.entry
            };
            self.scanned = self.scanned.saturating_add(1);
            if query.is_past(&entry) || Some(entry.id) < range.oldest {
                return Ok(Some(Ok(std::mem::take(&mut self.page))));
            }
            // The next page begins below it.
            self.last_scanned = Some(match entry.kind.is_move() {
                true => entry.id,
                false => entry.id.next(),
            });
            if query.matches(&entry) {
                if self.page.entries.len() == query.limit {
                    // There is one more match: the next page begins below this page's last entry.
                    self.page.next = self.page.entries.last().map(|entry| entry.id);
                    return Ok(Some(Ok(std::mem::take(&mut self.page))));
                }
                self.page.entries.push(entry);
            }
        }
        self.page.next = self.last_scanned.or(query.before);
        Ok(Some(Ok(std::mem::take(&mut self.page))))
    }
}

fn begin(
    journal: &Journal,
    head: &AccountHead,
    query: &EntryQuery,
    (archived, opening): (Option<Position>, Option<&Opening>),
) -> Result<Result<Range, Refusal>, StorageError> {
    let mut newest = head.position;
    let mut oldest = None;
    if let Some(named) = &query.hold {
        let Some((made, closed)) = hold_range(journal, head, named)? else {
            if let (Some(opening), Some(id)) = (opening, named.id())
                && opening.has_hold(id)
            {
                return Ok(Err(opening.refusal(&head.name)));
            }
            return Ok(Err(Refusal::HoldNotFound { hold: named.text() }));
        };
        oldest = Some(made);
        newest = closed.or(newest);
    }
    if let Some(before) = query.before {
        let last = head.unwritten.last().map_or(head.last, |entry| entry.id);
        if before.0 < 1 || before > last.next() {
            return Ok(Err(Refusal::invalid(
                "page_token",
                Violation::InvalidPageToken,
            )));
        }
        // Unwritten lapses are newer than all entries in the file. Rows that are no entries for
        // callers can be many, behind the newest entry too, and are passed over.
        let below = EntryId(before.0.saturating_sub(1));
        if opening.is_some_and(|opening| below <= opening.entry) {
            newest = archived;
        } else if below <= head.last {
            newest = journal.position_of(head.id, newest, below)?;
        }
    } else if let Some(end) = query.end_time {
        // The scan can begin at the first snapshot that is not before the end.
        let snapshot: Option<i64> = journal
            .connection
            .prepare_cached(
                "SELECT position FROM snapshots
                 WHERE account_id = ?1 AND create_time >= ?2
                 ORDER BY entry_id, position LIMIT 1",
            )?
            .query_row(params![head.id, At(end)], |row| row.get(0))
            .optional()?;
        if let Some(snapshot) = snapshot.map(Position)
            && Some(snapshot) < newest
        {
            newest = Some(snapshot);
        }
    }
    let is_before = |entry: &&Entry| query.before.is_none_or(|before| entry.id < before);
    let unwritten = head.unwritten.iter().take_while(is_before).count();
    Ok(Ok(Range {
        oldest,
        next: newest,
        unwritten,
        archived,
    }))
}

/// The entry that made a hold, and the position of the entry that closed it.
fn hold_range(
    journal: &Journal,
    head: &AccountHead,
    named: &Named<HoldId>,
) -> Result<Option<(EntryId, Option<Position>)>, StorageError> {
    let Some(id) = named.id() else {
        return Ok(None);
    };
    Ok(journal
        .connection
        .prepare_cached(
            "SELECT e.entry_id, h.closed FROM holds h JOIN entries e ON e.position = h.made
              WHERE h.account_id = ?1 AND h.hold_id = ?2",
        )?
        .query_row([head.id, id.0], |row| {
            let closed: Option<i64> = row.get(1)?;
            Ok((EntryId(row.get(0)?), closed.map(Position)))
        })
        .optional()?)
}
