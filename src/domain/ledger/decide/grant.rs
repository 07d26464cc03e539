//! Grants and their revocation.

use std::sync::Arc;

use super::pay::{check_balance_limit, paid_share, with_available};
use super::{Context, check_exists};
use crate::domain::amount::Credits;
use crate::domain::ledger::account::Account;
use crate::domain::ledger::command::GrantAction;
use crate::domain::ledger::entry::{Entry, EntryKind, GrantShare, GrantTerms};
use crate::domain::ledger::id::{AccountId as _, GrantId, Named};
use crate::domain::ledger::lookup::Referenced;
use crate::domain::refusal::Refusal;
use crate::domain::violation::TimeRule;

/// How many grants with something left or held an account may have.
pub const LIVE_GRANTS_MAX: usize = 10_000;

pub(super) fn grant(
    account: &Account,
    action: &GrantAction,
    context: Context<'_>,
) -> Result<Entry, Refusal> {
    let mut violations = action.violations.clone();
    let in_past = |time| TimeRule::Future.violation(time, context.now);
    if let Some(violation) = action.expire_time.and_then(in_past) {
        violations.add("expire_time", violation);
    }
    violations.or(())?;

    if account.live_grants() >= LIVE_GRANTS_MAX {
        return Err(Refusal::TooManyGrants {
            account: account.name().clone(),
            limit: LIVE_GRANTS_MAX,
        });
    }
    check_balance_limit(account, action.credits)?;

    let terms = GrantTerms {
        granted: action.credits,
        priority: action.priority,
        expire_time: action.expire_time,
        source: action.source.clone(),
        services: action.services.clone(),
        create_time: context.now,
    };
    let id = account.last().grant.next();
    let terms = Arc::new(terms);
    let kind = EntryKind::Grant { id, terms };
    let mut entry = account.next_entry(context.now, kind);
    entry.credits = action.credits;
    entry.shares = vec![GrantShare {
        grant: id,
        credits: action.credits,
        held: Credits::ZERO,
    }];
    with_available(account, entry)
}

/// Takes back what is neither spent nor held. From now on what returns to the grant lapses at
/// once, so a grant of which nothing is left can be revoked too.
pub(super) fn revoke(
    account: &Account,
    named: &Named<GrantId>,
    context: Context<'_>,
) -> Result<Entry, Refusal> {
    check_exists(account)?;
    let not_found = || Refusal::GrantNotFound {
        grant: named.text(),
    };
    let id = named.id().ok_or_else(not_found)?;
    let remaining = match (account.grant(id), context.referenced) {
        (Some(grant), _) => grant.remaining,
        (None, Some(Referenced::Grant)) => Credits::ZERO,
        (None, _) => return Err(not_found()),
    };
    let mut entry = account.next_entry(context.now, EntryKind::Revoke(id));
    if !remaining.is_zero() {
        entry.credits = remaining.negated();
        entry.shares = vec![paid_share((id, remaining))];
    }
    with_available(account, entry)
}
