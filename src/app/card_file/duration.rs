//! Durations as people write them: "90s", "2m", "1h 30m", "1.5s". Exact.

/// Nanoseconds of a duration, or what is wrong with the text.
///
/// # Errors
/// A sentence that shows how to write one.
pub fn parse_nanos(text: &str) -> Result<i128, String> {
    let wrong = || format!("\"{text}\" is no duration; write it like 90s, 2m, 1h30m or 1.5s");
    let has_unit = text.bytes().any(|b| b.is_ascii_alphabetic());
    let duration: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    if has_unit && !text.contains('+') {
        Ok(duration.as_nanos())
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::parse_nanos;

    #[test]
    fn durations_are_exact_and_need_a_unit() {
        for (text, nanos) in [
            ("90s", 90_000_000_000),
            ("2m", 120_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1.5s", 1_500_000_000),
            ("120.000000001s", 120_000_000_001),
            ("1ns", 1),
            ("315576000000s", 315_576_000_000_000_000_000),
            ("-1s", -1_000_000_000),
        ] {
            assert_eq!(parse_nanos(text), Ok(nanos), "{text}");
        }
        for text in ["", "90", "1.0000000001s", "x", "1 fortnight", "1e3s", "+2m"] {
            assert!(parse_nanos(text).is_err(), "{text}");
        }
    }
}
