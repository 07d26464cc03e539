//! `creditd rates check` and `new`: what people who write price lists are told.

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

/// Each file of a ring says all of it; a file beside it says its own fault.
#[test]
fn check_says_which_cards_are_a_ring() {
    let directory = tempfile::tempdir().unwrap();
    for (name, extends) in [("a", "b"), ("b", "a"), ("c", "a"), ("d", "nothing")] {
        let text =
            format!("format = 2\nname = \"{name}\"\ntitle = \"T\"\nextends = \"{extends}\"\n");
        std::fs::write(directory.path().join(format!("{name}.toml")), text).unwrap();
    }
    let line = ["rates", "check", "a.toml", "b.toml", "c.toml", "d.toml"];
    let (code, out, err) = run(directory.path(), &line);
    assert_eq!((code, out.as_str()), (Some(3), ""));
    let a_b = "\"a\" extends \"b\" (a.toml:4), \"b\" extends \"a\" (b.toml:4)";
    let b_a = "\"b\" extends \"a\" (b.toml:4), \"a\" extends \"b\" (a.toml:4)";
    assert_eq!(
        err,
        format!(
            "creditd: rate card a.toml:4: cards extend each other in a ring: {a_b}; break the ring\n\
             rate card b.toml:4: cards extend each other in a ring: {b_a}; break the ring\n\
             rate card c.toml:4: it extends a card of a ring: {a_b}; break the ring\n\
             rate card d.toml:4: it extends \"nothing\", and no card of that name is loaded; load that card too, such as by its file\n"
        )
    );
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
            service(
                "a",
                "A",
                "meter = \"count\"\npiece = \"image\"\nprice = { model = \"per_piece\", credits = \"0\" }",
            ),
            vec!["service \"a\" costs nothing"],
        ),
        (
            service(
                "a",
                "A",
                &tokens
                    .replace("\"1\"", "\"0\"")
                    .replace("count\"", "count\"\nquantity = \"required\""),
            ),
            vec!["service \"a\" costs nothing"],
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

/// What a card says without an effect: it is priced as it stands, and may not be meant.
#[test]
fn check_warns_of_what_has_no_effect() {
    let directory = tempfile::tempdir().unwrap();
    let head = "format = 2\nname = \"plan\"\ntitle = \"Plan\"\n[[service]]\nkey = \"a\"\ntitle = \"A\"\nrule = \"r\"\n";
    let modes = "attributes.mode = [\"std\", \"pro\", \"max\"]\nattributes.sound = { values = [\"no\", \"yes\"], default = \"no\" }\nmeters.images = { unit = \"image\", default = \"1\" }\n";
    let lines = "lines = [{ key = \"run\" }, { key = \"song\", when = { sound = \"yes\" }, price = \"1\" }, { key = \"image\", quantity = \"images\", price = \"1\" }]\n";
    for (prices, expected) in [
        // All of it counts.
        (
            "prices = [{ mode = \"max\", sound = \"yes\", refuse = \"silent\" }, { mode = \"pro\", run = \"2\" }, { run = \"1\" }]\nfactors = [{ mode = \"max\", times = \"2\" }]",
            vec![],
        ),
        // A row before a refusal of another line.
        (
            "prices = [{ mode = \"pro\", run = \"2\" }, { mode = \"pro\", refuse = \"none\" }, { run = \"1\" }]",
            vec!["prices, row 1: no usage pays its price of \"run\"; what it is about is not sold"],
        ),
        // A factor of what is not sold, and one that does nothing.
        (
            "prices = [{ mode = \"max\", refuse = \"none\" }, { mode = \"pro\", run = \"2\" }, { run = \"1\" }]\nfactors = [{ mode = \"max\", times = \"2\" }, { mode = \"pro\", times = \"1.0\" }, { mode = \"pro\", images = \"from 10\", times = \"3\" }]",
            vec![
                "factors, entry 1: it never applies to what is sold",
                "factors, entry 2: times 1 changes no price",
            ],
        ),
        // A line's own price beside rows for all that there is.
        (
            "prices = [{ mode = [\"std\", \"pro\"], run = \"2\", image = \"2\" }, { mode = \"max\", run = \"1\", image = \"3\" }]",
            vec![
                "line \"image\": no usage pays its own price; rows of prices say another, or what is not sold",
            ],
        ),
        // Rows that say the same.
        (
            "prices = [{ mode = \"pro\", run = \"2\" }, { run = \"2.0\" }]",
            vec!["attribute \"mode\" changes no price: the cost is the same whatever it is"],
        ),
    ] {
        let card = format!(
            "{head}{modes}{lines}{prices}\nexamples = [{{ mode = \"std\", images = \"0\", costs = \"COSTS\" }}]\n"
        );
        let costs = if prices.contains("{ run = \"1\" }") {
            "1"
        } else {
            "2"
        };
        std::fs::write(
            directory.path().join("card.toml"),
            card.replace("COSTS", costs),
        )
        .unwrap();
        let report = json_of(directory.path(), &["rates", "check", "card.toml", "--json"]);
        let expected: Vec<String> = expected
            .iter()
            .map(|what| format!("service \"a\": {what}"))
            .collect();
        let warnings = &report["files"][0]["card"]["warnings"];
        assert_eq!(*warnings, json!(expected), "{prices}");
    }
    // A meter that conditions name, and a quantity of it.
    let card = format!(
        "{head}meters.images = {{ unit = \"image\" }}\nmeters.pages = {{ unit = \"page\" }}\nquantities.all = {{ of = \"pages\", step = \"10\", rounding = \"up\" }}\nlines = [{{ key = \"image\", quantity = \"images\" }}]\nprices = [{{ all = \"up to 50\", image = \"1\" }}, {{ image = \"1\" }}]\nexamples = [{{ images = \"1\", pages = \"1\", costs = \"1\" }}]\n"
    );
    std::fs::write(directory.path().join("card.toml"), &card).unwrap();
    let report = json_of(directory.path(), &["rates", "check", "card.toml", "--json"]);
    let expected =
        "service \"a\": meter \"pages\" changes no price: the cost is the same whatever it is";
    assert_eq!(report["files"][0]["card"]["warnings"], json!([expected]));
    // Nobody asked for it on a card where they make a difference.
    let card = card.replace("{ image = \"1\" }]\n", "{ image = \"2\" }]\n");
    std::fs::write(directory.path().join("card.toml"), card).unwrap();
    let report = json_of(directory.path(), &["rates", "check", "card.toml", "--json"]);
    assert_eq!(report["files"][0]["card"]["warnings"], json!([]));
}

/// A meter that can make a quantity negative decides which usages are refused.
#[test]
fn check_knows_that_a_meter_can_disagree() {
    let directory = tempfile::tempdir().unwrap();
    let card = "format = 2\nname = \"plan\"\ntitle = \"Plan\"\n[[service]]\nkey = \"a\"\ntitle = \"A\"\nrule = \"r\"\nmeters.prompt = { unit = \"token\" }\nmeters.cached = { unit = \"token\", default = \"0\" }\nquantities.fresh = \"prompt - cached\"\nlines = [{ key = \"in\", quantity = \"prompt\", price = \"1\" }]\nprices = [{ fresh = \"above 10\", in = \"1\" }]\nmay_fall = [\"cached\"]\nexamples = [{ prompt = \"5\", costs = \"5\" }, { prompt = \"5\", cached = \"6\", refused = \"METERS_DISAGREE\" }]\n";
    std::fs::write(directory.path().join("card.toml"), card).unwrap();
    let report = json_of(directory.path(), &["rates", "check", "card.toml", "--json"]);
    assert_eq!(report["files"][0]["card"]["warnings"], json!([]));
}

/// A limit between two figures to which a cost is rounded holds where the cost is rounded away
/// from it.
#[test]
fn limits_that_no_rounding_passes_are_allowed() {
    let directory = tempfile::tempdir().unwrap();
    for (limit, rounding, right) in [
        ("price_max = \"0.255\"", "down", true),
        ("price_max = \"0.255\"", "up", false),
        ("price_max = \"0.255\"", "half_even", false),
        ("price_max = \"0.25\"", "up", true),
        ("price_min = \"0.005\"", "up", true),
        ("price_min = \"0.005\"", "down", false),
        ("price_min = \"0.005\"", "half_up", false),
    ] {
        let card = format!(
            "format = 2\nname = \"plan\"\ntitle = \"Plan\"\n[[service]]\nkey = \"a\"\ntitle = \"A\"\nrule = \"r\"\nmeters.images = {{ unit = \"image\" }}\nlines = [{{ key = \"run\", quantity = \"images\", price = \"0.003\", {limit}, decimals = 2, rounding = \"{rounding}\" }}]\n"
        );
        std::fs::write(directory.path().join("card.toml"), card).unwrap();
        let (code, _, err) = run(directory.path(), &["rates", "check", "card.toml"]);
        let expected = if right { Some(0) } else { Some(3) };
        assert_eq!(code, expected, "{limit}, {rounding}: {err}");
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
