//! Whether an account has enough credits for some costs. The check reserves nothing.

use std::collections::HashMap;
use std::sync::Arc;

use super::account::Account;
use super::entry::GrantTerms;
use crate::domain::amount::{Credits, TooLarge};
use crate::domain::time::Timestamp;

/// Whether an account could pay for some work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Affordability {
    /// What it could spend on this, with grants that are restricted to services.
    pub available: Credits,
    /// How many more unrestricted credits it would need.
    pub shortfall: Credits,
}

impl Affordability {
    /// Whether there is no shortfall.
    #[must_use]
    pub const fn sufficient(&self) -> bool {
        self.shortfall.is_zero()
    }
}

/// What is left of an account's grants at one moment. It is a copy, so that a check of
/// thousands of costs does not hold the account.
#[derive(Clone, Debug)]
pub struct SpendableCredits {
    /// What is left of each grant, in burn order, and its terms.
    grants: Vec<(Credits, Arc<GrantTerms>)>,
}

impl SpendableCredits {
    /// The credits of an account whose due lapses are applied.
    #[must_use]
    pub fn of(account: &Account) -> Self {
        let left = account.grants().filter(|grant| !grant.remaining.is_zero());
        let left = left.map(|grant| (grant.remaining, Arc::clone(&grant.terms)));
        Self {
            grants: left.collect(),
        }
    }

    /// The credits that it could spend on one service.
    #[must_use]
    pub fn of_service(account: &Account, service: &str) -> Self {
        let left = match account.left_for(Some(service)) {
            Some(left) => vec![left],
            None => account.paying(Some(service)).map(|g| g.remaining).collect(),
        };
        // With one service only the sums matter, so all grants can have the same terms.
        let terms = Arc::new(GrantTerms {
            granted: Credits::ZERO,
            priority: 0,
            expire_time: None,
            source: Box::default(),
            services: Vec::new(),
            create_time: Timestamp::MIN,
        });
        let left = left.into_iter().map(|left| (left, Arc::clone(&terms)));
        Self {
            grants: left.collect(),
        }
    }
}

/// Positions of the grants that are restricted to a service, or of those that are not
/// restricted, in burn order.
#[derive(Default)]
struct ServiceGrants {
    positions: Vec<usize>,
    /// All before it are used up.
    first: usize,
}

impl ServiceGrants {
    /// The first of them that is not used up.
    fn next(&mut self, left: &[Credits]) -> Option<usize> {
        while let Some(grant) = self.positions.get(self.first) {
            if left.get(*grant).is_some_and(|left| !left.is_zero()) {
                return Some(*grant);
            }
            self.first = self.first.saturating_add(1);
        }
        None
    }
}

/// A check whether credits suffice for costs, each for its service, if they are charged in order. It
/// is done in parts: thousands of grants, each for a hundred services, take many milliseconds.
pub struct FundsCheck<'a, C> {
    /// What is left of each grant, and its terms.
    grants: std::iter::Enumerate<std::slice::Iter<'a, (Credits, Arc<GrantTerms>)>>,
    costs: C,
    /// What would be left of each grant.
    left: Vec<Credits>,
    unrestricted: ServiceGrants,
    restricted: HashMap<&'a str, ServiceGrants>,
    available: Credits,
    shortfall: Credits,
}

