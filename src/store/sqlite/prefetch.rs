//! Prefetches the rows that loading an account needs, many with one statement. An account of
//! ten thousand grants would otherwise take ten thousand queries.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Row, params};

use super::journal::{Journal, Position, StorageError};
use super::rows::StoredEntry;
use super::times::At;
use crate::domain::Credits;
use crate::domain::ledger::{EntryId, EntryKind, GrantFacts, GrantId, GrantTerms, Hold};
use crate::rfc3339;

/// Most rows of one statement.
const ROWS_MAX: usize = 4_096;

/// The terms of a grant, and the first entry that revoked it.
#[derive(Clone)]
pub(super) struct GrantRecord {
    terms: Arc<GrantTerms>,
    revoked_by: Option<EntryId>,
}

impl GrantRecord {
    /// The grant as it was before an entry. It may have been revoked later.
    pub(super) fn before(&self, id: GrantId, entry: EntryId) -> GrantFacts {
        GrantFacts {
            id,
            terms: Arc::clone(&self.terms),
            revoked: self.revoked_by.is_some_and(|by| by < entry),
        }
    }

    pub(super) const fn terms(&self) -> &Arc<GrantTerms> {
        &self.terms
    }
}

/// The grants and holds, by number, of the account that is being read.
#[derive(Default)]
pub(super) struct Prefetched {
    grants: RefCell<HashMap<i64, GrantRecord>>,
    holds: RefCell<HashMap<i64, Arc<Hold>>>,
}

/// Clears the prefetched rows when it is dropped.
pub(super) struct PrefetchGuard<'a>(&'a Prefetched);

impl Drop for PrefetchGuard<'_> {
    fn drop(&mut self) {
        self.0.grants.borrow_mut().clear();
        self.0.holds.borrow_mut().clear();
    }
}

/// A link of an account's chain of entries, and what reading its entry needs.
pub(super) struct Link {
    position: i64,
    previous: Option<i64>,
    grants: Vec<i64>,
    /// The hold of the entry, unless the entry made it.
    earlier_hold: Option<i64>,
}

