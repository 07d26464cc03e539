//! `creditd rates list`.

use clap::builder::NonEmptyStringValueParser;

use crate::cli::failure::Failure;
use crate::cli::list::{Listing, Size};
use crate::cli::output::{Format, More, put};
use crate::cli::refusal::Words;
use crate::cli::remote::{Remote, short, time_text};
use crate::rpc::client::{self, Admin};
use crate::rpc::pb::creditd::v1 as pb;

const EXAMPLES: &str = "Examples:
  creditd rates list
  creditd rates list --rate-card studio --with-toml
  creditd rates list --json      (all of them, an object a line)";

/// What begins the name of each state in the API.
const STATE_PREFIX: &str = "RATE_CARD_STATE_";

/// List the rate cards of a server: in force, scheduled and replaced
///
/// Of cards of files, of the built-in one, and of those that were published.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Those of that name
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    rate_card: Option<String>,
    /// Their texts too, each below a line that says which it is
    #[arg(long)]
    with_toml: bool,
    #[command(flatten)]
    size: Size,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let titles = ["RATE CARD", "STATE", "FROM", "ORIGIN", "REVISION", "TITLE"];
    let mut listing = Listing::new(args.format, args.size, &titles, &[]);
    let request = pb::ListRateCardsRequest {
        rate_card: args.rate_card.clone().unwrap_or_default(),
        with_toml: args.with_toml,
        page_size: args.size.page_size(args.format),
        page_token: String::new(),
    };
    let fetch = async |admin: &mut Admin, page_token| {
        let request = pb::ListRateCardsRequest {
            page_token,
            ..request.clone()
        };
        let page = admin.list_rate_cards(request).await?.into_inner();
        Ok((page.rate_cards, page.next_page_token))
    };
    let texts = args.with_toml && !args.format.json;
    let mut left = args.size.limit(args.format);
    let each = |card: pb::RateCard| match texts {
        true => match &mut left {
            Some(0) => Ok(More::Enough),
            left => {
                *left = left.map(|left| left.saturating_sub(1));
                put_text(&card)
            }
        },
        false => listing.add(&card, || {
            vec![
                card.rate_card.clone(),
                state(&card),
                from(&card),
                card.origin.clone(),
                card.revision.clone(),
                card.title.clone(),
            ]
        }),
    };
    args.remote
        .pages_of(Words::of(""), client::admin, fetch, each)?;
    match texts {
        true => Ok(()),
        false => listing.end("no rate cards of that name"),
    }
}

/// A card's text, below a comment that says which it is.
fn put_text(card: &pb::RateCard) -> Result<More, Failure> {
    let text = match card.toml.as_str() {
        "" => "# Its text is not kept.",
        text => text.trim_end(),
    };
    put(&format!(
        "# {}, revision {}, {} from {}, {}\n{text}\n",
        card.rate_card,
        card.revision,
        state(card),
        from(card),
        card.origin
    ))
}

/// Whether a card is in force, as people read it: "IN_FORCE".
pub(super) fn state(card: &pb::RateCard) -> String {
    let name = pb::RateCardState::try_from(card.state).map_or("", |state| state.as_str_name());
    short(name, STATE_PREFIX, card.state)
}

/// From when on a card is in force.
pub(super) fn from(card: &pb::RateCard) -> String {
    match &card.effective_time {
        None => "always".to_owned(),
        time => time_text(time.as_ref()),
    }
}
