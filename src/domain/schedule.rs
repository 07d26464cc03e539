//! When rate cards are in force, of all cards that a store has: those of the server's files,
//! which are in force as a set, and those that were published one by one, each from a time on.
//!
//! Pure functions: a store reads a [`Schedule`], asks it what a publication or a withdrawal
//! comes to, and writes that down.

use std::collections::HashMap;

use super::names::repeated;
use super::refusal::Refusal;
use super::time::Timestamp;

/// How many publications a store keeps. Their cards are never removed, since their revisions
/// price for ever.
pub const PUBLICATIONS_MAX: usize = 10_000;
/// How many cards of one name may wait for their time.
pub const SCHEDULED_MAX: usize = 64;

/// Where a rate card comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is compiled in, and was served where no file was given.
    BuiltIn,
    /// A file of the server.
    File,
    /// It was published while a server ran.
    Published,
}

impl Origin {
    /// Its name in the API and in the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BuiltIn => "built-in",
            Self::File => "file",
            Self::Published => "published",
        }
    }

    /// The origin of that name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        [Self::BuiltIn, Self::File, Self::Published]
            .into_iter()
            .find(|origin| origin.name() == name)
    }
}

/// What is known of a rate card without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardHead {
    /// Counts the cards of a store.
    pub number: i64,
    /// Derived from the content.
    pub revision: Box<str>,
    /// The card's name, which other cards may have too.
    pub name: Box<str>,
    /// The name that people read.
    pub title: Box<str>,
    /// The time that the card itself says.
    pub effective_time: Option<Timestamp>,
    /// Where it comes from.
    pub origin: Origin,
    /// When the files of a server were others; None while it is among them, and for a card
    /// that was published.
    pub replaced: Option<Timestamp>,
}

/// A publication of a card. A card can have several: it takes force again where it is published
/// again after another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Of the card.
    pub revision: Box<str>,
    /// The card's name.
    pub name: Box<str>,
    /// The time that the card itself says.
    pub effective_time: Option<Timestamp>,
    /// When it was published.
    pub published: Timestamp,
    /// From when on the card is in force.
    pub since: Timestamp,
    /// Set where it was taken out before that time.
    pub removed: Option<Removed>,
}

/// That a publication was taken out of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removed {
    /// When.
    pub time: Timestamp,
    /// Whether somebody withdrew it; otherwise another card took its place.
    pub withdrawn: bool,
}

/// All cards of a store and when they are in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// When it was read, by the store's clock.
    pub time: Timestamp,
    /// All cards: first those whose files were replaced, in the order in which that happened.
    pub cards: Vec<CardHead>,
    /// All publications, in order of `since`; of two with the same, the one that was made
    /// later comes later and counts.
    pub publications: Vec<Publication>,
}

/// What decides when a card takes force.
#[derive(Clone, Copy, Debug)]
pub struct NewPublication<'a> {
    /// Of the card.
    pub revision: &'a str,
    /// The card's name.
    pub name: &'a str,
    /// The time that the card says.
    pub effective_time: Option<Timestamp>,
}

/// What publishing a card comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// From when on it is in force.
    pub since: Timestamp,
    /// Whether it was published before and still is: nothing changes.
    pub unchanged: bool,
    /// When it is or was published; at least the time of each earlier publication.
    pub published: Timestamp,
    /// The revision that waited for the same time and is taken out for it.
    pub replaces: Option<Box<str>>,
}

/// Whether a card is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardState {
    /// It is.
    InForce,
    /// It will be.
    Scheduled,
    /// It was, or another took its place before.
    Replaced,
    /// It was taken out of the schedule before its time.
    Withdrawn,
}

/// A card with its place in the schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedCard {
    /// The card.
    pub head: CardHead,
    /// Whether it is in force.
    pub state: CardState,
    /// From when on it is or was; None: always was.
    pub since: Option<Timestamp>,
}

/// What has a name that somebody wants to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameTaken {
    /// A card that does not come from publishing.
    Origin(Origin),
    /// Another card of this name that has had its time come.
    EffectiveTime {
        /// The time.
        effective_time: Timestamp,
        /// The card's revision.
        revision: Box<str>,
    },
}

impl Schedule {
    /// An empty one.
    #[must_use]
    pub const fn empty(time: Timestamp) -> Self {
        Self {
            time,
            cards: Vec::new(),
            publications: Vec::new(),
        }
    }

