//! Times as people and files write them: RFC 3339, in UTC, exact.

use crate::domain::Timestamp;

/// "2026-11-22T12:00:00Z", with as many decimals as it takes.
#[must_use]
pub fn format(time: Timestamp) -> String {
    let nanos = i32::try_from(time.nanos()).unwrap_or_default();
    jiff::Timestamp::new(time.seconds(), nanos)
        .map_or_else(|_| format!("{}s", time.seconds()), |t| t.to_string())
}

/// Reads a time with its offset; None for any other text.
#[must_use]
pub fn parse(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    let nanos = time.as_nanosecond();
    let second = 1_000_000_000;
    Timestamp::new(
        i64::try_from(nanos.div_euclid(second)).ok()?,
        u32::try_from(nanos.rem_euclid(second)).ok()?,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_and_parse_are_inverse() {
        for text in [
            "2026-11-22T12:00:00Z",
            "0001-01-01T00:00:00Z",
            "1969-12-31T23:59:59.999999999Z",
            "9999-12-30T22:00:00.5Z",
        ] {
            assert_eq!(format(parse(text).unwrap()), text);
        }
        assert_eq!(
            parse("2026-11-22T13:00:00+01:00"),
            parse("2026-11-22T12:00:00Z")
        );
        assert_eq!(parse("2026-11-22"), None);
    }

    #[test]
    fn the_whole_range_of_protobuf_can_be_written() {
        assert_eq!(format(Timestamp::MIN), "0001-01-01T00:00:00Z");
        let last = format(Timestamp::MAX);
        assert!(
            last.starts_with("9999-12-3") || last.ends_with('s'),
            "{last}"
        );
    }
}
