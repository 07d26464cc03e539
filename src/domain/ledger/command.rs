//! What a caller asks the ledger to do.

use std::sync::Arc;

use super::entry::Pricing;
use super::id::{EntryId, GrantId, HoldId, Named};
use crate::domain::amount::Credits;
use crate::domain::fault::Faults;
use crate::domain::names::{AccountName, Labels, RequestId};
use crate::domain::pricing::UsageRecord;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;

/// Stands for the meaning of a request's body: equal bodies have equal ones.
pub type Fingerprint = [u8; 16];

/// The caller's name of one write, and what it meant by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    /// The name.
    pub id: RequestId,
    /// The meaning of the body.
    pub fingerprint: Fingerprint,
}

/// One write to one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Whose credits move.
    pub account: AccountName,
    /// Looked up before anything else is decided.
    pub request: RequestKey,
    /// Kept with the entry.
    pub labels: Labels,
    /// What to do.
    pub action: Action,
}

/// What to do. A command has the priced cost of work; `C` is what stands in its place before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action<C = Priced> {
    /// Add credits; the first grant opens the account.
    Grant(GrantAction),
    /// Pay for work, or refuse whole.
    Charge(C),
    /// Give back a charge or settlement.
    Refund {
        /// Which one.
        entry: Named<EntryId>,
        /// How much; None: all that is not refunded yet.
        credits: Option<Credits>,
    },
    /// Set credits aside.
    Hold {
        /// How much, and for what.
        cost: C,
        /// How long, in nanoseconds.
        ttl_nanos: i64,
    },
    /// Give a hold another end.
    ExtendHold {
        /// Which one.
        hold: Named<HoldId>,
        /// How long from now, in nanoseconds.
        ttl_nanos: i64,
    },
    /// Pay for work out of a hold.
    SettleHold {
        /// Which one.
        hold: Named<HoldId>,
        /// How much, and for what.
        cost: C,
        /// Whether the rest stays held.
        keep_open: bool,
        /// Where what the hold does not have comes from.
        overage: Overage,
    },
    /// Return what a hold keeps.
    ReleaseHold {
        /// Which one.
        hold: Named<HoldId>,
    },
    /// Take back what is unspent of a grant.
    RevokeGrant {
        /// Which one.
        grant: Named<GrantId>,
    },
}

/// A cost, or why there is none. Rate cards can change while a request_id is kept,
/// so the refusal counts only once the request_id was found to be new.
pub type Priced = Result<Box<Cost>, Refusal>;

/// What something costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    /// How much.
    pub credits: Credits,
    /// The service; None for an amount that the caller decided.
    pub service: Option<Arc<str>>,
    /// The prices.
    pub pricing: Option<Pricing>,
    /// What was priced.
    pub usage: Option<Arc<UsageRecord>>,
}

/// What to do where a settlement costs more than its hold has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overage {
    /// Refuse.
    Reject,
    /// Take the rest from what is available.
    FromAvailable,
}

/// Adds credits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantAction {
    /// How much; more than 0.
    pub credits: Credits,
    /// When what is left is gone; None: never.
    pub expire_time: Option<Timestamp>,
    /// Lower burns first.
    pub priority: i32,
    /// Where the credits come from.
    pub source: Box<str>,
    /// Services that they may pay for, in order, each once; empty: all.
    pub services: Vec<Box<str>>,
    /// What is wrong by the rate cards; see [`Priced`].
    pub faults: Faults,
}

impl<C> Action<C> {
    /// What is to be paid for, where something is.
    #[must_use]
    pub const fn cost(&self) -> Option<&C> {
        match self {
            Self::Charge(cost) | Self::Hold { cost, .. } | Self::SettleHold { cost, .. } => {
                Some(cost)
            }
            Self::Grant(_)
            | Self::Refund { .. }
            | Self::ExtendHold { .. }
            | Self::ReleaseHold { .. }
            | Self::RevokeGrant { .. } => None,
        }
    }

    /// The same with another cost.
    pub fn map_cost<D>(self, change: impl FnOnce(C) -> D) -> Action<D> {
        match self {
            Self::Grant(grant) => Action::Grant(grant),
            Self::Charge(cost) => Action::Charge(change(cost)),
            Self::Refund { entry, credits } => Action::Refund { entry, credits },
            Self::Hold { cost, ttl_nanos } => Action::Hold {
                cost: change(cost),
                ttl_nanos,
            },
            Self::ExtendHold { hold, ttl_nanos } => Action::ExtendHold { hold, ttl_nanos },
            Self::SettleHold {
                hold,
                cost,
                keep_open,
                overage,
            } => Action::SettleHold {
                hold,
                cost: change(cost),
                keep_open,
                overage,
            },
            Self::ReleaseHold { hold } => Action::ReleaseHold { hold },
            Self::RevokeGrant { grant } => Action::RevokeGrant { grant },
        }
    }
}
