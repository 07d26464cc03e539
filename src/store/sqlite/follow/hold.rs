//! For how long the follower holds up the server's checkpoints while it cannot write.
//!
//! Where as many pages wait as may wait, the rest stays in the `-wal`, and a read transaction keeps
//! it there. That ends after a time, or once the `-wal` has grown by a size: otherwise a full disk
//! of the copy would fill the ledger's.

use std::time::{Duration, Instant};

/// For so long the `-wal` is held while nothing can be written.
pub const FULL_HOLD_MAX: Duration = Duration::from_secs(10);
/// While it grows by so many bytes at most.
pub const FULL_WAL_BYTES_MAX: u64 = 64 << 20;

/// Since when too many pages wait.
#[derive(Default)]
pub(super) struct FullHold {
    /// And how many frames the `-wal` had then.
    since: Option<(Instant, u32)>,
}

impl FullHold {
    /// A segment was written, or the generation was given up.
    pub(super) fn end(&mut self) {
        self.since = None;
    }

    /// Looks at the `-wal` while too many pages wait. Returns why it is held no longer.
    pub(super) fn advance(&mut self, frames: u32, page_bytes: usize) -> Option<String> {
        let (since, frames_then) = *self.since.get_or_insert((Instant::now(), frames));
        let page_bytes = u64::try_from(page_bytes).unwrap_or(u64::MAX);
        let grown = u64::from(frames.saturating_sub(frames_then)).saturating_mul(page_bytes);
        if grown >= FULL_WAL_BYTES_MAX {
            return Some(format!(
                "no segment could be written while the -wal grew by {} MiB",
                FULL_WAL_BYTES_MAX >> 20
            ));
        }
        (since.elapsed() >= FULL_HOLD_MAX).then(|| {
            format!(
                "no segment could be written for {} s, and too much waits",
                FULL_HOLD_MAX.as_secs()
            )
        })
    }
}
