//! A fair queue: round robin over accounts, one read each, however many reads one account
//! queues. An account never occupies all threads, so that the single read of another one does
//! not wait for its long ones.
//!
//! A read that is not done after a slice is a long one. Long reads wait in a round robin of their
//! own and few run at once, so that they wait for each other, and short ones for none of them.

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

/// While both kinds wait, one read of so many is a long one, so that it comes to an end.
const LONG_EVERY: usize = 4;

/// A queue of reads, each of one account.
pub(super) struct Queue<T> {
    limits: Limits,
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    new: RoundRobin<T>,
    long: RoundRobin<T>,
    /// How many new reads ran since the last long one.
    since_long: usize,
    closed: bool,
}

/// Reads of one kind.
struct RoundRobin<T> {
    accounts: HashMap<i64, AccountReads<T>>,
    /// The accounts with a read that may run now, in the order of the round robin.
    ready: VecDeque<i64>,
    queued: usize,
    running: usize,
    running_max: usize,
    running_per_account_max: usize,
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
    is_long: bool,
    read: Option<T>,
}

impl<T> RoundRobin<T> {
    fn new(running_max: usize, running_per_account_max: usize) -> Self {
        Self {
            accounts: HashMap::new(),
            ready: VecDeque::new(),
            queued: 0,
            running: 0,
            running_max,
            running_per_account_max,
        }
    }

    /// How many reads of an account are queued.
    fn queued_of(&self, account: i64) -> usize {
        let reads = self.accounts.get(&account);
        reads.map_or(0, |reads| reads.queued.len())
    }

    fn add(&mut self, account: i64, add: impl FnOnce(&mut VecDeque<T>)) {
        let reads = self.accounts.entry(account);
        let reads = reads.or_insert_with(|| AccountReads {
            queued: VecDeque::new(),
            running: 0,
        });
        add(&mut reads.queued);
        self.queued = self.queued.saturating_add(1);
        if reads.queued.len() == 1 && reads.running < self.running_per_account_max {
            self.ready.push_back(account);
        }
    }

    /// The next read that may run.
    fn start(&mut self) -> Option<(i64, T)> {
        if self.running >= self.running_max {
            return None;
        }
        let account = self.ready.pop_front()?;
        let reads = self.accounts.get_mut(&account)?;
        let read = reads.queued.pop_front()?;
        reads.running = reads.running.saturating_add(1);
        if !reads.queued.is_empty() && reads.running < self.running_per_account_max {
            // Behind all other accounts.
            self.ready.push_back(account);
        }
        self.queued = self.queued.saturating_sub(1);
        self.running = self.running.saturating_add(1);
        Some((account, read))
    }

    fn finish(&mut self, account: i64) {
        self.running = self.running.saturating_sub(1);
        if let Some(reads) = self.accounts.get_mut(&account) {
            let was_full = reads.running >= self.running_per_account_max;
            reads.running = reads.running.saturating_sub(1);
            if !reads.queued.is_empty() && was_full {
                self.ready.push_back(account);
            } else if reads.queued.is_empty() && reads.running == 0 {
                self.accounts.remove(&account);
            }
        }
    }
}

impl<T> State<T> {
    fn kind(&mut self, is_long: bool) -> &mut RoundRobin<T> {
        match is_long {
            true => &mut self.long,
            false => &mut self.new,
        }
    }

    fn queued(&self) -> usize {
        self.new.queued.saturating_add(self.long.queued)
    }

    /// The next read that may run, and whether it is a long one.
    fn start(&mut self) -> Option<(bool, i64, T)> {
        let long_first = self.since_long.saturating_add(1) >= LONG_EVERY;
        for is_long in [long_first, !long_first] {
            if let Some((account, read)) = self.kind(is_long).start() {
                self.since_long = match is_long {
                    true => 0,
                    false => self.since_long.saturating_add(1),
                };
                return Some((is_long, account, read));
            }
        }
        None
    }
}

