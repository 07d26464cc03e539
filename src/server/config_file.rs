//! Reads a configuration file: TOML with the options of `creditd serve` as keys, and `[[client]]`.
//! All that is wrong is told at once, each problem with its line; an unknown key with the known
//! one that it looks like.

use std::path::Path;

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::clients::{self, CLIENT_KEYS, ClientForm};
use super::config::ConfigError;
use super::options::{OPTIONS, Options, client_key};
use crate::domain::pricing::nearest;

/// The entries of clients.
const CLIENT: &str = "client";
/// An older name.
const RATE_CARD: &str = "rate_card";
const RATE_CARD_FILE: &str = "rate_card_file";

type Key<'t> = Spanned<std::borrow::Cow<'t, str>>;
type Value<'t> = Spanned<DeValue<'t>>;

/// A file while it is read.
struct Reading<'t> {
    text: &'t str,
    options: Options,
    /// What is wrong, and behind how many bytes.
    problems: Vec<(usize, String)>,
}

impl Options {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// All that is wrong, with file and line.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let (options, problems) = Self::read_file(path);
        match problems.is_empty() {
            true => Ok(options),
            false => Err(ConfigError(problems)),
        }
    }

    /// What can be read of a configuration file, and all that is wrong with it.
    #[must_use]
    pub fn read_file(path: &Path) -> (Self, Vec<String>) {
        let name = path.display();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let problem =
                    format!("configuration {name}: {error}; give --config the path of a TOML file");
                let options = Self {
                    file: Some(path.to_owned()),
                    ..Self::default()
                };
                return (options, vec![problem]);
            }
        };
        let mut reading = Reading {
            text: &text,
            options: Self {
                file: Some(path.to_owned()),
                ..Self::default()
            },
            problems: Vec::new(),
        };
        match DeTable::parse(&text) {
            Ok(table) => {
                for (key, value) in table.into_inner() {
                    reading.read(key, value);
                }
            }
            Err(error) => reading.wrong(0, &error),
        }
        reading.check_clients();
        let Reading {
            options,
            mut problems,
            ..
        } = reading;
        problems.sort();
        let problems = problems.into_iter();
        let problems = problems.map(|(at, problem)| at_line(path, line(&text, at), &problem));
        (options, problems.collect())
    }
}

/// A problem, with the place of its cause.
pub(super) fn at_line(path: &Path, line: usize, problem: &str) -> String {
    format!("configuration {}:{line}: {problem}", path.display())
}

/// Types of values, as people call them.
const TYPES: [(&str, &str); 4] = [
    ("expected usize", "expected a whole number"),
    ("expected u32", "expected a whole number"),
    ("expected u64", "expected a whole number"),
    ("expected path string", "expected a path"),
];

/// What is wrong with a value.
fn problem_of(error: &toml::de::Error) -> String {
    let problem = error.message().trim().replace('\n', " ");
    let mut types = TYPES.into_iter();
    let found = types.find(|(of_rust, _)| problem.ends_with(of_rust));
    match found {
        Some((of_rust, name)) => problem.replace(of_rust, name),
        None => problem,
    }
}

/// The number of the line behind so many bytes.
fn line(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    before.matches('\n').count().saturating_add(1)
}

impl<'t> Reading<'t> {
    fn wrong(&mut self, at: usize, error: &toml::de::Error) {
        let problem = problem_of(error);
        let at = error.span().map_or(at, |span| span.start);
        self.problems.push((at, problem));
    }

    /// Reads one key of the file.
    fn read(&mut self, key: Key<'t>, value: Value<'t>) {
        let at = key.span().start;
        let name = key.get_ref().to_string();
        if name == CLIENT {
            self.read_clients(at, value);
            return;
        }
        let known = OPTIONS.iter().filter(|row| row.is_in_file());
        let known = known.map(|row| row.key).chain([CLIENT]);
        let is_known = name == RATE_CARD || known.clone().any(|known| known == name);
        if !is_known {
            let hint = "its keys are the options of \"creditd serve\" with _ for -";
            let problem = unknown(&name, "", known, hint);
            self.problems.push((at, problem));
            return;
        }
        let name = match name.as_str() {
            RATE_CARD => RATE_CARD_FILE.to_owned(),
            _ => name,
        };
        let line = line(self.text, at);
        if self.options.lines.insert(name.clone(), line).is_some() {
            let problem = format!("{RATE_CARD} is an older name of {name}; give one of them");
            self.problems.push((at, problem));
        }
        // Each for itself, so that one that is wrong does not hide the others.
        let span = key.span().start..value.span().end;
        let alone = DeTable::from_iter([(key, value)]);
        let alone = toml::Deserializer::from(Spanned::new(span, alone));
        match Options::deserialize(alone) {
            Ok(option) => self.options = std::mem::take(&mut self.options).or(option),
            Err(error) => {
                let problem = problem_of(&error);
                self.problems.push((at, format!("{name}: {problem}")));
            }
        }
    }

