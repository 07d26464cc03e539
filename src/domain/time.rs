//! Moments, exact to the nanosecond. Nothing here reads a clock.

use std::time::Duration;

/// A moment: seconds since 1970-01-01T00:00:00Z and nanoseconds after them.
///
/// The range is that of protobuf's Timestamp, the years 1 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    seconds: i64,
    nanos: u32,
}

const NANOS_PER_SECOND: i64 = 1_000_000_000;
const NANOS_IN_SECOND: u32 = 1_000_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

impl Timestamp {
    /// 0001-01-01T00:00:00Z.
    pub const MIN: Self = Self {
        seconds: -62_135_596_800,
        nanos: 0,
    };
    /// 9999-12-31T23:59:59.999999999Z.
    pub const MAX: Self = Self {
        seconds: 253_402_300_799,
        nanos: 999_999_999,
    };

    /// The moment, if it lies in the years 1 to 9999 and has fewer than 10^9
    /// nanoseconds.
    #[must_use]
    pub fn new(seconds: i64, nanos: u32) -> Option<Self> {
        let inside =
            (Self::MIN.seconds..=Self::MAX.seconds).contains(&seconds) && nanos <= Self::MAX.nanos;
        inside.then_some(Self { seconds, nanos })
    }

    /// The moment that many nanoseconds after 1970 began.
    #[must_use]
    pub fn from_unix_nanos(nanos: i64) -> Self {
        let rest = nanos.rem_euclid(NANOS_PER_SECOND);
        Self {
            seconds: nanos.div_euclid(NANOS_PER_SECOND),
            nanos: u32::try_from(rest).unwrap_or_default(),
        }
    }

    /// Nanoseconds since 1970 began; None outside of the years 1677 to 2262.
    #[must_use]
    pub fn unix_nanos(self) -> Option<i64> {
        // The seconds are rounded up first, so that the whole range fits.
        let (seconds, nanos) = if self.seconds < 0 && self.nanos > 0 {
            let up = self.seconds.checked_add(1)?;
            (up, i64::from(self.nanos).checked_sub(NANOS_PER_SECOND)?)
        } else {
            (self.seconds, i64::from(self.nanos))
        };
        seconds.checked_mul(NANOS_PER_SECOND)?.checked_add(nanos)
    }

    /// The moment so many nanoseconds later; the last moment where that lies beyond
    /// it.
    #[must_use]
    pub fn plus_nanos(self, nanos: i64) -> Self {
        let total = i64::from(self.nanos).saturating_add(nanos.rem_euclid(NANOS_PER_SECOND));
        let seconds = self
            .seconds
            .saturating_add(nanos.div_euclid(NANOS_PER_SECOND))
            .saturating_add(total.div_euclid(NANOS_PER_SECOND));
        u32::try_from(total.rem_euclid(NANOS_PER_SECOND))
            .ok()
            .and_then(|nanos| Self::new(seconds, nanos))
            .unwrap_or(Self::MAX)
    }

    /// Minutes since Monday began, in UTC: 0 to 10,079.
    #[must_use]
    pub fn minute_of_week(self) -> u16 {
        // 1970 began on a Thursday.
        let since_monday = self.seconds.saturating_add(3 * SECONDS_PER_DAY);
        let minute = since_monday.rem_euclid(7 * SECONDS_PER_DAY).div_euclid(60);
        u16::try_from(minute).unwrap_or_default()
    }

    /// The moment so much later; the last moment where that lies beyond it.
    #[must_use]
    pub fn plus(self, time: Duration) -> Self {
        let nanos = self.nanos.saturating_add(time.subsec_nanos());
        let (carry, nanos) = match nanos.checked_sub(NANOS_IN_SECOND) {
            Some(rest) => (1, rest),
            None => (0, nanos),
        };
        let seconds = self.seconds.saturating_add_unsigned(time.as_secs());
        Self::new(seconds.saturating_add(carry), nanos).unwrap_or(Self::MAX)
    }

    /// The moment so much earlier; the first moment where that lies before it.
    #[must_use]
    pub fn minus(self, time: Duration) -> Self {
        let (borrow, nanos) = self.nanos_less(time.subsec_nanos());
        let seconds = self.seconds.saturating_sub_unsigned(time.as_secs());
        Self::new(seconds.saturating_sub(borrow), nanos).unwrap_or(Self::MIN)
    }

