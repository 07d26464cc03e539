//! The directory of a continuous backup.
//!
//! ```text
//! DIR/lock                            one process follows into it
//! DIR/newest                          what its newest segment is
//! DIR/20261128T120000.000000000Z/     a generation, by the time of its base
//!     base.db                         a whole copy
//!     manifest                        what the base is
//!     0000000001.segment              what came after it
//! ```
//!
//! Whatever ends with `.partial` or `.removed` is being made or removed, or was when the process
//! was killed.

use std::fs::{DirBuilder, File, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::reading::Reading;
use super::retention::removable;
use super::sealed::{self, End, Manifest, Place, SegmentHeader};
use super::settings::FollowSettings;
use crate::domain::Timestamp;
use crate::failpoint;
use crate::rfc3339;

pub(super) const BASE: &str = "base.db";
const MANIFEST: &str = "manifest";
const SEGMENT: &str = ".segment";
const REMOVED: &str = ".removed";
const LOCK: &str = "lock";
const NEWEST: &str = "newest";
/// The length of the name of a generation.
const NAME_LENGTH: usize = "20261128T120000.000000000Z".len();

/// A directory that this process follows into.
pub(super) struct Directory {
    path: PathBuf,
    lock: File,
}

/// The name of a generation whose base is of that time. Names are in order of time.
pub(super) fn generation_name(time: Timestamp) -> String {
    rfc3339::format_nanos(time).replace(['-', ':'], "")
}

pub(super) fn manifest_path(generation: &Path) -> PathBuf {
    generation.join(MANIFEST)
}

pub(super) fn segment_path(generation: &Path, sequence: u64) -> PathBuf {
    generation.join(format!("{sequence:010}{SEGMENT}"))
}

pub(super) fn newest_path(directory: &Path) -> PathBuf {
    directory.join(NEWEST)
}

/// The name of a generation at that path.
pub(super) fn name_of(generation: &Path) -> String {
    let name = generation.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The generations of a directory, oldest first: by how often the clock was set back before, and by
/// time.
pub(super) fn generations(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", directory.display());
    let mut found = Vec::new();
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(found),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let is_name = name.len() == NAME_LENGTH
            && name.first().is_some_and(u8::is_ascii_digit)
            && name.last() == Some(&b'Z');
        if is_name {
            found.push(path);
        }
    }
    found.sort();
    let mut epoch = 0;
    found.sort_by_cached_key(|path| {
        // One that is damaged goes with the one before it.
        let manifest = sealed::read::<Manifest>(&manifest_path(path));
        epoch = manifest.map_or(epoch, |manifest| manifest.header.epoch);
        epoch
    });
    Ok(found)
}

/// The numbers of a generation's segments, in order.
pub(super) fn segments(generation: &Path) -> Result<Vec<u64>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", generation.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(generation).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let name = name.to_str().and_then(|name| name.strip_suffix(SEGMENT));
        found.extend(name.and_then(|digits| digits.parse::<u64>().ok()));
    }
    found.sort_unstable();
    Ok(found)
}

/// Notes what the newest segment is.
pub(super) fn note_newest(directory: &Path, end: &End) -> Result<(), String> {
    let path = newest_path(directory);
    let written = sealed::write(&path, end, None);
    written
        .map(drop)
        .map_err(|error| format!("{}: {error}", path.display()))
}

fn open_lock(directory: &Path) -> std::io::Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(directory.join(LOCK))
}

fn other_follower(directory: &Path) -> String {
    format!(
        "{}: another creditd follows into it; end that one, or give this one a directory of its own",
        directory.display()
    )
}

/// What a directory has.
pub(super) struct Contents {
    /// Where its newest generation ends, if that is known.
    pub(super) end: Option<End>,
    /// The newest epoch, and no moment of it is later.
    pub(super) newest: (u64, Timestamp),
    /// Where the `-wal` was then; or why that generation cannot be gone on with.
    pub(super) place: Result<Place, String>,
}

/// Where a generation ends, and where the `-wal` was then, if that can be gone on from.
fn end_of(generation: &Path) -> Result<(End, Result<Place, String>), String> {
    let sequences = segments(generation)?;
    let last = sequences.last().copied().unwrap_or_default();
    let manifest = sealed::read::<Manifest>(&manifest_path(generation))?;
    let mut end = End {
        generation: name_of(generation),
        sequence: 0,
        sha256: manifest.sha256,
        time: manifest.header.time,
        epoch: manifest.header.epoch,
    };
    if last == 0 {
        return Ok((end, Ok(manifest.header.wal)));
    }
    let segment = sealed::read::<SegmentHeader>(&segment_path(generation, last))?;
    end.sequence = last;
    end.sha256 = segment.sha256;
    end.time = segment.header.time;
    let has_all = u64::try_from(sequences.len()) == Ok(last);
    let place = match (has_all, segment.header.whole) {
        (true, true) => Ok(segment.header.wal),
        (false, _) => Err(format!("{}: segments are missing", generation.display())),
        (true, false) => Err(format!(
            "{}: its last segment was to be gone on with",
            generation.display()
        )),
    };
    Ok((end, place))
}

