//! A hundred priced usages of real price lists (tests/data/rate-card-cases.json), each with the
//! card that prices it: what they cost, how that adds up, and that a card's stored form prices
//! alike.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::OnceLock;

use creditd::app::card_file::{self, LoadedCard, Loading};
use creditd::domain::pricing::{Card, Given, Usage};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::support::{NO_ACCOUNT, root};

/// What stands before the fields of a service that are tested.
const HEAD: &str = "format = 2\nname = \"a\"\ntitle = \"A\"\n[[service]]\nkey = \"s\"\ntitle = \"S\"\nrule = \"r\"\n";

#[derive(Deserialize)]
struct Case {
    vendor: String,
    rule: String,
    card_fragment: String,
    usage: CaseUsage,
    credits: Option<String>,
    #[serde(default)]
    lines: Vec<CaseLine>,
    refused: Option<String>,
    message: Option<String>,
}

#[derive(Deserialize)]
struct CaseUsage {
    service: String,
    duration: Option<String>,
    count: Option<String>,
    #[serde(default)]
    meters: BTreeMap<String, String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
struct CaseLine {
    key: String,
    credits: String,
    description: String,
}

impl CaseUsage {
    fn as_usage(&self) -> Usage<'_> {
        let duration = self
            .duration
            .as_deref()
            .map(|text| Given::Duration(card_file::parse_nanos(text).unwrap()));
        let count = self.count.as_deref();
        let count = count.map(|count| Given::Count(count.parse().unwrap()));
        Usage {
            service: &self.service,
            quantity: duration.or(count).unwrap_or(Given::Nothing),
            attributes: (&self.attributes).into(),
            meters: (&self.meters).into(),
        }
    }
}

pub fn load(text: &str) -> Result<LoadedCard, String> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("card.toml");
    std::fs::write(&file, text).unwrap();
    card_file::load(Path::new(&file)).map_err(|error| error.to_string())
}

/// What a card says of a usage: credits and lines, or reason and message.
fn outcome(card: &Card, usage: &Usage<'_>) -> Result<(String, Vec<CaseLine>), String> {
    match card.price(usage, &NO_ACCOUNT) {
        Ok(quote) => {
            let lines = quote
                .lines(usage, &NO_ACCOUNT)
                .into_iter()
                .map(|line| CaseLine {
                    key: line.key,
                    credits: line.credits.to_string(),
                    description: line.description,
                });
            Ok((quote.credits().to_string(), lines.collect()))
        }
        Err(violations) => Err(format!("{violations:?}")),
    }
}

fn cases() -> Vec<Case> {
    let cases = std::fs::read_to_string(root("tests/data/rate-card-cases.json")).unwrap();
    serde_json::from_str(&cases).unwrap()
}

/// The card of a case, whole.
fn card_of(case: &Case) -> String {
    let head = "format = 2\nname = \"case\"\ntitle = \"A case\"\n\n";
    let head = match case.card_fragment.split_once("[[service]]") {
        Some((before, _)) if before.contains("name =") => "",
        _ => head,
    };
    format!("{head}{}", case.card_fragment)
}

/// The cards of all cases and examples, with their texts.
pub fn cards() -> &'static [(String, LoadedCard)] {
    static CARDS: OnceLock<Vec<(String, LoadedCard)>> = OnceLock::new();
    CARDS.get_or_init(|| {
        let mut texts: BTreeSet<String> = cases().iter().map(card_of).collect();
        for entry in std::fs::read_dir(root("rate-cards/examples")).unwrap() {
            texts.insert(std::fs::read_to_string(entry.unwrap().path()).unwrap());
        }
        // The model reads no card that extends another.
        texts.retain(|text| !text.contains("\nextends ="));
        texts.insert(std::fs::read_to_string(root("tests/data/cards/plans.toml")).unwrap());
        texts
            .into_iter()
            .map(|text| {
                let card = load(&text).unwrap();
                (text, card)
            })
            .collect()
    })
}

