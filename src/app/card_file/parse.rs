//! A rate card as a person writes it, in TOML. An error names the file, the line and what to
//! do. A field that is unknown or could mean two things is an error.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;
use toml::de::DeTable;

use super::bases::Loading;
use super::error::CardFileError;
use super::format_2;
use super::stored::{QUANTITY_REQUIRED, quantity_of, rounding_of, seal};
use super::{CardParts, LoadedCard};
use crate::domain::amount::{AmountError, DECIMALS_MAX};
use crate::domain::names::{KEY_BYTES_MAX, SERVICE_GRAMMAR, VALUE_BYTES_MAX, is_service_key};
use crate::domain::pricing::{
    CardError, Meter, OnePrice, PER_MAX_UNITS, Price, ProRata, Service, ServicePrice, Shown,
};
use crate::domain::{Credits, Rounding, Timestamp};
use crate::rfc3339;

/// The versions of the format: of the first one services have one price each, and `format_2`
/// reads the other.
const FORMATS: [&str; 2] = ["1", "2"];
/// Most services of one card: GetRateCard answers with all of them.
pub const SERVICES_MAX: usize = 4_096;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CardText {
    #[serde(rename = "format")]
    _format: Spanned<u32>,
    name: Spanned<String>,
    title: Spanned<String>,
    effective_time: Option<Spanned<toml::value::Datetime>>,
    service: Vec<Spanned<ServiceText>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceText {
    pub(super) key: Spanned<String>,
    title: Spanned<String>,
    rule: Spanned<String>,
    meter: Spanned<String>,
    piece: Option<Spanned<String>>,
    price: Spanned<PriceText>,
    shown: Option<ShownText>,
    quantity_max: Option<Spanned<String>>,
    quantity: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceText {
    model: Spanned<String>,
    credits: Spanned<String>,
    per: Option<Spanned<String>>,
    rounding: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShownText {
    decimals: Spanned<u32>,
    rounding: Spanned<String>,
}

/// An error at a place in the text.
pub(super) struct SpannedError {
    pub(super) at: Range<usize>,
    pub(super) problem: String,
    pub(super) remedy: String,
}

impl SpannedError {
    pub(super) fn new(
        at: Range<usize>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            at,
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }
}

pub(super) fn error_at<T>(
    at: &Spanned<T>,
    problem: impl Into<String>,
    remedy: impl Into<String>,
) -> SpannedError {
    SpannedError::new(at.span(), problem, remedy)
}

/// Reads a card.
pub(super) fn parse(
    file: &Path,
    text: &str,
    loading: &Loading<'_>,
) -> Result<LoadedCard, CardFileError> {
    let loaded = parse_text(file, text, loading)?;
    let toml = text.to_owned();
    Ok(LoadedCard { toml, ..loaded })
}

fn parse_text(file: &Path, text: &str, loading: &Loading<'_>) -> Result<LoadedCard, CardFileError> {
    let line_of = |at: usize| {
        let before = text.get(..at).unwrap_or(text);
        before.matches('\n').count().saturating_add(1)
    };
    let unreadable = |error: toml::de::Error| {
        let problem = error.message().trim().replace('\n', " ");
        let remedy = remedy_for(&problem);
        let line = error.span().map(|s| line_of(s.start));
        CardFileError::new(file, line, problem, remedy)
    };
    let wrong = |error: SpannedError| {
        let line = Some(line_of(error.at.start));
        CardFileError::new(file, line, error.problem, error.remedy)
    };
    let table = DeTable::parse(text).map_err(unreadable)?;
    let format = table.get_ref().get("format");
    let number = format.and_then(|format| Some(format.get_ref().as_integer()?.as_str()));
    // Said before a field that only another format knows.
    if format.is_none() {
        let begin = CardFileError::new(
            file,
            Some(1),
            "format is missing".to_owned(),
            "begin the card with format = 2",
        );
        return Err(begin);
    }
    if let (Some(format), Some(number)) = (format, number)
        && !FORMATS.contains(&number)
    {
        return Err(wrong(SpannedError::new(
            format.span(),
            format!("format {number} is not known"),
            "write format = 1 or 2, or use the newer creditd that knows it",
        )));
    }
    if number == Some("2") {
        let read = format_2::read(table, loading).map_err(|error| match error {
            format_2::Unread::Toml(error) => unreadable(error),
            format_2::Unread::Wrong(error) => wrong(error),
        });
        return read;
    }
    let card: CardText = toml::from_str(text).map_err(unreadable)?;
    read(card).map_err(wrong)
}

fn remedy_for(problem: &str) -> &'static str {
    if problem.contains("expected a string") {
        "write amounts and quantities as text, such as credits = \"0.2\" or per = \"120s\""
    } else {
        "docs/rate-cards.md shows the format"
    }
}

fn read(card: CardText) -> Result<LoadedCard, SpannedError> {
    let (mut services, mut keys) = (Vec::new(), Vec::new());
    for row in card.service {
        let row = row.into_inner();
        services.push(service(&row)?);
        keys.push(row.key.span());
    }
    let parts = CardParts {
        services,
        exchange: None,
        factors: None,
    };
    let effective_time = card.effective_time.as_ref().map(time).transpose()?;
    finish(&card.name, &card.title, effective_time, parts, &keys)
}

/// The card of these parts; the keys of its services stand at these places.
pub(super) fn finish(
    name: &Spanned<String>,
    title: &Spanned<String>,
    effective_time: Option<Timestamp>,
    parts: CardParts,
    keys: &[Range<usize>],
) -> Result<LoadedCard, SpannedError> {
    check_name(name)?;
    check_words("title", title)?;
    let services = &parts.services;
    if services.len() > SERVICES_MAX {
        return Err(error_at(
            name,
            format!("it has more than {SERVICES_MAX} services"),
            "split it into several cards",
        ));
    }
    let names: Vec<_> = services
        .iter()
        .map(|service| Arc::clone(&service.key))
        .collect();
    let sealed = seal(name.get_ref(), title.get_ref(), effective_time, parts);
    sealed.map_err(|violation| match violation {
        CardError::NoServices => error_at(name, "it has no services", "add a [[service]]"),
        CardError::SameKey(position) => SpannedError {
            at: keys.get(position).cloned().unwrap_or_default(),
            problem: format!(
                "service \"{}\" stands here twice",
                names.get(position).map_or("", |name| name)
            ),
            remedy: "give each service a key of its own".to_owned(),
        },
    })
}

pub(super) fn time(text: &Spanned<toml::value::Datetime>) -> Result<Timestamp, SpannedError> {
    let value = text.get_ref().to_string();
    rfc3339::parse(&value).ok_or_else(|| {
        error_at(
            text,
            format!("effective_time {value} is no moment"),
            "write date, time and offset, such as 2026-01-01T00:00:00Z",
        )
    })
}

pub(super) fn service(row: &ServiceText) -> Result<Service, SpannedError> {
    check_key(&row.key)?;
    check_words("title", &row.title)?;
    check_words("rule", &row.rule)?;
    let meter = meter(row)?;
    let price = price(row.price.get_ref(), &meter)?;
    let shown = row.shown.as_ref().map(shown).transpose()?;
    let quantity_max = row
        .quantity_max
        .as_ref()
        .map(|text| quantity("quantity_max", &meter, text))
        .transpose()?;
    Ok(Service {
        key: row.key.get_ref().as_str().into(),
        title: row.title.get_ref().as_str().into(),
        rule: row.rule.get_ref().as_str().into(),
        price: ServicePrice::One(OnePrice {
            meter,
            price,
            quantity_max,
        }),
        shown,
        rounding: None,
    })
}

/// Whether a usage has to say its quantity. The default may be said, and is not kept.
fn required(row: &ServiceText) -> Result<bool, SpannedError> {
    let Some(quantity) = &row.quantity else {
        return Ok(false);
    };
    let by_time = row.meter.get_ref() == Meter::Duration.name();
    match quantity.get_ref().as_str() {
        QUANTITY_REQUIRED => Ok(!by_time),
        "optional" if by_time => Err(error_at(
            quantity,
            "what is priced by duration always needs its quantity",
            "take quantity out",
        )),
        "optional" => Ok(false),
        other => Err(error_at(
            quantity,
            format!("quantity \"{other}\" is not known"),
            "write \"required\" to refuse a usage that does not say how many, or \"optional\" to count it as 1",
        )),
    }
}

fn meter(row: &ServiceText) -> Result<Meter, SpannedError> {
    let required = required(row)?;
    match (row.meter.get_ref().as_str(), &row.piece) {
        ("duration", None) => Ok(Meter::Duration),
        ("duration", Some(piece)) => Err(error_at(
            piece,
            "what is priced by duration has no piece",
            "take the piece out, or write meter = \"count\"",
        )),
        ("count", Some(piece)) => {
            check_words("piece", piece)?;
            Ok(Meter::Count {
                piece: piece.get_ref().as_str().into(),
                required,
            })
        }
        ("count", None) => Err(error_at(
            &row.meter,
            "what is counted has no name",
            "say what one piece is called, such as piece = \"image\"",
        )),
        (other, _) => Err(error_at(
            &row.meter,
            format!("meter \"{other}\" is not known"),
            "write \"duration\" or \"count\"",
        )),
    }
}

fn price(price: &PriceText, meter: &Meter) -> Result<Price, SpannedError> {
    let credits = credits(&price.credits)?;
    let model = price.model.get_ref().as_str();
    let not_here = |name: &str, field: &Option<Spanned<String>>| match field {
        Some(field) => Err(error_at(
            field,
            format!("a price of model \"{model}\" has no {name}"),
            format!("take {name} out, or choose another model"),
        )),
        None => Ok(()),
    };
    let per = || {
        let text = price.per.as_ref().ok_or_else(|| {
            error_at(
                &price.model,
                format!("a price of model \"{model}\" needs per"),
                "say for which quantity the credits are, such as per = \"120s\"",
            )
        })?;
        let atoms = quantity("per", meter, text)?;
        if atoms > PER_MAX_UNITS.saturating_mul(meter.atoms_per_unit()) {
            return Err(error_at(
                text,
                format!("per {} is too large", text.get_ref()),
                format!("use at most {PER_MAX_UNITS} {}", meter.unit()),
            ));
        }
        Ok(atoms)
    };
    match model {
        "per_piece" if *meter == Meter::Duration => Err(error_at(
            &price.model,
            "what is priced by duration has no pieces",
            "use \"started_block\" or \"pro_rata\"",
        )),
        "per_piece" => {
            not_here("per", &price.per)?;
            not_here("rounding", &price.rounding)?;
            Ok(Price::PerPiece { credits })
        }
        "started_block" => {
            not_here("rounding", &price.rounding)?;
            Ok(Price::StartedBlock {
                credits,
                block: per()?,
            })
        }
        "pro_rata" => {
            let per = per()?;
            let direction = price.rounding.as_ref().ok_or_else(|| {
                error_at(
                    &price.model,
                    "a price that divides must say how it rounds",
                    "add rounding = \"up\", \"down\", \"half_up\" or \"half_even\"",
                )
            })?;
            ProRata::new(credits, per, rounding(direction)?)
                .map(Price::ProRata)
                .ok_or_else(|| error_at(&price.model, "per is 0", "write a larger one"))
        }
        other => Err(error_at(
            &price.model,
            format!("price model \"{other}\" is not known"),
            "use \"per_piece\", \"started_block\" or \"pro_rata\"",
        )),
    }
}

fn credits(text: &Spanned<String>) -> Result<Credits, SpannedError> {
    amount("credits", text.get_ref(), &text.span())
}

/// An amount of credits.
pub(super) fn amount(name: &str, value: &str, at: &Range<usize>) -> Result<Credits, SpannedError> {
    Credits::parse(value).map_err(|violation| {
        let problem = match violation {
            AmountError::Decimals => "has more than 9 decimals",
            AmountError::TooLarge | AmountError::TooLong => "is more than 9000000000",
            AmountError::Negative => "is negative",
            AmountError::Empty | AmountError::Grammar | AmountError::Zero => "is no amount",
        };
        SpannedError {
            at: at.clone(),
            problem: format!("{name} \"{value}\" {problem}"),
            remedy: "write digits and at most one point, such as \"0.25\"".to_owned(),
        }
    })
}

fn quantity(name: &str, meter: &Meter, text: &Spanned<String>) -> Result<i128, SpannedError> {
    quantity_of(meter, text.get_ref()).map_err(|problem| {
        error_at(
            text,
            format!("{name}: {problem}"),
            "docs/rate-cards.md has examples",
        )
    })
}

pub(super) fn rounding(word: &Spanned<String>) -> Result<Rounding, SpannedError> {
    rounding_of(word.get_ref()).ok_or_else(|| {
        error_at(
            word,
            format!("rounding \"{}\" is not known", word.get_ref()),
            "use \"up\", \"down\", \"half_up\" or \"half_even\"",
        )
    })
}

pub(super) fn shown(text: &ShownText) -> Result<Shown, SpannedError> {
    let decimals = *text.decimals.get_ref();
    if decimals > DECIMALS_MAX {
        return Err(error_at(
            &text.decimals,
            format!("{decimals} decimals are more than amounts have"),
            format!("use 0 to {DECIMALS_MAX}"),
        ));
    }
    Ok(Shown {
        decimals,
        rounding: rounding(&text.rounding)?,
    })
}

/// A card's name: 1 to 64 of `a-z A-Z 0-9 _ . -`.
fn check_name(name: &Spanned<String>) -> Result<(), SpannedError> {
    let text = name.get_ref();
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    if (1..=KEY_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed) {
        return Ok(());
    }
    Err(error_at(
        name,
        format!("name \"{text}\" cannot be used"),
        format!("use 1 to {KEY_BYTES_MAX} of a-z A-Z 0-9 _ . -"),
    ))
}

fn check_key(key: &Spanned<String>) -> Result<(), SpannedError> {
    let text = key.get_ref();
    if is_service_key(text) {
        return Ok(());
    }
    Err(error_at(
        key,
        format!("key \"{text}\" cannot be used"),
        format!("use {SERVICE_GRAMMAR}"),
    ))
}

/// Words for people: 1 to 256 bytes on one line.
fn check_words(name: &str, words: &Spanned<String>) -> Result<(), SpannedError> {
    check_text(name, words.get_ref(), &words.span()).map(|_| ())
}

/// The same, of a text at a place.
pub(super) fn check_text<'a>(
    name: &str,
    text: &'a str,
    at: &Range<usize>,
) -> Result<&'a str, SpannedError> {
    if (1..=VALUE_BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control) {
        return Ok(text);
    }
    Err(SpannedError {
        at: at.clone(),
        problem: format!("{name} is empty, too long or not on one line"),
        remedy: format!("write 1 to {VALUE_BYTES_MAX} bytes"),
    })
}
