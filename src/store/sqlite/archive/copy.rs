//! The archive's file: a copy of the data file that is audited, on disk and named.

use std::path::Path;

use super::{ArchiveStep, Archiving};
use crate::failpoint;
use crate::store::sqlite::audit::{Reprice, audit, open_to_read};
use crate::store::sqlite::backup::{copy_pages, partial_path, sync_and_rename};
use crate::store::sqlite::chain::Chain;
use crate::store::sqlite::chain::head::JournalHead;
use crate::store::sqlite::journal::{Journal, StorageError};
use crate::store::sqlite::wal_match::side_file_path;

/// Makes the archive, unless a command that was killed has made it: a whole copy of the file as it
/// still is.
pub(super) fn make(
    path: &Path,
    journal: &Journal,
    order: &Archiving,
    reprice: &mut dyn Reprice,
    progress: &mut dyn FnMut(ArchiveStep, u64, u64),
) -> Result<(), String> {
    if order.to.exists() {
        check_is_copy(path, journal, order)?;
        return audit_copy(path, &order.to, reprice, progress).map_err(|p| failed(order, &p));
    }
    let partial = partial_path(&order.to);
    let made = copy_and_audit(path, journal, &partial, reprice, progress)
        .and_then(|()| sync_and_rename(&partial, &order.to));
    remove_side_files(&partial);
    made.map_err(|problem| {
        // An incomplete copy is useless.
        let _ = std::fs::remove_file(&partial);
        failed(order, &problem)
    })
}

fn failed(order: &Archiving, problem: &str) -> String {
    format!(
        "archive {}: {problem}; nothing was archived",
        order.to.display()
    )
}

/// Refuses a file that is there already, unless it is a copy of the data file as it is. Above all it
/// must not be the data file itself, whatever name it has.
pub(super) fn check_is_copy(
    path: &Path,
    journal: &Journal,
    order: &Archiving,
) -> Result<(), String> {
    check_is_other(path, order)?;
    let is_copy = open_to_read(&order.to).ok().and_then(|(connection, _)| {
        let copy = Journal::new(connection).identity().ok()?;
        Some(copy == journal.identity().ok()?)
    });
    match is_copy {
        Some(true) => Ok(()),
        _ => Err(format!(
            "archive {}: there is such a file already; choose another name, so that no earlier archive is lost",
            order.to.display()
        )),
    }
}

/// Refuses a name that is the data file's, or by which the copy would be made in its place.
pub(super) fn check_is_other(path: &Path, order: &Archiving) -> Result<(), String> {
    let place = |file: &Path| rustix::fs::stat(file).map(|found| (found.st_dev, found.st_ino));
    let data = place(path);
    for name in [&order.to, &partial_path(&order.to)] {
        if data.is_ok() && place(name) == data {
            return Err(format!(
                "archive {}: {} is the data file itself; choose another name",
                order.to.display(),
                name.display()
            ));
        }
    }
    Ok(())
}

impl Journal {
    /// What two files have in common where one is a copy of the other: the version, the key, how
    /// many archives there are, and all rows of the journal.
    fn identity(&self) -> Result<(i64, Vec<u8>, i64, JournalHead), StorageError> {
        let connection = &self.connection;
        let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let key = connection.query_row("SELECT key FROM file", [], |row| row.get(0))?;
        let archives = "SELECT count(*) FROM archives";
        let archives = connection.query_row(archives, [], |row| row.get(0))?;
        let mut statement = connection.prepare(
            "SELECT a.name, e.chain
               FROM (SELECT max(position) AS newest FROM entries GROUP BY account_id)
               JOIN entries e ON e.position = newest
               JOIN accounts a USING (account_id) ORDER BY a.name",
        )?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let chains: Vec<(String, Chain)> = rows.collect::<Result<_, _>>()?;
        let chains = chains.iter().map(|(name, chain)| (name.as_str(), chain));
        let head = JournalHead::of(self.last_position()?.0, chains);
        Ok((version, key, archives, head))
    }
}

fn copy_and_audit(
    path: &Path,
    journal: &Journal,
    partial: &Path,
    reprice: &mut dyn Reprice,
    progress: &mut dyn FnMut(ArchiveStep, u64, u64),
) -> Result<(), String> {
    remove_side_files(partial);
    let transaction = |sql| {
        let done = journal.connection.execute_batch(sql);
        done.map_err(|error| error.to_string())
    };
    transaction("BEGIN")?;
    let copied = copy_pages(&journal.connection, partial, &mut |done, total| {
        progress(ArchiveStep::Copy, done, total);
    });
    transaction("COMMIT")?;
    copied?;
    failpoint::pass("archive-partial");
    audit_copy(path, partial, reprice, progress)
}

fn audit_copy(
    path: &Path,
    copy: &Path,
    reprice: &mut dyn Reprice,
    progress: &mut dyn FnMut(ArchiveStep, u64, u64),
) -> Result<(), String> {
    let report = audit(copy, None, reprice, &mut |done, total| {
        progress(ArchiveStep::Audit, done, total);
    })?;
    match (report.is_sound(), report.findings.first()) {
        (true, _) => Ok(()),
        (false, finding) => Err(format!(
            "the data file {} is not sound, as \"creditd audit\" shows ({})",
            path.display(),
            finding.map_or("", String::as_str)
        )),
    }
}

/// Reading a file leaves these behind.
fn remove_side_files(file: &Path) {
    for ending in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(side_file_path(file, ending));
    }
}
