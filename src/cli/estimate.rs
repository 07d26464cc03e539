//! `creditd estimate`.

use std::collections::BTreeSet;

use clap::ArgMatches;

use super::args::{Quantity, once, pair};
use super::failure::Failure;
use super::output::{Format, facts, print};
use super::prices::{Asked, Source};
use super::refusal::{self, Words};
use crate::domain::Refusal;
use crate::domain::pricing::lines::did_you_mean;
use crate::domain::pricing::{AccountTerms, Catalog, Pairs, PriceTerms, Usage};
use crate::rpc::client;
use crate::rpc::convert::pricing::estimate_to_pb;
use crate::rpc::pb::creditd::v1 as pb;
use crate::rpc::refused::Refused;
use crate::server::SystemClock;
use crate::store::Clock as _;

const EXAMPLES: &str = "Examples:
  creditd estimate lip_sync_video --duration 31s
  creditd estimate video_generation --duration 2m30s --explain
  creditd estimate photo_avatar_generation --count 10 --json
  creditd estimate chat --meter tokens=2000 --attribute model=opus-5 --rate-card-file prices.toml
  creditd estimate chat --account-attribute plan=growth --rate-card-file prices.toml
  creditd estimate ai_scripts --addr 127.0.0.1:50051 --account team-a
  creditd estimate render --duration 1h --rate-card-file prices.toml --price-time 2027-01-01";

/// Price a usage, by a server or without any
///
/// Without --addr and CREDITD_ADDR the built-in rate card counts, or --rate-card-file. A
/// duration is written like 90s, 2m, 1h30m or 1.5s, exact to the nanosecond. What is priced by
/// the piece counts 1 where no --count is given.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Key of the service; "creditd rates" lists them
    service: String,
    #[command(flatten)]
    quantity: Quantity,
    /// What the account says that is priced here, such as plan=growth; may be repeated. A
    /// server asks the account that --account names
    #[arg(long = "account-attribute", value_name = "NAME=VALUE", value_parser = pair)]
    account_attributes: Vec<(String, String)>,
    /// Also show how the cost adds up
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(args: &Args, matches: &ArgMatches) -> Result<(), Failure> {
    let (reply, origin) = match args.source.asked(matches)? {
        Asked::Here(catalog, origin) => (here(args, &catalog)?, origin),
        Asked::Server(_) if !args.account_attributes.is_empty() => {
            return Err(Failure::usage(
                "--account-attribute is for prices here, and a server asks the account; name it by --account, or add --offline",
            ));
        }
        Asked::Server(remote) => {
            let account = args.source.account.clone();
            let request = pb::EstimateRequest {
                usage: Some(args.quantity.usage(&args.service)?),
                prices: Some(args.source.to_pb()),
                explain: args.explain,
                check_balance: !account.is_empty(),
            };
            let reply = remote.read(Words::of(&account), async |connection| {
                client::pricing(connection).estimate(request).await
            })?;
            (reply, format!("server {}", remote.addr))
        }
    };
    let estimate = reply
        .estimate
        .as_ref()
        .ok_or("the server sent no estimate")?;
    print(args.format, &reply, || {
        to_text(estimate, reply.affordability.as_ref(), &origin)
    })
}

/// The answer that a server with these cards would give.
fn here(args: &Args, catalog: &Catalog) -> Result<pb::EstimateResponse, Failure> {
    let (meters, attributes) = (args.quantity.meters()?, args.quantity.attributes()?);
    let usage = Usage {
        service: &args.service,
        quantity: args.quantity.given(),
        attributes: (&attributes).into(),
        meters: (&meters).into(),
    };
    let refused = |refusal: Refusal| {
        let status = Refused::from(refusal).into_status();
        let mut failure = refusal::failure(Words::of(""), "", &status);
        failure.add(args.source.hint());
        failure
    };
    let account = once("--account-attribute", &args.account_attributes)?;
    let account = AccountTerms {
        attributes: &account,
        ..AccountTerms::NONE
    };
    let terms = catalog
        .terms(&args.source.selector(), account, SystemClock.now())
        .map_err(refused)?;
    check_names(account.attributes, &terms)?;
    let quote = terms
        .price(&usage)
        .map_err(|violations| refused(Refusal::Invalid(violations.under("usage."))))?;
    Ok(pb::EstimateResponse {
        estimate: Some(estimate_to_pb(
            &terms,
            &quote,
            false,
            args.explain.then_some(&usage),
        )),
        affordability: None,
    })
}

/// Refuses attributes of the account that the card does not ask for: a misspelled one would
/// change no price, and nobody would see it.
fn check_names(given: &Pairs, terms: &PriceTerms<'_>) -> Result<(), Failure> {
    let known: BTreeSet<&str> = terms
        .card()
        .account_values()
        .map(|(name, _)| name)
        .collect();
    let Some(name) = given.keys().find(|name| !known.contains(name.as_str())) else {
        return Ok(());
    };
    let card = terms.card().name();
    let remedy = match known.is_empty() {
        true => "leave --account-attribute out".to_owned(),
        false => did_you_mean(name, known),
    };
    Err(Failure::usage(format!(
        "rate card \"{card}\" asks no account for \"{name}\"; {remedy}"
    )))
}

fn to_text(
    estimate: &pb::Estimate,
    affordability: Option<&pb::Affordability>,
    origin: &str,
) -> String {
    let mut credits = estimate.credits.clone();
    if estimate.display_credits != estimate.credits {
        credits.push_str(&format!(" (shown as {})", estimate.display_credits));
    }
    let lines: Vec<String> = estimate
        .lines
        .iter()
        .map(|line| format!("{}: {}", line.description, line.credits))
        .collect();
    let available = affordability.map_or_else(String::new, |found| match found.sufficient {
        true => format!("{}, enough", found.available),
        false => format!("{}, {} short", found.available, found.shortfall),
    });
    let mut rows = vec![
        ("service", estimate.service.as_str()),
        ("credits", &credits),
        ("available", &available),
        ("rate card", &estimate.rate_card),
        ("revision", &estimate.revision),
        ("prices", origin),
    ];
    rows.extend(lines.iter().map(|line| ("line", line.as_str())));
    facts(&rows)
}
