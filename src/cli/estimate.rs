//! `creditd estimate`: prices offline.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::args::Quantity;
use super::output::{Format, facts, print};
use super::time_option;
use crate::domain::pricing::{Card, Quote, Selector, Usage};
use crate::rpc::refused::{Refused, reason_name};
use crate::server::{SystemClock, offline_prices};
use crate::store::Clock as _;

const EXAMPLES: &str = "Examples:
  creditd estimate lip_sync_video --duration 31s
  creditd estimate video_generation --duration 2m30s --explain
  creditd estimate photo_avatar_generation --count 10 --json
  creditd estimate render --duration 1h --rate-card prices.toml --price-time 2027-01-01T00:00:00Z";

/// Price a usage, without any server
///
/// A duration is written like 90s, 2m, 1h30m or 1.5s, exact to the nanosecond. What is
/// priced by the piece counts 1 where no --count is given.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Key of the service; "creditd rates" lists them
    service: String,
    #[command(flatten)]
    quantity: Quantity,
    /// Also show how the cost adds up
    #[arg(long)]
    explain: bool,
    /// Rate card instead of the built-in one; may be repeated
    #[arg(
        long = "rate-card",
        env = "CREDITD_RATE_CARD",
        value_name = "FILE",
        value_delimiter = ','
    )]
    rate_cards: Vec<PathBuf>,
    /// Name of the card, where several are given [default: the first one's]
    #[arg(long, value_name = "NAME", default_value = "")]
    card: String,
    /// Prices in force then [default: now]
    #[arg(long, value_name = "TIME")]
    price_time: Option<String>,
    #[command(flatten)]
    format: Format,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EstimateJson {
    service: String,
    credits: String,
    display_credits: String,
    rate_card: String,
    revision: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<LineJson>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LineJson {
    description: String,
    quantity: String,
    unit: String,
    unit_credits: String,
    credits: String,
}

pub(super) fn run(args: &Args) -> Result<(), String> {
    let catalog = offline_prices(&args.rate_cards).map_err(|error| error.to_string())?;
    let none = BTreeMap::new();
    let usage = Usage {
        service: &args.service,
        quantity: args.quantity.given()?,
        attributes: &none,
        meters: &none,
    };
    let selector = Selector {
        rate_card: &args.card,
        revision: "",
        price_time: time_option(
            "--price-time",
            args.price_time.as_deref(),
            "2027-01-01T00:00:00Z",
        )?,
    };
    let card = catalog
        .select(&selector, SystemClock.now())
        .map_err(|refusal| in_words(&Refused::from(refusal)))?;
    let quote = card.price(&usage).map_err(|faults| {
        let refusal = crate::domain::Refusal::Invalid(faults);
        in_words(&Refused::from(refusal))
    })?;
    let value = to_json(card, &quote, args.explain);
    print(args.format, &value, || to_text(&value))
}

/// A refusal on one line, with its reason.
fn in_words(refused: &Refused) -> String {
    let told = refused.told();
    format!("{} ({})", told.message, reason_name(told.reason))
}

fn to_json(card: &Card, quote: &Quote<'_>, explain: bool) -> EstimateJson {
    let lines = if explain { quote.lines() } else { Vec::new() };
    EstimateJson {
        service: quote.service().key.to_string(),
        credits: quote.credits().to_string(),
        display_credits: quote.shown().to_string(),
        rate_card: card.name().to_owned(),
        revision: card.revision().to_string(),
        lines: lines
            .into_iter()
            .map(|line| LineJson {
                description: line.description,
                quantity: line.quantity,
                unit: line.unit,
                unit_credits: line.unit_credits.to_string(),
                credits: line.credits.to_string(),
            })
            .collect(),
    }
}

fn to_text(value: &EstimateJson) -> String {
    let mut credits = value.credits.clone();
    if value.display_credits != value.credits {
        credits.push_str(&format!(" (shown as {})", value.display_credits));
    }
    let lines: Vec<String> = value
        .lines
        .iter()
        .map(|line| format!("{}: {}", line.description, line.credits))
        .collect();
    let mut rows = vec![
        ("service", value.service.as_str()),
        ("credits", &credits),
        ("rate card", &value.rate_card),
        ("revision", &value.revision),
    ];
    rows.extend(lines.iter().map(|line| ("line", line.as_str())));
    facts(&rows)
}
