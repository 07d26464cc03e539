//! Whether the clock can be believed.
//!
//! Wall time can be set: by hand, by a time source that is wrong, by whoever moves a
//! virtual machine. The time since the machine booted cannot. It counts suspension, and a
//! clock that is slewed slews both, so the two rise together. If they differ by more than
//! [`SKEW_MAX`], wall time has jumped. Entries dated by it could not be taken back, so until
//! the two agree again the time stays at the time last believed.
//!
//! Nothing here reads a clock: readings come in as arguments.

use std::time::Duration;

use super::time::Timestamp;

/// How far wall time may be from the start of the boot plus the time since it. Time services
/// make smaller steps, once they have set the clock.
pub const SKEW_MAX: Duration = Duration::from_secs(60);
/// Smaller steps move the expected time by at most a thousandth of the time that passes, 3.6 s
/// an hour, so that many small steps do not add up to a large one.
const SLEW_PER: u32 = 1_000;
/// Time between two such corrections.
const SLEW_INTERVAL: Duration = Duration::from_secs(1);
/// After another boot, a clock that is so far ahead of the newest stored time is not believed.
pub const AHEAD_MAX: Duration = Duration::from_secs(400 * 86_400);
/// One that is so far ahead is believed with a warning.
const AHEAD_WARNED: Duration = Duration::from_secs(86_400);
/// How far a time that an operator accepts may be from the clock.
pub const ACCEPTED_WITHIN: Duration = Duration::from_secs(86_400);

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// Wall time.
    pub wall: Timestamp,
    /// The time since the machine booted.
    pub boot: Duration,
}

/// A sample of a believed clock, stored for the next start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockSample {
    /// The id of the boot of the machine; empty if it is not known.
    pub boot_id: Box<str>,
    /// The time since that boot.
    pub boot: Duration,
    /// Wall time, as expected by the time since boot.
    pub wall: Timestamp,
}

/// The newest times that a data file has when a server starts with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredClock {
    /// The newest sample.
    pub sample: Option<ClockSample>,
    /// When the newest entry was written.
    pub last_write: Option<Timestamp>,
}

/// The clock is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockNotBelieved {
    /// What the clock says.
    pub clock_time: Timestamp,
    /// The time last believed.
    pub believed_time: Timestamp,
}

/// What a reading is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Nothing: any reading is believed.
    Any,
    /// The newest stored time, of an earlier boot.
    AnotherBoot(Timestamp),
    /// The wall time at which this boot began.
    ThisBoot(Timestamp),
}

/// Checks readings of the clock one after another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockCheck {
    rule: Rule,
    /// The time since boot of the last correction for small steps.
    slewed: Duration,
    last: Timestamp,
    believed: bool,
}

/// What the check of the clock at a start found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockStart {
    /// Nothing to report; the first reading says whether the clock is believed.
    Usual,
    /// It is believed, and this far ahead of the newest stored time.
    Ahead(Duration),
    /// It would not have been believed; the operator accepts it.
    Accepted,
    /// The operator accepts another time than the clock's.
    OtherAccepted(Timestamp),
}

impl Default for ClockCheck {
    /// Without a stored time any clock is believed.
    fn default() -> Self {
        Self {
            rule: Rule::Any,
            slewed: Duration::ZERO,
            last: Timestamp::MIN,
            believed: true,
        }
    }
}

impl ClockCheck {
    /// The check from a start on, with the times of the data file, and what it found.
    #[must_use]
    pub fn at_start(
        stored: &StoredClock,
        boot_id: &str,
        reading: ClockReading,
        accepted: Option<Timestamp>,
    ) -> (Self, ClockStart) {
        let (rule, last) = Rule::at_start(stored, boot_id, reading.boot);
        let accepts = accepted.map(|time| (time, time.abs_diff(reading.wall) <= ACCEPTED_WITHIN));
        let (rule, start) = match (accepts, rule) {
            (Some((time, false)), _) => (rule, ClockStart::OtherAccepted(time)),
            (Some((_, true)), _) if !rule.believes(reading) => {
                (Rule::of(reading), ClockStart::Accepted)
            }
            (_, Rule::AnotherBoot(known)) if rule.believes(reading) => {
                let ahead = reading.wall.since(known);
                let start = match ahead >= AHEAD_WARNED {
                    true => ClockStart::Ahead(ahead),
                    false => ClockStart::Usual,
                };
                (rule, start)
            }
            _ => (rule, ClockStart::Usual),
        };
        let check = Self {
            rule,
            slewed: reading.boot,
            last,
            believed: true,
        };
        (check, start)
    }

