//! `creditd rates diff`: what changed between two cards, and what usages cost by both; and what
//! docs/rate-cards.md shows of the subcommands for people who write price lists.

use serde_json::{Value, json};

use crate::support::root;
use crate::support::server::{Server, run};

const OLD: &str = r#"format = 2
name = "plan"
title = "Plan"
rounding = "half_up"

[[service]]
key = "clip"
title = "Clip"
rule = "by quality and length"
meters.duration = { max = "1h" }
attributes.quality = ["sd", "hd"]
attributes.sound = { values = ["no", "yes"], default = "no" }
lines = [
  { key = "second", quantity = "duration", per = "1s" },
  { key = "track", when = { sound = "yes" }, price = "1" },
]
prices = [
  { quality = "hd", duration = "up to 60s", second = "2" },
  { quality = "hd", duration = "above 60s", second = "3" },
  { second = "1" },
]
factors = [{ sound = "yes", times = "1.5", lines = ["second"], title = "sound" }]
examples = [{ duration = "10s", quality = "hd", costs = "20" }]

[[service]]
key = "image"
title = "Image"
rule = "1 an image"
meter = "count"
piece = "image"
price = { model = "per_piece", credits = "1" }
"#;

/// One edit of the card each, and what is said of it.
#[test]
fn diff_says_what_changed_in_words() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("old.toml"), OLD).unwrap();
    let image = OLD.split_once("\n[[service]]\nkey = \"image\"").unwrap().1;
    let image = format!("\n[[service]]\nkey = \"image\"{image}");
    let first = "[[service]]\nkey = \"clip\"";
    let swapped = OLD
        .replace(&image, "")
        .replace(first, &format!("{}\n{first}", image.trim_start()));
    for (new, expected) in [
        (OLD.replace("# ", ""), "\nthe same prices: both are one revision\n"),
        (OLD.replace("title = \"Plan\"", "title = \"New\""), "\nthe card\n  title: Plan -> New\n"),
        (
            OLD.replace("title = \"Plan\"", "title = \"Plan\"\neffective_time = 2027-01-01T00:00:00Z"),
            "\nthe card\n  effective_time added: 2027-01-01T00:00:00Z\n",
        ),
        (swapped, "\nthe card\n  services stand in another order\n"),
        (OLD.replace(&image, ""), "\nremoved  image (Image): 1 an image\n"),
        (OLD.replace("credits = \"1\"", "credits = \"1.5\""), "\nchanged  image\n  price credits: 1 -> 1.5\n"),
        (OLD.replace("piece = \"image\"\n", "piece = \"image\"\nquantity_max = \"9\"\n"), "\nchanged  image\n  quantity_max added: 9\n"),
        (OLD.replace("second = \"2\"", "second = \"2.5\"").replace("costs = \"20\"", "costs = \"25\""),
            "\nchanged  clip\n  price of \"second\" where quality = hd, duration up to 60s: 2 -> 2.5\n"),
        (OLD.replace("{ second = \"1\" }", "{ second = \"1.5\" }"), "\nchanged  clip\n  price of \"second\": 1 -> 1.5\n"),
        (OLD.replace("60s", "30s"),
            "\nchanged  clip\n  price of \"second\" where quality = hd: duration up to 60s, 2 -> duration up to 30s, 2\n  price of \"second\" where quality = hd: duration above 60s, 3 -> duration above 30s, 3\n"),
        (OLD.replace("max = \"1h\"", "max = \"2h\""), "\nchanged  clip\n  meter duration: max: 3600s -> 7200s\n"),
        (OLD.replace("[\"sd\", \"hd\"]", "[\"sd\", \"hd\", \"4k\"]"), "\nchanged  clip\n  attribute quality: values: sd, hd -> sd, hd, 4k\n"),
        (OLD.replace("times = \"1.5\"", "times = \"1.6\""), "\nchanged  clip\n  factor of second where sound = yes: times: 1.5 -> 1.6\n"),
        (OLD.replace("price = \"1\" }", "price = \"1\", price_min = \"0.5\" }"), "\nchanged  clip\n  line \"track\": price_min added: 0.5\n"),
        (OLD.replace("when = { sound = \"yes\" }, ", "when = { sound = \"no\" }, ").replace("costs = \"20\"", "costs = \"21\""),
            "\nchanged  clip\n  line \"track\": when: sound = yes -> sound = no\n"),
        (OLD.replace("quantity = \"duration\"", "quantity = { of = \"duration\", at_least = \"2s\" }"),
            "\nchanged  clip\n  line \"second\": quantity at_least added: 2s\n"),
        (OLD.replace("  { second = \"1\" },", "  { quality = \"sd\", sound = \"yes\", refuse = \"silent\", lines = [\"second\"] },\n  { second = \"1\" },"),
            "\nchanged  clip\n  refusal of second where quality = sd, sound = yes added: why silent\n"),
    ] {
        assert_ne!(new, "", "{expected}");
        std::fs::write(directory.path().join("new.toml"), &new).unwrap();
        let (code, out, err) = run(directory.path(), &["rates", "diff", "old.toml", "new.toml"]);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{expected}");
        // Behind the names of both, and before the usages.
        let (_, said) = out.split_once(" (new.toml)\n").unwrap();
        let (said, _) = said.split_once("\nOLD").or_else(|| said.split_once("\n OLD")).unwrap();
        assert_eq!(said, expected);
    }
}

