//! Rate cards: wrong ones, several of one name, and those that were replaced.

use creditd::app::card_file;
use creditd::rpc::pb::creditd::v1 as pb;
use tonic::Code;

use crate::support::refusal::refused;
use crate::support::server::{Program, Server, run};
use crate::support::{estimate, root};

/// Each file under tests/data/bad-cards begins with the complaint it must get.
#[test]
fn a_wrong_card_is_refused_with_file_line_and_what_to_do() {
    let directory = root("tests/data/bad-cards");
    let mut files: Vec<_> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 20, "{}", files.len());
    let mut failures = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let expected = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("# "))
            .unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        let complaint = match card_file::load(&file) {
            Ok(_) => "accepted".to_owned(),
            Err(error) => error.to_string(),
        };
        let expected = format!("rate card {}{expected}", file.display());
        if complaint != expected {
            failures.push(format!(
                "{name}\n  expected {expected}\n  got      {complaint}"
            ));
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn a_server_refuses_a_wrong_card_at_start() {
    let directory = tempfile::tempdir().unwrap();
    let card = root("tests/data/bad-cards/price-as-a-number.toml");
    let (code, out, err) = run(
        directory.path(),
        &[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--rate-card-file",
            card.to_str().unwrap(),
        ],
    );
    assert_eq!(code, Some(1));
    assert_eq!(out, "");
    assert!(err.contains("price-as-a-number.toml:12: "), "{err}");
    assert!(
        !directory.path().join("creditd.db").exists(),
        "nothing was made"
    );
}

/// Equal content has an equal revision, whatever the file looks like; it is the
/// same on every machine and in every version, so it stands here.
#[test]
fn revisions_come_from_content_alone() {
    let built_in = card_file::built_in().unwrap();
    assert_eq!(
        built_in.card.revision().as_str(),
        "c38700ee0fd4aef8bef7eadf"
    );

    let text = std::fs::read_to_string(root("rate-cards/jogg-api-v2.toml")).unwrap();
    let load = |text: &str| {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("card.toml");
        std::fs::write(&file, text).unwrap();
        card_file::load(&file).unwrap().card.revision().clone()
    };
    let same = [
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .collect::<Vec<_>>()
            .join("\n"),
        text.replace("credits = \"1\"", "credits = \"1.0\""),
        text.replace("\"120s\"", "\"2m\""),
        text.replace('\n', "\r\n"),
    ];
    for text in same {
        assert_eq!(load(&text), *built_in.card.revision());
    }
    let others = [
        text.replace("credits = \"0.2\"", "credits = \"0.3\""),
        text.replace("\"125s\"", "\"126s\""),
        text.replace("decimals = 2", "decimals = 3"),
        text.replace("Motion 3.0", "Motion 3.1"),
        text.replace(
            "title = \"JoggAI API v2\"",
            "title = \"JoggAI API v2\"\neffective_time = 2026-01-01T00:00:00Z",
        ),
    ];
    for text in others {
        assert_ne!(load(&text), *built_in.card.revision());
    }
}

/// What cards could not say when they got their revision is not part of it.
#[test]
fn revisions_outlive_what_cards_learn_to_say() {
    for (file, revision) in [
        ("tests/data/cards/rounding.toml", "a5d7953db365852660e40c87"),
        (
            "tests/data/cards/blocks-of-pieces.toml",
            "82939cfe2429047bb7d06918",
        ),
        (
            "tests/data/ledger/cards/studio-1.toml",
            "81a27dc6aaebdbad1ee2a8e1",
        ),
        (
            "tests/data/ledger/cards/studio-2.toml",
            "64aab8d35e25173f98631c8f",
        ),
    ] {
        let card = card_file::load(&root(file)).unwrap().card;
        assert_eq!(card.revision().as_str(), revision, "{file}");
    }
}

/// A default that is said is as one that is not; what changes a price changes the
/// revision.
#[test]
fn a_quantity_that_is_required_is_another_card() {
    let text = std::fs::read_to_string(root("tests/data/cards/models.toml")).unwrap();
    let load = |text: &str| {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("card.toml");
        std::fs::write(&file, text).unwrap();
        card_file::load(&file).unwrap().stored
    };
    let card = load(&text);
    assert_eq!(card.content.matches("\"quantity\":\"required\"").count(), 2);
    assert!(!card.content.contains("optional"), "{}", card.content);
    // Said of what is optional by itself, and of what is priced by time.
    let unsaid = text.replace("quantity = \"optional\"\n", "");
    let (head, _) = unsaid.rsplit_once("quantity = \"required\"").unwrap();
    assert_eq!(load(head).revision, card.revision);
    let optional = text.replacen("\"required\"", "\"optional\"", 1);
    assert_ne!(load(&optional).revision, card.revision);
}

#[test]
fn the_stored_form_of_a_card_gives_the_card_back() {
    for file in [
        "rate-cards/jogg-api-v2.toml",
        "tests/data/cards/rounding.toml",
        "tests/data/cards/blocks-of-pieces.toml",
        "tests/data/cards/models.toml",
    ] {
        let loaded = card_file::load(&root(file)).unwrap();
        let restored = card_file::restore(&loaded.stored).unwrap();
        assert_eq!(restored.services(), loaded.card.services(), "{file}");
        assert_eq!(restored.name(), loaded.card.name());
        assert_eq!(restored.title(), loaded.card.title());
        assert_eq!(restored.effective_time(), loaded.card.effective_time());
        assert_eq!(restored.revision(), loaded.card.revision());

        let mut changed = loaded.stored.clone();
        changed.content = changed.content.replace('1', "2");
        assert!(
            card_file::restore(&changed).is_err(),
            "a changed card is found out"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_card_tells_its_limits() {
    let rounding = root("tests/data/cards/rounding.toml");
    let pieces = root("tests/data/cards/blocks-of-pieces.toml");
    let models = root("tests/data/cards/models.toml");
    let args = [&rounding, &pieces, &models].map(|path| path.to_str().unwrap());
    let args = args.map(|path| ["--rate-card-file", path]).concat();
    let server = Server::start_with(&args);
    let mut client = server.pricing().await;
    let claude = "bedrock/us.anthropic.claude-3-5-sonnet-20241022-v2:0";
    for (card, service, limit, required) in [
        ("", "limited", "3600 s", false),
        ("", "up", "", false),
        ("blocks-of-pieces", "emails", "1000000 emails", false),
        ("models", claude, "200000 tokens", true),
        ("models", "vertex_ai/imagen-4.0@001+hd~1", "", false),
        ("models", "whisper-1", "", false),
    ] {
        let prices = pb::PriceSelector {
            rate_card: card.to_owned(),
            ..pb::PriceSelector::default()
        };
        let request = pb::GetRateCardRequest {
            prices: Some(prices),
            ..Default::default()
        };
        let reply = client.get_rate_card(request).await.unwrap().into_inner();
        let row = reply
            .services
            .iter()
            .find(|row| row.service == service)
            .unwrap();
        assert_eq!(row.quantity_max, limit, "{service}");
        let said = row.rule.ends_with("; count is required");
        assert_eq!(said, required, "{service}: {}", row.rule);
    }
}

/// The option limits how long replaced prices are honoured; those that are served
/// have no age.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_option_limits_the_age_of_revisions() {
    let cards = tempfile::tempdir().unwrap();
    let file = |name: &str| cards.path().join(name);
    write_card(&file("old.toml"), "plan", "1", None);
    write_card(&file("new.toml"), "plan", "2", Some("2020-01-01T00:00:00Z"));
    write_card(
        &file("next.toml"),
        "plan",
        "3",
        Some("2999-01-01T00:00:00Z"),
    );
    let paths = ["old.toml", "new.toml", "next.toml"].map(|name| file(name).display().to_string());
    let all = paths
        .iter()
        .flat_map(|path| ["--rate-card-file", path])
        .collect::<Vec<_>>();
    let server = Server::start_with(&all);
    let mut revisions = Vec::new();
    for (time, credits) in [
        ("2019-01-01T00:00:00Z", "1"),
        ("2021-01-01T00:00:00Z", "2"),
        ("2999-01-02T00:00:00Z", "3"),
    ] {
        let time = creditd::rfc3339::parse(time).map(creditd::rpc::convert::timestamp_to_pb);
        let prices = pb::PriceSelector {
            price_time: time,
            ..pb::PriceSelector::default()
        };
        let reply = server.pricing().await.estimate(with_prices(prices)).await;
        let estimate = reply.unwrap().into_inner().estimate.unwrap();
        assert_eq!(estimate.credits, credits);
        revisions.push(estimate.revision);
    }
    let by_revision = |revision: &str| {
        with_prices(pb::PriceSelector {
            revision: revision.to_owned(),
            ..pb::PriceSelector::default()
        })
    };
    // Replaced in 2020, in force, and not yet in force.
    let limited = [all.clone(), vec!["--revision-age-days-max", "30"]].concat();
    let server = server.restart(&limited);
    let mut client = server.pricing().await;
    let refusal = refused(client.estimate(by_revision(&revisions[0])).await);
    assert_eq!(
        (refusal.code, refusal.reason.as_str()),
        (Code::FailedPrecondition, "REVISION_TOO_OLD")
    );
    assert_eq!(refusal.metadata["replaced_time"], "2020-01-01T00:00:00Z");
    assert_eq!(refusal.metadata["age_days_max"], "30");
    for revision in &revisions[1..] {
        client.estimate(by_revision(revision)).await.unwrap();
    }
    // Taken out of the files just now: within 30 days, and not within 0.
    let others = [
        "--rate-card-file",
        paths[2].as_str(),
        "--revision-age-days-max",
    ];
    let server = server.restart(&[others.as_slice(), &["30"]].concat());
    server
        .pricing()
        .await
        .estimate(by_revision(&revisions[1]))
        .await
        .unwrap();
    let server = server.restart(&[others.as_slice(), &["0"]].concat());
    let refusal = refused(
        server
            .pricing()
            .await
            .estimate(by_revision(&revisions[1]))
            .await,
    );
    assert_eq!(refusal.reason, "REVISION_TOO_OLD");
    // Put back, it is honoured as long as it is served; without the option, always.
    let server = server.restart(&[all.as_slice(), &["--revision-age-days-max", "0"]].concat());
    server
        .pricing()
        .await
        .estimate(by_revision(&revisions[1]))
        .await
        .unwrap();
    let server = server.restart(&["--rate-card-file", paths[2].as_str()]);
    for revision in &revisions {
        server
            .pricing()
            .await
            .estimate(by_revision(revision))
            .await
            .unwrap();
    }
}

const TEMPLATE: &str = "format = 1\nname = \"NAME\"\ntitle = \"Test\"\nTIME\n\n[[service]]\nkey = \"render\"\ntitle = \"Render\"\nrule = \"CREDITS per call\"\nmeter = \"count\"\npiece = \"call\"\nprice = { model = \"per_piece\", credits = \"CREDITS\" }\n";

/// Writes a card with one price, in force from a time on.
fn write_card(file: &std::path::Path, name: &str, credits: &str, from: Option<&str>) {
    let time = from.map_or(String::new(), |time| format!("effective_time = {time}"));
    let text = TEMPLATE
        .replace("NAME", name)
        .replace("TIME", &time)
        .replace("CREDITS", credits);
    std::fs::write(file, text).unwrap();
}

fn with_prices(prices: pb::PriceSelector) -> pb::EstimateRequest {
    pb::EstimateRequest {
        prices: Some(prices),
        ..estimate("render", "x1")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn price_time_chooses_among_cards_of_one_name() {
    let directory = tempfile::tempdir().unwrap();
    let files: Vec<String> = [
        ("a.toml", "plan", "2", Some("2027-01-01T00:00:00Z")),
        ("b.toml", "plan", "1", Some("2020-01-01T00:00:00Z")),
        ("c.toml", "other", "9", None),
        ("d.toml", "later", "5", Some("2999-01-01T00:00:00Z")),
    ]
    .map(|(file, name, credits, from)| {
        let path = directory.path().join(file);
        write_card(&path, name, credits, from);
        path.to_str().unwrap().to_owned()
    })
    .to_vec();
    let args: Vec<&str> = files
        .iter()
        .flat_map(|file| ["--rate-card-file", file])
        .collect();
    let server = Server::start_with(&args);
    let mut client = server.pricing().await;
    let at = |text: &str| {
        let time = creditd::rfc3339::parse(text).unwrap();
        Some(creditd::rpc::convert::timestamp_to_pb(time))
    };
    let named = |name: &str, time| pb::PriceSelector {
        rate_card: name.to_owned(),
        price_time: time,
        ..pb::PriceSelector::default()
    };
    for (prices, expected) in [
        (named("", at("2020-01-01T00:00:00Z")), "1"),
        (named("plan", at("2026-12-31T23:59:59.999999999Z")), "1"),
        (named("plan", at("2027-01-01T00:00:00Z")), "2"),
        (named("", at("9999-01-01T00:00:00Z")), "2"),
        (named("other", at("0001-01-01T00:00:00Z")), "9"),
        (named("other", None), "9"),
        (named("later", at("2999-01-01T00:00:00Z")), "5"),
    ] {
        let text = format!("{prices:?}");
        let reply = client
            .estimate(with_prices(prices))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(reply.estimate.unwrap().credits, expected, "{text}");
    }
    for prices in [
        named("", at("2019-12-31T23:59:59.999999999Z")),
        named("plan", at("0001-01-01T00:00:00Z")),
        named("later", None),
        named("jogg-api-v2", None),
        named("PLAN", None),
    ] {
        let refusal = refused(client.estimate(with_prices(prices)).await);
        assert_eq!(refusal.code, Code::NotFound);
        assert_eq!(refusal.reason, "RATE_CARD_NOT_FOUND");
    }
}

#[test]
fn two_cards_of_one_name_and_time_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    for file in ["a.toml", "b.toml"] {
        write_card(&directory.path().join(file), "plan", "1", None);
    }
    let (code, _, err) = run(
        directory.path(),
        &[
            "rates",
            "--rate-card-file",
            "a.toml",
            "--rate-card-file",
            "b.toml",
        ],
    );
    assert_eq!(code, Some(1));
    assert_eq!(
        err,
        "creditd: rate cards a.toml and b.toml are both named \"plan\" and have no effective_time; give one another name or effective_time\n"
    );
}

/// An estimate's revision prices again after the card has changed and the server
/// has restarted.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_revision_that_was_served_prices_again() {
    let cards = tempfile::tempdir().unwrap();
    let file = cards.path().join("plan.toml");
    write_card(&file, "plan", "1", None);
    let args = ["--rate-card-file", file.to_str().unwrap()];
    let mut server = Program::start_with(&args);
    let first = server
        .pricing()
        .await
        .estimate(estimate("render", "x1"))
        .await;
    let first = first.unwrap().into_inner().estimate.unwrap();
    assert_eq!(first.credits, "1");

    for (credits, name) in [("2", "plan"), ("3", "plan"), ("4", "renamed")] {
        write_card(&file, name, credits, None);
        server = server.restart(&args);
        let mut client = server.pricing().await;
        let now = client
            .estimate(estimate("render", "x1"))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(now.estimate.unwrap().credits, credits);
        let revision = pb::PriceSelector {
            revision: first.revision.clone(),
            ..pb::PriceSelector::default()
        };
        let then = client
            .estimate(with_prices(revision.clone()))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(then.estimate.unwrap(), first);
        let card = client
            .get_rate_card(pb::GetRateCardRequest {
                prices: Some(revision),
                ..Default::default()
            })
            .await
            .unwrap()
            .into_inner();
        assert_eq!(
            (card.rate_card.as_str(), card.services[0].rule.as_str()),
            ("plan", "1 per call")
        );
    }
    // A killed server published its card too: it was on disk before it was served.
    let directory = server.kill();
    write_card(&file, "plan", "7", None);
    let server = Program::start_settings(crate::support::server::Settings {
        args: args.iter().map(ToString::to_string).collect(),
        directory: Some(directory),
        ..Default::default()
    });
    let revision = pb::PriceSelector {
        revision: first.revision.clone(),
        rate_card: "plan".to_owned(),
        ..pb::PriceSelector::default()
    };
    let mut client = server.pricing().await;
    let then = client
        .estimate(with_prices(revision.clone()))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(then.estimate.unwrap(), first);
    // A revision of another card is none of that card.
    let other = pb::PriceSelector {
        rate_card: "renamed".to_owned(),
        ..revision
    };
    let refusal = refused(client.estimate(with_prices(other)).await);
    assert_eq!(refusal.reason, "REVISION_NOT_FOUND");
}