impl Journal {
    /// Reads these grants and the entries that made these holds, for as long as the guard
    /// lives.
    pub(super) fn prefetch(
        &self,
        account_id: i64,
        grants: impl IntoIterator<Item = i64>,
        holds: impl IntoIterator<Item = i64>,
    ) -> Result<PrefetchGuard<'_>, StorageError> {
        let guard = PrefetchGuard(&self.prefetched);
        let grants = self.grant_records(account_id, grants)?;
        self.prefetched.grants.borrow_mut().extend(grants);
        let positions = self.hold_positions(account_id, holds)?;
        let mut made = HashMap::with_capacity(positions.len());
        self.each_entry(&positions, |stored| {
            if let (EntryKind::Hold, Some(hold)) = (&stored.entry.kind, stored.entry.hold) {
                made.insert(hold.id.0, hold);
            }
        })?;
        self.prefetched.holds.borrow_mut().extend(made);
        Ok(guard)
    }

    /// The hold of that number as it was made, if it was prefetched.
    pub(super) fn prefetched_hold(&self, id: i64) -> Option<Arc<Hold>> {
        self.prefetched.holds.borrow().get(&id).cloned()
    }

    /// Positions of the entries that made these holds, ascending.
    fn hold_positions(
        &self,
        account_id: i64,
        ids: impl IntoIterator<Item = i64>,
    ) -> Result<Vec<i64>, StorageError> {
        let mut ids: Vec<i64> = ids.into_iter().collect();
        sort(&mut ids);
        let mut positions = Vec::with_capacity(ids.len());
        for ids in ids.chunks(ROWS_MAX) {
            let mut statement = self.connection.prepare_cached(
                "SELECT h.made FROM json_each(?1) asked
                   CROSS JOIN holds h ON h.account_id = ?2 AND h.hold_id = asked.value",
            )?;
            let rows = statement.query_map(params![list(ids), account_id], |row| row.get(0))?;
            for position in rows {
                positions.push(position?);
            }
        }
        sort(&mut positions);
        Ok(positions)
    }

    /// The grants of these numbers that exist.
    pub(super) fn grant_records(
        &self,
        account_id: i64,
        ids: impl IntoIterator<Item = i64>,
    ) -> Result<HashMap<i64, GrantRecord>, StorageError> {
        let mut records = HashMap::new();
        let mut ids: Vec<i64> = ids.into_iter().collect();
        sort(&mut ids);
        let known = self.prefetched.grants.borrow();
        ids.retain(|id| match known.get(id) {
            Some(grant) => {
                records.insert(*id, grant.clone());
                false
            }
            None => true,
        });
        drop(known);
        for ids in ids.chunks(ROWS_MAX) {
            let mut statement = self.connection.prepare_cached(
                "SELECT g.grant_id, g.granted, g.priority, g.expire_time, g.source, g.services,
                        e.create_time, r.entry_id
                   FROM json_each(?1) asked
                   CROSS JOIN grants g ON g.account_id = ?2 AND g.grant_id = asked.value
                   CROSS JOIN entries e ON e.position = g.position
                   LEFT JOIN revocations r
                     ON r.account_id = g.account_id AND r.grant_id = g.grant_id",
            )?;
            let mut rows = statement.query(params![list(ids), account_id])?;
            while let Some(row) = rows.next()? {
                records.insert(row.get(0)?, read_grant(row)?);
            }
        }
        Ok(records)
    }

    /// Calls `show` with the entries at these ascending positions. All of them must exist.
    fn each_entry(
        &self,
        positions: &[i64],
        mut show: impl FnMut(StoredEntry),
    ) -> Result<(), StorageError> {
        self.write_pending()?;
        for ids in positions.chunks(ROWS_MAX) {
            let mut statement = self.connection.prepare_cached(
                "SELECT e.* FROM json_each(?1) asked
                   CROSS JOIN entries e ON e.position = asked.value",
            )?;
            let mut rows = statement.query([list(ids)])?;
            let mut wanted = ids.iter();
            while let Some(row) = rows.next()? {
                let stored = self.read_entry(row)?;
                missing(wanted.next().copied(), Some(stored.place.position.0))?;
                show(stored);
            }
            missing(wanted.next().copied(), None)?;
        }
        Ok(())
    }

    /// The entries of these links, in their order.
    pub(super) fn entries_of(&self, links: &[Link]) -> Result<Vec<StoredEntry>, StorageError> {
        let mut entries = Vec::with_capacity(links.len());
        // Links are newest first, positions ascending.
        let positions: Vec<i64> = links.iter().rev().map(|link| link.position).collect();
        self.each_entry(&positions, |stored| entries.push(stored))?;
        entries.reverse();
        Ok(entries)
    }

    /// The links from an entry of an account back to the one after `until`, newest first.
    pub(super) fn chain(
        &self,
        head: Option<Position>,
        until: Option<Position>,
    ) -> Result<Vec<Link>, StorageError> {
        let mut links: Vec<Link> = Vec::new();
        let mut next = head.map(|head| head.0);
        let until = until.map(|until| until.0);
        while let Some(id) = next
            && next > until
        {
            let more = self.links(id, until, ROWS_MAX)?;
            next = more.last().and_then(|link| link.previous);
            links.extend(more);
        }
        if next != until {
            let head = head.map_or(0, |head| head.0);
            return Err(StorageError(format!(
                "the entries before {head} do not lead back to it"
            )));
        }
        Ok(links)
    }

    /// An account's entries from that one back to the one after `until`, newest first: at least
    /// one, and at most so many.
    pub(super) fn entries_back(
        &self,
        account_id: i64,
        (from, until): (Position, Option<Position>),
        most: usize,
    ) -> Result<Vec<StoredEntry>, StorageError> {
        let links = self.links(from.0, until.map(|until| until.0), most)?;
        let grants = links.iter().flat_map(Link::grants);
        let holds = links.iter().filter_map(Link::earlier_hold);
        let _prefetched = self.prefetch(account_id, grants, holds)?;
        self.entries_of(&links)
    }

    /// At most so many links, from that one back to the one after `until`.
    fn links(&self, from: i64, until: Option<i64>, most: usize) -> Result<Vec<Link>, StorageError> {
        self.write_pending()?;
        let mut statement = self.connection.prepare_cached(
            "WITH RECURSIVE chain (position, previous, kind, grant_id, hold_id, shares, length) AS (
               SELECT position, previous, kind, grant_id, hold_id, shares, 1
                 FROM entries WHERE position = ?1
               UNION ALL
               SELECT e.position, e.previous, e.kind, e.grant_id, e.hold_id,
                      iif(e.kind = 'refund', e.shares, NULL), length + 1
                 FROM chain JOIN entries e ON e.position = chain.previous
                WHERE chain.previous > ?2 AND length < ?3)
             SELECT position, previous, kind, grant_id, hold_id, shares FROM chain",
        )?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![from, until.unwrap_or(i64::MIN), most])?;
        let mut links = Vec::new();
        while let Some(row) = rows.next()? {
            links.push(read_link(row)?);
        }
        match links.is_empty() {
            true => Err(missing_at(from)),
            false => Ok(links),
        }
    }
}

