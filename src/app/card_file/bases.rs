//! Cards that others extend: a contract is a card that takes the services of another.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;

use super::card_factors::own_rounding;
use super::lines::Value;
use super::parse::{SpannedError, error_at};
use crate::domain::pricing::lines::{CardFactors, Exchange, did_you_mean};
use crate::domain::pricing::{Card, Catalog, Selector, Service, ServicePrice, nearest};
use crate::domain::{Rounding, Timestamp};

/// Where the cards stand that others may extend.
pub trait Bases: Sync {
    /// The card of that name that is in force then.
    fn in_force(&self, name: &str, at: Timestamp) -> Option<Arc<Card>>;

    /// All names, to suggest one.
    fn names(&self) -> Vec<String>;
}

impl Bases for Catalog {
    fn in_force(&self, name: &str, at: Timestamp) -> Option<Arc<Card>> {
        let selector = Selector {
            rate_card: name,
            price_time: Some(at),
            ..Selector::default()
        };
        self.select(&selector, at).ok().cloned()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = (self.periods().iter())
            .map(|(name, _)| (*name).to_owned())
            .collect();
        names.dedup();
        names
    }
}

/// No cards.
pub struct NoBases;

impl Bases for NoBases {
    fn in_force(&self, _: &str, _: Timestamp) -> Option<Arc<Card>> {
        None
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What loading a card depends on beside its text.
#[derive(Clone, Copy)]
pub struct Loading<'a> {
    /// Cards that it may extend.
    pub bases: &'a dyn Bases,
    /// When it is loaded.
    pub now: Timestamp,
}

impl Loading<'_> {
    /// A card that extends no other.
    pub const ALONE: Loading<'static> = Loading {
        bases: &NoBases,
        now: Timestamp::MIN,
    };
}

/// The card that is extended is not there.
fn not_there(extends: &Spanned<String>, at: Timestamp, bases: &dyn Bases) -> SpannedError {
    let base = extends.get_ref();
    let names = bases.names();
    if names.contains(base) {
        let at = crate::rfc3339::format(at);
        return error_at(
            extends,
            format!("it extends \"{base}\", and no card of that name is in force at {at}"),
            "give this card an effective_time at which that one is, or give that one an earlier one",
        );
    }
    let problem = format!("it extends \"{base}\", and no card of that name is loaded");
    let remedy = match nearest(base, names.iter().map(String::as_str)) {
        Some((near, true)) => format!("did you mean \"{near}\"? otherwise load that card too"),
        _ => "load that card too, such as by its file".to_owned(),
    };
    error_at(extends, problem, remedy)
}

/// A service that a card lists itself.
pub(super) struct OwnService<'a, 't> {
    pub(super) service: Service,
    pub(super) key_at: Range<usize>,
    /// The direction of rounding that it says.
    pub(super) rounding: Option<Rounding>,
    pub(super) value: &'a Value<'t>,
}

/// What is said of how a service rounds, and where it stands.
pub(super) struct SaidRounding {
    pub(super) direction: Option<Rounding>,
    pub(super) at: Range<usize>,
}

/// The card that another one extends, and the services that it leaves out.
pub(super) struct Base<'a> {
    card: Option<Arc<Card>>,
    extends: Option<&'a Spanned<String>>,
    without: &'a [Spanned<String>],
}

