//! Conversions of `admin.proto`.

use super::page::{ListKey, size_from_pb};
use super::timestamp_to_pb;
use crate::app::card_file::PUBLISHED_BYTES_MAX;
use crate::app::{ListedRateCard, PublishedRateCard};
use crate::domain::names::{KEY_BYTES_MAX, check_length};
use crate::domain::schedule::CardState;
use crate::domain::{FieldViolations, Violation};
use crate::rpc::pb::creditd::v1 as pb;

/// The text of a card that is to be published.
///
/// # Errors
/// That it is empty or too long.
pub fn toml_from_pb(toml: &str) -> Result<(), FieldViolations> {
    let mut violations = FieldViolations::new();
    match toml {
        "" => violations.add("toml", Violation::Required),
        text => {
            violations.check("toml", check_length(text, 1, PUBLISHED_BYTES_MAX));
        }
    }
    violations.or(())
}

/// A page of rate cards.
pub struct CardsQuery {
    /// How many it has at most.
    pub limit: usize,
    /// The number of the last card of the page before.
    pub after: Option<i64>,
    /// The list, for the token of the next page.
    pub key: ListKey,
}

/// A `ListRateCardsRequest`.
///
/// # Errors
/// What is wrong with it.
pub fn cards_query_from_pb(
    request: &pb::ListRateCardsRequest,
) -> Result<CardsQuery, FieldViolations> {
    let with_toml = [u8::from(request.with_toml)];
    let key = ListKey::of(&[b"rate_cards", request.rate_card.as_bytes(), &with_toml]);
    let mut violations = FieldViolations::new();
    let name = check_length(&request.rate_card, 0, KEY_BYTES_MAX);
    violations.check("rate_card", name);
    let limit = violations.check("page_size", size_from_pb(request.page_size));
    let after = violations.check("page_token", key.last(&request.page_token));
    violations.or(CardsQuery {
        limit: limit.unwrap_or_default(),
        after: after.flatten(),
        key,
    })
}

/// A rate card as administrators see it.
#[must_use]
pub fn rate_card_to_pb(listed: ListedRateCard) -> pb::RateCard {
    let ListedRateCard { card, toml } = listed;
    pb::RateCard {
        rate_card: card.head.name.into(),
        revision: card.head.revision.into(),
        title: card.head.title.into(),
        effective_time: card.since.map(timestamp_to_pb),
        state: state_to_pb(card.state).into(),
        origin: card.head.origin.name().to_owned(),
        toml,
    }
}

const fn state_to_pb(state: CardState) -> pb::RateCardState {
    match state {
        CardState::InForce => pb::RateCardState::InForce,
        CardState::Scheduled => pb::RateCardState::Scheduled,
        CardState::Replaced => pb::RateCardState::Replaced,
        CardState::Withdrawn => pb::RateCardState::Withdrawn,
    }
}

/// The answer to a publication.
#[must_use]
pub fn published_to_pb(published: PublishedRateCard) -> pb::PublishRateCardResponse {
    pb::PublishRateCardResponse {
        rate_card: Some(rate_card_to_pb(published.card)),
        warnings: published.warnings,
    }
}
