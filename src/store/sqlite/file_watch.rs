//! Detects that the data file was deleted, renamed, replaced or overwritten while it is open.
//!
//! A file that is deleted, renamed or replaced can still be written to through its open
//! descriptor, and is gone when the process ends. SQLite does not notice. So the writer
//! checks after each commit, before it answers, that the path still leads to the open file,
//! and several times a second the file's length, time and contents, its `-wal` and its `-shm`.
//!
//! The contents of the file change only by checkpoints, of this server or of another program,
//! and SQLite counts the frames that were checkpointed.

use std::fs::{File, Metadata};
use std::hash::{DefaultHasher, Hasher as _};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::wal::Wal;
use super::wal_match::{side_file_path, wal_frames};

/// Time between two full checks.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// How much of each end of the file is hashed to recognise its contents.
const HASHED_BYTES: u64 = 64 << 10;
/// Sizes of the header of a `-wal` and of the header of each frame in it.
const WAL_HEADER_BYTES: u64 = 32;
const FRAME_HEADER_BYTES: u64 = 24;

/// What happened to the open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileLoss {
    /// There is no file at its path.
    Missing,
    /// Another file is at its path.
    Replaced,
    /// Another program has changed the contents of the file.
    Changed,
    /// The `-wal` is not at its path.
    WalMissing,
    /// Another program has changed the contents of the `-wal`.
    WalChanged,
    /// The `-shm` is not at its path.
    ShmMissing,
}

impl FileLoss {
    /// What happened, as the end of a sentence.
    pub(super) const fn description(self) -> &'static str {
        match self {
            Self::Missing => "the data file was deleted or renamed while it was in use",
            Self::Replaced => "another file has taken the data file's place while it was in use",
            Self::Changed => "another program has overwritten the data file or cut it",
            Self::WalMissing => "the data file's -wal was deleted, renamed or replaced",
            Self::WalChanged => "another program has overwritten the data file's -wal or cut it",
            Self::ShmMissing => "the data file's -shm was deleted, renamed or replaced",
        }
    }

    /// Whether the open files are still complete, though not at their paths.
    pub(super) const fn is_readable(self) -> bool {
        match self {
            Self::Missing | Self::Replaced | Self::WalMissing | Self::ShmMissing => true,
            Self::Changed | Self::WalChanged => false,
        }
    }

    /// Whether the data file is at its path and sound, so that the `-wal` can be checkpointed.
    pub(super) const fn has_file(self) -> bool {
        matches!(self, Self::WalMissing | Self::ShmMissing)
    }
}

/// Device and inode of a file.
type FileId = (u64, u64);

fn id(metadata: &Metadata) -> FileId {
    (metadata.dev(), metadata.ino())
}

/// The contents of the data file after the last checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Contents {
    bytes: u64,
    time: (i64, i64),
    hash: u64,
    /// How many frames the `-wal` had, and how many of them were checkpointed.
    wal_frames: (i64, i64),
}

/// The files that are open, as they were at the last full check.
pub(super) struct FileWatch {
    path: PathBuf,
    /// The locked file. It must be closed after SQLite's connections, since closing any
    /// descriptor of a file releases the process's locks on it.
    file: Arc<File>,
    id: FileId,
    wal: (PathBuf, FileId),
    shm: (PathBuf, FileId),
    /// It must be closed after SQLite's connections, as `file`.
    shm_file: File,
    page_bytes: u64,
    contents: Contents,
    checked: Instant,
    loss: Option<FileLoss>,
}

impl FileWatch {
    /// Records the open files. The connection must have written, so that its `-wal` exists.
    pub(super) fn new(
        path: &Path,
        file: Arc<File>,
        connection: &Connection,
    ) -> std::io::Result<Self> {
        let side_file = |ending| {
            let path = side_file_path(path, ending);
            let metadata = std::fs::metadata(&path)?;
            std::io::Result::Ok((path, id(&metadata)))
        };
        let page_bytes = connection
            .pragma_query_value(None, "page_size", |row| row.get::<_, i64>(0))
            .map_err(std::io::Error::other)?;
        let metadata = file.metadata()?;
        let shm = side_file("-shm")?;
        Ok(Self {
            path: path.to_owned(),
            id: id(&metadata),
            wal: side_file("-wal")?,
            shm_file: File::open(&shm.0)?,
            shm,
            page_bytes: u64::try_from(page_bytes).unwrap_or_default(),
            contents: contents(&file, &metadata, connection)?,
            file,
            checked: Instant::now(),
            loss: None,
        })
    }