    /// The card of a revision.
    #[must_use]
    pub fn card(&self, revision: &str) -> Option<&CardHead> {
        self.cards.iter().find(|card| *card.revision == *revision)
    }

    /// The publications that were not taken out, by the names of their cards.
    #[must_use]
    pub fn by_name(&self) -> HashMap<&str, Vec<&Publication>> {
        let mut by_name: HashMap<&str, Vec<&Publication>> = HashMap::new();
        for publication in self.publications.iter().filter(|one| one.removed.is_none()) {
            by_name
                .entry(&publication.name)
                .or_default()
                .push(publication);
        }
        by_name
    }

    /// The cards that are in force as files.
    pub fn files(&self) -> impl Iterator<Item = &CardHead> {
        self.cards
            .iter()
            .filter(|card| card.origin != Origin::Published && card.replaced.is_none())
    }

    /// The publications of a name that were not taken out.
    fn of_name(&self, name: &str) -> Vec<&Publication> {
        let all = self.publications.iter();
        all.filter(|one| one.removed.is_none() && *one.name == *name)
            .collect()
    }

    /// Refuses names of files that come from publishing.
    ///
    /// # Errors
    /// [`Refusal::RateCardNameTaken`].
    pub fn check_files<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<(), Refusal> {
        let published = self.by_name();
        for name in names {
            if published.contains_key(name) {
                return Err(taken(name, NameTaken::Origin(Origin::Published)));
            }
        }
        Ok(())
    }

    /// What publishing this card now comes to.
    ///
    /// # Errors
    /// [`Refusal::RateCardNameTaken`] or [`Refusal::TooManyRateCards`].
    pub fn publish(&self, new: &NewPublication<'_>, now: Timestamp) -> Result<Placed, Refusal> {
        let NewPublication {
            revision,
            name,
            effective_time,
        } = *new;
        if let Some(file) = self.files().find(|card| *card.name == *name) {
            return Err(taken(name, NameTaken::Origin(file.origin)));
        }
        // A clock that was set back a little dates nothing before what it dated already.
        let newest = self.publications.iter().map(|one| one.published).max();
        let now = newest.map_or(now, |newest| newest.max(now));
        let others = self.of_name(name);
        let current = others.iter().rposition(|one| one.since <= now);
        let ahead = current.map_or(0, |at| at.saturating_add(1));
        let (_, ahead) = others.split_at(ahead.min(others.len()));
        let current = current.and_then(|at| others.get(at));
        let same = |one: &&&Publication| *one.revision == *revision;
        if let Some(there) = current.into_iter().chain(ahead).find(same) {
            return Ok(Placed {
                since: there.since,
                unchanged: true,
                published: there.published,
                replaces: None,
            });
        }
        let mut replaces = None;
        if let Some(time) = effective_time {
            let same_time = others
                .iter()
                .find(|one| one.effective_time == Some(time) && *one.revision != *revision);
            match same_time {
                Some(other) if other.since > now => replaces = Some(other.revision.clone()),
                Some(other) => {
                    let revision = other.revision.clone();
                    let taken_by = NameTaken::EffectiveTime {
                        effective_time: time,
                        revision,
                    };
                    return Err(taken(name, taken_by));
                }
                None => {}
            }
        }
        let too_many = |limit, scheduled| Refusal::TooManyRateCards {
            rate_card: repeated(name),
            limit,
            scheduled,
        };
        if self.publications.len() >= PUBLICATIONS_MAX {
            return Err(too_many(PUBLICATIONS_MAX, false));
        }
        let since = effective_time.map_or(now, |time| time.max(now));
        if since > now && replaces.is_none() && ahead.len() >= SCHEDULED_MAX {
            return Err(too_many(SCHEDULED_MAX, true));
        }
        Ok(Placed {
            since,
            unchanged: false,
            published: now,
            replaces,
        })
    }

    /// Whether this card, which somebody wants to withdraw, is scheduled; false where it was
    /// withdrawn already.
    ///
    /// # Errors
    /// [`Refusal::RevisionNotPublished`] or [`Refusal::RateCardNotScheduled`].
    pub fn withdraw(&self, revision: &str, now: Timestamp) -> Result<bool, Refusal> {
        let Some(card) = self.card(revision) else {
            let revision = repeated(revision);
            return Err(Refusal::RevisionNotPublished { revision });
        };
        let last = self.last_of(revision);
        let (state, _) = match card.origin {
            Origin::Published => place_of_published(last, &self.of_name(&card.name), now),
            Origin::BuiltIn | Origin::File => {
                let mut files: Vec<_> = self.files().filter(|f| f.name == card.name).collect();
                files.sort_by_key(|file| file.effective_time);
                (place_of_file(card, &files, now), None)
            }
        };
        match (card.origin, state) {
            (Origin::Published, CardState::Scheduled) => Ok(true),
            (Origin::Published, CardState::Withdrawn) => Ok(false),
            (origin, state) => Err(Refusal::RateCardNotScheduled {
                revision: card.revision.clone(),
                origin,
                state,
            }),
        }
    }

