//! Amounts: what is read is what the digits say, and is read again from what is printed.

use creditd::domain::Credits;
use creditd::domain::amount::AmountError;

/// The largest amount, in billionths.
const NANOS_MAX: u128 = 9_000_000_000_000_000_000;

pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let read = Credits::parse(text);
    let expected = nanos(text);
    assert_eq!(
        read.ok().map(|credits| i128::from(credits.nanos())),
        expected,
        "{text:?}: {read:?}"
    );
    let positive = match read {
        Ok(Credits::ZERO) => Err(AmountError::Zero),
        other => other,
    };
    assert_eq!(Credits::parse_positive(text), positive);
    let Ok(credits) = read else {
        return;
    };
    let printed = credits.to_string();
    assert_eq!(Credits::parse(&printed), Ok(credits));
    assert_eq!(credits.write_canonical(&mut [0; 24]), printed);
    assert!(printed.len() <= text.len().max(1), "{text} is {printed}");
    let negated = credits.negated().to_string();
    if credits.is_zero() {
        assert_eq!(negated, "0");
    } else {
        assert_eq!(negated, format!("-{printed}"));
        assert_eq!(Credits::parse(&negated), Err(AmountError::Negative));
    }
}

/// Billionths by the grammar of the contract; None for what is no amount.
fn nanos(text: &str) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 || text.len() > 64 {
        return None;
    }
    let nanos = format!("{}{fraction:0<9}", whole.trim_start_matches('0'));
    // More digits than the largest amount has are more than it.
    let nanos = nanos.get(..nanos.len().min(29))?.parse::<u128>().ok()?;
    (nanos <= NANOS_MAX).then_some(nanos as i128)
}
