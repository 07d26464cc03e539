//! Moves old rows of the journal to an archive, from a data file that no server uses.
//!
//! The archive is a whole copy of the file, audited and on disk before anything is removed. Then
//! one transaction marks the rows as archived: from there on each account begins at its opening,
//! and all readers do as if the rows were gone. Removing them goes in slices. A kill between any
//! two steps leaves a file that serves and audits soundly, and another `creditd archive` goes on.

mod copy;
mod mark;
mod remove;
mod seal;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _};

use self::mark::Cut;
pub(super) use self::seal::{Seal, SealHash, seal_text};
use super::audit::{Reprice, open_to_read};
use super::chain::head::JournalHead;
use super::journal::{Journal, Position, StorageError};
use super::open::{self, OpenError};
use super::times::At;
use super::wal_match::wal_bytes;
use crate::domain::Timestamp;
use crate::domain::ledger::{CutFacts, NoCut, cut};
use crate::failpoint;
use crate::rfc3339;
use crate::store::Clock;

const SECONDS_PER_HOUR: u64 = 3_600;
const HOURS_PER_DAY: u64 = 24;

/// What is to be archived.
#[derive(Clone, Debug)]
pub struct Archiving {
    /// Rows that were written before then.
    pub before: Timestamp,
    /// The archive. There must be no such file, but for the one that a command that was killed
    /// made.
    pub to: PathBuf,
    /// For how many hours a request_id is known at least.
    pub request_hours: u32,
    /// For how many days that of a grant, refund or revocation is.
    pub request_days_credits: u32,
}

/// What a command is doing, for people who wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveStep {
    /// Copies pages.
    Copy,
    /// Audits rows of the copy.
    Audit,
    /// Writes openings of accounts.
    Mark,
    /// Removes rows.
    Remove,
}

/// What was archived, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveReport {
    /// Counts archives of the file.
    pub archive: i64,
    /// The newest row that is archived.
    pub position: i64,
    /// How many rows were archived.
    pub rows: i64,
    /// How many of them stay for what they say of grants and holds; None where that is not known
    /// yet.
    pub kept: Option<i64>,
    /// The name of the archive's file.
    pub file: String,
    /// The seal, and the head of the journal at the cut; None where nothing was marked.
    pub seal: Option<(String, JournalHead)>,
    /// How large the data file was, and is.
    pub bytes: (u64, u64),
    /// Whether an earlier command was killed, and this one went on with what it had begun.
    pub went_on: bool,
}

/// The plan of an archive.
struct Plan {
    archive: i64,
    position: Position,
    last: Position,
    rows: i64,
}

/// Says what would be archived. It changes nothing, and a server may use the file.
///
/// # Errors
/// Why nothing can be archived, and what to do.
pub fn plan_archive(
    path: &Path,
    order: &Archiving,
    clock: &dyn Clock,
) -> Result<ArchiveReport, String> {
    let (connection, _) = open_to_read(path)?;
    let failed = |error: StorageError| format!("data file {}: {}", path.display(), error.0);
    open::show_as_newest(&connection).map_err(|error| failed(error.into()))?;
    let journal = Journal::new(connection);
    let bytes = file_bytes(path);
    let file = order.file_name();
    if let Some(unfinished) = journal.unfinished().map_err(failed)? {
        return Ok(ArchiveReport {
            archive: unfinished.archive,
            position: unfinished.position.0,
            rows: journal.rows_to(unfinished.position).map_err(failed)?,
            kept: None,
            file: unfinished.file,
            seal: None,
            bytes: (bytes, bytes),
            went_on: true,
        });
    }
    let now = believed(path, &journal, clock)?;
    let plan = plan(path, &journal, order, now)?;
    Ok(ArchiveReport {
        archive: plan.archive,
        position: plan.position.0,
        rows: plan.rows,
        kept: None,
        file,
        seal: None,
        bytes: (bytes, bytes),
        went_on: false,
    })
}

/// Archives.
///
/// # Errors
/// A sentence that says what is wrong, what was done by then, and what to do.
pub fn archive(
    path: &Path,
    order: &Archiving,
    clock: &dyn Clock,
    reprice: &mut dyn Reprice,
    progress: &mut dyn FnMut(ArchiveStep, u64, u64),
) -> Result<ArchiveReport, String> {
    if !path.is_file() {
        return Err(format!(
            "data file {}: there is no such file; give its path by --data",
            path.display()
        ));
    }
    // The lock is kept until the end.
    let opened = open::open(path).map_err(|error: OpenError| error.to_string())?;
    let journal = Journal::new(opened.connection);
    let report = archive_journal(path, &journal, (order, clock), reprice, progress);
    let closed = close(journal.connection);
    let failed = |error: StorageError| format!("data file {}: {}", path.display(), error.0);
    let mut report = report?;
    closed.map_err(|error| {
        format!(
            "{}; the archive is made, and what was removed stands in the -wal until a server or another command can write it into the file",
            failed(error)
        )
    })?;
    report.bytes.1 = file_bytes(path);
    Ok(report)
}

