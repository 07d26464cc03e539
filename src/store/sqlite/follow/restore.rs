//! Restores a data file of a moment from the directory of a continuous backup, and lists the
//! moments that can be restored. Everything that is used is checked by its SHA-256 first.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::read::DeflateDecoder;
use rusqlite::Connection;
use sha2::{Digest as _, Sha256};

use super::base::HashWriter;
use super::directory::{
    BASE, generation_name, generations, manifest_path, name_of, newest_path, segment_path, segments,
};
use super::origin;
use super::sealed::{self, End, Manifest, SegmentHeader, hex};
use crate::domain::Timestamp;
use crate::rfc3339;
use crate::store::sqlite::backup::{make_private, sync_and_rename};
use crate::store::sqlite::wal_match::wal_bytes;

const EXCHANGED: &str =
    "it does not follow from the segment before it: it was exchanged, or is another generation's";

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
    let chosen = choose(directory, at)?;
    let partial = sealed::partial_path(to);
    remove_partial(&partial);
    let restored = rebuild(&chosen, &partial, progress)
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

fn nothing_in(directory: &Path) -> String {
    format!(
        "{}: it has no generation of a continuous backup; give the directory that \"creditd backup --follow\" wrote",
        directory.display()
    )
}

/// What is restored.
struct Chosen {
    path: PathBuf,
    /// How often the clock had been set back.
    epoch: u64,
    moment: Timestamp,
    /// Whether it was covered before, too, when the clock was ahead.
    is_twice: bool,
    /// Of how many of its segments, from the first on.
    segments: u64,
    /// Whether the generation has nothing later.
    is_last: bool,
    /// The next moment of it.
    next: Option<Timestamp>,
}

/// The newest moment, of all generations, that is not after `at`.
fn choose(directory: &Path, at: Option<Timestamp>) -> Result<Chosen, String> {
    let all = generations(directory)?;
    if all.is_empty() {
        return Err(nothing_in(directory));
    }
    if let Some(mixed) = origin::mixed(directory, &all) {
        return Err(mixed.problem(directory));
    }
    let latest_name = at.map(generation_name);
    let mut best: Option<Chosen> = None;
    let mut problem: Option<String> = None;
    for path in &all {
        if latest_name
            .as_ref()
            .is_some_and(|latest| name_of(path) > *latest)
        {
            continue;
        }
        let (chosen, found) = choose_within(path, at);
        let is_better = |chosen: &Chosen| match (&best, at) {
            (None, _) => true,
            (Some(best), None) => (best.epoch, best.moment) <= (chosen.epoch, chosen.moment),
            (Some(best), Some(at)) => {
                let is_later = best.epoch < chosen.epoch && is_near(chosen, at);
                is_later || best.moment <= chosen.moment
            }
        };
        match chosen.filter(is_better) {
            // What is wrong with an older one does not matter any more.
            Some(mut chosen) => {
                let is_before = |best: &Chosen| best.epoch < chosen.epoch && goes_on(best);
                chosen.is_twice = best
                    .as_ref()
                    .is_some_and(|best| is_before(best) || best.is_twice);
                (best, problem) = (Some(chosen), found);
            }
            None => problem = problem.or(found),
        }
    }
    let Some(chosen) = best else {
        return Err(match (problem, at) {
            (Some(problem), _) => format!("{problem}; no moment can be restored"),
            (None, at) => {
                let at = at.map(rfc3339::format).unwrap_or_default();
                format!(
                    "{}: nothing there is as old as {at}; \"creditd restore DIR --list\" shows the moments that can be restored",
                    directory.display()
                )
            }
        });
    };
    // Whoever asks for a moment that is there asks for nothing behind it.
    if at == Some(chosen.moment) {
        return Ok(chosen);
    }
    match problem.or_else(|| missing_end(directory, &all, &chosen, at)) {
        None => Ok(chosen),
        Some(problem) => {
            let moment = rfc3339::format(chosen.moment);
            Err(format!(
                "{problem}; the newest moment that can be restored without it is {moment}: give --at {moment}"
            ))
        }
    }
}

/// A time in between two moments that are further apart is in a gap.
const GAP_MIN: Duration = Duration::from_secs(60);

/// Whether the generation was written at that time.
fn is_near(chosen: &Chosen, at: Timestamp) -> bool {
    at.since(chosen.moment) < GAP_MIN
}

/// Whether the generation has another moment soon after that.
fn goes_on(chosen: &Chosen) -> bool {
    let next = chosen.next;
    next.is_some_and(|next| next.since(chosen.moment) < GAP_MIN)
}

