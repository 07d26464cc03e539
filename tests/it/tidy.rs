//! Rules about the code itself.

use std::path::PathBuf;

use crate::support::root;

/// Files of ours below a folder, with their paths from the root.
fn files(folder: &str, endings: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                let not_ours = ["target", "node_modules", "creditdv1", "__pycache__"];
                let generated = path.ends_with("src/creditd/v1");
                if !generated && !name.starts_with('.') && !not_ours.contains(&name) {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                let relative = path
                    .strip_prefix(root(""))
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                found.push((relative, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "{folder}");
    found
}

/// Outer modules know inner ones, never the other way round.
#[test]
fn imports_point_inwards() {
    // Each may name itself and those after it.
    let order = ["cli", "server", "rpc", "app", "store", "domain"];
    for (path, text) in files("src", &[".rs"]) {
        let module = path.split('/').nth(1).unwrap().trim_end_matches(".rs");
        let Some(rank) = order.iter().position(|name| *name == module) else {
            continue;
        };
        for outer in &order[..rank] {
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap();
                assert!(
                    !code.contains(&format!("crate::{outer}")),
                    "{path}:{}: {line}",
                    number + 1
                );
            }
        }
    }
}

/// What a layer must not know, by the names it would need.
#[test]
fn each_layer_keeps_to_its_own() {
    let rules: [(&str, &[&str], &str); 5] = [
        (
            "src/domain",
            &[
                "tokio",
                "tonic",
                "prost",
                "serde",
                "tracing",
                "rusqlite",
                "async ",
                "SystemTime",
                "Instant",
                "jiff",
                "std::fs",
                "std::env",
            ],
            "the domain is pure",
        ),
        (
            "src/app",
            // tokio's locks are fair and are of no runtime, and so is its pause.
            &[
                "tonic",
                "prost",
                "rusqlite",
                "sqlite",
                "tokio::fs",
                "tokio::net",
                "tokio::runtime",
                "tokio::spawn",
                "tokio::task::spawn",
                "tokio::time",
            ],
            "use cases know no wire and no database",
        ),
        (
            "src/store",
            &["tonic", "prost", "Catalog", "Selector", "Quote"],
            "a store knows no price and no wire",
        ),
        (
            "src/rpc",
            &["rusqlite", "sqlite", "crate::store"],
            "the wire knows no store",
        ),
        (
            "src/cli",
            &["rusqlite", "sqlite"],
            "the command line knows no database",
        ),
    ];
    for (folder, banned, reason) in rules {
        for (path, text) in files(folder, &[".rs"]) {
            let tests = text.find("#[cfg(test)]").unwrap_or(text.len());
            for (number, line) in text[..tests].lines().enumerate() {
                let code = line.split("//").next().unwrap();
                for name in banned {
                    assert!(
                        !code.contains(name),
                        "{path}:{}: {reason}: {line}",
                        number + 1
                    );
                }
            }
        }
    }
}

/// Names of accounts are data of customers: no line of the log has one, but for those of calls that
/// were refused or slow, which are of no use without.
#[test]
fn no_other_line_of_the_log_names_an_account() {
    for (path, text) in files("src", &[".rs"]) {
        if path.ends_with("rpc/layer/call_line.rs") {
            continue;
        }
        for (at, _) in text.match_indices("tracing::") {
            let call = &text[at..];
            let call = &call[..call.find(';').unwrap_or(call.len())];
            // Their numbers in the file are not.
            let call = call.replace("account_id = account", "account_id");
            let words = call.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '"');
            // Those of the message are in quotes, and so is what stands between them.
            let mut quoted = false;
            for word in words {
                let outside = !quoted && !word.contains('"');
                quoted ^= word.matches('"').count() % 2 == 1;
                assert!(
                    !(outside && ["account", "name", "payer", "command"].contains(&word)),
                    "{path}: {call}"
                );
            }
        }
    }
}

