//! Which grants pay for what. An account with many grants has this index, so that a
//! charge does not look at all the others: at those for other services, or of which
//! everything is held.

use std::collections::{BTreeSet, HashMap};
use std::iter::Peekable;

use super::grants::{BurnKey, GrantState};
use super::id::GrantId;
use crate::domain::amount::Credits;

/// The index.
#[derive(Clone, Debug)]
pub(super) struct Payers {
    /// Where each grant stands, also those of which nothing is left.
    places: HashMap<GrantId, BurnKey>,
    /// Those that pay for everything.
    any: Line,
    /// Those that are for some services, under each of them.
    of: HashMap<Box<str>, Line>,
}

/// Grants with something left.
#[derive(Clone, Debug)]
struct Line {
    keys: BTreeSet<BurnKey>,
    /// How much that is.
    left: Credits,
}

impl Line {
    const EMPTY: Self = Self {
        keys: BTreeSet::new(),
        left: Credits::ZERO,
    };

    fn change(&mut self, grant: &GrantState, before: Credits) -> Option<()> {
        self.left = self.left.checked_sub(before).ok()?;
        self.left = self.left.checked_add(grant.remaining).ok()?;
        match grant.remaining.is_zero() {
            true => self.keys.remove(&grant.burn_key()),
            false => self.keys.insert(grant.burn_key()),
        };
        Some(())
    }
}

impl Payers {
    /// The index of these grants.
    pub(super) fn of<'a>(grants: impl Iterator<Item = &'a GrantState>) -> Option<Self> {
        let mut payers = Self {
            places: HashMap::new(),
            any: Line::EMPTY,
            of: HashMap::new(),
        };
        for grant in grants {
            payers.insert(grant)?;
        }
        Some(payers)
    }

    /// Adds a grant. None where the index is not to be used any more.
    pub(super) fn insert(&mut self, grant: &GrantState) -> Option<()> {
        self.places.insert(grant.id, grant.burn_key());
        self.change(grant, Credits::ZERO)
    }

    /// Takes out a grant of which nothing is left.
    pub(super) fn remove(&mut self, grant: GrantId) {
        self.places.remove(&grant);
    }

    /// Follows a grant, of which so much was left before.
    pub(super) fn change(&mut self, grant: &GrantState, before: Credits) -> Option<()> {
        if grant.remaining == before {
            return Some(());
        }
        if grant.terms.services.is_empty() {
            return self.any.change(grant, before);
        }
        for service in &grant.terms.services {
            let line = match self.of.get_mut(service) {
                Some(line) => line,
                None => self.of.entry(service.clone()).or_insert(Line::EMPTY),
            };
            line.change(grant, before)?;
            if line.keys.is_empty() {
                self.of.remove(service);
            }
        }
        Some(())
    }

    /// Where a grant stands.
    pub(super) fn place(&self, grant: GrantId) -> Option<BurnKey> {
        self.places.get(&grant).copied()
    }

    /// How much is left of all that pay for a service.
    pub(super) fn left_for(&self, service: Option<&str>) -> Option<Credits> {
        let line = service.and_then(|service| self.of.get(service));
        let restricted = line.map_or(Credits::ZERO, |line| line.left);
        self.any.left.checked_add(restricted).ok()
    }

    /// Those that pay for a service and have something left, as they burn.
    pub(super) fn paying(&self, service: Option<&str>) -> impl Iterator<Item = BurnKey> {
        let line = service.and_then(|service| self.of.get(service));
        let restricted = line.into_iter().flat_map(|line| line.keys.iter().copied());
        Merged {
            one: self.any.keys.iter().copied().peekable(),
            other: restricted.peekable(),
        }
    }
}

/// Two sorted lists as one.
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
