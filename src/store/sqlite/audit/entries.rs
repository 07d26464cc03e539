//! The journal, entry by entry.

use std::collections::HashSet;

use super::{Audit, Fold};
use crate::domain::Credits;
use crate::domain::ledger::{Entry, EntryKind, GrantId, HoldStatus};
use crate::store::sqlite::accounts::state_text;
use crate::store::sqlite::journal::{BadRow, Journal, Position};
use crate::store::sqlite::rows::Place;
use crate::store::sqlite::times::At;

/// How often progress is told, in entries.
const PROGRESS_ENTRIES: u64 = 10_000;

impl Audit<'_> {
    /// Folds every entry onto its account, in the order of writing.
    pub(super) fn fold_entries(&mut self) -> Result<(), BadRow> {
        let connection = &self.journal.connection;
        let total: i64 = connection.query_row("SELECT count(*) FROM entries", [], |r| r.get(0))?;
        let total = u64::try_from(total).unwrap_or_default();
        let mut snapshots = self.snapshots()?;
        let mut last = i64::MIN;
        loop {
            // A page at a time, since each entry asks further questions.
            let ids = self.ids_after(last)?;
            if ids.is_empty() {
                break;
            }
            for id in ids {
                last = id;
                self.fold_entry(Position(id), &mut snapshots);
                self.report.entries = self.report.entries.saturating_add(1);
                if self.report.entries.is_multiple_of(PROGRESS_ENTRIES) {
                    (self.progress)(self.report.entries, total);
                }
            }
        }
        (self.progress)(self.report.entries, total);
        for (account, position) in snapshots {
            self.report.add(format!(
                "a snapshot of account {account} names the entry at {position}, which is none of its"
            ));
        }
        Ok(())
    }

    fn ids_after(&self, last: i64) -> Result<Vec<i64>, BadRow> {
        let mut statement = self.journal.connection.prepare_cached(
            "SELECT position FROM entries WHERE position > ?1 ORDER BY position LIMIT 1000",
        )?;
        let ids = statement.query_map([last], |row| row.get(0))?;
        Ok(ids.collect::<Result<_, _>>()?)
    }

    fn snapshots(&self) -> Result<HashSet<(i64, i64)>, BadRow> {
        let mut statement = self
            .journal
            .connection
            .prepare("SELECT account_id, position FROM snapshots")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn fold_entry(&mut self, position: Position, snapshots: &mut HashSet<(i64, i64)>) {
        let stored = match self.journal.entry(position) {
            Ok(Some(stored)) => stored,
            Ok(None) => return,
            Err(BadRow(cause)) => {
                self.report.add(cause);
                self.give_up_after(position);
                return;
            }
        };
        let (entry, place) = (&stored.entry, stored.place);
        let Some(mut fold) = self.folds.remove(&place.account_id) else {
            self.report.add(format!(
                "the entry at {} is of account {}, which is not there",
                position.0, place.account_id
            ));
            return;
        };
        if let Some(account) = &mut fold.account {
            let mut wrong = Vec::new();
            if entry.request_id.is_some() && account.has_lapsed(entry.create_time) {
                wrong.push("something had ended before it and had not left".to_owned());
            }
            if let Some(problem) = misspent(&self.journal, place, entry) {
                wrong.push(problem);
            }
            if account.apply(entry).is_err() || place.previous != fold.head {
                wrong.push("it does not follow from those before it".to_owned());
                fold.account = None;
            }
            wrong.extend(self.wrong_price(entry));
            for problem in wrong {
                self.report
                    .add(format!("entry {} of {}: {problem}", entry.id.0, fold.name));
            }
        }
        fold.head = Some(position);
        self.check_answer(entry, stored.answered, &fold);
        self.check_found(place, entry, &fold);
        self.check_row(place, entry, &mut fold);
        if snapshots.remove(&(place.account_id, position.0)) {
            self.check_snapshot(place, &fold);
        }
        self.folds.insert(place.account_id, fold);
    }

    /// An entry that cannot be read: what its account has after it is not known.
    fn give_up_after(&mut self, position: Position) {
        let account = self.journal.connection.query_row(
            "SELECT account_id FROM entries WHERE position = ?1",
            [position.0],
            |row| row.get::<_, i64>(0),
        );
        if let Ok(account) = account
            && let Some(fold) = self.folds.get_mut(&account)
        {
            fold.account = None;
            fold.row_seen |= fold.row_head == Some(position);
            fold.head = Some(position);
        }
    }

    /// A priced entry must cost what its usage costs under its revision.
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
        match self.reprice.price(&pricing.revision, &usage.of(service)) {
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

    /// What the caller was told, where it was not what is available after the entry:
    /// only what follows from an entry at once can make a difference.
    fn check_answer(&mut self, entry: &Entry, answered: Credits, fold: &Fold) {
        let gone = answered > entry.available || answered < Credits::ZERO;
        let made_by_server = entry.request_id.is_none() && answered != entry.available;
        if gone || made_by_server {
            self.report.add(format!(
                "entry {} of {}: it was answered by {answered}, with {} available",
                entry.id.0, fold.name, entry.available
            ));
        }
    }

    /// What an entry says is also found where it is checked for.
    fn check_found(&mut self, place: Place, entry: &Entry, fold: &Fold) {
        let (account, position, id) = (place.account_id, place.position.0, entry.id.0);
        let one = |sql: &str, params: &[i64]| -> Result<bool, BadRow> {
            let params = rusqlite::params_from_iter(params);
            let mut statement = self.journal.connection.prepare_cached(sql)?;
            Ok(statement.exists(params)?)
        };
        let found = match &entry.kind {
            EntryKind::Grant { id: grant, terms } => one(
                "SELECT 1 FROM grants
                  WHERE account_id = ?1 AND grant_id = ?2 AND position = ?3 AND granted = ?4",
                &[account, grant.0, position, entry.credits.nanos()],
            )
            .map(|found| found && terms.granted == entry.credits),
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
        let name = &fold.name;
        match found {
            Ok(true) => {}
            Ok(false) => self.report.add(format!(
                "entry {id} of {name}: what it says is not in the table where it is checked for"
            )),
            Err(BadRow(cause)) => self.report.add(format!("entry {id} of {name}: {cause}")),
        }
    }

    /// The account's row, where the journal has come to where it stands.
    fn check_row(&mut self, place: Place, entry: &Entry, fold: &mut Fold) {
        if fold.row_head != Some(place.position) {
            return;
        }
        fold.row_seen = true;
        let Some(account) = &fold.account else { return };
        let kept = self.journal.connection.query_row(
            "SELECT state, last_time FROM accounts WHERE account_id = ?1",
            [place.account_id],
            |row| Ok((row.get::<_, String>(0)?, row.get::<_, At>(1)?)),
        );
        let expected = (state_text(account), At(entry.create_time));
        if kept.ok() != Some(expected) {
            self.report.add(format!(
                "account {}: its row is not what its entries up to {} make",
                fold.name, entry.id.0
            ));
        }
    }

    fn check_snapshot(&mut self, place: Place, fold: &Fold) {
        let Some(account) = &fold.account else { return };
        let kept = self.journal.connection.query_row(
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
        let expected = (state_text(account), entry, At(account.last_time()));
        if kept.ok() != Some(expected) {
            self.report.add(format!(
                "account {}: its snapshot at entry {entry} is not what its entries make",
                fold.name
            ));
        }
    }
}

/// What is wrong with the grants that paid: one that may not pay for that.
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
