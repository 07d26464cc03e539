//! The JSON texts in rows: labels, usages, shares, settings and the states of accounts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::times::At;
use crate::domain::ledger::{
    Account, AccountSettings, AccountUpdate, EntryId, GrantId, GrantShare, HoldId, LastIds,
};
use crate::domain::names::check_pairs;
use crate::domain::pricing::{Given, Pairs, UsageRecord};
use crate::domain::{Credits, Labels, Timestamp};

pub(super) fn labels_to_json(labels: &Labels) -> Option<String> {
    if labels.iter().len() == 0 {
        return None;
    }
    let pairs = labels.iter().map(|(k, v)| (k.to_owned(), v.into()));
    Some(Value::Object(pairs.collect::<Map<_, _>>()).to_string())
}

pub(super) fn labels_from_json(text: Option<&str>) -> Option<Labels> {
    let Some(text) = text else {
        return Some(Labels::default());
    };
    let map: BTreeMap<String, String> = serde_json::from_str(text).ok()?;
    Labels::new(map.iter()).ok()
}

/// Attributes that came from the account or the clock; None where there are none.
pub(super) fn values_to_json(values: &Pairs) -> Option<String> {
    if values.is_empty() {
        return None;
    }
    // Serialising texts cannot fail.
    serde_json::to_string(values).ok()
}

pub(super) fn values_from_json(text: &str) -> Option<Pairs> {
    let values: Pairs = serde_json::from_str(text).ok()?;
    check_pairs(values.iter()).ok()?;
    Some(values)
}

/// The stored form of an account's settings.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SettingsText {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate_card: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    attributes: Pairs,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
}

impl SettingsText {
    pub(super) fn of(settings: &AccountSettings) -> Self {
        let labels = settings.labels.iter();
        Self {
            rate_card: settings.rate_card.clone(),
            attributes: settings.attributes.clone(),
            labels: labels.map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
        }
    }

    pub(super) fn rate_card(&self) -> &str {
        self.rate_card.as_deref().unwrap_or_default()
    }

    pub(super) const fn attributes(&self) -> &Pairs {
        &self.attributes
    }

    pub(super) fn settings(&self) -> Option<AccountSettings> {
        check_pairs(self.attributes.iter()).ok()?;
        let is_named = self.rate_card.as_deref() != Some("");
        is_named.then_some(AccountSettings {
            rate_card: self.rate_card.clone(),
            attributes: self.attributes.clone(),
            labels: Labels::new(self.labels.iter()).ok()?,
        })
    }
}

/// The stored form of an update: the account after it, as far as it stands in no other column.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UpdateText {
    settings: SettingsText,
    create_time: At,
    held: i64,
}

pub(super) fn update_to_json(update: &AccountUpdate) -> Option<String> {
    let text = UpdateText {
        settings: SettingsText::of(&update.settings),
        create_time: At(update.create_time),
        held: update.held.nanos(),
    };
    // Serialising texts and numbers cannot fail.
    serde_json::to_string(&text).ok()
}

pub(super) fn update_from_json(text: &str) -> Option<AccountUpdate> {
    let text: UpdateText = serde_json::from_str(text).ok()?;
    Some(AccountUpdate {
        settings: text.settings.settings()?,
        create_time: text.create_time.0,
        held: Credits::from_nanos(text.held).ok()?,
    })
}

/// The stored form of a usage. Durations are nanoseconds in a string, since they can exceed
/// JSON numbers.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UsageText {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    duration_nanos: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    count: Option<i64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    meters: BTreeMap<String, String>,
}

pub(super) fn usage_to_json(usage: &UsageRecord) -> String {
    let mut text = String::new();
    write_usage(usage, &mut text);
    text
}

/// Appends a usage as JSON.
pub(super) fn write_usage(usage: &UsageRecord, out: &mut String) {
    if usage.attributes.is_empty() && usage.meters.is_empty() {
        // The same bytes as serde writes, without its cost.
        let mut number = itoa::Buffer::new();
        match usage.quantity {
            Given::Duration(nanos) => {
                return out.extend(["{\"duration_nanos\":\"", number.format(nanos), "\"}"]);
            }
            Given::Count(count) => {
                return out.extend(["{\"count\":", number.format(count), "}"]);
            }
            Given::Nothing => return out.push_str("{}"),
            Given::NoDuration { .. } => {}
        }
    }
    let text = UsageText {
        duration_nanos: match usage.quantity {
            Given::Duration(nanos) => Some(nanos.to_string()),
            _ => None,
        },
        count: match usage.quantity {
            Given::Count(count) => Some(count),
            _ => None,
        },
        attributes: usage.attributes.clone(),
        meters: usage.meters.clone(),
    };
    out.push_str(&serde_json::to_string(&text).unwrap_or_default());
}

