//! `creditd rates check`, `new` and `diff`: what people who write price lists are told.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::root;
use crate::support::server::run;

fn json_of(directory: &Path, line: &[&str]) -> Value {
    let (code, out, err) = run(directory, line);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{line:?}");
    serde_json::from_str(&out).unwrap()
}

/// What the loader says of each wrong card, `check` says of all of them at once.
#[test]
fn check_names_a_problem_of_each_wrong_file() {
    let directory = root("tests/data/bad-cards");
    let mut files: Vec<_> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let line = ["rates", "check"]
        .into_iter()
        .chain(files.iter().map(String::as_str));
    let (code, out, err) = run(&directory, &line.collect::<Vec<_>>());
    assert_eq!((code, out.as_str()), (Some(3), ""));
    let err = err.strip_prefix("creditd: ").unwrap();
    for file in files {
        let text = std::fs::read_to_string(directory.join(&file)).unwrap();
        let (first, _) = text.split_once('\n').unwrap();
        let expected = format!("rate card {file}{}", first.strip_prefix("# ").unwrap());
        assert!(
            err.lines().any(|line| line == expected),
            "{expected}\n{err}"
        );
    }
}

#[test]
fn check_names_the_problems_of_several_services() {
    let directory = tempfile::tempdir().unwrap();
    let card = r#"format = 2
name = "plan"
title = "Plan"

[[service]]
key = "clip"
title = "Clip"
rule = "a price"
attributes.mode = ["std", "pro"]
lines = [{ key = "run" }]
prices = [{ mode = "std", run = "1" }]

[[service]]
key = "fine"
title = "Fine"
rule = "a price"
lines = [{ key = "run", price = "1" }]

[[service]]
key = "image"
title = "Image"
rule = "a price"
meter = "count"
price = { model = "per_piece", credits = "1" }
"#;
    std::fs::write(directory.path().join("card.toml"), card).unwrap();
    std::fs::write(directory.path().join("fine.toml"), card_of_one("plan", "1")).unwrap();
    let (code, out, err) = run(
        directory.path(),
        &["rates", "check", "card.toml", "nowhere.toml", "fine.toml"],
    );
    assert_eq!(code, Some(3));
    assert!(out.starts_with("fine.toml is right\n"), "{out}");
    assert_eq!(
        err,
        "creditd: rate card card.toml:10: service \"clip\": line \"run\": no price where mode = \"pro\"; add a row to prices, a price to the line, or a row with refuse = \"why not\"\n\
         rate card card.toml:23: what is counted has no name; say what one piece is called, such as piece = \"image\"\n\
         rate card nowhere.toml: No such file or directory (os error 2); give the path of a rate card file\n"
    );
    let (code, out, _) = run(directory.path(), &["rates", "check", "card.toml", "--json"]);
    assert_eq!(code, Some(3));
    let report: Value = serde_json::from_str(&out).unwrap();
    let problems = report["files"][0]["problems"].as_array().unwrap();
    let lines: Vec<_> = problems.iter().map(|problem| &problem["line"]).collect();
    assert_eq!(lines, [10, 23]);
    assert_eq!(report["files"][0]["right"], false);
}

fn card_of_one(name: &str, credits: &str) -> String {
    crate::support::rate_cards::card_text(name, credits)
}

#[test]
fn check_refuses_files_that_do_not_go_together() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let dated = "title = \"Plan\"\neffective_time = 2027-01-01T00:00:00Z";
    for (file, text) in [
        ("a.toml", card_of_one("plan", "1")),
        ("b.toml", card_of_one("plan", "2")),
        (
            "c.toml",
            card_of_one("plan", "2").replace("title = \"Plan\"", dated),
        ),
        (
            "d.toml",
            card_of_one("plan", "3").replace("title = \"Plan\"", dated),
        ),
    ] {
        std::fs::write(here.join(file), text).unwrap();
    }
    for (line, code, err) in [
        (vec!["a.toml", "c.toml"], 0, ""),
        (
            vec!["a.toml", "b.toml"],
            3,
            "creditd: rate card b.toml: it is named \"plan\" and has no effective_time, as a.toml; give one another name or effective_time\n",
        ),
        (
            vec!["c.toml", "d.toml"],
            3,
            "creditd: rate card d.toml: it is named \"plan\" and begins at 2027-01-01T00:00:00Z, as c.toml; give one another name or effective_time\n",
        ),
    ] {
        let line: Vec<_> = ["rates", "check"].into_iter().chain(line).collect();
        let (status, _, complaint) = run(here, &line);
        assert_eq!((status, complaint.as_str()), (Some(code), err));
    }
    let (code, _, err) = run(here, &["rates", "check"]);
    assert_eq!(code, Some(2), "{err}");
    let (code, _, err) = run(here, &["rates", "--json", "check", "a.toml"]);
    assert_eq!(code, Some(2), "{err}");
}

