//! Checks of the journal, entry by entry.

use std::collections::HashSet;

use super::{AccountAudit, Audit};
use crate::domain::Credits;
use crate::domain::ledger::{Account, Entry, EntryKind, GrantId, HoldStatus};
use crate::store::sqlite::accounts::{state_text, state_text_3};
use crate::store::sqlite::journal::{Journal, Position, StorageError};
use crate::store::sqlite::rows::{Place, StoredEntry};
use crate::store::sqlite::times::At;

/// Rows of the journal between two calls of `progress`.
const PROGRESS_ROWS: u64 = 10_000;

impl Audit<'_> {
    /// Applies every entry to its account, in the order of the journal.
    pub(super) fn apply_entries(&mut self) -> Result<(), StorageError> {
        let connection = &self.journal.connection;
        let total = "SELECT count(*) FROM entries WHERE position > ?1 OR ?1 = 0";
        let total: i64 = connection.query_row(total, [self.floor], |r| r.get(0))?;
        let total = u64::try_from(total).unwrap_or_default();
        let mut snapshots = self.snapshots()?;
        // Without an archive, what stands before position 1 is found as well.
        let first = match self.floor {
            0 => i64::MIN,
            floor => floor,
        };
        let (mut last, mut read) = (first, 0_u64);
        self.check_since(self.floor)?;
        'rows: loop {
            // In pages, since checks of an entry run further queries on the connection.
            let ids = self.ids_after(last)?;
            if ids.is_empty() {
                break;
            }
            for id in ids {
                if id <= last {
                    // A page of the file that is damaged leads back, again and again.
                    self.report.add(format!(
                        "the entry at position {id} stands behind that at {last}: the audit ends here"
                    ));
                    break 'rows;
                }
                last = id;
                self.check_position(self.last_position.saturating_add(1), id);
                self.apply_entry(Position(id), &mut snapshots);
                self.last_position = id;
                self.check_since(id)?;
                read = read.saturating_add(1);
                if read.is_multiple_of(PROGRESS_ROWS) {
                    (self.progress)(read, total);
                }
            }
        }
        (self.progress)(read, total);
        let others = format!(
            "SELECT count(*) FROM entries WHERE kind IN ('extend', 'update') AND position > {}",
            self.floor
        );
        self.report.other_rows = u64::try_from(self.count(&others)?).unwrap_or_default();
        self.report.entries = read.saturating_sub(self.report.other_rows);
        for (account, position) in snapshots {
            self.report.add(format!(
                "a snapshot of account {account} names the entry at {position}, which is none of its"
            ));
        }
        Ok(())
    }

    fn ids_after(&self, last: i64) -> Result<Vec<i64>, StorageError> {
        let mut statement = self.journal.connection.prepare_cached(
            "SELECT position FROM entries WHERE position > ?1 ORDER BY position LIMIT 1000",
        )?;
        let ids = statement.query_map([last], |row| row.get(0))?;
        Ok(ids.collect::<Result<_, _>>()?)
    }

    fn snapshots(&self) -> Result<HashSet<(i64, i64)>, StorageError> {
        let mut statement = self
            .journal
            .connection
            .prepare("SELECT account_id, position FROM snapshots")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn apply_entry(&mut self, position: Position, snapshots: &mut HashSet<(i64, i64)>) {
        let stored = match self.journal.entry(position) {
            Ok(Some(stored)) => stored,
            Ok(None) => return,
            Err(StorageError(cause)) => {
                let account = self.stop_account_at(position);
                let position = position.0;
                let cause = match cause.starts_with("the entry at") {
                    true => cause,
                    false => format!("the entry at {position} cannot be read: {cause}"),
                };
                self.report.add(match account {
                    Some(name) => format!("{cause}; it is of {name}"),
                    None => cause,
                });
                return;
            }
        };
        let (entry, place) = (&stored.entry, stored.place);
        let Some(mut account_audit) = self.accounts.remove(&place.account_id) else {
            self.report.add(format!(
                "the entry at {} is of account {}, which is not there",
                position.0, place.account_id
            ));
            return;
        };
        if let Some(account) = &mut account_audit.account {
            let mut wrong = Vec::new();
            if entry.request_id.is_some() && account.has_lapsed(entry.create_time) {
                wrong.push("something had ended before it and had not left".to_owned());
            }
            if let Some(problem) = misspent(&self.journal, place, entry) {
                wrong.push(problem);
            }
            if account.apply(entry).is_err() || place.previous != account_audit.head {
                wrong.push("it does not follow from those before it".to_owned());
                account_audit.account = None;
            }
            wrong.extend(self.wrong_price(entry));
            for problem in wrong {
                let place = account_audit.place(&stored);
                self.report.add(format!("{place}: {problem}"));
            }
        }
        account_audit.opened_by_update |=
            account_audit.head.is_none() && matches!(entry.kind, EntryKind::Update(_));
        account_audit.head = Some(position);
        if matches!(entry.kind, EntryKind::Update(_)) {
            account_audit.last_update = Some(position);
        }
        let mut form = std::mem::take(&mut self.form);
        self.check_chain(&stored, &mut account_audit, &mut form);
        self.form = form;
        account_audit.steps = match snapshots.contains(&(place.account_id, position.0)) {
            true => 0,
            false => account_audit.steps.saturating_add(1),
        };
        self.check_answer(&stored, &account_audit);
        self.check_lookup_tables(&stored, &account_audit);
        self.check_row(place, entry, &mut account_audit);
        if snapshots.remove(&(place.account_id, position.0)) {
            self.check_snapshot(place, &account_audit);
        }
        self.accounts.insert(place.account_id, account_audit);
    }

    /// Ends the checks of the account of an entry that cannot be read. Returns its name.
    fn stop_account_at(&mut self, position: Position) -> Option<String> {
        let account = self.journal.connection.query_row(
            "SELECT account_id FROM entries WHERE position = ?1",
            [position.0],
            |row| row.get::<_, i64>(0),
        );
        let chain = self.stored_chain(position);
        if let Ok(account) = account
            && let Some(account_audit) = self.accounts.get_mut(&account)
        {
            account_audit.account = None;
            account_audit.row_was_checked |= account_audit.row_head == Some(position);
            account_audit.head = Some(position);
            account_audit.chain = chain.unwrap_or(account_audit.chain);
            return Some(account_audit.name.clone());
        }
        None
    }

    /// A priced entry must have the cost of its usage by its revision.
    fn wrong_price(&mut self, entry: &Entry) -> Option<String> {
        let (Some(usage), Some(pricing), Some(service)) =
            (&entry.usage, &entry.pricing, &entry.service)
        else {
            return entry
                .usage
                .is_some()
                .then(|| "it has a usage and no price".to_owned());
        };
        let cost = match entry.kind {
            EntryKind::Hold => entry.held,
            _ => entry.spent,
        };
        self.report.priced = self.report.priced.saturating_add(1);
        match self.reprice.price(pricing, &usage.of(service)) {
            Some(again) if again == cost => None,
            Some(again) => Some(format!(
                "it cost {cost}, and its usage costs {again} under revision {}",
                pricing.revision
            )),
            None => Some(format!(
                "its usage has no price under revision {}",
                pricing.revision
            )),
        }
    }

    /// The available credits of the answer can differ from those after the entry only by lapses
    /// that followed from it at once.
    fn check_answer(&mut self, stored: &StoredEntry, account_audit: &AccountAudit) {
        let (entry, answered) = (&stored.entry, stored.answered);
        let is_impossible = answered > entry.available || answered < Credits::ZERO;
        let made_by_server = entry.request_id.is_none() && answered != entry.available;
        if is_impossible || made_by_server {
            self.report.add(format!(
                "{}: it was answered by {answered}, with {} available",
                account_audit.place(stored),
                entry.available
            ));
        }
    }

    /// The tables by which an entry is looked up must have it.
    fn check_lookup_tables(&mut self, stored: &StoredEntry, account_audit: &AccountAudit) {
        let (place, entry) = (stored.place, &stored.entry);
        let (account, position, id) = (place.account_id, place.position.0, entry.id.0);
        let one = |sql: &str, params: &[i64]| -> Result<bool, StorageError> {
            let params = rusqlite::params_from_iter(params);
            let mut statement = self.journal.connection.prepare_cached(sql)?;
            Ok(statement.exists(params)?)
        };
        let is_there = match &entry.kind {
            EntryKind::Grant { id: grant, terms } => one(
                "SELECT 1 FROM grants
                  WHERE account_id = ?1 AND grant_id = ?2 AND position = ?3 AND granted = ?4",
                &[account, grant.0, position, entry.credits.nanos()],
            )
            .map(|is_there| is_there && terms.granted == entry.credits),
            EntryKind::Revoke(GrantId(grant)) => one(
                "SELECT 1 FROM revocations
                  WHERE account_id = ?1 AND grant_id = ?2 AND entry_id <= ?3",
                &[account, *grant, id],
            ),
            EntryKind::Refund { of, .. } => one(
                "SELECT 1 FROM refunds
                  WHERE account_id = ?1 AND refunded_id = ?2 AND entry_id = ?3 AND credits = ?4",
                &[account, of.0, id, entry.credits.nanos()],
            ),
            kind => match entry.hold.as_deref() {
                Some(hold) if matches!(kind, EntryKind::Hold) => one(
                    "SELECT 1 FROM holds WHERE account_id = ?1 AND hold_id = ?2 AND made = ?3",
                    &[account, hold.id.0, position],
                ),
                Some(hold) if hold.status != HoldStatus::Open => one(
                    "SELECT 1 FROM holds WHERE account_id = ?1 AND hold_id = ?2 AND closed = ?3",
                    &[account, hold.id.0, position],
                ),
                _ => Ok(true),
            },
        };
        let problem = match is_there {
            Ok(true) => return,
            Ok(false) => "what it says is not in the table where it is looked for".to_owned(),
            Err(StorageError(cause)) => cause,
        };
        let place = account_audit.place(stored);
        self.report.add(format!("{place}: {problem}"));
    }

    /// Compares the account with its row, at the entry at which the row ends.
    fn check_row(&mut self, place: Place, entry: &Entry, account_audit: &mut AccountAudit) {
        if account_audit.row_head != Some(place.position) {
            return;
        }
        account_audit.row_was_checked = true;
        let Some(account) = &account_audit.account else {
            return;
        };
        let stored = self.journal.connection.query_row(
            "SELECT state, last_time, steps FROM accounts WHERE account_id = ?1",
            [place.account_id],
            |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, At>(1)?,
                    row.get::<_, u32>(2)?,
                ))
            },
        );
        let is_right = stored.is_ok_and(|(state, time, steps)| {
            account_audit.makes_state(account, &state)
                && (time, steps) == (At(entry.create_time), account_audit.steps)
        });
        if !is_right {
            self.report.add(format!(
                "account {}: its row is not what its entries up to {} make",
                account_audit.name, entry.id.0
            ));
        }
    }

    fn check_snapshot(&mut self, place: Place, account_audit: &AccountAudit) {
        let Some(account) = &account_audit.account else {
            return;
        };
        let stored = self.journal.connection.query_row(
            "SELECT state, entry_id, create_time FROM snapshots
             WHERE account_id = ?1 AND position = ?2",
            [place.account_id, place.position.0],
            |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, i64>(1)?,
                    row.get::<_, At>(2)?,
                ))
            },
        );
        let entry = account.last().entry.0;
        let is_right = stored.is_ok_and(|(state, number, time)| {
            account_audit.makes_state(account, &state)
                && (number, time) == (entry, At(account.last_time()))
        });
        if !is_right {
            self.report.add(format!(
                "account {}: its snapshot at entry {entry} is not what its entries make",
                account_audit.name
            ));
        }
    }
}

