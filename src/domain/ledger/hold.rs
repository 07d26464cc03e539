//! Holds: credits set aside for work whose cost is not known yet.

use std::sync::Arc;

use super::entry::{Entry, Pricing};
use super::id::{GrantId, HoldId};
use crate::domain::amount::Credits;
use crate::domain::names::{Labels, RequestId};
use crate::domain::pricing::UsageRecord;
use crate::domain::time::Timestamp;

/// A hold, as callers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The hold.
    pub id: HoldId,
    /// As it was made.
    pub terms: Arc<HoldTerms>,
    /// What it still sets aside.
    pub held: Credits,
    /// What its settlements cost.
    pub settled: Credits,
    /// When it ends by itself.
    pub expire_time: Timestamp,
    /// Where it stands.
    pub status: HoldStatus,
}

/// What never changes of a hold: what the entry says that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldTerms {
    /// The service for which it was made; None for a hold by amount.
    pub service: Option<Arc<str>>,
    /// The prices with which it was priced.
    pub pricing: Option<Pricing>,
    /// What was priced, where something was.
    pub usage: Option<Arc<UsageRecord>>,
    /// When it was made.
    pub create_time: Timestamp,
    /// The write that made it.
    pub request_id: RequestId,
    /// What the caller keeps with it.
    pub labels: Labels,
}

impl HoldTerms {
    /// What an entry says that made a hold; None where it answers no write.
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

    /// How long the texts are that it keeps for its caller.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        let usage = self.usage.as_deref();
        let maps = usage.map(|usage| usage.attributes.iter().chain(&usage.meters));
        let pairs = maps.into_iter().flatten();
        let pairs = pairs.map(|(key, value)| key.len().saturating_add(value.len()));
        let labels = self.labels.iter();
        let labels = labels.map(|(key, value)| key.len().saturating_add(value.len()));
        let id = self.request_id.as_str().len();
        pairs.chain(labels).fold(id, usize::saturating_add)
    }
}

/// Where a hold stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldStatus {
    /// It can be settled.
    Open,
    /// It was settled.
    Settled,
    /// It was released.
    Released,
    /// Its time is over.
    Expired,
}

impl HoldStatus {
    /// The word for it, in files and refusals.
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

/// An open hold: what callers see, and whose credits it keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenHold {
    /// What callers see.
    pub hold: Arc<Hold>,
    /// What it keeps of each grant, in the order in which it was taken.
    pub shares: Vec<(GrantId, Credits)>,
}
