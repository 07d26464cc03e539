//! Batches, and settings of many accounts: the writer does them in slices, so that nobody else
//! waits for all of them.
//!
//! A batch is many charges, each by itself. A group has a part of it, which is on disk before the
//! next one is decided; the others that wait have their turn in between, and several batches take
//! turns. It is answered when its last slice is on disk. If a group fails, its batch is answered
//! with the failure, and what was on disk before stays there: the same batch, sent again, finds it
//! by the request_ids. So it is after a kill between two slices.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Job;
use super::journal::StorageError;
use super::ledger::{Shares, unavailable};
use super::replies::Replies;
use super::settings::Settings;
use super::write_access::WriteAccess;
use super::writer::{GROUP_LENGTH_MAX, Writer};
use crate::domain::ledger::Command;
use crate::domain::{AccountName, Timestamp};
use crate::store::{Answer, Group, Promise, Queued, Stages, StoreError, Written};

/// How many batches take turns; the others wait, since their answers would take memory.
const BATCHES_IN_TURN: usize = 4;
/// How many items of batches a group has at least room for.
const SLICE_LENGTH_MIN: usize = 256;

/// A batch, of which a part may be done.
pub(super) struct Batch {
    pub(super) submitted: Instant,
    commands: std::vec::IntoIter<Command>,
    answers: Vec<Answer<Written>>,
    promise: Promise<Vec<Answer<Written>>>,
    /// None until its first slice.
    stages: Option<Stages>,
}

impl Batch {
    pub(super) fn new(
        commands: Vec<Command>,
        promise: Promise<Vec<Answer<Written>>>,
        submitted: Instant,
    ) -> Self {
        Self {
            submitted,
            answers: Vec::new(),
            commands: commands.into_iter(),
            promise,
            stages: None,
        }
    }

    /// It has a slice in this group.
    fn note(&mut self, group: Option<&Arc<Group>>) {
        if let (Some(stages), Some(group)) = (&mut self.stages, group) {
            stages.groups.add(group);
        }
    }

    /// How many items are not decided yet.
    pub(super) fn left(&self) -> usize {
        self.commands.len()
    }

    pub(super) fn refuse(self, refusal: StoreError) {
        match self.stages {
            Some(stages) => self.promise.send_after(stages, Err(refusal)),
            // The caller may be gone.
            None => drop(self.promise.send(Err(refusal))),
        }
    }
}

/// A read of the settings of accounts, of which a part may be done.
pub(super) struct SettingsRead {
    names: std::vec::IntoIter<AccountName>,
    found: Vec<Settings>,
    promise: Promise<Vec<Settings>>,
    /// None until its first slice.
    taken: Option<Instant>,
}

impl SettingsRead {
    pub(super) fn new(names: Vec<AccountName>, promise: Promise<Vec<Settings>>) -> Self {
        Self {
            found: Vec::with_capacity(names.len()),
            names: names.into_iter(),
            promise,
            taken: None,
        }
    }
}

