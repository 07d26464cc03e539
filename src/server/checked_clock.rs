//! The server's clock: the system's, for as long as it can be believed.
//!
//! Each time that is asked for is judged by `domain::clock`, so nothing is ever dated by
//! a clock that has jumped. Where belief is lost or comes back the log has a line and the
//! watch channel changes; a server reads the clock every now and then for that alone.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;

use super::system_clock::SystemClock;
use crate::domain::Timestamp;
use crate::domain::clock::{
    ACCEPTED_WITHIN, AHEAD_MAX, ClockCheck, ClockNotBelieved, ClockReading, ClockSample,
    ClockStart, SKEW_MAX, StoredClock,
};
use crate::rfc3339;
use crate::store::Clock;

/// Changes with each boot of the machine. Where it cannot be read, each start counts as
/// one after another boot.
const BOOT_ID_FILE: &str = "/proc/sys/kernel/random/boot_id";
/// How often the clocks are read before they are said to disagree: the machine may have
/// been suspended between the two.
const READINGS_MAX: usize = 3;
const SECONDS_PER_DAY: u64 = 86_400;

/// The clock of a server.
pub struct CheckedClock {
    boot_id: Box<str>,
    /// A time that the operator accepts at the start.
    accepted: Option<Timestamp>,
    judge: Mutex<Judge>,
    believed: watch::Sender<bool>,
}

/// What is believed, and whether it was compared with what the data file knows.
#[derive(Default)]
struct Judge {
    check: ClockCheck,
    started: bool,
}

impl CheckedClock {
    /// A clock that is believed whatever it says, until a store says what it knows. A
    /// jump that ends within a day of `accepted` is then believed too.
    #[must_use]
    pub fn new(accepted: Option<Timestamp>) -> Self {
        Self {
            boot_id: boot_id(),
            accepted,
            judge: Mutex::default(),
            believed: watch::Sender::new(true),
        }
    }

    /// Whether it is believed, now and from now on.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.believed.subscribe()
    }

    fn judge(&self) -> MutexGuard<'_, Judge> {
        self.judge.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn observe(&self, check: &mut ClockCheck) -> Result<Timestamp, ClockNotBelieved> {
        let before = check.is_believed();
        let mut reading = read();
        if before {
            for _ in 1..READINGS_MAX {
                if check.would_believe(reading) {
                    break;
                }
                reading = read();
            }
        }
        let now = check.observe(reading);
        if before != now.is_ok() {
            tell(now, check.knows_this_boot());
            self.believed.send_replace(now.is_ok());
        }
        now
    }
}

impl Clock for CheckedClock {
    fn now(&self) -> Timestamp {
        self.believed().unwrap_or_else(|not| not.believed_time)
    }

    fn believed(&self) -> Result<Timestamp, ClockNotBelieved> {
        self.observe(&mut self.judge().check)
    }

    fn start(&self, stored: &StoredClock) {
        let mut judge = self.judge();
        // What was believed since then counts for more than what is in a file.
        if std::mem::replace(&mut judge.started, true) {
            return;
        }
        let reading = read();
        let (check, start) = ClockCheck::at_start(stored, &self.boot_id, reading, self.accepted);
        tell_start(start, reading.wall);
        judge.check = check;
        let _ = self.observe(&mut judge.check);
    }

    fn sample(&self) -> Option<ClockSample> {
        self.judge().check.sample(&self.boot_id, boot_time())
    }
}

/// The system's clock, whatever it says, with samples that have the time since boot.
pub(super) struct SampledClock(Box<str>);

impl SampledClock {
    pub(super) fn new() -> Self {
        Self(boot_id())
    }
}

impl Clock for SampledClock {
    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    fn sample(&self) -> Option<ClockSample> {
        let ClockReading { boot, wall } = read();
        Some(ClockSample {
            boot_id: self.0.clone(),
            boot,
            wall,
        })
    }
}

/// The id of the boot; empty where the system does not say.
fn boot_id() -> Box<str> {
    let boot_id = std::fs::read_to_string(BOOT_ID_FILE).unwrap_or_default();
    boot_id.trim().into()
}

fn read() -> ClockReading {
    ClockReading {
        boot: boot_time(),
        wall: SystemClock.now(),
    }
}

/// The time since the machine booted, with the time for which it was suspended.
fn boot_time() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

fn tell(now: Result<Timestamp, ClockNotBelieved>, knows_this_boot: bool) {
    match now {
        Ok(now) => tracing::info!(
            clock_time = rfc3339::format(now),
            "the clock is believed again; writes go on"
        ),
        Err(not) => {
            let clock_time = rfc3339::format(not.clock_time);
            let why = match knows_this_boot {
                true => format!(
                    "more than {} s away from where the time since boot puts it",
                    SKEW_MAX.as_secs()
                ),
                false => format!(
                    "behind what the data file knows, or {} days or more ahead of it",
                    AHEAD_MAX.as_secs().div_euclid(SECONDS_PER_DAY)
                ),
            };
            tracing::error!(
                clock_time,
                believed_time = rfc3339::format(not.believed_time),
                "the clock is not believed: it is {why}; writes are refused, and reads are answered \
                 as of the time last believed. Set the clock right, which is enough, or if it is \
                 right, restart with --accept-clock {clock_time} (docs/clock.md)"
            );
        }
    }
}

fn tell_start(start: ClockStart, clock: Timestamp) {
    let clock_time = rfc3339::format(clock);
    match start {
        ClockStart::Usual => {}
        ClockStart::Ahead(ahead) => {
            let days = ahead.as_secs().div_euclid(SECONDS_PER_DAY);
            tracing::warn!(
                clock_time,
                days,
                "the clock is more than a day ahead of what the data file knows; see that it is right: \
                 what is over by it is over for good"
            );
        }
        ClockStart::Accepted => tracing::warn!(
            clock_time,
            "the clock is believed because --accept-clock says so; take the option out again"
        ),
        ClockStart::OtherAccepted(time) => tracing::warn!(
            clock_time,
            accept_clock = rfc3339::format(time),
            "--accept-clock does nothing: the clock is more than {} h away from it; take the option out, \
             or give the clock's time",
            ACCEPTED_WITHIN.as_secs().div_euclid(3_600)
        ),
    }
}
