//! Settlements: work is paid for out of a hold.

use std::collections::HashMap;
use std::sync::Arc;

use super::hold::open_hold;
use super::pay::{paid_share, pay, too_large, with_available};
use super::{Context, copy_cost};
use crate::domain::amount::{Credits, TooLarge};
use crate::domain::ledger::account::Account;
use crate::domain::ledger::command::{Cost, Overage, Priced};
use crate::domain::ledger::entry::{Entry, EntryKind, GrantShare};
use crate::domain::ledger::hold::{Hold, HoldStatus, OpenHold};
use crate::domain::ledger::id::{GrantId, HoldId, Named};
use crate::domain::refusal::Refusal;

/// The options of a settlement.
#[derive(Clone, Copy)]
pub(super) struct SettleOptions {
    pub(super) keep_open: bool,
    pub(super) overage: Overage,
}

pub(super) fn settle(
    account: &Account,
    named: &Named<HoldId>,
    priced: &Priced,
    options: SettleOptions,
    context: Context<'_>,
) -> Result<Entry, Refusal> {
    let cost = priced.as_ref().map_err(Refusal::clone)?;
    let open = open_hold(account, named, context)?;
    let hold = &open.hold;
    check_service(named, hold, cost)?;
    // An amount without a service counts as the service of the hold.
    let service = cost.service.clone().or_else(|| hold.terms.service.clone());

    let beyond = match cost.credits > hold.held {
        true if options.overage == Overage::Reject => {
            return Err(Refusal::HoldExceeded {
                hold: named.text(),
                required: cost.credits,
                held: hold.held,
            });
        }
        true => cost.credits.checked_sub(hold.held),
        false => Ok(Credits::ZERO),
    };
    let beyond = beyond.map_err(|TooLarge| too_large(account))?;
    let overage = pay(account, service.as_deref(), beyond)?;

    let arithmetic = |TooLarge| too_large(account);
    let mut shares = from_hold(open, cost.credits, options.keep_open).map_err(arithmetic)?;
    add_overage(&mut shares, overage).map_err(arithmetic)?;
    let mut entry = account.next_entry(context.now, EntryKind::Settle);
    for share in &shares {
        entry.credits = entry
            .credits
            .checked_add(share.credits)
            .map_err(arithmetic)?;
        entry.held = entry.held.checked_add(share.held).map_err(arithmetic)?;
    }
    entry.spent = cost.credits;
    entry.shares = shares;
    copy_cost(&mut entry, cost);
    entry.service = service;
    entry.hold = Some(Arc::new(Hold {
        held: hold.held.checked_add(entry.held).map_err(arithmetic)?,
        settled: hold.settled.checked_add(cost.credits).map_err(arithmetic)?,
        status: match options.keep_open {
            true => HoldStatus::Open,
            false => HoldStatus::Settled,
        },
        ..Hold::clone(hold)
    }));
    with_available(account, entry)
}

fn check_service(named: &Named<HoldId>, hold: &Hold, cost: &Cost) -> Result<(), Refusal> {
    match (&hold.terms.service, &cost.service) {
        (Some(made_for), Some(service)) if made_for != service => {
            Err(Refusal::HoldServiceMismatch {
                hold: named.text(),
                hold_service: made_for.clone(),
                service: service.clone(),
            })
        }
        _ => Ok(()),
    }
}

/// Adds what available credits pay beyond the hold. A grant has one share, also if the hold has
/// credits of it too.
fn add_overage(
    shares: &mut Vec<GrantShare>,
    overage: Vec<(GrantId, Credits)>,
) -> Result<(), TooLarge> {
    if overage.is_empty() {
        return Ok(());
    }
    let positions = shares
        .iter()
        .enumerate()
        .map(|(at, share)| (share.grant, at));
    let positions: HashMap<GrantId, usize> = positions.collect();
    for part in overage {
        let extra = paid_share(part);
        match positions
            .get(&extra.grant)
            .and_then(|at| shares.get_mut(*at))
        {
            Some(share) => share.credits = share.credits.checked_add(extra.credits)?,
            None => shares.push(extra),
        }
    }
    Ok(())
}

/// What the hold pays of a cost, in burn order, and what it returns unless it stays open.
fn from_hold(open: &OpenHold, cost: Credits, keep_open: bool) -> Result<Vec<GrantShare>, TooLarge> {
    let mut due = cost;
    let mut shares = Vec::with_capacity(open.shares.len());
    for (grant, amount) in &open.shares {
        let paid = due.min(*amount);
        due = due.checked_sub(paid)?;
        let share = match keep_open {
            true if paid.is_zero() => continue,
            true => GrantShare {
                grant: *grant,
                credits: Credits::ZERO,
                held: paid.negated(),
            },
            false => GrantShare {
                grant: *grant,
                credits: amount.checked_sub(paid)?,
                held: amount.negated(),
            },
        };
        shares.push(share);
    }
    Ok(shares)
}
