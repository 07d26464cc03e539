//! Erases texts of labels from a data file that no server uses. What stays of each is its digest,
//! so that the chains, and heads that were kept, are as they were.
//!
//! A request's fingerprint is a hash of its labels too, and goes with the first of them. So nothing
//! is erased from an entry whose request_id may still be known: it could not be compared then.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::chain::{ChainRow, Seals};
use super::journal::{Journal, Position, StorageError};
use super::open::{self, OpenError};
use super::requests::Scope;
use super::rows::StoredEntry;
use super::text::{StateText, labels_to_json, update_to_json};
use crate::domain::canonical::CanonicalForm;
use crate::domain::ledger::{AccountUpdate, Entry, EntryKind};
use crate::domain::{AccountName, Timestamp};

const SECONDS_PER_HOUR: u64 = 3_600;
const HOURS_PER_DAY: u64 = 24;
/// Rows of the journal that are looked through between two calls of `progress`.
const ROWS_MAX: i64 = 10_000;

/// What is to be erased.
#[derive(Clone, Debug)]
pub struct Erasure {
    /// The account whose labels they are.
    pub account: AccountName,
    /// Those of entries before then; None: of all.
    pub before: Option<Timestamp>,
    /// Those of these keys; empty: all.
    pub keys: BTreeSet<Box<str>>,
    /// The time now.
    pub now: Timestamp,
    /// For how many hours a request_id is known at least.
    pub request_hours: u32,
    /// For how many days that of a grant, refund or revocation is.
    pub request_days_credits: u32,
}

/// What was erased.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErasureReport {
    /// How many texts.
    pub texts: u64,
    /// Of how many rows of the journal.
    pub rows: u64,
    /// Of how many stored states of the account.
    pub states: u64,
    /// How many rows have such texts still, since their request_ids may be known.
    pub kept: u64,
}

impl Erasure {
    /// Whether the request_id of such an entry may still be known.
    fn may_be_known(&self, kind: &str, time: Timestamp) -> bool {
        let hours = match Scope::of(kind) {
            Scope::All => u64::from(self.request_hours),
            Scope::Credits => u64::from(self.request_days_credits).saturating_mul(HOURS_PER_DAY),
        };
        self.now.since(time) <= Duration::from_secs(hours.saturating_mul(SECONDS_PER_HOUR))
    }
}