/// What to say where another moment was restored than one may expect.
fn note(chosen: &Chosen, at: Timestamp) -> Option<String> {
    let (moment, at_text) = (rfc3339::format(chosen.moment), rfc3339::format(at));
    match (is_near(chosen, at), chosen.is_twice) {
        (false, _) => Some(format!(
            "there is nothing between {moment} and {at_text}: the file is of {moment}"
        )),
        (true, true) => Some(format!(
            "{at_text} was there twice, since the clock was set back: the file is of the second time"
        )),
        (true, false) => None,
    }
}

/// Whether segments are missing behind those that are there, before that time.
fn missing_end(
    directory: &Path,
    all: &[PathBuf],
    chosen: &Chosen,
    at: Option<Timestamp>,
) -> Option<String> {
    if !chosen.is_last {
        return None;
    }
    let mut ends = Vec::new();
    match sealed::read::<End>(&newest_path(directory)) {
        Ok(newest) => ends.push(newest.header),
        Err(problem) if all.last() == Some(&chosen.path) => return Some(problem),
        Err(_) => {}
    }
    for path in all {
        let manifest = sealed::read_header::<Manifest>(&manifest_path(path));
        ends.extend(manifest.ok().and_then(|manifest| manifest.before));
    }
    ends.into_iter().find_map(|end| {
        let time = sealed::time_of(&end.time).ok()?;
        let is_later = (end.epoch, time) > (chosen.epoch, chosen.moment);
        let is_asked_for = is_later && at.is_none_or(|at| time <= at);
        let generation = directory.join(&end.generation);
        let path = match (generation.exists(), end.sequence) {
            (false, _) => generation,
            (true, 0) => manifest_path(&generation),
            (true, sequence) => segment_path(&generation, sequence),
        };
        // One that is there and not whole ends no moment.
        let is_missing = is_asked_for && !path.exists();
        is_missing.then(|| format!("{}: it is missing", path.display()))
    })
}

/// The newest moment of a generation that is not after `at`, by the headers of its files; and
/// what cannot be read and may be about that time.
fn choose_within(path: &Path, at: Option<Timestamp>) -> (Option<Chosen>, Option<String>) {
    let is_asked_for = |time: Timestamp| at.is_none_or(|at| time <= at);
    let named = |path: &Path, problem: String| format!("{}: {problem}", path.display());
    let manifest = manifest_path(path);
    let began = sealed::read_header::<Manifest>(&manifest).and_then(|header| {
        let time = sealed::time_of(&header.time).map_err(|problem| named(&manifest, problem))?;
        Ok((header.epoch, time))
    });
    let numbers = segments(path);
    let ((epoch, began), numbers) = match (began, numbers) {
        (Ok(began), Ok(numbers)) => (began, numbers),
        (Err(problem), _) | (_, Err(problem)) => return (None, Some(problem)),
    };
    if !is_asked_for(began) {
        return (None, None);
    }
    let name = name_of(path);
    let header = |number: &u64| -> Result<(bool, Timestamp), String> {
        let path = segment_path(path, *number);
        let header = sealed::read_header::<SegmentHeader>(&path)?;
        if header.sequence != *number || header.generation != name {
            return Err(named(&path, EXCHANGED.to_owned()));
        }
        let time = sealed::time_of(&header.time).map_err(|problem| named(&path, problem))?;
        Ok((header.whole, time))
    };
    // Times never go back from one segment to the next.
    let end = match at {
        None => numbers.len(),
        Some(_) => numbers
            .partition_point(|number| header(number).is_ok_and(|(_, time)| is_asked_for(time))),
    };
    let (asked_for, later) = numbers.split_at_checked(end).unwrap_or_default();
    let mut problem = later.first().and_then(|number| header(number).err());
    let mut chosen = Chosen {
        path: path.to_owned(),
        epoch,
        moment: began,
        is_twice: false,
        segments: 0,
        is_last: later.is_empty(),
        next: (later.first()).and_then(|number| Some(header(number).ok()?.1)),
    };
    for number in asked_for.iter().rev() {
        match header(number) {
            Ok((true, time)) => {
                (chosen.moment, chosen.segments) = (time, *number);
                break;
            }
            Ok((false, _)) => {}
            Err(found) => problem = Some(found),
        }
    }
    (Some(chosen), problem)
}

