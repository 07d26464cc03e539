//! Times and durations as people type them.
//!
//! A time is RFC 3339 ("2026-12-31T12:00:00Z"), a day, which begins at midnight in UTC
//! ("2026-12-31", "yesterday", "today", "tomorrow"), "now", or a duration: so long ago where
//! an option looks back, so long from now where it looks ahead. A duration has units from ns
//! to w ("90s", "1h30m", "30d").

use std::time::Duration;

use crate::app::card_file::parse_nanos;
use crate::domain::Timestamp;
use crate::rfc3339;
use crate::server::SystemClock;
use crate::store::Clock as _;

const NANOS_PER_SECOND: i128 = 1_000_000_000;
const NANOS_PER_DAY: i128 = 86_400 * NANOS_PER_SECOND;
const NANOS_PER_WEEK: i128 = 7 * NANOS_PER_DAY;
/// The longest that a call may be waited for.
const TIMEOUT_MAX: Duration = Duration::from_secs(86_400);

/// A time that an option gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) time: Timestamp,
    /// Whether the same text means another time later.
    pub(super) relative: bool,
}

/// Which way a duration counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Back,
    Ahead,
    /// It means nothing.
    Neither,
}

/// For options that look back: --since, --until, --as-of.
pub(super) fn past(text: &str) -> Result<Moment, String> {
    moment(text, SystemClock.now(), Direction::Back).ok_or_else(|| {
        "write it like 2026-12-31T12:00:00Z, 2026-12-31, yesterday, or 1h or 30d for so long ago"
            .to_owned()
    })
}

/// For options that look ahead: --expire-time.
pub(super) fn future(text: &str) -> Result<Moment, String> {
    moment(text, SystemClock.now(), Direction::Ahead).ok_or_else(|| {
        "write it like 2026-12-31T12:00:00Z, 2026-12-31, tomorrow, or 1h or 30d from now".to_owned()
    })
}

/// For options that look either way: --price-time.
pub(super) fn either(text: &str) -> Result<Moment, String> {
    moment(text, SystemClock.now(), Direction::Neither).ok_or_else(|| {
        "write it like 2026-12-31T12:00:00Z, 2026-12-31, today or tomorrow".to_owned()
    })
}

fn moment(text: &str, now: Timestamp, direction: Direction) -> Option<Moment> {
    let at = |nanos: i128| {
        Timestamp::new(
            i64::try_from(nanos.div_euclid(NANOS_PER_SECOND)).ok()?,
            u32::try_from(nanos.rem_euclid(NANOS_PER_SECOND)).ok()?,
        )
    };
    let now_exactly = i128::from(now.seconds())
        .checked_mul(NANOS_PER_SECOND)?
        .checked_add(i128::from(now.nanos()))?;
    // Otherwise in whole seconds, since the nanosecond at which a command ran means nothing.
    let now = i128::from(now.seconds()).checked_mul(NANOS_PER_SECOND)?;
    let today = now.div_euclid(NANOS_PER_DAY).checked_mul(NANOS_PER_DAY)?;
    let relative = match text {
        // What was done a moment ago has been by now.
        "now" => Some(now_exactly),
        "today" => Some(today),
        "yesterday" => today.checked_sub(NANOS_PER_DAY),
        "tomorrow" => today.checked_add(NANOS_PER_DAY),
        _ => {
            let long = nanos(text).ok().filter(|nanos| *nanos >= 0);
            match (long, direction) {
                (Some(long), Direction::Back) => now.checked_sub(long),
                (Some(long), Direction::Ahead) => now.checked_add(long),
                (Some(_), Direction::Neither) | (None, _) => None,
            }
        }
    };
    if let Some(nanos) = relative {
        let time = at(nanos)?;
        let relative = true;
        return Some(Moment { time, relative });
    }
    let time = rfc3339::parse(text).or_else(|| rfc3339::parse(&format!("{text}T00:00:00Z")))?;
    Some(Moment {
        time,
        relative: false,
    })
}

/// A duration in nanoseconds; of days and weeks whole ones, before everything else.
pub(super) fn nanos(text: &str) -> Result<i128, String> {
    let wrong = || {
        let text = crate::domain::names::repeated(text);
        format!("\"{text}\" is no duration; write it like 90s, 2m, 1h30m, 1.5s or 30d")
    };
    let mut total = 0_i128;
    let mut rest = text;
    for (unit, length) in [('w', NANOS_PER_WEEK), ('d', NANOS_PER_DAY)] {
        let Some((number, after)) = rest.split_once(unit) else {
            continue;
        };
        // A bare number, without a sign.
        let number: u32 = Some(number)
            .filter(|number| number.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|number| number.parse().ok())
            .ok_or_else(wrong)?;
        total = length
            .checked_mul(i128::from(number))
            .and_then(|part| total.checked_add(part))
            .ok_or_else(wrong)?;
        rest = after;
    }
    if rest.is_empty() && !text.is_empty() {
        return Ok(total);
    }
    let rest_nanos = parse_nanos(rest).map_err(|_| wrong())?;
    // "1d-2h" is nothing that anybody means.
    Some(rest_nanos)
        .filter(|nanos| *nanos >= 0 || total == 0)
        .and_then(|nanos| total.checked_add(nanos))
        .ok_or_else(wrong)
}

/// How long a call may be waited for.
pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    let nanos = nanos(text)?;
    u64::try_from(nanos)
        .ok()
        .map(Duration::from_nanos)
        .filter(|timeout| !timeout.is_zero() && *timeout <= TIMEOUT_MAX)
        .ok_or_else(|| "it must be more than 0 and at most 24h".to_owned())
}

