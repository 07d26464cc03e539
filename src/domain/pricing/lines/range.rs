//! Ranges of numbers in words: "from 200000", "above 30 up to 60", "5s".

use std::fmt;

use super::ratio::Ratio;

/// The end of a range, and whether it belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct End {
    /// The number.
    pub at: Ratio,
    /// Whether it belongs to the range.
    pub included: bool,
}

/// Numbers between two ends; one that is missing is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// "from" or "above".
    pub low: Option<End>,
    /// "up to" or "below".
    pub high: Option<End>,
    /// As it is written: "above 30s", with the numbers as the card says them.
    words: Box<str>,
}

impl Range {
    /// Reads a range; `number` reads a number of it.
    ///
    /// # Errors
    /// What is wrong with a number.
    pub fn parse<E>(text: &str, number: impl Fn(&str) -> Result<Ratio, E>) -> Result<Self, E> {
        let mut range = Self {
            low: None,
            high: None,
            words: "".into(),
        };
        let text = text.trim();
        let (low, high) = split(text);
        for (words, included, is_low) in [
            ("from ", true, true),
            ("above ", false, true),
            ("up to ", true, false),
            ("below ", false, false),
        ] {
            let part = if is_low { low } else { high };
            if let Some(rest) = part.and_then(|part| part.strip_prefix(words)) {
                let at = number(rest.trim())?;
                let end = Some(End { at, included });
                match is_low {
                    true => range.low = end,
                    false => range.high = end,
                }
            }
        }
        if low.is_none() && high.is_none() {
            let at = number(text)?;
            let end = Some(End { at, included: true });
            (range.low, range.high) = (end, end);
        }
        range.words = text.into();
        Ok(range)
    }

    /// Whether it is one number.
    #[must_use]
    pub fn as_number(&self) -> Option<Ratio> {
        match (self.low, self.high) {
            (Some(low), Some(high)) if low == high && low.included => Some(low.at),
            _ => None,
        }
    }

    /// Both ends, by which ranges are put in order.
    #[must_use]
    pub const fn ends(&self) -> (Option<End>, Option<End>) {
        (self.low, self.high)
    }

    /// The first and the last whole multiple of a grain that belong to it.
    #[must_use]
    pub fn grains(&self, grain: Ratio) -> Option<(i128, i128)> {
        let first = match self.low {
            None => i128::MIN,
            Some(End { at, included }) => {
                let at = at.over(grain)?;
                match included {
                    true => at.ceil(),
                    false => at.floor().checked_add(1)?,
                }
            }
        };
        let last = match self.high {
            None => i128::MAX,
            Some(End { at, included }) => {
                let at = at.over(grain)?;
                match included {
                    true => at.floor(),
                    false => at.ceil().checked_sub(1)?,
                }
            }
        };
        Some((first, last))
    }

    /// In words, with each number as `number` writes it.
    pub fn words(&self, number: impl Fn(Ratio) -> String) -> String {
        if let Some(at) = self.as_number() {
            return number(at);
        }
        let part = |end: Option<End>, included: &str, excluded: &str| {
            end.map(|end| {
                let word = if end.included { included } else { excluded };
                format!("{word} {}", number(end.at))
            })
        };
        let low = part(self.low, "from", "above");
        let high = part(self.high, "up to", "below");
        let parts: Vec<_> = low.into_iter().chain(high).collect();
        parts.join(" ")
    }
}

/// As the card says it.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

/// The part of the lower end and that of the upper one.
fn split(text: &str) -> (Option<&str>, Option<&str>) {
    let begins = |text: &str, words: [&str; 2]| words.iter().any(|word| text.starts_with(word));
    if begins(text, ["up to ", "below "]) {
        return (None, Some(text));
    }
    if !begins(text, ["from ", "above "]) {
        return (None, None);
    }
    let second = ["up to ", "below "]
        .iter()
        .filter_map(|word| text.find(&format!(" {word}")))
        .min();
    match second.and_then(|at| text.split_at_checked(at)) {
        Some((low, high)) => (Some(low), Some(high.trim_start())),
        None => (Some(text), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_exact() {
        let read = |text: &str| Range::parse(text, |number| Ratio::parse(number).ok_or(()));
        for (text, grains) in [
            ("5", Some((5, 5))),
            ("from 5", Some((5, i128::MAX))),
            ("above 5", Some((6, i128::MAX))),
            ("up to 60", Some((i128::MIN, 60))),
            ("below 60", Some((i128::MIN, 59))),
            ("above 30 up to 60", Some((31, 60))),
            ("from 2.5 below 3.5", Some((3, 3))),
            ("above 2.5", Some((3, i128::MAX))),
            ("up to 2.5", Some((i128::MIN, 2))),
            ("over 5", None),
            ("from", None),
            ("from 5 to 6", None),
            ("up to 6 from 5", None),
            (">= 5", None),
            ("", None),
        ] {
            let range = read(text).ok().and_then(|range| range.grains(Ratio::ONE));
            assert_eq!(range, grains, "{text}");
        }
        let range = read("above 30 up to 60").unwrap();
        assert_eq!(
            range.words(|number| format!("{number}s")),
            "above 30s up to 60s"
        );
    }
}