    fn read_clients(&mut self, at: usize, value: Value<'t>) {
        let DeValue::Array(entries) = value.into_inner() else {
            let problem = "client is a list of tables: write [[client]]".to_owned();
            self.problems.push((at, problem));
            return;
        };
        for entry in entries {
            let span = entry.span();
            let DeValue::Table(table) = entry.into_inner() else {
                let problem = "client is a list of tables: write [[client]]".to_owned();
                self.problems.push((span.start, problem));
                continue;
            };
            let before = self.problems.len();
            for key in table.keys() {
                if !CLIENT_KEYS.contains(&key.get_ref().as_ref()) {
                    let hint = "docs/client-certificates.md has its keys";
                    let known = CLIENT_KEYS.into_iter();
                    let problem = unknown(key.get_ref(), " in [[client]]", known, hint);
                    self.problems.push((key.span().start, problem));
                }
            }
            let known = table.into_iter();
            let known = known.filter(|(key, _)| CLIENT_KEYS.contains(&key.get_ref().as_ref()));
            let table: DeTable<'_> = known.collect();
            let table = toml::Deserializer::from(Spanned::new(span.clone(), table));
            match ClientForm::deserialize(table) {
                Ok(form) => {
                    let key = client_key(self.options.client_forms.len());
                    let line = line(self.text, span.start);
                    self.options.lines.insert(key, line);
                    self.options.client_forms.push(Spanned::new(span, form));
                }
                // One that is missing was misspelled.
                Err(_) if self.problems.len() > before => {}
                Err(error) => self.wrong(span.start, &error),
            }
        }
    }

    fn check_clients(&mut self) {
        let (entries, problems) = clients::entries(&self.options.client_forms);
        let problems = problems.into_iter();
        let problems = problems.map(|wrong| (wrong.at.start, wrong.problem));
        self.problems.extend(problems);
        self.options.clients = entries;
    }
}

/// What to say of a key that is none.
fn unknown<'k>(
    key: &str,
    place: &str,
    known: impl Iterator<Item = &'k str> + Clone,
    hint: &str,
) -> String {
    let text = key.escape_debug();
    match nearest(key, known) {
        Some((nearest, true)) => {
            format!("unknown key \"{text}\"{place}; did you mean \"{nearest}\"?")
        }
        _ => format!("unknown key \"{text}\"{place}; {hint}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT_A: &str = "[[client]]\nname = \"a\"\nsan = \"a.x\"\nscopes = [\"read\"]\n";

    /// Problems by their lines.
    fn problems(text: &str) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c.toml");
        std::fs::write(&path, text).unwrap();
        let Err(error) = Options::from_file(&path) else {
            return Vec::new();
        };
        let begin = format!("configuration {}:", path.display());
        let problems = error.problems().iter();
        let problems = problems.map(|problem| problem.strip_prefix(&begin).unwrap().to_owned());
        problems.collect()
    }

    #[test]
    fn all_problems_are_told_with_their_lines() {
        for (text, expected) in [
            ("calls_max = 3\n", vec![]),
            (CLIENT_A, vec![]),
            (
                "\ncalls_maxx = 3\n",
                vec!["2: unknown key \"calls_maxx\"; did you mean \"calls_max\"?"],
            ),
            (
                "calls-max = 3\n",
                vec!["1: unknown key \"calls-max\"; did you mean \"calls_max\"?"],
            ),
            (
                "accept_clock = \"x\"\n",
                vec![
                    "1: unknown key \"accept_clock\"; its keys are the options of \"creditd serve\" with _ for -",
                ],
            ),
            (
                "threads = \"two\"\nlisten_on = 1\ncalls_max = -1\n",
                vec![
                    "1: threads: invalid type: string \"two\", expected a whole number",
                    "2: unknown key \"listen_on\"; did you mean \"listen_unix\"?",
                    "3: calls_max: invalid value: integer `-1`, expected a whole number",
                ],
            ),
            (
                "rate_card = [\"a\"]\nrate_card_file = [\"b\"]\n",
                vec!["2: rate_card is an older name of rate_card_file; give one of them"],
            ),
            (
                "client = 3\n",
                vec!["1: client is a list of tables: write [[client]]"],
            ),
            (
                &format!("calls = 3\n{CLIENT_A}scope = 1\n{CLIENT_A}"),
                vec![
                    "1: unknown key \"calls\"; did you mean \"calls_max\"?",
                    "6: unknown key \"scope\" in [[client]]; did you mean \"scopes\"?",
                    "8: another [[client]] has the name \"a\"; give each its own",
                ],
            ),
            (
                "[[client]]\nname = \"a\"\n",
                vec!["1: missing field `scopes`"],
            ),
        ] {
            assert_eq!(problems(text), expected, "{text}");
        }
        // What the grammar refuses is one problem.
        assert_eq!(problems("threads = = 1\nx").len(), 1);
    }

    #[test]
    fn each_key_is_known_by_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c.toml");
        std::fs::write(&path, "threads = 2\n\nrate_card = [\"a\"]\n").unwrap();
        let options = Options::from_file(&path).unwrap();
        let lines: Vec<_> = options.lines.iter().collect();
        assert_eq!(
            lines,
            [
                (&"rate_card_file".to_owned(), &3),
                (&"threads".to_owned(), &1)
            ]
        );
        assert_eq!(options.file, Some(path));
    }
}
