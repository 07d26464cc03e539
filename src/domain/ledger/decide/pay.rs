//! Which grants pay.

use crate::domain::amount::{Credits, TooLarge};
use crate::domain::ledger::account::Account;
use crate::domain::ledger::entry::{Entry, GrantShare};
use crate::domain::ledger::id::GrantId;
use crate::domain::refusal::Refusal;

/// What each grant pays of a cost, in the order in which they burn.
///
/// # Errors
/// That they do not have enough, and what they have.
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
    // Nobody looks at thousands of grants to say that they do not have enough.
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

/// What a grant paid, as a share of an entry.
pub(super) const fn paid_share((grant, credits): (GrantId, Credits)) -> GrantShare {
    GrantShare {
        grant,
        credits: credits.negated(),
        held: Credits::ZERO,
    }
}

/// The entry with what is available after it.
pub(super) fn with_available(account: &Account, mut entry: Entry) -> Result<Entry, Refusal> {
    let available = account.available().checked_add(entry.credits);
    entry.available = available.map_err(|_| too_large(account))?;
    Ok(entry)
}

/// Refuses credits that the account could not keep.
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
