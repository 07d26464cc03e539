//! Which moment of which generation is restored, by the headers of the files. Those that say so are
//! checked: a time that is damaged would have another moment restored.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::directory::{
    generation_name, generations, manifest_path, name_of, newest_path, segment_path, segments,
};
use super::origin;
use super::rebuild::EXCHANGED;
use super::sealed::{self, End, Manifest, SegmentHeader};
use crate::domain::Timestamp;
use crate::rfc3339;

pub(super) fn nothing_in(directory: &Path) -> String {
    format!(
        "{}: it has no generation of a continuous backup; give the directory that \"creditd backup --follow\" wrote",
        directory.display()
    )
}

/// What is restored.
pub(super) struct Chosen {
    pub(super) path: PathBuf,
    /// How often the clock had been set back.
    epoch: u64,
    pub(super) moment: Timestamp,
    /// Whether it was covered before, too, when the clock was ahead.
    is_twice: bool,
    /// Of how many of its segments, from the first on.
    pub(super) segments: u64,
    /// Whether the generation has nothing later.
    is_last: bool,
    /// The next moment of it.
    next: Option<Timestamp>,
}

/// Why there is nothing to restore.
pub(super) enum NotChosen {
    /// A file is damaged or missing.
    Damaged(String),
    Other(String),
}

/// The newest moment, of all generations, that is not after `at`.
pub(super) fn choose(directory: &Path, at: Option<Timestamp>) -> Result<Chosen, NotChosen> {
    let all = generations(directory).map_err(NotChosen::Other)?;
    if all.is_empty() {
        return Err(NotChosen::Other(nothing_in(directory)));
    }
    if let Some(mixed) = origin::mixed(directory, &all) {
        return Err(NotChosen::Other(mixed.problem(directory)));
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
            (Some(problem), _) => NotChosen::Damaged(problem),
            (None, at) => {
                let at = at.map(rfc3339::format).unwrap_or_default();
                NotChosen::Other(format!(
                    "{}: nothing there is as old as {at}; \"creditd restore DIR --list\" shows the moments that can be restored",
                    directory.display()
                ))
            }
        });
    };
    // Whoever asks for a moment that is there asks for nothing behind it.
    if at == Some(chosen.moment) {
        return Ok(chosen);
    }
    match problem.or_else(|| missing_end(directory, &all, &chosen, at)) {
        None => Ok(chosen),
        Some(problem) => Err(NotChosen::Damaged(problem)),
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
pub(super) fn note(chosen: &Chosen, at: Timestamp) -> Option<String> {
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

/// The newest moment of a generation that is not after `at`, by what its files say; and
/// what cannot be read and may be about that time.
pub(super) fn choose_within(
    path: &Path,
    at: Option<Timestamp>,
) -> (Option<Chosen>, Option<String>) {
    let is_asked_for = |time: Timestamp| at.is_none_or(|at| time <= at);
    let named = |path: &Path, problem: String| format!("{}: {problem}", path.display());
    let manifest = manifest_path(path);
    let began = sealed::read::<Manifest>(&manifest).and_then(|sealed| {
        let header = sealed.header;
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
        let header = sealed::read::<SegmentHeader>(&path)?.header;
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
