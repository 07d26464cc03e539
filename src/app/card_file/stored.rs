//! The one fixed form of a card's content, which a store has and from which the revision
//! is derived. A field that is added here later must be left out where it has its default,
//! or every revision changes; tests pin some of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::duration::parse_nanos;
use super::stored_factors::{
    StoredAttribute, StoredFactor, restore_card_factors, stored_attributes, stored_factors,
};
use super::stored_lines::{StoredExchange, StoredLines};
use super::{CardParts, LoadedCard};
use crate::domain::pricing::lines::Exchange;
use crate::domain::pricing::{
    Card, CardError, Meter, OnePrice, Price, ProRata, Revision, Service, ServicePrice, Shown,
};
use crate::domain::schedule::Origin;
use crate::domain::{Credits, Rounding, Timestamp};
use crate::rfc3339;
use crate::store::cards::StoredCard;

/// Bytes of the hash that make a revision: 96 bits.
const REVISION_BYTES: usize = 12;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CardContent {
    name: String,
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    effective_time: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exchange: Option<StoredExchange>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, StoredAttribute>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    factors: Vec<StoredFactor>,
    services: Vec<StoredService>,
}

// A flattened part takes no denial of unknown fields; `restore` finds them.
#[derive(Serialize, Deserialize)]
struct StoredService {
    key: String,
    title: String,
    rule: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    meter: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    piece: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    price: Option<StoredPrice>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shown: Option<StoredShown>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quantity_max: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quantity: Option<String>,
    /// In which direction factors of the card round its cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rounding: Option<String>,
    /// Of a service whose price is a sum of lines.
    #[serde(flatten)]
    lines: StoredLines,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "snake_case", deny_unknown_fields)]
enum StoredPrice {
    PerPiece {
        credits: String,
    },
    StartedBlock {
        credits: String,
        per: String,
    },
    ProRata {
        credits: String,
        per: String,
        rounding: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredShown {
    decimals: u32,
    rounding: String,
}

/// The word for a direction of rounding.
pub(super) const fn rounding_word(rounding: Rounding) -> &'static str {
    match rounding {
        Rounding::Up => "up",
        Rounding::Down => "down",
        Rounding::HalfUp => "half_up",
        Rounding::HalfEven => "half_even",
    }
}

/// The direction of rounding that a word stands for.
pub(super) fn rounding_of(word: &str) -> Option<Rounding> {
    [
        Rounding::Up,
        Rounding::Down,
        Rounding::HalfUp,
        Rounding::HalfEven,
    ]
    .into_iter()
    .find(|rounding| rounding_word(*rounding) == word)
}

/// That a usage has to say its quantity, where one that says nothing would be one piece.
pub(super) const QUANTITY_REQUIRED: &str = "required";

/// A quantity as text: "120s" for time, "1000" for pieces.
fn quantity_text(meter: &Meter, atoms: i128) -> String {
    match meter {
        Meter::Duration => meter.quantity_text(atoms).replace(' ', ""),
        Meter::Count { .. } => atoms.to_string(),
    }
}

/// Reads a quantity that is more than 0.
pub(super) fn quantity_of(meter: &Meter, text: &str) -> Result<i128, String> {
    let atoms = match meter {
        Meter::Duration => parse_nanos(text)?,
        Meter::Count { .. } => Some(text)
            .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| format!("\"{text}\" is no whole number; write it like 1000"))?,
    };
    if atoms > 0 {
        Ok(atoms)
    } else {
        Err(format!("\"{text}\" must be more than 0"))
    }
}

/// The card of this content, with its stored form and without a text.
pub(super) fn seal(
    name: &str,
    title: &str,
    effective_time: Option<Timestamp>,
    parts: CardParts,
) -> Result<LoadedCard, CardError> {
    let CardParts {
        services,
        exchange,
        factors,
    } = parts;
    let content = CardContent {
        name: name.to_owned(),
        title: title.to_owned(),
        effective_time: effective_time.map(rfc3339::format),
        exchange: exchange.as_ref().map(StoredExchange::from),
        attributes: factors.as_ref().map(stored_attributes).unwrap_or_default(),
        factors: factors.as_ref().map(stored_factors).unwrap_or_default(),
        services: services.iter().map(stored_service).collect(),
    };
    // Maps with string keys and strings: this cannot fail, and an empty text
    // would be refused when it is read again.
    let content = serde_json::to_string(&content).unwrap_or_default();
    let revision = revision_of(&content);
    let card = Card::new(
        name,
        title,
        Revision::new(&revision),
        effective_time,
        services,
    )?;
    Ok(LoadedCard {
        card: card.with_factors(factors),
        stored: StoredCard {
            revision,
            name: name.to_owned(),
            content,
        },
        toml: String::new(),
        origin: Origin::File,
        warnings: Vec::new(),
    })
}

