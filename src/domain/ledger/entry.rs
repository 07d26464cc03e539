//! Entries: the events of an account. They never change.

use std::sync::Arc;

use super::hold::Hold;
use super::id::{EntryId, GrantId};
use super::settings::AccountUpdate;
use crate::domain::amount::Credits;
use crate::domain::keys::KeyId;
use crate::domain::names::{AccountName, Labels, RequestId};
use crate::domain::pricing::{Pricing, UsageRecord};
use crate::domain::time::Timestamp;

/// One event of an account. Every kind but [`EntryKind::Extend`] and [`EntryKind::Update`] moves
/// credits, and callers see it. `credits + held + spent` is 0, unless credits enter or leave the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The id. One that moves nothing uses up no number: it has the id of the entry before it,
    /// and 0 where there is none.
    pub id: EntryId,
    /// The account.
    pub account: AccountName,
    /// The kind.
    pub kind: EntryKind,
    /// The change of available credits.
    pub credits: Credits,
    /// The change of held credits.
    pub held: Credits,
    /// The credits paid for work.
    pub spent: Credits,
    /// Available credits after the entry.
    pub available: Credits,
    /// When it was written.
    pub create_time: Timestamp,
    /// The idempotency key of the write that made it; None for lapses.
    pub request_id: Option<RequestId>,
    /// Who did it; None where the server did, or it is not known.
    pub key_id: Option<KeyId>,
    /// The caller's labels.
    pub labels: Labels,
    /// The service that was paid for, or is to be.
    pub service: Option<Arc<str>>,
    /// The rate card by which the usage was priced.
    pub pricing: Option<Arc<Pricing>>,
    /// The usage that was priced, if there was one.
    pub usage: Option<Arc<UsageRecord>>,
    /// The hold of the entry, as it is after it.
    pub hold: Option<Arc<Hold>>,
    /// The changes of grants.
    pub shares: Vec<GrantShare>,
}

/// The kind of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// Credits came in.
    Grant {
        /// The grant.
        id: GrantId,
        /// The terms of the grant.
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
    /// A hold got another expire_time. No credits moved.
    Extend,
    /// The account got other settings. No credits moved.
    Update(Arc<AccountUpdate>),
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
        !matches!(self, Self::Extend | Self::Update(_))
    }

    /// The name of the kind in files and refusals.
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
            Self::Update(_) => "update",
            Self::Expire(_) => "expire",
            Self::Revoke(_) => "revoke",
        }
    }
}

/// The terms of a grant, which never change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantTerms {
    /// The credits that were granted.
    pub granted: Credits,
    /// Grants of lower priority burn first.
    pub priority: i32,
    /// When what is left expires; None: never.
    pub expire_time: Option<Timestamp>,
    /// Where the credits come from.
    pub source: Box<str>,
    /// Services that the grant may pay for, sorted, each once; empty: all.
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

/// A grant that may be used up, so that the account's state does not have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantFacts {
    /// The grant.
    pub id: GrantId,
    /// The terms of the grant.
    pub terms: Arc<GrantTerms>,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// The change of one grant by an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantShare {
    /// The grant.
    pub grant: GrantId,
    /// The change of what is left of it.
    pub credits: Credits,
    /// The change of what is held of it.
    pub held: Credits,
}
