//! `creditd rates convert`: cards made of price lists that others publish.

mod entry;
mod fields;
#[cfg(any(test, fuzzing))]
pub(in crate::cli) mod fuzz;
mod map;
mod service;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use clap::builder::NonEmptyStringValueParser;
use serde::Serialize;

use super::written::Target;
use crate::app::card_file::{self, FILE_BYTES_MAX, SERVICES_MAX};
use crate::cli::failure::{Failure, Kind};
use crate::cli::output::{Format, print_own, say};
use crate::domain::pricing::lines::Ratio;

const EXAMPLES: &str = "Examples:
  creditd rates convert litellm model_prices_and_context_window.json --output models.toml
  creditd rates convert litellm prices.json --provider anthropic --provider openai
  creditd rates convert litellm prices.json --credits-per-usd 100 --name models --json

The exit status is 0 also where entries are left out: the list says which, and why.";

/// Most bytes of a price map.
const MAP_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Make a rate card of a price list that others publish
///
/// litellm is LiteLLM's model_prices_and_context_window.json. Each model becomes a service under
/// its own name, and each of its prices a line. Tokens of the cache, of audio and of images are
/// parts of prompt_tokens and completion_tokens, as LiteLLM counts them. Prices are taken digit
/// by digit. What a card cannot hold, and what the map leaves open, is left out and listed with
/// the reason.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// What the file is
    #[arg(value_enum, value_name = "FORMAT")]
    from: From,
    /// The file
    file: PathBuf,
    /// Models of this provider alone, as the file calls it; may be repeated
    #[arg(long = "provider", value_name = "PROVIDER")]
    providers: Vec<String>,
    /// Credits for one USD [default: a credit is a USD]
    #[arg(long, value_name = "N", value_parser = positive)]
    credits_per_usd: Option<Ratio>,
    /// Name of the card
    #[arg(long, default_value = "litellm", value_parser = NonEmptyStringValueParser::new())]
    name: String,
    /// Title of the card
    #[arg(long, default_value = "LiteLLM price map", value_parser = NonEmptyStringValueParser::new())]
    title: String,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum From {
    Litellm,
}

fn positive(text: &str) -> Result<Ratio, String> {
    let number = Ratio::parse(text).filter(|number| *number != Ratio::ZERO);
    number.ok_or_else(|| "write a number of more than 0, such as 100 or 0.5".to_owned())
}

/// What became of the entries.
#[derive(Default, Serialize)]
struct Report {
    /// Entries with a price, of the providers that were asked for.
    priced: usize,
    converted: usize,
    left_out: Vec<About>,
    notes: Vec<About>,
    /// Entries without any price.
    unpriced: usize,
    /// The card's text, where it goes to no file.
    #[serde(skip_serializing_if = "Option::is_none")]
    card: Option<String>,
}

/// Something about an entry.
#[derive(Serialize)]
struct About {
    model: String,
    provider: String,
    text: String,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let From::Litellm = args.from;
    let text = map_text(&args.file)?;
    let entries = map::entries(&text).map_err(|problem| {
        Failure::new(
            Kind::Refused,
            format!(
                "{}: {problem}; give LiteLLM's model_prices_and_context_window.json",
                args.file.display()
            ),
        )
    })?;
    let (mut report, services) = convert(args, &entries)?;
    let card = whole(args, &services)?;
    match (&args.target.output, args.format.json) {
        (None, false) => {
            say(card.trim_end())?;
            crate::cli::output::complain(&report_text(&report));
            Ok(())
        }
        (output, _) => {
            args.target.write_file(&card)?;
            if output.is_none() {
                report.card = Some(card);
            }
            print_own(args.format, &report, || {
                let path = output.as_deref().map(Path::display);
                let written = path.map_or_else(String::new, |path| format!("written to {path}\n"));
                format!("{written}{}", report_text(&report))
            })
        }
    }
}

fn map_text(path: &Path) -> Result<String, Failure> {
    let unreadable = |problem: String| Failure::from(format!("{}: {problem}", path.display()));
    let found = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
    if found.len() > MAP_BYTES_MAX {
        return Err(unreadable(format!(
            "it has more than {MAP_BYTES_MAX} bytes"
        )));
    }
    std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))
}