impl Directory {
    /// Opens a directory, or makes it, and keeps other processes from following into it.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| {
            format!(
                "{}: {error}; give --follow a directory that this user may write to, and that is empty or such a backup",
                path.display()
            )
        };
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed(&error)),
            Ok(()) => sealed::sync_directory(path).map_err(|error| failed(&error))?,
            Err(_) => {}
        }
        let lock = path.join(LOCK);
        let is_empty = || -> std::io::Result<bool> { Ok(path.read_dir()?.next().is_none()) };
        if !lock.exists() && !is_empty().map_err(|error| failed(&error))? {
            return Err(failed(&"it has other files"));
        }
        let lock = open_lock(path).map_err(|error| failed(&error))?;
        if lock.try_lock().is_err() {
            return Err(other_follower(path));
        }
        let directory = Self {
            path: path.to_owned(),
            lock,
        };
        directory.remove_remains();
        Ok(directory)
    }

    /// Keeps the lock also where its file was removed or replaced, if no other process has it now.
    pub(super) fn keep_lock(&mut self) -> Result<(), String> {
        let id = |metadata: Metadata| (metadata.dev(), metadata.ino());
        let own = self.lock.metadata().map(id).ok();
        let is_replaced = match std::fs::metadata(self.path.join(LOCK)) {
            Ok(found) => Some(id(found)) != own,
            Err(error) => error.kind() == ErrorKind::NotFound,
        };
        // Where the directory is gone, writing says so.
        let Some(lock) = is_replaced.then(|| open_lock(&self.path).ok()).flatten() else {
            return Ok(());
        };
        if lock.try_lock().is_err() {
            return Err(format!(
                "its lock was removed or replaced while this one followed into it; {}",
                other_follower(&self.path)
            ));
        }
        tracing::warn!(
            directory = %self.path.display(),
            "the lock was removed or replaced, and is locked again; leave it there: it keeps a second follower out"
        );
        self.lock = lock;
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes what a kill left behind.
    fn remove_remains(&self) {
        let folders = generations(&self.path).unwrap_or_default();
        for folder in folders.iter().chain([&self.path]) {
            for entry in folder.read_dir().into_iter().flatten().flatten() {
                let name = entry.file_name();
                let name = name.to_str().unwrap_or_default();
                if name.ends_with(".partial") || name.ends_with(REMOVED) {
                    // What stays takes room and does no harm.
                    let path = entry.path();
                    let _ = std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path));
                }
            }
        }
    }

    /// Refuses a directory with copies of another data file.
    pub(super) fn check_key(&self, key: &[u8]) -> Result<(), String> {
        let key = sealed::hex(key);
        for generation in generations(&self.path)? {
            let manifest = sealed::read_header::<Manifest>(&manifest_path(&generation));
            if manifest.is_ok_and(|manifest| manifest.file_key != key) {
                return Err(format!(
                    "{}: it has copies of another data file, such as {}; give each data file a directory of its own",
                    self.path.display(),
                    name_of(&generation)
                ));
            }
        }
        Ok(())
    }

    /// Where the newest generation ends. None: there is none.
    pub(super) fn contents(&self) -> Result<Option<Contents>, String> {
        let all = generations(&self.path)?;
        let Some(generation) = all.last() else {
            return Ok(None);
        };
        let noted = sealed::read::<End>(&newest_path(&self.path));
        let noted = noted.ok().map(|noted| noted.header);
        let mut newest = (0, Timestamp::MIN);
        for path in &all {
            if let Ok(manifest) = sealed::read::<Manifest>(&manifest_path(path)) {
                let manifest = manifest.header;
                newest = newest.max((manifest.epoch, sealed::time_of(&manifest.time)?));
            }
        }
        let (end, place) = match end_of(generation) {
            Ok((end, place)) => (Some(end), place),
            // What is damaged stays, and is found by a restore.
            Err(problem) => (
                noted
                    .clone()
                    .filter(|noted| noted.generation == name_of(generation)),
                Err(problem),
            ),
        };
        for end in end.iter().chain(&noted) {
            newest = newest.max((end.epoch, sealed::time_of(&end.time)?));
        }
        Ok(Some(Contents { end, newest, place }))
    }

    /// Removes generations that are not needed any more. Returns how many.
    pub(super) fn remove_old(
        &self,
        now: &Reading,
        settings: &FollowSettings,
    ) -> Result<usize, String> {
        let generations = generations(&self.path)?;
        let removed = removable(&generations, now, settings);
        for older in generations.iter().take(removed) {
            let mut name = older.as_os_str().to_owned();
            name.push(REMOVED);
            let gone = PathBuf::from(name);
            std::fs::rename(older, &gone)
                .and_then(|()| sealed::sync_directory(older))
                .and_then(|()| {
                    failpoint::pass("backup-removed");
                    std::fs::remove_dir_all(&gone)
                })
                .map_err(|error| format!("{}: {error}", older.display()))?;
        }
        Ok(removed)
    }
}
