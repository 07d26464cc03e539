//! `creditd rates publish`.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::list::{from, state};
use crate::app::card_file::PUBLISHED_BYTES_MAX;
use crate::cli::failure::{Failure, Kind};
use crate::cli::output::{Format, facts, print};
use crate::cli::refusal::Words;
use crate::cli::remote::Remote;
use crate::rpc::client;
use crate::rpc::pb::creditd::v1 as pb;

const EXAMPLES: &str = "Examples:
  creditd rates publish studio.toml --validate-only
  creditd rates publish studio.toml --addr 127.0.0.1:50051";

/// Publish a rate card on a running server
///
/// It is in force from its effective_time on, or at once where it has none or that has passed,
/// and stays so when the server starts again. What was priced before stays as it was. To
/// publish the same card again changes nothing.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// File with the rate card
    file: PathBuf,
    /// Only check it, beside what the server has, and change nothing
    #[arg(long)]
    validate_only: bool,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    format: Format,
}

/// The text of the file. It is told here what is wrong with its size: the server knows no files.
fn text_of(file: &Path, name: &str) -> Result<String, Failure> {
    let unread = |error| format!("rate card {name}: {error}; give the path of a rate card file");
    let refused =
        |problem: &str| Failure::new(Kind::Refused, format!("rate card {name}: {problem}"));
    let mut text = Vec::new();
    let limit = u64::try_from(PUBLISHED_BYTES_MAX).unwrap_or(u64::MAX);
    let read =
        File::open(file).and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut text));
    read.map_err(unread)?;
    if text.len() > PUBLISHED_BYTES_MAX {
        return Err(refused(&format!(
            "it has more than {PUBLISHED_BYTES_MAX} bytes, the most that can be published; split it into several cards, or serve it from a file"
        )));
    }
    if text.is_empty() {
        return Err(refused(
            "it is empty; \"creditd rates new\" writes a card to begin with",
        ));
    }
    String::from_utf8(text)
        .map_err(|_| refused("it is no UTF-8 text; give the path of a rate card file"))
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let name = args.file.display().to_string();
    let toml = text_of(&args.file, &name)?;
    let request = pb::PublishRateCardRequest {
        toml,
        validate_only: args.validate_only,
    };
    let call = async |connection| client::admin(connection).publish_rate_card(request).await;
    let again = match args.validate_only {
        true => None,
        false => Some("it may have been published: run it again, and it is published once"),
    };
    let reply = args.remote.change(Words::of(""), again, call);
    let reply = reply.map_err(|mut failure| {
        // The server does not know the file's name.
        failure.rename("toml", &name);
        failure
    })?;
    let card = reply.rate_card.as_ref().ok_or("the server sent no card")?;
    print(args.format, &reply, || {
        let (state, from) = (state(card), from(card));
        let mut text = vec![
            ("rate card", card.rate_card.as_str()),
            ("title", &card.title),
            ("revision", &card.revision),
            ("state", &state),
            ("from", &from),
        ];
        text.extend(reply.warnings.iter().map(|text| ("warning", text.as_str())));
        if args.validate_only {
            text.push(("checked", "nothing was published"));
        }
        facts(&text)
    })
}
