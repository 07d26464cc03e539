//! docs/rate-cards.md: each card and each service on it is loaded, and each estimate on it is
//! made by the program, whose words it shows.
//!
//! `UPDATE=1 cargo test --test it rate_card_guide` writes what the program prints.

use std::collections::BTreeMap;
use std::path::PathBuf;

use creditd::app::card_file::{self, Loading};
use tempfile::TempDir;

use crate::support::root;
use crate::support::server::program;

/// Where a card or a service stands that has no file of its own.
const FILE: &str = "prices.toml";
/// What stands before a service that has no card.
const HEAD: &str = "format = 2\nname = \"prices\"\ntitle = \"Prices\"\n";
/// What the page leaves out of an estimate.
const LEFT_OUT: [&str; 4] = ["service ", "rate card ", "revision ", "prices "];

fn page() -> String {
    std::fs::read_to_string(root("docs/rate-cards.md")).unwrap()
}

/// The page as it is read from top to bottom, in a folder of its own.
struct Reader {
    folder: TempDir,
    /// Cards by their names, to be extended by others.
    cards: BTreeMap<String, PathBuf>,
    loaded: usize,
    /// Estimates by the headings that they stand under.
    estimates: BTreeMap<String, usize>,
    services: BTreeMap<String, usize>,
    heading: String,
}

impl Reader {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(root("rate-cards"), folder.path().join("rate-cards")).unwrap();
        Self {
            folder,
            cards: BTreeMap::new(),
            loaded: 0,
            estimates: BTreeMap::new(),
            services: BTreeMap::new(),
            heading: String::new(),
        }
    }

    /// A card or a service: written to its file and loaded.
    fn toml(&mut self, block: &str) {
        let name = block.lines().next().unwrap().strip_prefix("# ");
        let name = name.and_then(|line| line.split([':', ' ']).next());
        let name = name.filter(|name| name.ends_with(".toml")).unwrap_or(FILE);
        let file = self.folder.path().join(name);
        let text = match block.lines().any(|line| line.starts_with("format =")) {
            true => block.to_owned(),
            false => format!("{HEAD}{block}"),
        };
        std::fs::write(&file, &text).unwrap();
        if name == "studio.toml" {
            // The copy that the page speaks of.
            let later = text.replace("= 2026-01-01", "= 2027-01-01");
            let later = later.replace("0.05", "0.06");
            std::fs::write(self.folder.path().join("studio-2027.toml"), later).unwrap();
        }
        let field = |field: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(field))?;
            line.split('"').nth(1).map(str::to_owned)
        };
        let mut files = vec![file.clone()];
        files.extend(field("extends =").map(|base| self.cards[&base].clone()));
        let loaded = card_file::load_files(&files, &Loading::ALONE);
        match (name.starts_with("wrong"), loaded) {
            (true, Ok(_)) => panic!("it is right:\n{block}"),
            (false, Err(error)) => panic!("{error}\n{block}"),
            _ => self.loaded += 1,
        }
        self.cards.insert(field("name =").unwrap(), file);
        *self.services.entry(self.heading.clone()).or_default() += 1;
    }

    /// Commands and what they print: those that need no server are run.
    fn console(&mut self, block: &str) -> String {
        let mut text = String::new();
        for part in block.split("$ creditd ").skip(1) {
            let (line, shown) = part.split_once('\n').unwrap();
            let runs = line.starts_with("estimate ") || line.starts_with("rates --rate-card-file");
            let remote = line.contains("--addr") || line.contains("--account ");
            let prints = match runs && !remote {
                true => self.run(line, shown),
                false => shown.to_owned(),
            };
            text.push_str(&format!("$ creditd {line}\n{prints}"));
        }
        text
    }

    fn run(&mut self, line: &str, shown: &str) -> String {
        let mut command = program();
        command.current_dir(self.folder.path());
        command.env("CREDITD_RATE_CARD_FILE", FILE);
        let output = command.args(line.split_whitespace()).output().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        if line.starts_with("rates") {
            return format!("{out}{err}");
        }
        *self.estimates.entry(self.heading.clone()).or_default() += 1;
        let whole = shown.contains("\nrevision ");
        let lines = out.lines();
        let lines = lines.filter(|line| whole || !LEFT_OUT.iter().any(|it| line.starts_with(it)));
        let lines: String = lines.map(|line| format!("{line}\n")).collect();
        format!("{lines}{err}")
    }
}

/// The page as it must be.
fn read(page: &str, reader: &mut Reader) -> String {
    let mut text = String::new();
    let mut rest = page;
    while let Some((before, after)) = rest.split_once("```") {
        if let Some(heading) = before.lines().rfind(|line| line.starts_with('#')) {
            reader.heading = heading.to_owned();
        }
        let (language, block) = after.split_once('\n').unwrap();
        let (block, after) = block.split_once("```").unwrap();
        let block = match language {
            "toml" => {
                reader.toml(block);
                block.to_owned()
            }
            "console" => reader.console(block),
            _ => block.to_owned(),
        };
        text.push_str(&format!("{before}```{language}\n{block}```"));
        rest = after;
    }
    text.push_str(rest);
    text
}

#[test]
fn the_guide_says_what_the_program_says() {
    let mut page = page();
    assert!(page.contains(HEAD), "how services become a card");
    let mut reader = Reader::new();
    let right = read(&page, &mut reader);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(root("docs/rate-cards.md"), &right).unwrap();
        page.clone_from(&right);
    }
    for (shown, is) in page.lines().zip(right.lines()) {
        assert_eq!(shown, is, "UPDATE=1 writes docs/rate-cards.md");
    }
    assert_eq!(page, right, "UPDATE=1 writes docs/rate-cards.md");
    let estimates: usize = reader.estimates.values().sum();
    assert!(reader.loaded >= 40, "{} cards", reader.loaded);
    assert!(estimates >= 60, "{estimates} estimates");
    // Each recipe is a question, prices and at least one usage.
    let (_, recipes) = page.split_once("\n## Recipes\n").unwrap();
    let recipes = recipes.split("\n## ").next().unwrap();
    let questions = recipes.lines().filter(|line| line.starts_with("### "));
    let questions: Vec<&str> = questions.collect();
    assert!(questions.len() >= 12, "{questions:?}");
    for question in questions {
        let services = reader.services.get(question);
        let estimates = reader.estimates.get(question);
        assert!(services.is_some() && estimates.is_some(), "{question}");
    }
}

/// What the page says of wrong cards is what a wrong card gets; tests/data/bad-cards has each.
#[test]
fn what_is_refused_is_what_the_guide_says() {
    let page = page();
    let (_, chapter) = page
        .split_once("\n## What is refused when a card is loaded\n")
        .unwrap();
    let chapter = chapter.split("\n## ").next().unwrap();
    let files = std::fs::read_dir(root("tests/data/bad-cards")).unwrap();
    let messages = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let messages: Vec<String> = messages
        .filter_map(|text| text.lines().next().map(str::to_owned))
        .collect();
    let rows = chapter.lines().filter(|line| line.starts_with("| "));
    let says = rows.skip(1).map(|row| {
        let says = row.split(" | `").nth(1).unwrap_or_else(|| panic!("{row}"));
        says.trim_end_matches("` |")
    });
    let mut count = 0;
    for says in says {
        let known = messages.iter().any(|message| message.ends_with(says));
        assert!(known, "{says}");
        count += 1;
    }
    assert!(count >= 30, "{count}");
}
