//! What a decision needs beside the account, and what a store has looked up of it.

use std::sync::Arc;

use super::account::Account;
use super::command::{Action, Command, Fingerprint};
use super::entry::{Entry, EntryKind, GrantFacts, Pricing};
use super::hold::Hold;
use super::id::{EntryId, GrantId, HoldId};
use crate::domain::amount::Credits;

/// Something that a command refers to and that the account's state may not have any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A charge or settlement, with what was refunded of it.
    Spending(EntryId),
    /// A hold that is not open any more.
    ClosedHold(HoldId),
    /// A grant of which nothing is left.
    Grant(GrantId),
}

/// What a store has looked up for a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LookedUp {
    /// The write of this account that had the command's request_id. Every command needs it.
    pub earlier: Option<EarlierWrite>,
    /// What [`needs`] names, where the account has it.
    pub referenced: Option<Referenced>,
}

/// An earlier write, to answer its request_id again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierWrite {
    /// What its body meant.
    pub fingerprint: Fingerprint,
    /// Its entry.
    pub entry: Entry,
    /// What was available after it, as its caller was told.
    pub available: Credits,
}

/// What a [`Reference`] refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Referenced {
    /// An entry.
    Spending(Spending),
    /// A hold that is not open any more.
    ClosedHold(Arc<Hold>),
    /// A grant.
    Grant,
}

/// An entry that is to be refunded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spending {
    /// The word for its kind.
    pub kind: &'static str,
    /// Whether it paid for work, so that it can be refunded.
    pub refundable: bool,
    /// What was paid.
    pub spent: Credits,
    /// What was refunded of it before.
    pub refunded: Credits,
    /// Who paid how much, in order.
    pub paid: Vec<(GrantFacts, Credits)>,
    /// The work that was paid for.
    pub service: Option<Arc<str>>,
    /// Its prices.
    pub pricing: Option<Pricing>,
}

/// What has to be looked up for a command on this account before [`super::decide`] is
/// asked, beside the earlier write with its request_id.
#[must_use]
pub fn needs(account: &Account, command: &Command) -> Option<Reference> {
    match &command.action {
        Action::Grant(_) | Action::Charge(_) | Action::Hold { .. } => None,
        Action::Refund { entry, .. } => entry.id().map(Reference::Spending),
        Action::ExtendHold { hold, .. }
        | Action::SettleHold { hold, .. }
        | Action::ReleaseHold { hold } => hold
            .id()
            .filter(|id| !account.holds().contains_key(id))
            .map(Reference::ClosedHold),
        Action::RevokeGrant { grant } => grant.id().map(Reference::Grant),
    }
}

impl Spending {
    /// What an entry spent, as a refund sees it. None where callers do not see the
    /// entry, or one of its grants is not known.
    pub fn of(
        entry: &Entry,
        refunded: Credits,
        grant: impl Fn(GrantId) -> Option<GrantFacts>,
    ) -> Option<Self> {
        if !entry.kind.is_move() {
            return None;
        }
        let refundable = matches!(entry.kind, EntryKind::Charge | EntryKind::Settle);
        let mut paid = Vec::new();
        for share in entry.shares.iter().filter(|_| refundable) {
            let moved = share.credits.checked_add(share.held).ok()?;
            if !moved.is_zero() {
                paid.push((grant(share.grant)?, moved.negated()));
            }
        }
        Some(Self {
            kind: entry.kind.name(),
            refundable,
            spent: entry.spent,
            refunded,
            paid,
            service: entry.service.clone(),
            pricing: entry.pricing.clone(),
        })
    }
}
