//! Chains for the rows of a file that was written before there were any.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rusqlite::params;

use super::{BEGINNING, Chain, ChainRow};
use crate::store::sqlite::journal::{Journal, Position, StorageError};

/// Rows of the journal that are read between two looks at the time.
const ROWS_MAX: i64 = 1_000;
/// How often the log says how far it is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

impl Journal {
    /// Computes the hash of every row, within the transaction that is open.
    pub(in crate::store::sqlite) fn fill_chains(&self) -> Result<(), StorageError> {
        let last = "SELECT coalesce(max(position), 0) FROM entries";
        let last: i64 = self.connection.query_row(last, [], |row| row.get(0))?;
        let mut chains: HashMap<i64, Chain> = HashMap::new();
        let (mut done, mut told) = (0_i64, Instant::now());
        while done < last {
            let end = done.saturating_add(ROWS_MAX).min(last);
            for position in done.saturating_add(1)..=end {
                self.fill_chain(Position(position), &mut chains)?;
            }
            done = end;
            if told.elapsed() >= PROGRESS_INTERVAL {
                told = Instant::now();
                tracing::info!("the data file is migrated: {done} of {last} entries are hashed");
            }
        }
        if last > 0 {
            tracing::info!("the data file was migrated: {last} entries were hashed");
        }
        Ok(())
    }

    fn fill_chain(
        &self,
        position: Position,
        chains: &mut HashMap<i64, Chain>,
    ) -> Result<(), StorageError> {
        let Some(stored) = self.entry(position)? else {
            return Ok(());
        };
        let (entry, fingerprint) = (&stored.entry, stored.fingerprint.as_ref());
        let seals = self.salts.borrow_mut().seal(entry, fingerprint)?;
        let row = ChainRow {
            position,
            entry,
            fingerprint,
            answered: stored.told_otherwise(),
            seals: &seals,
        };
        let chain = chains.entry(stored.place.account_id).or_insert(BEGINNING);
        let hash = row.hash(chain, &mut self.form.borrow_mut());
        *chain = hash
            .ok_or_else(|| StorageError(format!("the entry at {} cannot be hashed", position.0)))?;
        self.connection
            .prepare_cached("UPDATE entries SET chain = ?2, salts = ?3 WHERE position = ?1")?
            .execute(params![position.0, *chain, seals.salts()])?;
        Ok(())
    }
}
