//! What the file keeps of the clock, by which the next start tells a clock that was set
//! from time that has passed.

use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension as _, params};

use super::journal::BadRow;
use super::times::At;
use crate::domain::Timestamp;
use crate::domain::clock::{ClockKnown, ClockMark};

/// It is kept along with a group where it is older than this.
const WITH_GROUP: Duration = Duration::from_secs(5);
/// And by itself where nothing else was written for so long.
const ALONE: Duration = Duration::from_secs(60);
/// Where that failed, so much later.
const AGAIN: Duration = Duration::from_secs(1);

/// When it was kept last, and when it was tried to.
#[derive(Default)]
pub(super) struct Marks {
    kept: Option<Instant>,
    failed: Option<Instant>,
}

impl Marks {
    /// Whether it is to be kept along with a group.
    pub(super) fn with_group(&self) -> bool {
        wait(self.kept, WITH_GROUP).is_zero()
    }

    /// How long it is until it is to be kept by itself.
    pub(super) fn alone_in(&self) -> Duration {
        wait(self.kept, ALONE).max(wait(self.failed, AGAIN))
    }

    /// It was kept now, or there was nothing to keep.
    pub(super) fn done(&mut self) {
        self.kept = Some(Instant::now());
    }

    /// It could not be kept by itself.
    pub(super) fn failed(&mut self) {
        self.failed = Some(Instant::now());
    }
}

/// How long it is until so much has passed since.
fn wait(since: Option<Instant>, time: Duration) -> Duration {
    let passed = since.map(|since| since.elapsed());
    passed.map_or(Duration::ZERO, |passed| time.saturating_sub(passed))
}

/// What the file knows about time.
pub(super) fn known(
    connection: &Connection,
    last_write: Option<Timestamp>,
) -> Result<ClockKnown, BadRow> {
    let mark = connection
        .query_row(
            "SELECT boot_id, boot_time, wall_time FROM clock",
            [],
            |row| {
                Ok(ClockMark {
                    boot_id: row.get::<_, String>(0)?.into(),
                    boot: Duration::from_micros(row.get::<_, i64>(1)?.unsigned_abs()),
                    wall: row.get::<_, At>(2)?.0,
                })
            },
        )
        .optional()?;
    Ok(ClockKnown { mark, last_write })
}

/// Keeps it, in the transaction that is open or by itself.
pub(super) fn keep(connection: &Connection, mark: &ClockMark) -> Result<(), BadRow> {
    let boot = i64::try_from(mark.boot.as_micros()).unwrap_or(i64::MAX);
    connection
        .prepare_cached("INSERT OR REPLACE INTO clock VALUES (1, ?1, ?2, ?3)")?
        .execute(params![&*mark.boot_id, boot, At(mark.wall)])?;
    Ok(())
}
