//! What a start reads: the end of the journal, the dirty accounts, and the request_ids that are
//! in no sorted run. The amount is bounded however long the journal is.

use rusqlite::{Connection, OptionalExtension as _};

use super::SqliteSettings;
use super::journal::{Journal, Position, StorageError};
use super::ledger::Ledger;
use super::requests::{Limits, Requests, Scope};
use super::times::At;
use crate::domain::{AccountName, RequestId, Timestamp};

const NANOS_PER_HOUR: i64 = 3_600_000_000_000;
const NANOS_PER_DAY: i64 = 86_400_000_000_000;

/// The ledger of a file, and the time of its newest entry, if it has one.
pub(super) fn load(
    connection: Connection,
    settings: SqliteSettings,
) -> Result<(Ledger, Option<Timestamp>), StorageError> {
    let (flushed, indexed, key) = file_row(&connection)?;
    let limits = Limits {
        run_length: settings.request_run_length.max(1),
        retention_nanos: i64::from(settings.request_hours).saturating_mul(NANOS_PER_HOUR),
        credits_retention_nanos: i64::from(settings.request_days_credits)
            .saturating_mul(NANOS_PER_DAY),
        filter_bytes_max: settings.request_filter_bytes_max,
    };
    let requests = Requests::load(&connection, key, limits)?;
    let newest: Option<(i64, At)> = connection
        .query_row(
            "SELECT position, create_time FROM entries ORDER BY position DESC LIMIT 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    let last_position = newest.map_or(0, |(entry, _)| entry);
    let last_write = newest.map(|(_, At(time))| time);
    let last_account: i64 = connection.query_row(
        "SELECT coalesce(max(account_id), 0) FROM accounts",
        [],
        |row| row.get(0),
    )?;
    let mut ledger = Ledger::new(
        Journal::new(connection),
        requests,
        settings.accounts_max,
        Position(last_position).next(),
        last_account.saturating_add(1),
    );
    if let Some(unfinished) = ledger.journal.unfinished()? {
        tracing::warn!(
            "not all rows of archive {} ({}) are removed from the data file; run \"creditd archive\" again while no server uses it",
            unfinished.archive,
            unfinished.file
        );
    }
    for (entry, account, name) in dirty_entries(&ledger.journal, flushed)? {
        let name = AccountName::new(&name)
            .map_err(|_| StorageError(format!("account {account} has no proper name")))?;
        ledger.note_dirty(account, &name, entry);
    }
    read_requests(&mut ledger, indexed)?;
    Ok((ledger, last_write))
}

/// The row of `file`.
fn file_row(connection: &Connection) -> Result<(Position, Position, [u8; 16]), StorageError> {
    let sql = "SELECT flushed, indexed, key FROM file";
    Ok(connection.query_row(sql, [], |row| {
        Ok((Position(row.get(0)?), Position(row.get(1)?), row.get(2)?))
    })?)
}

/// The first and the newest entry, after `flushed`, of each account that has any there.
fn dirty_entries(
    journal: &Journal,
    flushed: Position,
) -> Result<Vec<(Position, i64, String)>, StorageError> {
    let mut statement = journal.connection.prepare(
        "SELECT e.first, e.account_id, a.name FROM (
           SELECT min(position) AS first, account_id FROM entries
            WHERE position > ?1 GROUP BY account_id
           UNION ALL
           SELECT max(position), account_id FROM entries
            WHERE position > ?1 GROUP BY account_id) e
         JOIN accounts a USING (account_id) ORDER BY e.first",
    )?;
    let rows = statement.query_map([flushed.0], |row| {
        Ok((Position(row.get(0)?), row.get(1)?, row.get(2)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds the request_ids of entries that are in no sorted run.
fn read_requests(ledger: &mut Ledger, indexed: Position) -> Result<(), StorageError> {
    let mut requests = Vec::new();
    {
        let mut statement = ledger.journal.connection.prepare(
            "SELECT position, account_id, create_time, request_id, kind FROM entries
             WHERE position > ?1 AND request_id IS NOT NULL ORDER BY position",
        )?;
        let mut rows = statement.query([indexed.0])?;
        while let Some(row) = rows.next()? {
            let entry: i64 = row.get(0)?;
            let id = row.get_ref(3)?.as_str().ok().map(RequestId::new);
            let Some(Ok(id)) = id else {
                return Err(StorageError(format!(
                    "entry {entry} has no proper request_id"
                )));
            };
            let At(time) = row.get(2)?;
            let scope = Scope::of(row.get_ref(4)?.as_str().unwrap_or_default());
            requests.push((Position(entry), row.get::<_, i64>(1)?, time, id, scope));
        }
    }
    for (entry, account, time, id, scope) in requests {
        ledger.note_request(account, &id, entry, time, scope);
    }
    Ok(())
}
