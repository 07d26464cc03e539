//! Which generations are not needed any more.
//!
//! Wall time alone says nothing: a clock that is set ahead makes everything old. So one is removed
//! where a newer one is whole, and as much time as is kept has passed since that, both by wall time
//! and by the time since boot.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::directory::{BASE, manifest_path};
use super::reading::Reading;
use super::sealed::{self, Manifest};
use super::settings::FollowSettings;

/// When a generation began.
struct Beginning {
    epoch: u64,
    reading: Reading,
    /// Whether its base can be there whole.
    is_whole: bool,
}

/// How many of these generations, oldest first, are not needed any more.
pub(super) fn removable(all: &[PathBuf], now: &Reading, settings: &FollowSettings) -> usize {
    let beginnings: Vec<_> = all.iter().map(|path| beginning(path)).collect();
    let newest_epoch = beginnings.iter().flatten().map(|known| known.epoch).max();
    let (mut elapsed, mut later) = (Duration::ZERO, now);
    for (at, known) in beginnings.iter().enumerate().rev() {
        let Some(known) = known else { continue };
        // A base follows upon a base: over another boot no more than that is sure.
        let step = later.since(&known.reading, settings.base_every);
        elapsed = elapsed.saturating_add(step);
        later = &known.reading;
        // Moments of before the clock was set back say nothing.
        let is_old = Some(known.epoch) != newest_epoch
            || now.wall.since(known.reading.wall) >= settings.retain;
        if known.is_whole && is_old && elapsed >= settings.retain {
            return at;
        }
    }
    0
}

fn beginning(generation: &Path) -> Option<Beginning> {
    let manifest = sealed::read::<Manifest>(&manifest_path(generation)).ok()?;
    let manifest = manifest.header;
    let base = std::fs::metadata(generation.join(BASE));
    Some(Beginning {
        epoch: manifest.epoch,
        reading: manifest.reading().ok()?,
        is_whole: base.is_ok_and(|base| base.len() == manifest.base_bytes),
    })
}
