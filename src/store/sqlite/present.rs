//! Whether what is open is still what has the path.
//!
//! A file that is deleted, renamed or replaced stays open and takes all that is written to
//! it, and is gone when the process ends; one that is overwritten or cut is another file
//! under the same name. SQLite notices none of this. So the writer looks after each commit,
//! before it answers, whether the file still has its path, and several times a second at
//! everything: the file's length, time and contents, and the `-wal` and `-shm` beside it.
//!
//! The contents of the file change only where what the `-wal` holds is moved into it, by
//! this server or by another program, and SQLite keeps count of that.

use std::fs::{File, Metadata};
use std::hash::{DefaultHasher, Hasher as _};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::wal::Wal;
use super::whole::{beside, standing};

/// How often everything is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// So much of each end of the file tells it from another.
const SAMPLE_BYTES: u64 = 64 << 10;
/// Of the header of a `-wal`, and of the header of each page in it.
const WAL_HEADER_BYTES: u64 = 32;
const FRAME_HEADER_BYTES: u64 = 24;

/// What has happened to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// Nothing has its path.
    Missing,
    /// Something else has its path.
    Replaced,
    /// What is in it is not what this server left there.
    Changed,
    /// The `-wal` is not where it was.
    WalMissing,
    /// What is in the `-wal` is not what this server left there.
    WalChanged,
    /// The `-shm` is not where it was.
    ShmMissing,
}

impl Loss {
    /// What has happened, as the end of a sentence.
    pub(super) const fn what(self) -> &'static str {
        match self {
            Self::Missing => "the data file was deleted or renamed while it was in use",
            Self::Replaced => "another file has taken the data file's place while it was in use",
            Self::Changed => "another program has overwritten the data file or cut it",
            Self::WalMissing => "the data file's -wal was deleted, renamed or replaced",
            Self::WalChanged => "another program has overwritten the data file's -wal or cut it",
            Self::ShmMissing => "the data file's -shm was deleted, renamed or replaced",
        }
    }

    /// Whether what is open can still be read: it is all there, only not at its place.
    pub(super) const fn is_readable(self) -> bool {
        match self {
            Self::Missing | Self::Replaced | Self::WalMissing | Self::ShmMissing => true,
            Self::Changed | Self::WalChanged => false,
        }
    }

    /// Whether the file itself is at its place and sound, so that all can be moved into it.
    pub(super) const fn has_file(self) -> bool {
        matches!(self, Self::WalMissing | Self::ShmMissing)
    }
}

/// Device and inode.
type Id = (u64, u64);

fn id(found: &Metadata) -> Id {
    (found.dev(), found.ino())
}

/// The file as it was after the last time when something was moved into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Contents {
    bytes: u64,
    time: (i64, i64),
    sample: u64,
    /// How many pages the `-wal` held, and how many of them were in the file.
    standing: (i64, i64),
}

/// What was opened.
pub(super) struct Present {
    path: PathBuf,
    /// The locked file. It must not be closed before SQLite's connections are.
    file: Arc<File>,
    id: Id,
    wal: (PathBuf, Id),
    shm: (PathBuf, Id),
    /// To be closed no sooner than SQLite's connections, as the file.
    index: File,
    page_bytes: u64,
    contents: Contents,
    looked: Instant,
    /// What has happened to it, if anything has.
    lost: Option<Loss>,
}

impl Present {
    /// Notes what is open, after the connection has written to it.
    pub(super) fn new(
        path: &Path,
        file: Arc<File>,
        connection: &Connection,
    ) -> std::io::Result<Self> {
        let beside = |ending| {
            let path = beside(path, ending);
            let found = std::fs::metadata(&path)?;
            std::io::Result::Ok((path, id(&found)))
        };
        let page_bytes = connection
            .pragma_query_value(None, "page_size", |row| row.get::<_, i64>(0))
            .map_err(std::io::Error::other)?;
        let found = file.metadata()?;
        let shm = beside("-shm")?;
        Ok(Self {
            path: path.to_owned(),
            id: id(&found),
            wal: beside("-wal")?,
            index: File::open(&shm.0)?,
            shm,
            page_bytes: u64::try_from(page_bytes).unwrap_or_default(),
            contents: contents(&file, &found, connection)?,
            file,
            looked: Instant::now(),
            lost: None,
        })
    }