impl<T> Queue<T> {
    /// A queue of which so many long reads may run at once.
    pub(super) fn new(limits: Limits, long_running_max: usize) -> Self {
        let per_account = limits.running_per_account_max;
        Self {
            limits,
            state: Mutex::new(State {
                new: RoundRobin::new(usize::MAX, per_account),
                long: RoundRobin::new(long_running_max, per_account),
                since_long: 0,
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
        if state.queued() >= self.limits.queued_max {
            return Err((read, Refused::Full(self.limits.queued_max)));
        }
        if state.new.queued_of(account) >= self.limits.queued_per_account_max {
            return Err((read, Refused::Full(self.limits.queued_per_account_max)));
        }
        state.new.add(account, |queued| queued.push_back(read));
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for the next read that may run. None: the queue is closed and empty.
    pub(super) fn pop(&self) -> Option<Running<'_, T>> {
        let mut state = self.state();
        loop {
            if let Some((is_long, account, read)) = state.start() {
                return Some(Running {
                    queue: self,
                    account,
                    is_long,
                    read: Some(read),
                });
            }
            if state.closed && state.queued() == 0 {
                return None;
            }
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
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

    /// Has the read go on as a long one, after those of its account that began before.
    pub(super) fn put_back(self, read: T) {
        let mut state = self.queue.state();
        state.long.add(self.account, |queued| match self.is_long {
            true => queued.push_front(read),
            false => queued.push_back(read),
        });
        drop(state);
    }
}

impl<T> Drop for Running<'_, T> {
    fn drop(&mut self) {
        self.queue.state().kind(self.is_long).finish(self.account);
        // All are notified, since threads also wait for a closed queue to become empty.
        self.queue.changed.notify_all();
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
        let queue = Queue::new(LIMITS, 1);
        for read in ["a1", "a2", "a3", "a4"] {
            queue.push(1, read).unwrap();
        }
        queue.push(2, "b1").unwrap();
        queue.push(3, "c1").unwrap();
        queue.push(2, "b2").unwrap();
        let order: Vec<_> = (0..7).map(|_| next(&queue)).collect();
        assert_eq!(order, ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]);
        assert!(queue.state().new.accounts.is_empty());
    }

    #[test]
    fn an_account_has_some_threads_and_not_all() {
        let queue = Queue::new(LIMITS, 1);
        for read in ["a1", "a2", "a3"] {
            queue.push(1, read).unwrap();
        }
        let (first, second) = (queue.pop().unwrap(), queue.pop().unwrap());
        queue.push(2, "b1").unwrap();
        assert_eq!(next(&queue), "b1");
        assert!(queue.state().new.ready.is_empty(), "a3 waits for a1 and a2");
        drop(first);
        assert_eq!(next(&queue), "a3");
        drop(second);
        assert!(queue.state().new.accounts.is_empty());
    }

    #[test]
    fn long_reads_wait_for_each_other_and_short_ones_for_none() {
        let queue = Queue::new(LIMITS, 1);
        for read in ["a1", "a2"] {
            queue.push(1, read).unwrap();
        }
        queue.push(2, "b1").unwrap();
        for _ in 0..3 {
            let mut running = queue.pop().unwrap();
            let read = running.take().unwrap();
            running.put_back(read);
        }
        // The first long one is running now: the other ones wait for it.
        let mut long = queue.pop().unwrap();
        assert_eq!(long.take(), Some("a1"));
        queue.push(3, "c1").unwrap();
        queue.push(1, "a3").unwrap();
        let order = [next(&queue), next(&queue)];
        assert_eq!(order, ["c1", "a3"], "short ones do not");
        long.put_back("a1");
        let order: Vec<_> = (0..3).map(|_| next(&queue)).collect();
        assert_eq!(order, ["b1", "a1", "a2"], "accounts take turns");
        assert!(queue.state().long.accounts.is_empty());
    }

    /// However many short ones come.
    #[test]
    fn a_long_read_comes_to_an_end() {
        let queue = Queue::new(LIMITS, 1);
        queue.push(1, "long").unwrap();
        let mut running = queue.pop().unwrap();
        let read = running.take().unwrap();
        running.put_back(read);
        for short in 0..4 {
            queue.push(short, "short").unwrap();
        }
        let order: Vec<_> = (0..5).map(|_| next(&queue)).collect();
        assert_eq!(order, ["short", "short", "long", "short", "short"]);
    }

    #[test]
    fn what_waits_is_bounded_for_one_and_for_all() {
        let queue = Queue::new(LIMITS, 1);
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