fn stored_service(service: &Service) -> StoredService {
    let mut stored = StoredService {
        key: service.key.to_string(),
        title: service.title.to_string(),
        rule: service.rule.to_string(),
        meter: None,
        piece: None,
        price: None,
        shown: service.shown.map(|shown| StoredShown {
            decimals: shown.decimals,
            rounding: rounding_word(shown.rounding).to_owned(),
        }),
        quantity_max: None,
        quantity: None,
        rounding: service
            .rounding
            .map(|rounding| rounding_word(rounding).to_owned()),
        lines: StoredLines::default(),
    };
    let one = match &service.price {
        ServicePrice::One(one) => one,
        ServicePrice::Lines(program) => {
            stored.lines = StoredLines::from(&**program);
            return stored;
        }
    };
    let quantity = |atoms| quantity_text(&one.meter, atoms);
    stored.meter = Some(one.meter.name().to_owned());
    if let Meter::Count { piece, required } = &one.meter {
        stored.piece = Some(piece.to_string());
        stored.quantity = required.then(|| QUANTITY_REQUIRED.to_owned());
    }
    stored.price = Some(match &one.price {
        Price::PerPiece { credits } => StoredPrice::PerPiece {
            credits: credits.to_string(),
        },
        Price::StartedBlock { credits, block } => StoredPrice::StartedBlock {
            credits: credits.to_string(),
            per: quantity(*block),
        },
        Price::ProRata(rate) => StoredPrice::ProRata {
            credits: rate.credits().to_string(),
            per: quantity(rate.per()),
            rounding: rounding_word(rate.rounding()).to_owned(),
        },
    });
    stored.quantity_max = one.quantity_max.map(quantity);
    stored
}

fn revision_of(content: &str) -> String {
    Sha256::digest(content.as_bytes())
        .iter()
        .take(REVISION_BYTES)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Whether a text has the form of a revision. No card has any other.
#[must_use]
pub fn is_revision(text: &str) -> bool {
    text.len() == 2 * REVISION_BYTES && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Reads a card from its stored form.
pub(super) fn restore(stored: &StoredCard) -> Result<Card, String> {
    let revision = &stored.revision;
    if revision_of(&stored.content) != *revision {
        return Err(format!("the content of revision {revision} was changed"));
    }
    let content: CardContent = serde_json::from_str(&stored.content)
        .map_err(|error| format!("revision {revision}: {error}"))?;
    let unreadable = |what: String| format!("revision {revision}: {what}");
    let effective_time = content
        .effective_time
        .map(|text| rfc3339::parse(&text).ok_or_else(|| unreadable(text)))
        .transpose()?;
    let exchange = content.exchange.map(StoredExchange::restore);
    let exchange = exchange.transpose().map_err(unreadable)?;
    let factors = restore_card_factors(content.attributes, content.factors);
    let factors = factors.map_err(unreadable)?;
    let services = content
        .services
        .into_iter()
        .map(|stored| restore_service(stored, exchange.as_ref()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    let parts = CardParts {
        services,
        exchange,
        factors,
    };
    let sealed = seal(&content.name, &content.title, effective_time, parts);
    let sealed = sealed.map_err(|error| unreadable(format!("{error:?}")))?;
    // A field that this program does not know, wherever it stands, would be another price.
    match sealed.stored.content == stored.content {
        true => Ok(sealed.card),
        false => Err(unreadable(
            "it says what this creditd does not know; use the newer one that wrote it".to_owned(),
        )),
    }
}

fn restore_service(stored: StoredService, exchange: Option<&Exchange>) -> Result<Service, String> {
    let direction = |word: &str| rounding_of(word).ok_or_else(|| format!("rounding \"{word}\""));
    let shown = stored.shown.map(|shown| {
        Ok::<_, String>(Shown {
            decimals: shown.decimals,
            rounding: direction(&shown.rounding)?,
        })
    });
    let shown = shown.transpose()?;
    let rounding = stored.rounding.as_deref().map(direction).transpose()?;
    let price = match (stored.meter, stored.price) {
        (Some(meter), Some(price)) => {
            let required = match stored.quantity.as_deref() {
                None => false,
                Some(QUANTITY_REQUIRED) => true,
                Some(other) => return Err(format!("quantity \"{other}\"")),
            };
            let meter = match (meter.as_str(), stored.piece) {
                ("duration", None) if !required => Meter::Duration,
                ("count", Some(piece)) => Meter::Count {
                    piece: piece.into(),
                    required,
                },
                (other, _) => return Err(format!("meter \"{other}\"")),
            };
            let quantity_max = stored.quantity_max;
            let quantity_max = quantity_max
                .map(|text| quantity_of(&meter, &text))
                .transpose()?;
            ServicePrice::One(OnePrice {
                price: restore_price(price, &meter)?,
                meter,
                quantity_max,
            })
        }
        (None, None) => ServicePrice::Lines(Box::new(stored.lines.restore(exchange)?)),
        _ => return Err(format!("service \"{}\"", stored.key)),
    };
    Ok(Service {
        key: stored.key.into(),
        title: stored.title.into(),
        rule: stored.rule.into(),
        price,
        shown,
        rounding,
    })
}

fn restore_price(stored: StoredPrice, meter: &Meter) -> Result<Price, String> {
    let amount = |text: &str| Credits::parse(text).map_err(|error| format!("{text}: {error:?}"));
    Ok(match stored {
        StoredPrice::PerPiece { credits } => Price::PerPiece {
            credits: amount(&credits)?,
        },
        StoredPrice::StartedBlock { credits, per } => Price::StartedBlock {
            credits: amount(&credits)?,
            block: quantity_of(meter, &per)?,
        },
        StoredPrice::ProRata {
            credits,
            per,
            rounding,
        } => {
            let direction =
                rounding_of(&rounding).ok_or_else(|| format!("rounding \"{rounding}\""))?;
            let rate = ProRata::new(amount(&credits)?, quantity_of(meter, &per)?, direction);
            Price::ProRata(rate.ok_or("per")?)
        }
    })
}
