//! The answers of a group: they are collected, and sent once it is committed.

use std::sync::Arc;

use super::journal::StorageError;
use super::ledger::unavailable;
use super::settings::Settings;
use super::slices::Batch;
use crate::domain::AccountName;
use crate::domain::ledger::EntryKind;
use crate::store::{Answer, Promise, StoreError, Written};

/// The answer to a write outside of a batch, and where to send it.
type SingleAnswer = (Promise<Box<Written>>, Answer<Box<Written>>);

/// The answers to a batch, and where to send them.
type BatchAnswer = (Promise<Vec<Answer<Written>>>, Answer<Vec<Answer<Written>>>);

/// All answers of a group.
#[derive(Default)]
pub(super) struct Replies {
    singles: Vec<SingleAnswer>,
    batches: Vec<BatchAnswer>,
    /// A batch of which the group has a slice, and not the last one.
    pub(super) slice: Option<Batch>,
}

impl Replies {
    pub(super) fn single(&mut self, promise: Promise<Box<Written>>, answer: Answer<Box<Written>>) {
        self.singles.push((promise, answer));
    }

    pub(super) fn batch(
        &mut self,
        promise: Promise<Vec<Answer<Written>>>,
        answers: Answer<Vec<Answer<Written>>>,
    ) {
        self.batches.push((promise, answers));
    }

    /// Keeps a batch that is not decided to its end until the slice is on disk.
    pub(super) fn slice(&mut self, batch: Batch) {
        self.slice = Some(batch);
    }

    /// The settings of accounts that the answers tell, in the order of the writes.
    pub(super) fn settings(&self) -> impl Iterator<Item = (&AccountName, Settings)> {
        self.singles.iter().filter_map(|(_, answer)| match answer {
            Ok(written) => match &written.entry.kind {
                EntryKind::Update(update) => {
                    let settings = Some(&update.settings).filter(|settings| !settings.is_empty());
                    let settings = settings.cloned().map(Arc::new);
                    (!written.replayed).then_some((&written.entry.account, settings))
                }
                _ => None,
            },
            Err(StoreError::HasSettings(other)) => {
                let settings = Some(Arc::clone(&other.settings));
                Some((&other.command.account, settings))
            }
            Err(_) => None,
        })
    }

    /// Sends all answers. A caller that is gone can read its answer again by its request_id.
    pub(super) fn send(self) {
        for (promise, answers) in self.batches {
            let _ = promise.send(answers);
        }
        for (promise, answer) in self.singles {
            let _ = promise.send(answer);
        }
    }

    /// Answers every caller with a failure. Refusals are replaced too, since a write of this
    /// group can have been the reason.
    pub(super) fn fail(mut self, cause: &StorageError) {
        for (_, answer) in &mut self.singles {
            *answer = Err(unavailable("write", cause));
        }
        for (_, answers) in &mut self.batches {
            *answers = Err(unavailable("write", cause));
        }
        self.send();
    }
}
