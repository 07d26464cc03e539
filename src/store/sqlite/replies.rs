//! The answers to a group, and how they reach their callers.
//!
//! To wake another thread costs more than most answers. So the answers for the callers
//! of one runtime are brought there together: it is woken once, and finds all of them.

use tokio::runtime::Handle;

use super::journal::BadRow;
use super::ledger::unavailable;
use crate::store::{Answer, Promise, Written};

/// Somebody who waits for a write, and the runtime in which that is.
pub(super) struct Caller {
    promise: Promise<Box<Written>>,
    home: Option<Handle>,
}

impl Caller {
    /// The caller who asks right now.
    pub(super) fn of(promise: Promise<Box<Written>>) -> Self {
        Self {
            promise,
            home: Handle::try_current().ok(),
        }
    }

    pub(super) fn answer(self, answer: Answer<Box<Written>>) {
        // A caller that is gone does not matter: its request_id will find the answer.
        let _ = self.promise.send(answer);
    }
}

/// Answers to single writes.
type Ones = Vec<(Caller, Answer<Box<Written>>)>;

/// An answer to a batch.
type BatchAnswer = (Promise<Vec<Answer<Written>>>, Answer<Vec<Answer<Written>>>);

/// All answers to a group.
#[derive(Default)]
pub(super) struct Replies {
    ones: Ones,
    batches: Vec<BatchAnswer>,
}

impl Replies {
    pub(super) fn one(&mut self, caller: Caller, answer: Answer<Box<Written>>) {
        self.ones.push((caller, answer));
    }

    pub(super) fn batch(
        &mut self,
        promise: Promise<Vec<Answer<Written>>>,
        answers: Answer<Vec<Answer<Written>>>,
    ) {
        self.batches.push((promise, answers));
    }

    /// Answers everybody.
    pub(super) fn send(self) {
        for (promise, answers) in self.batches {
            let _ = promise.send(answers);
        }
        if let [_] = self.ones.as_slice() {
            // One alone is there soonest by itself.
            return self
                .ones
                .into_iter()
                .for_each(|(c, answer)| c.answer(answer));
        }
        let mut homes: Vec<(Handle, Ones)> = Vec::new();
        for (caller, answer) in self.ones {
            let Some(home) = &caller.home else {
                caller.answer(answer);
                continue;
            };
            match homes.iter_mut().find(|(known, _)| known.id() == home.id()) {
                Some((_, list)) => list.push((caller, answer)),
                None => homes.push((home.clone(), vec![(caller, answer)])),
            }
        }
        for (home, list) in homes {
            // A runtime that has ended has no callers any more.
            home.spawn(async move { list.into_iter().for_each(|(c, answer)| c.answer(answer)) });
        }
    }

    /// Tells everybody that nothing was written. Refusals too: they may rest on what was
    /// not written.
    pub(super) fn fail(mut self, cause: &BadRow) {
        for (_, answer) in &mut self.ones {
            *answer = Err(unavailable("write", cause));
        }
        for (_, answers) in &mut self.batches {
            *answers = Err(unavailable("write", cause));
        }
        self.send();
    }
}
