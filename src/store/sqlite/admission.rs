//! What the writer's queue takes. Writes, items of batches and reads are counted apart, so that
//! none of them is refused because of another.
//!
//! What is refused at the door costs nobody anything: it never wakes the writer. How much may
//! wait is set by the writer after each group.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::{Job, QUEUE_COMMANDS_MAX, QUEUE_WRITES_MAX};

/// What waits for the writer.
pub(super) struct Admission {
    pub(super) writes: Waiting,
    pub(super) batches: Waiting,
    pub(super) reads: Waiting,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            writes: Waiting::new(QUEUE_WRITES_MAX),
            batches: Waiting::new(QUEUE_COMMANDS_MAX),
            reads: Waiting::new(QUEUE_COMMANDS_MAX),
        }
    }
}

impl Admission {
    /// Those among which a job counts.
    pub(super) const fn of(&self, job: &Job) -> &Waiting {
        match job {
            Job::Write(..) => &self.writes,
            Job::Batch(..) => &self.batches,
            Job::Read(..) | Job::Settings(..) | Job::Names(..) | Job::Admin(_) => &self.reads,
        }
    }

    /// How many commands and reads wait.
    pub(super) fn queued_commands(&self) -> usize {
        let waiting = [&self.writes, &self.batches, &self.reads];
        let counts = waiting.map(Waiting::count);
        counts.into_iter().fold(0, usize::saturating_add)
    }

    /// Whether anything waits but batches.
    pub(super) fn others_wait(&self) -> bool {
        self.writes.count() > 0 || self.reads.count() > 0
    }
}

/// Commands or reads that wait.
pub(super) struct Waiting {
    count: AtomicUsize,
    max: AtomicUsize,
    /// Whether any was refused since the writer last looked.
    refused: AtomicBool,
}

impl Waiting {
    const fn new(max: usize) -> Self {
        Self {
            count: AtomicUsize::new(0),
            max: AtomicUsize::new(max),
            refused: AtomicBool::new(false),
        }
    }

    /// Counts so many more, or says how many may wait. So that a batch of any length is done, it
    /// is taken where no other one waits.
    pub(super) fn enter(&self, length: usize) -> Result<(), usize> {
        let before = self.count.fetch_add(length, Ordering::Relaxed);
        let max = self.max.load(Ordering::Relaxed);
        if before == 0 || before.saturating_add(length) <= max {
            return Ok(());
        }
        self.leave(length);
        self.refused.store(true, Ordering::Relaxed);
        Err(max)
    }

    /// How many may wait, where one more would be refused now. It counts as refused.
    pub(super) fn refuses(&self) -> Option<usize> {
        let (count, max) = (self.count(), self.max());
        let refuses = count > 0 && count >= max;
        if refuses {
            self.refused.store(true, Ordering::Relaxed);
        }
        refuses.then_some(max)
    }

    /// Counts so many more without a limit.
    pub(super) fn add(&self, length: usize) {
        self.count.fetch_add(length, Ordering::Relaxed);
    }

    pub(super) fn leave(&self, length: usize) {
        self.count.fetch_sub(length, Ordering::Relaxed);
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub(super) fn max(&self) -> usize {
        self.max.load(Ordering::Relaxed)
    }

    pub(super) fn set_max(&self, max: usize) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// Whether any was refused since the last time.
    pub(super) fn was_refused(&self) -> bool {
        self.refused.swap(false, Ordering::Relaxed)
    }
}