    /// What happened to the files, if anything did.
    pub(super) const fn loss(&self) -> Option<FileLoss> {
        self.loss
    }

    /// The path by which it was opened.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the next full check is due.
    pub(super) fn is_due(&self) -> bool {
        self.checked.elapsed() >= CHECK_INTERVAL
    }

    /// Records the contents of the file after a checkpoint.
    pub(super) fn record_contents(&mut self, connection: &Connection) {
        let recorded =
            (self.file.metadata()).and_then(|metadata| contents(&self.file, &metadata, connection));
        match recorded {
            Ok(contents) => self.contents = contents,
            Err(error) => tracing::warn!(%error, "the data file cannot be looked at"),
        }
    }

    /// Whether the path still leads to the open file, by one system call where it does.
    /// Otherwise it makes a full check.
    pub(super) fn check_path(&mut self, connection: &Connection, wal: &Wal) -> Option<FileLoss> {
        let is_unchanged =
            |metadata: &Metadata| id(metadata) == self.id && metadata.len() >= self.contents.bytes;
        match std::fs::metadata(&self.path) {
            Ok(metadata) if self.loss.is_none() && is_unchanged(&metadata) => None,
            Ok(_) | Err(_) => self.check(connection, wal),
        }
    }

    /// Makes a full check. The connection must not be in a transaction. A checkpoint that runs
    /// may change the contents of the file.
    pub(super) fn check(&mut self, connection: &Connection, wal: &Wal) -> Option<FileLoss> {
        self.checked = Instant::now();
        let loss = match std::fs::metadata(&self.path) {
            Err(error) => self.log_missing(&error),
            Ok(metadata) if id(&metadata) != self.id => Some(FileLoss::Replaced),
            Ok(metadata) => self
                .check_contents(&metadata, connection, wal)
                .or_else(|| self.check_side_files(connection)),
        };
        self.set_loss(loss)
    }

    fn log_missing(&self, error: &std::io::Error) -> Option<FileLoss> {
        if error.kind() != ErrorKind::NotFound && self.loss.is_none() {
            tracing::warn!(%error, "the data file cannot be found by its path");
        }
        Some(FileLoss::Missing)
    }

    fn set_loss(&mut self, loss: Option<FileLoss>) -> Option<FileLoss> {
        // An overwritten file stays lost, even if its contents look right again.
        let overwritten = self.loss.filter(|loss| !loss.is_readable());
        self.loss = overwritten.or(loss);
        self.loss
    }