/// Factors of a card are said as those of services are.
#[test]
fn diff_says_factors_of_the_card_in_words() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let plan = "attributes.plan = { values = [\"free\", \"pro\"], default = \"free\", from = \"account\" }\n";
    let of_pro = "{ plan = \"pro\", times = \"0.8\", title = \"pro\" }";
    let card = |head: &str| OLD.replacen("\n\n", &format!("\n{head}\n"), 1);
    let examples = "examples = [{ duration = \"10s\", quality = \"hd\", costs = \"20\" }]\n";
    let old = card(&format!("{plan}factors = [{of_pro}]")).replace(examples, "");
    let always = "{ times = \"0.5\" }";
    for (new, expected) in [
        (
            old.replace("0.8", "0.7"),
            "\nthe card\n  factor where plan = pro: times: 0.8 -> 0.7\n",
        ),
        (
            old.replace(of_pro, &format!("{of_pro}, {always}")),
            "\nthe card\n  factor always added: times 0.5\n",
        ),
        (
            card("").replace(examples, ""),
            "\nthe card\n  attribute plan removed: default free, from account, values free, pro\n  factor where plan = pro removed: times 0.8, title pro\n\nchanged  clip\n  rounding removed: half_up\n",
        ),
        (
            old.replace("[\"free\", \"pro\"]", "[\"free\", \"pro\", \"max\"]"),
            "\nthe card\n  attribute plan: values: free, pro -> free, pro, max\n",
        ),
        (
            old.replace("title = \"pro\"", "title = \"Pro\""),
            "\nthe card\n  factor where plan = pro: title: pro -> Pro\n",
        ),
    ] {
        std::fs::write(here.join("old.toml"), &old).unwrap();
        std::fs::write(here.join("new.toml"), &new).unwrap();
        let (code, out, err) = run(here, &["rates", "diff", "old.toml", "new.toml"]);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{expected}");
        let (_, said) = out.split_once(" (new.toml)\n").unwrap();
        assert_eq!(said, expected);
    }
}

/// A usage of an account with a plan: what it says stands behind --account-attribute.
#[test]
fn diff_prices_usages_of_an_account() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let card = |times: &str| {
        OLD.replacen(
            "\n\n",
            &format!("\nattributes.plan = {{ values = [\"free\", \"pro\"], default = \"free\", from = \"account\" }}\nfactors = [{{ plan = \"pro\", times = \"{times}\" }}]\n"),
            1,
        )
    };
    std::fs::write(here.join("old.toml"), card("0.8")).unwrap();
    std::fs::write(here.join("new.toml"), card("0.7")).unwrap();
    for (usage, expected) in [
        ("image --count 10", ["10", "10", "0"]),
        (
            "image --count 10 --account-attribute plan=pro",
            ["8", "7", "-1"],
        ),
        (
            "image --count 10 --account-attribute plan=gold",
            [
                "UNKNOWN_ATTRIBUTE_VALUE",
                "UNKNOWN_ATTRIBUTE_VALUE",
                "image",
            ],
        ),
    ] {
        let args = ["rates", "diff", "old.toml", "new.toml", "--usage", usage];
        let (code, out, err) = run(here, &args);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{usage}");
        let mut lines = out.lines().rev().skip(1);
        let line: Vec<_> = lines.next().unwrap().split_whitespace().take(3).collect();
        assert_eq!(line, expected, "{out}");
    }
}

#[test]
fn diff_names_the_option_for_a_card_that_is_extended() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let contract = "format = 2\nname = \"acme\"\ntitle = \"Acme\"\nextends = \"plan\"\n";
    std::fs::write(here.join("old.toml"), OLD).unwrap();
    std::fs::write(here.join("acme.toml"), contract).unwrap();
    let line = ["rates", "diff", "old.toml", "acme.toml"];
    let (code, _, err) = run(here, &line);
    assert_eq!(
        (code, err.as_str()),
        (
            Some(3),
            "creditd: rate card acme.toml:4: it extends \"plan\", and no card of that name is loaded; load that card too, such as by its file, with --base FILE\n"
        )
    );
    let (code, _, err) = run(here, &[&line[..], &["--base", "old.toml"]].concat());
    assert_eq!((code, err.as_str()), (Some(0), ""));
    // What else is wrong is not mended by a base.
    std::fs::write(
        here.join("acme.toml"),
        contract.replace("plan", "jogg-api-v2") + "without = [\"x\"]\n",
    )
    .unwrap();
    let (code, _, err) = run(here, &line);
    assert_eq!(code, Some(3));
    assert!(
        err.contains("has no \"x\"") && !err.contains("--base"),
        "{err}"
    );
}