fn archive_journal(
    path: &Path,
    journal: &Journal,
    (order, clock): (&Archiving, &dyn Clock),
    reprice: &mut dyn Reprice,
    progress: &mut dyn FnMut(ArchiveStep, u64, u64),
) -> Result<ArchiveReport, String> {
    let failed = |error: StorageError| format!("data file {}: {}", path.display(), error.0);
    let before = file_bytes(path);
    let (position, report) = match journal.unfinished().map_err(failed)? {
        Some(unfinished) => {
            let report = ArchiveReport {
                archive: unfinished.archive,
                position: unfinished.position.0,
                rows: 0,
                kept: None,
                file: unfinished.file,
                seal: None,
                bytes: (before, before),
                went_on: true,
            };
            (unfinished.position, report)
        }
        None => {
            let now = believed(path, journal, clock)?;
            let plan = plan(path, journal, order, now)?;
            if !order.to.exists() {
                check_room(path, order)?;
            }
            copy::make(path, journal, order, reprice, progress)?;
            failpoint::pass("archive-copied");
            let file = order.file_name();
            let cut = Cut {
                archive: plan.archive,
                position: plan.position,
                last: plan.last,
                before: order.before,
                now,
                file: &file,
            };
            let marked = journal.mark(&cut, &mut |done, total| {
                progress(ArchiveStep::Mark, done, total);
            });
            let (seal, head) = marked.map_err(|StorageError(cause)| {
                format!(
                    "data file {}: {cause}; nothing of it was archived, and {} can be deleted",
                    path.display(),
                    order.to.display()
                )
            })?;
            failpoint::pass("archive-marked");
            let report = ArchiveReport {
                archive: plan.archive,
                position: plan.position.0,
                rows: plan.rows,
                kept: None,
                file,
                seal: Some((seal_text(&seal), head)),
                bytes: (before, before),
                went_on: false,
            };
            (plan.position, report)
        }
    };
    let removed = journal.remove_archived(position, &mut |done, total| {
        progress(ArchiveStep::Remove, done, total);
    });
    removed.map_err(|StorageError(cause)| {
        format!(
            "data file {}: {cause}; archive {} is made, and its rows do not count in this file any more, but not all are removed: run \"creditd archive\" again",
            path.display(),
            report.archive
        )
    })?;
    let kept = journal.rows_to(position).map_err(failed)?;
    Ok(ArchiveReport {
        kept: Some(kept),
        ..report
    })
}

/// Notes that no server uses the file, and leaves nothing in the `-wal`.
fn close(connection: Connection) -> Result<(), StorageError> {
    connection.execute("UPDATE file SET in_use = 0", [])?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    open::skip_checkpoint_at_close(&connection, false)?;
    (connection.close()).map_err(|(_, error)| StorageError::from(error))
}

/// What the file takes, with its `-wal`.
fn file_bytes(path: &Path) -> u64 {
    let file = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    file.saturating_add(wal_bytes(path))
}

impl Archiving {
    fn file_name(&self) -> String {
        let name = self.to.file_name().unwrap_or(self.to.as_os_str());
        name.to_string_lossy().into_owned()
    }
}

/// The time before which a request_id is not known any more.
fn known_since(now: Timestamp, hours: u64) -> At {
    let known_for = Duration::from_secs(hours.saturating_mul(SECONDS_PER_HOUR));
    At(now.minus(known_for))
}

/// The time now, by a clock that agrees with what the file knows: by one that jumped, request_ids
/// would be taken that still have to be known.
fn believed(path: &Path, journal: &Journal, clock: &dyn Clock) -> Result<Timestamp, String> {
    let failed = |StorageError(cause)| format!("data file {}: {cause}", path.display());
    let newest = journal.newest_time().map_err(failed)?;
    clock.start(&super::clock::read(&journal.connection, newest).map_err(failed)?);
    clock.believed().map_err(|not| {
        format!(
            "data file {}: the clock says {}, where {} is believed; set it right, or start \"creditd serve\" once, which says what to do; nothing was archived",
            path.display(),
            rfc3339::format(not.clock_time),
            rfc3339::format(not.believed_time)
        )
    })
}