/// Entries become services, each of which the loader accepts by itself.
fn convert(args: &Args, entries: &[map::Entry<'_>]) -> Result<(Report, Vec<String>), Failure> {
    let head = head(args, 1);
    let mut report = Report::default();
    let mut services = Vec::new();
    // Which of two entries of one name is meant, nobody can say.
    let mut models: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in entries {
        let count = models.entry(&entry.model).or_default();
        *count = count.saturating_add(1);
    }
    let mut of_others: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in entries {
        let about = |text: String| About {
            model: entry.model.clone(),
            provider: entry.provider.clone(),
            text,
        };
        if !args.providers.is_empty() && !args.providers.contains(&entry.provider) {
            let count = of_others.entry(&entry.provider).or_default();
            *count = count.saturating_add(1);
            continue;
        }
        if !entry.has_prices() {
            report.unpriced = report.unpriced.saturating_add(1);
            continue;
        }
        report.priced = report.priced.saturating_add(1);
        let made = match models.get(&*entry.model) == Some(&1) {
            true => entry::sheet(entry).map(|sheet| (service::text(entry, &sheet), sheet.notes)),
            false => Err("its name stands twice in the file".to_owned()),
        };
        let made = made.and_then(|(text, notes)| {
            let card = format!("{head}{text}");
            match card_file::read(&args.file, &card) {
                Ok(_) => Ok((text, notes)),
                Err(error) => Err(error.problem().to_owned()),
            }
        });
        match made {
            Ok((text, notes)) => {
                services.push(text);
                report.notes.extend(notes.into_iter().map(about));
            }
            Err(reason) => report.left_out.push(about(reason)),
        }
    }
    report.converted = services.len();
    if services.is_empty() {
        return Err(nothing(args, &report, &of_others));
    }
    Ok((report, services))
}

/// Why there is no card.
fn nothing(args: &Args, report: &Report, of_others: &BTreeMap<&str, usize>) -> Failure {
    // The head of the card is wrong in every one of them.
    let first = report.left_out.first();
    let message = match (first, args.providers.as_slice()) {
        (Some(first), _) => format!(
            "none of {} entries can be converted; the first is {}: {}",
            report.priced, first.model, first.text
        ),
        (None, []) => format!("{} has no entries with prices", args.file.display()),
        (None, asked) => {
            let known: Vec<_> = of_others.keys().copied().collect();
            format!(
                "no entry is of provider {}; choose from {}",
                asked.join(", "),
                known.join(", ")
            )
        }
    };
    Failure::new(Kind::Refused, message)
}

fn head(args: &Args, services: usize) -> String {
    let text = |text: &str| toml::Value::from(text).to_string();
    let exchange = args.credits_per_usd.map_or_else(String::new, |credits| {
        format!("exchange = {{ unit = \"USD\", credits = \"{credits}\" }}\n")
    });
    let plural = if services == 1 { "" } else { "s" };
    format!(
        "# {services} model{plural} of LiteLLM's price map, made by \"creditd rates convert litellm\".\n\
         # Prices are in USD. Tokens of the cache, of audio and of images are parts of\n\
         # prompt_tokens and completion_tokens, and are taken off them.\n\
         format = 2\nname = {}\ntitle = {}\nrounding = \"half_even\"\n{exchange}",
        text(&args.name),
        text(&args.title),
    )
}

/// The card of all services, which the loader accepts.
fn whole(args: &Args, services: &[String]) -> Result<String, Failure> {
    let card = format!("{}{}", head(args, services.len()), services.concat());
    let refused = |problem: String| {
        Failure::new(
            Kind::Refused,
            format!("{problem}; choose some of the models with --provider, and make several cards"),
        )
    };
    if services.len() > SERVICES_MAX {
        return Err(refused(format!(
            "{} models are more than the {SERVICES_MAX} services that a card can have",
            services.len()
        )));
    }
    let bytes = u64::try_from(card.len()).unwrap_or(u64::MAX);
    if bytes > FILE_BYTES_MAX {
        return Err(refused(format!(
            "a card of {bytes} bytes is larger than the {FILE_BYTES_MAX} that a card can have"
        )));
    }
    match card_file::read(&args.file, &card) {
        Ok(_) => Ok(card),
        Err(error) => Err(refused(error.problem().to_owned())),
    }
}

fn report_text(report: &Report) -> String {
    let mut text = format!(
        "{} of {} models with prices converted",
        report.converted, report.priced
    );
    if report.unpriced > 0 {
        text.push_str(&format!("; {} have no price", report.unpriced));
    }
    for about in &report.left_out {
        text.push_str(&format!("\nleft out: {}: {}", about.model, about.text));
    }
    let mut notes: Vec<(&str, Vec<&str>)> = Vec::new();
    for note in &report.notes {
        match notes.iter_mut().find(|(text, _)| *text == note.text) {
            Some((_, models)) => models.push(&note.model),
            None => notes.push((&note.text, vec![&note.model])),
        }
    }
    for (note, models) in notes {
        let first = models.first().copied().unwrap_or_default();
        let of = match models.len() {
            1 => first.to_owned(),
            count => format!("{count} models, the first {first}"),
        };
        text.push_str(&format!("\nnote: {note} ({of})"));
    }
    text
}