    /// What has happened to it, if anything has.
    pub(super) const fn lost(&self) -> Option<Loss> {
        self.lost
    }

    /// The path by which it was opened.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is time to look at everything.
    pub(super) fn is_due(&self) -> bool {
        self.looked.elapsed() >= LOOK_INTERVAL
    }

    /// Notes what the file is like, now that something was moved into it.
    pub(super) fn note(&mut self, connection: &Connection) {
        let noted =
            (self.file.metadata()).and_then(|found| contents(&self.file, &found, connection));
        match noted {
            Ok(contents) => self.contents = contents,
            Err(error) => tracing::warn!(%error, "the data file cannot be looked at"),
        }
    }

    /// Whether the file still has its path, right after a commit. It costs one call of the
    /// system where all is well.
    pub(super) fn at_its_place(&mut self, connection: &Connection, wal: &Wal) -> Option<Loss> {
        let well = |found: &Metadata| id(found) == self.id && found.len() >= self.contents.bytes;
        match std::fs::metadata(&self.path) {
            Ok(found) if self.lost.is_none() && well(&found) => None,
            Ok(_) | Err(_) => self.look(connection, wal),
        }
    }

    /// Looks at everything; nothing may be in a transaction. While something is being moved
    /// into the file, its contents change.
    pub(super) fn look(&mut self, connection: &Connection, wal: &Wal) -> Option<Loss> {
        self.looked = Instant::now();
        let loss = match std::fs::metadata(&self.path) {
            Err(error) => self.missing(&error),
            Ok(found) if id(&found) != self.id => Some(Loss::Replaced),
            Ok(found) => self
                .changed(&found, connection, wal)
                .or_else(|| self.beside(connection)),
        };
        self.keep(loss)
    }

    fn missing(&self, error: &std::io::Error) -> Option<Loss> {
        if error.kind() != ErrorKind::NotFound && self.lost.is_none() {
            tracing::warn!(%error, "the data file cannot be found by its path");
        }
        Some(Loss::Missing)
    }

    fn keep(&mut self, loss: Option<Loss>) -> Option<Loss> {
        // What was overwritten does not come back.
        let kept = self.lost.filter(|lost| !lost.is_readable());
        self.lost = kept.or(loss);
        self.lost
    }

    fn changed(&mut self, found: &Metadata, connection: &Connection, wal: &Wal) -> Option<Loss> {
        let noted = self.contents;
        let same = found.len() == noted.bytes && time(found) == noted.time;
        let moving = wal.is_moving() || self.others_move();
        if same || (moving && found.len() >= noted.bytes) {
            return None;
        }
        let now = match contents(&self.file, found, connection) {
            Ok(now) => now,
            // It becomes shorter right now.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Some(Loss::Changed),
            // Nothing is known: the next look tells.
            Err(_) => return None,
        };
        // Times can be changed alone. And another program can have moved something: then
        // SQLite counts other pages as moved than those that this server did, or the -wal is
        // shorter than this server left it.
        let touched = (now.bytes, now.sample) == (noted.bytes, noted.sample);
        let (pages, moved) = now.standing;
        let begun_anew = noted.standing.0 == noted.standing.1 && moved == 0;
        let by_others = moved != noted.standing.1 && !begun_anew || wal.was_emptied(pages);
        if touched || (by_others && self.has_all_pages(&now, connection)) {
            wal.holds(pages);
            self.contents = now;
            return None;
        }
        Some(Loss::Changed)
    }

    /// Whether the file can be one into which SQLite has moved something: it becomes smaller
    /// only where all is moved.
    fn has_all_pages(&self, now: &Contents, connection: &Connection) -> bool {
        let mut magic = [0_u8; 16];
        let read = self.file.read_exact_at(&mut magic, 0);
        let pages = connection.pragma_query_value(None, "page_count", |row| row.get::<_, i64>(0));
        let pages = pages.ok().and_then(|pages| u64::try_from(pages).ok());
        let all = pages.map_or(u64::MAX, |pages| pages.saturating_mul(self.page_bytes));
        read.is_ok()
            && &magic == b"SQLite format 3\0"
            && (now.bytes >= self.contents.bytes || now.bytes >= all)
    }

