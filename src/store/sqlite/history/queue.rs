//! A fair queue: round robin over accounts, one read each, however many reads one account
//! queues. An account never occupies all threads, so that the single read of another one does
//! not wait for its long ones.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Limits of the queue and of the reads that run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How many reads may be queued.
    pub(super) queued_max: usize,
    /// How many reads of one account may be queued.
    pub(super) queued_per_account_max: usize,
    /// How many reads of one account may run at once.
    pub(super) running_per_account_max: usize,
}

/// A queue of reads, each of one account.
pub(super) struct Queue<T> {
    limits: Limits,
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    accounts: HashMap<i64, AccountReads<T>>,
    /// The accounts with a read that may run now, in the order of the round robin.
    ready: VecDeque<i64>,
    queued: usize,
    closed: bool,
}

/// The reads of one account.
struct AccountReads<T> {
    queued: VecDeque<T>,
    running: usize,
}

/// Why a read was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// As many reads are queued as may be; how many that is.
    Full(usize),
    /// The queue was closed.
    Closed,
}

/// A read that runs, until this is dropped.
pub(super) struct Running<'a, T> {
    queue: &'a Queue<T>,
    account: i64,
    read: Option<T>,
}

impl<T> Queue<T> {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: Mutex::new(State {
                accounts: HashMap::new(),
                ready: VecDeque::new(),
                queued: 0,
                closed: false,
            }),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // No method can panic between two related changes of the state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a read, or returns it with the reason.
    pub(super) fn push(&self, account: i64, read: T) -> Result<(), (T, Refused)> {
        let mut state = self.state();
        if state.closed {
            return Err((read, Refused::Closed));
        }
        if state.queued >= self.limits.queued_max {
            return Err((read, Refused::Full(self.limits.queued_max)));
        }
        let reads = state
            .accounts
            .entry(account)
            .or_insert_with(|| AccountReads {
                queued: VecDeque::new(),
                running: 0,
            });
        if reads.queued.len() >= self.limits.queued_per_account_max {
            return Err((read, Refused::Full(self.limits.queued_per_account_max)));
        }
        reads.queued.push_back(read);
        let is_ready =
            reads.queued.len() == 1 && reads.running < self.limits.running_per_account_max;
        state.queued = state.queued.saturating_add(1);
        if is_ready {
            state.ready.push_back(account);
            drop(state);
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Waits for the next read that may run. None: the queue is closed and empty.
    pub(super) fn pop(&self) -> Option<Running<'_, T>> {
        let mut state = self.state();
        loop {
            if let Some(account) = state.ready.pop_front() {
                if let Some(read) = self.start(&mut state, account) {
                    return Some(Running {
                        queue: self,
                        account,
                        read: Some(read),
                    });
                }
            } else if state.closed && state.queued == 0 {
                return None;
            } else {
                let waited = self.changed.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn start(&self, state: &mut State<T>, account: i64) -> Option<T> {
        let reads = state.accounts.get_mut(&account)?;
        let read = reads.queued.pop_front()?;
        reads.running = reads.running.saturating_add(1);
        if !reads.queued.is_empty() && reads.running < self.limits.running_per_account_max {
            // Behind all other accounts.
            state.ready.push_back(account);
            self.changed.notify_one();
        }
        state.queued = state.queued.saturating_sub(1);
        Some(read)
    }

    fn finish(&self, account: i64) {
        let mut state = self.state();
        if let Some(reads) = state.accounts.get_mut(&account) {
            let was_full = reads.running >= self.limits.running_per_account_max;
            reads.running = reads.running.saturating_sub(1);
            if !reads.queued.is_empty() && was_full {
                state.ready.push_back(account);
            } else if reads.queued.is_empty() && reads.running == 0 {
                state.accounts.remove(&account);
            }
        }
        drop(state);
        // All are notified, since threads also wait for a closed queue to become empty.
        self.changed.notify_all();
    }

    /// Refuses further reads; those that are queued still run.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }
}

impl<T> Running<'_, T> {
    /// The read; None after the first call.
    pub(super) const fn take(&mut self) -> Option<T> {
        self.read.take()
    }
}

impl<T> Drop for Running<'_, T> {
    fn drop(&mut self) {
        self.queue.finish(self.account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        queued_max: 8,
        queued_per_account_max: 5,
        running_per_account_max: 2,
    };

    fn next(queue: &Queue<&'static str>) -> &'static str {
        queue.pop().unwrap().take().unwrap()
    }

    #[test]
    fn accounts_take_turns_however_much_one_asks() {
        let queue = Queue::new(LIMITS);
        for read in ["a1", "a2", "a3", "a4"] {
            queue.push(1, read).unwrap();
        }
        queue.push(2, "b1").unwrap();
        queue.push(3, "c1").unwrap();
        queue.push(2, "b2").unwrap();
        let order: Vec<_> = (0..7).map(|_| next(&queue)).collect();
        assert_eq!(order, ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]);
        assert!(queue.state().accounts.is_empty());
    }

    #[test]
    fn an_account_has_some_threads_and_not_all() {
        let queue = Queue::new(LIMITS);
        for read in ["a1", "a2", "a3"] {
            queue.push(1, read).unwrap();
        }
        let (first, second) = (queue.pop().unwrap(), queue.pop().unwrap());
        queue.push(2, "b1").unwrap();
        assert_eq!(next(&queue), "b1");
        assert!(queue.state().ready.is_empty(), "a3 waits for a1 and a2");
        drop(first);
        assert_eq!(next(&queue), "a3");
        drop(second);
        assert!(queue.state().accounts.is_empty());
    }

    #[test]
    fn what_waits_is_bounded_for_one_and_for_all() {
        let queue = Queue::new(LIMITS);
        for _ in 0..5 {
            queue.push(1, "a").unwrap();
        }
        assert_eq!(queue.push(1, "a"), Err(("a", Refused::Full(5))));
        for account in 2..5 {
            queue.push(account, "b").unwrap();
        }
        assert_eq!(queue.push(9, "c"), Err(("c", Refused::Full(8))));
        queue.close();
        assert_eq!(queue.push(9, "c"), Err(("c", Refused::Closed)));
        for _ in 0..8 {
            next(&queue);
        }
        assert!(queue.pop().is_none());
    }
}
