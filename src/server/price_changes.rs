//! Says which rate cards came into force, and which are in force no longer.

use std::collections::BTreeMap;

use crate::app::prices::PriceChange;
use crate::app::reload::Change;
use crate::domain::Timestamp;
use crate::domain::pricing::Catalog;
use crate::rfc3339;

/// Each card whose revision is another one.
pub(super) fn changes(PriceChange { before, after }: &PriceChange) -> Vec<Change> {
    let (old, new) = (revisions(before), revisions(after));
    let mut changes = Vec::new();
    let change = |(name, time): &(&str, _), before: &str, after: &str| Change {
        what: card_text(name, *time),
        before: before.to_owned(),
        after: after.to_owned(),
    };
    for (key, revision) in &new {
        let was = old.get(key).copied().unwrap_or_default();
        if was != *revision {
            changes.push(change(key, was, revision));
        }
    }
    for (key, was) in &old {
        if !new.contains_key(key) {
            changes.push(change(key, was, ""));
        }
    }
    if before.default_name() != after.default_name() {
        changes.push(Change {
            what: "default rate card".to_owned(),
            before: before.default_name().to_owned(),
            after: after.default_name().to_owned(),
        });
    }
    changes
}

/// Revisions of the cards in force, by name and the time from which they are.
fn revisions(catalog: &Catalog) -> BTreeMap<(&str, Option<Timestamp>), &str> {
    let periods = catalog.periods().into_iter();
    periods
        .map(|(name, period)| ((name, period.since), &*period.revision))
        .collect()
}

fn card_text(name: &str, time: Option<Timestamp>) -> String {
    match time {
        None => format!("rate card \"{name}\""),
        Some(time) => format!("rate card \"{name}\" from {}", rfc3339::format(time)),
    }
}