    /// When each published card ceased to be in force, or will; None where that is not known.
    #[must_use]
    pub fn ends(&self) -> HashMap<&str, Option<Timestamp>> {
        let mut ends = HashMap::new();
        for one in &self.publications {
            if let Some(removed) = one.removed {
                ends.insert(&*one.revision, Some(removed.time));
            }
        }
        for publications in self.by_name().into_values() {
            let next = publications.iter().skip(1).map(|next| Some(next.since));
            // What is said last about a card counts.
            for (one, end) in publications.iter().zip(next.chain([None])) {
                ends.insert(&*one.revision, end);
            }
        }
        ends
    }

    /// The last publication of a card, which may have been taken out.
    fn last_of(&self, revision: &str) -> Option<&Publication> {
        let mut all = self.publications.iter();
        all.rfind(|one| *one.revision == *revision)
    }

    /// All cards with their places at a time, by name, then by the time from which they are in
    /// force.
    #[must_use]
    pub fn list(&self, at: Timestamp) -> Vec<ListedCard> {
        let published = self.by_name();
        let mut files: HashMap<&str, Vec<&CardHead>> = HashMap::new();
        for file in self.files() {
            files.entry(&file.name).or_default().push(file);
        }
        for of_name in files.values_mut() {
            of_name.sort_by_key(|card| card.effective_time);
        }
        let all = self.publications.iter();
        let last_of: HashMap<&str, &Publication> = all.map(|one| (&*one.revision, one)).collect();
        let places = self.cards.iter().map(|head| {
            let (state, since) = match head.origin {
                Origin::Published => {
                    let all = published.get(&*head.name).map_or(&[][..], |all| all);
                    place_of_published(last_of.get(&*head.revision).copied(), all, at)
                }
                Origin::BuiltIn | Origin::File => {
                    let all = files.get(&*head.name).map_or(&[][..], |all| all);
                    (place_of_file(head, all, at), head.effective_time)
                }
            };
            ListedCard {
                head: head.clone(),
                state,
                since,
            }
        });
        let mut listed: Vec<_> = places.collect();
        listed.sort_by(|a, b| {
            let key = |card: &ListedCard| (card.since, card.head.number);
            a.head
                .name
                .cmp(&b.head.name)
                .then_with(|| key(a).cmp(&key(b)))
        });
        listed
    }
}

/// The place of a published card: its last publication, beside those of its name.
fn place_of_published(
    last: Option<&Publication>,
    all: &[&Publication],
    at: Timestamp,
) -> (CardState, Option<Timestamp>) {
    let since = last.map(|last| last.since);
    let revision = last.map_or("", |last| &last.revision);
    let current = all.iter().rposition(|one| one.since <= at);
    let own = all.iter().rposition(|one| *one.revision == *revision);
    let removed = last.and_then(|last| last.removed);
    let state = match (own, current) {
        (Some(own), Some(current)) if own == current => CardState::InForce,
        (Some(own), Some(current)) if own < current => CardState::Replaced,
        (Some(_), _) => CardState::Scheduled,
        (None, _) if removed.is_some_and(|removed| removed.withdrawn) => CardState::Withdrawn,
        (None, _) => CardState::Replaced,
    };
    (state, since)
}

fn place_of_file(head: &CardHead, all: &[&CardHead], at: Timestamp) -> CardState {
    if head.replaced.is_some() {
        return CardState::Replaced;
    }
    let begun = |card: &CardHead| card.effective_time.is_none_or(|time| time <= at);
    let current = all.iter().rev().find(|card| begun(card));
    match current {
        _ if !begun(head) => CardState::Scheduled,
        Some(current) if current.revision != head.revision => CardState::Replaced,
        _ => CardState::InForce,
    }
}

fn taken(name: &str, taken_by: NameTaken) -> Refusal {
    Refusal::RateCardNameTaken {
        rate_card: repeated(name),
        taken_by,
    }
}
