//! Ids of entries, grants and holds in what the command line prints, replaced by symbols: `$h1`
//! is the first hold that was printed. Tests that use them do not depend on the form of ids.

use std::collections::BTreeMap;

/// The symbols given so far.
#[derive(Default)]
pub struct Ids(BTreeMap<String, String>);

impl Ids {
    /// The text with a symbol for each id in it. Ids that are new get the next symbol.
    pub fn symbols(&mut self, text: &str) -> String {
        map_words(text, |word| {
            let kind = kind_of_id(word)?;
            let next = 1
                + (self.0.values())
                    .filter(|symbol| symbol[1..].starts_with(kind))
                    .count();
            let symbol = self.0.entry(word.to_owned());
            Some(symbol.or_insert_with(|| format!("${kind}{next}")).clone())
        })
    }

    /// The same, but ids that are new stay as they are.
    pub fn known_symbols(&self, text: &str) -> String {
        map_words(text, |word| self.0.get(word).cloned())
    }

    /// The text with the id for each symbol in it.
    pub fn resolve(&self, text: &str) -> String {
        let mut resolved = text.to_owned();
        // The longest first: $h12 is not $h1 with a 2 behind it.
        let mut pairs: Vec<_> = self.0.iter().collect();
        pairs.sort_by_key(|(_, symbol)| std::cmp::Reverse(symbol.len()));
        for (id, symbol) in pairs {
            resolved = resolved.replace(symbol.as_str(), id);
        }
        assert!(
            !resolved.contains(" $"),
            "nothing has this symbol: {resolved}"
        );
        resolved
    }
}

/// The letter of an id: `h7` or `h7-k3fq` is one of a hold. None: the word is no id.
pub fn kind_of_id(word: &str) -> Option<char> {
    let kind = word.chars().next().filter(|kind| "egh".contains(*kind))?;
    let (number, check) = word[1..].split_once('-').unwrap_or((&word[1..], "x"));
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let is_check = !check.is_empty() && check.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_number && is_check).then_some(kind)
}

/// The text with each of its words replaced, where `map` has another one for it. A word consists
/// of letters, digits, hyphens and underscores.
pub fn map_words(text: &str, mut map: impl FnMut(&str) -> Option<String>) -> String {
    let in_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut mapped = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let word = rest.find(|c| !in_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(word);
        mapped.push_str(&map(word).unwrap_or_else(|| word.to_owned()));
        let gap = after.find(in_word).unwrap_or(after.len());
        mapped.push_str(&after[..gap]);
        rest = &after[gap..];
    }
    mapped
}
