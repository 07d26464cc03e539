//! Whether the clock can be believed.
//!
//! Wall time can be set: by hand, by a time source that is wrong, by whoever moves a
//! virtual machine. The time since the machine booted cannot. It counts suspension, and
//! a clock that is slewed slews both, so the two rise together. Where they come apart by
//! more than [`APART_MAX`], wall time has jumped, and what would be dated by it could not
//! be taken back. Until they agree again the time last believed is the time.
//!
//! Nothing here reads a clock: readings come in as arguments.

use std::time::Duration;

use super::time::Timestamp;

/// How far wall time may be from where the time since boot puts it. Time services step by
/// less, once they have set the clock.
pub const APART_MAX: Duration = Duration::from_secs(60);
/// Steps below the bound are taken up by a thousandth of the time that passes, 3.6 s an
/// hour, so that many of them do not add up to a large one.
const FOLLOWED_PER: u32 = 1_000;
/// How often they are.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);
/// After another boot: a clock that is so far ahead of what is known is not believed.
pub const AHEAD_MAX: Duration = Duration::from_secs(400 * 86_400);
/// And one that is so far ahead is worth a warning.
const AHEAD_WARNED: Duration = Duration::from_secs(86_400);
/// How far a time that an operator accepts may be from the clock.
pub const ACCEPTED_WITHIN: Duration = Duration::from_secs(86_400);

/// What both clocks say at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// Wall time.
    pub wall: Timestamp,
    /// The time since the machine booted.
    pub boot: Duration,
}

/// What is kept of a believed clock for the next start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockMark {
    /// Which boot of the machine it was; empty where that is not known.
    pub boot_id: Box<str>,
    /// The time since then.
    pub boot: Duration,
    /// Wall time, as the time since boot had it.
    pub wall: Timestamp,
}

/// What a data file knows about time when a server starts with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClockKnown {
    /// What was kept last.
    pub mark: Option<ClockMark>,
    /// When something was written last.
    pub last_write: Option<Timestamp>,
}

/// The clock is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disbelief {
    /// What the clock says.
    pub clock_time: Timestamp,
    /// The time last believed.
    pub believed_time: Timestamp,
}

/// By what a clock is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Nothing is known.
    Any,
    /// The machine was booted since this was known.
    AnotherBoot(Timestamp),
    /// Wall time when this boot began.
    ThisBoot(Timestamp),
}

/// What is believed about the clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Belief {
    rule: Rule,
    /// Up to which time since boot steps were taken up.
    followed: Duration,
    last: Timestamp,
    believed: bool,
}

/// What a start made of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockStart {
    /// Nothing to tell; whether it is believed shows in the first reading.
    Usual,
    /// It is believed, and this far ahead of all that is known.
    Ahead(Duration),
    /// It would not have been believed; the operator accepts it.
    Accepted,
    /// The operator accepts another time than the clock's.
    OtherAccepted(Timestamp),
}

impl Default for Belief {
    /// Before anything is known any clock is believed.
    fn default() -> Self {
        Self {
            rule: Rule::Any,
            followed: Duration::ZERO,
            last: Timestamp::MIN,
            believed: true,
        }
    }
}

impl Belief {
    /// What is believed from a start on.
    #[must_use]
    pub fn at_start(
        known: &ClockKnown,
        boot_id: &str,
        reading: ClockReading,
        accepted: Option<Timestamp>,
    ) -> (Self, ClockStart) {
        let (rule, last) = Rule::at_start(known, boot_id, reading.boot);
        let accepts = accepted.map(|time| (time, time.apart(reading.wall) <= ACCEPTED_WITHIN));
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
        let belief = Self {
            rule,
            followed: reading.boot,
            last,
            believed: true,
        };
        (belief, start)
    }

    /// Whether a reading would be believed.
    #[must_use]
    pub fn agrees(&self, reading: ClockReading) -> bool {
        self.rule.believes(reading)
    }

    /// Whether the last reading was believed.
    #[must_use]
    pub const fn is_believed(&self) -> bool {
        self.believed
    }

    /// Whether it is held to the time since boot. It is not before the first reading that
    /// is believed, where all that is known is from an earlier boot.
    #[must_use]
    pub const fn knows_this_boot(&self) -> bool {
        matches!(self.rule, Rule::ThisBoot(_))
    }

    /// What time it is by a reading.
    ///
    /// # Errors
    /// That it is not believed, and what is.
    pub fn observe(&mut self, reading: ClockReading) -> Result<Timestamp, Disbelief> {
        if !self.agrees(reading) {
            self.believed = false;
            return Err(Disbelief {
                clock_time: reading.wall,
                believed_time: self.last,
            });
        }
        self.follow(reading);
        self.believed = true;
        self.last = reading.wall;
        Ok(reading.wall)
    }

