//! Holds: credits set aside for work whose cost is not known yet.

use std::sync::Arc;

use super::entry::Pricing;
use super::id::{GrantId, HoldId};
use crate::domain::amount::Credits;
use crate::domain::time::Timestamp;

/// A hold, as callers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The hold.
    pub id: HoldId,
    /// The service for which it was made; None for a hold by amount.
    pub service: Option<Arc<str>>,
    /// The prices with which it was priced.
    pub pricing: Option<Pricing>,
    /// What it still sets aside.
    pub held: Credits,
    /// What its settlements cost.
    pub settled: Credits,
    /// When it was made.
    pub create_time: Timestamp,
    /// When it ends by itself.
    pub expire_time: Timestamp,
    /// Where it stands.
    pub status: HoldStatus,
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
