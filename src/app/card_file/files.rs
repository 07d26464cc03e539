//! Rate card files: one, or several of which some extend others.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

use super::bases::{Bases, Loading};
use super::{CardFileError, FILE_BYTES_MAX, LoadedCard, parse};
use crate::domain::Timestamp;
use crate::domain::pricing::Card;

/// The text of a rate card file.
///
/// # Errors
/// That it cannot be read.
pub fn text_of(path: &Path) -> Result<String, CardFileError> {
    let unreadable = |problem: String| {
        CardFileError::new(path, None, problem, "give the path of a rate card file")
    };
    let found = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
    if !found.is_file() {
        return Err(unreadable("it is not a file".to_owned()));
    }
    if found.len() > FILE_BYTES_MAX {
        return Err(unreadable(format!(
            "it has more than {FILE_BYTES_MAX} bytes"
        )));
    }
    std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))
}

/// Reads cards from files, in the order of the files. A card may extend one of another file or
/// one of `loading`.
///
/// # Errors
/// What is wrong with the first of them, with file, line and what to do.
pub fn load_files(
    files: &[PathBuf],
    loading: &Loading<'_>,
) -> Result<Vec<LoadedCard>, CardFileError> {
    let texts = files.iter().map(|file| text_of(file));
    let texts = texts.collect::<Result<Vec<_>, _>>()?;
    let files: Vec<(&Path, &str)> = files
        .iter()
        .zip(&texts)
        .map(|(file, text)| (file.as_path(), text.as_str()))
        .collect();
    let mut known = KnownCards::beside(loading.bases);
    load_together(&files, &mut known, loading.now)
        .into_iter()
        .collect()
}

/// The card that the card of this text extends.
#[must_use]
pub fn extended(text: &str) -> Option<String> {
    Names::of(text).extends
}

/// Whether a card of these files extends one that is in none of them.
#[must_use]
pub fn extend_others(files: &[PathBuf]) -> bool {
    let texts = files.iter().filter_map(|file| text_of(file).ok());
    let names: Vec<Names> = texts.map(|text| Names::of(&text)).collect();
    let mut extended = names.iter().filter_map(|names| names.extends.as_deref());
    extended.any(|base| {
        !names
            .iter()
            .any(|names| names.name.as_deref() == Some(base))
    })
}

/// Reads cards from texts, each with the name of its file, and adds those that are right to the
/// known ones. A card may extend one of another text, or a known one.
pub fn load_together(
    files: &[(&Path, &str)],
    known: &mut KnownCards<'_>,
    now: Timestamp,
) -> Vec<Result<LoadedCard, CardFileError>> {
    let names: Vec<Names> = files.iter().map(|(_, text)| Names::of(text)).collect();
    let mut loaded: Vec<Option<Result<LoadedCard, CardFileError>>> = Vec::new();
    loaded.resize_with(files.len(), || None);
    let mut waiting: Vec<usize> = (0..files.len()).collect();
    while !waiting.is_empty() {
        let is_waiting = |name: &str| {
            let mut names = waiting.iter().filter_map(|at| names.get(*at));
            names.any(|other| other.name.as_deref() == Some(name))
        };
        let extended = |at: usize| names.get(at).and_then(|names| names.extends.as_deref());
        let is_ready = |at: &usize| extended(*at).is_none_or(|base| !is_waiting(base));
        let ready: Vec<usize> = waiting.iter().copied().filter(is_ready).collect();
        if ready.is_empty() {
            for at in &waiting {
                let error = ring_of_files(files, &names, *at, &waiting);
                if let Some(place) = loaded.get_mut(*at) {
                    *place = Some(Err(error));
                }
            }
            break;
        }
        waiting.retain(|at| !ready.contains(at));
        for at in ready {
            let Some((file, text)) = files.get(at) else {
                continue;
            };
            let loading = Loading { bases: known, now };
            let card = parse::parse(file, text, &loading);
            if let Ok(card) = &card {
                known.add(card);
            }
            if let Some(place) = loaded.get_mut(at) {
                *place = Some(card);
            }
        }
    }
    loaded.into_iter().flatten().collect()
}

/// What a text says about which cards belong together, as far as it can be read.
#[derive(Default)]
struct Names {
    name: Option<String>,
    extends: Option<String>,
}

impl Names {
    fn of(text: &str) -> Self {
        // A text can be long, and all that is looked for comes before its first table. Where a
        // line only looks like the beginning of one, what is before it is no TOML.
        let table = DeTable::parse(before_tables(text)).or_else(|_| DeTable::parse(text));
        let Ok(table) = table else {
            return Self::default();
        };
        let word = |field: &str| {
            let value = table.get_ref().get(field)?.get_ref();
            value.as_str().map(ToOwned::to_owned)
        };
        Self {
            name: word("name"),
            extends: word("extends"),
        }
    }
}

/// The lines of a text before the first that begins like a table.
fn before_tables(text: &str) -> &str {
    let mut lines = text.split_inclusive('\n').scan(0_usize, |end, line| {
        let begin = *end;
        *end = begin.saturating_add(line.len());
        Some((begin, line))
    });
    let first = lines.find(|(_, line)| line.trim_start().starts_with('['));
    first
        .and_then(|(begin, _)| text.get(..begin))
        .unwrap_or(text)
}

