//! Questions that wait, in a fair order: accounts take turns, one question each, however
//! many of them one account asks. An account never has all threads at once, so that
//! another one's single question does not wait for its long ones.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How much may wait and be worked on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How many questions may wait.
    pub(super) waiting_max: usize,
    /// How many of one account.
    pub(super) waiting_of_one_max: usize,
    /// How many questions of one account are answered at once.
    pub(super) working_of_one_max: usize,
}

/// The queue of questions about accounts.
pub(super) struct Queue<T> {
    limits: Limits,
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    lines: HashMap<i64, Line<T>>,
    /// The accounts that have a question which may be answered now.
    turns: VecDeque<i64>,
    waiting: usize,
    closed: bool,
}

/// The questions about one account.
struct Line<T> {
    waiting: VecDeque<T>,
    working: usize,
}

/// Why a question was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// More wait than may; how many that is.
    Full(usize),
    /// The queue was closed.
    Closed,
}

/// A question whose turn it is. The account has room for another one once it is dropped.
pub(super) struct Turn<'a, T> {
    queue: &'a Queue<T>,
    account: i64,
    question: Option<T>,
}

impl<T> Queue<T> {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: Mutex::new(State {
                lines: HashMap::new(),
                turns: VecDeque::new(),
                waiting: 0,
                closed: false,
            }),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // Nothing in here leaves it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a question, or gives it back.
    pub(super) fn put(&self, account: i64, question: T) -> Result<(), (T, Refused)> {
        let mut state = self.state();
        if state.closed {
            return Err((question, Refused::Closed));
        }
        if state.waiting >= self.limits.waiting_max {
            return Err((question, Refused::Full(self.limits.waiting_max)));
        }
        let line = state.lines.entry(account).or_insert_with(|| Line {
            waiting: VecDeque::new(),
            working: 0,
        });
        if line.waiting.len() >= self.limits.waiting_of_one_max {
            return Err((question, Refused::Full(self.limits.waiting_of_one_max)));
        }
        line.waiting.push_back(question);
        let is_turn = line.waiting.len() == 1 && line.working < self.limits.working_of_one_max;
        state.waiting = state.waiting.saturating_add(1);
        if is_turn {
            state.turns.push_back(account);
            drop(state);
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Waits for a question whose turn it is. None: the queue was closed, and is empty.
    pub(super) fn take(&self) -> Option<Turn<'_, T>> {
        let mut state = self.state();
        loop {
            if let Some(account) = state.turns.pop_front() {
                if let Some(question) = self.begin(&mut state, account) {
                    return Some(Turn {
                        queue: self,
                        account,
                        question: Some(question),
                    });
                }
            } else if state.closed && state.waiting == 0 {
                return None;
            } else {
                let waited = self.changed.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn begin(&self, state: &mut State<T>, account: i64) -> Option<T> {
        let line = state.lines.get_mut(&account)?;
        let question = line.waiting.pop_front()?;
        line.working = line.working.saturating_add(1);
        if !line.waiting.is_empty() && line.working < self.limits.working_of_one_max {
            // DirtyAccounts all others whose turn it is.
            state.turns.push_back(account);
            self.changed.notify_one();
        }
        state.waiting = state.waiting.saturating_sub(1);
        Some(question)
    }

    fn end(&self, account: i64) {
        let mut state = self.state();
        if let Some(line) = state.lines.get_mut(&account) {
            let was_full = line.working >= self.limits.working_of_one_max;
            line.working = line.working.saturating_sub(1);
            if !line.waiting.is_empty() && was_full {
                state.turns.push_back(account);
            } else if line.waiting.is_empty() && line.working == 0 {
                state.lines.remove(&account);
            }
        }
        drop(state);
        // Also for those that wait for the end.
        self.changed.notify_all();
    }

    /// Takes no more questions; those that wait are still given out.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }
}

impl<T> Turn<'_, T> {
    /// The question, once.
    pub(super) const fn take(&mut self) -> Option<T> {
        self.question.take()
    }
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        self.queue.end(self.account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        waiting_max: 8,
        waiting_of_one_max: 5,
        working_of_one_max: 2,
    };

    fn next(queue: &Queue<&'static str>) -> &'static str {
        queue.take().unwrap().take().unwrap()
    }

    #[test]
    fn accounts_take_turns_however_much_one_asks() {
        let queue = Queue::new(LIMITS);
        for question in ["a1", "a2", "a3", "a4"] {
            queue.put(1, question).unwrap();
        }
        queue.put(2, "b1").unwrap();
        queue.put(3, "c1").unwrap();
        queue.put(2, "b2").unwrap();
        let order: Vec<_> = (0..7).map(|_| next(&queue)).collect();
        assert_eq!(order, ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]);
        assert!(queue.state().lines.is_empty());
    }

    #[test]
    fn an_account_has_some_threads_and_not_all() {
        let queue = Queue::new(LIMITS);
        for question in ["a1", "a2", "a3"] {
            queue.put(1, question).unwrap();
        }
        let (first, second) = (queue.take().unwrap(), queue.take().unwrap());
        queue.put(2, "b1").unwrap();
        assert_eq!(next(&queue), "b1");
        assert!(queue.state().turns.is_empty(), "a3 waits for a1 and a2");
        drop(first);
        assert_eq!(next(&queue), "a3");
        drop(second);
        assert!(queue.state().lines.is_empty());
    }

    #[test]
    fn what_waits_is_bounded_for_one_and_for_all() {
        let queue = Queue::new(LIMITS);
        for _ in 0..5 {
            queue.put(1, "a").unwrap();
        }
        assert_eq!(queue.put(1, "a"), Err(("a", Refused::Full(5))));
        for account in 2..5 {
            queue.put(account, "b").unwrap();
        }
        assert_eq!(queue.put(9, "c"), Err(("c", Refused::Full(8))));
        queue.close();
        assert_eq!(queue.put(9, "c"), Err(("c", Refused::Closed)));
        for _ in 0..8 {
            next(&queue);
        }
        assert!(queue.take().is_none());
    }
}
