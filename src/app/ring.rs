//! Cards that extend each other by being published or served one after the other. Each would load,
//! since a card that is extended is looked up once; but no order of publishing them anew would
//! end.

use std::collections::{HashSet, VecDeque};

use super::card_file::{self, CardFileError, LoadedCard, extended};
use super::prices::PricesError;
use crate::domain::schedule::{CardState, ListedCard, Origin, Schedule};
use crate::domain::time::Timestamp;
use crate::store::Unavailable;
use crate::store::cards::RateCardStore;

/// How many texts are read to find a ring. It takes cards that extend each other in a longer
/// row, or many scheduled ones, to have more.
const TEXTS_MAX: usize = 256;

/// What is wrong with a card that extends one which extends it in turn, itself or through
/// others: those of files that come with it, and those that are in force from the card's own time
/// on. Where a creditd kept no text of a card, it is not known what that card extends.
pub(super) async fn ring(
    store: &dyn RateCardStore,
    loaded: &LoadedCard,
    since: Timestamp,
    schedule: &Schedule,
    files: &[LoadedCard],
) -> Result<Option<CardFileError>, Unavailable> {
    let name = loaded.card.name();
    let Some(base) = extended(&loaded.toml) else {
        return Ok(None);
    };
    let mut cards = schedule.list(since);
    // What files said before is replaced.
    let is_replaced = |card: &ListedCard| {
        let mut files = files.iter();
        card.head.origin != Origin::Published
            && files.any(|file| *file.card.name() == *card.head.name)
    };
    let in_force = |state| matches!(state, CardState::InForce | CardState::Scheduled);
    cards.retain(|card| in_force(card.state) && !is_replaced(card));
    let mut read = 0_usize;
    let mut seen = HashSet::from([base.clone()]);
    let mut rows = VecDeque::from([(base.clone(), vec![name.to_owned(), base])]);
    while let Some((last, row)) = rows.pop_front() {
        let of_files = files.iter().filter(|file| file.card.name() == last);
        let mut texts: Vec<String> = of_files.map(|file| file.toml.clone()).collect();
        for card in cards.iter().filter(|card| *card.head.name == *last) {
            if read >= TEXTS_MAX {
                return Ok(None);
            }
            read = read.saturating_add(1);
            texts.extend(store.text(card.head.revision.clone()).await?);
        }
        for base in texts.iter().filter_map(|text| extended(text)) {
            if base == name {
                return Ok(Some(card_file::ring(&loaded.toml, &row)));
            }
            if seen.insert(base.clone()) {
                let row = row.iter().chain([&base]).cloned().collect();
                rows.push_back((base, row));
            }
        }
    }
    Ok(None)
}

/// Refuses cards of files that extend each other together with what was published.
pub(super) async fn check_files(
    store: &dyn RateCardStore,
    schedule: &Schedule,
    cards: &[LoadedCard],
) -> Result<(), PricesError> {
    for loaded in cards {
        let since = loaded.card.effective_time().unwrap_or(schedule.time);
        let since = since.max(schedule.time);
        if let Some(ring) = ring(store, loaded, since, schedule, cards).await? {
            let name = loaded.card.name().into();
            return Err(PricesError::Ring(name, ring.sentence()));
        }
    }
    Ok(())
}
