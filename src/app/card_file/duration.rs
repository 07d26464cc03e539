//! Durations as people write them: "90s", "2m", "1h30m", "1.5s". They are exact. The grammar is
//! our own, since the usual parsers take "1,000s" for one second.

/// Units and their nanoseconds. A unit comes after those that begin with it, such as "m" after
/// "ms": the first one that fits is taken.
const UNITS: [(&str, i128); 6] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];
/// Longest text that is read as a duration.
const TEXT_BYTES_MAX: usize = 64;

/// Nanoseconds of a duration, or what is wrong with the text.
///
/// # Errors
/// A sentence that shows how to write one.
pub fn parse_nanos(text: &str) -> Result<i128, String> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    sum(unsigned)
        .and_then(|nanos| nanos.checked_mul(sign))
        .filter(|_| text.len() <= TEXT_BYTES_MAX)
        .ok_or_else(|| {
            let text = crate::domain::names::repeated(text);
            format!("\"{text}\" is no duration; write it like 90s, 2m, 1h30m or 1.5s")
        })
}

/// One or more numbers, each with its unit.
fn sum(text: &str) -> Option<i128> {
    let mut total = 0_i128;
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at_checked(digits)?;
        let (unit, nanos) = UNITS.iter().find(|(unit, _)| after.starts_with(unit))?;
        total = total.checked_add(times(number, *nanos)?)?;
        rest = after.strip_prefix(unit)?;
    }
    Some(total)
}

/// A decimal number times a unit, where that is a whole number of nanoseconds.
fn times(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = match number.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction),
        None => (number, ""),
    };
    if whole.is_empty() || fraction.contains('.') {
        return None;
    }
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let product = digits.checked_mul(unit)?;
    (product.checked_rem(scale)? == 0).then(|| product.checked_div(scale))?
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
            ("0.5h", 1_800_000_000_000),
            ("250ms", 250_000_000),
            ("1m0.000000001s", 60_000_000_001),
            ("120.000000001s", 120_000_000_001),
            ("1us", 1_000),
            ("1ns", 1),
            ("0s", 0),
            ("315576000000s", 315_576_000_000_000_000_000),
            ("-1s", -1_000_000_000),
        ] {
            assert_eq!(parse_nanos(text), Ok(nanos), "{text}");
        }
        let long = format!("{}s", "1".repeat(70));
        for text in [
            "",
            "-",
            "90",
            "s",
            "1.0000000001s",
            "0.5ns",
            "x",
            "1 fortnight",
            "1e3s",
            "+2m",
            "1,000s",
            "1_000s",
            "PT90S",
            "1 hour",
            "1h 30m",
            "5s ago",
            ".5s",
            "1.s",
            "1..5s",
            "--1s",
            "1d",
            &long,
        ] {
            assert!(parse_nanos(text).is_err(), "{text}");
        }
    }
}
