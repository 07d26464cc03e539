//! Reads tables: sections of lines, each an operation and what it must answer.

use crate::support::root;

/// What happens in one ledger.
pub struct Section {
    /// Where it stands.
    pub file: String,
    pub title: String,
    pub lines: Vec<Line>,
}

/// An operation.
#[derive(Clone)]
pub struct Line {
    pub number: usize,
    pub text: String,
    pub words: Vec<String>,
    /// What stands behind `=>`.
    pub expected: Option<String>,
    /// Indented lines below it: the items of a batch.
    pub items: Vec<Line>,
}

/// All sections of all tables.
pub fn sections() -> Vec<Section> {
    let folder = root("tests/data/ledger");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "txt"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    let mut sections = Vec::new();
    for path in files {
        let file = path.file_name().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let found = read(file, &text);
        assert!(!found.is_empty(), "{file} has no sections");
        sections.extend(found);
    }
    sections
}

fn read(file: &str, text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let number = at + 1;
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        if let Some(title) = line.strip_prefix("== ") {
            sections.push(Section {
                file: file.to_owned(),
                title: title.to_owned(),
                lines: Vec::new(),
            });
            continue;
        }
        let section = sections.last_mut();
        let section = section.unwrap_or_else(|| panic!("{file}:{number}: before any section"));
        let read = read_line(number, line);
        if line.starts_with(' ') {
            let batch = section.lines.last_mut();
            let batch = batch.unwrap_or_else(|| panic!("{file}:{number}: of no batch"));
            batch.items.push(read);
        } else {
            section.lines.push(read);
        }
    }
    sections
}

fn read_line(number: usize, line: &str) -> Line {
    let (operation, expected) = match line.split_once("=>") {
        Some((operation, expected)) => (operation, Some(expected.trim().to_owned())),
        None => (line, None),
    };
    Line {
        number,
        text: line.trim().to_owned(),
        words: words(operation),
        expected,
        items: Vec::new(),
    }
}

/// Words between spaces. `"a b"` is one, `""` is an empty one, `x*65` is 65 x.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (word, after) = quoted.split_once('"').expect("a closing quote");
            words.push(word.to_owned());
            rest = after.trim_start();
            continue;
        }
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        words.push(repeated(word).unwrap_or_else(|| word.to_owned()));
        rest = after.trim_start();
    }
    words
}

fn repeated(word: &str) -> Option<String> {
    let (text, times) = word.split_once('*')?;
    Some(text.repeat(times.parse().ok()?))
}
