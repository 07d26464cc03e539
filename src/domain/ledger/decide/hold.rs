//! Holds: made, extended and released.

use std::sync::Arc;

use super::pay::{pay, with_available};
use super::{Context, check_exists, copy_cost, cost_of};
use crate::domain::amount::Credits;
use crate::domain::ledger::account::Account;
use crate::domain::ledger::command::Priced;
use crate::domain::ledger::entry::{Entry, EntryKind, GrantShare};
use crate::domain::ledger::hold::{Hold, HoldStatus, HoldTerms, OpenHold};
use crate::domain::ledger::id::{AccountId as _, HoldId, Named};
use crate::domain::ledger::lookup::Referenced;
use crate::domain::refusal::Refusal;

/// How many open holds an account may have.
pub const OPEN_HOLDS_MAX: usize = 10_000;

pub(super) fn hold(
    account: &Account,
    priced: &Priced,
    ttl_nanos: i64,
    context: Context<'_>,
) -> Result<Entry, Refusal> {
    let cost = cost_of(account, priced)?;
    if account.holds().len() >= OPEN_HOLDS_MAX {
        return Err(Refusal::TooManyHolds {
            account: account.name().clone(),
            limit: OPEN_HOLDS_MAX,
        });
    }
    let paid = pay(account, cost.service.as_deref(), cost.credits)?;
    let mut entry = account.next_entry(context.now, EntryKind::Hold);
    entry.credits = cost.credits.negated();
    entry.held = cost.credits;
    entry.shares = paid
        .into_iter()
        .map(|(grant, credits)| GrantShare {
            grant,
            credits: credits.negated(),
            held: credits,
        })
        .collect();
    copy_cost(&mut entry, cost);
    entry.hold = Some(Arc::new(Hold {
        id: account.last().hold.next(),
        terms: Arc::new(HoldTerms {
            service: cost.service.clone(),
            pricing: cost.pricing.clone(),
            usage: cost.usage.clone(),
            create_time: context.now,
            request_id: context.command.request.id.clone(),
            labels: context.command.labels.clone(),
        }),
        held: cost.credits,
        settled: Credits::ZERO,
        expire_time: context.now.plus_nanos(ttl_nanos),
        status: HoldStatus::Open,
    }));
    with_available(account, entry)
}

/// The open hold that a command names.
pub(super) fn open_hold<'a>(
    account: &'a Account,
    named: &Named<HoldId>,
    context: Context<'_>,
) -> Result<&'a OpenHold, Refusal> {
    check_exists(account)?;
    let not_found = || Refusal::HoldNotFound { hold: named.text() };
    let id = named.id().ok_or_else(not_found)?;
    if let Some(open) = account.holds().get(&id) {
        return Ok(open);
    }
    // A hold that was open at the store's lookup can have expired in this decision.
    let mut expired = context.lapsed.iter().filter_map(|e| e.hold.as_deref());
    let closed = match context.referenced {
        Some(Referenced::ClosedHold(hold)) => Some(&**hold),
        Some(Referenced::Archived(opening)) => return Err(opening.refusal(account.name())),
        _ => expired.find(|hold| hold.id == id),
    };
    Err(closed.map_or_else(not_found, |hold| Refusal::HoldClosed {
        hold: named.text(),
        status: hold.status,
    }))
}

pub(super) fn extend(
    account: &Account,
    named: &Named<HoldId>,
    ttl_nanos: i64,
    context: Context<'_>,
) -> Result<Entry, Refusal> {
    let open = open_hold(account, named, context)?;
    let mut entry = account.next_entry(context.now, EntryKind::Extend);
    entry.hold = Some(Arc::new(Hold {
        expire_time: context.now.plus_nanos(ttl_nanos),
        ..Hold::clone(&open.hold)
    }));
    with_available(account, entry)
}

pub(super) fn release(
    account: &Account,
    named: &Named<HoldId>,
    context: Context<'_>,
) -> Result<Entry, Refusal> {
    let open = open_hold(account, named, context)?;
    account
        .release_entry(open.hold.id, HoldStatus::Released, context.now)
        // Held and available credits together never exceed the largest amount.
        .ok_or_else(|| super::pay::too_large(account))
}
