//! A card of format 2: its head, and services that have one price or lines.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::DeTable;

use super::LoadedCard;
use super::lines;
use super::parse::{
    ServiceText, ShownText, SpannedError, check_text, error_at, finish, rounding, service, shown,
};
use crate::domain::Rounding;
use crate::domain::amount::DECIMALS_MAX;
use crate::domain::names::{SERVICE_GRAMMAR, is_service_key};
use crate::domain::pricing::lines::{Exchange, Ratio};
use crate::domain::pricing::{ServicePrice, Shown};

/// Most combinations of words and ranges of a card, over all lines of all services.
pub const CELLS_MAX: usize = 1_048_576;

/// What stands on a card of format 2 beside its services.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeadText {
    #[serde(rename = "format")]
    _format: Spanned<u32>,
    name: Spanned<String>,
    title: Spanned<String>,
    effective_time: Option<Spanned<toml::value::Datetime>>,
    rounding: Option<Spanned<String>>,
    exchange: Option<ExchangeText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExchangeText {
    unit: Spanned<String>,
    credits: Spanned<String>,
    decimals: Option<Spanned<u32>>,
    rounding: Option<Spanned<String>>,
}

/// Why a card was not read.
pub(super) enum Unread {
    Toml(toml::de::Error),
    Wrong(SpannedError),
}

impl From<toml::de::Error> for Unread {
    fn from(error: toml::de::Error) -> Self {
        Self::Toml(error)
    }
}

impl From<SpannedError> for Unread {
    fn from(error: SpannedError) -> Self {
        Self::Wrong(error)
    }
}

/// Reads a card of format 2, whose services have one price or lines.
pub(super) fn read(mut table: Spanned<DeTable<'_>>) -> Result<LoadedCard, Unread> {
    let services = table.get_mut().remove("service");
    let head = HeadText::deserialize(toml::de::Deserializer::from(table))?;
    let card_rounding = head.rounding.as_ref().map(rounding).transpose()?;
    let exchange = head.exchange.as_ref();
    let exchange = exchange
        .map(|text| exchange_of(text, card_rounding))
        .transpose()?;
    let list = services.as_ref().map(Spanned::get_ref);
    let list = list.and_then(|list| list.as_array()).into_iter().flatten();
    let (mut services_read, mut keys) = (Vec::new(), Vec::new());
    let mut cells = 0_usize;
    for value in list {
        if lines::has_one_price(value) {
            let row = ServiceText::deserialize(toml::de::ValueDeserializer::from(value.clone()))?;
            services_read.push(service(&row)?);
            keys.push(row.key.span());
        } else {
            let (service, key) = lines::service(value, card_rounding, exchange.as_ref())?;
            if let ServicePrice::Lines(program) = &service.price {
                cells = cells.saturating_add(program.cells());
            }
            services_read.push(service);
            keys.push(key);
        }
        if cells > CELLS_MAX {
            let problem = format!("its services have more than {CELLS_MAX} combinations together");
            return Err(error_at(&head.name, problem, "split it into several cards").into());
        }
    }
    Ok(finish(
        &head.name,
        &head.title,
        head.effective_time.as_ref(),
        services_read,
        &keys,
        exchange,
    )?)
}

/// The unit of the card's prices.
fn exchange_of(
    text: &ExchangeText,
    card_rounding: Option<Rounding>,
) -> Result<Exchange, SpannedError> {
    let unit = check_text("unit", text.unit.get_ref(), &text.unit.span())?;
    let credits = Ratio::parse(text.credits.get_ref()).filter(|credits| *credits != Ratio::ZERO);
    let credits = credits.ok_or_else(|| {
        let problem = format!(
            "exchange.credits \"{}\" is no number of more than 0",
            text.credits.get_ref()
        );
        error_at(
            &text.credits,
            problem,
            "write what one is in credits, such as \"211\"",
        )
    })?;
    let own = text.rounding.as_ref().map(rounding).transpose()?;
    let decimals = match (&text.decimals, own.or(card_rounding)) {
        (Some(decimals), Some(rounding)) if *decimals.get_ref() <= DECIMALS_MAX => {
            Some((*decimals.get_ref(), rounding))
        }
        (Some(decimals), Some(_)) => {
            let problem = format!("{} decimals are more than amounts have", decimals.get_ref());
            return Err(error_at(
                decimals,
                problem,
                format!("use 0 to {DECIMALS_MAX}"),
            ));
        }
        (Some(decimals), None) => {
            let remedy = "add rounding = \"up\", \"down\", \"half_up\" or \"half_even\"";
            return Err(error_at(
                decimals,
                "an exchange that rounds must say how",
                remedy,
            ));
        }
        (None, _) => match &text.rounding {
            Some(word) => {
                return Err(error_at(
                    word,
                    "exchange: nothing is rounded here",
                    "take rounding out",
                ));
            }
            None => None,
        },
    };
    Ok(Exchange {
        unit: unit.into(),
        credits,
        decimals,
    })
}

/// What every service says of itself.
pub(super) struct ServiceHead {
    pub(super) key: String,
    pub(super) key_at: Range<usize>,
    pub(super) title: String,
    pub(super) rule: String,
    pub(super) shown: Option<Shown>,
}

impl ServiceHead {
    pub(super) fn read(fields: &lines::Fields<'_, '_>) -> Result<Self, SpannedError> {
        let (key, key_at) = fields.required("key")?;
        if !is_service_key(key) {
            return Err(SpannedError {
                at: key_at,
                problem: format!("key \"{key}\" cannot be used"),
                remedy: format!("use {SERVICE_GRAMMAR}"),
            });
        }
        let words = |name: &str| {
            let (text, at) = fields.required(name)?;
            check_text(name, text, &at).map(ToOwned::to_owned)
        };
        let shown = fields.get("shown").map(|value| {
            let text = ShownText::deserialize(toml::de::ValueDeserializer::from(value.clone()));
            let text = text.map_err(|error| SpannedError {
                at: value.span(),
                problem: error.message().trim().replace('\n', " "),
                remedy: "docs/rate-cards.md shows the format".to_owned(),
            })?;
            shown(&text)
        });
        Ok(Self {
            key: key.to_owned(),
            key_at,
            title: words("title")?,
            rule: words("rule")?,
            shown: shown.transpose()?,
        })
    }
}
