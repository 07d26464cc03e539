//! Request_ids: each was used once, and is found.

use std::time::Duration;

use super::Audit;
use crate::domain::RequestId;
use crate::store::sqlite::journal::BadRow;
use crate::store::sqlite::requests::{Keys, PAIR_BYTES, Run};
use crate::store::sqlite::times::At;

const KNOWN_FOR: Duration = Duration::from_secs(86_400);

impl Audit<'_> {
    pub(super) fn check_requests(&mut self) -> Result<(), BadRow> {
        self.check_once()?;
        self.check_runs()
    }

    /// No request_id moved twice within the day for which it is known at least.
    fn check_once(&mut self) -> Result<(), BadRow> {
        let mut statement = self.journal.connection.prepare(
            "SELECT account_id, request_id, entry_id, before, create_time, earlier FROM (
               SELECT account_id, request_id, entry_id, create_time,
                      lag(entry_id) OVER w AS before, lag(create_time) OVER w AS earlier
                 FROM entries WHERE request_id IS NOT NULL
               WINDOW w AS (PARTITION BY account_id, request_id ORDER BY entry_id))
              WHERE before IS NOT NULL",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (At(time), At(earlier)) = (row.get(4)?, row.get(5)?);
            if time.since(earlier) >= KNOWN_FOR {
                continue;
            }
            let (account, request): (i64, String) = (row.get(0)?, row.get(1)?);
            let (entry, before): (i64, i64) = (row.get(2)?, row.get(3)?);
            self.report.add(format!(
                "entries {before} and {entry} of account {account} answer one request_id, {request}"
            ));
        }
        let unnamed = "SELECT count(*) FROM entries
             WHERE (request_id IS NULL) <> (fingerprint IS NULL) OR length(fingerprint) <> 16";
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

    /// Each run has exactly the request_ids of its part of the journal.
    fn check_runs(&mut self) -> Result<(), BadRow> {
        let key: [u8; 16] =
            self.journal
                .connection
                .query_row("SELECT key FROM file", [], |row| row.get(0))?;
        let keys = Keys::new(key);
        // The part before the oldest run that is kept belongs to runs that are dropped.
        let mut covered = None;
        for (id, last_entry, run) in Run::read_all(&self.journal.connection, usize::MAX)? {
            let mut statement = self.journal.connection.prepare_cached(
                "SELECT keys FROM request_keys WHERE run_id = ?1 ORDER BY first_key",
            )?;
            let mut rows = statement.query([id])?;
            let (mut found, mut wrong, mut previous) = (0_i64, 0_u64, i64::MIN);
            while let Some(row) = rows.next()? {
                let bytes = row.get_ref(0)?.as_blob().unwrap_or_default();
                for pair in bytes.chunks_exact(PAIR_BYTES) {
                    let (key, entry) = pair.split_at(8);
                    let key = key.try_into().map_or(0, u64::from_be_bytes);
                    let entry = entry.try_into().map_or(0, i64::from_be_bytes);
                    let said = self
                        .journal
                        .connection
                        .prepare_cached(
                            "SELECT account_id, request_id FROM entries WHERE entry_id = ?1",
                        )?
                        .query_row([entry], |row| {
                            Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?))
                        });
                    let said = said.ok().and_then(|(account, id)| {
                        RequestId::new(&id?).ok().map(|id| keys.of(account, &id))
                    });
                    let in_part = entry <= last_entry && covered.is_none_or(|c| entry > c);
                    let in_order = key.cast_signed() >= previous;
                    if said != Some(key) || !in_part || !in_order || !run.may_have(key) {
                        wrong = wrong.saturating_add(1);
                    }
                    previous = key.cast_signed();
                    found = found.saturating_add(1);
                }
            }
            let part: i64 = self.journal.connection.query_row(
                "SELECT count(*) FROM entries
                  WHERE request_id IS NOT NULL AND entry_id <= ?1 AND entry_id > ?2",
                [last_entry, covered.unwrap_or(last_entry)],
                |row| row.get(0),
            )?;
            let missing = covered.is_some() && part != found;
            if wrong != 0 || missing {
                self.report.add(format!(
                    "run {id} of request_ids is not what the journal says: {wrong} of {found} are wrong"
                ));
            }
            covered = Some(last_entry);
        }
        Ok(())
    }
}
