//! The answers of a group, and how they reach their callers.
//!
//! Waking a thread costs more than most answers. So the answers to the callers of one tokio
//! runtime are sent by one task on that runtime, which is woken once for all of them.

use tokio::runtime::Handle;

use super::journal::StorageError;
use super::ledger::unavailable;
use crate::store::{Answer, Promise, Written};

/// Where to send the answer to a write, and the runtime of the caller.
pub(super) struct Caller {
    promise: Promise<Box<Written>>,
    runtime: Option<Handle>,
}

impl Caller {
    /// The caller on whose runtime this is called.
    pub(super) fn of(promise: Promise<Box<Written>>) -> Self {
        Self {
            promise,
            runtime: Handle::try_current().ok(),
        }
    }

    pub(super) fn answer(self, answer: Answer<Box<Written>>) {
        // A caller that is gone can read the answer again by its request_id.
        let _ = self.promise.send(answer);
    }
}

/// Answers to writes outside of batches.
type SingleAnswers = Vec<(Caller, Answer<Box<Written>>)>;

/// The answers to a batch, and where to send them.
type BatchAnswer = (Promise<Vec<Answer<Written>>>, Answer<Vec<Answer<Written>>>);

/// All answers of a group.
#[derive(Default)]
pub(super) struct Replies {
    singles: SingleAnswers,
    batches: Vec<BatchAnswer>,
}

impl Replies {
    pub(super) fn single(&mut self, caller: Caller, answer: Answer<Box<Written>>) {
        self.singles.push((caller, answer));
    }

    pub(super) fn batch(
        &mut self,
        promise: Promise<Vec<Answer<Written>>>,
        answers: Answer<Vec<Answer<Written>>>,
    ) {
        self.batches.push((promise, answers));
    }

    /// Sends all answers.
    pub(super) fn send(self) {
        for (promise, answers) in self.batches {
            let _ = promise.send(answers);
        }
        if let [_] = self.singles.as_slice() {
            // A single answer needs no task.
            return self
                .singles
                .into_iter()
                .for_each(|(c, answer)| c.answer(answer));
        }
        let mut by_runtime: Vec<(Handle, SingleAnswers)> = Vec::new();
        for (caller, answer) in self.singles {
            let Some(runtime) = &caller.runtime else {
                caller.answer(answer);
                continue;
            };
            match by_runtime
                .iter_mut()
                .find(|(known, _)| known.id() == runtime.id())
            {
                Some((_, list)) => list.push((caller, answer)),
                None => by_runtime.push((runtime.clone(), vec![(caller, answer)])),
            }
        }
        for (runtime, list) in by_runtime {
            // A runtime that has shut down drops the task: it has no callers any more.
            runtime.spawn(async move { list.into_iter().for_each(|(c, answer)| c.answer(answer)) });
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