#[test]
fn every_case_costs_what_its_price_list_says() {
    let cases = cases();
    assert!(cases.len() > 100);
    let mut wrong = Vec::new();
    for case in &cases {
        let name = format!("{}: {}", case.vendor, case.rule);
        let loaded = match load(&card_of(case)) {
            Ok(loaded) => loaded,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let usage = case.usage.as_usage();
        let says = outcome(&loaded.card, &usage);
        match (&says, &case.refused) {
            (Ok((credits, lines)), None) => {
                if Some(credits) != case.credits.as_ref() {
                    wrong.push(format!("{name}: {credits} and not {:?}", case.credits));
                }
                if !case.lines.is_empty() && *lines != case.lines {
                    wrong.push(format!("{name}: {lines:#?} and not {:#?}", case.lines));
                }
            }
            (Err(violations), Some(_)) => {
                let why = case.message.as_deref().unwrap_or_default();
                if !violations.contains(why) {
                    wrong.push(format!("{name}: {violations}"));
                }
            }
            _ => wrong.push(format!("{name}: {says:?}")),
        }
        let restored = card_file::restore(&loaded.stored).unwrap();
        let again = outcome(&restored, &usage).map(|(credits, _)| credits);
        assert_eq!(again, says.map(|(credits, _)| credits), "{name}");
    }
    assert!(
        wrong.is_empty(),
        "{} wrong\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn the_example_cards_are_right_and_have_a_source() {
    let files = std::fs::read_dir(root("rate-cards/examples")).unwrap();
    let files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    // Together, since one extends another.
    let cards = card_file::load_files(&files, &Loading::ALONE).unwrap();
    for (file, loaded) in files.iter().zip(&cards) {
        let text = std::fs::read_to_string(file).unwrap();
        let comment: String = text
            .lines()
            .take_while(|line| line.starts_with('#'))
            .collect();
        assert!(comment.contains("Source"), "{}", file.display());
        let examples = text.matches("costs =").count();
        assert!(
            examples >= text.matches("[[service]]").count(),
            "{}",
            file.display()
        );
        let restored = card_file::restore(&loaded.stored).unwrap();
        assert_eq!(restored.services().len(), loaded.card.services().len());
        assert_eq!(restored.factors(), loaded.card.factors());
    }
    assert!(cards.len() >= 12, "{}", cards.len());
}

/// One card has one revision, however it is spelled.
#[test]
fn a_respelled_card_has_the_same_revision() {
    let card = |meters: &str, lines: &str, rest: &str| {
        let text = format!("{HEAD}{meters}\n{lines}\n{rest}\n");
        load(&text).unwrap().card.revision().to_string()
    };
    let meters = "meters.duration = {}\nmeters.channels = { unit = \"channel\", default = \"1\", max = \"8\" }\nattributes.mode = [\"a\", \"b\"]";
    let line = "lines = [{ key = \"x\", quantity = { of = \"duration * channels\", unit = \"s\" }, price = \"0.014\", per = \"1s\", rounding = \"half_even\" }]";
    let rest = "prices = [{ mode = \"b\", channels = \"from 2\", x = \"0.02\" }]";
    let revision = card(meters, line, rest);
    for (meters, line, rest) in [
        (
            "attributes.mode = { values = [\"a\", \"b\"] }\nmeters.channels = { max = \"8\", default = \"1\", unit = \"channel\" }\nmeters.duration = { unit = \"s\" }",
            line,
            rest,
        ),
        (
            meters,
            "rounding = \"half_even\"\nlines = [{ rounding = \"half_even\", per = \"1000ms\", price = \"0.0140\", quantity = { unit = \"s\", of = \"(channels) * duration\" }, key = \"x\" }]",
            rest,
        ),
        (
            meters,
            "rounding = \"half_even\"\nlines = [{ key = \"x\", quantity = { of = \"duration * channels\", unit = \"s\" }, price = \"0.014\", per = \"1s\" }]",
            "prices = [{ x = \"0.020\", channels = [\"from 2\"], mode = [\"b\"] }]\nexamples = [{ duration = \"1s\", mode = \"a\", costs = \"0.014\" }]",
        ),
    ] {
        assert_eq!(card(meters, line, rest), revision, "{meters} {line} {rest}");
    }
    let other = card(meters, line, &rest.replace("0.02", "0.03"));
    assert_ne!(other, revision);
}

/// What is left out has a default; what has no order can be said in any, and twice.
#[test]
fn a_card_with_its_defaults_and_in_another_order_has_the_same_revision() {
    let card = r#"
meters.duration = {}
meters.images = { unit = "image", default = "1" }
attributes.mode = ["a", "b", "c"]
attributes.plan = { values = ["free", "pro"], default = "free", from = "account" }
attributes.hours = { values = ["day", "night"], default = "day", from = "clock", night = ["22:00-24:00", "sat,sun 00:00-06:00"] }
quantities.seconds = { of = "duration", step = "1s", rounding = "up" }
lines = [
  { key = "first_part", quantity = "seconds", price = "1", per = "1s" },
  { key = "image", quantity = { of = "images", above = "1" }, price = "2" },
  { key = "third", when = { mode = ["a", "c"], plan = "free" }, price = "1" },
]
prices = [
  { mode = ["a", "b"], images = ["1", "from 5"], first_part = "2", image = "3" },
  { mode = "c", plan = "pro", refuse = "no c in pro", lines = ["first_part", "image"] },
]
factors = [{ hours = "night", plan = ["free", "pro"], times = "0.5" }]
may_fall = ["images"]
"#;
    let revision = |card: &str| {
        let text = format!("{HEAD}{card}");
        load(&text).unwrap().card.revision().to_string()
    };
    let first = revision(card);
    let spelled = [
        ("duration = {}", r#"duration = { unit = "s", min = "0s" }"#),
        (
            r#"{ unit = "image", default = "1" }"#,
            r#"{ default = "1", decimals = 0, min = "0", unit = "image" }"#,
        ),
        (
            r#"["a", "b", "c"]"#,
            r#"{ from = "caller", values = ["a", "b", "c"] }"#,
        ),
        (
            r#"["22:00-24:00", "sat,sun 00:00-06:00"]"#,
            r#"["sun,sat 00:00-06:00", "22:00-24:00", "22:00-24:00"]"#,
        ),
        (
            r#"{ of = "duration", step"#,
            r#"{ of = "duration", unit = "s", step"#,
        ),
        (
            r#"{ of = "images", above"#,
            r#"{ unit = "image", of = "images", above"#,
        ),
        (
            r#"quantity = "seconds""#,
            r#"quantity = { of = "seconds", unit = "s" }"#,
        ),
        (
            r#"key = "first_part""#,
            r#"title = "first part", key = "first_part""#,
        ),
        (
            r#"price = "2" }"#,
            r#"price = "2", per = "1", price_min = "0" }"#,
        ),
        (
            r#"{ mode = ["a", "c"], plan = "free" }"#,
            r#"{ plan = ["free", "free"], mode = ["c", "a", "c"] }"#,
        ),
        (
            r#"{ mode = ["a", "b"], images = ["1", "from 5"], first_part = "2", image = "3" }"#,
            r#"{ image = "3", images = ["from 5", "from 1 up to 1"], first_part = "2", mode = ["b", "a"] }"#,
        ),
        (
            r#"["first_part", "image"]"#,
            r#"["image", "first_part", "image"]"#,
        ),
        (
            r#"times = "0.5" }"#,
            r#"times = "0.5", lines = ["third", "image", "first_part"] }"#,
        ),
        (r#"["free", "pro"], times"#, r#"["pro", "free"], times"#),
        (
            r#"may_fall = ["images"]"#,
            r#"may_fall = ["images", "images"]
total = { min = "0" }"#,
        ),
    ];
    let mut all = card.to_owned();
    for (from, to) in spelled {
        assert_eq!(card.matches(from).count(), 1, "{from}");
        assert_eq!(revision(&card.replace(from, to)), first, "{to}");
        all = all.replace(from, to);
    }
    assert_eq!(revision(&all), first);
    // Rows are tried in their order, and lists of values are read in theirs.
    for (from, to) in [
        (r#"["a", "b", "c"]"#, r#"["b", "a", "c"]"#),
        (r#"["a", "b"]"#, r#"["a", "c"]"#),
        (r#"lines = ["first_part", "image"]"#, r#"lines = ["image"]"#),
    ] {
        assert_ne!(revision(&card.replace(from, to)), first, "{to}");
    }
}

/// A named quantity that is billed as more or less than was measured says so in each line that
/// is made of it.
#[test]
fn a_line_explains_the_quantities_that_it_is_made_of() {
    let card = r#"rounding = "up"
meters.duration = { max = "60s" }
meters.languages = { unit = "language", default = "1", max = "9" }
quantities.blocks = { of = "duration", step = "15s", rounding = "up" }
quantities.billed = { of = "blocks + duration", at_least = "40s" }
lines = [
  { key = "each", quantity = { of = "billed * languages", unit = "s" }, price = "1", per = "15s" },
  { key = "rest", quantity = { of = "blocks", above = "15s" }, price = "1", per = "15s" },
  { key = "plain", quantity = "billed", price = "1", per = "15s" },
]
"#;
    let card = load(&format!("{HEAD}{card}")).unwrap().card;
    for (duration, languages, expected) in [
        (
            "7s",
            "2",
            vec![
                "each: 80 s (billed * languages; blocks: 7 s, billed 15 s (steps of 15 s, up); billed: 22 s, billed 40 s (at least 40 s)) at 1 credit per 15 s, more than 9 decimals rounded up to 5.333333334",
                "plain: 22 s (blocks + duration; blocks: 7 s, billed 15 s (steps of 15 s, up)), billed 40 s (at least 40 s) at 1 credit per 15 s, more than 9 decimals rounded up to 2.666666667",
            ],
        ),
        (
            "20s",
            "1",
            vec![
                "each: 50 s (billed * languages; blocks: 20 s, billed 30 s (steps of 15 s, up)) at 1 credit per 15 s, more than 9 decimals rounded up to 3.333333334",
                "rest: 30 s (blocks: 20 s, billed 30 s (steps of 15 s, up)), billed 15 s (above 15 s) at 1 credit per 15 s",
                "plain: 50 s (blocks + duration; blocks: 20 s, billed 30 s (steps of 15 s, up)) at 1 credit per 15 s, more than 9 decimals rounded up to 3.333333334",
            ],
        ),
        (
            "30s",
            "1",
            vec![
                "each: 60 s (billed * languages) at 1 credit per 15 s",
                "rest: 30 s, billed 15 s (above 15 s) at 1 credit per 15 s",
                "plain: 60 s (blocks + duration) at 1 credit per 15 s",
            ],
        ),
    ] {
        let usage = CaseUsage {
            service: "s".to_owned(),
            duration: Some(duration.to_owned()),
            count: None,
            meters: BTreeMap::from([("languages".to_owned(), languages.to_owned())]),
            attributes: BTreeMap::new(),
        };
        let (_, lines) = outcome(&card, &usage.as_usage()).unwrap();
        let lines: Vec<String> = lines.into_iter().map(|line| line.description).collect();
        assert_eq!(lines, expected, "{duration}");
    }
}

/// A cost may be the largest amount at most, before factors of the card and after them; what a
/// limit of a line or of the total takes off does not count.
#[test]
fn a_cost_is_judged_before_and_after_the_factors_of_the_card() {
    let too_large = "9000000001";
    for (times, rest, images, expected) in [
        ("1", "", "9000000000", Ok("9000000000")),
        ("1", "", too_large, Err(())),
        ("0.1", "", "9000000000", Ok("900000000")),
        ("0.1", "", too_large, Err(())),
        ("10", "", "900000000", Ok("9000000000")),
        ("10", "", "900000001", Err(())),
        ("0", "", too_large, Err(())),
        ("10", r#"total = { max = "5" }"#, too_large, Ok("50")),
        (
            "10",
            r#"total = { max = "5" }"#,
            "1000000000000000000",
            Ok("50"),
        ),
    ] {
        let text = HEAD.replace(
            "[[service]]",
            &format!("factors = [{{ times = \"{times}\" }}]\n[[service]]"),
        );
        let text = format!(
            "{text}meters.images = {{ unit = \"image\" }}\nlines = [{{ key = \"x\", quantity = \"images\", price = \"1\" }}]\n{rest}\n"
        );
        let usage = CaseUsage {
            service: "s".to_owned(),
            duration: None,
            count: None,
            meters: BTreeMap::from([("images".to_owned(), images.to_owned())]),
            attributes: BTreeMap::new(),
        };
        let card = load(&text).unwrap().card;
        let says = outcome(&card, &usage.as_usage());
        let says = says.map(|(credits, _)| credits);
        match (&says, expected) {
            (Ok(credits), Ok(expected)) => assert_eq!(credits, expected),
            (Err(violations), Err(())) => {
                assert!(violations.contains("CostTooLarge"), "{violations}");
            }
            _ => panic!("{times} {images}: {says:?}"),
        }
    }
}

/// A card that a newer creditd stored is not priced by what an older one knows of it.
#[test]
fn a_stored_card_with_an_unknown_field_is_refused() {
    let mut stored = cards()[0].1.stored.clone();
    for place in ["\"services\":[{", "\"lines\":[{", "\"meters\":{"] {
        let card = cards()
            .iter()
            .find(|(_, card)| card.stored.content.contains(place));
        stored.content = card.unwrap().1.stored.content.replacen(
            place,
            &format!(
                "{place}\"newer\":{},",
                if place.ends_with(":{") { "{}" } else { "1" }
            ),
            1,
        );
        let hash = Sha256::digest(stored.content.as_bytes());
        stored.revision = hash
            .iter()
            .take(12)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let refused = card_file::restore(&stored).unwrap_err();
        assert!(!refused.contains("was changed"), "{refused}");
    }
}
