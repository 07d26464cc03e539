//! Whether an account could pay. It reserves nothing.

use std::collections::HashMap;

use super::account::Account;
use crate::domain::amount::{Credits, TooLarge};

/// Whether an account could pay for some work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Affordability {
    /// What it could spend on this, restricted grants considered.
    pub available: Credits,
    /// How many more unrestricted credits it would take.
    pub shortfall: Credits,
}

impl Affordability {
    /// Whether nothing is missing.
    #[must_use]
    pub const fn sufficient(&self) -> bool {
        self.shortfall.is_zero()
    }
}

/// Whether the account, from which everything that has expired has left, could
/// pay these costs, each for its service, as if they were charged in order.
///
/// # Errors
/// [`TooLarge`] where the costs sum to more than the largest amount.
pub fn afford<'a>(
    account: &Account,
    costs: impl IntoIterator<Item = (&'a str, Credits)>,
) -> Result<Affordability, TooLarge> {
    let mut left: Vec<Credits> = account.grants().map(|g| g.remaining).collect();
    let mut counted = vec![false; left.len()];
    // For each service the grants that may pay, and the first that is not used up.
    let mut payers: HashMap<&str, (Vec<usize>, usize)> = HashMap::new();
    let mut available = Credits::ZERO;
    let mut shortfall = Credits::ZERO;

    for (service, cost) in costs {
        if !payers.contains_key(service) {
            let mut grants = Vec::new();
            for (position, grant) in account.grants().enumerate() {
                if !grant.terms.pays_for(Some(service)) {
                    continue;
                }
                grants.push(position);
                if let Some(counted) = counted.get_mut(position)
                    && !std::mem::replace(counted, true)
                {
                    available = available.checked_add(grant.remaining)?;
                }
            }
            payers.insert(service, (grants, 0));
        }
        let Some((grants, first)) = payers.get_mut(service) else {
            continue;
        };
        let mut due = cost;
        while let Some(remaining) = grants.get(*first).and_then(|g| left.get_mut(*g)) {
            let taken = due.min(*remaining);
            *remaining = remaining.checked_sub(taken)?;
            due = due.checked_sub(taken)?;
            if due.is_zero() {
                break;
            }
            *first = first.saturating_add(1);
        }
        shortfall = shortfall.checked_add(due)?;
    }
    Ok(Affordability {
        available,
        shortfall,
    })
}