impl<'a, C: Iterator<Item = (&'a str, Credits)> + Clone> FundsCheck<'a, C> {
    /// A check that has not begun.
    #[must_use]
    pub fn new(credits_left: &'a SpendableCredits, costs: C) -> Self {
        let services = costs.clone();
        let services = services.map(|(service, _)| (service, ServiceGrants::default()));
        Self {
            grants: credits_left.grants.iter().enumerate(),
            left: credits_left.grants.iter().map(|(left, _)| *left).collect(),
            unrestricted: ServiceGrants::default(),
            restricted: services.collect(),
            available: Credits::ZERO,
            shortfall: Credits::ZERO,
            costs,
        }
    }

    /// Goes on until about so many grants and services were visited. None: there are more.
    ///
    /// # Errors
    /// [`TooLarge`] where the costs sum to more than the largest amount.
    pub fn advance(&mut self, visits: usize) -> Result<Option<Affordability>, TooLarge> {
        let mut visited = 0_usize;
        while visited < visits {
            if let Some((position, (left, terms))) = self.grants.next() {
                self.sort_grant(position, *left, terms)?;
                visited = visited
                    .saturating_add(terms.services.len())
                    .saturating_add(1);
            } else if let Some((service, cost)) = self.costs.next() {
                visited = visited.saturating_add(self.pay(service, cost)?);
            } else {
                return Ok(Some(Affordability {
                    available: self.available,
                    shortfall: self.shortfall,
                }));
            }
        }
        Ok(None)
    }

    /// Notes for which of the services a grant pays.
    fn sort_grant(
        &mut self,
        position: usize,
        left: Credits,
        terms: &GrantTerms,
    ) -> Result<(), TooLarge> {
        let mut pays = terms.services.is_empty() && !self.restricted.is_empty();
        if pays {
            self.unrestricted.positions.push(position);
        }
        for service in &terms.services {
            if let Some(grants) = self.restricted.get_mut(&**service) {
                grants.positions.push(position);
                pays = true;
            }
        }
        if pays {
            self.available = self.available.checked_add(left)?;
        }
        Ok(())
    }

    /// Takes a cost from the grants; returns how many it visited.
    fn pay(&mut self, service: &str, cost: Credits) -> Result<usize, TooLarge> {
        let mut visited = 1_usize;
        let Some(grants) = self.restricted.get_mut(service) else {
            return Ok(visited);
        };
        let mut due = cost;
        while !due.is_zero() {
            visited = visited.saturating_add(1);
            // The grant that comes first in burn order.
            let next = [self.unrestricted.next(&self.left), grants.next(&self.left)];
            let Some(next) = next.into_iter().flatten().min() else {
                break;
            };
            let Some(remaining) = self.left.get_mut(next) else {
                break;
            };
            let taken = due.min(*remaining);
            *remaining = remaining.checked_sub(taken)?;
            due = due.checked_sub(taken)?;
        }
        self.shortfall = self.shortfall.checked_add(due)?;
        Ok(visited)
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers of a test")]
mod tests {
    use super::*;
    use crate::domain::AccountName;
    use crate::domain::ledger::id::GrantId;
    use crate::domain::ledger::{AccountParts, AccountSettings, GrantState, LastIds};

    const SERVICES: [&str; 4] = ["a", "b", "c", "d"];

    fn credits(nanos: i64) -> Credits {
        Credits::from_nanos(nanos).unwrap()
    }

    /// An account with grants of all kinds, determined by the seed.
    fn account(seed: usize, grants: usize) -> Account {
        let grant = |number: usize| {
            let mixed = (number + 1) * (seed + 3) * 7_919;
            let services = match mixed % 3 {
                0 => Vec::new(),
                1 => vec![SERVICES[mixed / 3 % 4].into()],
                _ => SERVICES[mixed / 3 % 3..]
                    .iter()
                    .map(|&s| s.into())
                    .collect(),
            };
            GrantState {
                id: GrantId(i64::try_from(number).unwrap()),
                terms: Arc::new(GrantTerms {
                    granted: credits(100),
                    priority: i32::try_from(mixed % 5).unwrap(),
                    expire_time: None,
                    source: "".into(),
                    services,
                    create_time: Timestamp::from_unix_nanos(0),
                }),
                remaining: credits(i64::try_from(mixed % 7).unwrap()),
                held: Credits::ZERO,
                revoked: false,
            }
        };
        Account::from_parts(AccountParts {
            name: AccountName::new("team-a").unwrap(),
            last: LastIds::default(),
            last_time: Timestamp::from_unix_nanos(0),
            create_time: Some(Timestamp::from_unix_nanos(0)),
            settings: AccountSettings::default(),
            grants: (0..grants).map(grant).collect(),
            holds: Vec::new(),
        })
        .unwrap()
    }

    /// The simple way: each cost takes from the first grants that may pay.
    fn simple_check(account: &Account, costs: &[(&str, Credits)]) -> Affordability {
        let mut left: Vec<_> = account.grants().cloned().collect();
        let pays = |grant: &&GrantState| {
            costs
                .iter()
                .any(|(service, _)| grant.terms.pays_for(Some(service)))
        };
        let available: i64 = left.iter().filter(pays).map(|g| g.remaining.nanos()).sum();
        let mut shortfall = 0;
        for (service, cost) in costs {
            let mut due = cost.nanos();
            for grant in left.iter_mut().filter(|g| g.terms.pays_for(Some(service))) {
                let taken = due.min(grant.remaining.nanos());
                grant.remaining = credits(grant.remaining.nanos() - taken);
                due -= taken;
            }
            shortfall += due;
        }
        Affordability {
            available: credits(available),
            shortfall: credits(shortfall),
        }
    }

    /// The check in parts of so many visits.
    fn check_funds(
        credits_left: &SpendableCredits,
        costs: &[(&str, Credits)],
        visits: usize,
    ) -> Affordability {
        let mut check = FundsCheck::new(credits_left, costs.iter().copied());
        loop {
            if let Some(found) = check.advance(visits).unwrap() {
                return found;
            }
        }
    }

    /// Thousands of grants do not count as one visit, and the costs go on where the grants end.
    #[test]
    fn a_part_of_a_check_visits_about_as_much_as_it_may() {
        let credits_left = SpendableCredits::of(&account(3, 4_000));
        let costs = [("a", Credits::ONE), ("b", Credits::ONE)];
        let mut check = FundsCheck::new(&credits_left, costs.iter().copied());
        let mut parts = 0;
        while check.advance(500).unwrap().is_none() {
            parts += 1;
        }
        assert!((6..40).contains(&parts), "{parts} parts");
    }

    #[test]
    fn what_can_be_paid_is_what_charges_in_order_would_pay() {
        for seed in 0..200 {
            let account = account(seed, seed);
            let costs: Vec<_> = (0..seed % 9)
                .map(|n| {
                    (
                        SERVICES[n * (seed + 1) % 4],
                        credits(i64::try_from(n * seed).unwrap()),
                    )
                })
                .collect();
            let expected = simple_check(&account, &costs);
            for visits in [1, 7, usize::MAX] {
                let found = check_funds(&SpendableCredits::of(&account), &costs, visits);
                assert_eq!(found, expected, "{seed}");
            }
            for service in SERVICES.into_iter().chain(["none"]) {
                let one: Vec<_> = costs.iter().map(|(_, cost)| (service, *cost)).collect();
                let credits_left = SpendableCredits::of_service(&account, service);
                let found = check_funds(&credits_left, &one, usize::MAX);
                let expected = simple_check(&account, &one);
                assert_eq!(found.shortfall, expected.shortfall, "{seed} {service}");
                if !one.is_empty() {
                    assert_eq!(found.available, expected.available, "{seed} {service}");
                }
            }
        }
    }
}