/// Erases texts. `progress` gets the number of rows of the journal looked through and of all rows.
///
/// # Errors
/// Why the file cannot be used, that it has no such account, or why nothing was erased.
pub fn erase(
    path: &Path,
    erasure: &Erasure,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<ErasureReport, String> {
    // The lock is kept until the end.
    let opened = open::open(path).map_err(|error: OpenError| error.to_string())?;
    let failed = |StorageError(cause)| format!("data file {}: {cause}", path.display());
    let report = erase_all(opened.connection, erasure, progress).map_err(failed)?;
    report.ok_or_else(|| {
        format!(
            "data file {}: it has no account \"{}\"; nothing was erased",
            path.display(),
            erasure.account
        )
    })
}

/// The same over an open file. None: there is no such account.
fn erase_all(
    connection: Connection,
    erasure: &Erasure,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Option<ErasureReport>, StorageError> {
    // Freed bytes of pages are overwritten.
    connection.pragma_update(None, "secure_delete", true)?;
    let journal = Journal::new(connection);
    let account: Option<i64> = journal
        .connection
        .query_row(
            "SELECT account_id FROM accounts WHERE name = ?1",
            [erasure.account.as_str()],
            |row| row.get(0),
        )
        .optional()?;
    let report = match account {
        None => None,
        Some(account) => {
            journal.connection.execute_batch("BEGIN IMMEDIATE")?;
            let report = journal.erase(account, erasure, progress)?;
            journal.connection.execute_batch("COMMIT")?;
            Some(report)
        }
    };
    let connection = journal.connection;
    if report.is_some_and(|report| report.rows > 0) {
        // States that were written earlier left bytes in pages: all of them are written anew.
        connection.execute_batch("VACUUM")?;
    }
    close(connection)?;
    Ok(report)
}

/// Notes that no server uses the file, and leaves nothing in the `-wal`.
fn close(connection: Connection) -> Result<(), StorageError> {
    connection.execute("UPDATE file SET in_use = 0", [])?;
    let busy: i64 =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy != 0 {
        return Err(StorageError(
            "another program reads the file, so the -wal still has texts that were erased; end that program, and erase again".to_owned(),
        ));
    }
    open::skip_checkpoint_at_close(&connection, false)?;
    (connection.close()).map_err(|(_, error)| StorageError::from(error))
}

/// An update, and the keys of the labels that were erased from it.
struct ErasedUpdate {
    position: i64,
    keys: BTreeSet<Box<str>>,
}

impl Journal {
    fn erase(
        &self,
        account: i64,
        erasure: &Erasure,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<ErasureReport, StorageError> {
        let last = "SELECT coalesce(max(position), 0) FROM entries";
        let last: i64 = self.connection.query_row(last, [], |row| row.get(0))?;
        let count = |position: i64| u64::try_from(position).unwrap_or_default();
        let mut report = ErasureReport::default();
        let mut updates = Vec::new();
        let mut done = 0_i64;
        while done < last {
            let end = done.saturating_add(ROWS_MAX);
            for position in self.rows_with_labels(account, (done, end))? {
                if let Some(stored) = self.entry(Position(position))? {
                    self.erase_row(&stored, erasure, (&mut report, &mut updates))?;
                }
            }
            done = end;
            progress(count(done.min(last)), count(last));
        }
        if updates.iter().any(|update| !update.keys.is_empty()) {
            report.states = self.erase_states(account, &updates)?;
        }
        Ok(report)
    }

    /// Positions of rows that can have labels, and of all updates.
    fn rows_with_labels(
        &self,
        account: i64,
        (after, until): (i64, i64),
    ) -> Result<Vec<i64>, StorageError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT position FROM entries
              WHERE position > ?2 AND position <= ?3 AND account_id = ?1
                AND (labels IS NOT NULL OR account IS NOT NULL) ORDER BY position",
        )?;
        let rows = statement.query_map([account, after, until], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn erase_row(
        &self,
        stored: &StoredEntry,
        erasure: &Erasure,
        (report, updates): (&mut ErasureReport, &mut Vec<ErasedUpdate>),
    ) -> Result<(), StorageError> {
        let (entry, position) = (&stored.entry, stored.place.position.0);
        let labels = super::chain::sealed_labels(entry);
        let keys = labels.iter().map(|(key, _)| key);
        let keys = keys.filter(|key| erasure.keys.is_empty() || erasure.keys.contains(*key));
        let mut keys: BTreeSet<Box<str>> = keys.map(Into::into).collect();
        let is_late = erasure
            .before
            .is_some_and(|before| entry.create_time >= before);
        if is_late {
            keys.clear();
        }
        if !keys.is_empty() && erasure.may_be_known(entry.kind.name(), entry.create_time) {
            report.kept = report.kept.saturating_add(1);
            keys.clear();
        }
        if !keys.is_empty() {
            self.write_erased(stored, &keys)?;
            let texts = u64::try_from(keys.len()).unwrap_or(u64::MAX);
            report.texts = report.texts.saturating_add(texts);
            report.rows = report.rows.saturating_add(1);
        }
        if matches!(entry.kind, EntryKind::Update(_)) {
            updates.push(ErasedUpdate { position, keys });
        }
        Ok(())
    }

    /// Writes a row without these texts. Its hash must be what it was.
    fn write_erased(
        &self,
        stored: &StoredEntry,
        keys: &BTreeSet<Box<str>>,
    ) -> Result<(), StorageError> {
        let position = stored.place.position;
        let wrong = || StorageError(format!("the entry at {} cannot be erased", position.0));
        let (seals, labels) = stored
            .seals
            .without(&stored.entry, stored.fingerprint.as_ref(), keys)
            .ok_or_else(wrong)?;
        let mut entry = Entry::clone(&stored.entry);
        match &mut entry.kind {
            EntryKind::Update(update) => {
                let mut settings = update.settings.clone();
                settings.labels = labels;
                *update = Arc::new(AccountUpdate {
                    settings,
                    ..AccountUpdate::clone(update)
                });
            }
            _ => entry.labels = labels,
        }
        let hash = |entry: &Entry, fingerprint, seals: &Seals| {
            let row = ChainRow {
                position,
                entry,
                fingerprint,
                answered: None,
                seals,
            };
            row.hash(&super::chain::BEGINNING, &mut CanonicalForm::default())
        };
        let before = hash(&stored.entry, stored.fingerprint.as_ref(), &stored.seals);
        if before.is_none() || hash(&entry, None, &seals) != before {
            return Err(wrong());
        }
        let account = match &entry.kind {
            EntryKind::Update(update) => update_to_json(update),
            _ => None,
        };
        self.connection
            .prepare_cached(
                "UPDATE entries SET labels = ?2, account = ?3, fingerprint = NULL, salts = ?4,
                        erased = ?5 WHERE position = ?1",
            )?
            .execute(params![
                position.0,
                labels_to_json(&entry.labels),
                account,
                seals.salts(),
                seals.erased_text(),
            ])?;
        Ok(())
    }

    /// Erases the same texts from the states that have them from these updates, and returns how
    /// many there were.
    fn erase_states(&self, account: i64, updates: &[ErasedUpdate]) -> Result<u64, StorageError> {
        let mut states: Vec<(i64, String)> = Vec::new();
        for sql in [
            "SELECT position, state FROM snapshots WHERE account_id = ?1",
            "SELECT head, state FROM accounts WHERE account_id = ?1 AND head IS NOT NULL",
            "SELECT position, state FROM openings WHERE account_id = ?1",
        ] {
            let mut statement = self.connection.prepare(sql)?;
            let rows = statement.query_map([account], |row| Ok((row.get(0)?, row.get(1)?)))?;
            states.extend(rows.collect::<Result<Vec<_>, _>>()?);
        }
        let mut erased = 0_u64;
        for (position, text) in states {
            let update = updates.iter().rfind(|update| update.position <= position);
            let Some(update) = update.filter(|update| !update.keys.is_empty()) else {
                continue;
            };
            let wrong = |_| StorageError(format!("the state at {position} cannot be read"));
            let mut state: StateText = serde_json::from_str(&text).map_err(wrong)?;
            state.remove_labels(&update.keys);
            let state = serde_json::to_string(&state).map_err(wrong)?;
            for sql in [
                "UPDATE snapshots SET state = ?3 WHERE account_id = ?1 AND position = ?2",
                "UPDATE accounts SET state = ?3 WHERE account_id = ?1 AND head = ?2",
                "UPDATE openings SET state = ?3 WHERE account_id = ?1 AND position = ?2",
            ] {
                (self.connection.prepare_cached(sql)?)
                    .execute(params![account, position, state])?;
            }
            erased = erased.saturating_add(1);
        }
        Ok(erased)
    }
}