    /// Takes up a part of the steps that wall time has made.
    fn follow(&mut self, reading: ClockReading) {
        let Rule::ThisBoot(began) = self.rule else {
            self.rule = Rule::of(reading);
            self.followed = reading.boot;
            return;
        };
        if !self.believed {
            // While it was not believed there was nothing to take up.
            self.followed = reading.boot;
        }
        let passed = reading.boot.saturating_sub(self.followed);
        if passed < FOLLOW_INTERVAL {
            return;
        }
        self.followed = reading.boot;
        let most = passed.checked_div(FOLLOWED_PER).unwrap_or_default();
        let begins = reading.wall.minus(reading.boot);
        let step = begins.apart(began).min(most);
        self.rule = Rule::ThisBoot(match begins > began {
            true => began.plus(step),
            false => began.minus(step),
        });
    }

    /// What to keep for the next start. None: the last reading was not believed, or there
    /// was none.
    #[must_use]
    pub fn mark(&self, boot_id: &str, boot: Duration) -> Option<ClockMark> {
        match self.rule {
            Rule::ThisBoot(began) if self.believed => Some(ClockMark {
                boot_id: boot_id.into(),
                boot,
                wall: began.plus(boot),
            }),
            _ => None,
        }
    }
}

impl Rule {
    /// The rule by one reading that is believed.
    fn of(reading: ClockReading) -> Self {
        Self::ThisBoot(reading.wall.minus(reading.boot))
    }

    /// The rule by what is known, and what time is believed until a reading is.
    fn at_start(known: &ClockKnown, boot_id: &str, boot: Duration) -> (Self, Timestamp) {
        let Some(mark) = &known.mark else {
            return match known.last_write {
                Some(time) => (Self::AnotherBoot(time), time),
                None => (Self::Any, Timestamp::MIN),
            };
        };
        let same_boot = !boot_id.is_empty() && *mark.boot_id == *boot_id;
        match boot.checked_sub(mark.boot).filter(|_| same_boot) {
            Some(passed) => {
                let now = mark.wall.plus(passed);
                (Self::ThisBoot(now.minus(boot)), now)
            }
            // It is kept along with what is written, so it tells when that was, also where
            // the operator had accepted a clock that was behind.
            None => (Self::AnotherBoot(mark.wall), mark.wall),
        }
    }

