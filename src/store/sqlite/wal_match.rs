//! Whether a data file and its `-wal` belong together, and whether a `-wal` is missing.
//!
//! SQLite applies whatever `-wal` is beside a file, and takes a file without one for complete.
//! So the table `file` has two more columns. `in_use` is 1 in the file itself while a server
//! uses it: then a `-wal` must be there. `checkpointed` is the last entry that the file itself
//! had when the `-wal` was begun: a file that ends before it does not belong to that `-wal`.
//!
//! A kill during a checkpoint leaves a file with some of the pages of its `-wal`, which is no tree
//! any more: what is read of it alone can be anything. With its `-wal` it is whole again.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::open::identify;

/// What is read from a data file alone, without its `-wal`.
#[derive(Debug)]
pub(super) enum WithoutWal {
    /// There is no file, or it has no bytes.
    Empty,
    /// A SQLite file without tables.
    NoTables,
    /// Not a data file of creditd.
    Foreign,
    /// A kill during a checkpoint can leave a file that cannot be read without its `-wal`.
    Unreadable,
    Ledger(FileRow),
}

/// The row of `file`, and where the journal ends.
#[derive(Debug)]
pub(super) struct FileRow {
    path: PathBuf,
    key: Vec<u8>,
    in_use: bool,
    /// None if it cannot be read without the `-wal`.
    last_entry: Option<i64>,
}

/// Why a data file cannot be used, and what to do about it.
pub(super) type ProblemAndRemedy = (String, String);

/// The path of the `-wal` or `-shm` of a file.
pub(super) fn side_file_path(path: &Path, ending: &str) -> PathBuf {
    // SQLite resolves links before it adds the suffix.
    let real = std::fs::canonicalize(path).or_else(|_| {
        let target = std::fs::read_link(path)?;
        Ok::<_, std::io::Error>(super::open::directory_of(path).join(target))
    });
    let mut name = real.map_or_else(|_| path.as_os_str().to_owned(), OsString::from);
    name.push(ending);
    PathBuf::from(name)
}

/// The size of the `-wal`; 0 if there is none.
#[must_use]
pub fn wal_bytes(path: &Path) -> u64 {
    std::fs::metadata(side_file_path(path, "-wal")).map_or(0, |metadata| metadata.len())
}

/// Refuses a missing or empty file that has a `-wal`: SQLite would delete the `-wal`.
pub(super) fn refuse_orphan_wal(path: &Path) -> Result<(), ProblemAndRemedy> {
    match wal_bytes(path) {
        0 => Ok(()),
        _ => Err((
            "it is missing or empty, and its -wal is there".to_owned(),
            format!(
                "put the data file back, or take {} away to begin with a new one",
                side_file_path(path, "-wal").display()
            ),
        )),
    }
}

/// Reads a file without its `-wal`. No other connection of this process may be open, since
/// closing a descriptor of a file releases the process's locks on it.
pub(super) fn read_without_wal(path: &Path) -> WithoutWal {
    if std::fs::metadata(path).map_or(0, |metadata| metadata.len()) == 0 {
        return WithoutWal::Empty;
    }
    let read = || {
        let connection = open_alone(path)?;
        let identity = identify(&connection)?;
        if identity.empty {
            return Ok(WithoutWal::NoTables);
        }
        if !identity.is_ours() {
            return Ok(WithoutWal::Foreign);
        }
        let (key, in_use) = connection.query_row("SELECT key, in_use FROM file", [], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?))
        })?;
        if key.len() != KEY_BYTES {
            return Ok(WithoutWal::Unreadable);
        }
        let last = "SELECT coalesce(max(position), 0) FROM entries";
        let last_entry = connection.query_row(last, [], |row| row.get(0)).ok();
        Ok(WithoutWal::Ledger(FileRow {
            path: path.to_owned(),
            key,
            in_use,
            last_entry,
        }))
    };
    read().unwrap_or_else(|error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => WithoutWal::Foreign,
        _ => WithoutWal::Unreadable,
    })
}

fn open_alone(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(immutable(path), flags)
}

/// The URI of a file by which SQLite takes no lock and reads no `-wal`.
fn immutable(path: &Path) -> String {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match char::from(*byte) {
            plain @ ('a'..='z' | 'A'..='Z' | '0'..='9' | '/' | '.' | '-' | '_') => uri.push(plain),
            // Writing to a String cannot fail.
            _ => drop(write!(uri, "%{byte:02x}")),
        }
    }
    uri.push_str("?immutable=1");
    uri
}

