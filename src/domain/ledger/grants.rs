//! The grants of an account that have something left or held, in the order in
//! which they burn.

use std::collections::VecDeque;
use std::sync::Arc;

use super::entry::{GrantFacts, GrantTerms};
use super::grant_index::GrantIndex;
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
    /// Credits that are neither spent nor held.
    pub remaining: Credits,
    /// Credits that holds set aside.
    pub held: Credits,
    /// Whether it was revoked: then what returns to it lapses at once.
    pub revoked: bool,
}

/// The burn order of grants: lower priority first, then the soonest to expire, then the oldest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BurnKey {
    priority: i32,
    never_expires: bool,
    expires: Option<Timestamp>,
    id: GrantId,
}

impl GrantState {
    /// A grant with nothing left and nothing held.
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

    /// When what is left of it lapses.
    pub(super) fn due(&self) -> Option<Timestamp> {
        match self.remaining.is_zero() {
            true => None,
            // What returns to a revoked grant lapses at once.
            false if self.revoked => Some(Timestamp::MIN),
            false => self.terms.expire_time,
        }
    }

    fn is_live(&self) -> bool {
        !(self.remaining.is_zero() && self.held.is_zero())
    }
}

/// From so many grants on there is an index, until there are fewer than half as many. A scan of
/// fewer grants is faster.
const INDEXED_FROM: usize = 64;

/// Grants in burn order. Mostly they are removed at the front and added at the end.
#[derive(Clone, Debug)]
pub(super) struct Grants {
    order: VecDeque<GrantState>,
    index: Option<Box<GrantIndex>>,
}

impl PartialEq for Grants {
    fn eq(&self, other: &Self) -> bool {
        // The index follows from the grants.
        self.order == other.order
    }
}

impl Eq for Grants {}

impl Grants {
    pub(super) const fn new() -> Self {
        Self {
            order: VecDeque::new(),
            index: None,
        }
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &GrantState> + ExactSizeIterator {
        self.order.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn get(&self, id: GrantId) -> Option<&GrantState> {
        self.at(self.find(id, 0)?)
    }

    /// The position of a grant. Without an index the search goes outwards from `near`, since the
    /// grants of one entry are close to each other.
    pub(super) fn find(&self, id: GrantId, near: usize) -> Option<usize> {
        if let Some(index) = &self.index {
            return self.find_key(index.key(id)?);
        }
        let is_it = |position: &usize| self.order.get(*position).is_some_and(|g| g.id == id);
        let near = near.min(self.order.len());
        let mut after = near..self.order.len();
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
        self.order
            .binary_search_by_key(&key, GrantState::burn_key)
            .ok()
    }

    pub(super) fn at(&self, position: usize) -> Option<&GrantState> {
        self.order.get(position)
    }

    /// For changes of anything but `remaining`, which the index depends on.
    pub(super) fn at_mut(&mut self, position: usize) -> Option<&mut GrantState> {
        self.order.get_mut(position)
    }

    /// Sets what is left of a grant.
    pub(super) fn set_remaining(&mut self, position: usize, remaining: Credits) -> Option<()> {
        let grant = self.order.get_mut(position)?;
        let before = std::mem::replace(&mut grant.remaining, remaining);
        if let Some(index) = &mut self.index
            && index.change(grant, before).is_none()
        {
            self.index = None;
        }
        Some(())
    }

    /// Adds a grant at its position, which is returned.
    pub(super) fn insert(&mut self, grant: GrantState) -> usize {
        let key = grant.burn_key();
        let at = self.order.partition_point(|other| other.burn_key() < key);
        if let Some(index) = &mut self.index
            && index.insert(&grant).is_none()
        {
            self.index = None;
        }
        self.order.insert(at, grant);
        if self.index.is_none() && self.order.len() == INDEXED_FROM {
            self.index = GrantIndex::of(self.order.iter()).map(Box::new);
        }
        at
    }

    /// Removes a grant of which nothing is left or held.
    pub(super) fn drop_if_used_up(&mut self, position: usize) {
        if self.order.get(position).is_none_or(GrantState::is_live) {
            return;
        }
        let gone = self.order.remove(position);
        if self.order.len() < INDEXED_FROM.div_euclid(2) {
            self.index = None;
        } else if let (Some(index), Some(gone)) = (&mut self.index, gone) {
            index.remove(gone.id);
        }
    }

    /// Grants that pay for a service and have something left, in burn order.
    pub(super) fn paying<'a>(
        &'a self,
        service: Option<&'a str>,
    ) -> impl Iterator<Item = &'a GrantState> {
        let pays =
            move |grant: &&GrantState| !grant.remaining.is_zero() && grant.terms.pays_for(service);
        let (few, many) = match &self.index {
            None => (Some(self.order.iter().filter(pays)), None),
            Some(index) => (None, Some(index.paying(service))),
        };
        let many = many.into_iter().flatten();
        let many = many.filter_map(|key| self.at(self.find_key(key)?));
        few.into_iter().flatten().chain(many)
    }

