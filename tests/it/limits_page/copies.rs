//! The limits of continuous copies.

use creditd::store::sqlite::{
    BEHIND_RESET_BYTES_MAX, CLOCK_BEHIND_MAX, FULL_HOLD_MAX, FULL_WAL_BYTES_MAX, PENDING_BYTES_MAX,
};

use super::words::size;

/// Their rows on the page.
pub fn rows() -> [(&'static str, String); 5] {
    [
        (
            "changed pages that wait to be written into a segment",
            size(PENDING_BYTES_MAX.try_into().unwrap()),
        ),
        (
            "frames that are read from before a reset of the `-wal`",
            size(BEHIND_RESET_BYTES_MAX.try_into().unwrap()),
        ),
        (
            "how long the server's checkpoints are held up while nothing can be written",
            format!("{} s", FULL_HOLD_MAX.as_secs()),
        ),
        (
            "how much the `-wal` grows meanwhile",
            size(FULL_WAL_BYTES_MAX),
        ),
        (
            "how far the clock may be behind the newest moment of the copy",
            format!("{} s", CLOCK_BEHIND_MAX.as_secs()),
        ),
    ]
}
