//! Rate cards that are published one by one while servers run: when each is in force, what is
//! refused, and what outlives a restart.

mod schedule;
mod served;
mod start;
mod wire;

use std::sync::Mutex;

use creditd::app::card_file::{LoadedCard, Loading, load_text};
use creditd::domain::Timestamp;
use creditd::rfc3339;
use creditd::store::Clock;

use crate::support::rate_cards::card_text;

/// A clock that a test sets, in minutes after the beginning of 2026.
pub struct Minutes(Mutex<i64>);

impl Minutes {
    pub const fn new() -> Self {
        Self(Mutex::new(0))
    }

    pub fn set(&self, minutes: i64) {
        *self.0.lock().unwrap() = minutes;
    }
}

impl Clock for Minutes {
    fn now(&self) -> Timestamp {
        minute(*self.0.lock().unwrap())
    }
}

/// So many minutes after the beginning of 2026.
pub fn minute(minutes: i64) -> Timestamp {
    let begin = rfc3339::parse("2026-01-01T00:00:00Z").unwrap();
    begin.plus_nanos(minutes * 60_000_000_000)
}

/// The text of a card of one service by the piece.
pub fn text(name: &str, credits: &str, effective_time: Option<&str>) -> String {
    let text = card_text(name, credits);
    match effective_time {
        None => text,
        Some(time) => text.replace("\n\n", &format!("\neffective_time = {time}\n\n")),
    }
}

/// The card of a text, as it is published.
pub fn card(name: &str, credits: &str, effective_time: Option<i64>) -> LoadedCard {
    let time = effective_time.map(|time| rfc3339::format(minute(time)));
    load_text(&text(name, credits, time.as_deref()), &Loading::ALONE).unwrap()
}
