//! `creditd rates`: the rate card as a table.

use std::path::PathBuf;

use serde::Serialize;

use super::output::{Format, print, table};
use crate::domain::pricing::Card;
use crate::rfc3339;
use crate::server::offline_prices;

const EXAMPLES: &str = "Examples:
  creditd rates
  creditd rates --rate-card prices.toml --json";

/// Show rate cards as tables, without any server
///
/// It reads the files as "creditd serve" would, so it also checks them.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Rate card instead of the built-in one; may be repeated
    #[arg(
        long = "rate-card",
        env = "CREDITD_RATE_CARD",
        value_name = "FILE",
        value_delimiter = ','
    )]
    rate_cards: Vec<PathBuf>,
    #[command(flatten)]
    format: Format,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CardJson {
    rate_card: String,
    title: String,
    revision: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    effective_time: Option<String>,
    services: Vec<ServiceJson>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ServiceJson {
    service: String,
    title: String,
    rule: String,
    meters: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantity_max: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<(), String> {
    let catalog = offline_prices(&args.rate_cards).map_err(|error| error.to_string())?;
    let cards: Vec<CardJson> = catalog
        .cards()
        .into_iter()
        .map(|card| to_json(card))
        .collect();
    print(args.format, &cards, || {
        cards.iter().map(to_text).collect::<Vec<_>>().join("\n")
    })
}

fn to_json(card: &Card) -> CardJson {
    CardJson {
        rate_card: card.name().to_owned(),
        title: card.title().to_owned(),
        revision: card.revision().to_string(),
        effective_time: card.effective_time().map(rfc3339::format),
        services: card
            .services()
            .iter()
            .map(|service| ServiceJson {
                service: service.key.to_string(),
                title: service.title.to_string(),
                rule: service.rule_in_words().into_owned(),
                meters: vec![service.meter.name().to_owned()],
                quantity_max: service
                    .quantity_max
                    .map(|atoms| service.meter.quantity_text(atoms)),
            })
            .collect(),
    }
}

fn to_text(card: &CardJson) -> String {
    let since = card
        .effective_time
        .as_ref()
        .map_or_else(String::new, |time| format!(", from {time}"));
    let head = format!(
        "{} ({}), revision {}{since}\n\n",
        card.rate_card, card.title, card.revision
    );
    let titles = ["SERVICE", "TITLE", "METER", "RULE"]
        .map(str::to_owned)
        .to_vec();
    let rows = card.services.iter().map(|service| {
        vec![
            service.service.clone(),
            service.title.clone(),
            service.meters.join(", "),
            service.rule.clone(),
        ]
    });
    let rows: Vec<_> = std::iter::once(titles).chain(rows).collect();
    head + &table(&rows, &[])
}