    fn beside(&self, connection: &Connection) -> Option<Loss> {
        let at = |(path, id_then): &(PathBuf, Id)| {
            let found = std::fs::metadata(path).ok();
            found.filter(|found| id(found) == *id_then)
        };
        if at(&self.shm).is_none() {
            return Some(Loss::ShmMissing);
        }
        let holds = || {
            let pages = standing(connection).ok().map(|(pages, _)| pages);
            let wal = at(&self.wal)?;
            let pages = u64::try_from(pages?).unwrap_or_default();
            Some(self.holds(&wal, pages).unwrap_or(false))
        };
        // Twice: another program may have emptied it between the two looks.
        match holds().filter(|holds| *holds).or_else(holds) {
            _ if at(&self.wal).is_none() => Some(Loss::WalMissing),
            Some(false) => Some(Loss::WalChanged),
            Some(true) | None => None,
        }
    }

    /// Whether another program is moving something into the file, or began to: SQLite notes
    /// in the `-shm` up to where before it begins, and when it has ended.
    fn others_move(&self) -> bool {
        // By SQLite's description of the file.
        let number = |offset| {
            let mut bytes = [0_u8; 4];
            let read = self.index.read_exact_at(&mut bytes, offset);
            read.map(|()| u32::from_ne_bytes(bytes)).ok()
        };
        let (moved, attempted) = (number(96), number(128));
        attempted > moved
    }

    /// Whether the `-wal` has so many pages: the last of them is marked as its header says.
    fn holds(&self, wal: &Metadata, pages: u64) -> std::io::Result<bool> {
        let Some(before) = pages.checked_sub(1) else {
            return Ok(true);
        };
        let frame = self.page_bytes.saturating_add(FRAME_HEADER_BYTES);
        let last = before
            .saturating_mul(frame)
            .saturating_add(WAL_HEADER_BYTES);
        if wal.len() < last.saturating_add(frame) {
            return Ok(false);
        }
        // No lock of SQLite's is on it, so it can be opened and closed.
        let file = File::open(&self.wal.0)?;
        let (mut in_header, mut in_frame) = ([0_u8; 8], [0_u8; 8]);
        file.read_exact_at(&mut in_header, 16)?;
        file.read_exact_at(&mut in_frame, last.saturating_add(8))?;
        Ok(in_header == in_frame)
    }

    /// How what is open can be copied while the process lives, as a command.
    pub(super) fn rescue(&self) -> Option<String> {
        let open = |wanted: Id| {
            std::fs::read_dir("/proc/self/fd")
                .ok()?
                .filter_map(Result::ok)
                .find(|entry| {
                    std::fs::metadata(entry.path()).is_ok_and(|found| id(&found) == wanted)
                })
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
        };
        let fds = format!("/proc/{}/fd", std::process::id());
        let (file, wal) = (open(self.id)?, open(self.wal.1)?);
        Some(format!(
            "cp {fds}/{file} rescued.db && cp {fds}/{wal} rescued.db-wal"
        ))
    }
}

fn time(found: &Metadata) -> (i64, i64) {
    (found.mtime(), found.mtime_nsec())
}

fn contents(file: &File, found: &Metadata, connection: &Connection) -> std::io::Result<Contents> {
    let mut hasher = DefaultHasher::new();
    let mut buffer = Vec::new();
    for start in [0, found.len().saturating_sub(SAMPLE_BYTES)] {
        let bytes = SAMPLE_BYTES.min(found.len().saturating_sub(start));
        buffer.resize(usize::try_from(bytes).unwrap_or_default(), 0);
        file.read_exact_at(&mut buffer, start)?;
        hasher.write(&buffer);
    }
    Ok(Contents {
        bytes: found.len(),
        time: time(found),
        sample: hasher.finish(),
        standing: standing(connection).map_err(std::io::Error::other)?,
    })
}
