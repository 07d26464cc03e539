//! Whether a data file and its `-wal` belong together and are both there.
//!
//! SQLite takes whatever `-wal` stands beside a file for that file's, and a file without
//! one for whole. So the row about the file says two things more: whether a server uses
//! the file, which it brings into the file itself when it starts and takes back when it
//! stops; and up to which entry the journal was in the file itself when the `-wal` was
//! begun. The first tells of a `-wal` that is missing, the second of one that is another
//! file's.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::open::identify;

/// What a data file says by itself, without its `-wal`.
#[derive(Debug)]
pub(super) enum Alone {
    /// There is none, or no byte in it.
    Empty,
    /// A SQLite file without anything in it.
    Bare,
    /// No file of creditd's.
    Foreign,
    /// A server that was killed while it moved the `-wal` leaves one that cannot be read by itself.
    Unknown,
    Data(Said),
}

/// What the row about the file says, and where the journal ends.
#[derive(Debug)]
pub(super) struct Said {
    key: Vec<u8>,
    in_use: bool,
    /// None where it cannot be read without the `-wal`.
    last_entry: Option<i64>,
}

/// Why a data file cannot be used, and what to do about it.
pub(super) type Fault = (String, String);

/// The path of what SQLite keeps beside a file.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    // SQLite follows links before it adds the ending.
    let real = std::fs::canonicalize(path).or_else(|_| {
        let target = std::fs::read_link(path)?;
        Ok::<_, std::io::Error>(super::open::directory_of(path).join(target))
    });
    let mut name = real.map_or_else(|_| path.as_os_str().to_owned(), OsString::from);
    name.push(ending);
    PathBuf::from(name)
}

/// How many bytes the `-wal` has.
pub(super) fn wal_bytes(path: &Path) -> u64 {
    std::fs::metadata(beside(path, "-wal")).map_or(0, |found| found.len())
}

/// Refuses a file that is not there, or has nothing in it, although its `-wal` is there:
/// SQLite would remove that.
pub(super) fn check_missing(path: &Path) -> Result<(), Fault> {
    match wal_bytes(path) {
        0 => Ok(()),
        _ => Err((
            "it is missing or empty, and its -wal is there".to_owned(),
            format!(
                "put the data file back, or take {} away to begin with a new one",
                beside(path, "-wal").display()
            ),
        )),
    }
}

/// Reads a file without its `-wal`. No other connection of this process may be open: to
/// close a file takes the process's locks on it away.
pub(super) fn alone(path: &Path) -> Alone {
    if std::fs::metadata(path).map_or(0, |found| found.len()) == 0 {
        return Alone::Empty;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let read = || {
        let connection = Connection::open_with_flags(immutable(path), flags)?;
        let identity = identify(&connection)?;
        if identity.empty {
            return Ok(Alone::Bare);
        }
        if !identity.is_ours() {
            return Ok(Alone::Foreign);
        }
        let (key, in_use) = connection.query_row("SELECT key, in_use FROM file", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        let last = "SELECT coalesce(max(position), 0) FROM entries";
        let last_entry = connection.query_row(last, [], |row| row.get(0)).ok();
        Ok(Alone::Data(Said {
            key,
            in_use,
            last_entry,
        }))
    };
    read().unwrap_or_else(|error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => Alone::Foreign,
        _ => Alone::Unknown,
    })
}

/// A file as a URI by which SQLite takes no lock and reads no `-wal`.
fn immutable(path: &Path) -> String {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match char::from(*byte) {
            plain @ ('a'..='z' | 'A'..='Z' | '0'..='9' | '/' | '.' | '-' | '_') => uri.push(plain),
            // A String takes all that is written.
            _ => drop(write!(uri, "%{byte:02x}")),
        }
    }
    uri.push_str("?immutable=1");
    uri
}

/// Compares what the file says by itself with what it says together with a `-wal` of so
/// many bytes. A sentence to warn with, where what was written last may be missing.
pub(super) fn check(
    connection: &Connection,
    alone: &Alone,
    wal_bytes: u64,
) -> Result<Option<String>, Fault> {
    let missing = wal_bytes == 0 || frames(connection) == Some(0);
    match alone {
        Alone::Bare if missing => Ok(Some(
            "it has nothing in it yet; if it is a copy of a file in use, all of that is in the -wal, which is missing: copy by creditd backup".to_owned(),
        )),
        Alone::Data(said) if missing && said.in_use => Ok(Some(format!(
            "a server used it and did not close it, and the -wal which that had is missing: what came after entry {} may be missing too; copy a file in use by creditd backup, or with its -wal",
            said.last_entry.unwrap_or_default()
        ))),
        _ if missing => Ok(None),
        Alone::Empty | Alone::Foreign => Err(another_wal()),
        Alone::Unknown => Ok(None),
        Alone::Bare => together(connection, None, Some(0)),
        Alone::Data(said) => together(connection, Some(&said.key), said.last_entry),
    }
}

/// Whether the `-wal` goes on from a file with that key and that newest entry.
fn together(
    connection: &Connection,
    key: Option<&[u8]>,
    last_entry: Option<i64>,
) -> Result<Option<String>, Fault> {
    let row = connection.query_row("SELECT key, checkpointed FROM file", [], |row| {
        Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?))
    });
    // What cannot be read is found by other checks.
    let Ok((key_with_it, moved)) = row else {
        return Ok(None);
    };
    let same_key = key.is_none_or(|key| *key == *key_with_it);
    match same_key && last_entry.is_none_or(|last| last >= moved) {
        true => Ok(None),
        false => Err(another_wal()),
    }
}

fn another_wal() -> Fault {
    (
        "the -wal beside it belongs to another file, or to a newer state of this one".to_owned(),
        "put back the data file that the -wal belongs to, or take -wal and -shm away to go on without them".to_owned(),
    )
}

/// How many pages the `-wal` holds that count. None where this connection cannot tell.
fn frames(connection: &Connection) -> Option<i64> {
    let (frames, _) = standing(connection).ok()?;
    Some(frames).filter(|frames| *frames >= 0)
}

/// How many pages the `-wal` holds, and how many of them are in the file.
pub(super) fn standing(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| {
        Ok((row.get(1)?, row.get(2)?))
    })
}

/// Brings into the file all that is in the `-wal`, and that a server uses it from now on.
pub(super) fn begin_use(connection: &Connection) -> rusqlite::Result<()> {
    let move_all = || {
        let moved = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
            Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        });
        match moved {
            Ok((all, moved)) => all == moved,
            Err(error) => {
                tracing::warn!(%error, "what the -wal holds could not be moved into the file");
                false
            }
        }
    };
    let all = move_all();
    connection.execute("UPDATE file SET in_use = 1", [])?;
    if all && move_all() {
        // The first page of the -wal that is begun now says whose it is and from where it goes
        // on. A row that stays the same would not be written.
        connection.execute(
            "UPDATE file SET probes = probes + 1,
                    checkpointed = (SELECT coalesce(max(position), 0) FROM entries)",
            [],
        )?;
    }
    Ok(())
}
