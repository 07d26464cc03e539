//! Line rate: of lines of the log that say the same a few are written each second; the others
//! are counted, and the count is logged once a second. A flood costs neither the disk nor the
//! time of those who are served.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How many lines of one kind are written in a second.
pub const LINES_PER_SECOND_MAX: u32 = 10;
/// How often it is to be logged how many lines were left out.
pub const LEFT_OUT_INTERVAL: Duration = Duration::from_secs(1);

/// The rate of one kind of lines.
#[derive(Debug, Default)]
pub struct LineRate {
    /// The newest second in which there was one, counted from a start that all calls share.
    second: AtomicU64,
    /// How many there were in it.
    lines: AtomicU32,
    /// How many were left out, and were not told yet.
    left_out: AtomicU64,
}

impl LineRate {
    /// Whether a line is written. One that is not is counted.
    pub fn permit(&self, start: Instant, now: Instant) -> bool {
        let second = now.saturating_duration_since(start).as_secs();
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.lines.store(0, Ordering::Relaxed);
        }
        if self.lines.fetch_add(1, Ordering::Relaxed) < LINES_PER_SECOND_MAX {
            return true;
        }
        self.left_out.fetch_add(1, Ordering::Relaxed);
        false
    }

    /// How many were left out since this was asked last.
    pub fn take_left_out(&self) -> u64 {
        self.left_out.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_in_each_second() {
        let start = Instant::now();
        let rate = LineRate::default();
        let mut left_out = 0;
        for (after_ms, tried, expected) in [
            (0, 4, 4),
            (500, 10, 6),
            (999, 100, 0),
            (1_000, 100, 10),
            (1_999, 1, 0),
            (9_000, 10, 10),
        ] {
            let now = start + Duration::from_millis(after_ms);
            let written = (0..tried).filter(|_| rate.permit(start, now)).count();
            assert_eq!(written, expected, "at {after_ms} ms");
            left_out += tried - expected;
        }
        assert_eq!(rate.take_left_out(), u64::try_from(left_out).unwrap());
        assert_eq!(rate.take_left_out(), 0);
    }
}
