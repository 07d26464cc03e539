//! Card files that are given together: the one place where they are loaded, so that each can
//! be about the others.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::app::card_file::{self, CardFileError, KnownCards, LoadedCard, Loading, NoBases};
use crate::cli::failure::{Failure, Kind};
use crate::rfc3339;
use crate::server::SystemClock;
use crate::store::Clock as _;

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

/// Loads all files, which may extend each other, one of `bases`, or the built-in card. Two of
/// one name that begin at the same time do not go together.
pub(super) fn together(paths: &[PathBuf], bases: &[PathBuf]) -> Result<Vec<CardFile>, Failure> {
    let mut beyond = KnownCards::beside(&NoBases);
    beyond.add(&card_file::built_in().map_err(|error| error.to_string())?);
    let now = SystemClock.now();
    let loading = Loading {
        bases: &beyond,
        now,
    };
    let bases = card_file::load_files(bases, &loading);
    let bases = bases.map_err(|error| refused(&[Problem::from(&error)]))?;
    let mut known = KnownCards::beside(&beyond);
    bases.iter().for_each(|base| known.add(base));
    let texts: Vec<_> = paths.iter().map(|path| card_file::text_of(path)).collect();
    let readable = paths.iter().zip(&texts);
    let readable = readable.filter_map(|(path, text)| Some((&**path, text.as_deref().ok()?)));
    let readable: Vec<(&Path, &str)> = readable.collect();
    let mut loaded = card_file::load_together(&readable, &mut known, now).into_iter();
    let mut files: Vec<CardFile> = Vec::with_capacity(paths.len());
    for (path, text) in paths.iter().zip(&texts) {
        let card = match text {
            Err(error) => Err(vec![Problem::from(error)]),
            Ok(text) => match loaded.next() {
                Some(Ok(card)) => Ok(card),
                Some(Err(first)) => Err(problems(path, text, &first, &known)),
                None => Err(Vec::new()),
            },
        };
        let mut file = CardFile {
            path: path.clone(),
            text: text.clone().unwrap_or_default(),
            card,
        };
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
    Ok(files)
}

/// All that can be told apart of what is wrong with a card.
fn problems(
    path: &Path,
    text: &str,
    first: &CardFileError,
    known: &KnownCards<'_>,
) -> Vec<Problem> {
    let loading = Loading {
        bases: known,
        now: SystemClock.now(),
    };
    let all = card_file::problems(path, text, &loading);
    // What is wrong with files together, such as a ring, is not found in one of them.
    let is_of_text = |problem: &CardFileError| problem.to_string() == first.to_string();
    match all.iter().any(is_of_text) {
        true => all.iter().map(Problem::from).collect(),
        false => vec![Problem::from(first)],
    }
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
pub(super) fn one(path: &Path, bases: &[PathBuf]) -> Result<(LoadedCard, String), Failure> {
    let files = together(&[path.to_owned()], bases)?;
    let file = files.into_iter().next();
    let file = file.ok_or("no file is given")?;
    match file.card {
        Ok(card) => Ok((card, file.text)),
        Err(mut problems) => {
            if extends_nothing_known(path, &file.text, bases)? {
                let messages = problems.iter_mut().map(|problem| &mut problem.message);
                messages.for_each(|message| message.push_str(", with --base FILE"));
            }
            Err(refused(&problems))
        }
    }
}

/// Whether the card of a file extends one that is neither of `bases` nor the built-in one.
fn extends_nothing_known(path: &Path, text: &str, bases: &[PathBuf]) -> Result<bool, Failure> {
    let built_in = card_file::built_in().map_err(|error| error.to_string())?;
    let files: Vec<PathBuf> = bases.iter().cloned().chain([path.to_owned()]).collect();
    let extends = card_file::extended(text);
    let extends_built_in = extends.as_deref() == Some(built_in.card.name());
    Ok(!extends_built_in && card_file::extend_others(&files))
}

/// A failure that says all of this.
pub(super) fn refused(problems: &[Problem]) -> Failure {
    let messages = problems.iter().map(|problem| problem.message.as_str());
    Failure::new(Kind::Refused, messages.collect::<Vec<_>>().join("\n"))
}
