//! `creditd rates` without a subcommand: rate cards as tables.

use std::sync::Arc;

use clap::ArgMatches;

use crate::cli::failure::Failure;
use crate::cli::output::{Format, More, print_line, say, table};
use crate::cli::prices::{Asked, Source};
use crate::cli::refusal::{self, Words};
use crate::domain::pricing::Card;
use crate::rfc3339;
use crate::rpc::client;
use crate::rpc::convert::pricing::rate_card_to_pb;
use crate::rpc::pb::creditd::v1 as pb;
use crate::rpc::refused::Refused;
use crate::server::SystemClock;
use crate::store::Clock as _;

// A flattened struct's documentation would replace that of the subcommand.
#[derive(clap::Args, Debug)]
#[group(skip)]
pub(super) struct Shown {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(args: &Shown, matches: &ArgMatches) -> Result<(), Failure> {
    let cards = match args.source.asked(matches)? {
        Asked::Here(catalog, origin) => {
            let cards: Vec<&Arc<Card>> = match args.source.selects() {
                false => catalog.cards(),
                true => {
                    let found = catalog.select(&args.source.selector(), SystemClock.now());
                    vec![found.map_err(|refusal| {
                        let status = Refused::from(refusal).into_status();
                        let mut failure = refusal::failure(Words::of(""), "", &status);
                        failure.add(args.source.hint());
                        failure
                    })?]
                }
            };
            let shown = cards
                .into_iter()
                .map(|card| (rate_card_to_pb(card), head(card, &origin)));
            shown.collect::<Vec<_>>()
        }
        Asked::Server(remote) => {
            let request = pb::GetRateCardRequest {
                prices: Some(args.source.to_pb()),
                ..pb::GetRateCardRequest::default()
            };
            let card = remote.read(Words::of(&args.source.account), async |connection| {
                client::pricing(connection).get_rate_card(request).await
            })?;
            let head = format!(
                "{}, revision {}, of the server at {}",
                card.rate_card, card.revision, remote.addr
            );
            vec![(card, head)]
        }
    };
    if args.format.json {
        for (card, _) in &cards {
            if print_line(args.format, card, String::new)? == More::Enough {
                break;
            }
        }
        return Ok(());
    }
    let tables = cards.iter().map(|(card, head)| to_text(card, head));
    say(tables.collect::<Vec<_>>().join("\n").trim_end())
}

/// The line above the table of a card on this machine.
fn head(card: &Card, origin: &str) -> String {
    let since = card.effective_time().map_or_else(String::new, |time| {
        format!(", from {}", rfc3339::format(time))
    });
    format!(
        "{} ({}), revision {}{since} ({origin})",
        card.name(),
        card.title(),
        card.revision()
    )
}

fn to_text(card: &pb::GetRateCardResponse, head: &str) -> String {
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
    format!("{head}\n\n{}", table(&rows, &[]))
}