/// Counted by hand from the rows of real price lists.
#[test]
fn check_counts_combinations_and_finds_the_ends_of_prices() {
    let service = |file: &str, service: &str| {
        let file = root("rate-cards/examples").join(file);
        let report = json_of(
            Path::new("."),
            &["rates", "check", file.to_str().unwrap(), "--json"],
        );
        let services = report["files"][0]["card"]["services"]
            .as_array()
            .unwrap()
            .clone();
        let mut services = services.into_iter();
        services.find(|found| found["service"] == service).unwrap()
    };
    // Two modes, with and without sound, and lengths below 5 s, of 5 s, between, of 10 s, above.
    let kling = service("kling.toml", "video");
    assert_eq!(
        (&kling["combinations"], &kling["refused"]),
        (&json!(20), &json!(12))
    );
    assert_eq!(
        (&kling["smallest"], &kling["largest"]),
        (&json!("10"), &json!("200"))
    );
    // Three plans, and lengths up to 3 minutes, up to 5, and above: the free plan ends at 3 and
    // the pro plan at 5.
    let heygen = service("heygen-credits.toml", "video");
    assert_eq!(
        (&heygen["combinations"], &heygen["refused"]),
        (&json!(9), &json!(3))
    );
    assert_eq!(heygen["smallest"], Value::Null);
    assert_eq!(heygen["lines"][0]["per"], "60 s");
    // The dearest input token is at 5 of opus-5 and 10 of fable-5, a tenth more in the US.
    let anthropic = service("anthropic.toml", "messages");
    let input = &anthropic["lines"][0];
    assert_eq!(
        (&input["smallest"], &input["largest"]),
        (&json!("2.5"), &json!("11"))
    );
    assert_eq!(input["per"], "1000000 tokens");
    // Sound is a line of its own, left out of half of the combinations.
    let deepgram = service("deepgram.toml", "flux-general-multi");
    assert_eq!(deepgram["combinations"], 4);
    assert_eq!(deepgram["lines"][1]["left_out"], 1);
}

#[test]
fn check_warns_of_what_may_not_be_meant() {
    let directory = tempfile::tempdir().unwrap();
    let head = "format = 2\nname = \"plan\"\ntitle = \"Plan\"\n";
    let service = |key: &str, title: &str, rest: &str| {
        format!("[[service]]\nkey = \"{key}\"\ntitle = \"{title}\"\nrule = \"r\"\n{rest}\n")
    };
    let line = "lines = [{ key = \"run\", price = \"1\" }]\nexamples = [{ costs = \"1\" }]";
    let table = "attributes.mode = [\"a\", \"b\", \"c\"]\nlines = [{ key = \"run\" }]\nexamples = [{ mode = \"c\", costs = \"1\" }]\nprices = ";
    let tokens = "meter = \"count\"\npiece = \"token\"\nprice = { model = \"pro_rata\", credits = \"1\", per = \"1000\", rounding = \"up\" }";
    for (services, expected) in [
        (service("a", "A", line), vec![]),
        (
            service("a", "A", line) + &service("b", "A", line),
            vec!["services \"a\" and \"b\" have the same title, \"A\""],
        ),
        (
            service("a", "A", "lines = [{ key = \"run\", price = \"1\" }]"),
            vec!["service \"a\" has no examples"],
        ),
        (
            service(
                "a",
                "A",
                &format!("{table}[{{ mode = [\"a\", \"b\"], run = \"0\" }}, {{ run = \"1\" }}]"),
            ),
            vec![
                "service \"a\": line \"run\" costs nothing in 2 combinations, the first where mode = \"a\"",
            ],
        ),
        (
            service(
                "a",
                "A",
                &format!("{table}[{{ mode = \"a\", run = \"0.001\" }}, {{ run = \"1\" }}]"),
            ),
            vec!["service \"a\": line \"run\" costs from 0.001 to 1, 1000 times as much or more"],
        ),
        (
            service(
                "a",
                "A",
                &format!("{table}[{{ mode = \"a\", run = \"0.002\" }}, {{ run = \"1\" }}]"),
            ),
            vec![],
        ),
        (
            service("a", "A", tokens),
            vec![
                "service \"a\": a usage without a count is 1 token; quantity = \"required\" refuses it",
            ],
        ),
        (
            service("a", "A", &format!("{tokens}\nquantity = \"required\"")),
            vec![],
        ),
    ] {
        std::fs::write(
            directory.path().join("card.toml"),
            format!("{head}{services}"),
        )
        .unwrap();
        let report = json_of(directory.path(), &["rates", "check", "card.toml", "--json"]);
        assert_eq!(
            report["files"][0]["card"]["warnings"],
            json!(expected),
            "{services}"
        );
        let (_, out, _) = run(directory.path(), &["rates", "check", "card.toml"]);
        assert_eq!(out.matches("\nwarning: ").count(), expected.len(), "{out}");
    }
}

/// The card to begin with is right, says all that it shows, and replaces nothing unasked.
#[test]
fn a_new_card_is_right_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let (code, card, err) = run(here, &["rates", "new"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let (code, out, _) = run(here, &["rates", "new", "--output", "prices.toml"]);
    assert_eq!((code, out.as_str()), (Some(0), "written to prices.toml\n"));
    let file = here.join("prices.toml");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), card);
    let loaded = creditd::app::card_file::load(&file).unwrap().card;
    assert_eq!(loaded.services().len(), 3);
    let report = json_of(here, &["rates", "check", "prices.toml", "--json"]);
    assert_eq!(report["files"][0]["card"]["warnings"], json!([]));
    std::fs::write(&file, "mine").unwrap();
    let (code, out, err) = run(here, &["rates", "new", "--output", "prices.toml"]);
    assert_eq!((code, out.as_str()), (Some(3), ""));
    assert_eq!(
        err,
        "creditd: prices.toml is there already; choose another --output, or add --overwrite to replace it\n"
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    let (code, _, _) = run(
        here,
        &["rates", "new", "--output", "prices.toml", "--overwrite"],
    );
    assert_eq!(code, Some(0));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), card);
    let (code, _, err) = run(here, &["rates", "new", "--output", "no/prices.toml"]);
    assert_eq!(code, Some(1), "{err}");
}

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
        .nth(1)
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
