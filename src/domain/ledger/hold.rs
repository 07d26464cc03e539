//! Holds: credits set aside for work whose cost is not known yet.

use std::sync::Arc;

use super::entry::Entry;
use super::id::{GrantId, HoldId};
use crate::domain::amount::Credits;
use crate::domain::names::{Labels, RequestId};
use crate::domain::pricing::{Pricing, UsageRecord};
use crate::domain::time::Timestamp;

/// A hold as callers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The id.
    pub id: HoldId,
    /// What never changes of it.
    pub terms: Arc<HoldTerms>,
    /// The credits that it still sets aside.
    pub held: Credits,
    /// The credits that its settlements cost.
    pub settled: Credits,
    /// When it expires.
    pub expire_time: Timestamp,
    /// The status.
    pub status: HoldStatus,
}

/// What never changes of a hold. The entry that made it has the same fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldTerms {
    /// The service for which it was made; None for a hold by amount.
    pub service: Option<Arc<str>>,
    /// The rate card by which it was priced.
    pub pricing: Option<Arc<Pricing>>,
    /// The usage that was priced, if there was one.
    pub usage: Option<Arc<UsageRecord>>,
    /// When it was made.
    pub create_time: Timestamp,
    /// The idempotency key of the write that made it.
    pub request_id: RequestId,
    /// The caller's labels.
    pub labels: Labels,
}

impl HoldTerms {
    /// The terms of the hold that an entry made; None if the entry has no request_id.
    #[must_use]
    pub fn of(entry: &Entry) -> Option<Self> {
        Some(Self {
            service: entry.service.clone(),
            pricing: entry.pricing.clone(),
            usage: entry.usage.clone(),
            create_time: entry.create_time,
            request_id: entry.request_id.clone()?,
            labels: entry.labels.clone(),
        })
    }

    /// The length of its texts, which take most of its memory.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        let usage = self.usage.as_deref();
        let maps = usage.map(|usage| usage.attributes.iter().chain(&usage.meters));
        let values = self.pricing.iter().flat_map(|pricing| &pricing.values);
        let pairs = maps.into_iter().flatten().chain(values);
        let pairs = pairs.map(|(key, value)| key.len().saturating_add(value.len()));
        let labels = self.labels.iter();
        let labels = labels.map(|(key, value)| key.len().saturating_add(value.len()));
        let id = self.request_id.as_str().len();
        pairs.chain(labels).fold(id, usize::saturating_add)
    }
}

/// The status of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldStatus {
    /// It can be settled.
    Open,
    /// It was settled.
    Settled,
    /// It was released.
    Released,
    /// Its expire_time has passed.
    Expired,
}

impl HoldStatus {
    /// The name of the status in files and refusals.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Settled => "settled",
            Self::Released => "released",
            Self::Expired => "expired",
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Open, Self::Settled, Self::Released, Self::Expired]
            .into_iter()
            .find(|status| status.name() == name)
    }
}

/// An open hold, and the grants that it sets credits aside from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenHold {
    /// The hold as callers see it.
    pub hold: Arc<Hold>,
    /// What it holds of each grant, in the order in which it was taken.
    pub shares: Vec<(GrantId, Credits)>,
}
