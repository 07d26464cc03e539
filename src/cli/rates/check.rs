//! `creditd rates check`.

use std::path::PathBuf;

use serde::Serialize;

use super::files::{self, CardFile, Problem};
use super::usage;
use crate::app::card_file;
use crate::cli::failure::Failure;
use crate::cli::output::{Format, facts, print_own, table};
use crate::domain::pricing::lines::{LineSurvey, Program, Ratio, factor_words};
use crate::domain::pricing::{Card, Meter, OnePrice, Price, Service, ServicePrice};
use crate::rfc3339;

const EXAMPLES: &str = "Examples:
  creditd rates check prices.toml
  creditd rates check prices.toml prices-2027.toml --json

The exit status is 0 where all files are right, and 3 where one of them is wrong.";

/// Pieces for which a price of a count is made, from which on one of them costs next to nothing.
const PER_MANY: i128 = 100;
/// Most warnings that people see of a card.
const WARNINGS_SHOWN_MAX: usize = 20;
/// How many times the smallest price of a line may go into the largest before it is said.
const SPREAD_MAX: Ratio = Ratio::whole(1_000);

/// Say what is wrong with files of rate cards, or what they amount to
///
/// Files are read as "creditd serve" would read them together, without a server. A wrong file
/// gets all that can be told apart: the first problem of each service, with its line and what
/// to do. A right one gets a summary: for each line of a service how many combinations of
/// attribute values and ranges it tells apart, how many of them are refused, and the smallest
/// and the largest price with all factors; and what its examples cost, which were checked.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// File with a rate card; several that are served together
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    format: Format,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Report {
    files: Vec<FileReport>,
}

#[derive(Serialize)]
struct FileReport {
    file: String,
    right: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<Problem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    card: Option<CardReport>,
}

#[derive(Serialize)]
struct CardReport {
    name: String,
    title: String,
    revision: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    effective_time: Option<String>,
    /// Of prices.
    unit: String,
    combinations: usize,
    /// How many of them are refused, of services that could be counted.
    refused: usize,
    services: Vec<ServiceReport>,
    examples: Vec<ExampleReport>,
    /// What the prices above do not say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct ServiceReport {
    service: String,
    title: String,
    combinations: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<usize>,
    /// Of a usage, where no line has a quantity.
    #[serde(skip_serializing_if = "Option::is_none")]
    smallest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    largest: Option<String>,
    lines: Vec<LineReport>,
}

#[derive(Serialize)]
struct LineReport {
    line: String,
    combinations: usize,
    refused: usize,
    left_out: usize,
    smallest: String,
    largest: String,
    per: String,
}

#[derive(Serialize)]
struct ExampleReport {
    service: String,
    usage: String,
    says: String,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let files = files::together(&args.files, &[])?;
    let report = Report {
        files: files.iter().map(file_report).collect(),
    };
    let right: Vec<_> = report.files.iter().filter(|file| file.right).collect();
    if args.format.json || !right.is_empty() {
        print_own(args.format, &report, || {
            let texts = right.iter().map(|file| file_text(file));
            texts.collect::<Vec<_>>().join("\n\n")
        })?;
    }
    let problems = report
        .files
        .iter()
        .flat_map(|file| file.problems.iter().cloned());
    match problems.collect::<Vec<_>>().as_slice() {
        [] => Ok(()),
        problems => Err(files::refused(problems)),
    }
}

fn file_report(file: &CardFile) -> FileReport {
    let (problems, card) = match &file.card {
        Ok(loaded) => (Vec::new(), Some(card_report(&loaded.card, &file.text))),
        Err(problems) => (problems.clone(), None),
    };
    FileReport {
        file: file.path.display().to_string(),
        right: card.is_some(),
        problems,
        card,
    }
}

fn card_report(card: &Card, text: &str) -> CardReport {
    let services: Vec<_> = card.services().iter().map(service_report).collect();
    let examples = card_file::examples(text, card);
    let examples = examples.into_iter().map(|example| ExampleReport {
        service: example.service.to_string(),
        usage: usage::words_with(&example.usage, &example.given),
        says: example.says,
    });
    let exchange = programs(card).find_map(|(_, program)| program.spec.exchange.as_ref());
    let combinations = services.iter().map(|service| service.combinations);
    let refused = services.iter().filter_map(|service| service.refused);
    CardReport {
        name: card.name().to_owned(),
        title: card.title().to_owned(),
        revision: card.revision().to_string(),
        effective_time: card.effective_time().map(rfc3339::format),
        unit: match exchange {
            Some(exchange) => format!("{} of {} credits", exchange.unit, exchange.credits),
            None => "credits".to_owned(),
        },
        combinations: combinations.fold(0, usize::saturating_add),
        refused: refused.fold(0, usize::saturating_add),
        examples: examples.collect(),
        notes: notes(card, text),
        warnings: warnings(card, text),
        services,
    }
}