/// Published cards of which each extends the next, and the last the first: said of the text of
/// the first.
#[must_use]
pub fn ring(text: &str, names: &[String]) -> CardFileError {
    let next = names.iter().cycle().skip(1);
    let said = names.iter().zip(next);
    let said = said.map(|(name, next)| format!("\"{name}\" extends \"{next}\""));
    in_ring(Path::new(""), text, &said.collect::<Vec<_>>())
}

/// What is wrong with a card that is in a ring of these.
fn in_ring(file: &Path, text: &str, said: &[String]) -> CardFileError {
    let said = said.join(", ");
    let problem = format!("cards extend each other in a ring: {said}");
    CardFileError::new(file, line_of_extends(text), problem, "break the ring")
}

/// Cards that extend each other in a ring, said of one that is in it or extends one of it.
fn ring_of_files(
    files: &[(&Path, &str)],
    names: &[Names],
    of: usize,
    waiting: &[usize],
) -> CardFileError {
    let extended = |at: usize| {
        let base = names.get(at)?.extends.as_deref()?;
        let mut waiting = waiting.iter().copied();
        waiting.find(|at| names.get(*at).and_then(|names| names.name.as_deref()) == Some(base))
    };
    // Each that waits extends one that waits, so that one comes twice.
    let mut chain = vec![of];
    let mut next = extended(of);
    while let Some(at) = next.filter(|at| !chain.contains(at)) {
        chain.push(at);
        next = extended(at);
    }
    let begin = chain.iter().position(|at| Some(*at) == next);
    let ring = chain.get(begin.unwrap_or_default()..).unwrap_or_default();
    let said = ring.iter().filter_map(|at| {
        let Names { name, extends } = names.get(*at)?;
        let (file, text) = files.get(*at)?;
        let place = match line_of_extends(text) {
            Some(line) => format!("{}:{line}", file.display()),
            None => file.display().to_string(),
        };
        let (name, extends) = (name.as_deref()?, extends.as_deref()?);
        Some(format!("\"{name}\" extends \"{extends}\" ({place})"))
    });
    let said: Vec<String> = said.collect();
    let (file, text) = files.get(of).copied().unwrap_or((Path::new(""), ""));
    let (problem, remedy) = match ring {
        [at] if *at == of => {
            let name = names.get(of).and_then(|names| names.name.as_deref());
            let problem = format!("card \"{}\" extends itself", name.unwrap_or_default());
            (problem, "name the card that it is made of")
        }
        _ if ring.contains(&of) => return in_ring(file, text, &said),
        _ => {
            let problem = format!("it extends a card of a ring: {}", said.join(", "));
            (problem, "break the ring")
        }
    };
    CardFileError::new(file, line_of_extends(text), problem, remedy)
}

fn line_of_extends(text: &str) -> Option<usize> {
    let mut lines = text.lines();
    let line = lines.position(|line| line.trim_start().starts_with("extends"))?;
    line.checked_add(1)
}

/// Cards that were read, and those beyond them, which others may extend.
pub struct KnownCards<'a> {
    loaded: HashMap<String, Vec<Arc<Card>>>,
    beyond: &'a dyn Bases,
}

impl<'a> KnownCards<'a> {
    /// No cards but those beyond.
    #[must_use]
    pub fn beside(beyond: &'a dyn Bases) -> Self {
        Self {
            loaded: HashMap::new(),
            beyond,
        }
    }

    /// Adds a card.
    pub fn add(&mut self, loaded: &LoadedCard) {
        let of_name = self.loaded.entry(loaded.card.name().to_owned());
        of_name.or_default().push(Arc::new(loaded.card.clone()));
    }
}

impl Bases for KnownCards<'_> {
    fn in_force(&self, name: &str, at: Timestamp) -> Option<Arc<Card>> {
        let Some(cards) = self.loaded.get(name) else {
            return self.beyond.in_force(name, at);
        };
        let in_force = cards
            .iter()
            .filter(|card| card.effective_time().is_none_or(|t| t <= at));
        in_force.max_by_key(|card| card.effective_time()).cloned()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.loaded.keys().cloned().collect();
        names.extend(self.beyond.names());
        names.sort_unstable();
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_card_extends_stands_before_its_tables() {
        for (text, expected) in [
            ("extends = \"a\"\n[[service]]\nkey = \"x\"\n", Some("a")),
            ("name = \"b\"\n[[service]]\nextends = \"a\"\n", None),
            ("\"extends\" = 'a'", Some("a")),
            (
                "without = [\n  \"x\",\n]\nextends = \"a\"\n[[service]]\n",
                Some("a"),
            ),
            (
                "title = \"\"\"\n[[service]]\n\"\"\"\nextends = \"a\"\n",
                Some("a"),
            ),
            ("without = [\n[],\n]\nextends = \"a\"\n", Some("a")),
            // Only what comes before the tables has to be TOML.
            ("extends = \"a\"\n[[service]]\n= =", Some("a")),
            ("extends = \n[[service]]\n", None),
        ] {
            assert_eq!(extended(text).as_deref(), expected, "{text}");
        }
    }
}
