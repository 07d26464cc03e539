//! `creditd rates convert litellm`: what an excerpt of LiteLLM's map costs once it is a card, and
//! what is left out of it.

use std::path::Path;
use std::str::FromStr;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed as _, Zero as _};
use serde_json::{Value, json};

use crate::support::root;
use crate::support::server::run;

const MAP: &str = "tests/data/litellm/excerpt.json";

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A number as the map and people write it, exactly.
fn number(text: &str) -> BigRational {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = BigInt::from_str(&format!("{whole}{fraction}")).unwrap();
    let scale = i32::try_from(fraction.len()).unwrap() - i32::from_str(exponent).unwrap();
    assert!(scale >= 0, "{text}");
    BigRational::new(digits, BigInt::from(10).pow(scale.unsigned_abs()))
}

/// A sum of products. Brackets have a factor in front of them, and stand apart from each other.
fn value(expression: &str) -> BigRational {
    if let Some((factor, rest)) = expression.split_once("*(") {
        let (inner, after) = rest.split_once(')').unwrap();
        let after = after.trim_start().trim_start_matches('+').trim();
        let after = if after.is_empty() {
            BigRational::zero()
        } else {
            value(after)
        };
        return number(factor.trim()) * value(inner) + after;
    }
    let terms = expression.split(" + ").map(|term| {
        let factors = term.trim().split('*').map(number);
        factors.fold(number("1"), |product, factor| product * factor)
    });
    terms.fold(BigRational::zero(), |sum, term| sum + term)
}

const CONVERT: [&str; 6] = [
    "rates",
    "convert",
    "litellm",
    "map.json",
    "--output",
    "card.toml",
];

/// Converts a map, and gives the report.
fn converted(directory: &Path, map: &str, more: &[&str]) -> Value {
    std::fs::write(directory.join("map.json"), map).unwrap();
    let line: Vec<_> = CONVERT
        .iter()
        .chain(&["--json"])
        .chain(more)
        .copied()
        .collect();
    let (code, out, err) = run(directory, &line);
    assert_eq!(code, Some(0), "{err}");
    serde_json::from_str(&out).unwrap()
}

/// What usages cost by the card, as "creditd rates diff" prices them.
fn costs(directory: &Path, usages: &[&str]) -> Vec<String> {
    let mut line = vec!["rates", "diff", "card.toml", "card.toml", "--json"];
    line.extend(usages.iter().flat_map(|usage| ["--usage", usage]));
    let (code, out, err) = run(directory, &line);
    assert_eq!(code, Some(0), "{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    let usages = report["usages"].as_array().unwrap().iter().map(|usage| {
        let priced = &usage["old"];
        let text = priced["credits"].as_str().or(priced["refused"].as_str());
        text.unwrap().to_owned()
    });
    usages.collect()
}

#[test]
fn usages_cost_what_the_map_says() {
    let directory = tempfile::tempdir().unwrap();
    let map = std::fs::read_to_string(root(MAP)).unwrap();
    let report = converted(directory.path(), &map, &[]);
    let table = std::fs::read_to_string(root("tests/data/litellm/costs.txt")).unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.rsplitn(3, " = ").collect())
        .collect();
    assert!(rows.len() >= 60, "{}", rows.len());
    let usages: Vec<&str> = rows.iter().map(|row| row[2]).collect();
    let costs = costs(directory.path(), &usages);
    assert_eq!(costs.len(), rows.len());
    let half = number("0.0000000005");
    for (row, cost) in rows.iter().zip(costs) {
        let [says, expression, usage] = row.as_slice() else {
            panic!("{row:?}");
        };
        let exact = value(expression);
        assert_eq!(cost, *says, "{usage}");
        // Each line is rounded by itself; only one of these has digits to round.
        assert!(
            (number(says) - exact).abs() <= half,
            "{usage}: {expression}"
        );
    }
    // Every model that was converted has a row.
    let models = usages.iter().map(|usage| usage.split(' ').next().unwrap());
    let models: std::collections::BTreeSet<_> = models.collect();
    assert_eq!(report["converted"], models.len());
}