    /// What is left of all of those, if there is an index.
    pub(super) fn left_for(&self, service: Option<&str>) -> Option<Credits> {
        self.index.as_ref()?.left_for(service)
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers of a test")]
mod tests {
    use super::*;

    const SERVICES: [&str; 4] = ["a", "b", "c", "d"];

    fn credits(nanos: i64) -> Credits {
        Credits::from_nanos(nanos).unwrap()
    }

    fn grant(number: i64) -> GrantState {
        let of = |at: i64| SERVICES[usize::try_from(at.rem_euclid(4)).unwrap()];
        let mut services: Vec<Box<str>> = match number % 5 {
            0 => Vec::new(),
            1 => vec![of(number / 5).into()],
            _ => vec![of(number / 5).into(), of(number / 5 + number % 5).into()],
        };
        services.sort_unstable();
        services.dedup();
        let terms = GrantTerms {
            granted: credits(100),
            priority: i32::try_from(number * 7 % 3).unwrap(),
            expire_time: (number % 2 == 0).then(|| Timestamp::from_unix_nanos(number * 31 % 17)),
            source: "".into(),
            services,
            create_time: Timestamp::from_unix_nanos(0),
        };
        GrantState {
            id: GrantId(number),
            terms: Arc::new(terms),
            remaining: credits(number % 4 * 10),
            held: credits(1),
            revoked: false,
        }
    }

    /// The index gives the same answers as a scan of the grants.
    #[test]
    fn the_index_agrees_with_a_scan() {
        let mut grants = Grants::new();
        let mut indexed = 0;
        for number in 0..3_000_i64 {
            let next = number * 7_919 % 3_001;
            if number % 3 != 0 || number > 2_500 {
                let position = usize::try_from(next).unwrap() % grants.len().max(1);
                grants.set_remaining(position, credits(next % 3 * 5));
                if (next % 4 == 0 || number > 2_500) && grants.len() > 10 {
                    grants.set_remaining(position, Credits::ZERO);
                    grants.at_mut(position).unwrap().held = Credits::ZERO;
                    grants.drop_if_used_up(position);
                }
            } else {
                grants.insert(grant(number));
            }
            indexed += usize::from(grants.index.is_some());
            for service in [None, Some("a"), Some("d"), Some("none")] {
                let plain = Grants {
                    order: grants.order.clone(),
                    index: None,
                };
                let scanned: Vec<_> = plain.paying(service).map(|grant| grant.id).collect();
                let found: Vec<_> = grants.paying(service).map(|grant| grant.id).collect();
                assert_eq!(found, scanned, "{number} {service:?}");
                if let Some(left) = grants.left_for(service) {
                    let sum = plain.paying(service).map(|grant| grant.remaining.nanos());
                    assert_eq!(left.nanos(), sum.sum::<i64>());
                }
            }
            let some = usize::try_from(next).unwrap() % grants.len().max(1);
            if let Some(grant) = grants.at(some) {
                assert_eq!(grants.find(grant.id, 0), Some(some));
            }
        }
        assert!(
            indexed > 1_000 && grants.index.is_none(),
            "{indexed}, {}",
            grants.len()
        );
    }
}