impl Link {
    /// The grants whose terms its entry needs.
    pub(super) fn grants(&self) -> impl Iterator<Item = i64> {
        self.grants.iter().copied()
    }

    /// The hold of its entry, unless the entry made it.
    pub(super) fn earlier_hold(&self) -> Option<i64> {
        self.earlier_hold
    }
}

fn read_link(row: &Row<'_>) -> Result<Link, StorageError> {
    let kind = row.get_ref(2)?.as_str().unwrap_or_default();
    let grants = match kind {
        "grant" => row.get::<_, Option<i64>>(3)?.into_iter().collect(),
        "refund" => {
            let shares = row.get_ref(5)?.as_str().unwrap_or_default();
            // Shares that cannot be read are reported when the entry is read.
            let shares = super::text::shares_from_json(shares).unwrap_or_default();
            shares.iter().map(|share| share.grant.0).collect()
        }
        _ => Vec::new(),
    };
    let hold: Option<i64> = row.get(4)?;
    Ok(Link {
        position: row.get(0)?,
        previous: row.get(1)?,
        grants,
        earlier_hold: hold.filter(|_| kind != "hold"),
    })
}

fn read_grant(row: &Row<'_>) -> Result<GrantRecord, StorageError> {
    let id: i64 = row.get(0)?;
    let wrong = || StorageError(format!("grant {id} cannot be read"));
    let expire_time: Option<String> = row.get(3)?;
    let services: Option<String> = row.get(5)?;
    let terms = GrantTerms {
        granted: Credits::from_nanos(row.get(1)?).map_err(|_| wrong())?,
        priority: row.get(2)?,
        expire_time: expire_time
            .map(|text| rfc3339::parse(&text).ok_or_else(wrong))
            .transpose()?,
        source: row.get::<_, String>(4)?.into(),
        services: services
            .map_or(Ok(Vec::new()), |text| serde_json::from_str(&text))
            .map_err(|_| wrong())?,
        create_time: row.get::<_, At>(6)?.0,
    };
    Ok(GrantRecord {
        terms: Arc::new(terms),
        revoked_by: row.get::<_, Option<i64>>(7)?.map(EntryId),
    })
}

fn missing(wanted: Option<i64>, actual: Option<i64>) -> Result<(), StorageError> {
    match wanted {
        Some(position) if wanted != actual => Err(missing_at(position)),
        _ => Ok(()),
    }
}

fn missing_at(position: i64) -> StorageError {
    StorageError(format!("the entry at {position} is missing"))
}

/// Sorts and removes duplicates, so that neighbouring rows are read together.
fn sort(ids: &mut Vec<i64>) {
    ids.sort_unstable();
    ids.dedup();
}

/// The numbers as a JSON array, for `json_each`.
fn list(ids: &[i64]) -> String {
    let mut text = String::with_capacity(ids.len().saturating_mul(12));
    let mut number = itoa::Buffer::new();
    for (position, id) in ids.iter().enumerate() {
        text.push(if position == 0 { '[' } else { ',' });
        text.push_str(number.format(*id));
    }
    text.push(']');
    text
}
