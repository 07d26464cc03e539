//! Checks of request_ids: each was used once, and the index has it.

use std::time::Duration;

use rusqlite::OptionalExtension as _;

use super::Audit;
use crate::domain::RequestId;
use crate::store::sqlite::journal::StorageError;
use crate::store::sqlite::requests::{Keys, PAIR_BYTES, Scope, SortedRun};
use crate::store::sqlite::times::At;

const SECONDS_PER_HOUR: u64 = 3_600;
/// For how long a request_id is known at least, with any settings; and that of a grant, refund
/// or revocation.
const KNOWN_FOR: Duration = Duration::from_secs(72 * SECONDS_PER_HOUR);
const KNOWN_FOR_CREDITS: Duration = Duration::from_secs(90 * 24 * SECONDS_PER_HOUR);

const fn known_for(scope: Scope) -> Duration {
    match scope {
        Scope::All => KNOWN_FOR,
        Scope::Credits => KNOWN_FOR_CREDITS,
    }
}

/// What was found of the keys of a run.
#[derive(Default)]
struct FoundKeys {
    count: u64,
    /// Those of rows that must be in it.
    counted: u64,
    /// Wrong ones, and those out of order.
    wrong: u64,
}

impl Audit<'_> {
    pub(super) fn check_requests(&mut self) -> Result<(), StorageError> {
        self.check_request_ids_unique()?;
        self.check_runs()
    }

    /// No request_id may have two entries within the time for which it is known at least.
    fn check_request_ids_unique(&mut self) -> Result<(), StorageError> {
        let mut statement = self.journal.connection.prepare(
            "SELECT account_id, request_id, entry_id, before, create_time, earlier, kind FROM (
               SELECT account_id, request_id, entry_id, create_time,
                      lag(entry_id) OVER w AS before, lag(create_time) OVER w AS earlier,
                      lag(kind) OVER w AS kind
                 FROM entries WHERE request_id IS NOT NULL
               WINDOW w AS (PARTITION BY account_id, request_id ORDER BY position))
              WHERE before IS NOT NULL",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (At(time), At(earlier)) = (row.get(4)?, row.get(5)?);
            let scope = Scope::of(row.get_ref(6)?.as_str().unwrap_or_default());
            if time.since(earlier) >= known_for(scope) {
                continue;
            }
            let (account, request): (i64, String) = (row.get(0)?, row.get(1)?);
            let (entry, before): (i64, i64) = (row.get(2)?, row.get(3)?);
            self.report.add(format!(
                "entries {before} and {entry} of account {account} answer one request_id, {request}"
            ));
        }
        let unnamed = "SELECT count(*) FROM entries
             WHERE (request_id IS NULL) <> (fingerprint IS NULL AND erased IS NULL)
                OR length(fingerprint) <> 16";
        let unnamed: i64 = self
            .journal
            .connection
            .query_row(unnamed, [], |row| row.get(0))?;
        if unnamed != 0 {
            self.report.add(format!(
                "{unnamed} entries have a request_id without a fingerprint, or the other way round"
            ));
        }
        Ok(())
    }

    /// Each run must have exactly the request_ids of its scope in its range of the journal.
    fn check_runs(&mut self) -> Result<(), StorageError> {
        let connection = &self.journal.connection;
        let (key, all_indexed) =
            connection.query_row("SELECT key, indexed FROM file", [], |row| {
                Ok((row.get(0)?, row.get::<_, i64>(1)?))
            })?;
        let keys = Keys::new(key);
        let runs = SortedRun::read_all(connection, usize::MAX)?;
        for scope in Scope::BOTH {
            // The range of the oldest run begins where a dropped run ended. Where that was is not
            // known, but what is not too old was in no dropped run.
            let mut indexed = None;
            let too_old = self.last_forgotten(scope)?;
            for run in runs.iter().filter(|run| run.scope == scope) {
                let from = indexed.unwrap_or(too_old).max(self.floor);
                let found = self.keys_of(keys, run, (indexed, from))?;
                let there = self.count_requests(scope, (from, run.last_position))?;
                let length = u64::try_from(run.length).unwrap_or_default();
                let (count, wrong) = (found.count, found.wrong);
                let missing = there.saturating_sub(found.counted);
                if wrong != 0 || found.counted != there || length != count {
                    let id = run.id;
                    self.report.add(format!(
                        "run {id} of request_ids is not what the journal says: {wrong} of {count} are wrong, and {missing} are missing"
                    ));
                }
                indexed = Some(run.last_position);
            }
            let from = indexed.unwrap_or(too_old).max(self.floor);
            let in_no_run = self.count_requests(scope, (from, all_indexed))?;
            if in_no_run != 0 {
                self.report.add(format!(
                    "{in_no_run} request_ids{} up to {all_indexed} are in no run, and are not old enough for that",
                    match scope {
                        Scope::All => "",
                        Scope::Credits => " of grants, refunds and revocations",
                    }
                ));
            }
        }
        Ok(())
    }

    /// The newest row whose request_id is so old that a run may have been dropped with it; 0 where
    /// there is none. Rows with request_ids are in order of time; others may be dated earlier.
    fn last_forgotten(&self, scope: Scope) -> Result<i64, StorageError> {
        let connection = &self.journal.connection;
        let newest = "SELECT create_time FROM entries WHERE request_id IS NOT NULL
                       ORDER BY position DESC LIMIT 1";
        let newest = connection.query_row(newest, [], |row| row.get::<_, At>(0));
        let Some(At(newest)) = newest.optional()? else {
            return Ok(0);
        };
        let known_for = i64::try_from(known_for(scope).as_nanos()).unwrap_or(i64::MAX);
        let sql = "SELECT position FROM entries
                    WHERE request_id IS NOT NULL AND create_time <= ?1
                    ORDER BY position DESC LIMIT 1";
        let last = At(newest.plus_nanos(known_for.saturating_neg()));
        let last = connection.query_row(sql, [last], |row| row.get(0));
        Ok(last.optional()?.unwrap_or(0))
    }

    /// The keys of a run, whose range begins after `indexed` where that is known; those of rows
    /// after `from` are counted. Of a row that was removed nothing says what its key must be.
    fn keys_of(
        &self,
        keys: Keys,
        run: &SortedRun,
        (indexed, from): (Option<i64>, i64),
    ) -> Result<FoundKeys, StorageError> {
        let connection = &self.journal.connection;
        let mut statement = connection
            .prepare_cached("SELECT keys FROM request_keys WHERE run_id = ?1 ORDER BY first_key")?;
        let mut rows = statement.query([run.id])?;
        let mut found = FoundKeys::default();
        let mut previous = i64::MIN;
        while let Some(row) = rows.next()? {
            let bytes = row.get_ref(0)?.as_blob().unwrap_or_default();
            for pair in bytes.chunks_exact(PAIR_BYTES) {
                let (key, entry) = pair.split_at(8);
                let key = key.try_into().map_or(0, u64::from_be_bytes);
                let entry = entry.try_into().map_or(0, i64::from_be_bytes);
                let expected = connection
                    .prepare_cached(
                        "SELECT account_id, request_id, kind FROM entries WHERE position = ?1",
                    )?
                    .query_row([entry], |row| {
                        let id = row.get::<_, Option<String>>(1)?;
                        Ok((row.get::<_, i64>(0)?, id, row.get::<_, String>(2)?))
                    });
                let is_archived = (1..=self.floor).contains(&entry);
                let is_removed =
                    is_archived && matches!(expected, Err(rusqlite::Error::QueryReturnedNoRows));
                let expected = expected.ok().and_then(|(account, id, kind)| {
                    let key = keys.of(account, &RequestId::new(&id?).ok()?);
                    let belongs = run.scope == Scope::All || Scope::of(&kind) == run.scope;
                    belongs.then_some(key)
                });
                let in_range = entry <= run.last_position && indexed.is_none_or(|c| entry > c);
                let in_order = key.cast_signed() >= previous;
                let is_wrong = expected != Some(key) && !is_removed;
                if is_wrong || !in_range || !in_order || !run.may_have(key) {
                    found.wrong = found.wrong.saturating_add(1);
                }
                found.counted = (found.counted).saturating_add(u64::from(entry > from));
                previous = key.cast_signed();
                found.count = found.count.saturating_add(1);
            }
        }
        Ok(found)
    }

    /// How many request_ids of a scope the journal has after one row and up to another.
    fn count_requests(&self, scope: Scope, (from, to): (i64, i64)) -> Result<u64, StorageError> {
        let count: i64 = self.journal.connection.query_row(
            "SELECT count(*) FROM entries
              WHERE request_id IS NOT NULL AND position > ?1 AND position <= ?2
                AND (?3 OR kind IN ('grant', 'refund', 'revoke'))",
            (from, to, scope == Scope::All),
            |row| row.get(0),
        )?;
        Ok(u64::try_from(count).unwrap_or_default())
    }
}
