//! The grants of an account that have something left or held, in the order in
//! which they burn.

use std::collections::VecDeque;
use std::sync::Arc;

use imbl::OrdMap;

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

/// From so many grants on they are in [`ManyGrants`], until there are fewer than half as many. A
/// scan of fewer grants is faster, and they take less memory in a list.
const MANY_FROM: usize = 64;

/// Grants in burn order. Mostly they are removed at the front and added at the end.
#[derive(Clone, Debug)]
pub(super) enum Grants {
    Few(VecDeque<GrantState>),
    Many(Box<ManyGrants>),
}

/// Many grants, in persistent maps: a reader has an account as it was, and a write copies a few
/// nodes of the maps instead of thousands of grants.
#[derive(Clone, Debug)]
pub(super) struct ManyGrants {
    by_key: OrdMap<BurnKey, GrantState>,
    index: GrantIndex,
}

/// Where a grant is, until another one is added or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    At(usize),
    Key(BurnKey),
}

impl PartialEq for Grants {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Grants {}

impl Grants {
    pub(super) const fn new() -> Self {
        Self::Few(VecDeque::new())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &GrantState> {
        let (few, many) = match self {
            Self::Few(order) => (Some(order.iter()), None),
            Self::Many(many) => (None, Some(many.by_key.values())),
        };
        let many = many.into_iter().flatten();
        few.into_iter().flatten().chain(many)
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(order) => order.len(),
            Self::Many(many) => many.by_key.len(),
        }
    }

    pub(super) fn get(&self, id: GrantId) -> Option<&GrantState> {
        self.at(self.find(id, None)?)
    }

    /// The place of a grant. Among few the search goes outwards from `near`, since the grants of
    /// one entry are close to each other.
    pub(super) fn find(&self, id: GrantId, near: Option<Place>) -> Option<Place> {
        let order = match self {
            Self::Few(order) => order,
            Self::Many(many) => return many.index.key(id).map(Place::Key),
        };
        let is_it = |position: &usize| order.get(*position).is_some_and(|g| g.id == id);
        let near = match near {
            Some(Place::At(near)) => near.min(order.len()),
            _ => 0,
        };
        let mut after = near..order.len();
        let mut before = (0..near).rev();
        loop {
            let pair = [after.next(), before.next()];
            if pair == [None, None] {
                return None;
            }
            if let Some(found) = pair.into_iter().flatten().find(is_it) {
                return Some(Place::At(found));
            }
        }
    }

    pub(super) fn find_key(&self, key: BurnKey) -> Option<Place> {
        match self {
            Self::Few(order) => {
                let found = order.binary_search_by_key(&key, GrantState::burn_key);
                found.ok().map(Place::At)
            }
            Self::Many(many) => many.by_key.contains_key(&key).then_some(Place::Key(key)),
        }
    }

    pub(super) fn at(&self, place: Place) -> Option<&GrantState> {
        match (self, place) {
            (Self::Few(order), Place::At(position)) => order.get(position),
            (Self::Many(many), Place::Key(key)) => many.by_key.get(&key),
            _ => None,
        }
    }

    /// For changes of anything but `remaining`, which the index depends on.
    pub(super) fn at_mut(&mut self, place: Place) -> Option<&mut GrantState> {
        match (self, place) {
            (Self::Few(order), Place::At(position)) => order.get_mut(position),
            (Self::Many(many), Place::Key(key)) => many.by_key.get_mut(&key),
            _ => None,
        }
    }

    /// Sets what is left of a grant.
    pub(super) fn set_remaining(&mut self, place: Place, remaining: Credits) -> Option<()> {
        let grant = self.at_mut(place)?;
        let before = std::mem::replace(&mut grant.remaining, remaining);
        if let Self::Many(many) = self {
            let ManyGrants { by_key, index } = &mut **many;
            if let Place::Key(key) = place {
                index.change(by_key.get(&key)?, before);
            }
        }
        Some(())
    }

