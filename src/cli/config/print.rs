//! `creditd config print`.

use clap::ArgMatches;
use clap::parser::ValueSource;
use serde::Serialize;
use serde_json::Value;

use super::load::{ConfigArgs, load};
use crate::cli::failure::Failure;
use crate::cli::output::{Format, print_own};
use crate::server::{CLIENT_KEYS, Config, OPTIONS, OptionRow, Taken};

const EXAMPLES: &str = "Examples:
  creditd config print
  creditd config print --config /etc/creditd.toml --calls-max 500
  creditd config print --json";

/// What stands for a secret.
const MASK: &str = "********";
/// Values that are longer have their comment right behind them.
const VALUE_WIDTH_MAX: usize = 48;

/// Print the values that a server would take, and where each comes from
///
/// As a file for --config: each option with its value and, behind it, the flag, the variable, the
/// line of the file that it is of, or that it is the default. Secrets are not in it. With --json,
/// "reload" says whether "creditd reload" takes a change.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    format: Format,
}

/// Where a value comes from.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Source {
    Flag,
    Environment,
    File,
    Default,
    NotSet,
}

#[derive(Serialize)]
struct Printed {
    options: Vec<PrintedOption>,
    clients: Vec<Client>,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_key: Option<&'static str>,
}

#[derive(Serialize)]
struct PrintedOption {
    key: &'static str,
    value: Value,
    source: Source,
    /// Of the flag or the variable; file and line.
    #[serde(skip_serializing_if = "String::is_empty")]
    at: String,
    reload: bool,
    #[serde(skip)]
    is_in_file: bool,
}

#[derive(Serialize)]
struct Client {
    at: String,
    #[serde(flatten)]
    entry: Value,
}

pub(super) fn run(args: Args, matches: &ArgMatches) -> Result<(), Failure> {
    let config = load(args.config)?;
    let printed = Printed {
        options: OPTIONS
            .iter()
            .map(|row| option(row, &config, matches))
            .collect(),
        clients: clients(&config),
        admin_key: config.admin_key.as_ref().map(|_| MASK),
    };
    print_own(args.format, &printed, || text(&printed))
}

fn option(row: &OptionRow, config: &Config, matches: &ArgMatches) -> PrintedOption {
    let value = (row.value)(&config.options);
    let (source, at) = match matches.value_source(row.key) {
        Some(ValueSource::CommandLine) => (Source::Flag, row.flag()),
        Some(ValueSource::EnvVariable) => (Source::Environment, row.variable()),
        // By the older name of a variable.
        _ if !(row.value)(&config.given).is_null() => {
            (Source::Environment, "CREDITD_RATE_CARD".to_owned())
        }
        _ => match place(config, row.key) {
            Some(place) => (Source::File, place),
            None if value.is_null() => (Source::NotSet, String::new()),
            None => (Source::Default, String::new()),
        },
    };
    PrintedOption {
        key: row.key,
        value,
        source,
        at,
        reload: row.taken == Taken::Reload,
        is_in_file: row.is_in_file(),
    }
}

/// File and line of a key.
fn place(config: &Config, key: &str) -> Option<String> {
    let line = config.options.lines.get(key)?;
    let file = config.options.file.as_ref()?.display();
    Some(format!("{file}:{line}"))
}

fn clients(config: &Config) -> Vec<Client> {
    let entries = config.options.client_values().into_iter();
    let clients = entries.map(|(key, entry)| Client {
        at: place(config, &key).unwrap_or_default(),
        entry,
    });
    clients.collect()
}

/// The file.
fn text(printed: &Printed) -> String {
    let mut lines = Vec::new();
    for option in &printed.options {
        let value = toml(&option.value);
        let line = format!("{} = {value}", option.key);
        let line = match (option.value.is_null(), option.is_in_file) {
            (true, _) => format!("# {} =", option.key),
            (false, true) => line,
            (false, false) => format!("# {line}"),
        };
        let mut source = match option.source {
            Source::NotSet => "not set".to_owned(),
            Source::Default => "default".to_owned(),
            Source::Environment => format!("environment {}", option.at),
            Source::Flag | Source::File => option.at.clone(),
        };
        if !option.is_in_file && !option.value.is_null() {
            source.push_str("; for one start, so it has no place in a file");
        }
        lines.push((line, source));
    }
    if let Some(mask) = printed.admin_key {
        let line = format!("# CREDITD_ADMIN_KEY={mask}");
        lines.push((line, "environment CREDITD_ADMIN_KEY".to_owned()));
    }
    for client in &printed.clients {
        lines.push((String::new(), String::new()));
        lines.push(("[[client]]".to_owned(), client.at.clone()));
        for key in CLIENT_KEYS {
            if let Some(value) = client.entry.get(key) {
                lines.push((format!("{key} = {}", toml(value)), String::new()));
            }
        }
    }
    let widths = lines.iter().filter(|(_, source)| !source.is_empty());
    let widths = widths.map(|(line, _)| line.chars().count());
    let width = widths.filter(|width| *width <= VALUE_WIDTH_MAX).max();
    let width = width.unwrap_or_default();
    let lines = lines
        .into_iter()
        .map(|(line, source)| match source.as_str() {
            "" => line,
            source => format!("{line:width$}  # {source}"),
        });
    lines.collect::<Vec<_>>().join("\n")
}

/// A value as TOML writes it: as JSON does, but for one character.
fn toml(value: &Value) -> String {
    value.to_string().replace('\u{7f}', "\\u007f")
}