#[test]
fn diff_prices_usages_by_both() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let new = OLD
        .replace("second = \"3\"", "second = \"4\"")
        .replace("key = \"image\"", "key = \"picture\"");
    let new = new.replace(
        "costs = \"20\" }]",
        "costs = \"20\" }, { duration = \"20s\", quality = \"sd\", costs = \"20\" }]",
    );
    let usages = "{\"service\": \"clip\", \"duration\": \"100s\", \"attributes\": {\"quality\": \"hd\"}}\n\n{\"service\": \"image\", \"count\": \"3\"}\n";
    for (file, text) in [
        ("old.toml", OLD),
        ("new.toml", &new),
        ("usages.jsonl", usages),
    ] {
        std::fs::write(here.join(file), text).unwrap();
    }
    let diff = |more: &[&str]| {
        let line = ["rates", "diff", "old.toml", "new.toml"];
        run(here, &line.iter().chain(more).copied().collect::<Vec<_>>())
    };
    let table = |more: &[&str]| {
        let (code, out, err) = diff(more);
        assert_eq!((code, err.as_str()), (Some(0), ""));
        let (_, table) = out.split_once("USAGE\n").unwrap();
        let lines = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        lines.collect::<Vec<_>>()
    };
    assert_eq!(
        table(&[]),
        [
            "20 20 0 clip --duration 10s --attribute quality=hd",
            "20 20 0 clip --duration 20s --attribute quality=sd",
            "40 40 0 total of 2",
        ]
    );
    assert_eq!(
        table(&[
            "--usages",
            "usages.jsonl",
            "--usage",
            "clip --duration 61s --attribute quality=hd --attribute sound=yes"
        ]),
        [
            "275.5 367 +91.5 clip --duration 61s --attribute quality=hd --attribute sound=yes",
            "300 400 +100 clip --duration 100s --attribute quality=hd",
            "3 UNKNOWN_SERVICE image --count 3",
            "575.5 767 +191.5 total of 2 of 3, which both price",
        ]
    );
    let (_, out, _) = diff(&["--usages", "usages.jsonl", "--json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["same"], false);
    assert_eq!(report["usages"][0]["usage"]["duration"], "100s");
    assert_eq!(report["usages"][0]["old"], json!({"credits": "300"}));
    assert_eq!(
        report["usages"][1]["new"],
        json!({"refused": "UNKNOWN_SERVICE"})
    );
    assert_eq!(
        report["total"],
        json!({"usages": 1, "old": "300", "new": "400", "difference": "+100"})
    );
    // What cannot be read is said with its place.
    std::fs::write(
        here.join("usages.jsonl"),
        "{\"service\": \"clip\"}\n{\"servise\": 1}\n",
    )
    .unwrap();
    for (more, status, message) in [
        (vec!["--usages", "usages.jsonl"], 2, "usages.jsonl:2: "),
        (
            vec!["--usage", "clip --length 3"],
            2,
            "--usage \"clip --length 3\": unexpected argument '--length' found; write it",
        ),
        (vec!["--usage", ""], 2, "--usage \"\": "),
        (vec!["--usages", "nowhere.jsonl"], 1, "nowhere.jsonl: "),
    ] {
        let (code, out, err) = diff(&more);
        assert_eq!((code, out.as_str()), (Some(status), ""), "{err}");
        assert!(err.contains(message), "{message}\n{err}");
    }
    std::fs::write(here.join("new.toml"), "format = 3\n").unwrap();
    let (code, _, err) = diff(&[]);
    assert_eq!(code, Some(3), "{err}");
}

/// A figure of a card without its examples, one larger: another revision never goes without a word.
#[test]
fn diff_misses_no_change() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let mut changed = 0;
    for entry in std::fs::read_dir(root("rate-cards/examples")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let mut old = String::new();
        let mut in_examples = false;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            in_examples |= line.starts_with("examples = [");
            if !in_examples {
                old.push_str(line);
                old.push('\n');
            }
            in_examples &= !line.ends_with(']');
        }
        std::fs::write(here.join("old.toml"), &old).unwrap();
        let figures: Vec<_> = old
            .match_indices('"')
            .map(|(at, _)| at + 1)
            .filter(|at| old[*at..].starts_with(|c: char| c.is_ascii_digit()))
            .collect();
        for at in figures.iter().step_by(figures.len().div_ceil(12).max(1)) {
            let digit: u32 = old[*at..=*at].parse().unwrap();
            let new = format!("{}{}{}", &old[..*at], digit + 1, &old[at + 1..]);
            std::fs::write(here.join("new.toml"), new).unwrap();
            let (code, out, _) = run(here, &["rates", "diff", "old.toml", "new.toml", "--json"]);
            // Some of these are no cards.
            if code != Some(0) {
                continue;
            }
            let report: Value = serde_json::from_str(&out).unwrap();
            let lists = ["card", "added", "removed", "changed"];
            let none = lists.iter().all(|list| report[list] == json!([]));
            assert_eq!(report["same"], none, "{out}");
            changed += usize::from(!none);
        }
    }
    assert!(changed >= 100, "{changed}");
}

