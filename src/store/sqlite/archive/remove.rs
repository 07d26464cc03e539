//! Removes archived rows from the file, in slices: they do not count any more, so it can stop and
//! go on at any time.

use rusqlite::OptionalExtension as _;

use super::seal::SealHash;
use crate::failpoint;
use crate::store::sqlite::journal::{Journal, Position, StorageError};

/// Positions of one slice.
const SLICE_POSITIONS: i64 = 20_000;

/// An archive whose rows are still being removed.
pub(in crate::store::sqlite) struct Unfinished {
    pub(in crate::store::sqlite) archive: i64,
    pub(super) position: Position,
    pub(in crate::store::sqlite) file: String,
}

impl Journal {
    /// The archive whose rows are not removed yet.
    pub(in crate::store::sqlite) fn unfinished(&self) -> Result<Option<Unfinished>, StorageError> {
        let sql = "SELECT archive_id, position, file FROM archives
             WHERE finished = 0 ORDER BY archive_id DESC LIMIT 1";
        let unfinished = self.connection.query_row(sql, [], |row| {
            Ok(Unfinished {
                archive: row.get(0)?,
                position: Position(row.get(1)?),
                file: row.get(2)?,
            })
        });
        Ok(unfinished.optional()?)
    }

    /// Removes the rows up to the cut that are not kept, and has the file take less room.
    pub(super) fn remove_archived(
        &self,
        cut: Position,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), StorageError> {
        self.connection
            .execute_batch("CREATE TEMP TABLE kept (position INTEGER PRIMARY KEY)")?;
        for position in self.kept_rows(cut)? {
            self.connection
                .prepare_cached("INSERT INTO kept VALUES (?1)")?
                .execute([position])?;
        }
        let count = |position: i64| u64::try_from(position).unwrap_or_default();
        let mut done = 0_i64;
        while done < cut.0 {
            let end = done.saturating_add(SLICE_POSITIONS).min(cut.0);
            self.connection
                .prepare_cached(
                    "DELETE FROM entries WHERE position > ?1 AND position <= ?2
                        AND position NOT IN (SELECT position FROM kept)",
                )?
                .execute([done, end])?;
            done = end;
            progress(count(done), count(cut.0));
            failpoint::pass("archive-removed-some");
        }
        failpoint::pass("archive-removed");
        // Its pages are free, and the file is as large as it was.
        self.connection.execute_batch("VACUUM")?;
        failpoint::pass("archive-vacuumed");
        (self.connection).execute("UPDATE archives SET finished = 1 WHERE finished = 0", [])?;
        Ok(())
    }

    /// Positions of the rows that are kept of those up to the cut.
    pub(in crate::store::sqlite) fn kept_rows(
        &self,
        cut: Position,
    ) -> Result<Vec<i64>, StorageError> {
        let mut hash = SealHash::new(cut);
        self.each_opening(|name, opening| {
            hash.opening(name, &opening, &opening.text()?);
            Ok(())
        })?;
        Ok(hash.finish(self)?.1)
    }
}
