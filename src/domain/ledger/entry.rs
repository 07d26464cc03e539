//! Entries: what happened to an account. They are never changed.

use std::sync::Arc;

use super::hold::Hold;
use super::id::{EntryId, GrantId};
use crate::domain::amount::Credits;
use crate::domain::names::{AccountName, Labels, RequestId};
use crate::domain::pricing::UsageRecord;
use crate::domain::time::Timestamp;

/// One event of an account. Every kind but [`EntryKind::Extend`] is a move of
/// credits, which callers see; `credits + held + spent` is 0, but where credits
/// enter or leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The entry. One of kind [`EntryKind::Extend`] has no number of its own, but that of
    /// the entry before it.
    pub id: EntryId,
    /// Whose it is.
    pub account: AccountName,
    /// What happened.
    pub kind: EntryKind,
    /// Change of available.
    pub credits: Credits,
    /// Change of held.
    pub held: Credits,
    /// What was paid for work.
    pub spent: Credits,
    /// Available after it.
    pub available: Credits,
    /// When.
    pub create_time: Timestamp,
    /// The write that it answers; None where the server made it by itself.
    pub request_id: Option<RequestId>,
    /// What the caller keeps with it.
    pub labels: Labels,
    /// The work that was paid for, or is to be.
    pub service: Option<Arc<str>>,
    /// The prices of that work, where it was priced.
    pub pricing: Option<Pricing>,
    /// What was priced, where something was.
    pub usage: Option<Arc<UsageRecord>>,
    /// The hold that it is about, as it is after it.
    pub hold: Option<Arc<Hold>>,
    /// From which grants credits were taken, or to which they came.
    pub shares: Vec<GrantShare>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// Credits came in.
    Grant {
        /// The grant.
        id: GrantId,
        /// Its terms.
        terms: Arc<GrantTerms>,
    },
    /// Work was paid for.
    Charge,
    /// A charge or settlement was given back, in part or whole.
    Refund {
        /// The charge or settlement.
        of: EntryId,
        /// The grants to which credits came back.
        grants: Vec<GrantFacts>,
    },
    /// Credits were set aside.
    Hold,
    /// Work was paid for out of a hold.
    Settle,
    /// What was set aside came back.
    Release,
    /// A hold got another end. No credits moved.
    Extend,
    /// What was left of a grant expired.
    Expire(GrantId),
    /// What was left of a grant was taken back.
    Revoke(GrantId),
}

impl EntryKind {
    /// Whether credits enter or leave, so that the entry does not sum to 0.
    #[must_use]
    pub const fn enters_or_leaves(&self) -> bool {
        matches!(self, Self::Grant { .. } | Self::Expire(_) | Self::Revoke(_))
    }

    /// Whether it moves credits. Then it has a number, and callers see it.
    #[must_use]
    pub const fn is_move(&self) -> bool {
        !matches!(self, Self::Extend)
    }

    /// The word for it, in files and refusals.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Grant { .. } => "grant",
            Self::Charge => "charge",
            Self::Refund { .. } => "refund",
            Self::Hold => "hold",
            Self::Settle => "settle",
            Self::Release => "release",
            Self::Extend => "extend",
            Self::Expire(_) => "expire",
            Self::Revoke(_) => "revoke",
        }
    }
}

/// Under which prices work was priced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pricing {
    /// Name of the card.
    pub rate_card: Arc<str>,
    /// Its revision.
    pub revision: Arc<str>,
}

/// Under which terms credits were granted. They never change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantTerms {
    /// How much.
    pub granted: Credits,
    /// Lower burns first.
    pub priority: i32,
    /// When what is left is gone; None: never.
    pub expire_time: Option<Timestamp>,
    /// Where the credits come from.
    pub source: Box<str>,
    /// Services that they may pay for, in order, each once; empty: all.
    pub services: Vec<Box<str>>,
    /// When they were granted.
    pub create_time: Timestamp,
}

impl GrantTerms {
    /// Whether the grant may pay for the service; None: for an amount without one.
    #[must_use]
    pub fn pays_for(&self, service: Option<&str>) -> bool {
        self.services.is_empty()
            || service.is_some_and(|key| self.services.binary_search_by_key(&key, |s| s).is_ok())
    }
}

/// A grant that an account may have no more of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantFacts {
    /// The grant.
    pub id: GrantId,
    /// Its terms.
    pub terms: Arc<GrantTerms>,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// What an entry did to one grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantShare {
    /// The grant.
    pub grant: GrantId,
    /// Change of what is left of it.
    pub credits: Credits,
    /// Change of what is held of it.
    pub held: Credits,
}