    fn believes(self, reading: ClockReading) -> bool {
        match self {
            Self::Any => true,
            Self::AnotherBoot(known) => {
                known.since(reading.wall) <= APART_MAX && reading.wall.since(known) < AHEAD_MAX
            }
            Self::ThisBoot(began) => {
                let expected = began.plus(reading.boot);
                reading.wall.apart(expected) <= APART_MAX
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
    fn check(what: &str, readings: &[(i64, i64, bool)]) {
        let mut belief = Belief::default();
        let mut last = Timestamp::MIN;
        for (since_boot, off, believed) in readings {
            let reading = reading(*since_boot, since_boot + off);
            let now = belief.observe(reading);
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
        check(
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
        check("the bound", &[(0, 0, true), (1, 60, true), (2, 61, false)]);
        check("and back", &[(0, 0, true), (1, -60, true), (2, -61, false)]);
        check(
            "a suspended machine",
            &[(0, 0, true), (3 * DAY, 0, true), (90 * DAY, 5, true)],
        );
        check(
            "steps are taken up, slowly",
            &[
                (0, 0, true),
                // 60 s off for 5 hours: 18 s of it are taken up.
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
            let mut belief = Belief::default();
            let mut refused = None;
            for second in 0..2 * HOUR {
                let now = belief.observe(reading(second, second + rate * second));
                match refused {
                    None => refused = now.is_err().then_some(second),
                    Some(_) => assert!(now.is_err(), "{rate}: believed again at {second}"),
                }
            }
            assert!(refused.is_some_and(|second| second <= 62), "{rate}");
            assert!(belief.observe(reading(2 * HOUR, 2 * HOUR)).is_ok());
        }
        // It jumps again and again, each time by less than the bound.
        let mut belief = Belief::default();
        for second in 0..DAY {
            let off = 50 * (second / MINUTE);
            let now = belief.observe(reading(second, second + off));
            assert_eq!(now.is_ok(), off <= 60, "{second}");
        }
    }

    /// What a start makes of a clock: what is kept, what both clocks say (a row of an
    /// earlier boot has another id), what the operator accepts, what the start tells and
    /// whether the clock is then believed.
    #[test]
    fn a_start_compares_with_what_the_file_knows() {
        let mark = |boot_id: &str| ClockMark {
            boot_id: boot_id.into(),
            boot: boot(1_000),
            wall: at(0),
        };
        let this = ClockKnown {
            mark: Some(mark("this")),
            last_write: Some(at(-HOUR)),
        };
        let other = ClockKnown {
            mark: Some(mark("other")),
            ..this.clone()
        };
        let unmarked = ClockKnown {
            mark: None,
            last_write: Some(at(0)),
        };
        let days = |days: i64| ClockStart::Ahead(boot(days * DAY));
        let usual = ClockStart::Usual;
        let table = [
            // On the same boot time has passed as the machine says.
            (&this, 1_001, 1, None, usual, true),
            (&this, 1_000 + 90 * DAY, 90 * DAY, None, usual, true),
            (&this, 1_001, 8 * HOUR, None, usual, false),
            (&this, 1_001, -8 * HOUR, None, usual, false),
            (&this, 1_000 + DAY, 8 * HOUR, None, usual, false),
            (&this, 1_001, 61, None, usual, true),
            (&this, 1_001, 62, None, usual, false),
            (&this, 1_001, -59, None, usual, true),
            // A time since boot that is over cannot be of the same boot.
            (&this, 999, 8 * HOUR, None, usual, true),
            // After another boot all but the past and the far future is.
            (&other, 5, 8 * HOUR, None, usual, true),
            (&other, 5, DAY - 1, None, usual, true),
            (&other, 5, DAY, None, days(1), true),
            (&other, 5, 399 * DAY, None, days(399), true),
            (&other, 5, 400 * DAY, None, usual, false),
            (&other, 5, 10 * YEAR, None, usual, false),
            (&other, 5, -60, None, usual, true),
            (&other, 5, -61, None, usual, false),
            (&other, 5, -10 * YEAR, None, usual, false),
            (&unmarked, 5, 8 * HOUR, None, usual, true),
            (&unmarked, 5, -61, None, usual, false),
            (&unmarked, 5, 10 * YEAR, None, usual, false),
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
        for (known, since_boot, now, accepted, told, believed) in table {
            let accepted = accepted.map(|hours| at(hours * HOUR));
            let reading = reading(since_boot, now);
            let (mut belief, start) = Belief::at_start(known, "this", reading, accepted);
            let what = format!("{known:?} {since_boot} {now} {accepted:?}");
            assert_eq!(start, told, "{what}");
            assert_eq!(belief.observe(reading).is_ok(), believed, "{what}");
        }
        let away = at(40 * HOUR);
        for (now, believed) in [(1, true), (8 * HOUR, false)] {
            let reading = reading(1_001, now);
            let (mut belief, start) = Belief::at_start(&this, "this", reading, Some(away));
            assert_eq!(start, ClockStart::OtherAccepted(away));
            assert_eq!(belief.observe(reading).is_ok(), believed);
        }
        // Where the boot's id is not known, each start is one after another boot.
        let (mut belief, _) = Belief::at_start(&this, "", reading(1_001, 8 * HOUR), None);
        assert!(belief.observe(reading(1_001, 8 * HOUR)).is_ok());
        // A file that knows nothing takes any clock.
        let nothing = ClockKnown::default();
        let (mut belief, start) = Belief::at_start(&nothing, "this", reading(5, 300 * YEAR), None);
        assert_eq!(start, ClockStart::Usual);
        assert!(belief.observe(reading(5, 300 * YEAR)).is_ok());
    }

    #[test]
    fn a_start_with_a_wrong_clock_answers_by_what_is_known_and_recovers() {
        let known = ClockKnown {
            mark: Some(ClockMark {
                boot_id: "this".into(),
                boot: boot(1_000),
                wall: at(0),
            }),
            last_write: None,
        };
        for (boot_id, expected) in [("this", 10), ("another", 0)] {
            let wrong = reading(1_010, 10 * YEAR);
            let (mut belief, _) = Belief::at_start(&known, boot_id, wrong, None);
            let not = belief.observe(wrong).unwrap_err();
            assert_eq!(not.believed_time, at(expected));
            assert_eq!(belief.mark(boot_id, boot(1_010)), None);
            assert_eq!(belief.observe(reading(1_011, 11)), Ok(at(11)));
            // And from then on it is held to the time since boot.
            assert!(belief.observe(reading(1_012, 8 * HOUR)).is_err());
        }
    }

    #[test]
    fn a_restart_goes_on_with_what_was_believed() {
        let mut belief = Belief::default();
        assert!(belief.observe(reading(0, 0)).is_ok());
        // 50 s off: believed, and hardly taken up.
        assert!(belief.observe(reading(100, 150)).is_ok());
        let mark = belief.mark("this", boot(100)).unwrap();
        assert!(mark.wall.since(at(100)) <= Duration::from_millis(100));
        let known = ClockKnown {
            mark: Some(mark),
            last_write: Some(at(150)),
        };
        for (off, believed) in [(50, true), (60, true), (100, false), (0, true)] {
            let reading = reading(200, 200 + off);
            let (mut belief, _) = Belief::at_start(&known, "this", reading, None);
            assert_eq!(belief.observe(reading).is_ok(), believed, "{off}");
        }
        // Not believed, nothing is kept.
        assert!(belief.observe(reading(300, 8 * HOUR)).is_err());
        assert_eq!(belief.mark("this", boot(300)), None);
    }
}