fn programs(card: &Card) -> impl Iterator<Item = (&Service, &Program)> {
    let services = card.services().iter();
    services.filter_map(|service| match &service.price {
        ServicePrice::Lines(program) => Some((service, &**program)),
        ServicePrice::One(_) => None,
    })
}

fn service_report(service: &Service) -> ServiceReport {
    let (combinations, refused, prices, lines) = match &service.price {
        ServicePrice::One(one) => (1, Some(0), None, vec![one_line(one)]),
        ServicePrice::Lines(program) => {
            let survey = program.survey();
            let lines = survey.lines.iter().map(line_report).collect();
            (survey.combinations, survey.refused, survey.prices, lines)
        }
    };
    ServiceReport {
        service: service.key.to_string(),
        title: service.title.to_string(),
        combinations,
        refused,
        smallest: prices.map(|(smallest, _)| smallest.to_string()),
        largest: prices.map(|(_, largest)| largest.to_string()),
        lines,
    }
}

fn one_line(one: &OnePrice) -> LineReport {
    let (credits, per) = match &one.price {
        Price::PerPiece { credits } => (credits, one.meter.quantity_text(1)),
        Price::StartedBlock { credits, block } => (
            credits,
            format!("started {}", one.meter.quantity_text(*block)),
        ),
        Price::ProRata(rate) => (&rate.credits(), one.meter.quantity_text(rate.per())),
    };
    LineReport {
        line: String::new(),
        combinations: 1,
        refused: 0,
        left_out: 0,
        smallest: credits.to_string(),
        largest: credits.to_string(),
        per: per.strip_prefix("1 ").unwrap_or(&per).to_owned(),
    }
}

fn line_report(line: &LineSurvey) -> LineReport {
    let (smallest, largest) = line.prices;
    let per = line.per.as_deref().unwrap_or("usage");
    let per = match per.strip_prefix("1 ") {
        // "1 s" is the quantity of most prices of time.
        Some(unit) => unit,
        None => per,
    };
    LineReport {
        line: line.title.clone(),
        combinations: line.combinations,
        refused: line.refused,
        left_out: line.left_out,
        smallest: smallest.to_string(),
        largest: largest.to_string(),
        per: per.to_owned(),
    }
}

/// What holds of the whole card: that it extends another, and its factors.
fn notes(card: &Card, text: &str) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(base) = card_file::extended(text) {
        notes.push(format!(
            "it has the services of \"{base}\" as they are now; another \"{base}\" changes nothing here until this card is loaded or published again"
        ));
    }
    if let Some(factors) = card.factors() {
        let words = factors.factors.iter().map(factor_words);
        let words: Vec<String> = words.collect();
        notes.push(format!(
            "prices above are without the factors of the card ({}), what examples cost is with them",
            words.join(", ")
        ));
    }
    notes
}

/// What is allowed, and may not be meant.
fn warnings(card: &Card, text: &str) -> Vec<String> {
    let mut warnings = card_file::free_prices(card);
    let mut titles: Vec<(&str, &str)> = Vec::new();
    for service in card.services() {
        let key = &service.key;
        match titles.iter().find(|(title, _)| *title == &*service.title) {
            Some((title, other)) => warnings.push(format!(
                "services \"{other}\" and \"{key}\" have the same title, \"{title}\""
            )),
            None => titles.push((&service.title, key)),
        }
        match &service.price {
            ServicePrice::One(one) => warnings.extend(of_one(key, one)),
            ServicePrice::Lines(program) => {
                for line in program.survey().lines {
                    warnings.extend(of_line(key, &line));
                }
                let idle = program.without_effect().into_iter();
                warnings.extend(idle.map(|what| format!("service \"{key}\": {what}")));
            }
        }
    }
    let examples = card_file::examples(text, card);
    let without = programs(card).filter(|(service, _)| {
        let mut examples = examples.iter();
        !examples.any(|example| example.service == service.key)
    });
    let without: Vec<_> = without.map(|(service, _)| &*service.key).collect();
    match without.as_slice() {
        [] => {}
        [one] => warnings.push(format!("service \"{one}\" has no examples")),
        [first, .., last] => warnings.push(format!(
            "{} services have no examples, \"{first}\" to \"{last}\"",
            without.len()
        )),
    }
    warnings
}