    /// Adds a grant at its place, which is returned.
    pub(super) fn insert(&mut self, grant: GrantState) -> Place {
        let key = grant.burn_key();
        match self {
            Self::Few(order) => {
                let at = order.partition_point(|other| other.burn_key() < key);
                order.insert(at, grant);
                if order.len() < MANY_FROM {
                    return Place::At(at);
                }
                *self = Self::Many(Box::new(ManyGrants::of(std::mem::take(order))));
            }
            Self::Many(many) => {
                many.index.insert(&grant);
                many.by_key.insert(key, grant);
            }
        }
        Place::Key(key)
    }

    /// Removes a grant of which nothing is left or held.
    pub(super) fn drop_if_used_up(&mut self, place: Place) {
        if self.at(place).is_none_or(GrantState::is_live) {
            return;
        }
        match (&mut *self, place) {
            (Self::Few(order), Place::At(position)) => drop(order.remove(position)),
            (Self::Many(many), Place::Key(key)) => {
                if let Some(gone) = many.by_key.remove(&key) {
                    many.index.remove(gone.id);
                }
                if many.by_key.len() < MANY_FROM.div_euclid(2) {
                    let few = many.by_key.values().cloned().collect();
                    *self = Self::Few(few);
                }
            }
            _ => {}
        }
    }

    /// Grants that pay for a service and have something left, in burn order.
    pub(super) fn paying<'a>(
        &'a self,
        service: Option<&'a str>,
    ) -> impl Iterator<Item = &'a GrantState> {
        let pays =
            move |grant: &&GrantState| !grant.remaining.is_zero() && grant.terms.pays_for(service);
        let (few, many) = match self {
            Self::Few(order) => (Some(order.iter().filter(pays)), None),
            Self::Many(many) => {
                let keys = many.index.paying(service);
                (None, Some(keys.filter_map(|key| many.by_key.get(&key))))
            }
        };
        let many = many.into_iter().flatten();
        few.into_iter().flatten().chain(many)
    }

    /// What is left of all of those, if there is an index.
    pub(super) fn left_for(&self, service: Option<&str>) -> Option<Credits> {
        match self {
            Self::Few(_) => None,
            Self::Many(many) => many.index.left_for(service),
        }
    }
}

impl ManyGrants {
    fn of(order: VecDeque<GrantState>) -> Self {
        Self {
            index: GrantIndex::of(order.iter()),
            by_key: order.into_iter().map(|g| (g.burn_key(), g)).collect(),
        }
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
                let key = grants.iter().nth(position).map(GrantState::burn_key);
                let place = key.and_then(|key| grants.find_key(key));
                if let Some(place) = place {
                    grants.set_remaining(place, credits(next % 3 * 5));
                    if (next % 4 == 0 || number > 2_500) && grants.len() > 10 {
                        grants.set_remaining(place, Credits::ZERO);
                        grants.at_mut(place).unwrap().held = Credits::ZERO;
                        grants.drop_if_used_up(place);
                    }
                }
            } else {
                grants.insert(grant(number));
            }
            indexed += usize::from(matches!(grants, Grants::Many(_)));
            for service in [None, Some("a"), Some("d"), Some("none")] {
                let plain = Grants::Few(grants.iter().cloned().collect());
                let scanned: Vec<_> = plain.paying(service).map(|grant| grant.id).collect();
                let found: Vec<_> = grants.paying(service).map(|grant| grant.id).collect();
                assert_eq!(found, scanned, "{number} {service:?}");
                if let Some(left) = grants.left_for(service) {
                    let sum = plain.paying(service).map(|grant| grant.remaining.nanos());
                    assert_eq!(left.nanos(), sum.sum::<i64>());
                }
            }
            let some = usize::try_from(next).unwrap() % grants.len().max(1);
            if let Some(grant) = grants.iter().nth(some) {
                let found = grants.find(grant.id, None).unwrap();
                assert_eq!(grants.at(found), Some(grant));
                assert_eq!(grants.find_key(grant.burn_key()), Some(found));
            }
        }
        assert!(
            indexed > 1_000 && matches!(grants, Grants::Few(_)),
            "{indexed}, {}",
            grants.len()
        );
    }
}
