//! Cards that extend each other by being published one after the other. Each would load, since
//! a card that is extended is looked up once; but no order of publishing them anew would end.

use std::collections::{HashSet, VecDeque};

use super::card_file::{self, CardFileError, LoadedCard, extended};
use super::{App, AppError};
use crate::domain::schedule::{CardState, Schedule};
use crate::domain::time::Timestamp;

/// How many texts are read to find a ring. It takes cards that extend each other in a longer
/// row, or many scheduled ones, to have more.
const TEXTS_MAX: usize = 256;

impl App {
    /// What is wrong with a card that extends one which extends it in turn, itself or through
    /// others: those that are in force from the card's own time on. Where a creditd kept no
    /// text of a card, it is not known what that card extends.
    pub(super) async fn ring(
        &self,
        loaded: &LoadedCard,
        since: Timestamp,
        schedule: &Schedule,
    ) -> Result<Option<CardFileError>, AppError> {
        let name = loaded.card.name();
        let Some(base) = extended(&loaded.toml) else {
            return Ok(None);
        };
        let cards = schedule.list(since);
        let in_force = |state| matches!(state, CardState::InForce | CardState::Scheduled);
        let mut texts = 0_usize;
        let mut seen = HashSet::from([base.clone()]);
        let mut rows = VecDeque::from([(base.clone(), vec![name.to_owned(), base])]);
        while let Some((last, row)) = rows.pop_front() {
            let of_last = cards.iter().filter(|card| *card.head.name == *last);
            for card in of_last.filter(|card| in_force(card.state)) {
                if texts >= TEXTS_MAX {
                    return Ok(None);
                }
                texts = texts.saturating_add(1);
                let text = self.rate_card_text(&card.head.revision).await?;
                let Some(base) = extended(&text) else {
                    continue;
                };
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
}