#[test]
fn what_a_card_cannot_hold_is_listed_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let map = std::fs::read_to_string(root(MAP)).unwrap();
    let report = converted(directory.path(), &map, &[]);
    assert_eq!(
        (&report["priced"], &report["unpriced"]),
        (&json!(46), &json!(1))
    );
    let left_out = report["left_out"].as_array().unwrap();
    let left_out: Vec<_> = left_out
        .iter()
        .map(|about| {
            (
                about["model"].as_str().unwrap(),
                about["text"].as_str().unwrap(),
            )
        })
        .collect();
    let twice = "input_cost_per_second and output_cost_per_second are there together, and the map does not say whether a second is paid once or twice";
    assert_eq!(
        left_out,
        [
            ("azure/whisper-1", twice),
            (
                "bedrock/*/1-month-commitment/cohere.command-text-v14",
                twice
            ),
            (
                "multimodalembedding",
                "its field input_cost_per_video_per_second_above_15s_interval is not known"
            ),
        ]
    );
    // Small entries, and why they are left out.
    for (fields, reason) in [
        (
            r#""input_cost_per_dream": 1"#,
            "its field input_cost_per_dream is not known",
        ),
        (
            r#""input_cost_per_token": -1e-06"#,
            "input_cost_per_token is -1e-06, less than nothing",
        ),
        (
            r#""input_cost_per_token": "cheap""#,
            "input_cost_per_token is \"cheap\", which is no number of at most 38 digits",
        ),
        (
            r#""input_cost_per_token": 1e-40"#,
            "input_cost_per_token is 1e-40, which is no number of at most 38 digits",
        ),
        (
            r#""input_cost_per_token": 1, "output_cost_per_token": 1, "output_cost_per_token_above_1k_tokens": 2"#,
            "output_cost_per_token has a price above 1000 tokens, and input_cost_per_token has none",
        ),
        (
            r#""output_cost_per_token_flex": 1"#,
            "output_cost_per_token has no price where nothing else holds",
        ),
        (
            r#""cache_read_input_token_cost": 1, "input_cost_per_token_cache_hit": 2"#,
            "cache_read_input_token_cost and input_cost_per_token_cache_hit differ",
        ),
        (r#""input_dbu_cost_per_token": 1"#, "it has no price in USD"),
        (
            r#""tiered_pricing": [{"range": [0, 10], "input_cost_per_token": 1}, {"range": [11, 20], "input_cost_per_token": 2}]"#,
            "its tiered_pricing has ranges with gaps",
        ),
        (
            r#""tiered_pricing": [{"range": [0, 10], "input_cost_per_token": 1}, {"range": [10, 20], "output_cost_per_token": 2}]"#,
            "its tiered_pricing has no input_cost_per_token in one of its ranges",
        ),
        (
            r#""tiered_pricing": [{"hours": [0, 10], "input_cost_per_token": 1}]"#,
            "its tiered_pricing has the field hours, which is not known",
        ),
        (
            r#""off_peak_pricing": {"hours_utc": "16:30-00:30", "input_cost_per_token": 1}"#,
            "its field off_peak_pricing is not known",
        ),
        (
            r#""search_context_cost_per_query": {"search_context_size_low": 1}"#,
            "its search_context_cost_per_query has other fields than three sizes",
        ),
        (
            r#""input_cost_per_token": 1, "provider_specific_entry": {"lunar": 2}"#,
            "its provider_specific_entry.lunar is not known",
        ),
    ] {
        let map = format!(
            r#"{{"odd": {{"mode": "chat", {fields}}}, "plain": {{"input_cost_per_query": 1}}}}"#
        );
        let directory = tempfile::tempdir().unwrap();
        let report = converted(directory.path(), &map, &[]);
        assert_eq!(report["left_out"][0]["text"], reason, "{fields}");
        assert_eq!(report["converted"], 1, "{fields}");
    }
    let map = r#"{"a b": {"input_cost_per_query": 1}, "c": {"input_cost_per_query": 1}, "c": {"input_cost_per_query": 2}, "plain": {"input_cost_per_query": 1}}"#;
    let directory = tempfile::tempdir().unwrap();
    let report = converted(directory.path(), map, &[]);
    assert_eq!(report["left_out"][0]["text"], "key \"a b\" cannot be used");
    // Which of the two is meant, nobody can say.
    for at in [1, 2] {
        assert_eq!(
            report["left_out"][at]["text"],
            "its name stands twice in the file"
        );
    }
    assert_eq!(report["converted"], 1);
}