/// Compares the file read alone with the file read through its `-wal`, which has so many
/// bytes. Returns a warning where the newest entries may be missing.
pub(super) fn check(
    connection: &Connection,
    without_wal: &WithoutWal,
    wal_bytes: u64,
) -> Result<Option<String>, ProblemAndRemedy> {
    let missing = wal_bytes == 0 || frame_count(connection) == Some(0);
    match without_wal {
        WithoutWal::NoTables if missing => Ok(Some(
            "it has nothing in it yet; if it is a copy of a file in use, all of that is in the -wal, which is missing: copy by creditd backup".to_owned(),
        )),
        WithoutWal::Ledger(row) if missing && row.in_use => Ok(Some(format!(
            "a server used it and did not close it, and the -wal which that had is missing: what came after entry {} may be missing too; copy a file in use by creditd backup, or with its -wal",
            row.last_entry.unwrap_or_default()
        ))),
        _ if missing => Ok(None),
        WithoutWal::Empty | WithoutWal::Foreign => Err(wrong_wal()),
        WithoutWal::Unreadable => Ok(None),
        WithoutWal::NoTables => check_key_and_position(connection, None, Some(0)),
        WithoutWal::Ledger(row) => {
            let found = check_key_and_position(connection, Some(&row.key), row.last_entry);
            match found.is_err() && is_half_checkpointed(connection, row) {
                true => Ok(None),
                false => found,
            }
        }
    }
}

/// Whether what was read of a file alone means nothing: it is no sound file without its `-wal`, and
/// it is whole with it. An older copy is sound alone.
fn is_half_checkpointed(connection: &Connection, row: &FileRow) -> bool {
    let Ok(alone) = open_alone(&row.path) else {
        return false;
    };
    let is_sound_alone = is_whole(&alone);
    // It stays open: to close a descriptor of the file would release this process's locks on it.
    std::mem::forget(alone);
    !is_sound_alone && is_whole(connection)
}

/// Bytes of the key of a file.
const KEY_BYTES: usize = 16;

/// Refuses a `-wal` that was not begun over a file with this key and this newest entry.
fn check_key_and_position(
    connection: &Connection,
    key: Option<&[u8]>,
    last_entry: Option<i64>,
) -> Result<Option<String>, ProblemAndRemedy> {
    let row = connection.query_row("SELECT key, checkpointed FROM file", [], |row| {
        Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?))
    });
    // A row that cannot be read is reported by other checks.
    let Ok((key_with_wal, checkpointed)) = row else {
        return Ok(None);
    };
    let same_key = key.is_none_or(|key| *key == *key_with_wal);
    match same_key && last_entry.is_none_or(|last| last >= checkpointed) {
        true => Ok(None),
        false => Err(wrong_wal()),
    }
}

/// Whether SQLite finds it sound, and the journal has no gap.
fn is_whole(connection: &Connection) -> bool {
    let found = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    // Of archived rows some are kept. Older files have no archives.
    let cut = "SELECT coalesce(max(position), 0) FROM archives";
    let cut = connection.query_row(cut, [], |row| row.get::<_, i64>(0));
    let gaps =
        "SELECT coalesce(max(position), ?1) - ?1 - count(*) FROM entries WHERE position > ?1";
    let gaps = connection.query_row(gaps, [cut.unwrap_or(0)], |row| row.get::<_, i64>(0));
    found.is_ok_and(|verdict| verdict == "ok") && gaps.is_ok_and(|gaps| gaps == 0)
}

fn wrong_wal() -> ProblemAndRemedy {
    (
        "the -wal beside it belongs to another file, or to a newer state of this one".to_owned(),
        "keep all of them; put back the data file that the -wal belongs to, or move -wal and -shm to another place to go on without what they have".to_owned(),
    )
}

/// How many valid frames the `-wal` has. None if this connection cannot tell.
fn frame_count(connection: &Connection) -> Option<i64> {
    let (frames, _) = wal_frames(connection).ok()?;
    Some(frames).filter(|frames| *frames >= 0)
}

/// How many frames the `-wal` has, and how many of them are checkpointed.
pub(super) fn wal_frames(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| {
        Ok((row.get(1)?, row.get(2)?))
    })
}

/// Checkpoints the `-wal`, sets `in_use` and checkpoints that too.
pub(super) fn set_in_use(connection: &Connection) -> rusqlite::Result<()> {
    let checkpoint_all = || {
        let counts = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
            Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        });
        match counts {
            Ok((all, written)) => all == written,
            Err(error) => {
                tracing::warn!(%error, "the -wal could not be checkpointed");
                false
            }
        }
    };
    let all = checkpoint_all();
    connection.execute("UPDATE file SET in_use = 1", [])?;
    if all && checkpoint_all() {
        // So the first frame of the new -wal has the file's key and `checkpointed`. SQLite
        // does not write a row that stays the same; a change of `probes` makes it do so.
        connection.execute(
            "UPDATE file SET probes = probes + 1,
                    checkpointed = (SELECT coalesce(max(position), 0) FROM entries)",
            [],
        )?;
    }
    Ok(())
}
