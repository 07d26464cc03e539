//! Controlled delay (CoDel, RFC 8289): whether a queue is overloaded, by how long what is taken
//! from it has waited.
//!
//! A burst fills a queue, and it is empty again soon. In a queue that gets more than can be done
//! everything has waited, the last one too: the smallest delay over an interval stays above a
//! target. Such a queue is to be kept short, and what has waited for too long is refused, until
//! for an interval nothing had to be refused.

use std::time::{Duration, Instant};

/// The delays of one queue.
#[derive(Clone, Copy, Debug)]
pub struct ControlledDelay {
    /// How long the smallest delay must be above the target before the queue is overloaded, and
    /// for how long nothing may be refused before it is not.
    interval: Duration,
    /// Since when every delay was above the target.
    above_since: Option<Instant>,
    /// When something was refused last; None: the queue is not overloaded.
    refused: Option<Instant>,
}

impl ControlledDelay {
    /// A queue in which nothing has waited yet.
    #[must_use]
    pub const fn new(interval: Duration) -> Self {
        Self {
            interval,
            above_since: None,
            refused: None,
        }
    }

    /// Notes how long something has waited that is taken now. Returns whether it is to be refused:
    /// the queue is overloaded, and it has waited for twice the target.
    pub fn is_too_late(&mut self, delay: Duration, target: Duration, now: Instant) -> bool {
        if delay <= target {
            self.above_since = None;
            return false;
        }
        let since = *self.above_since.get_or_insert(now);
        let standing = now.saturating_duration_since(since) >= self.interval;
        if standing || self.refused.is_some() {
            self.refused = match standing {
                true => Some(now),
                false => self.refused,
            };
            return delay > target.saturating_mul(2);
        }
        false
    }

    /// Whether the queue is to be kept short; `refused` is whether anything was refused since the
    /// last time.
    pub fn is_overloaded(&mut self, refused: bool, now: Instant) -> bool {
        let Some(last) = self.refused else {
            return false;
        };
        if refused {
            self.refused = Some(now);
        } else if now.saturating_duration_since(last) >= self.interval {
            self.refused = None;
        }
        self.refused.is_some()
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers of a test")]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(100);
    const TARGET: Duration = Duration::from_millis(10);

    /// What happens at a millisecond, and what is expected then.
    enum Step {
        /// Something is taken that has waited so many milliseconds; whether it is too late.
        Taken(u64, bool),
        /// Whether anything was refused; whether the queue is overloaded.
        Asked(bool, bool),
    }

    use Step::{Asked, Taken};

    fn check(steps: &[(u64, Step)]) {
        let mut queue = ControlledDelay::new(INTERVAL);
        let start = Instant::now();
        for (at, step) in steps {
            let now = start + Duration::from_millis(*at);
            match step {
                Taken(delay, expected) => {
                    let late = queue.is_too_late(Duration::from_millis(*delay), TARGET, now);
                    assert_eq!(late, *expected, "at {at} ms");
                }
                Asked(refused, expected) => {
                    assert_eq!(queue.is_overloaded(*refused, now), *expected, "at {at} ms");
                }
            }
        }
    }

    #[test]
    fn a_burst_is_not_refused() {
        check(&[
            (0, Taken(0, false)),
            (20, Taken(20, false)),
            (60, Taken(60, false)),
            (99, Taken(99, false)),
            (99, Asked(true, false)),
            (110, Taken(5, false)),
            (205, Taken(90, false)),
            (206, Asked(false, false)),
        ]);
    }

    #[test]
    fn a_delay_that_stands_for_an_interval_is_overload() {
        check(&[
            (0, Taken(11, false)),
            (99, Taken(30, false)),
            (99, Asked(false, false)),
            (100, Taken(30, true)),
            (100, Asked(false, true)),
            // What has not waited for long is done.
            (101, Taken(20, false)),
            (102, Taken(21, true)),
        ]);
    }

    #[test]
    fn the_overload_ends_when_nothing_was_refused_for_an_interval() {
        check(&[
            (0, Taken(11, false)),
            (100, Taken(11, false)),
            (150, Taken(2, false)),
            (150, Asked(true, true)),
            (240, Asked(false, true)),
            (249, Asked(true, true)),
            (348, Asked(false, true)),
            (349, Asked(false, false)),
            // It begins as before.
            (350, Taken(50, false)),
            (449, Taken(50, false)),
            (450, Taken(50, true)),
        ]);
    }
}
