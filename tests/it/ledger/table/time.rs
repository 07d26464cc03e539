//! Times in tables: `+1h` from the last call, `g1 ends`, `h1 ends -1us`, `e1`,
//! `2026-01-02T00:00:00Z`.

use std::collections::BTreeMap;

use super::super::time::{HOUR, MICROSECOND, MILLISECOND, Nanos, SECOND};

/// A thing that a line named.
#[derive(Clone, Debug)]
pub struct Named {
    pub id: String,
    /// When it was made.
    pub time: Option<Nanos>,
    /// When it ends.
    pub ends: Option<Nanos>,
}

/// Reads a time from words, as many as are about it; how many those are.
pub fn read(words: &[String], names: &BTreeMap<String, Named>, now: Nanos) -> (Nanos, usize) {
    let first = words[0].as_str();
    if first.starts_with(['+', '-']) {
        return (now + length(first), 1);
    }
    let (mut time, mut used) = if let Some(named) = names.get(first) {
        if words.get(1).is_some_and(|word| word == "ends") {
            let ends = named.ends;
            (ends.unwrap_or_else(|| panic!("{first} does not end")), 2)
        } else {
            let time = named.time;
            (time.unwrap_or_else(|| panic!("{first} has no time")), 1)
        }
    } else {
        let time = creditd::rfc3339::parse(first).unwrap_or_else(|| panic!("no time: {first}"));
        (
            Nanos::from(time.seconds()) * SECOND + Nanos::from(time.nanos()),
            1,
        )
    };
    if let Some(word) = words.get(used)
        && word.starts_with(['+', '-'])
    {
        time += length(word);
        used += 1;
    }
    (time, used)
}

/// "+1h30m", "-1us", "24h", "0s".
pub fn length(text: &str) -> Nanos {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.trim_start_matches('+')),
    };
    let mut total = 0;
    assert!(!rest.is_empty(), "no length: {text}");
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).expect("a unit");
        let number: Nanos = rest[..digits].parse().expect("digits");
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit());
        let unit = &rest[..end.unwrap_or(rest.len())];
        rest = &rest[unit.len()..];
        total += number
            * match unit {
                "ns" => 1,
                "us" => MICROSECOND,
                "ms" => MILLISECOND,
                "s" => SECOND,
                "m" => 60 * SECOND,
                "h" => HOUR,
                "d" => 24 * HOUR,
                _ => panic!("no unit of time: {text}"),
            };
    }
    sign * total
}
