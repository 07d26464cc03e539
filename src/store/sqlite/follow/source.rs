//! The data file that is followed: its `-wal`, its `-shm`, and read transactions over it.
//!
//! Two connections stay open while the file is followed. So SQLite neither deletes the `-wal` nor
//! makes a new index, also where the server stops, is killed or starts, and the index goes on
//! counting commits.
//!
//! All locks of a process on a file end where it closes any descriptor of it. So the `-shm` is
//! opened once, and the data file by SQLite alone.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::wal_index::{self, IndexHeader};
use crate::store::sqlite::audit::{begin_reading, open_to_read};
use crate::store::sqlite::wal_match::side_file_path;

/// How long a header that is being written is waited for.
const HEADER_WAIT_MAX: Duration = Duration::from_millis(500);

/// Device and inode of the data file, its `-wal` and its `-shm`.
type Ids = [Option<(u64, u64)>; 3];

pub(super) struct Source {
    path: PathBuf,
    // Closed before the -shm.
    guards: [Connection; 2],
    /// Which of the two has a read transaction.
    held: Option<usize>,
    pub(super) wal: File,
    shm: File,
    ids: Ids,
    /// The random bytes by which data files differ.
    pub(super) key: Vec<u8>,
    /// The index has it only once there is a frame.
    pub(super) page_bytes: usize,
}

impl Source {
    /// Opens a data file. Also returns a warning where its newest entries may be missing. No
    /// other connection of this process to the file may be open.
    pub(super) fn open(path: &Path) -> Result<(Self, Option<String>), String> {
        let failed =
            |error: &dyn std::fmt::Display| format!("data file {}: {error}", path.display());
        let (first, warning) = open_to_read(path)?;
        let second = begin_reading(path)?;
        end(&second)?;
        let side_file = |ending: &str| {
            let path = side_file_path(path, ending);
            File::open(&path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let key = first
            .query_row("SELECT key FROM file", [], |row| row.get(0))
            .map_err(|error| failed(&error))?;
        let page_bytes = first
            .pragma_query_value(None, "page_size", |row| row.get::<_, i64>(0))
            .map_err(|error| failed(&error))?;
        let source = Self {
            path: path.to_owned(),
            wal: side_file("-wal")?,
            shm: side_file("-shm")?,
            guards: [first, second],
            held: Some(0),
            ids: ids(path),
            key,
            page_bytes: usize::try_from(page_bytes).unwrap_or_default(),
        };
        Ok((source, warning))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether other files are at the paths than those that are open.
    pub(super) fn is_replaced(&self) -> bool {
        ids(&self.path) != self.ids
    }

    /// The header of the index.
    pub(super) fn header(&self) -> Result<IndexHeader, String> {
        let since = Instant::now();
        loop {
            let header = wal_index::read(&self.shm);
            match header.map_err(|error| format!("the -shm cannot be read: {error}"))? {
                Some(header) => return Ok(header),
                None if since.elapsed() > HEADER_WAIT_MAX => {
                    return Err("the -shm has no header".to_owned());
                }
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// Whether a read transaction is held.
    pub(super) const fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Begins a read transaction, and returns the one that is held so far, to be ended once all
    /// up to the new one was read.
    pub(super) fn hold(&mut self) -> Result<Option<usize>, String> {
        let before = self.held;
        let next = match before {
            Some(0) => 1,
            _ => 0,
        };
        if let Some(connection) = self.guards.get(next) {
            begin(connection)?;
            self.held = Some(next);
        }
        Ok(before)
    }

    /// Ends a read transaction.
    pub(super) fn end(&mut self, guard: Option<usize>) {
        if let Some(connection) = guard.and_then(|guard| self.guards.get(guard)) {
            // It is a read transaction: nothing can be lost.
            let _ = end(connection);
        }
        if self.held == guard {
            self.held = None;
        }
    }

    /// Ends the read transaction that is held.
    pub(super) fn release(&mut self) {
        self.end(self.held);
    }
}

fn begin(connection: &Connection) -> Result<(), String> {
    let begun = connection.execute_batch("BEGIN").and_then(|()| {
        // The snapshot of a transaction is taken by its first read.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| {
            row.get::<_, i64>(0)
        })
    });
    begun.map(drop).map_err(|error| {
        let _ = end(connection);
        error.to_string()
    })
}

fn end(connection: &Connection) -> Result<(), String> {
    match connection.is_autocommit() {
        true => Ok(()),
        false => (connection.execute_batch("ROLLBACK")).map_err(|error| error.to_string()),
    }
}

fn ids(path: &Path) -> Ids {
    let id = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    [
        id(path),
        id(&side_file_path(path, "-wal")),
        id(&side_file_path(path, "-shm")),
    ]
}