/// A duration as the wire has it.
pub(super) fn duration(text: &str) -> Result<prost_types::Duration, String> {
    to_pb(nanos(text)?).ok_or_else(|| format!("\"{text}\" is longer than can be sent"))
}

/// Nanoseconds as the wire has them, where they fit.
pub(super) fn to_pb(nanos: i128) -> Option<prost_types::Duration> {
    Some(prost_types::Duration {
        seconds: i64::try_from(nanos.checked_div(NANOS_PER_SECOND)?).ok()?,
        nanos: i32::try_from(nanos.checked_rem(NANOS_PER_SECOND)?).ok()?,
    })
}

/// A duration of a reply or an option, "31.5s".
pub(super) fn duration_text(duration: &prost_types::Duration) -> String {
    let sign = if duration.seconds < 0 || duration.nanos < 0 {
        "-"
    } else {
        ""
    };
    let (seconds, nanos) = (
        duration.seconds.unsigned_abs(),
        duration.nanos.unsigned_abs(),
    );
    let text = format!("{sign}{seconds}.{nanos:09}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_mean_them() {
        let now = rfc3339::parse("2026-11-26T18:30:15.5Z").unwrap();
        let read = |text: &str, direction| {
            moment(text, now, direction)
                .map_or_else(|| "-".to_owned(), |found| rfc3339::format(found.time))
        };
        for (text, back, ahead) in [
            (
                "2026-12-31T12:00:00.25Z",
                "2026-12-31T12:00:00.25Z",
                "2026-12-31T12:00:00.25Z",
            ),
            (
                "2026-12-31T12:00:00+01:00",
                "2026-12-31T11:00:00Z",
                "2026-12-31T11:00:00Z",
            ),
            ("2026-12-31", "2026-12-31T00:00:00Z", "2026-12-31T00:00:00Z"),
            ("now", "2026-11-26T18:30:15.5Z", "2026-11-26T18:30:15.5Z"),
            ("today", "2026-11-26T00:00:00Z", "2026-11-26T00:00:00Z"),
            ("yesterday", "2026-11-25T00:00:00Z", "2026-11-25T00:00:00Z"),
            ("tomorrow", "2026-11-27T00:00:00Z", "2026-11-27T00:00:00Z"),
            ("1h", "2026-11-26T17:30:15Z", "2026-11-26T19:30:15Z"),
            ("90m", "2026-11-26T17:00:15Z", "2026-11-26T20:00:15Z"),
            ("30d", "2026-10-27T18:30:15Z", "2026-12-26T18:30:15Z"),
            ("1w2d12h", "2026-11-17T06:30:15Z", "2026-12-06T06:30:15Z"),
            ("-1h", "-", "-"),
            ("30", "-", "-"),
            ("", "-", "-"),
            ("soon", "-", "-"),
            ("2026-13-01", "-", "-"),
            ("2026-02-30", "-", "-"),
            ("2026-12-31T12:00:00", "-", "-"),
            ("31.12.2026", "-", "-"),
            ("4000000000d", "-", "-"),
            ("99999999999999999999d", "-", "-"),
        ] {
            assert_eq!(read(text, Direction::Back), back, "{text} back");
            assert_eq!(read(text, Direction::Ahead), ahead, "{text} ahead");
        }
        assert_eq!(read("1h", Direction::Neither), "-");
        assert_eq!(read("tomorrow", Direction::Neither), "2026-11-27T00:00:00Z");
        // What means another time later must not be repeated as it was typed.
        for (text, relative) in [("tomorrow", true), ("30d", true), ("2026-12-31", false)] {
            let found = moment(text, now, Direction::Ahead).unwrap();
            assert_eq!(found.relative, relative, "{text}");
        }
    }

    #[test]
    fn durations_are_exact() {
        for (text, nanos) in [
            ("90s", Some(90_000_000_000)),
            ("1.5s", Some(1_500_000_000)),
            ("-1.5s", Some(-1_500_000_000)),
            ("1ns", Some(1)),
            ("250ms", Some(250_000_000)),
            ("1d", Some(NANOS_PER_DAY)),
            ("2w", Some(2 * NANOS_PER_WEEK)),
            ("1w1d1s", Some(8 * NANOS_PER_DAY + NANOS_PER_SECOND)),
            ("1d1w", None),
            ("1.5d", None),
            ("-1d", None),
            ("1d-2h", None),
            ("d", None),
            ("", None),
            ("31", None),
        ] {
            assert_eq!(super::nanos(text).ok(), nanos, "{text}");
        }
        for (seconds, nanos, text) in [
            (31, 0, "31s"),
            (100, 0, "100s"),
            (0, 500_000_000, "0.5s"),
            (-1, -500_000_000, "-1.5s"),
            (10, 1, "10.000000001s"),
            (i64::MAX, 0, "9223372036854775807s"),
        ] {
            let long = prost_types::Duration { seconds, nanos };
            assert_eq!(duration_text(&long), text);
            assert_eq!(duration(text), Ok(long));
        }
        assert_eq!(
            duration("9223372036854775808s"),
            Err("\"9223372036854775808s\" is longer than can be sent".to_owned())
        );
        assert!(timeout("0s").is_err() && timeout("-1s").is_err() && timeout("25h").is_err());
        assert_eq!(timeout("5s"), Ok(Duration::from_secs(5)));
    }
}
