//! Card files that are given together: the one place where they are loaded, so that each can
//! be about the others.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::app::card_file::{self, CardFileError, LoadedCard};
use crate::cli::failure::{Failure, Kind};
use crate::rfc3339;

/// A file, and the card that it is or what is wrong with it.
pub(super) struct CardFile {
    pub(super) path: PathBuf,
    /// Empty where it cannot be read.
    pub(super) text: String,
    pub(super) card: Result<LoadedCard, Vec<Problem>>,
}

/// What is wrong with a file, where, and what to do.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Problem {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<usize>,
    pub(super) problem: String,
    pub(super) remedy: String,
    /// As people read it, with the file.
    #[serde(skip)]
    pub(super) message: String,
}

impl From<&CardFileError> for Problem {
    fn from(error: &CardFileError) -> Self {
        Self {
            line: error.line(),
            problem: error.problem().to_owned(),
            remedy: error.remedy().to_owned(),
            message: error.to_string(),
        }
    }
}

/// Loads all files. Two of one name that begin at the same time do not go together.
pub(super) fn together(paths: &[PathBuf]) -> Vec<CardFile> {
    let mut files: Vec<CardFile> = Vec::with_capacity(paths.len());
    for path in paths {
        let mut file = load(path);
        let same = files.iter().find(|other| match (&other.card, &file.card) {
            (Ok(other), Ok(new)) => {
                other.card.name() == new.card.name()
                    && other.card.effective_time() == new.card.effective_time()
            }
            _ => false,
        });
        if let (Some(same), Ok(loaded)) = (same, &file.card) {
            let problem = same_time(path, &same.path, loaded);
            file.card = Err(vec![problem]);
        }
        files.push(file);
    }
    files
}

fn load(path: &Path) -> CardFile {
    let of = |text: String, card| CardFile {
        path: path.to_owned(),
        text,
        card,
    };
    let text = match card_file::text_of(path) {
        Ok(text) => text,
        Err(error) => return of(String::new(), Err(vec![Problem::from(&error)])),
    };
    let card = card_file::read(path, &text).map_err(|first| {
        let all = card_file::problems(path, &text);
        match all.as_slice() {
            [] => vec![Problem::from(&first)],
            all => all.iter().map(Problem::from).collect(),
        }
    });
    of(text, card)
}

fn same_time(path: &Path, other: &Path, loaded: &LoadedCard) -> Problem {
    let since = loaded.card.effective_time().map_or_else(
        || "has no effective_time".to_owned(),
        |time| format!("begins at {}", rfc3339::format(time)),
    );
    let problem = format!(
        "it is named \"{}\" and {since}, as {}",
        loaded.card.name(),
        other.display()
    );
    let remedy = "give one another name or effective_time".to_owned();
    Problem {
        line: None,
        message: format!("rate card {}: {problem}; {remedy}", path.display()),
        problem,
        remedy,
    }
}

/// The card of a file by itself, or a failure that says all that is wrong with it.
pub(super) fn one(path: &Path) -> Result<(LoadedCard, String), Failure> {
    let file = load(path);
    match file.card {
        Ok(card) => Ok((card, file.text)),
        Err(problems) => Err(refused(&problems)),
    }
}

/// A failure that says all of this.
pub(super) fn refused(problems: &[Problem]) -> Failure {
    let messages = problems.iter().map(|problem| problem.message.as_str());
    Failure::new(Kind::Refused, messages.collect::<Vec<_>>().join("\n"))
}
