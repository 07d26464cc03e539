//! Restores a data file of a moment from the directory of a continuous backup, and lists the
//! moments that can be restored. Everything that is used is checked by its SHA-256 first.

use std::path::{Path, PathBuf};

use super::advice::with_advice;
use super::choose::{NotChosen, choose, choose_within, note, nothing_in};
use super::directory::{generations, manifest_path, name_of, segments};
use super::origin;
use super::rebuild::{NotRebuilt, rebuild};
use super::sealed::{self, Manifest};
use crate::domain::Timestamp;
use crate::store::sqlite::backup::{partial_path, sync_and_rename};
use crate::store::sqlite::wal_match::wal_bytes;

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The moment up to which the file has everything.
    pub moment: Timestamp,
    /// The generation that it came from.
    pub generation: String,
    /// How many segments came upon the base.
    pub segments: u64,
    /// What the moment that was asked for has to do with that one, where they differ by much.
    pub note: Option<String>,
}

/// A generation of a directory, as its files say, unchecked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Its name.
    pub name: String,
    /// The moment of its base, which is the first that can be restored; None where it cannot
    /// be read.
    pub oldest: Option<Timestamp>,
    /// The newest one.
    pub newest: Option<Timestamp>,
    /// How many segments it has.
    pub segments: u64,
    /// How many bytes all of it takes.
    pub size_bytes: u64,
    /// What is wrong with it at first sight.
    pub problem: Option<String>,
}

/// The generations of a directory, oldest first.
///
/// # Errors
/// Why it is no such directory.
pub fn list_generations(directory: &Path) -> Result<Vec<Generation>, String> {
    let all = generations(directory)?;
    let mixed = origin::mixed(directory, &all);
    let found = all.into_iter().map(|path| {
        let (chosen, problem) = choose_within(&path, None);
        let foreign = mixed.as_ref().and_then(|mixed| mixed.problem_of(&path));
        let numbers = segments(&path).unwrap_or_default();
        let files = path.read_dir().into_iter().flatten().flatten();
        let sizes = files.filter_map(|entry| entry.metadata().ok());
        Generation {
            name: name_of(&path),
            oldest: sealed::read_header::<Manifest>(&manifest_path(&path))
                .and_then(|manifest| sealed::time_of(&manifest.time))
                .ok(),
            newest: chosen.map(|chosen| chosen.moment),
            segments: u64::try_from(numbers.len()).unwrap_or(u64::MAX),
            size_bytes: sizes.fold(0_u64, |sum, file| sum.saturating_add(file.len())),
            problem: problem.or(foreign),
        }
    });
    let found: Vec<_> = found.collect();
    match found.is_empty() {
        false => Ok(found),
        true => Err(nothing_in(directory)),
    }
}

/// Restores a file. `at`: the newest moment that is not after it; None: the newest of all.
/// `progress` gets the number of segments done and of all.
///
/// # Errors
/// Which file of the directory is wrong, or what else is, and what to do.
pub fn restore(
    directory: &Path,
    to: &Path,
    at: Option<Timestamp>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Restored, String> {
    if to.exists() {
        return Err(format!(
            "{}: there is such a file already; give --to another path, and put the file in place yourself",
            to.display()
        ));
    }
    // SQLite would apply it to the restored file.
    if wal_bytes(to) > 0 {
        return Err(format!(
            "{}: the -wal of another file is beside it; move that away, and a -shm with it",
            to.display()
        ));
    }
    let chosen = choose(directory, at).map_err(|problem| match problem {
        NotChosen::Damaged(problem) => with_advice(directory, at, &problem),
        NotChosen::Other(problem) => problem,
    })?;
    let partial = partial_path(to);
    remove_partial(&partial);
    let rebuilt = rebuild(&chosen, &partial, progress).map_err(|problem| match problem {
        NotRebuilt::Damaged(problem) => with_advice(directory, at, &problem),
        NotRebuilt::Unwritten(problem) => with_remedy(&partial, &problem),
    });
    let restored = rebuilt
        .and_then(|()| sync_and_rename(&partial, to).map_err(|error| with_remedy(to, &error)));
    if restored.is_err() {
        remove_partial(&partial);
    }
    restored.map(|()| Restored {
        note: at.and_then(|at| note(&chosen, at)),
        moment: chosen.moment,
        generation: name_of(&chosen.path),
        segments: chosen.segments,
    })
}

/// Removes an incomplete file, which is useless, and what SQLite left beside it.
fn remove_partial(partial: &Path) {
    for ending in ["", "-wal", "-shm"] {
        let mut name = partial.as_os_str().to_owned();
        name.push(ending);
        let _ = std::fs::remove_file(PathBuf::from(name));
    }
}

fn with_remedy(to: &Path, problem: &str) -> String {
    format!(
        "{}: {problem}; see that the directory exists, that this user may write there and that the disk has room",
        to.display()
    )
}
