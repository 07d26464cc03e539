//! Commands: what a caller wants the ledger to do.

use std::sync::Arc;

use super::id::{EntryId, GrantId, HoldId, Named};
use super::settings::AccountSettings;
use crate::domain::amount::Credits;
use crate::domain::keys::KeyId;
use crate::domain::names::{AccountName, Labels, RequestId};
use crate::domain::pricing::{Pairs, Pricing, UsageRecord};
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::domain::violation::FieldViolations;

/// A hash of a request's meaning: requests of equal meaning have equal fingerprints.
pub type Fingerprint = [u8; 16];

/// The idempotency key of a write, and the fingerprint of its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    /// The idempotency key.
    pub id: RequestId,
    /// The fingerprint of the request.
    pub fingerprint: Fingerprint,
}

/// One write to one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The account.
    pub account: AccountName,
    /// It is looked up before any rule is checked.
    pub request: RequestKey,
    /// Who sends it. It is no part of the fingerprint: another key may send the same write again.
    pub key_id: Option<KeyId>,
    /// The caller's labels for the entry.
    pub labels: Labels,
    /// The action.
    pub action: Action,
}

/// What a command does. `C` is the cost: [`Priced`] in a command, and the request's usage before
/// pricing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action<C = Priced> {
    /// Add credits; the first grant opens the account.
    Grant(GrantAction),
    /// Pay for work, or refuse whole.
    Charge(C),
    /// Give back a charge or settlement.
    Refund {
        /// The charge or settlement.
        entry: Named<EntryId>,
        /// The credits to return; None: all that were not refunded yet.
        credits: Option<Credits>,
    },
    /// Set credits aside.
    Hold {
        /// The cost to hold credits for.
        cost: C,
        /// How long until the hold expires, in nanoseconds.
        ttl_nanos: i64,
    },
    /// Give a hold another expire_time.
    ExtendHold {
        /// The hold.
        hold: Named<HoldId>,
        /// How long from now until the hold expires, in nanoseconds.
        ttl_nanos: i64,
    },
    /// Pay for work out of a hold.
    SettleHold {
        /// The hold.
        hold: Named<HoldId>,
        /// The cost to pay.
        cost: C,
        /// Whether the rest stays held.
        keep_open: bool,
        /// What to do if the cost is more than the hold has.
        overage: Overage,
    },
    /// Return what a hold sets aside.
    ReleaseHold {
        /// The hold.
        hold: Named<HoldId>,
    },
    /// Take back what is left of a grant.
    RevokeGrant {
        /// The grant.
        grant: Named<GrantId>,
    },
    /// Set the settings of an account. It moves no credits.
    UpdateAccount(Box<UpdateAction>),
}

/// A cost, or the refusal of pricing. Rate cards can change while a request_id is known, so
/// the refusal is returned only if the request_id is new.
pub type Priced = Result<Box<Cost>, Refusal>;

/// A cost and what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    /// The credits.
    pub credits: Credits,
    /// The service; None for an amount that the caller decided.
    pub service: Option<Arc<str>>,
    /// The rate card by which it was priced.
    pub pricing: Option<Arc<Pricing>>,
    /// The usage that was priced.
    pub usage: Option<Arc<UsageRecord>>,
    /// Set where it was priced without a look at the account, as for one with certain settings:
    /// where the account has others, it is to be priced again.
    pub assumed: Option<AssumedSettings>,
}

/// The settings of an account by which something was priced, and what it asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AssumedSettings {
    /// None: nothing is set.
    pub settings: Option<Arc<AccountSettings>>,
    /// What is asked for when it is priced again.
    pub asked: AskedPrices,
}

impl AssumedSettings {
    /// Whether an account with these settings has the same price.
    #[must_use]
    pub fn holds(&self, settings: Option<&AccountSettings>) -> bool {
        let assumed = AccountSettings::terms_of(self.settings.as_deref());
        assumed == AccountSettings::terms_of(settings)
    }
}

/// The prices that a request asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AskedPrices {
    /// The name of a card, or "".
    pub rate_card: Box<str>,
    /// A revision, or "".
    pub revision: Box<str>,
    /// In force then; None: now.
    pub price_time: Option<Timestamp>,
}

/// What to do if a settlement costs more than its hold has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overage {
    /// Refuse.
    Reject,
    /// Take the rest from available credits.
    FromAvailable,
}

/// Adds credits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantAction {
    /// The credits to add; more than 0.
    pub credits: Credits,
    /// When what is left expires; None: never.
    pub expire_time: Option<Timestamp>,
    /// Grants of lower priority burn first.
    pub priority: i32,
    /// Where the credits come from.
    pub source: Box<str>,
    /// Services that the grant may pay for, sorted, each once; empty: all.
    pub services: Vec<Box<str>>,
    /// What is wrong with the services by the rate cards; see [`Priced`].
    pub violations: FieldViolations,
}

/// Sets settings of an account. Those that are None stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpdateAction {
    /// The name of the rate card; empty: the default.
    pub rate_card: Option<Box<str>>,
    /// All attributes.
    pub attributes: Option<Pairs>,
    /// All labels.
    pub labels: Option<Labels>,
    /// Whether it opens the account, if there is none.
    pub allow_missing: bool,
    /// What is wrong by the rate cards; see [`Priced`].
    pub refusal: Option<Refusal>,
}

impl<C> Action<C> {
    /// The cost, if the action has one.
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
            | Self::RevokeGrant { .. }
            | Self::UpdateAccount(_) => None,
        }
    }

    /// The action with another cost.
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
            Self::UpdateAccount(update) => Action::UpdateAccount(update),
        }
    }
}