/// Prices that fall with the prompt, texts for numbers, nulls, endpoints, and another unit.
#[test]
fn odd_entries_are_priced_too() {
    let directory = tempfile::tempdir().unwrap();
    let map = r#"{
        "falls": {"mode": "chat", "input_cost_per_token": "2e-6", "input_cost_per_token_above_1k_tokens": 1e-6,
                  "output_cost_per_token": null, "regional_endpoint_uplift_multiplier": 1.5},
        "parts": {"mode": "audio_transcription", "input_cost_per_token": 0, "input_cost_per_audio_token": 1e-6,
                  "input_cost_per_token_priority": 0}
    }"#;
    let report = converted(directory.path(), map, &["--credits-per-usd", "100"]);
    assert_eq!(report["left_out"], json!([]));
    let costs = costs(
        directory.path(),
        &[
            "falls --meter prompt_tokens=1000",
            "falls --meter prompt_tokens=1001",
            "falls --meter prompt_tokens=1001 --attribute endpoint=regional",
            "parts --meter prompt_audio_tokens=30",
        ],
    );
    assert_eq!(costs, ["0.2", "0.1001", "0.15015", "0.003"]);
    let card = std::fs::read_to_string(directory.path().join("card.toml")).unwrap();
    assert!(card.contains("may_fall = [\"prompt_tokens\"]"), "{card}");
    assert!(
        card.contains("exchange = { unit = \"USD\", credits = \"100\" }"),
        "{card}"
    );
}

#[test]
fn a_card_goes_to_standard_output_or_to_a_new_file() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let map = root(MAP);
    let convert = |more: &[&str]| {
        let line = ["rates", "convert", "litellm", path(&map)];
        let line: Vec<_> = line.iter().chain(more).copied().collect();
        run(here, &line)
    };
    let (code, card, err) = convert(&[
        "--provider",
        "xai",
        "--name",
        "x",
        "--title",
        "X's \"list\"",
    ]);
    assert_eq!(code, Some(0));
    assert_eq!(err, "creditd: 1 of 1 models with prices converted\n");
    std::fs::write(here.join("xai.toml"), &card).unwrap();
    let loaded = creditd::app::card_file::load(&here.join("xai.toml"))
        .unwrap()
        .card;
    assert_eq!((loaded.name(), loaded.title()), ("x", "X's \"list\""));
    // As JSON the card is in the report.
    let (_, out, err) = convert(&[
        "--provider",
        "xai",
        "--name",
        "x",
        "--title",
        "X's \"list\"",
        "--json",
    ]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (report["card"].as_str().unwrap().trim_end(), err.as_str()),
        (card.trim_end(), "")
    );
    // What is there stays.
    let refused = "creditd: xai.toml is there already; choose another --output, or add --overwrite to replace it\n";
    let (code, _, err) = convert(&["--output", "xai.toml"]);
    assert_eq!((code, err.as_str()), (Some(3), refused));
    assert_eq!(
        std::fs::read_to_string(here.join("xai.toml")).unwrap(),
        card
    );
    let (code, out, _) = convert(&[
        "--output",
        "xai.toml",
        "--overwrite",
        "--provider",
        "minimax",
    ]);
    assert_eq!(code, Some(0));
    assert_eq!(
        out,
        "written to xai.toml\n1 of 1 models with prices converted\n"
    );
}

#[test]
fn what_makes_no_card_is_refused_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let many: Vec<_> = (0..4_097)
        .map(|at| {
            format!("\"m{at}\": {{\"input_cost_per_query\": 1, \"litellm_provider\": \"p\"}}")
        })
        .collect();
    let long = "x".repeat(80);
    for (map, more, status, message) in [
        (
            format!("{{{}}}", many.join(",")),
            vec![],
            3,
            "4097 models are more than the 4096 services that a card can have; choose some of the models with --provider, and make several cards",
        ),
        (
            many[0].clone(),
            vec![],
            3,
            "map.json: invalid type: string \"m0\", expected an object of models at line 1 column 4; give LiteLLM's model_prices_and_context_window.json",
        ),
        (
            format!("{{{}}}", many[0]),
            vec!["--provider", "q"],
            3,
            "no entry is of provider q; choose from p",
        ),
        (
            format!("{{{}}}", many[0]),
            vec!["--name", &long],
            3,
            "none of 1 entries can be converted; the first is m0: name",
        ),
        (
            format!("{{{}}}", many[0]),
            vec!["--credits-per-usd", "0"],
            2,
            "error: invalid value '0'",
        ),
        (
            "{}".to_owned(),
            vec![],
            3,
            "map.json has no entries with prices",
        ),
    ] {
        std::fs::write(here.join("map.json"), map).unwrap();
        let line: Vec<_> = CONVERT.into_iter().chain(more).collect();
        let (code, out, err) = run(here, &line);
        assert_eq!((code, out.as_str()), (Some(status), ""), "{err}");
        assert!(err.contains(message), "{message}\n{err}");
        assert!(!here.join("card.toml").exists());
    }
}
