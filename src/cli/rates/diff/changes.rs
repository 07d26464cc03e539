//! What changed between two cards, field by field.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::groups::{self, Group};
use crate::cli::failure::Failure;
use crate::store::cards::StoredCard;

/// A field that changed. Without `old` it is new, without `new` it is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Change {
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(f, "{}: {old} -> {new}", self.what),
            (None, Some(new)) => write!(f, "{} added: {new}", self.what),
            (Some(old), None) => write!(f, "{} removed: {old}", self.what),
            (None, None) => f.write_str(&self.what),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct ServiceName {
    service: String,
    title: String,
    rule: String,
}

impl ServiceName {
    fn of(service: &Value) -> Self {
        let text = |field: &str| {
            let text = service.get(field).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        Self {
            service: text("key"),
            title: text("title"),
            rule: text("rule"),
        }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.service, self.title, self.rule)
    }
}

#[derive(Debug, Serialize)]
pub(super) struct ServiceChanges {
    pub(super) service: String,
    pub(super) changes: Vec<Change>,
}

#[derive(Debug)]
pub(super) struct Changes {
    pub(super) card: Vec<Change>,
    pub(super) added: Vec<ServiceName>,
    pub(super) removed: Vec<ServiceName>,
    pub(super) changed: Vec<ServiceChanges>,
}

/// What changed from one card to the other.
pub(super) fn between(old: &StoredCard, new: &StoredCard) -> Result<Changes, Failure> {
    let read = |card: &StoredCard| {
        let value = serde_json::from_str(&card.content);
        value.map_err(|error| format!("revision {}: {error}", card.revision))
    };
    let (old, new): (Value, Value) = (read(old)?, read(new)?);
    let (olds, news) = (services(&old), services(&new));
    let find = |list: &[Value], key: &str| {
        let mut list = list.iter();
        list.find(|service| key_of(service) == key).cloned()
    };
    let mut card = of_groups(&groups::of_card(&old), &groups::of_card(&new));
    let (mut removed, mut changed) = (Vec::new(), Vec::new());
    for service in &olds {
        match find(&news, key_of(service)) {
            None => removed.push(ServiceName::of(service)),
            Some(other) => {
                let (old, new) = (groups::of_service(service), groups::of_service(&other));
                let changes = of_groups(&old, &new);
                if !changes.is_empty() {
                    changed.push(ServiceChanges {
                        service: key_of(service).to_owned(),
                        changes,
                    });
                }
            }
        }
    }
    let added = news
        .iter()
        .filter(|service| find(&olds, key_of(service)).is_none());
    let added = added.map(ServiceName::of).collect();
    let keys = |list: &[Value]| {
        list.iter()
            .map(|s| key_of(s).to_owned())
            .collect::<Vec<_>>()
    };
    card.extend(order("services", &keys(&olds), &keys(&news)));
    Ok(Changes {
        card,
        added,
        removed,
        changed,
    })
}

fn services(card: &Value) -> Vec<Value> {
    let list = card.get("services").and_then(Value::as_array);
    list.cloned().unwrap_or_default()
}

fn key_of(service: &Value) -> &str {
    service
        .get("key")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn of_groups(olds: &[Group], news: &[Group]) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut gone: Vec<&Group> = Vec::new();
    for group in olds {
        match find(news, group) {
            Some(other) => changes.extend(of_group(group, other)),
            None => gone.push(group),
        }
    }
    let mut new_ones: Vec<&Group> = news
        .iter()
        .filter(|group| find(olds, group).is_none())
        .collect();
    // A row whose ranges alone are others is that row.
    gone.retain(|group| {
        let Some((kind, old_ranges)) = &group.ranges else {
            return true;
        };
        let same = |other: &&Group| {
            other
                .ranges
                .as_ref()
                .is_some_and(|(other, _)| other == kind)
        };
        let Some(at) = new_ones.iter().position(same) else {
            return true;
        };
        let other = new_ones.remove(at);
        let new_ranges = other.ranges.as_ref().map_or("", |(_, ranges)| ranges);
        let what = kind
            .rsplit_once(" by ")
            .map_or(kind.as_str(), |(what, _)| what);
        changes.push(Change {
            what: what.to_owned(),
            old: Some(format!("{old_ranges}, {}", summary(group))),
            new: Some(format!("{new_ranges}, {}", summary(other))),
        });
        false
    });
    changes.extend(gone.into_iter().map(|group| Change {
        what: group.name.clone(),
        old: Some(summary(group)),
        new: None,
    }));
    changes.extend(new_ones.into_iter().map(|group| Change {
        what: group.name.clone(),
        old: None,
        new: Some(summary(group)),
    }));
    for list in ["lines", "prices", "factors"] {
        let names = |groups: &[Group]| {
            let of_list = groups.iter().filter(|group| group.list == list);
            of_list.map(|group| group.name.clone()).collect::<Vec<_>>()
        };
        changes.extend(order(list, &names(olds), &names(news)));
    }
    changes
}

/// The group of the same name. Of several, the one at the same place among them.
fn find<'g>(groups: &'g [Group], group: &Group) -> Option<&'g Group> {
    groups.iter().find(|other| other.name == group.name)
}

/// A group's fields in one text.
fn summary(group: &Group) -> String {
    let fields = group
        .fields
        .iter()
        .map(|(field, text)| match field.as_str() {
            "" => text.clone(),
            field => format!("{field} {text}"),
        });
    let fields: Vec<_> = fields.collect();
    match fields.as_slice() {
        [] => "as it is".to_owned(),
        fields => fields.join(", "),
    }
}

fn of_group(old: &Group, new: &Group) -> Vec<Change> {
    let what = |field: &str| match (old.name.as_str(), field) {
        ("", field) => field.to_owned(),
        (name, "") => name.to_owned(),
        (name, field) => format!("{name}: {field}"),
    };
    let mut changes = Vec::new();
    for (field, text) in &old.fields {
        let other = new.fields.get(field);
        if other != Some(text) {
            changes.push(Change {
                what: what(field),
                old: Some(text.clone()),
                new: other.cloned(),
            });
        }
    }
    let added = new
        .fields
        .iter()
        .filter(|(field, _)| !old.fields.contains_key(*field));
    changes.extend(added.map(|(field, text)| Change {
        what: what(field),
        old: None,
        new: Some(text.clone()),
    }));
    changes
}

/// That what is in both lists stands in another order.
fn order(list: &str, old: &[String], new: &[String]) -> Option<Change> {
    let in_both = |names: &[String], others: &[String]| {
        let names = names.iter().filter(|name| others.contains(name));
        names.cloned().collect::<Vec<_>>()
    };
    let is_other = in_both(old, new) != in_both(new, old);
    is_other.then(|| Change {
        what: format!("{list} stand in another order"),
        old: None,
        new: None,
    })
}
