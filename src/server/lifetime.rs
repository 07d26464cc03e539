//! How long a connection lives: until its first call is late, until it was idle for too long,
//! or until it is old. Its peer is told to go then, and no call is cut.
//!
//! A client that is built on hyper (tonic) fails the call that it begins between GOAWAY and the
//! end of the connection. So an old connection is told to go while it has no call, and ends at
//! once; only where it has one all the time, it is told to go while it has.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::calls::Calls;
use super::live::Live;
use super::tracker::Tracker;

/// A connection without a call for so long is closed, politely: its peer can connect again.
pub const FIRST_CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Into so many parts the longest idle time is divided: its end is noticed as late as one of
/// them, and a call needs no clock.
const IDLE_PARTS: u32 = 4;
/// An age is up to a tenth shorter or longer, so that connections that began together do not
/// all end together.
const AGE_JITTER_DIVISOR: u32 = 10;

/// A connection without a call that has begun for so long, or is open, has a pause.
const PAUSE: Duration = Duration::from_millis(20);
/// For such a part of its age an old connection waits for a pause.
const PAUSE_WAIT_DIVISOR: u32 = 10;

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    NeverCalled,
    Idle,
    Old,
    /// It is old, and has calls all the time.
    OldAndBusy,
}

/// Waits until the connection is over. What the limits say may change meanwhile; that is noticed
/// with the next part of the idle time.
pub(super) async fn over(limits: &Live, tracker: &Tracker, calls: &Calls) -> Over {
    let began = Instant::now();
    let after = |time: Duration| began.checked_add(time).unwrap_or(began);
    let random = getrandom::u32().unwrap_or_default();
    let first_call = after(FIRST_CALL_TIMEOUT);
    let part = || {
        let idle_max = limits.connection_idle_max();
        idle_max.checked_div(IDLE_PARTS).unwrap_or(idle_max)
    };
    let (mut part_ends, mut idle_parts, mut begun) = (after(part()), 0, 0);
    loop {
        let has_called = tracker.begun() > 0;
        let age_max = limits.connection_age_max();
        let old = after(jittered(age_max, random));
        let next = match has_called {
            true => part_ends.min(old),
            false => part_ends.min(old).min(first_call),
        };
        sleep_until(next).await;
        let now = Instant::now();
        if now >= old {
            let wait = age_max.checked_div(PAUSE_WAIT_DIVISOR);
            return wait_for_pause(wait.unwrap_or_default(), tracker).await;
        }
        if now >= first_call && tracker.begun() == 0 {
            return Over::NeverCalled;
        }
        if now >= part_ends {
            let before = std::mem::replace(&mut begun, tracker.begun());
            let is_idle = before == begun && calls.is_empty();
            idle_parts = if is_idle {
                u32::saturating_add(idle_parts, 1)
            } else {
                0
            };
            if idle_parts == IDLE_PARTS {
                return Over::Idle;
            }
            part_ends = now.checked_add(part()).unwrap_or(now);
        }
    }
}

async fn wait_for_pause(wait_max: Duration, tracker: &Tracker) -> Over {
    let began = Instant::now();
    loop {
        let begun = tracker.begun();
        sleep(PAUSE).await;
        if begun == tracker.begun() && !tracker.has_open() {
            return Over::Old;
        }
        if began.elapsed() >= wait_max {
            return Over::OldAndBusy;
        }
    }
}

/// Between nine and eleven tenths of a time.
fn jittered(time: Duration, random: u32) -> Duration {
    let most = time.checked_div(AGE_JITTER_DIVISOR).unwrap_or_default();
    // A share of the jitter in both directions, as a 32nd power of 2.
    let nanos = most
        .as_nanos()
        .saturating_mul(2)
        .saturating_mul(random.into());
    let more = u64::try_from(nanos >> u32::BITS).unwrap_or(u64::MAX);
    time.saturating_sub(most)
        .saturating_add(Duration::from_nanos(more))
}

/// Ends the watches of a connection, in order: a peer opens them again on its next one. It would
/// otherwise keep a connection that it was told to leave for as long as it watches.
#[derive(Clone)]
pub(super) struct EndOfWatches(watch::Sender<bool>);

impl EndOfWatches {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    pub(super) fn end(&self) {
        self.0.send_replace(true);
    }

    /// Waits until watches are to end.
    pub(super) fn ended(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut receiver = self.0.subscribe();
        async move {
            let _ = receiver.wait_for(|ended| *ended).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_a_tenth_shorter_to_a_tenth_longer() {
        let age = Duration::from_secs(3_600);
        assert_eq!(jittered(age, 0), Duration::from_secs(3_240));
        assert_eq!(jittered(age, 1 << 31), age);
        let longest = jittered(age, u32::MAX);
        assert!(longest > Duration::from_secs(3_959) && longest <= Duration::from_secs(3_960));
        assert!(jittered(Duration::MAX, u32::MAX) > Duration::ZERO);
    }
}