    /// Whether a reading would be believed.
    #[must_use]
    pub fn would_believe(&self, reading: ClockReading) -> bool {
        self.rule.believes(reading)
    }

    /// Whether the last reading was believed.
    #[must_use]
    pub const fn is_believed(&self) -> bool {
        self.believed
    }

    /// Whether readings are compared with the time since boot. They are not before the first
    /// one that is believed, if all stored times are of an earlier boot.
    #[must_use]
    pub const fn knows_this_boot(&self) -> bool {
        matches!(self.rule, Rule::ThisBoot(_))
    }

    /// The time by a reading.
    ///
    /// # Errors
    /// The reading is not believed.
    pub fn observe(&mut self, reading: ClockReading) -> Result<Timestamp, ClockNotBelieved> {
        if !self.would_believe(reading) {
            self.believed = false;
            return Err(ClockNotBelieved {
                clock_time: reading.wall,
                believed_time: self.last,
            });
        }
        self.slew(reading);
        self.believed = true;
        self.last = reading.wall;
        Ok(reading.wall)
    }

    /// Moves the expected time a little towards wall time.
    fn slew(&mut self, reading: ClockReading) {
        let Rule::ThisBoot(began) = self.rule else {
            self.rule = Rule::of(reading);
            self.slewed = reading.boot;
            return;
        };
        if !self.believed {
            // The time for which the clock was not believed does not count.
            self.slewed = reading.boot;
        }
        let passed = reading.boot.saturating_sub(self.slewed);
        if passed < SLEW_INTERVAL {
            return;
        }
        self.slewed = reading.boot;
        let most = passed.checked_div(SLEW_PER).unwrap_or_default();
        let begins = reading.wall.minus(reading.boot);
        let step = begins.abs_diff(began).min(most);
        self.rule = Rule::ThisBoot(match begins > began {
            true => began.plus(step),
            false => began.minus(step),
        });
    }

    /// A sample to store for the next start. None if the last reading was not believed, or
    /// there was none.
    #[must_use]
    pub fn sample(&self, boot_id: &str, boot: Duration) -> Option<ClockSample> {
        match self.rule {
            Rule::ThisBoot(began) if self.believed => Some(ClockSample {
                boot_id: boot_id.into(),
                boot,
                wall: began.plus(boot),
            }),
            _ => None,
        }
    }
}

impl Rule {
    /// The rule after a reading that is believed.
    fn of(reading: ClockReading) -> Self {
        Self::ThisBoot(reading.wall.minus(reading.boot))
    }

    /// The rule by the stored times, and the time until a reading is believed.
    fn at_start(stored: &StoredClock, boot_id: &str, boot: Duration) -> (Self, Timestamp) {
        let Some(sample) = &stored.sample else {
            return match stored.last_write {
                Some(time) => (Self::AnotherBoot(time), time),
                None => (Self::Any, Timestamp::MIN),
            };
        };
        let same_boot = !boot_id.is_empty() && *sample.boot_id == *boot_id;
        match boot.checked_sub(sample.boot).filter(|_| same_boot) {
            Some(passed) => {
                let now = sample.wall.plus(passed);
                (Self::ThisBoot(now.minus(boot)), now)
            }
            // Samples are written with entries, so the newest one is about as new as the newest
            // entry, also if the operator had accepted a clock that was behind.
            None => (Self::AnotherBoot(sample.wall), sample.wall),
        }
    }

