//! Publishing rate cards while the server runs, and what it knows of them.

use std::sync::Arc;

use super::access::Caller;
use super::card_file::{self, CardFileError, LoadedCard, Loading};
use super::prices::{PriceChange, PricesError};
use super::ring::ring;
use super::{App, AppError};
use crate::domain::pricing::Selector;
use crate::domain::schedule::{CardHead, CardState, ListedCard, Origin, Placed, Schedule};
use crate::domain::{Refusal, Violation};
use crate::rfc3339;

/// How many services that are gone a warning names.
const GONE_SERVICES_MAX: usize = 10;
/// How many prices of nothing a warning names.
const FREE_PRICES_MAX: usize = 10;

/// A rate card as administrators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRateCard {
    /// Its place in the schedule.
    pub card: ListedCard,
    /// Its text, where it was asked for and is known.
    pub toml: String,
}

/// The answer to a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedRateCard {
    /// The card.
    pub card: ListedRateCard,
    /// What is allowed but may not be meant.
    pub warnings: Vec<String>,
}

impl App {
    /// Reads a card that is to be published. That is work for a processor, for seconds where
    /// a card is large.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn load_rate_card(&self, toml: &str) -> Result<LoadedCard, CardFileError> {
        let prices = self.prices().into_shared();
        let loading = Loading {
            bases: &*prices,
            now: self.clock.now(),
        };
        card_file::load_text(toml, &loading)
    }

    /// Publishes a card, or only says what that would come to. It is on disk and served when
    /// this answers.
    ///
    /// # Errors
    /// That a rule refuses it, or that the store cannot be written or read.
    pub async fn publish_rate_card(
        &self,
        caller: &Caller,
        loaded: LoadedCard,
        validate_only: bool,
    ) -> Result<PublishedRateCard, AppError> {
        let before = self.cards.list().await?;
        let new = loaded.to_store();
        let checked = before.publish(&new.publication(), self.clock.now())?;
        if !checked.unchanged
            && let Some(ring) = ring(&*self.cards, &loaded, checked.since, &before, &[]).await?
        {
            return Err(refusal_of_text(&ring).into());
        }
        let placed = match validate_only {
            true => checked,
            false => {
                let placed = self
                    .cards
                    .publish_one(new, caller.key_id().cloned())
                    .await?;
                let card = Arc::new(loaded.card.clone());
                self.take_up(None, Some(card)).await?;
                placed
            }
        };
        let warnings = self.warnings(&loaded, &placed, &before).await?;
        let now = self.clock.now();
        let state = match placed.since > now.max(placed.published) {
            true => CardState::Scheduled,
            false => CardState::InForce,
        };
        Ok(PublishedRateCard {
            card: ListedRateCard {
                card: ListedCard {
                    head: head(&loaded),
                    state,
                    since: Some(placed.since),
                },
                toml: loaded.toml,
            },
            warnings,
        })
    }

    /// What is allowed but may not be meant. What the card itself says and what it leaves out
    /// comes first, and is the same however often the card is published.
    async fn warnings(
        &self,
        loaded: &LoadedCard,
        placed: &Placed,
        before: &Schedule,
    ) -> Result<Vec<String>, AppError> {
        let mut warnings = free_prices(&loaded.warnings);
        let (card, since) = (&loaded.card, placed.since);
        if let Some(time) = card.effective_time()
            && time < since
        {
            warnings.push(format!(
                "effective_time {} had passed, so the card is in force from {} on; what was priced before stays as it was",
                rfc3339::format(time),
                rfc3339::format(since)
            ));
        }
        let selector = Selector {
            rate_card: card.name(),
            price_time: Some(since.plus_nanos(-1)),
            ..Selector::default()
        };
        let prices = self.prices_for([selector]).await?;
        if let Ok(earlier) = prices.select(&selector, self.clock.now()) {
            let gone = earlier.services().iter();
            let gone = gone.filter(|service| card.service(&service.key).is_none());
            let mut gone: Vec<_> = gone.map(|service| format!("\"{}\"", service.key)).collect();
            let more = match gone.len().saturating_sub(GONE_SERVICES_MAX) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            gone.truncate(GONE_SERVICES_MAX);
            if !gone.is_empty() {
                warnings.push(format!(
                    "services that the card before has are not on this one: {}{more}",
                    gone.join(", ")
                ));
            }
        }
        if placed.unchanged {
            return Ok(warnings);
        }
        if let Some(revision) = &placed.replaces {
            warnings.push(format!(
                "it takes the place of revision {revision}, which was scheduled for the same time"
            ));
        }
        let publications = before.by_name().remove(card.name()).unwrap_or_default();
        let next = publications
            .iter()
            .find(|next| next.since > since && placed.replaces.as_deref() != Some(&*next.revision));
        if let Some(next) = next {
            warnings.push(format!(
                "revision {} is scheduled to take its place at {}",
                next.revision,
                rfc3339::format(next.since)
            ));
        }
        Ok(warnings)
    }

    /// All cards of that name, or of every name, without their texts. Those that were withdrawn
    /// are among them.
    ///
    /// # Errors
    /// That the store cannot be read.
    pub async fn rate_cards(&self, name: &str) -> Result<Vec<ListedCard>, AppError> {
        let schedule = self.cards.list().await?;
        let mut cards = schedule.list(self.clock.now());
        cards.retain(|card| name.is_empty() || *card.head.name == *name);
        Ok(cards)
    }

    /// The text of a card; empty where none is kept.
    ///
    /// # Errors
    /// That the store cannot be read.
    pub async fn rate_card_text(&self, revision: &str) -> Result<String, AppError> {
        let text = self.cards.text(revision.into()).await?;
        Ok(text.unwrap_or_default())
    }

    /// Takes a scheduled card out of the schedule.
    ///
    /// # Errors
    /// That a rule refuses it, or that the store cannot be written or read.
    pub async fn withdraw_rate_card(
        &self,
        caller: &Caller,
        revision: &str,
    ) -> Result<ListedRateCard, AppError> {
        let by = caller.key_id().cloned();
        self.cards.withdraw(revision.into(), by).await?;
        self.take_up(None, None).await?;
        let toml = self.rate_card_text(revision).await?;
        let mut cards = self.rate_cards("").await?.into_iter();
        let card = cards.find(|card| *card.head.revision == *revision);
        let card = card.ok_or_else(|| crate::store::Unavailable {
            operation: "read",
            cause: format!("revision {revision} was withdrawn and is not there"),
        })?;
        Ok(ListedRateCard { card, toml })
    }
}

