//! A card of format 2: its head, and services that have one price or lines.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::DeTable;

use super::bases::{Base, Loading, OwnService};
use super::card_factors::{self, CardFactorsText, own_rounding};
use super::lines;
use super::parse::{
    ServiceText, ShownText, SpannedError, check_text, error_at, finish, rounding, service, shown,
    time,
};
use super::{CardParts, LoadedCard};
use crate::domain::Rounding;
use crate::domain::amount::DECIMALS_MAX;
use crate::domain::names::{SERVICE_GRAMMAR, is_service_key};
use crate::domain::pricing::lines::{Exchange, Ratio};
use crate::domain::pricing::{Service, ServicePrice, Shown};

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
    extends: Option<Spanned<String>>,
    #[serde(default)]
    without: Vec<Spanned<String>>,
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
pub(super) fn read(
    mut table: Spanned<DeTable<'_>>,
    loading: &Loading<'_>,
) -> Result<LoadedCard, Unread> {
    let services = table.get_mut().remove("service");
    let of_card = CardFactorsText {
        attributes: table.get_mut().remove("attributes"),
        factors: table.get_mut().remove("factors"),
    };
    let head = HeadText::deserialize(toml::de::Deserializer::from(table))?;
    let card_rounding = head.rounding.as_ref().map(rounding).transpose()?;
    let exchange = head.exchange.as_ref();
    let exchange = exchange
        .map(|text| exchange_of(text, card_rounding))
        .transpose()?;
    let effective_time = head.effective_time.as_ref().map(time).transpose()?;
    let (extends, without) = (head.extends.as_ref(), &head.without);
    let base = Base::find(&head.name, extends, without, effective_time, loading)?;
    let exchange = base.exchange(exchange, head.exchange.as_ref().map(|text| &text.unit))?;
    let list = services.as_ref().map(Spanned::get_ref);
    let list = list.and_then(|list| list.as_array()).into_iter().flatten();
    let mut own = Vec::new();
    // Counted as they come: those of one service can be many.
    let mut cells = 0_usize;
    for value in list {
        own.push(if lines::has_one_price(value) {
            let row = ServiceText::deserialize(toml::de::ValueDeserializer::from(value.clone()))?;
            let service = service(&row)?;
            OwnService {
                rounding: own_rounding(&service),
                service,
                key_at: row.key.span(),
                value,
            }
        } else {
            let read = lines::service(value, card_rounding, exchange.as_ref())?;
            if let ServicePrice::Lines(program) = &read.service.price {
                cells = cells.saturating_add(program.cells());
            }
            check_cells(cells, &head.name)?;
            OwnService {
                rounding: read.rounding,
                service: read.service,
                key_at: read.key_at,
                value,
            }
        });
    }
    let mut services = base.services(&own, card_rounding)?;
    let listed: Vec<Service> = services
        .iter()
        .map(|(service, _)| service.clone())
        .collect();
    let factors = of_card.read(&listed, base.factors())?;
    if let Some(factors) = &factors {
        for (service, said) in &mut services {
            let rounding = card_factors::rounding(factors, service, said.direction);
            service.rounding = rounding
                .map_err(|error| SpannedError::new(said.at.clone(), error.problem, error.remedy))?;
        }
    }
    let cells = services.iter().map(|(service, _)| match &service.price {
        ServicePrice::One(_) => 0,
        ServicePrice::Lines(program) => program.cells(),
    });
    check_cells(cells.fold(0, usize::saturating_add), &head.name)?;
    let (services, said): (Vec<_>, Vec<_>) = services.into_iter().unzip();
    let keys: Vec<_> = said.into_iter().map(|said| said.at).collect();
    let loaded = finish(
        &head.name,
        &head.title,
        effective_time,
        CardParts {
            services,
            exchange,
            factors,
        },
        &keys,
    )?;
    for own in &own {
        if let Some(service) = loaded.card.service(&own.service.key) {
            lines::check_examples(own.value, &loaded.card, service)?;
        }
    }
    Ok(loaded)
}

/// Refuses more combinations than a card may have.
fn check_cells(cells: usize, name: &Spanned<String>) -> Result<(), SpannedError> {
    if cells <= CELLS_MAX {
        return Ok(());
    }
    let problem = format!("its services have more than {CELLS_MAX} combinations together");
    Err(error_at(name, problem, "split it into several cards"))
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
