//! The grants of an account that have something left or held, in the order in
//! which they burn.

use std::collections::VecDeque;
use std::sync::Arc;

use super::entry::{GrantFacts, GrantTerms};
use super::id::GrantId;
use crate::domain::amount::Credits;
use crate::domain::time::Timestamp;

/// A grant that has something left or held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantState {
    /// The grant.
    pub id: GrantId,
    /// Its terms.
    pub terms: Arc<GrantTerms>,
    /// Neither spent nor held.
    pub remaining: Credits,
    /// Set aside.
    pub held: Credits,
    /// Whether what returns to it leaves at once.
    pub revoked: bool,
}

/// Where a grant stands in the order: lower priority first, then the soonest to
/// expire, then the oldest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BurnKey {
    priority: i32,
    never_expires: bool,
    expires: Option<Timestamp>,
    id: GrantId,
}

impl GrantState {
    /// A grant of which there is nothing.
    pub(super) fn empty(facts: &GrantFacts) -> Self {
        Self {
            id: facts.id,
            terms: Arc::clone(&facts.terms),
            remaining: Credits::ZERO,
            held: Credits::ZERO,
            revoked: facts.revoked,
        }
    }

    pub(super) fn burn_key(&self) -> BurnKey {
        BurnKey {
            priority: self.terms.priority,
            never_expires: self.terms.expire_time.is_none(),
            expires: self.terms.expire_time,
            id: self.id,
        }
    }

    /// When what is left of it leaves.
    pub(super) fn due(&self) -> Option<Timestamp> {
        match self.remaining.is_zero() {
            true => None,
            // What returned to it leaves as soon as anybody looks.
            false if self.revoked => Some(Timestamp::MIN),
            false => self.terms.expire_time,
        }
    }

    fn is_live(&self) -> bool {
        !(self.remaining.is_zero() && self.held.is_zero())
    }
}

/// Grants in the order in which they burn. Those that are used up go from the
/// front and new ones come at the end, mostly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grants(VecDeque<GrantState>);

impl Grants {
    pub(super) const fn new() -> Self {
        Self(VecDeque::new())
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &GrantState> + ExactSizeIterator {
        self.0.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, id: GrantId) -> Option<&GrantState> {
        self.0.iter().find(|grant| grant.id == id)
    }

    /// Where a grant stands. It is looked for from a place outwards: the grants of one
    /// entry stand close to each other.
    pub(super) fn find(&self, id: GrantId, near: usize) -> Option<usize> {
        let is_it = |position: &usize| self.0.get(*position).is_some_and(|g| g.id == id);
        let near = near.min(self.0.len());
        let mut after = near..self.0.len();
        let mut before = (0..near).rev();
        loop {
            let pair = [after.next(), before.next()];
            if pair == [None, None] {
                return None;
            }
            if let Some(found) = pair.into_iter().flatten().find(is_it) {
                return Some(found);
            }
        }
    }

    pub(super) fn find_key(&self, key: BurnKey) -> Option<usize> {
        self.0.binary_search_by_key(&key, GrantState::burn_key).ok()
    }

    pub(super) fn at(&self, position: usize) -> Option<&GrantState> {
        self.0.get(position)
    }

    pub(super) fn at_mut(&mut self, position: usize) -> Option<&mut GrantState> {
        self.0.get_mut(position)
    }

    /// Adds a grant where it belongs; where that is.
    pub(super) fn insert(&mut self, grant: GrantState) -> usize {
        let key = grant.burn_key();
        let at = self.0.partition_point(|other| other.burn_key() < key);
        self.0.insert(at, grant);
        at
    }

    /// Takes a grant out where nothing is left of it.
    pub(super) fn drop_if_used_up(&mut self, position: usize) {
        if self.0.get(position).is_some_and(|grant| !grant.is_live()) {
            self.0.remove(position);
        }
    }
}
