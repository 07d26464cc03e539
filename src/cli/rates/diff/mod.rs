//! `creditd rates diff`: what changed between two cards, in words and for usages.

mod changes;
mod groups;
mod source;
mod usages;

use std::path::PathBuf;

use serde::Serialize;

use self::changes::{Change, Changes, ServiceChanges};
use self::source::{Source, Sources};
use self::usages::{Compared, Priced};
use crate::cli::failure::Failure;
use crate::cli::output::{Format, print_own, table};
use crate::cli::remote::Remote;

const EXAMPLES: &str = "Examples:
  creditd rates diff prices.toml prices-2027.toml
  creditd rates diff old.toml new.toml --usage 'dub --duration 90s' --usage thumbnail
  creditd rates diff old.toml new.toml --usages usages.jsonl --json
  creditd rates diff c38700ee0fd4aef8bef7eadf new.toml      (a revision that the server has)

The exit status is 0 whether the cards differ or not, and 3 where one of them is wrong.";

/// Show what changed between two rate cards, and what usages cost by each
///
/// Of files, or of revisions that a server has, as "creditd rates list" lists them. Without
/// --usage and --usages the examples of both cards are priced by both. The total counts the
/// usages that both price.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// File with a rate card, or a revision that the server has
    old: PathBuf,
    /// The same of the card to compare with it
    new: PathBuf,
    /// A usage to price by both, as behind "creditd estimate", in words without spaces of their
    /// own; may be repeated
    #[arg(long = "usage", value_name = "USAGE")]
    usages: Vec<String>,
    /// File with usages to price by both: a Usage in protobuf's JSON a line
    #[arg(long = "usages", value_name = "FILE")]
    usage_file: Option<PathBuf>,
    /// File with a card that one of them extends; may be repeated
    #[arg(long = "base", value_name = "FILE")]
    bases: Vec<PathBuf>,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    format: Format,
}

#[derive(Serialize)]
struct Report {
    old: CardName,
    new: CardName,
    /// Whether they are one revision.
    same: bool,
    /// Of what stands beside the services.
    card: Vec<Change>,
    added: Vec<changes::ServiceName>,
    removed: Vec<changes::ServiceName>,
    changed: Vec<ServiceChanges>,
    usages: Vec<Compared>,
    total: usages::Total,
}

#[derive(Serialize)]
struct CardName {
    source: String,
    rate_card: String,
    revision: String,
}

impl CardName {
    fn of(source: &Source) -> Self {
        let card = &source.loaded.card;
        Self {
            source: source.label.clone(),
            rate_card: card.name().to_owned(),
            revision: card.revision().to_string(),
        }
    }
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let sources = Sources {
        bases: &args.bases,
        remote: &args.remote,
    };
    let (old, new) = (sources.card(&args.old)?, sources.card(&args.new)?);
    let usages = usages::asked(args, &old, &new)?;
    let (old_card, new_card) = (&old.loaded.card, &new.loaded.card);
    let (usages, total) = usages::compare(usages, old_card, new_card)?;
    let Changes {
        card,
        added,
        removed,
        changed,
    } = changes::between(&old.loaded.stored, &new.loaded.stored)?;
    let report = Report {
        same: old_card.revision() == new_card.revision(),
        old: CardName::of(&old),
        new: CardName::of(&new),
        card,
        added,
        removed,
        changed,
        usages,
        total,
    };
    print_own(args.format, &report, || to_text(&report))
}

fn to_text(report: &Report) -> String {
    let name = |name: &CardName| format!("{} {} ({})", name.rate_card, name.revision, name.source);
    let mut text = format!("old  {}\nnew  {}\n", name(&report.old), name(&report.new));
    if report.same {
        text.push_str("\nthe same prices: both are one revision\n");
    }
    let mut block = |head: String, changes: &[Change]| {
        text.push_str(&format!("\n{head}\n"));
        for change in changes {
            text.push_str(&format!("  {change}\n"));
        }
    };
    if !report.card.is_empty() {
        block("the card".to_owned(), &report.card);
    }
    for service in &report.removed {
        block(format!("removed  {service}"), &[]);
    }
    for service in &report.added {
        block(format!("added    {service}"), &[]);
    }
    for service in &report.changed {
        block(format!("changed  {}", service.service), &service.changes);
    }
    if !report.usages.is_empty() {
        text.push('\n');
        text.push_str(&table(&rows(report), &[0, 1, 2]));
    }
    text
}

fn rows(report: &Report) -> Vec<Vec<String>> {
    let titles = ["OLD", "NEW", "DIFFERENCE", "USAGE"];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    let cell = |priced: &Priced| match priced {
        Priced::Credits(credits) => credits.clone(),
        Priced::Refused(reason) => reason.clone(),
    };
    for usage in &report.usages {
        rows.push(vec![
            cell(&usage.old),
            cell(&usage.new),
            usage.difference.clone().unwrap_or_default(),
            usage.words.clone(),
        ]);
    }
    let total = &report.total;
    let of = match report.usages.len() {
        all if all == total.usages => format!("total of {all}"),
        all => format!("total of {} of {all}, which both price", total.usages),
    };
    rows.push(vec![
        total.old.clone(),
        total.new.clone(),
        total.difference.clone(),
        of,
    ]);
    rows
}
