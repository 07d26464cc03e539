//! Attributes that the clock decides: windows of the week, in UTC.

use crate::domain::time::Timestamp;

/// Minutes of a day and of a week.
const DAY_MINUTES: u16 = 1_440;
const WEEK_MINUTES: u16 = 7 * DAY_MINUTES;
/// Days as cards write them; weeks begin with Monday.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// On some days of the week, from one minute until another. One that ends at or before its
/// begin ends on the next day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// By day, Monday first.
    days: [bool; 7],
    from: u16,
    until: u16,
}

impl Window {
    /// Reads "16:30-00:30" or "sat,sun 00:00-24:00".
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (days, times) = match text.split_once(' ') {
            Some((days, times)) => (Some(days), times),
            None => (None, text),
        };
        let mut window = Self {
            days: [days.is_none(); 7],
            from: 0,
            until: 0,
        };
        for day in days.into_iter().flat_map(|days| days.split(',')) {
            let at = DAYS.iter().position(|known| *known == day)?;
            let place = window.days.get_mut(at)?;
            if *place {
                return None;
            }
            *place = true;
        }
        let (from, until) = times.split_once('-')?;
        window.from = minute(from).filter(|from| *from < DAY_MINUTES)?;
        window.until = minute(until)?;
        (window.from != window.until).then_some(window)
    }

    /// The same in its one spelling.
    #[must_use]
    pub fn words(&self) -> String {
        let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        let times = format!("{}-{}", time(self.from), time(self.until));
        let days = DAYS.iter().zip(self.days);
        let days: Vec<&str> = days.filter_map(|(day, on)| on.then_some(*day)).collect();
        match days.len() == DAYS.len() {
            true => times,
            false => format!("{} {times}", days.join(",")),
        }
    }

    /// The minutes of the week that it covers.
    fn minutes(&self) -> impl Iterator<Item = usize> {
        let length = match self.until.checked_sub(self.from) {
            Some(length) if length > 0 => length,
            _ => DAY_MINUTES
                .saturating_sub(self.from)
                .saturating_add(self.until),
        };
        let from = self.from;
        let days = self.days.into_iter().zip(0_u16..);
        days.filter(|(on, _)| *on).flat_map(move |(_, day)| {
            let begin = day.saturating_mul(DAY_MINUTES).saturating_add(from);
            (0..length).map(move |minute| usize::from(begin.saturating_add(minute) % WEEK_MINUTES))
        })
    }
}

/// "16:30" as a minute of the day; "24:00" is its end.
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let two_digits = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    if !two_digits(hour) || !two_digits(minute) {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    let whole = hour.checked_mul(60)?.checked_add(minute)?;
    (minute < 60 && whole <= DAY_MINUTES).then_some(whole)
}

/// When an attribute has which value; at all other times it has its default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hours {
    /// The windows of values, as the card says them.
    pub windows: Vec<(Box<str>, Vec<Window>)>,
    /// From which minute of the week on which value holds, by its position among the values.
    changes: Box<[(u16, u16)]>,
}

/// Two values have windows that overlap, the value of both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap(pub Box<str>, pub Box<str>);

impl Hours {
    /// The windows of these values; elsewhere the default holds, by its position.
    ///
    /// # Errors
    /// An [`Overlap`].
    pub fn new(
        values: &[Box<str>],
        default: u16,
        windows: Vec<(Box<str>, Vec<Window>)>,
    ) -> Result<Self, Overlap> {
        let mut week = vec![default; usize::from(WEEK_MINUTES)];
        for (word, of_value) in &windows {
            let at = values.iter().position(|value| value == word);
            let at = at.and_then(|at| u16::try_from(at).ok()).unwrap_or(default);
            for minute in of_value.iter().flat_map(Window::minutes) {
                let Some(place) = week.get_mut(minute) else {
                    continue;
                };
                if *place != default && *place != at {
                    let other = values.get(usize::from(*place)).cloned();
                    return Err(Overlap(other.unwrap_or_default(), word.clone()));
                }
                *place = at;
            }
        }
        let mut changes: Vec<(u16, u16)> = Vec::new();
        for (minute, value) in (0_u16..).zip(week) {
            if changes.last().is_none_or(|(_, before)| *before != value) {
                changes.push((minute, value));
            }
        }
        Ok(Self {
            windows,
            changes: changes.into(),
        })
    }

