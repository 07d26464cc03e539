//! Which grants pay for a cost.

use crate::domain::amount::{Credits, TooLarge};
use crate::domain::ledger::account::Account;
use crate::domain::ledger::entry::{Entry, GrantShare};
use crate::domain::ledger::id::GrantId;
use crate::domain::refusal::Refusal;

/// What each grant pays of a cost, in burn order.
///
/// # Errors
/// [`Refusal::InsufficientCredits`] with what the grants have.
pub(super) fn pay(
    account: &Account,
    service: Option<&str>,
    cost: Credits,
) -> Result<Vec<(GrantId, Credits)>, Refusal> {
    let mut paid = Vec::new();
    let mut due = cost;
    if due.is_zero() {
        return Ok(paid);
    }
    // The index knows the sum, so that a refusal does not scan thousands of grants.
    if let Some(left) = account.left_for(service)
        && left < cost
    {
        return Err(insufficient(account, cost, left));
    }
    for grant in account.paying(service) {
        let part = due.min(grant.remaining);
        paid.push((grant.id, part));
        due = due.checked_sub(part).map_err(|_| too_large(account))?;
        if due.is_zero() {
            return Ok(paid);
        }
    }
    let available = cost.checked_sub(due).map_err(|_| too_large(account))?;
    Err(insufficient(account, cost, available))
}

fn insufficient(account: &Account, required: Credits, available: Credits) -> Refusal {
    match required.checked_sub(available) {
        Ok(shortfall) => Refusal::InsufficientCredits {
            account: account.name().clone(),
            required,
            available,
            shortfall,
        },
        Err(TooLarge) => too_large(account),
    }
}

/// The share of an entry for what a grant paid.
pub(super) const fn paid_share((grant, credits): (GrantId, Credits)) -> GrantShare {
    GrantShare {
        grant,
        credits: credits.negated(),
        held: Credits::ZERO,
    }
}

/// Sets the available credits after the entry.
pub(super) fn with_available(account: &Account, mut entry: Entry) -> Result<Entry, Refusal> {
    let available = account.available().checked_add(entry.credits);
    entry.available = available.map_err(|_| too_large(account))?;
    Ok(entry)
}

/// Refuses credits by which the balance would exceed the largest amount.
pub(super) fn check_balance_limit(account: &Account, credits: Credits) -> Result<(), Refusal> {
    account
        .available()
        .checked_add(account.held())
        .and_then(|total| total.checked_add(credits))
        .map(|_| ())
        .map_err(|TooLarge| too_large(account))
}

pub(super) fn too_large(account: &Account) -> Refusal {
    Refusal::BalanceTooLarge {
        account: account.name().clone(),
        limit: Credits::MAX,
    }
}