impl<'a> Base<'a> {
    /// The card that `extends` names, in force when the card takes force.
    pub(super) fn find(
        name: &Spanned<String>,
        extends: Option<&'a Spanned<String>>,
        without: &'a [Spanned<String>],
        effective_time: Option<Timestamp>,
        loading: &Loading<'_>,
    ) -> Result<Self, SpannedError> {
        let at = effective_time.map_or(loading.now, |time| time.max(loading.now));
        let Some(extends) = extends else {
            return match without.first() {
                Some(key) => Err(error_at(
                    key,
                    "without stands where no other card is extended",
                    "add extends = \"...\", or take it out",
                )),
                None => Ok(Self {
                    card: None,
                    extends: None,
                    without,
                }),
            };
        };
        let base = extends.get_ref();
        if base == name.get_ref() {
            let problem = format!("card \"{base}\" extends itself");
            return Err(error_at(
                extends,
                problem,
                "name the card that it is made of",
            ));
        }
        let card = loading.bases.in_force(base, at);
        let card = card.ok_or_else(|| not_there(extends, at, loading.bases))?;
        for key in without {
            if card.service(key.get_ref()).is_none() {
                let keys = card.services().iter().map(|service| &*service.key);
                let problem = format!("without: card \"{base}\" has no \"{}\"", key.get_ref());
                return Err(error_at(key, problem, did_you_mean(key.get_ref(), keys)));
            }
        }
        Ok(Self {
            card: Some(card),
            extends: Some(extends),
            without,
        })
    }

    /// The factors that the extended card has.
    pub(super) fn factors(&self) -> Option<&CardFactors> {
        self.card.as_ref().and_then(|card| card.factors())
    }

    /// The exchange of the card: its own, or that of the card that it extends, whose prices are
    /// in that unit.
    pub(super) fn exchange(
        &self,
        own: Option<Exchange>,
        own_at: Option<&Spanned<String>>,
    ) -> Result<Option<Exchange>, SpannedError> {
        let services = self.card.iter().flat_map(|card| card.services());
        let mut exchanges = services.filter_map(|service| match &service.price {
            ServicePrice::Lines(program) => Some(program.spec.exchange.clone()),
            ServicePrice::One(_) => None,
        });
        match (exchanges.next(), own, own_at) {
            (None, own, _) => Ok(own),
            (Some(of_base), None, _) => Ok(of_base),
            (Some(of_base), own, _) if of_base == own => Ok(own),
            (Some(_), _, at) => {
                let problem = "its exchange is not that of the card that it extends";
                let remedy = "take it out: the prices of that card have theirs";
                Err(SpannedError::new(
                    at.map(Spanned::span).unwrap_or_default(),
                    problem,
                    remedy,
                ))
            }
        }
    }

    /// The services of the extended card, where they are neither left out nor replaced, and the
    /// card's own, in that order. A service that is replaced keeps its place.
    pub(super) fn services(
        &self,
        own: &[OwnService<'_, '_>],
        card_rounding: Option<Rounding>,
    ) -> Result<Vec<(Service, SaidRounding)>, SpannedError> {
        let of_own = |own: &OwnService<'_, '_>| {
            let said = SaidRounding {
                direction: own.rounding.or(card_rounding),
                at: own.key_at.clone(),
            };
            (own.service.clone(), said)
        };
        let of_base = self.card.iter().flat_map(|card| card.services());
        let left_out: HashSet<&str> = self.without.iter().map(|key| &**key.get_ref()).collect();
        let mut own_by_key: HashMap<&str, &OwnService<'_, '_>> = HashMap::new();
        for own in own {
            let key = &*own.service.key;
            if left_out.contains(key) {
                let problem = format!("service \"{key}\" stands in without, and here");
                let remedy = "take it out of without: what is listed here takes its place";
                return Err(SpannedError::new(own.key_at.clone(), problem, remedy));
            }
            own_by_key.entry(key).or_insert(own);
        }
        let mut services = Vec::new();
        let mut placed: HashSet<&str> = HashSet::new();
        for service in of_base.filter(|service| !left_out.contains(&*service.key)) {
            services.push(match own_by_key.get(&*service.key) {
                Some(own) => {
                    placed.insert(&own.service.key);
                    of_own(own)
                }
                None => {
                    let said = SaidRounding {
                        direction: own_rounding(service).or(card_rounding),
                        at: self.extends.map(Spanned::span).unwrap_or_default(),
                    };
                    (service.clone(), said)
                }
            });
        }
        for own in own {
            // What stands here twice is found when the card is made.
            if !placed.remove(&*own.service.key) {
                services.push(of_own(own));
            }
        }
        Ok(services)
    }
}