    fn check_contents(
        &mut self,
        metadata: &Metadata,
        connection: &Connection,
        wal: &Wal,
    ) -> Option<FileLoss> {
        let recorded = self.contents;
        let same = metadata.len() == recorded.bytes && time(metadata) == recorded.time;
        let checkpointing = wal.is_running() || self.is_checkpointed_by_others();
        if same || (checkpointing && metadata.len() >= recorded.bytes) {
            return None;
        }
        let now = match contents(&self.file, metadata, connection) {
            Ok(now) => now,
            // The file was cut between the two calls.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                return Some(FileLoss::Changed);
            }
            // It could not be read; the next check tries again.
            Err(_) => return None,
        };
        // The time may have changed without the contents. Or another program ran a checkpoint:
        // then SQLite counts other frames as checkpointed than this server knows, or the -wal
        // has fewer frames than this server wrote.
        let same_bytes = (now.bytes, now.hash) == (recorded.bytes, recorded.hash);
        let (frames, checkpointed) = now.wal_frames;
        let was_reset = recorded.wal_frames.0 == recorded.wal_frames.1 && checkpointed == 0;
        let by_others =
            checkpointed != recorded.wal_frames.1 && !was_reset || wal.was_reset_by_others(frames);
        if same_bytes || (by_others && self.has_all_pages(&now, connection)) {
            wal.set_frames(frames);
            self.contents = now;
            return None;
        }
        Some(FileLoss::Changed)
    }

    /// Whether a checkpoint can have made these contents: a checkpoint makes the file shorter
    /// only where it is complete.
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

    fn check_side_files(&self, connection: &Connection) -> Option<FileLoss> {
        let at = |(path, recorded_id): &(PathBuf, FileId)| {
            let metadata = std::fs::metadata(path).ok();
            metadata.filter(|metadata| id(metadata) == *recorded_id)
        };
        if at(&self.shm).is_none() {
            return Some(FileLoss::ShmMissing);
        }
        let has_frames = || {
            let pages = wal_frames(connection).ok().map(|(pages, _)| pages);
            let wal = at(&self.wal)?;
            let pages = u64::try_from(pages?).unwrap_or_default();
            Some(self.wal_has_frames(&wal, pages).unwrap_or(false))
        };
        // Checked twice, since another program may reset the -wal between the two reads.
        match has_frames()
            .filter(|has_frames| *has_frames)
            .or_else(has_frames)
        {
            _ if at(&self.wal).is_none() => Some(FileLoss::WalMissing),
            Some(false) => Some(FileLoss::WalChanged),
            Some(true) | None => None,
        }
    }

    /// Whether another program runs a checkpoint, or did not complete one: SQLite writes into
    /// the `-shm` up to which frame a checkpoint will go, and later how far it went.
    fn is_checkpointed_by_others(&self) -> bool {
        // Offsets of nBackfill and nBackfillAttempted in SQLite's WAL index.
        let number = |offset| {
            let mut bytes = [0_u8; 4];
            let read = self.shm_file.read_exact_at(&mut bytes, offset);
            read.map(|()| u32::from_ne_bytes(bytes)).ok()
        };
        let (checkpointed, attempted) = (number(96), number(128));
        attempted > checkpointed
    }

    /// Whether the `-wal` has so many frames: the last one has the salt of its header.
    fn wal_has_frames(&self, wal: &Metadata, pages: u64) -> std::io::Result<bool> {
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
        // SQLite has_frames no locks on the -wal, so closing this descriptor releases none.
        let file = File::open(&self.wal.0)?;
        let (mut in_header, mut in_frame) = ([0_u8; 8], [0_u8; 8]);
        file.read_exact_at(&mut in_header, 16)?;
        file.read_exact_at(&mut in_frame, last.saturating_add(8))?;
        Ok(in_header == in_frame)
    }

    /// A shell command that copies the open files, which works while the process lives.
    pub(super) fn rescue_command(&self) -> Option<String> {
        let open = |wanted: FileId| {
            std::fs::read_dir("/proc/self/fd")
                .ok()?
                .filter_map(Result::ok)
                .find(|entry| {
                    std::fs::metadata(entry.path()).is_ok_and(|metadata| id(&metadata) == wanted)
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

fn time(metadata: &Metadata) -> (i64, i64) {
    (metadata.mtime(), metadata.mtime_nsec())
}

fn contents(
    file: &File,
    metadata: &Metadata,
    connection: &Connection,
) -> std::io::Result<Contents> {
    let mut hasher = DefaultHasher::new();
    let mut buffer = Vec::new();
    for start in [0, metadata.len().saturating_sub(HASHED_BYTES)] {
        let bytes = HASHED_BYTES.min(metadata.len().saturating_sub(start));
        buffer.resize(usize::try_from(bytes).unwrap_or_default(), 0);
        file.read_exact_at(&mut buffer, start)?;
        hasher.write(&buffer);
    }
    Ok(Contents {
        bytes: metadata.len(),
        time: time(metadata),
        hash: hasher.finish(),
        wal_frames: wal_frames(connection).map_err(std::io::Error::other)?,
    })
}