/// What is to be archived, if anything may.
fn plan(path: &Path, journal: &Journal, order: &Archiving, now: Timestamp) -> Result<Plan, String> {
    let name = path.display();
    copy::check_is_other(path, order)?;
    if order.to.exists() {
        copy::check_is_copy(path, journal, order)?;
    }
    let failed = |StorageError(cause)| format!("data file {name}: {cause}");
    let facts = journal.cut_facts(order, now).map_err(failed)?;
    match cut(&facts) {
        Ok(position) => Ok(Plan {
            archive: journal.next_archive().map_err(failed)?,
            position: Position(position),
            last: Position(facts.last),
            rows: position.saturating_sub(facts.archived),
        }),
        Err(NoCut::Nothing) => Err(format!(
            "data file {name}: nothing in it is from before {}{}; nothing was archived",
            rfc3339::format(order.before),
            match facts.archived {
                0 => "",
                _ => " and not archived already",
            }
        )),
        Err(NoCut::Known { newest_allowed }) => Err(format!(
            "data file {name}: request_ids from before {} still have to be known, for {} hours, those of grants, refunds and revocations for {} days; {}",
            rfc3339::format(order.before),
            order.request_hours,
            order.request_days_credits,
            match newest_allowed {
                Some(time) => format!("--before may be {} at most", rfc3339::format(time)),
                None => "nothing can be archived yet".to_owned(),
            }
        )),
    }
}

impl Journal {
    /// The number of the next archive.
    fn next_archive(&self) -> Result<i64, StorageError> {
        let sql = "SELECT coalesce(max(archive_id), 0) + 1 FROM archives";
        Ok(self.connection.query_row(sql, [], |row| row.get(0))?)
    }

    fn rows_to(&self, position: Position) -> Result<i64, StorageError> {
        let sql = "SELECT count(*) FROM entries WHERE position <= ?1";
        Ok((self.connection).query_row(sql, [position.0], |row| row.get(0))?)
    }

    /// The time of the newest row.
    fn newest_time(&self) -> Result<Option<Timestamp>, StorageError> {
        let sql = "SELECT create_time FROM entries ORDER BY position DESC LIMIT 1";
        let newest = (self.connection).query_row(sql, [], |row| row.get::<_, At>(0));
        Ok(newest.optional()?.map(|At(time)| time))
    }

    fn cut_facts(&self, order: &Archiving, now: Timestamp) -> Result<CutFacts, StorageError> {
        let archived = self.archived()?.0;
        let credits_hours = u64::from(order.request_days_credits).saturating_mul(HOURS_PER_DAY);
        let (first_later, first_known): (Option<i64>, Option<i64>) = self.connection.query_row(
            "SELECT min(iif(create_time >= ?2, position, NULL)),
                    min(iif(request_id IS NOT NULL AND create_time >=
                              iif(kind IN ('grant', 'refund', 'revoke'), ?4, ?3),
                            position, NULL))
               FROM entries WHERE position > ?1",
            rusqlite::params![
                archived,
                At(order.before),
                known_since(now, u64::from(order.request_hours)),
                known_since(now, credits_hours),
            ],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let newest: Option<At> = self.connection.query_row(
            "SELECT max(create_time) FROM entries WHERE position > ?1 AND position <= ?2",
            [archived, first_known.unwrap_or(archived)],
            |row| row.get(0),
        )?;
        Ok(CutFacts {
            archived,
            last: self.last_position()?.0,
            first_later,
            first_known,
            newest_allowed: newest.map(|At(time)| time),
        })
    }
}

/// Refuses early where the disk cannot have the copy, or the file that is written anew beside the
/// old one.
fn check_room(path: &Path, order: &Archiving) -> Result<(), String> {
    let bytes = file_bytes(path);
    let disk = |file: &Path| {
        let directory = open::directory_of(file);
        let found = rustix::fs::statvfs(directory).ok()?;
        let device = rustix::fs::stat(directory).ok()?.st_dev;
        Some((found.f_bavail.checked_mul(found.f_frsize)?, device))
    };
    let (Some((free, device)), Some((free_beside, device_beside))) = (disk(&order.to), disk(path))
    else {
        // The system does not say: what fails later says so by name.
        return Ok(());
    };
    let needed = match device == device_beside {
        true => bytes.saturating_mul(2),
        false => bytes,
    };
    let short = |file: &Path, needed: u64, free: u64| {
        Err(format!(
            "{}: the disk has {free} bytes free, and {needed} may be needed; nothing was archived",
            file.display()
        ))
    };
    if free < needed {
        return short(&order.to, needed, free);
    }
    if free_beside < bytes {
        return short(path, bytes, free_beside);
    }
    Ok(())
}
