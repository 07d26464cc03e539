//! Every file of every corpus is given to its target: what a fuzzer found stays tested.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::*;
use crate::support::root;

/// A test for each target, and the names of all.
macro_rules! targets {
    ($($name:ident: $run:path,)*) => {
        const TARGETS: &[&str] = &[$(stringify!($name)),*];

        $(#[test]
        fn $name() {
            replay(stringify!($name), $run);
        })*
    };
}

targets! {
    amounts: amounts::run,
    bearer_tokens: bearer_tokens::run,
    cards: cards::run,
    configuration: configuration::run,
    names: names::run,
    page_tokens: page_tokens::run,
    requests: requests::run,
    requests_on_disk: requests::run_on_disk,
    stored_cards: stored_cards::run,
    times: times::run,
}

/// Those whose parsers only creditd itself sees: `src/fuzzing.rs` replays them.
const WITHIN: &[&str] = &["frames", "litellm"];

fn replay(target: &str, run: fn(&[u8])) {
    let mut count = 0;
    for folder in folders(target) {
        for file in files(&folder) {
            let _named = Named(&file);
            run(&std::fs::read(&file).unwrap());
            count += 1;
        }
    }
    assert!(count > 0, "{target} has no corpus");
}

/// Says which file it was, where its target panics.
struct Named<'a>(&'a Path);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("it was given {}", self.0.display());
        }
    }
}

/// The target's own corpus, and what `fuzz/corpora.txt` adds to it.
fn folders(target: &str) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(root("fuzz/corpora.txt")).unwrap();
    let lines = text.lines().filter_map(|line| line.split_once(": "));
    let added = lines.filter(|(name, _)| *name == target);
    let added = added.flat_map(|(_, folders)| folders.split(' ').map(root));
    let own = root("fuzz/corpus").join(target);
    own.exists()
        .then_some(own)
        .into_iter()
        .chain(added)
        .collect()
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

fn names_in(folder: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(root(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_owned());
    names.map(|name| name.into_string().unwrap()).collect()
}

#[test]
fn a_target_has_a_corpus_and_a_corpus_a_target() {
    let known: BTreeSet<String> = TARGETS
        .iter()
        .chain(WITHIN)
        .map(|name| (*name).to_owned())
        .collect();
    assert_eq!(names_in("fuzz/fuzz_targets"), known);
    let manifest = std::fs::read_to_string(root("fuzz/Cargo.toml")).unwrap();
    for target in &known {
        assert!(
            manifest.contains(&format!("name = \"{target}\"")),
            "{target}"
        );
        assert!(
            folders(target)
                .iter()
                .any(|folder| !files(folder).is_empty()),
            "{target}"
        );
    }
    let strangers: Vec<_> = names_in("fuzz/corpus")
        .difference(&known)
        .cloned()
        .collect();
    assert_eq!(strangers, Vec::<String>::new(), "corpora of no target");
    let all = files(&root("fuzz/corpus"));
    let bytes: u64 = all.iter().map(|file| file.metadata().unwrap().len()).sum();
    assert!(bytes <= 300_000, "the corpora are small: {bytes}");
}
