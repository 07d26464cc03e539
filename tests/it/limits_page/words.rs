//! Numbers and sizes as the page writes them.

/// "9,000,000,000".
pub fn number(value: impl ToString) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// "4 MiB" or "16 KiB".
pub fn size(bytes: u64) -> String {
    let (unit, name) = match bytes.is_multiple_of(1 << 20) {
        true => (1 << 20, "MiB"),
        false => (1 << 10, "KiB"),
    };
    assert!(bytes.is_multiple_of(unit), "{bytes}");
    format!("{} {name}", bytes / unit)
}
