//! Clock samples in the file: by the last one a start distinguishes a clock that was set from
//! time that has passed.

use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension as _, params};

use super::journal::StorageError;
use super::times::At;
use crate::domain::Timestamp;
use crate::domain::clock::{ClockSample, StoredClock};

/// A group that writes also writes a sample, if the last one is older than this.
const GROUP_INTERVAL: Duration = Duration::from_secs(5);
/// A sample is written in a transaction of its own once the last one is older than this.
const ALONE_INTERVAL: Duration = Duration::from_secs(60);
/// Time between two attempts at that.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// When a sample was last written, and when writing one by itself last failed.
#[derive(Default)]
pub(super) struct SampleTimes {
    written: Option<Instant>,
    failed: Option<Instant>,
}

impl SampleTimes {
    /// Whether a group that writes is to write one too.
    pub(super) fn is_due_with_group(&self) -> bool {
        left(self.written, GROUP_INTERVAL).is_zero()
    }

    /// How long until one is due in a transaction of its own.
    pub(super) fn due_alone_in(&self) -> Duration {
        left(self.written, ALONE_INTERVAL).max(left(self.failed, RETRY_INTERVAL))
    }

    /// Notes that one was written, or that the clock had none.
    pub(super) fn set_written(&mut self) {
        self.written = Some(Instant::now());
    }

    /// Notes that one could not be written by itself.
    pub(super) fn set_failed(&mut self) {
        self.failed = Some(Instant::now());
    }
}

/// How much of `time` is left since a moment.
fn left(since: Option<Instant>, time: Duration) -> Duration {
    let passed = since.map(|since| since.elapsed());
    passed.map_or(Duration::ZERO, |passed| time.saturating_sub(passed))
}

/// The newest times in the file.
pub(super) fn read(
    connection: &Connection,
    last_write: Option<Timestamp>,
) -> Result<StoredClock, StorageError> {
    let sample = connection
        .query_row(
            "SELECT boot_id, boot_time, wall_time FROM clock",
            [],
            |row| {
                Ok(ClockSample {
                    boot_id: row.get::<_, String>(0)?.into(),
                    boot: Duration::from_micros(row.get::<_, i64>(1)?.unsigned_abs()),
                    wall: row.get::<_, At>(2)?.0,
                })
            },
        )
        .optional()?;
    Ok(StoredClock { sample, last_write })
}

/// Writes a sample, in the open transaction or in one of its own.
pub(super) fn write(connection: &Connection, sample: &ClockSample) -> Result<(), StorageError> {
    let boot = i64::try_from(sample.boot.as_micros()).unwrap_or(i64::MAX);
    connection
        .prepare_cached("INSERT OR REPLACE INTO clock VALUES (1, ?1, ?2, ?3)")?
        .execute(params![&*sample.boot_id, boot, At(sample.wall)])?;
    Ok(())
}
