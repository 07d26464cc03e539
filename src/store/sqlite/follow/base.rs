//! Makes the base of a generation on a thread of its own, from one read transaction.
//!
//! The transaction goes on until what came after it was read: SQLite does not reset a `-wal` that
//! it uses, or not more than once.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use rusqlite::Connection;
use sha2::{Digest as _, Sha256};

use super::directory::{BASE, generation_name, manifest_path};
use super::reading::Reading;
use super::sealed::{self, End, Manifest, Place};
use super::source::Source;
use super::tail::Tail;
use super::wal_index::IndexHeader;
use crate::failpoint;
use crate::store::sqlite::audit::begin_reading;
use crate::store::sqlite::backup::{copy_pages, partial_path};

/// A transaction must begin while the `-wal` stays as it is: commits come between few of them.
const BEGINNINGS_MAX: usize = 1_000;

/// A base that is being made.
pub(super) struct BaseJob {
    thread: JoinHandle<Made>,
    /// What the index said when the transaction began.
    header: IndexHeader,
    began: Reading,
    epoch: u64,
    name: String,
    partial: PathBuf,
}

/// The transaction, and the size and SHA-256 of the base.
type Made = (Connection, Result<(u64, String), String>);

/// A generation whose base is whole.
pub(super) struct NewGeneration {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) manifest_sha256: String,
    pub(super) began: Reading,
    pub(super) epoch: u64,
    pub(super) base_bytes: u64,
    pub(super) tail: Tail,
    /// To be closed once all behind it was read.
    pub(super) transaction: Connection,
}

impl BaseJob {
    /// Begins a base. `began` is a moment before this call.
    pub(super) fn start(
        source: &Source,
        directory: &Path,
        began: Reading,
        epoch: u64,
    ) -> Result<Self, String> {
        let (transaction, header) = begin_between_commits(source)?;
        let name = generation_name(began.wall);
        let partial = partial_path(&directory.join(&name));
        (DirBuilder::new().mode(0o700).create(&partial))
            .map_err(|error| format!("{}: {error}", partial.display()))?;
        let base = partial.join(BASE);
        let thread = std::thread::Builder::new()
            .name("backup-base".to_owned())
            .spawn(move || {
                let made = make(&transaction, &base);
                (transaction, made)
            })
            .map_err(|error| error.to_string())?;
        Ok(Self {
            thread,
            header,
            began,
            epoch,
            name,
            partial,
        })
    }

    pub(super) fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Gives the generation its name. `before` is how the one before it ended.
    pub(super) fn finish(
        self,
        source: &Source,
        before: Option<End>,
    ) -> Result<NewGeneration, String> {
        let partial = self.partial.clone();
        let finished = self.finish_or_fail(source, before);
        if finished.is_err() {
            let _ = std::fs::remove_dir_all(&partial);
        }
        finished
    }

    fn finish_or_fail(self, source: &Source, before: Option<End>) -> Result<NewGeneration, String> {
        let partial = self.partial;
        let failed = |error: std::io::Error| format!("{}: {error}", partial.display());
        let joined = self.thread.join();
        let (transaction, made) = joined.map_err(|_| "the copy ended by a panic".to_owned())?;
        let (base_bytes, base_sha256) = made?;
        let tail = Tail::at(&self.header);
        let manifest = Manifest {
            generation: self.name.clone(),
            file_key: sealed::hex(&source.key),
            time: crate::rfc3339::format(self.began.wall),
            boot: self.began.boot.clone(),
            epoch: self.epoch,
            page_bytes: u64::try_from(source.page_bytes).unwrap_or_default(),
            base_bytes,
            base_sha256,
            wal: Place::new(&tail.position),
            before,
        };
        let manifest_sha256 =
            sealed::write(&manifest_path(&partial), &manifest, None).map_err(failed)?;
        let path = partial.with_file_name(&self.name);
        failpoint::pass("backup-generation");
        std::fs::rename(&partial, &path)
            .and_then(|()| sealed::sync_directory(&path))
            .map_err(failed)?;
        Ok(NewGeneration {
            name: self.name,
            path,
            manifest_sha256,
            began: self.began,
            epoch: self.epoch,
            base_bytes,
            tail,
            transaction,
        })
    }
}

/// Begins a read transaction at exactly what the index says.
fn begin_between_commits(source: &Source) -> Result<(Connection, IndexHeader), String> {
    for _ in 0..BEGINNINGS_MAX {
        let before = source.header()?;
        let transaction = begin_reading(source.path())?;
        if source.header()? == before {
            return Ok((transaction, before));
        }
    }
    Err("the data file changes all the time".to_owned())
}

fn make(transaction: &Connection, base: &Path) -> Result<(u64, String), String> {
    copy_pages(transaction, base, &mut |_, _| {})?;
    let failed = |error: std::io::Error| format!("{}: {error}", base.display());
    let mut file = File::open(base).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    let mut hash = HashWriter(Sha256::new());
    let bytes = std::io::copy(&mut file, &mut hash).map_err(failed)?;
    Ok((bytes, sealed::hex(&hash.0.finalize())))
}

/// Hashes what is written.
pub(super) struct HashWriter(pub(super) Sha256);

impl std::io::Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