#[test]
fn no_binary_floating_point_near_credits() {
    for folder in ["src", "proto/creditd"] {
        for (path, text) in files(folder, &[".rs", ".proto"]) {
            // Prometheus's numbers are such: what is shown there never comes back.
            if path.starts_with("src/server/metrics/") {
                continue;
            }
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap();
                let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
                for word in words {
                    assert!(
                        !["f32", "f64", "float", "double"].contains(&word),
                        "{path}:{}: {line}",
                        number + 1
                    );
                }
            }
        }
    }
}

#[test]
fn files_stay_small_and_whole() {
    for folder in ["src", "tests", "clients"] {
        for (path, text) in files(folder, &[".rs", ".py", ".go"]) {
            let lines = text.lines().count();
            // The list of reasons is one thing, generated from one file.
            let limit = if path.ends_with("reason.go") {
                600
            } else {
                520
            };
            assert!(lines <= limit, "{path} has {lines} lines");
            assert!(
                text.is_empty() || text.ends_with('\n'),
                "{path} ends without a newline"
            );
        }
    }
    for (path, text) in files("src", &[".rs"]) {
        for word in ["todo!", "unimplemented!", "FIXME", "XXX", "HACK", "dbg!"] {
            assert!(!text.contains(word), "{path} has {word}");
        }
        let documented = text.starts_with("//!") || path.ends_with("_tests.rs");
        assert!(documented, "{path} does not begin by saying what it is for");
    }
}

/// Nothing of JoggAI's prices stands in code: they are data.
#[test]
fn prices_are_data() {
    let card = std::fs::read_to_string(root("rate-cards/jogg-api-v2.toml")).unwrap();
    let keys: Vec<&str> = card
        .lines()
        .filter_map(|line| line.strip_prefix("key = \"")?.strip_suffix('"'))
        .collect();
    assert_eq!(keys.len(), 11);
    for (path, text) in files("src", &[".rs"]) {
        // Examples that the command line's help shows, and tests.
        let tests = path.ends_with("_tests.rs");
        if path.starts_with("src/cli/") || path.ends_with("nearest.rs") || tests {
            continue;
        }
        let tests = text.find("#[cfg(test)]").unwrap_or(text.len());
        for key in &keys {
            assert!(!text[..tests].contains(key), "{path} names {key}");
        }
    }
}

/// Names that were replaced, and are not to come back: the glossary has the ones in use.
#[test]
fn names_are_those_of_the_field() {
    // As whole words in code; texts in quotes are not names.
    let banned = [
        "Fault",
        "Faults",
        "WireFault",
        "BadRow",
        "StoreRefusal",
        "Denied",
        "OnTheWire",
        "Held",
        "Kept",
        "Near",
        "Turn",
        "Heard",
        "Places",
        "Behind",
        "Stood",
        "Books",
        "Found",
        "Lookup",
        "Fits",
        "Look",
        "Seen",
        "move_pages",
        "folded",
        "covered",
        "torn",
        "freezing",
        "frozen",
        "twins",
        "told",
        "heard",
        "stood",
        "of_fault",
    ];
    for (path, text) in files("src", &[".rs"]) {
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap();
            let names = code
                .split('"')
                .step_by(2)
                .flat_map(|part| part.split(|c: char| !c.is_alphanumeric() && c != '_'));
            for name in names {
                assert!(!banned.contains(&name), "{path}:{}: {line}", number + 1);
            }
        }
    }
}

/// Each page that a page names is there.
#[test]
fn links_between_pages_lead_somewhere() {
    let pages = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
    ]
    .map(|name| {
        (
            name.to_owned(),
            std::fs::read_to_string(root(name)).unwrap(),
        )
    });
    for (path, text) in pages.into_iter().chain(files("docs", &[".md"])) {
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let target = link.split('#').next().unwrap();
            if !target.ends_with(".md") || target.contains("://") {
                continue;
            }
            let folder = root(&path);
            let folder = folder.parent().unwrap();
            assert!(folder.join(target).exists(), "{path} links to {link}");
        }
    }
}
