//! Checks of request_ids: each was used once, and the index has it.

use std::time::Duration;

use super::Audit;
use crate::domain::RequestId;
use crate::store::sqlite::journal::StorageError;
use crate::store::sqlite::requests::{Keys, PAIR_BYTES, Scope, SortedRun};
use crate::store::sqlite::times::At;

const SECONDS_PER_HOUR: u64 = 3_600;
/// For how long a request_id is known at least, with any settings; and that of a grant, refund
/// or revocation.
pub(super) const KNOWN_FOR: Duration = Duration::from_secs(72 * SECONDS_PER_HOUR);
const KNOWN_FOR_CREDITS: Duration = Duration::from_secs(90 * 24 * SECONDS_PER_HOUR);

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
            let known_for = match Scope::of(row.get_ref(6)?.as_str().unwrap_or_default()) {
                Scope::All => KNOWN_FOR,
                Scope::Credits => KNOWN_FOR_CREDITS,
            };
            if time.since(earlier) >= known_for {
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
        let key = connection.query_row("SELECT key FROM file", [], |row| row.get(0))?;
        let keys = Keys::new(key);
        let runs = SortedRun::read_all(connection, usize::MAX)?;
        for scope in Scope::BOTH {
            // The oldest run's range begins where a dropped run ended, which is not known.
            let mut indexed = None;
            for run in runs.iter().filter(|run| run.scope == scope) {
                let (count, archived, wrong) = self.wrong_keys(keys, run, indexed)?;
                let missing = match indexed {
                    Some(indexed) => {
                        let there = self.count_requests(run, indexed.max(self.floor))?;
                        there.saturating_add(archived) != count
                    }
                    None => false,
                };
                let length = u64::try_from(run.length).unwrap_or_default();
                if wrong != 0 || missing || length != count {
                    let id = run.id;
                    self.report.add(format!(
                        "run {id} of request_ids is not what the journal says: {wrong} of {count} are wrong"
                    ));
                }
                indexed = Some(run.last_position);
            }
        }
        Ok(())
    }

    /// How many keys a run has, how many of them are of archived rows, and how many are wrong or
    /// out of order. Of a row that was removed nothing says what its key must be.
    fn wrong_keys(
        &self,
        keys: Keys,
        run: &SortedRun,
        indexed: Option<i64>,
    ) -> Result<(u64, u64, u64), StorageError> {
        let connection = &self.journal.connection;
        let mut statement = connection
            .prepare_cached("SELECT keys FROM request_keys WHERE run_id = ?1 ORDER BY first_key")?;
        let mut rows = statement.query([run.id])?;
        let (mut count, mut archived, mut wrong) = (0_u64, 0_u64, 0_u64);
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
                    wrong = wrong.saturating_add(1);
                }
                archived = archived.saturating_add(u64::from(is_archived));
                previous = key.cast_signed();
                count = count.saturating_add(1);
            }
        }
        Ok((count, archived, wrong))
    }

    /// How many request_ids the journal has in the range of a run.
    fn count_requests(&self, run: &SortedRun, indexed: i64) -> Result<u64, StorageError> {
        let all = run.scope == Scope::All;
        let count: i64 = self.journal.connection.query_row(
            "SELECT count(*) FROM entries
              WHERE request_id IS NOT NULL AND position <= ?1 AND position > ?2
                AND (?3 OR kind IN ('grant', 'refund', 'revoke'))",
            (run.last_position, indexed, all),
            |row| row.get(0),
        )?;
        Ok(u64::try_from(count).unwrap_or_default())
    }
}
