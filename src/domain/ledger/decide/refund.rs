//! Refunds of charges and settlements.

use super::pay::{check_balance_limit, too_large, with_available};
use super::{Context, check_exists};
use crate::domain::amount::{Credits, TooLarge};
use crate::domain::ledger::account::Account;
use crate::domain::ledger::entry::{Entry, EntryKind, GrantFacts, GrantShare};
use crate::domain::ledger::id::{EntryId, Named};
use crate::domain::ledger::lookup::{Referenced, Spending};
use crate::domain::refusal::Refusal;

pub(super) fn refund(
    account: &Account,
    named: &Named<EntryId>,
    credits: Option<Credits>,
    context: Context<'_>,
) -> Result<Entry, Refusal> {
    check_exists(account)?;
    let not_found = || Refusal::EntryNotFound {
        entry: named.text(),
    };
    let of = named.id().ok_or_else(not_found)?;
    let spending = match context.referenced {
        Some(Referenced::Spending(spending)) => spending,
        Some(Referenced::Archived(opening)) => return Err(opening.refusal(account.name())),
        _ => return Err(not_found()),
    };
    if !spending.refundable {
        return Err(Refusal::EntryNotRefundable {
            entry: named.text(),
            kind: spending.kind,
        });
    }
    let arithmetic = |TooLarge| too_large(account);
    let refundable = spending.spent.checked_sub(spending.refunded);
    let refundable = refundable.map_err(arithmetic)?;
    let requested = credits.unwrap_or(refundable);
    if requested.is_zero() || requested > refundable {
        return Err(Refusal::RefundExceedsCharge {
            entry: named.text(),
            requested: credits.unwrap_or(spending.spent),
            refundable,
        });
    }
    check_balance_limit(account, requested)?;

    let back = refunded_shares(spending, requested).map_err(arithmetic)?;
    let shares = back.iter().map(|(facts, credits)| GrantShare {
        grant: facts.id,
        credits: *credits,
        held: Credits::ZERO,
    });
    let shares = shares.collect();
    let grants = back.into_iter().map(|(facts, _)| facts).collect();
    let kind = EntryKind::Refund { of, grants };
    let mut entry = account.next_entry(context.now, kind);
    entry.credits = requested;
    entry.spent = requested.negated();
    entry.shares = shares;
    entry.service.clone_from(&spending.service);
    entry.pricing.clone_from(&spending.pricing);
    with_available(account, entry)
}

/// The grants to which credits return: those that paid, the last one first, from where earlier
/// refunds ended.
fn refunded_shares(
    spending: &Spending,
    requested: Credits,
) -> Result<Vec<(GrantFacts, Credits)>, TooLarge> {
    let mut returned = spending.refunded;
    let mut due = requested;
    let mut back = Vec::new();
    for (facts, paid) in spending.paid.iter().rev() {
        let before = returned.min(*paid);
        returned = returned.checked_sub(before)?;
        let part = due.min(paid.checked_sub(before)?);
        due = due.checked_sub(part)?;
        if !part.is_zero() {
            back.push((facts.clone(), part));
        }
    }
    Ok(back)
}