    /// The time since an earlier moment; zero since a later one.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        let (borrow, nanos) = self.nanos_less(earlier.nanos);
        let seconds = self.seconds.saturating_sub(earlier.seconds);
        u64::try_from(seconds.saturating_sub(borrow))
            .map_or(Duration::ZERO, |seconds| Duration::new(seconds, nanos))
    }

    /// The time between two moments, whichever is earlier.
    #[must_use]
    pub fn abs_diff(self, other: Self) -> Duration {
        self.since(other).max(other.since(self))
    }

    /// The nanoseconds less so many, and the second that was borrowed.
    fn nanos_less(self, nanos: u32) -> (i64, u32) {
        match self.nanos.checked_sub(nanos) {
            Some(rest) => (0, rest),
            None => {
                let more = self.nanos.saturating_add(NANOS_IN_SECOND);
                (1, more.saturating_sub(nanos))
            }
        }
    }

    /// The moment, or the last whole microsecond before it.
    #[must_use]
    pub fn whole_micros(self) -> Self {
        Self {
            nanos: self.nanos.saturating_sub(self.nanos.wrapping_rem(1_000)),
            ..self
        }
    }

    /// The time by a clock of something that happens after this moment: in whole microseconds,
    /// which every client's type can hold, and later than this moment also if the clock went
    /// back.
    #[must_use]
    pub fn next_micro(self, clock: Self) -> Self {
        let next = self.plus_nanos(1_000).whole_micros();
        clock.whole_micros().max(next)
    }

    /// Whole days since an earlier moment; negative since a later one.
    #[must_use]
    pub const fn days_since(self, earlier: Self) -> i64 {
        // Both lie within a few 10^11 of 0.
        self.seconds
            .saturating_sub(earlier.seconds)
            .div_euclid(SECONDS_PER_DAY)
    }

    /// Whole seconds since 1970 began.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds after the whole second.
    #[must_use]
    pub const fn nanos(self) -> u32 {
        self.nanos
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_nanos_are_inverse_over_the_whole_range() {
        for nanos in [i64::MIN, -1_000_000_001, -1, 0, 1, 1_000_000_001, i64::MAX] {
            let time = Timestamp::from_unix_nanos(nanos);
            assert_eq!(time.unix_nanos(), Some(nanos), "{time:?}");
        }
        assert_eq!(Timestamp::MAX.unix_nanos(), None);
        assert_eq!(Timestamp::MIN.unix_nanos(), None);
    }

    #[test]
    fn times_are_added_and_compared_over_the_whole_range() {
        let second = Duration::from_secs(1);
        let late = Timestamp::MAX.minus(second);
        assert_eq!(late.plus(second), Timestamp::MAX);
        assert_eq!(Timestamp::MAX.plus(second), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.minus(second), Timestamp::MIN);
        assert_eq!(Timestamp::MAX.since(late), second);
        assert_eq!(late.since(Timestamp::MAX), Duration::ZERO);
        let all = Timestamp::MAX.since(Timestamp::MIN);
        assert_eq!(Timestamp::MIN.plus(all), Timestamp::MAX);
        assert_eq!(Timestamp::MAX.minus(all), Timestamp::MIN);
        let half = Duration::from_millis(500);
        let time = Timestamp::new(-1, 700_000_000).unwrap();
        assert_eq!(time.plus(half), Timestamp::new(0, 200_000_000).unwrap());
        assert_eq!(time.plus(half).minus(half), time);
        assert_eq!(time.plus(half).since(time), half);
        assert_eq!(time.abs_diff(time.plus(half)), half);
        assert_eq!(time.plus(half).abs_diff(time), half);
    }

    #[test]
    fn what_follows_is_later_by_a_microsecond_in_any_century() {
        for second in [-1, 0, 1, 9_223_372_036, 9_223_372_037, 253_402_300_798] {
            let last = Timestamp::new(second, 999_999_123).unwrap();
            for clock in [Timestamp::MIN, last] {
                let next = last.next_micro(clock);
                assert_eq!(next, last.plus(Duration::from_nanos(877)));
            }
            let clock = last.plus(Duration::from_millis(5));
            assert_eq!(last.next_micro(clock), clock.whole_micros());
        }
    }

    #[test]
    fn years_outside_of_1_to_9999_are_no_moments() {
        assert_eq!(Timestamp::new(253_402_300_800, 0), None);
        assert_eq!(Timestamp::new(-62_135_596_801, 0), None);
        assert_eq!(Timestamp::new(0, 1_000_000_000), None);
    }
}
