//! All that a configuration names, read and checked: rate cards, certificate, keys. Nothing is
//! changed by that.

use super::config::Config;
use super::tls::Loaded;
use super::{StartError, keys, prices};
use crate::app::card_file::{Bases, LoadedCard, NoBases, extend_others};
use crate::app::token::Token;

/// What was read.
pub(super) struct Inputs {
    pub(super) cards: Vec<LoadedCard>,
    pub(super) admin_keys: Vec<Token>,
    pub(super) tls: Option<Loaded>,
}

/// Reads all of it. Rate cards may extend `bases`.
///
/// # Errors
/// All that is wrong with it, each problem on one line.
pub(super) fn read(config: &Config, bases: &dyn Bases) -> Result<Inputs, Vec<String>> {
    let mut problems = Vec::new();
    let mut problem = |error: &dyn std::fmt::Display| problems.push(one_line(error));
    let cards = prices::load(&config.rate_cards, bases).map_err(|error| problem(&error));
    let admin_keys = keys::read_admin_keys(config).map_err(|error| problem(&error));
    let tls = config.tls.as_ref().map(Loaded::read).transpose();
    let tls = tls.map_err(|error| problem(&error));
    match (cards, admin_keys, tls) {
        (Ok(cards), Ok(admin_keys), Ok(tls)) => Ok(Inputs {
            cards,
            admin_keys,
            tls,
        }),
        _ => Err(problems),
    }
}

/// A problem, on one line.
#[must_use]
pub fn one_line(error: &dyn std::fmt::Display) -> String {
    error.to_string().trim().replace('\n', " ")
}

/// What is known of a configuration before a server starts with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// A start would fail by these.
    pub problems: Vec<String>,
    /// What only the data file decides, or a start.
    pub notes: Vec<String>,
}

/// Reads all that a start would read but the data file, and changes nothing.
#[must_use]
pub fn check(config: &Config) -> Checked {
    let mut checked = Checked::default();
    let has_data = config.data.exists();
    let is_address = config.data.to_string_lossy().contains("://");
    let data = (!is_address).then_some(config.data.as_path());
    for (option, made) in [
        ("--data", data),
        ("--listen-unix", config.listen_unix.as_deref()),
    ] {
        let Some(made) = made else { continue };
        let directory = made.parent().filter(|path| !path.as_os_str().is_empty());
        if let Some(directory) = directory
            && !directory.is_dir()
        {
            checked.problems.push(format!(
                "{option} {}: there is no directory {}; make it",
                made.display(),
                directory.display()
            ));
        }
    }
    let extends = has_data && extend_others(&config.rate_cards);
    let inputs = match read(config, &NoBases) {
        Ok(inputs) => inputs,
        Err(problems) if extends => {
            // That of the cards may be that they extend what only the data file has.
            let mut of_others = config.clone();
            of_others.rate_cards = Vec::new();
            let others = read(&of_others, &NoBases).err().unwrap_or_default();
            let cards = problems.into_iter().filter(|text| !others.contains(text));
            let note = "a rate card extends one that is in the data file alone, which was not read";
            checked
                .notes
                .extend(cards.map(|text| format!("{note}: {text}")));
            checked.problems.extend(others);
            return checked;
        }
        Err(problems) => {
            checked.problems.extend(problems);
            return checked;
        }
    };
    if let Some(default) = &config.default_rate_card
        && !inputs
            .cards
            .iter()
            .any(|loaded| loaded.card.name() == default)
    {
        let text = format!("--default-rate-card \"{default}\" names no rate card of a file");
        match has_data {
            true => checked
                .notes
                .push(format!("{text}: it must have been published")),
            false => checked.problems.push(format!(
                "{text}, and there is no data file that could have it; give its file by --rate-card-file"
            )),
        }
    }
    let has_keys = !inputs.admin_keys.is_empty() || config.asks_for_certificates();
    if !has_keys && let Some(problem) = config.open_to_others() {
        match has_data {
            true => checked.notes.push(format!(
                "it starts only where the data file has a key, else: {problem}"
            )),
            false => checked.problems.push(one_line(&StartError::Open(problem))),
        }
    }
    checked
}
