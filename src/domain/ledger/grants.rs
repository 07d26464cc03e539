//! The grants of an account that have something left or held, in the order in
//! which they burn.

use std::collections::VecDeque;
use std::sync::Arc;

use super::entry::{GrantFacts, GrantTerms};
use super::id::GrantId;
use super::payers::Payers;
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

/// From so many grants on there is an index of who pays for what, until there are less
/// than half. To walk along fewer is faster.
const INDEXED_FROM: usize = 64;

/// Grants in the order in which they burn. Those that are used up go from the
/// front and new ones come at the end, mostly.
#[derive(Clone, Debug)]
pub(super) struct Grants {
    order: VecDeque<GrantState>,
    payers: Option<Box<Payers>>,
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
            payers: None,
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

    /// Where a grant stands. Without an index it is looked for from a place outwards: the
    /// grants of one entry stand close to each other.
    pub(super) fn find(&self, id: GrantId, near: usize) -> Option<usize> {
        if let Some(payers) = &self.payers {
            return self.find_key(payers.place(id)?);
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

    /// For changes of anything but what is left of it.
    pub(super) fn at_mut(&mut self, position: usize) -> Option<&mut GrantState> {
        self.order.get_mut(position)
    }

    /// Sets what is left of a grant.
    pub(super) fn set_remaining(&mut self, position: usize, remaining: Credits) -> Option<()> {
        let grant = self.order.get_mut(position)?;
        let before = std::mem::replace(&mut grant.remaining, remaining);
        if let Some(payers) = &mut self.payers
            && payers.change(grant, before).is_none()
        {
            self.payers = None;
        }
        Some(())
    }

    /// Adds a grant where it belongs; where that is.
    pub(super) fn insert(&mut self, grant: GrantState) -> usize {
        let key = grant.burn_key();
        let at = self.order.partition_point(|other| other.burn_key() < key);
        if let Some(payers) = &mut self.payers
            && payers.insert(&grant).is_none()
        {
            self.payers = None;
        }
        self.order.insert(at, grant);
        if self.payers.is_none() && self.order.len() == INDEXED_FROM {
            self.payers = Payers::of(self.order.iter()).map(Box::new);
        }
        at
    }

    /// Takes a grant out where nothing is left of it.
    pub(super) fn drop_if_used_up(&mut self, position: usize) {
        if self.order.get(position).is_none_or(GrantState::is_live) {
            return;
        }
        let gone = self.order.remove(position);
        if self.order.len() < INDEXED_FROM.div_euclid(2) {
            self.payers = None;
        } else if let (Some(payers), Some(gone)) = (&mut self.payers, gone) {
            payers.remove(gone.id);
        }
    }

    /// Those that pay for a service and have something left, as they burn.
    pub(super) fn paying<'a>(
        &'a self,
        service: Option<&'a str>,
    ) -> impl Iterator<Item = &'a GrantState> {
        let pays =
            move |grant: &&GrantState| !grant.remaining.is_zero() && grant.terms.pays_for(service);
        let (few, many) = match &self.payers {
            None => (Some(self.order.iter().filter(pays)), None),
            Some(payers) => (None, Some(payers.paying(service))),
        };
        let many = many.into_iter().flatten();
        let many = many.filter_map(|key| self.at(self.find_key(key)?));
        few.into_iter().flatten().chain(many)
    }

    /// How much all of those have, where there is an index that knows.
    pub(super) fn left_for(&self, service: Option<&str>) -> Option<Credits> {
        self.payers.as_ref()?.left_for(service)
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

    /// What the index says is what a walk along the grants says.
    #[test]
    fn the_index_says_what_a_walk_says() {
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
            indexed += usize::from(grants.payers.is_some());
            for service in [None, Some("a"), Some("d"), Some("none")] {
                let plain = Grants {
                    order: grants.order.clone(),
                    payers: None,
                };
                let walked: Vec<_> = plain.paying(service).map(|grant| grant.id).collect();
                let found: Vec<_> = grants.paying(service).map(|grant| grant.id).collect();
                assert_eq!(found, walked, "{number} {service:?}");
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
            indexed > 1_000 && grants.payers.is_none(),
            "{indexed}, {}",
            grants.len()
        );
    }
}
