//! What is wrong with a rate card.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::domain::names::cut;

/// How much of a problem and of a remedy callers are told: an error travels as metadata, which
/// has a limit.
const SENTENCE_BYTES_MAX: usize = 512;

/// What is wrong with a rate card file, where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardFileError {
    file: PathBuf,
    line: Option<usize>,
    problem: String,
    remedy: String,
}

impl CardFileError {
    pub(super) fn new(
        file: &Path,
        line: Option<usize>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            file: file.to_owned(),
            line,
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// The line that it is about, from 1; None for the whole file.
    #[must_use]
    pub const fn line(&self) -> Option<usize> {
        self.line
    }

    /// What is wrong.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &str {
        &self.remedy
    }

    /// What is wrong and what to do about it, without the file's name. A long text that it
    /// repeats is cut.
    #[must_use]
    pub fn sentence(&self) -> String {
        let [problem, remedy] = [&self.problem, &self.remedy].map(|text| {
            let start = cut(text, SENTENCE_BYTES_MAX);
            let more = if start == text { "" } else { " ..." };
            format!("{start}{more}")
        });
        format!("{problem}; {remedy}")
    }
}

impl fmt::Display for CardFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rate card {}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}; {}", self.problem, self.remedy)
    }
}

impl std::error::Error for CardFileError {}