    /// The position of the value that holds then.
    #[must_use]
    pub fn value(&self, time: Timestamp) -> usize {
        let minute = time.minute_of_week();
        let after = self.changes.partition_point(|(from, _)| *from <= minute);
        let change = after.checked_sub(1).and_then(|at| self.changes.get(at));
        change.map_or(0, |(_, value)| usize::from(*value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rfc3339;

    fn hours(windows: &[(&str, &[&str])]) -> Result<Hours, Overlap> {
        let values = ["peak", "off_peak", "night"].map(Box::from);
        let windows = windows.iter().map(|(value, texts)| {
            let texts = texts.iter().map(|text| Window::parse(text).unwrap());
            (Box::from(*value), texts.collect())
        });
        Hours::new(&values, 0, windows.collect())
    }

    #[test]
    fn a_moment_has_the_value_of_its_window() {
        let hours = hours(&[
            ("off_peak", &["16:30-00:30", "sat,sun 06:00-16:00"]),
            ("night", &["fri 02:00-03:00"]),
        ]);
        let hours = hours.unwrap();
        // 2026-11-27 is a Friday.
        for (time, value) in [
            ("2026-11-27T16:29:59.999999999Z", 0),
            ("2026-11-27T16:30:00Z", 1),
            ("2026-11-27T23:59:59Z", 1),
            ("2026-11-28T00:29:59Z", 1),
            ("2026-11-28T00:30:00Z", 0),
            ("2026-11-27T02:00:00Z", 2),
            ("2026-11-27T03:00:00Z", 0),
            ("2026-11-26T02:00:00Z", 0),
            ("2026-11-28T06:00:00Z", 1),
            ("2026-11-29T15:59:00Z", 1),
            ("2026-11-30T00:10:00Z", 1),
            ("2026-11-30T06:00:00Z", 0),
            ("0001-01-01T16:45:00Z", 1),
            ("9999-12-31T00:00:00Z", 1),
        ] {
            assert_eq!(hours.value(rfc3339::parse(time).unwrap()), value, "{time}");
        }
    }

    #[test]
    fn windows_of_two_values_do_not_overlap() {
        let overlap = hours(&[("off_peak", &["22:00-02:00"]), ("night", &["01:59-03:00"])]);
        assert_eq!(overlap, Err(Overlap("off_peak".into(), "night".into())));
        hours(&[("off_peak", &["22:00-02:00"]), ("night", &["02:00-03:00"])]).unwrap();
        // The last hours of Sunday go on into Monday.
        let overlap = hours(&[
            ("off_peak", &["sun 23:00-01:00"]),
            ("night", &["mon 00:00-00:30"]),
        ]);
        assert_eq!(overlap, Err(Overlap("off_peak".into(), "night".into())));
    }

    #[test]
    fn a_window_has_one_spelling() {
        for (text, words) in [
            ("16:30-00:30", "16:30-00:30"),
            ("sun,sat 00:00-24:00", "sat,sun 00:00-24:00"),
            ("mon,tue,wed,thu,fri,sat,sun 01:00-02:00", "01:00-02:00"),
        ] {
            assert_eq!(Window::parse(text).unwrap().words(), words);
        }
        for text in [
            "",
            "16:30",
            "16:30-",
            "16:30-16:30",
            "24:00-01:00",
            "16:60-17:00",
            "1:00-2:00",
            "16:30-25:00",
            "sat, sun 00:00-24:00",
            "sat,sat 00:00-24:00",
            "Sat 00:00-24:00",
            "16:30–00:30",
            "sat  00:00-24:00",
            " 00:00-24:00",
            "+1:00-02:00",
        ] {
            assert_eq!(Window::parse(text), None, "{text}");
        }
    }
}