    fn believes(self, reading: ClockReading) -> bool {
        match self {
            Self::Any => true,
            Self::AnotherBoot(known) => {
                known.since(reading.wall) <= SKEW_MAX && reading.wall.since(known) < AHEAD_MAX
            }
            Self::ThisBoot(began) => {
                let expected = began.plus(reading.boot);
                reading.wall.abs_diff(expected) <= SKEW_MAX
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers of a table")]
mod tests {
    use super::*;

    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    const NOON: i64 = 1_795_694_400;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::new(NOON + seconds, 0).unwrap()
    }

    fn boot(seconds: i64) -> Duration {
        Duration::from_secs(u64::try_from(seconds).unwrap())
    }

    /// A reading: seconds since boot, and seconds since noon.
    fn reading(since_boot: i64, since_noon: i64) -> ClockReading {
        ClockReading {
            wall: at(since_noon),
            boot: boot(since_boot),
        }
    }

    /// Readings in turn: seconds since boot, how far wall time is from there, and whether
    /// it is believed.
    fn check_readings(what: &str, readings: &[(i64, i64, bool)]) {
        let mut check = ClockCheck::default();
        let mut last = Timestamp::MIN;
        for (since_boot, off, believed) in readings {
            let reading = reading(*since_boot, since_boot + off);
            let now = check.observe(reading);
            assert_eq!(now.is_ok(), *believed, "{what}: {since_boot} {off}");
            match now {
                Ok(now) => {
                    assert_eq!(now, reading.wall, "{what}");
                    last = now;
                }
                Err(not) => {
                    assert_eq!(not.clock_time, reading.wall, "{what}");
                    assert_eq!(not.believed_time, last, "{what}");
                }
            }
        }
    }

    #[test]
    fn a_running_clock_is_believed_within_a_bound_and_recovers_by_itself() {
        check_readings(
            "a jump for a moment",
            &[
                (0, 0, true),
                (10, 8 * HOUR, false),
                (11, 10 * YEAR, false),
                (12, 0, true),
                (13, -8 * HOUR, false),
                (14, -10 * YEAR, false),
                (15, 0, true),
            ],
        );
        check_readings("the bound", &[(0, 0, true), (1, 60, true), (2, 61, false)]);
        check_readings("and back", &[(0, 0, true), (1, -60, true), (2, -61, false)]);
        check_readings(
            "a suspended machine",
            &[(0, 0, true), (3 * DAY, 0, true), (90 * DAY, 5, true)],
        );
        check_readings(
            "small steps are slewed slowly",
            &[
                (0, 0, true),
                // 60 s off for 5 hours: the expected time moves by 18 s.
                (1, 60, true),
                (5 * HOUR, 60, true),
                (5 * HOUR + 1, 77, true),
                (5 * HOUR + 2, 79, false),
                (5 * HOUR + 3, -41, true),
                (5 * HOUR + 4, -43, false),
            ],
        );
    }

    #[test]
    fn a_clock_that_runs_away_does_not_take_belief_along() {
        for rate in [1_i64, -1, 9] {
            let mut check = ClockCheck::default();
            let mut refused = None;
            for second in 0..2 * HOUR {
                let now = check.observe(reading(second, second + rate * second));
                match refused {
                    None => refused = now.is_err().then_some(second),
                    Some(_) => assert!(now.is_err(), "{rate}: believed again at {second}"),
                }
            }
            assert!(refused.is_some_and(|second| second <= 62), "{rate}");
            assert!(check.observe(reading(2 * HOUR, 2 * HOUR)).is_ok());
        }
        // It jumps again and again, each time by less than the bound.
        let mut check = ClockCheck::default();
        for second in 0..DAY {
            let off = 50 * (second / MINUTE);
            let now = check.observe(reading(second, second + off));
            assert_eq!(now.is_ok(), off <= 60, "{second}");
        }
    }

    /// Rows: the stored times, the time since boot, wall time, the time that the operator
    /// accepts, what the start reports, and whether the clock is then believed.
    #[test]
    fn a_start_compares_with_what_the_file_knows() {
        let sample = |boot_id: &str| ClockSample {
            boot_id: boot_id.into(),
            boot: boot(1_000),
            wall: at(0),
        };
        let this = StoredClock {
            sample: Some(sample("this")),
            last_write: Some(at(-HOUR)),
        };
        let other = StoredClock {
            sample: Some(sample("other")),
            ..this.clone()
        };
        let unsampled = StoredClock {
            sample: None,
            last_write: Some(at(0)),
        };
        let days = |days: i64| ClockStart::Ahead(boot(days * DAY));
        let usual = ClockStart::Usual;
        let table = [
            // On the same boot wall time must have passed as the time since boot has.
            (&this, 1_001, 1, None, usual, true),
            (&this, 1_000 + 90 * DAY, 90 * DAY, None, usual, true),
            (&this, 1_001, 8 * HOUR, None, usual, false),
            (&this, 1_001, -8 * HOUR, None, usual, false),
            (&this, 1_000 + DAY, 8 * HOUR, None, usual, false),
            (&this, 1_001, 61, None, usual, true),
            (&this, 1_001, 62, None, usual, false),
            (&this, 1_001, -59, None, usual, true),
            // A smaller time since boot cannot be of the same boot.
            (&this, 999, 8 * HOUR, None, usual, true),
            // After another boot all but the past and the far future is believed.
            (&other, 5, 8 * HOUR, None, usual, true),
            (&other, 5, DAY - 1, None, usual, true),
            (&other, 5, DAY, None, days(1), true),
            (&other, 5, 399 * DAY, None, days(399), true),
            (&other, 5, 400 * DAY, None, usual, false),
            (&other, 5, 10 * YEAR, None, usual, false),
            (&other, 5, -60, None, usual, true),
            (&other, 5, -61, None, usual, false),
            (&other, 5, -10 * YEAR, None, usual, false),
            (&unsampled, 5, 8 * HOUR, None, usual, true),
            (&unsampled, 5, -61, None, usual, false),
            (&unsampled, 5, 10 * YEAR, None, usual, false),
            // What the operator accepts is believed, and nothing else.
            (&this, 1_001, 8 * HOUR, Some(8), ClockStart::Accepted, true),
            (&this, 1_001, -8 * HOUR, Some(0), ClockStart::Accepted, true),
            (&this, 1_001, 32 * HOUR, Some(8), ClockStart::Accepted, true),
            (
                &other,
                5,
                10 * YEAR,
                Some(87_610),
                ClockStart::Accepted,
                true,
            ),
            (&this, 1_001, 1, Some(1), usual, true),
            (&other, 5, 2 * DAY, Some(48), days(2), true),
        ];
        for (known, since_boot, now, accepted, reported, believed) in table {
            let accepted = accepted.map(|hours| at(hours * HOUR));
            let reading = reading(since_boot, now);
            let (mut check, start) = ClockCheck::at_start(known, "this", reading, accepted);
            let what = format!("{known:?} {since_boot} {now} {accepted:?}");
            assert_eq!(start, reported, "{what}");
            assert_eq!(check.observe(reading).is_ok(), believed, "{what}");
        }
        let away = at(40 * HOUR);
        for (now, believed) in [(1, true), (8 * HOUR, false)] {
            let reading = reading(1_001, now);
            let (mut check, start) = ClockCheck::at_start(&this, "this", reading, Some(away));
            assert_eq!(start, ClockStart::OtherAccepted(away));
            assert_eq!(check.observe(reading).is_ok(), believed);
        }
        // Without a boot id each start counts as after another boot.
        let (mut check, _) = ClockCheck::at_start(&this, "", reading(1_001, 8 * HOUR), None);
        assert!(check.observe(reading(1_001, 8 * HOUR)).is_ok());
        // A file without times accepts any clock.
        let nothing = StoredClock::default();
        let (mut check, start) =
            ClockCheck::at_start(&nothing, "this", reading(5, 300 * YEAR), None);
        assert_eq!(start, ClockStart::Usual);
        assert!(check.observe(reading(5, 300 * YEAR)).is_ok());
    }

    #[test]
    fn a_start_with_a_wrong_clock_answers_by_what_is_known_and_recovers() {
        let known = StoredClock {
            sample: Some(ClockSample {
                boot_id: "this".into(),
                boot: boot(1_000),
                wall: at(0),
            }),
            last_write: None,
        };
        for (boot_id, expected) in [("this", 10), ("another", 0)] {
            let wrong = reading(1_010, 10 * YEAR);
            let (mut check, _) = ClockCheck::at_start(&known, boot_id, wrong, None);
            let not = check.observe(wrong).unwrap_err();
            assert_eq!(not.believed_time, at(expected));
            assert_eq!(check.sample(boot_id, boot(1_010)), None);
            assert_eq!(check.observe(reading(1_011, 11)), Ok(at(11)));
            // From then on readings are compared with the time since boot.
            assert!(check.observe(reading(1_012, 8 * HOUR)).is_err());
        }
    }

    #[test]
    fn a_restart_goes_on_with_what_was_believed() {
        let mut check = ClockCheck::default();
        assert!(check.observe(reading(0, 0)).is_ok());
        // 50 s off: it is believed, and the expected time hardly moves.
        assert!(check.observe(reading(100, 150)).is_ok());
        let sample = check.sample("this", boot(100)).unwrap();
        assert!(sample.wall.since(at(100)) <= Duration::from_millis(100));
        let known = StoredClock {
            sample: Some(sample),
            last_write: Some(at(150)),
        };
        for (off, believed) in [(50, true), (60, true), (100, false), (0, true)] {
            let reading = reading(200, 200 + off);
            let (mut check, _) = ClockCheck::at_start(&known, "this", reading, None);
            assert_eq!(check.observe(reading).is_ok(), believed, "{off}");
        }
        // While it is not believed there is no sample.
        assert!(check.observe(reading(300, 8 * HOUR)).is_err());
        assert_eq!(check.sample("this", boot(300)), None);
    }
}
