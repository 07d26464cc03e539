//! Copies a data file as it is at one moment, also while a server writes to it.
//!
//! The copy is written under another name, checked and synced, and then renamed: a file of the
//! final name is complete.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::audit::open_to_read;

/// Pages that are copied between two calls of `progress`.
const STEP_PAGES: i32 = 1_024;

/// Copies the data file. `progress` gets the number of pages copied and of all pages. Returns a
/// warning where the newest entries may be missing.
///
/// # Errors
/// A sentence that says what is wrong and what to do.
pub fn backup(
    data: &Path,
    copy: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Option<String>, String> {
    let name = copy.display();
    if copy.exists() {
        return Err(format!(
            "backup {name}: there is such a file already; choose another name, so that no earlier backup is lost"
        ));
    }
    let partial = partial_path(copy);
    // What an earlier attempt left under that name is removed.
    if is_same_file(data, &partial) {
        return Err(format!(
            "backup {name}: while it is made it has the name {}, and that is the data file; choose another name",
            partial.display()
        ));
    }
    // One read transaction for the whole copy: what a server writes meanwhile is not in it.
    let (source, warning) = open_to_read(data)?;
    let made =
        copy_pages(&source, &partial, progress).and_then(|()| sync_and_rename(&partial, copy));
    if made.is_err() {
        // An incomplete copy is useless.
        let _ = std::fs::remove_file(&partial);
    }
    made.map(|()| warning).map_err(|problem| {
        format!("backup {name}: {problem}; see that the directory exists, that this user may write there and that the disk has room")
    })
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        // One of them is not there.
        _ => false,
    }
}

/// The name of a file while it is being made.
pub(super) fn partial_path(copy: &Path) -> PathBuf {
    let mut name = copy.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

/// Makes a file that its owner alone may read: it will have all that the data file has.
pub(super) fn make_private(path: &Path) -> std::io::Result<File> {
    File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Copies all pages within the source's read transaction, and checks the copy.
pub(super) fn copy_pages(
    source: &Connection,
    partial: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), String> {
    let failed = |error: rusqlite::Error| error.to_string();
    // A copy that an earlier attempt left incomplete cannot be continued.
    if partial.exists() {
        std::fs::remove_file(partial).map_err(|error| error.to_string())?;
    }
    make_private(partial).map_err(|error| error.to_string())?;
    let mut target = Connection::open(partial).map_err(failed)?;
    {
        let backup = Backup::new(source, &mut target).map_err(failed)?;
        loop {
            let step = backup.step(STEP_PAGES).map_err(failed)?;
            let at = backup.progress();
            let total = u64::try_from(at.pagecount).unwrap_or_default();
            let left = u64::try_from(at.remaining).unwrap_or_default();
            progress(total.saturating_sub(left), total);
            match step {
                StepResult::Done => break,
                StepResult::More => {}
                _ => return Err("the data file is busy".to_owned()),
            }
        }
    }
    // No server uses the copy, and it has no -wal.
    target
        .execute("UPDATE file SET in_use = 0", [])
        .map_err(failed)?;
    let verdict: String = target
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(failed)?;
    if verdict != "ok" {
        return Err(format!("the copy is damaged ({verdict})"));
    }
    target.close().map_err(|(_, error)| failed(error))
}

/// Syncs a file and gives it its final name, which no file may have.
pub(super) fn sync_and_rename(partial: &Path, copy: &Path) -> Result<(), String> {
    let sync = || -> std::io::Result<()> {
        File::open(partial)?.sync_all()?;
        // A hard link does not replace a file that was created meanwhile; not all file systems
        // have them.
        match std::fs::hard_link(partial, copy) {
            Ok(()) => std::fs::remove_file(partial)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(error),
            Err(_) => std::fs::rename(partial, copy)?,
        }
        File::open(super::open::directory_of(copy))?.sync_all()
    };
    sync().map_err(|error| error.to_string())
}
