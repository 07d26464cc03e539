//! What is refused while there is more to write than can be done: the queue is kept short by time,
//! and what has waited for too long is refused instead of decided.

use std::time::{Duration, Instant};

use super::admission::Admission;
use super::pace::Pace;
use super::slices::Batch;
use super::writer::{GROUP_LENGTH_MAX, Writer};
use super::{Job, QUEUE_COMMANDS_MAX, QUEUE_WRITES_MAX};
use crate::store::controlled_delay::ControlledDelay;
use crate::store::{Queued, StoreError};

/// For how long writes must have waited too long before there are more than can be done.
pub const OVERLOAD_INTERVAL: Duration = Duration::from_millis(100);
/// So many single writes may wait, however slow the ledger is: some hundred callers who wait for
/// their answers are no overload.
pub const QUEUE_WRITES_MIN: usize = 256;
/// How long a batch should wait for its first slice at most.
pub const BATCH_DELAY_TARGET: Duration = Duration::from_millis(250);
/// How many items of batches may wait while there are more than can be done.
pub const OVERLOADED_ITEMS_MAX: usize = QUEUE_COMMANDS_MAX / 4;

/// How long writes wait.
pub(super) struct Overload {
    writes: ControlledDelay,
    batches: ControlledDelay,
    /// How long a write should wait at most.
    delay_target: Duration,
    /// How many are done in that time, or may wait anyway.
    queue_target: usize,
}

impl Default for Overload {
    fn default() -> Self {
        Self {
            writes: ControlledDelay::new(OVERLOAD_INTERVAL),
            batches: ControlledDelay::new(OVERLOAD_INTERVAL),
            delay_target: Pace::default().delay_target(GROUP_LENGTH_MAX),
            queue_target: Pace::default()
                .queue_target(GROUP_LENGTH_MAX)
                .max(QUEUE_WRITES_MIN),
        }
    }
}

impl Writer {
    /// Refuses a write that has waited for too long while there are more than can be done; others
    /// are returned. Where no more wait than one group takes, the disk is slow: all of them are done
    /// with the next commit, and to refuse some would gain nothing.
    pub(super) fn refuse_if_late(
        &mut self,
        job: Job,
        delay: Duration,
        now: Instant,
    ) -> Option<Job> {
        let is_write = matches!(job, Job::Write(..));
        let is_crowded = || self.admission.writes.count() > self.overload.queue_target;
        let delay = match is_write && is_crowded() {
            true => delay,
            false => Duration::ZERO,
        };
        let target = self.overload.delay_target;
        if !is_write || !(self.overload.writes).is_too_late(delay, target, now) {
            return Some(job);
        }
        self.admission.writes.leave(1);
        let (limit, queued) = (self.admission.writes.max(), Queued::Commands);
        job.refuse(StoreError::Busy { limit, queued });
        None
    }

    /// Sets how many writes may wait: while there are more than can be done, as many as are done
    /// in the time that one should wait at most.
    pub(super) fn set_queue_limits(&mut self) {
        let now = Instant::now();
        self.overload.delay_target = self.pace.delay_target(GROUP_LENGTH_MAX);
        let queue_target = self.pace.queue_target(GROUP_LENGTH_MAX);
        self.overload.queue_target = queue_target.max(QUEUE_WRITES_MIN);
        let Admission {
            writes, batches, ..
        } = &*self.admission;
        let max = match self
            .overload
            .writes
            .is_overloaded(writes.was_refused(), now)
        {
            true => self.overload.queue_target.min(QUEUE_WRITES_MAX),
            false => QUEUE_WRITES_MAX,
        };
        writes.set_max(max);
        let max = match (self.overload.batches).is_overloaded(batches.was_refused(), now) {
            true => OVERLOADED_ITEMS_MAX,
            false => QUEUE_COMMANDS_MAX,
        };
        batches.set_max(max);
    }

    /// The same for a batch, before its first slice.
    pub(super) fn is_batch_too_late(&mut self, batch: &Batch) -> bool {
        let now = Instant::now();
        let delay = match self.admission.batches.count() > OVERLOADED_ITEMS_MAX {
            true => now.saturating_duration_since(batch.submitted),
            false => Duration::ZERO,
        };
        (self.overload.batches).is_too_late(delay, BATCH_DELAY_TARGET, now)
    }
}