/// Writes the base and the segments into a file, and makes it a data file that no server uses.
fn rebuild(
    chosen: &Chosen,
    partial: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), String> {
    let written = |error: std::io::Error| with_remedy(partial, &error.to_string());
    let manifest = sealed::read::<Manifest>(&manifest_path(&chosen.path))
        .map_err(|problem| format!("{problem}; {}", before_remedy(&chosen.path, None)))?;
    if manifest.header.generation != name_of(&chosen.path) {
        return Err(format!(
            "{}: it belongs to generation {}; put each file back where it was",
            manifest_path(&chosen.path).display(),
            manifest.header.generation
        ));
    }
    let file = make_private(partial).map_err(written)?;
    copy_base(chosen, &manifest.header, &file, partial)?;
    let mut previous = manifest.sha256;
    let mut moment = sealed::time_of(&manifest.header.time)?;
    for sequence in 1..=chosen.segments {
        let path = segment_path(&chosen.path, sequence);
        let wrong = |problem: &str| {
            let remedy = before_remedy(&chosen.path, Some(moment));
            format!("{problem}; {remedy}")
        };
        let segment = sealed::read::<SegmentHeader>(&path).map_err(|problem| wrong(&problem))?;
        let header = &segment.header;
        if header.generation != manifest.header.generation
            || header.sequence != sequence
            || header.previous != previous
        {
            return Err(wrong(&format!("{}: {EXCHANGED}", path.display())));
        }
        let page_bytes = manifest.header.page_bytes;
        apply(&segment.header, &segment.body, page_bytes, &file)
            .map_err(|problem| wrong(&format!("{}: {problem}", path.display())))?;
        if header.whole {
            moment = sealed::time_of(&header.time)?;
        }
        previous = segment.sha256;
        progress(sequence, chosen.segments);
    }
    file.sync_all().map_err(written)?;
    drop(file);
    let finish = || -> rusqlite::Result<()> {
        let connection = Connection::open(partial)?;
        // No server uses it, and it has no -wal.
        connection.execute("UPDATE file SET in_use = 0", [])?;
        connection.close().map_err(|(_, error)| error)
    };
    finish().map_err(|error| with_remedy(partial, &error.to_string()))
}

/// What to do about damage behind a moment.
fn before_remedy(generation: &Path, moment: Option<Timestamp>) -> String {
    match moment {
        Some(moment) => format!(
            "the newest moment before it is {moment}: give --at {moment}",
            moment = rfc3339::format(moment)
        ),
        None => format!(
            "generation {} cannot be restored: give --at a moment of another one, which \"creditd restore DIR --list\" shows",
            name_of(generation)
        ),
    }
}

fn copy_base(
    chosen: &Chosen,
    manifest: &Manifest,
    file: &File,
    partial: &Path,
) -> Result<(), String> {
    let path = chosen.path.join(BASE);
    let damaged = |problem: &str| {
        let remedy = before_remedy(&chosen.path, None);
        format!("{}: {problem}; {remedy}", path.display())
    };
    let mut base = File::open(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => damaged("it is missing"),
        _ => damaged(&error.to_string()),
    })?;
    let (mut hash, mut at) = (HashWriter(Sha256::new()), 0_u64);
    let mut buffer = vec![0_u8; 1 << 20];
    loop {
        let bytes = base
            .read(&mut buffer)
            .map_err(|error| damaged(&error.to_string()))?;
        let part = buffer.get(..bytes).unwrap_or_default();
        if part.is_empty() {
            break;
        }
        hash.0.update(part);
        (file.write_all_at(part, at)).map_err(|error| with_remedy(partial, &error.to_string()))?;
        at = at.saturating_add(u64::try_from(bytes).unwrap_or_default());
    }
    let is_right = at == manifest.base_bytes && hex(&hash.0.finalize()) == manifest.base_sha256;
    match is_right {
        true => Ok(()),
        false => Err(damaged("it is damaged: its SHA-256 is another")),
    }
}

/// Writes the pages of a segment into the file.
fn apply(header: &SegmentHeader, body: &[u8], page_bytes: u64, file: &File) -> Result<(), String> {
    let failed = |error: std::io::Error| error.to_string();
    if header.pages > 0 && header.page_bytes != page_bytes {
        return Err("its pages have another size".to_owned());
    }
    let mut body = DeflateDecoder::new(body);
    let mut page = vec![0_u8; usize::try_from(header.page_bytes).unwrap_or_default()];
    for _ in 0..header.pages {
        let mut number = [0_u8; 4];
        body.read_exact(&mut number).map_err(failed)?;
        body.read_exact(&mut page).map_err(failed)?;
        let before = u64::from(u32::from_be_bytes(number)).checked_sub(1);
        let before = before.ok_or("it has a page without a number")?;
        file.write_all_at(&page, before.saturating_mul(page_bytes))
            .map_err(failed)?;
    }
    if header.whole && header.database_pages > 0 {
        let bytes = u64::from(header.database_pages).saturating_mul(page_bytes);
        file.set_len(bytes).map_err(failed)?;
    }
    Ok(())
}
