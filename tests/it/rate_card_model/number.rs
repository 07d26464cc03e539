//! Numbers: decimals and durations as texts, exact fractions, and rounding.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Zero};

/// An exact number.
pub type Number = BigRational;

/// Units of a duration, in billionths of a second. Of two that fit, the longer comes first.
const UNITS: [(&str, i64); 7] = [
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("ns", 1),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
];

/// A whole number.
pub fn whole(value: i64) -> Number {
    Number::from_integer(value.into())
}

/// Reads a decimal number: digits, and at most one point with digits on both sides. Also says
/// how many decimals are written.
pub fn decimal(text: &str) -> Option<(Number, u32)> {
    let (before, after) = match text.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (text, ""),
    };
    let digits = format!("{before}{after}");
    if before.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let denominator = format!("1{}", "0".repeat(after.len()));
    let number = Number::new(digits.parse().ok()?, denominator.parse().ok()?);
    Some((number, u32::try_from(after.len()).ok()?))
}

/// Reads a duration in seconds: decimal numbers with their units, such as "90s" or "1h30m".
pub fn duration(text: &str) -> Option<Number> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(end);
    let (unit, billionths) = UNITS.into_iter().find(|(unit, _)| rest.starts_with(unit))?;
    let seconds = decimal(number)?.0 * whole(billionths) / whole(1_000_000_000);
    match rest.strip_prefix(unit)? {
        "" => Some(seconds),
        rest => Some(seconds + duration(rest)?),
    }
}

/// Reads a number of a card: a decimal number, or a duration in seconds.
pub fn number(text: &str) -> Number {
    let decimal = decimal(text).map(|(number, _)| number);
    decimal
        .or_else(|| duration(text))
        .unwrap_or_else(|| panic!("{text:?} is no number and no duration"))
}

/// Writes a number of at most 9 decimals without trailing zeros.
pub fn plain(value: &Number) -> String {
    let billionths = value * whole(1_000_000_000);
    assert!(billionths.is_integer(), "{value} has more than 9 decimals");
    let sign = if value < &Number::zero() { "-" } else { "" };
    let digits = format!("{:0>10}", billionths.to_integer().magnitude());
    let (before, after) = digits.split_at(digits.len() - 9);
    let text = format!("{sign}{before}.{after}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The multiple of `step` that a number of at least 0 is rounded to.
pub fn to_multiple(value: &Number, step: &Number, rounding: &str) -> Number {
    let steps = value / step;
    let full = steps.floor();
    let rest = &steps - &full;
    let half = Number::new(1.into(), 2.into());
    let is_odd = !(&full / whole(2)).is_integer();
    let rises = match rounding {
        "up" => rest > Number::zero(),
        "down" => false,
        "half_up" => rest >= half,
        "half_even" => rest > half || (rest == half && is_odd),
        "next" => true,
        _ => panic!("{rounding:?} is no rounding"),
    };
    let steps = if rises { full + Number::one() } else { full };
    steps * step
}

/// Rounds to so many decimals. A number that has no more of them needs no rounding.
pub fn to_decimals(value: &Number, decimals: u32, rounding: Option<&str>) -> Number {
    let step = Number::new(1.into(), BigInt::from(10).pow(decimals));
    if (value / &step).is_integer() {
        return value.clone();
    }
    let rounding = rounding.expect("a card says how a figure with more decimals is rounded");
    to_multiple(value, &step, rounding)
}
