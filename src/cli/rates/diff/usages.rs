//! Usages priced by both cards.

use std::collections::BTreeSet;

use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;

use super::{Args, Source};
use crate::app::card_file;
use crate::cli::failure::Failure;
use crate::cli::rates::usage;
use crate::domain::pricing::{Card, Pairs, UsageRecord};
use crate::rpc::convert::pricing::usage_from_pb;
use crate::rpc::json;

/// A usage of a service.
pub(super) struct Asked {
    service: String,
    usage: UsageRecord,
    /// Of the account and the clock.
    given: Pairs,
}

/// What a card says of a usage.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Priced {
    Credits(String),
    /// By that reason.
    Refused(String),
}

#[derive(Serialize)]
pub(super) struct Compared {
    usage: Value,
    pub(super) old: Priced,
    pub(super) new: Priced,
    /// New less old; none where one of them refuses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) difference: Option<String>,
    #[serde(skip)]
    pub(super) words: String,
}

#[derive(Serialize)]
pub(super) struct Total {
    /// How many usages both price.
    pub(super) usages: usize,
    pub(super) old: String,
    pub(super) new: String,
    pub(super) difference: String,
}

/// The usages that are asked for, or else the examples of both cards.
pub(super) fn asked(args: &Args, old: &Source, new: &Source) -> Result<Vec<Asked>, Failure> {
    let mut messages = Vec::new();
    for text in &args.usages {
        messages.push(usage::parse(text)?);
    }
    if let Some(path) = &args.usage_file {
        let name = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
        for (at, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let number = at.saturating_add(1);
            let read = json::from_text(line).map_err(|problem| {
                Failure::usage(format!(
                    "{name}:{number}: {problem}; write a usage a line, such as {{\"service\": \"dub\", \"duration\": \"90s\"}}"
                ))
            });
            messages.push((read?, Pairs::new()));
        }
    }
    if args.usages.is_empty() && args.usage_file.is_none() {
        return Ok(examples(old, new));
    }
    let asked = messages.into_iter().map(|(message, given)| Asked {
        usage: UsageRecord::from(&usage_from_pb(&message)),
        service: message.service,
        given,
    });
    Ok(asked.collect())
}

/// Each once.
fn examples(old: &Source, new: &Source) -> Vec<Asked> {
    let mut all = Vec::new();
    let mut known = BTreeSet::new();
    for source in [old, new] {
        for example in card_file::examples(&source.text, &source.loaded.card) {
            if known.insert(format!(
                "{} {} {:?}",
                example.service,
                usage::words(&example.usage),
                example.given
            )) {
                all.push(Asked {
                    service: example.service.to_string(),
                    usage: example.usage,
                    given: example.given,
                });
            }
        }
    }
    all
}

/// What each usage costs by both, and all that both price together.
pub(super) fn compare(
    usages: Vec<Asked>,
    old: &Card,
    new: &Card,
) -> Result<(Vec<Compared>, Total), Failure> {
    let too_large = || Failure::from("the usages cost more together than can be added up");
    let (mut olds, mut news) = (Decimal::ZERO, Decimal::ZERO);
    let mut priced = 0_usize;
    let mut compared = Vec::with_capacity(usages.len());
    for asked in usages {
        let Asked {
            service,
            usage,
            given,
        } = asked;
        let credits = |card: &Card| {
            let quote = usage::price(card, &service, &usage, &given).ok()?;
            Some(quote.credits().to_decimal())
        };
        let both = credits(old).zip(credits(new));
        if let Some((old, new)) = both {
            olds = olds.checked_add(old).ok_or_else(too_large)?;
            news = news.checked_add(new).ok_or_else(too_large)?;
            priced = priced.saturating_add(1);
        }
        let of = |card: &Card| match credits(card) {
            Some(credits) => Priced::Credits(text(credits)),
            None => Priced::Refused(usage::reason(card, &service, &usage, &given)),
        };
        let words = format!("{service} {}", usage::words_with(&usage, &given));
        compared.push(Compared {
            usage: json::to_value(&usage::to_pb(&service, &usage))?,
            old: of(old),
            new: of(new),
            difference: both.map(|(old, new)| difference(old, new)),
            words: words.trim_end().to_owned(),
        });
    }
    let total = Total {
        usages: priced,
        old: text(olds),
        new: text(news),
        difference: difference(olds, news),
    };
    Ok((compared, total))
}

fn text(credits: Decimal) -> String {
    credits.normalize().to_string()
}

/// "+0.5", "-1", "0".
fn difference(old: Decimal, new: Decimal) -> String {
    let difference = new.checked_sub(old).unwrap_or_default();
    let sign = if difference > Decimal::ZERO { "+" } else { "" };
    format!("{sign}{}", text(difference))
}