/// What docs/rate-cards.md shows of these commands is what they print.
#[test]
fn the_guide_shows_what_is_printed() {
    let page = std::fs::read_to_string(root("docs/rate-cards.md")).unwrap();
    let (_, chapter) = page
        .split_once("\n## Checking, comparing and converting cards\n")
        .unwrap();
    let chapter = chapter.split("\n## ").next().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let studio = page
        .split("```toml\n")
        .find(|block| block.starts_with("# studio.toml"))
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let later = studio
        .replace("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z")
        .replace("0.05", "0.06");
    let wrong = studio
        .replace(", rounding = \"up\" }\nshown", " }\nshown")
        .replace("\"2m\"", "\"2\"");
    for (file, text) in [
        ("studio.toml", studio),
        ("studio-2027.toml", &later),
        ("wrong.toml", &wrong),
    ] {
        std::fs::write(here.join(file), text).unwrap();
    }
    let map = here.join("model_prices_and_context_window.json");
    std::fs::copy(root("tests/data/litellm/excerpt.json"), map).unwrap();
    let mut commands = 0;
    for block in chapter.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        for shown in block.split("$ creditd ").skip(1) {
            let (line, expected) = shown.split_once('\n').unwrap();
            let mut words = Vec::new();
            for (at, part) in line.split('\'').enumerate() {
                match at % 2 {
                    0 => words.extend(part.split_whitespace()),
                    _ => words.push(part),
                }
            }
            let (_, out, err) = run(here, &words);
            assert_eq!(format!("{out}{err}"), expected, "creditd {line}");
            commands += 1;
        }
    }
    assert!(commands >= 4, "{commands}");
}

/// Revisions of a server are compared as files are: a contract too, whose list is another now.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn diff_compares_revisions_that_a_server_has() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let write = |name: &str, text: &str| std::fs::write(here.join(name), text).unwrap();
    write("list.toml", OLD);
    write(
        "list-2.toml",
        &OLD.replace("credits = \"1\"", "credits = \"2\""),
    );
    write(
        "contract.toml",
        "format = 2\nname = \"contract\"\ntitle = \"Contract\"\nextends = \"plan\"\nrounding = \"up\"\nfactors = [{ times = \"0.9\" }]\n",
    );
    let server = Server::start();
    let addr = server.address.to_string();
    let publish = |file: &str| {
        let args = ["rates", "publish", file, "--addr", &addr, "--json"];
        let (code, out, err) = run(here, &args);
        assert_eq!(code, Some(0), "{err}");
        let reply: Value = serde_json::from_str(&out).unwrap();
        reply["rate_card"]["revision"].as_str().unwrap().to_owned()
    };
    let list = publish("list.toml");
    let contract = publish("contract.toml");
    let list_2 = publish("list-2.toml");
    let contract_2 = publish("contract.toml");
    assert!(list != list_2 && contract != contract_2);
    let server_says = format!("(server {addr})");
    for (old, new, usage, expected) in [
        (&*list, &*list_2, "image", ["1", "2", "+1"]),
        (&list, "list-2.toml", "image", ["1", "2", "+1"]),
        (&contract, &contract_2, "image", ["0.9", "1.8", "+0.9"]),
        (&contract, &list, "image", ["0.9", "1", "+0.1"]),
    ] {
        let args = ["rates", "diff", old, new, "--usage", usage, "--addr", &addr];
        let (code, out, err) = run(here, &args);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{old} {new}");
        assert!(out.contains(&format!("{old} {server_says}")), "{out}");
        let total = out.lines().last().unwrap();
        let total: Vec<_> = total.split_whitespace().take(3).collect();
        assert_eq!(total, expected, "{out}");
    }
    let unknown = "0".repeat(24);
    let args = ["rates", "diff", &unknown, &list, "--addr", &addr];
    let (code, _, err) = run(here, &args);
    let expected = format!(
        "creditd: there is no file {unknown}, and the server at {addr} has no such revision; \"creditd rates list\" lists those that it has\n"
    );
    assert_eq!((code, err), (Some(3), expected));
}
