//! `creditd config check`.

use std::path::PathBuf;

use serde::Serialize;

use super::load::{ConfigArgs, read};
use crate::cli::failure::{Failure, Kind};
use crate::cli::output::{Format, print_own};
use crate::server;

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
    /// The configuration file; null where none was named.
    file: Option<PathBuf>,
    problems: Vec<String>,
    notes: Vec<String>,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let (config, mut problems) = read(args.config);
    let checked = server::check(&config);
    problems.extend(checked.problems);
    let report = Report {
        right: problems.is_empty(),
        file: config.options.file.clone(),
        problems,
        notes: checked.notes,
    };
    if args.format.json || report.right {
        print_own(args.format, &report, || {
            let notes = report.notes.iter().map(|note| format!("note: {note}"));
            let read = match &report.file {
                Some(file) => format!("the configuration is right, with {}", file.display()),
                None => "the configuration is right; --config names no file".to_owned(),
            };
            let lines = std::iter::once(read).chain(notes);
            lines.collect::<Vec<_>>().join("\n")
        })?;
    }
    match report.right {
        true => Ok(()),
        false => Err(Failure::new(Kind::Refused, report.problems.join("\n"))),
    }
}
