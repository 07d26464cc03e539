//! An index of grants by the services that they pay for. An account with many grants has it, so
//! that a charge does not scan grants for other services, or grants of which everything is
//! held. Its maps are persistent: a copy shares all of them, and a change copies a few nodes.

use std::iter::Peekable;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use super::grants::{BurnKey, GrantState};
use super::id::GrantId;
use crate::domain::amount::Credits;

/// The index of one account's grants.
#[derive(Clone, Debug)]
pub(super) struct GrantIndex {
    /// The burn keys of all grants, also of those of which nothing is left.
    keys_by_id: OrdMap<GrantId, BurnKey>,
    /// Grants that pay for every service.
    unrestricted: GrantSet,
    /// Grants that are restricted to some services, under each of them.
    by_service: OrdMap<Arc<str>, GrantSet>,
}

/// Grants with something left, in burn order.
#[derive(Clone, Debug)]
struct GrantSet {
    keys: OrdSet<BurnKey>,
    /// The sum of what is left of them; None after an overflow.
    left: Option<Credits>,
}

impl GrantSet {
    fn new() -> Self {
        Self {
            keys: OrdSet::new(),
            left: Some(Credits::ZERO),
        }
    }

    fn change(&mut self, grant: &GrantState, before: Credits) {
        let rest = self.left.and_then(|left| left.checked_sub(before).ok());
        self.left = rest.and_then(|rest| rest.checked_add(grant.remaining).ok());
        match (before.is_zero(), grant.remaining.is_zero()) {
            (false, true) => drop(self.keys.remove(&grant.burn_key())),
            (true, false) => drop(self.keys.insert(grant.burn_key())),
            _ => {}
        }
    }
}

impl GrantIndex {
    /// The index of these grants.
    pub(super) fn of<'a>(grants: impl Iterator<Item = &'a GrantState>) -> Self {
        let mut index = Self {
            keys_by_id: OrdMap::new(),
            unrestricted: GrantSet::new(),
            by_service: OrdMap::new(),
        };
        for grant in grants {
            index.insert(grant);
        }
        index
    }

    /// Adds a grant.
    pub(super) fn insert(&mut self, grant: &GrantState) {
        self.keys_by_id.insert(grant.id, grant.burn_key());
        self.change(grant, Credits::ZERO);
    }

    /// Removes a grant of which nothing is left.
    pub(super) fn remove(&mut self, grant: GrantId) {
        self.keys_by_id.remove(&grant);
    }

    /// Updates the index after a change of a grant, of which `before` was left.
    pub(super) fn change(&mut self, grant: &GrantState, before: Credits) {
        if grant.remaining == before {
            return;
        }
        if grant.terms.services.is_empty() {
            self.unrestricted.change(grant, before);
        }
        for service in &grant.terms.services {
            if let Some(set) = self.by_service.get_mut(&**service) {
                set.change(grant, before);
                if set.keys.is_empty() {
                    self.by_service.remove(&**service);
                }
            } else {
                let mut set = GrantSet::new();
                set.change(grant, before);
                self.by_service.insert(Arc::from(&**service), set);
            }
        }
    }

    /// The burn key of a grant.
    pub(super) fn key(&self, grant: GrantId) -> Option<BurnKey> {
        self.keys_by_id.get(&grant).copied()
    }

    /// What is left of all grants that pay for a service.
    pub(super) fn left_for(&self, service: Option<&str>) -> Option<Credits> {
        let set = service.and_then(|service| self.by_service.get(service));
        let restricted = set.map_or(Some(Credits::ZERO), |set| set.left);
        self.unrestricted.left?.checked_add(restricted?).ok()
    }

    /// Grants that pay for a service and have something left, in burn order.
    pub(super) fn paying(&self, service: Option<&str>) -> impl Iterator<Item = BurnKey> {
        let set = service.and_then(|service| self.by_service.get(service));
        let restricted = set.into_iter().flat_map(|set| set.keys.iter().copied());
        Merged {
            one: self.unrestricted.keys.iter().copied().peekable(),
            other: restricted.peekable(),
        }
    }
}

/// Merges two sorted iterators.
struct Merged<A: Iterator, B: Iterator> {
    one: Peekable<A>,
    other: Peekable<B>,
}

impl<A, B> Iterator for Merged<A, B>
where
    A: Iterator<Item = BurnKey>,
    B: Iterator<Item = BurnKey>,
{
    type Item = BurnKey;

    fn next(&mut self) -> Option<BurnKey> {
        match (self.one.peek(), self.other.peek()) {
            (Some(one), Some(other)) if other < one => self.other.next(),
            (Some(_), _) => self.one.next(),
            (None, _) => self.other.next(),
        }
    }
}
