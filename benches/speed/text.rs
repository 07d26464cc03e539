//! Figures as people read them.

use std::time::Duration;

/// Milliseconds with three decimals.
pub fn millis(nanos: u64) -> String {
    format!("{:.3}", Duration::from_nanos(nanos).as_secs_f64() * 1e3)
}

/// Microseconds with one decimal.
pub fn micros(nanos: u64) -> String {
    format!("{:.1}", Duration::from_nanos(nanos).as_secs_f64() * 1e6)
}

/// A whole number with commas.
pub fn thousands(number: impl ToString) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three digits that matter, or all of a larger number.
pub fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => {
            let whole = format!("{:.0}", value.abs());
            let sign = if value < 0.0 { "-" } else { "" };
            format!("{sign}{}", thousands(whole))
        }
        size if size >= 9.995 => format!("{value:.1}"),
        size if size >= 0.9995 => format!("{value:.2}"),
        size if size > 0.0 => format!("{value:.3}"),
        _ => "0".to_owned(),
    }
}
