//! The decision: what a command writes, or why it is refused.
//!
//! The guards, in order:
//!
//! 1. The request_id. The store looks it up before it asks here: a known one is
//!    answered again or refused, and nothing below is looked at.
//! 2. Fields that are bad now: those that the application found by its rate
//!    cards, and times on the wrong side of now. All are named at once.
//! 3. The limits of the account.

use std::sync::Arc;

use super::account::Account;
use super::command::{Action, Command, GrantAction};
use super::entry::{Entry, EntryId, EntryKind, GrantId, GrantShare, GrantTerms};
use crate::domain::amount::Credits;
use crate::domain::fault::TimeRule;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;

/// Most grants of one account that have something left or held.
pub const LIVE_GRANTS_MAX: usize = 100_000;

/// What the command does to the account, as the entry to write.
///
/// What has expired by `now` has already left the account. Nothing is applied.
///
/// # Errors
/// The first guard that refuses.
pub fn decide(
    account: &Account,
    command: &Command,
    now: Timestamp,
    id: EntryId,
) -> Result<Entry, Refusal> {
    match &command.action {
        Action::Grant(action) => grant(account, command, action, now, id),
    }
}

fn grant(
    account: &Account,
    command: &Command,
    action: &GrantAction,
    now: Timestamp,
    id: EntryId,
) -> Result<Entry, Refusal> {
    let mut faults = command.faults.clone();
    let in_past = |time| TimeRule::Future.fault(time, now);
    if let Some(fault) = action.expire_time.and_then(in_past) {
        faults.add("expire_time", fault);
    }
    faults.or(())?;

    if account.grants().len() >= LIVE_GRANTS_MAX {
        return Err(Refusal::TooManyGrants {
            account: account.name().clone(),
            limit: LIVE_GRANTS_MAX,
        });
    }
    let too_large = || Refusal::BalanceTooLarge {
        account: account.name().clone(),
        limit: Credits::MAX,
    };
    let available = account
        .available()
        .checked_add(action.credits)
        .map_err(|_| too_large())?;
    available
        .checked_add(account.held())
        .map_err(|_| too_large())?;

    let grant = GrantId(id);
    Ok(Entry {
        id,
        previous: account.last_entry(),
        account: account.name().clone(),
        kind: EntryKind::Grant(Arc::new(GrantTerms {
            granted: action.credits,
            priority: action.priority,
            expire_time: action.expire_time,
            source: action.source.clone(),
            services: action.services.clone(),
            create_time: now,
        })),
        credits: action.credits,
        held: Credits::ZERO,
        spent: Credits::ZERO,
        available,
        create_time: now,
        version: account.version().saturating_add(1),
        request_id: Some(command.request.id.clone()),
        labels: action.labels.clone(),
        grant,
        shares: vec![GrantShare {
            grant,
            credits: action.credits,
            held: Credits::ZERO,
        }],
    })
}