impl AccountAudit {
    /// Where a row stands: "entry 3 of team-a, at position 7".
    pub(super) fn place(&self, stored: &StoredEntry) -> String {
        let (id, position) = (stored.entry.id.0, stored.place.position.0);
        let row = match stored.entry.kind.is_move() {
            true => "entry",
            false => "the row after entry",
        };
        format!("{row} {id} of {}, at position {position}", self.name)
    }

    /// Whether a stored state is that of the account, as this version writes it or as version 3
    /// did.
    fn makes_state(&self, account: &Account, state: &str) -> bool {
        let is_of_3 = || state_text_3(account).as_deref() == Some(state);
        state_text(account) == state || (!self.opened_by_update && is_of_3())
    }
}

/// A grant that paid although its services do not include the entry's.
fn misspent(journal: &Journal, place: Place, entry: &Entry) -> Option<String> {
    let pays = matches!(
        entry.kind,
        EntryKind::Charge | EntryKind::Hold | EntryKind::Settle
    );
    if !pays {
        return None;
    }
    for share in entry
        .shares
        .iter()
        .filter(|share| share.credits < Credits::ZERO)
    {
        let facts = journal.grant_facts(place.account_id, share.grant);
        let facts = facts.ok().flatten();
        let Some(facts) = facts else {
            return Some(format!(
                "it took from grant {}, which is not there",
                share.grant.0
            ));
        };
        if !facts.terms.pays_for(entry.service.as_deref()) {
            return Some(format!(
                "it took from grant {}, which may not pay for it",
                share.grant.0
            ));
        }
    }
    None
}