fn of_one(key: &str, one: &OnePrice) -> Option<String> {
    let Meter::Count {
        piece,
        required: false,
    } = &one.meter
    else {
        return None;
    };
    let per = match &one.price {
        Price::StartedBlock { block, .. } => *block,
        Price::ProRata(rate) => rate.per(),
        Price::PerPiece { .. } => 1,
    };
    (per >= PER_MANY).then(|| {
        format!(
            "service \"{key}\": a usage without a count is 1 {piece}; quantity = \"required\" refuses it"
        )
    })
}

fn of_line(key: &str, line: &LineSurvey) -> Option<String> {
    let (smallest, largest) = line.prices;
    let times = largest.over(smallest)?;
    (times >= SPREAD_MAX).then(|| {
        format!(
            "service \"{key}\": line \"{}\" costs from {smallest} to {largest}, {SPREAD_MAX} times as much or more",
            line.title
        )
    })
}

fn file_text(file: &FileReport) -> String {
    let Some(card) = &file.card else {
        return String::new();
    };
    let since = card.effective_time.as_deref();
    let since = since.map_or_else(|| "always".to_owned(), |time| format!("from {time}"));
    let refused = match card.refused {
        0 => String::new(),
        refused => format!(", {refused} of them refused"),
    };
    let plural = |count: usize, one: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {one}s"),
    };
    let services = format!(
        "{}, {}{refused}",
        card.services.len(),
        plural(card.combinations, "combination")
    );
    let examples = match card.examples.len() {
        0 => "none".to_owned(),
        1 => "1, which holds".to_owned(),
        count => format!("{count}, which hold"),
    };
    let mut text = format!("{} is right\n\n", file.file);
    text.push_str(&facts(&[
        ("rate card", &format!("{} ({})", card.name, card.title)),
        ("revision", &card.revision),
        ("in force", &since),
        ("prices in", &card.unit),
        ("services", &services),
        ("examples", &examples),
    ]));
    text.push('\n');
    text.push_str(&table(&rows(card), &[2, 3, 4, 5]));
    if !card.examples.is_empty() {
        text.push('\n');
        let examples = card.examples.iter().map(|example| {
            vec![
                example.says.clone(),
                format!("{} {}", example.service, example.usage),
            ]
        });
        let titles = vec!["COSTS".to_owned(), "EXAMPLE".to_owned()];
        let rows: Vec<_> = std::iter::once(titles).chain(examples).collect();
        text.push_str(&table(&rows, &[]));
    }
    if !card.notes.is_empty() {
        text.push('\n');
        for note in &card.notes {
            text.push_str(&format!("note: {note}\n"));
        }
    }
    if !card.warnings.is_empty() {
        text.push('\n');
        for warning in card.warnings.iter().take(WARNINGS_SHOWN_MAX) {
            text.push_str(&format!("warning: {warning}\n"));
        }
        let more = card.warnings.len().saturating_sub(WARNINGS_SHOWN_MAX);
        if more > 0 {
            text.push_str(&format!("and {more} more warnings; --json lists all\n"));
        }
    }
    text.trim_end().to_owned()
}

fn rows(card: &CardReport) -> Vec<Vec<String>> {
    let titles = [
        "SERVICE",
        "LINE",
        "COMBINATIONS",
        "REFUSED",
        "SMALLEST",
        "LARGEST",
        "PER",
    ];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    let row = |service: &str, line: &str, counts: (usize, Option<usize>), prices: [&str; 3]| {
        let mut row = vec![service.to_owned(), line.to_owned(), counts.0.to_string()];
        row.push(
            counts
                .1
                .map_or_else(|| "?".to_owned(), |refused| refused.to_string()),
        );
        row.extend(prices.map(str::to_owned));
        row
    };
    for service in &card.services {
        let of_line = |key: &str, line: &LineReport, title: &str| {
            let per = match line.left_out {
                0 => line.per.clone(),
                left_out => format!("{}, left out in {left_out}", line.per),
            };
            let counts = (line.combinations, Some(line.refused));
            row(key, title, counts, [&line.smallest, &line.largest, &per])
        };
        if let [line] = service.lines.as_slice() {
            rows.push(of_line(&service.service, line, &line.line));
            continue;
        }
        let smallest = service.smallest.as_deref().unwrap_or_default();
        let largest = service.largest.as_deref().unwrap_or_default();
        let per = if smallest.is_empty() { "" } else { "usage" };
        let counts = (service.combinations, service.refused);
        rows.push(row(&service.service, "", counts, [smallest, largest, per]));
        let lines = service.lines.iter();
        rows.extend(lines.map(|line| of_line("", line, &line.line)));
    }
    rows
}
