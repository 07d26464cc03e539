//! What a decision needs beside the account, and the result of a store's lookup of it.

use std::sync::Arc;

use super::account::Account;
use super::command::{Action, Command, Fingerprint};
use super::entry::{Entry, EntryKind, GrantFacts};
use super::hold::Hold;
use super::id::{EntryId, GrantId, HoldId};
use super::opening::Opening;
use crate::domain::amount::Credits;
use crate::domain::pricing::Pricing;

/// Something that a command refers to, and that the account's state may not have any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A charge or settlement, with what was refunded of it.
    Spending(EntryId),
    /// A hold that is not open any more.
    ClosedHold(HoldId),
    /// A grant of which nothing is left.
    Grant(GrantId),
}

/// The result of a store's lookups for a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LookedUp {
    /// The write of this account that had the command's request_id. Every command needs it.
    pub earlier: Option<EarlierWrite>,
    /// What [`needs`] names, if the account has it.
    pub referenced: Option<Referenced>,
}

/// An earlier write, to answer its request_id again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierWrite {
    /// The fingerprint of its request; None where it was erased. No request is the same then.
    pub fingerprint: Option<Fingerprint>,
    /// The entry that it made.
    pub entry: Entry,
    /// The available credits that it was answered with.
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
    /// It is in an archive.
    Archived(Opening),
}

/// An entry that a command refunds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spending {
    /// The name of its kind.
    pub kind: &'static str,
    /// Whether its kind can be refunded: charges and settlements can.
    pub refundable: bool,
    /// The credits that it spent.
    pub spent: Credits,
    /// The credits that were refunded before.
    pub refunded: Credits,
    /// The grants that paid, and how much, in order.
    pub paid: Vec<(GrantFacts, Credits)>,
    /// The service that was paid for.
    pub service: Option<Arc<str>>,
    /// The rate card by which it was priced.
    pub pricing: Option<Arc<Pricing>>,
}

/// What a store must look up for a command on this account before it calls [`super::decide`],
/// beside the earlier write with its request_id.
#[must_use]
pub fn needs(account: &Account, command: &Command) -> Option<Reference> {
    match &command.action {
        Action::Grant(_) | Action::Charge(_) | Action::Hold { .. } | Action::UpdateAccount(_) => {
            None
        }
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
    /// What an entry spent, for a refund. None if callers do not see the entry, or if one of its
    /// grants is not known.
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
