//! The answers of a group: they are collected, and sent once it is committed.

use std::sync::Arc;
use std::time::Instant;

use super::journal::StorageError;
use super::ledger::unavailable;
use super::settings::Settings;
use super::slices::Batch;
use crate::domain::AccountName;
use crate::domain::ledger::EntryKind;
use crate::store::{Answer, Group, Promise, Stages, StoreError, Written};

/// An answer, where to send it, and how far it has come.
struct Reply<T> {
    promise: Promise<T>,
    answer: Answer<T>,
    stages: Option<Stages>,
}

impl<T> Reply<T> {
    fn send(self, group: Option<&Arc<Group>>) {
        let Some(mut stages) = self.stages else {
            // A caller that is gone can read its answer again by its request_id.
            return drop(self.promise.send(self.answer));
        };
        if let Some(group) = group {
            stages.groups.add(group);
        }
        self.promise.send_after(stages, self.answer);
    }
}

/// All answers of a group.
#[derive(Default)]
pub(super) struct Replies {
    /// Those to writes outside of batches.
    singles: Vec<Reply<Box<Written>>>,
    batches: Vec<Reply<Vec<Answer<Written>>>>,
    /// A batch of which the group has a slice, and not the last one.
    pub(super) slice: Option<Batch>,
}

impl Replies {
    pub(super) fn single(&mut self, promise: Promise<Box<Written>>, answer: Answer<Box<Written>>) {
        self.singles.push(Reply {
            promise,
            answer,
            stages: None,
        });
    }

    /// What was answered last was taken and decided then.
    pub(super) fn note_times(&mut self, taken: Instant, decided: Instant) {
        if let Some(last) = self.singles.last_mut()
            && last.stages.is_none()
        {
            last.stages = Some(Stages::taken(taken).decided(decided));
        }
    }

    pub(super) fn batch(
        &mut self,
        promise: Promise<Vec<Answer<Written>>>,
        answers: Vec<Answer<Written>>,
        stages: Option<Stages>,
    ) {
        self.batches.push(Reply {
            promise,
            answer: Ok(answers),
            stages,
        });
    }

    /// Keeps a batch that is not decided to its end until the slice is on disk.
    pub(super) fn slice(&mut self, batch: Batch) {
        self.slice = Some(batch);
    }

    /// The settings of accounts that the answers tell, in the order of the writes.
    pub(super) fn settings(&self) -> impl Iterator<Item = (&AccountName, Settings)> {
        self.singles.iter().filter_map(|reply| match &reply.answer {
            Ok(written) => match &written.entry.kind {
                EntryKind::Update(update) => {
                    let settings = Some(&update.settings).filter(|settings| !settings.is_empty());
                    let settings = settings.cloned().map(Arc::new);
                    (!written.replayed).then_some((&written.entry.account, settings))
                }
                _ => None,
            },
            Err(StoreError::OtherSettings(other)) => {
                Some((&other.command.account, other.settings.clone()))
            }
            Err(_) => None,
        })
    }

    /// Sends all answers, after the end of the group where it wrote.
    pub(super) fn send(self, group: Option<&Arc<Group>>) {
        for batch in self.batches {
            batch.send(group);
        }
        for single in self.singles {
            single.send(group);
        }
    }

    /// Answers every caller with a failure. Refusals are replaced too, since a write of this
    /// group can have been the reason.
    pub(super) fn fail(mut self, cause: &StorageError, group: &Arc<Group>) {
        for single in &mut self.singles {
            single.answer = Err(unavailable("write", cause));
        }
        for batch in &mut self.batches {
            batch.answer = Err(unavailable("write", cause));
        }
        self.send(Some(group));
    }
}