impl Writer {
    /// Decides a slice of the batches that wait: the first one until it is done or the time is up,
    /// and then the next one. `length` is how many commands the group has already. Returns how
    /// many items were decided, and how long that took.
    pub(super) fn decide_batches(
        &mut self,
        length: usize,
        access: &mut Option<WriteAccess>,
        failure: &mut Option<StorageError>,
        replies: &mut Replies,
        now: Timestamp,
    ) -> (usize, Duration) {
        if self.batches.is_empty() {
            return (0, Duration::ZERO);
        }
        if access.is_none() && failure.is_none() {
            *access = self.write_access_or_fail(failure);
        }
        match (&*failure, &*access) {
            (Some(cause), _) | (None, Some(WriteAccess::Refused(cause))) => {
                let refusal = unavailable("write", cause);
                for batch in std::mem::take(&mut self.batches) {
                    self.refuse_batch(batch, refusal.clone());
                }
                return (0, Duration::ZERO);
            }
            // They wait as deferred writes do.
            (None, Some(WriteAccess::Locked)) => return (0, Duration::ZERO),
            (None, Some(WriteAccess::Granted) | None) => {}
        }
        let began = Instant::now();
        let slice_max = self.pace.slice_max();
        let room = GROUP_LENGTH_MAX
            .saturating_sub(length)
            .max(SLICE_LENGTH_MIN);
        let mut decided = 0_usize;
        let mut took = Duration::ZERO;
        while failure.is_none()
            && let Some(mut batch) = self.batches.pop_front()
        {
            if batch.answers.is_empty() && self.is_batch_too_late(&batch) {
                let limit = self.admission.batches.max();
                let queued = Queued::Commands;
                self.refuse_batch(batch, StoreError::Busy { limit, queued });
                continue;
            }
            if batch.answers.is_empty() {
                batch.answers.reserve_exact(batch.left());
            }
            let is_time_up = |took| took >= slice_max && self.admission.others_wait();
            let before = decided;
            let at = |took| began.checked_add(took).unwrap_or(began);
            let stages = batch.stages.take();
            let stages = stages.unwrap_or_else(|| Stages::taken(at(took)));
            while decided < room
                && !is_time_up(took)
                && let Some(command) = batch.commands.next()
            {
                decided = decided.saturating_add(1);
                match self.ledger.write(&command, Shares::Omitted, now) {
                    Ok(answer) => batch.answers.push(answer),
                    Err(cause) => {
                        *failure = Some(cause);
                        break;
                    }
                }
                took = began.elapsed();
            }
            (self.admission.batches).leave(decided.saturating_sub(before));
            batch.stages = Some(stages.decided(at(took)));
            if batch.left() == 0 {
                replies.batch(batch.promise, batch.answers, batch.stages);
            } else {
                replies.slice(batch);
                break;
            }
        }
        (decided, took)
    }

    /// Has a batch of which a slice is done wait for its next turn.
    pub(super) fn put_back(&mut self, mut batch: Batch, group: Option<&Arc<Group>>) {
        batch.note(group);
        let place = self.batches.len().min(BATCHES_IN_TURN.saturating_sub(1));
        self.batches.insert(place, batch);
    }

    /// Refuses the batch whose slice is in a group that failed.
    pub(super) fn refuse_slice(
        &self,
        replies: &mut Replies,
        cause: &StorageError,
        group: &Arc<Group>,
    ) {
        if let Some(mut batch) = replies.slice.take() {
            batch.note(Some(group));
            self.refuse_batch(batch, unavailable("write", cause));
        }
    }

    /// Refuses a batch of which nothing more is done.
    pub(super) fn refuse_batch(&self, batch: Batch, refusal: StoreError) {
        self.admission.batches.leave(batch.left());
        batch.refuse(refusal);
    }

    /// Reads a slice of the settings that are asked for, between two groups. Each is as it is when
    /// it is read.
    pub(super) fn read_settings(&mut self) {
        let began = Instant::now();
        let slice_max = self.pace.slice_max();
        while let Some(mut read) = self.settings_reads.pop_front() {
            let taken = *read.taken.get_or_insert_with(Instant::now);
            while let Some(name) = read.names.next() {
                self.admission.reads.leave(1);
                match self.settings_of(&name) {
                    Ok(settings) => read.found.push(settings),
                    Err(refusal) => {
                        self.admission.reads.leave(read.names.len());
                        // The caller may be gone.
                        let _ = read.promise.send(Err(refusal));
                        break;
                    }
                }
                if read.names.len() == 0 {
                    let stages = Stages::taken(taken).decided(Instant::now());
                    read.promise.send_after(stages, Ok(read.found));
                    break;
                }
                if began.elapsed() >= slice_max {
                    // Behind the others.
                    self.settings_reads.push_back(read);
                    return;
                }
            }
        }
    }

    /// A job that is done in slices waits among those; other ones are returned.
    pub(super) fn take_sliced(&mut self, job: Job, submitted: Instant) -> Option<Job> {
        match job {
            Job::Batch(commands, promise) => {
                let batch = Batch::new(commands, promise, submitted);
                self.batches.push_back(batch);
                None
            }
            Job::Settings(names, promise) if !names.is_empty() => {
                let read = SettingsRead::new(names, promise);
                self.settings_reads.push_back(read);
                None
            }
            Job::Settings(_, promise) => {
                // The caller may be gone.
                let _ = promise.send(Ok(Vec::new()));
                None
            }
            job => Some(job),
        }
    }
}
