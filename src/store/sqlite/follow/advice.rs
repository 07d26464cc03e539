//! Which moment can be restored where files are damaged: all that it needs is read and checked first.

use std::path::Path;

use super::choose::{choose, choose_within};
use super::directory::generations;
use super::rebuild::sound_until;
use crate::domain::Timestamp;
use crate::rfc3339;

/// The problem, and what can be restored without the file that it names.
pub(super) fn with_advice(directory: &Path, at: Option<Timestamp>, problem: &str) -> String {
    if let Some(moment) = newest_sound(directory, at) {
        let moment = rfc3339::format(moment);
        return format!(
            "{problem}; the newest moment that can be restored without it is {moment}: give --at {moment}"
        );
    }
    match at.and_then(|_| newest_sound(directory, None)) {
        Some(moment) => format!(
            "{problem}; nothing as old as that can be restored, the newest of all can: give --at {}",
            rfc3339::format(moment)
        ),
        None => format!("{problem}; no moment can be restored"),
    }
}

/// The newest moment that is not after `at` and that a restore can make.
fn newest_sound(directory: &Path, at: Option<Timestamp>) -> Option<Timestamp> {
    let all = generations(directory).unwrap_or_default();
    all.iter().rev().find_map(|path| {
        let chosen = choose_within(path, at).0?;
        let moment = sound_until(&chosen)?;
        // Whoever asks for it may get it of another generation.
        let taken = choose(directory, Some(moment)).ok()?;
        let is_sound =
            taken.moment == moment && (taken.path == *path || sound_until(&taken) == Some(moment));
        is_sound.then_some(moment)
    })
}
