//! `creditd config check`.

use serde::Serialize;

use super::load::{ConfigArgs, problems_or_config};
use crate::cli::failure::{Failure, Kind};
use crate::cli::output::{Format, print_own};
use crate::server::{self, Checked};

const EXAMPLES: &str = "Examples:
  creditd config check --config /etc/creditd.toml
  creditd config check --rate-card-file prices.toml --json

The exit status is 0 where it is right, and 3 where something is wrong with it.";

/// Say all that is wrong with a configuration, without a server
///
/// Reads what "creditd serve" would read: the options, the environment, the file with its
/// [[client]], rate cards, certificates, and files of keys. It opens no data file and no port, and
/// makes and changes nothing.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    format: Format,
}

#[derive(Serialize)]
struct Report {
    right: bool,
    problems: Vec<String>,
    notes: Vec<String>,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let Checked { problems, notes } = match problems_or_config(args.config) {
        Ok(config) => server::check(&config),
        Err(problems) => Checked {
            problems,
            notes: Vec::new(),
        },
    };
    let report = Report {
        right: problems.is_empty(),
        problems,
        notes,
    };
    if args.format.json || report.right {
        print_own(args.format, &report, || {
            let notes = report.notes.iter().map(|note| format!("note: {note}"));
            let lines = std::iter::once("the configuration is right".to_owned()).chain(notes);
            lines.collect::<Vec<_>>().join("\n")
        })?;
    }
    match report.right {
        true => Ok(()),
        false => Err(Failure::new(Kind::Refused, report.problems.join("\n"))),
    }
}