impl App {
    /// Publishes these cards of files, and serves their prices from then on. The first one's
    /// name is the default, unless the server was told another one before.
    ///
    /// # Errors
    /// As [`App::publish_prices_with`].
    pub async fn publish_prices(&self, cards: &[LoadedCard]) -> Result<PriceChange, PricesError> {
        let configured = self.default_rate_card.load_full();
        self.publish_prices_with(cards, configured.as_deref().map(String::as_str))
            .await
    }
}

/// The refusal of a text that is to be published.
#[must_use]
pub fn refusal_of_text(error: &CardFileError) -> Refusal {
    let violation = Violation::RateCardInvalid {
        line: error.line().unwrap_or(1),
        problem: error.sentence().into(),
    };
    Refusal::invalid("toml", violation)
}

/// The first prices of nothing, and how many more there are.
fn free_prices(all: &[String]) -> Vec<String> {
    let mut warnings: Vec<_> = all.iter().take(FREE_PRICES_MAX).cloned().collect();
    match all.len().saturating_sub(FREE_PRICES_MAX) {
        0 => {}
        1 => warnings.push("1 more price of nothing; \"creditd rates check\" names all".to_owned()),
        more => warnings.push(format!(
            "{more} more prices of nothing; \"creditd rates check\" names all"
        )),
    }
    warnings
}

/// What is known of a card that was just published. Its number is not.
fn head(loaded: &LoadedCard) -> CardHead {
    let card = &loaded.card;
    CardHead {
        number: 0,
        revision: card.revision().as_str().into(),
        name: card.name().into(),
        title: card.title().into(),
        effective_time: card.effective_time(),
        origin: Origin::Published,
        replaced: None,
    }
}