pub(super) fn usage_from_json(text: &str) -> Option<Arc<UsageRecord>> {
    let text: UsageText = serde_json::from_str(text).ok()?;
    let quantity = match (text.duration_nanos, text.count) {
        (Some(nanos), None) => Given::Duration(nanos.parse().ok()?),
        (None, Some(count)) => Given::Count(count),
        (None, None) => Given::Nothing,
        (Some(_), Some(_)) => return None,
    };
    Some(Arc::new(UsageRecord {
        quantity,
        attributes: text.attributes,
        meters: text.meters,
    }))
}

pub(super) fn shares_to_json(shares: &[GrantShare]) -> String {
    let mut text = String::with_capacity(shares.len().saturating_mul(32).saturating_add(2));
    write_shares(shares, &mut text);
    text
}

/// Appends shares as JSON.
pub(super) fn write_shares(shares: &[GrantShare], text: &mut String) {
    let mut number = itoa::Buffer::new();
    text.push('[');
    for (position, share) in shares.iter().enumerate() {
        text.push_str(if position == 0 { "[" } else { ",[" });
        text.push_str(number.format(share.grant.0));
        text.push(',');
        text.push_str(number.format(share.credits.nanos()));
        text.push(',');
        text.push_str(number.format(share.held.nanos()));
        text.push(']');
    }
    text.push(']');
}

pub(super) fn shares_from_json(text: &str) -> Option<Vec<GrantShare>> {
    let rows: Vec<(i64, i64, i64)> = serde_json::from_str(text).ok()?;
    rows.into_iter()
        .map(|(grant, credits, held)| {
            Some(GrantShare {
                grant: GrantId(grant),
                credits: Credits::from_nanos(credits).ok()?,
                held: Credits::from_nanos(held).ok()?,
            })
        })
        .collect()
}

/// The stored state of an account. The terms of its grants are in the table `grants`, those of
/// its holds in the entries that made them.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StateText {
    /// The ids of the newest entry, grant and hold.
    last: (i64, i64, i64),
    /// When the account was opened. States of version 3 do not have it: then it was opened by
    /// its first grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    create_time: Option<At>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) settings: Option<SettingsText>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) grants: Vec<GrantText>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) holds: Vec<HoldText>,
}

impl StateText {
    /// The state of an account with these grants and holds.
    pub(super) fn of(account: &Account, grants: Vec<GrantText>, holds: Vec<HoldText>) -> Self {
        let last = account.last();
        Self {
            last: (last.entry.0, last.grant.0, last.hold.0),
            create_time: account.create_time().map(At),
            settings: account.settings().map(|s| SettingsText::of(s)),
            grants,
            holds,
        }
    }

    /// The same as version 3 wrote it; None where it could not.
    pub(super) fn into_version_3(self) -> Option<Self> {
        self.settings.is_none().then_some(Self {
            create_time: None,
            ..self
        })
    }

    /// Removes labels of the account.
    pub(super) fn remove_labels(&mut self, keys: &BTreeSet<Box<str>>) {
        if let Some(settings) = &mut self.settings {
            settings.labels.retain(|key, _| !keys.contains(&**key));
            if *settings == SettingsText::default() {
                self.settings = None;
            }
        }
    }

    /// When the account was opened, if it says.
    pub(super) fn create_time(&self) -> Option<Timestamp> {
        self.create_time.map(|At(time)| time)
    }

    pub(super) const fn last(&self) -> LastIds {
        let (entry, grant, hold) = self.last;
        LastIds {
            entry: EntryId(entry),
            grant: GrantId(grant),
            hold: HoldId(hold),
        }
    }
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantText {
    pub(super) id: i64,
    pub(super) remaining: i64,
    pub(super) held: i64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) revoked: bool,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HoldText {
    pub(super) id: i64,
    pub(super) settled: i64,
    pub(super) expire_time: At,
    /// Pairs of a grant and what is held of it.
    pub(super) shares: Vec<(i64, i64)>,
}
