//! Times as people and files write them: RFC 3339, in UTC, exact, over the whole
//! range of protobuf's Timestamp (people write "never" as the end of 9999).

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::domain::Timestamp;

const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// "2026-11-22T12:00:00Z", with as many decimals as it takes.
#[must_use]
pub fn format(time: Timestamp) -> String {
    let nanos = i128::from(time.seconds())
        .saturating_mul(NANOS_PER_SECOND)
        .saturating_add(i128::from(time.nanos()));
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        // Every Timestamp lies in the years that can be written.
        .unwrap_or_default()
}

/// The same with nine decimals: texts of one width, in order of time.
#[must_use]
pub fn format_nanos(time: Timestamp) -> String {
    let second = Timestamp::new(time.seconds(), 0).unwrap_or(time);
    let mut text = format(second);
    text.truncate(text.len().saturating_sub(1));
    format!("{text}.{:09}Z", time.nanos())
}

/// Reads a time with its offset; None for any other text, and for more decimals
/// than nanoseconds have.
#[must_use]
pub fn parse(text: &str) -> Option<Timestamp> {
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    let decimals = fraction.bytes().take_while(u8::is_ascii_digit).count();
    let nanos = OffsetDateTime::parse(text, &Rfc3339)
        .ok()?
        .unix_timestamp_nanos();
    Timestamp::new(
        i64::try_from(nanos.div_euclid(NANOS_PER_SECOND)).ok()?,
        u32::try_from(nanos.rem_euclid(NANOS_PER_SECOND)).ok()?,
    )
    .filter(|_| decimals <= 9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_and_parse_are_inverse_over_the_whole_range() {
        for text in [
            "2026-11-22T12:00:00Z",
            "0001-01-01T00:00:00Z",
            "1969-12-31T23:59:59.999999999Z",
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59.999999999Z",
            "2000-02-29T00:00:00.5Z",
        ] {
            assert_eq!(format(parse(text).unwrap()), text);
        }
        for time in [Timestamp::MIN, Timestamp::MAX] {
            assert_eq!(parse(&format(time)), Some(time));
        }
    }

    #[test]
    fn texts_of_one_width_are_in_order_of_time() {
        for (text, wide) in [
            ("2026-11-22T12:00:00Z", "2026-11-22T12:00:00.000000000Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000000Z"),
            ("9999-12-31T23:59:59.5Z", "9999-12-31T23:59:59.500000000Z"),
        ] {
            assert_eq!(format_nanos(parse(text).unwrap()), wide);
            assert_eq!(parse(wide), parse(text));
        }
    }

    #[test]
    fn only_moments_are_read() {
        assert_eq!(
            parse("2026-11-22T13:00:00+01:00"),
            parse("2026-11-22T12:00:00Z")
        );
        for text in [
            "",
            "2026-11-22",
            "2026-11-22T12:00:00",
            "2026-02-30T00:00:00Z",
            "2026-11-22T12:00:00.0000000001Z",
            "0000-01-01T00:00:00Z",
            "tomorrow",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
