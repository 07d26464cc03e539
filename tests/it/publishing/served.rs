//! What servers price by while cards are published: by time, by revision, in flight, and in
//! servers that share a store.

use std::path::Path;
use std::sync::Arc;

use creditd::app::App;
use creditd::app::access::Caller;
use creditd::app::card_file::{LoadedCard, Loading, load_text};
use creditd::app::prices::publish;
use creditd::domain::pricing::{AccountTerms, Selector};
use creditd::domain::schedule::{CardState, Origin};
use creditd::domain::{Refusal, Violation};
use creditd::store::StoreError;
use creditd::store::sqlite::{SqliteSettings, SqliteStore};

use super::{Minutes, card, minute};

fn open(directory: &Path, clock: &Arc<Minutes>) -> Arc<SqliteStore> {
    let file = directory.join("creditd.db");
    let store = SqliteStore::open(&file, clock.clone(), SqliteSettings::default());
    Arc::new(store.unwrap())
}

async fn serve(store: &Arc<SqliteStore>, clock: &Arc<Minutes>) -> App {
    serve_files(store, clock, &[as_file("base", "100")]).await
}

async fn serve_files(store: &Arc<SqliteStore>, clock: &Arc<Minutes>, files: &[LoadedCard]) -> App {
    let catalog = publish(store.as_ref(), files, None).await.unwrap();
    App::new(catalog, store.clone(), store.clone(), clock.clone())
}

fn as_file(name: &str, credits: &str) -> LoadedCard {
    LoadedCard {
        origin: Origin::File,
        ..card(name, credits, None)
    }
}

/// What a piece of work costs by a card, at a minute or now.
async fn price(app: &App, name: &str, at: Option<i64>) -> String {
    let selector = Selector {
        rate_card: name,
        price_time: at.map(minute),
        ..Selector::default()
    };
    cost(app, selector).await
}

async fn by_revision(app: &App, card: &LoadedCard) -> String {
    let selector = Selector {
        revision: &card.stored.revision,
        ..Selector::default()
    };
    cost(app, selector).await
}

async fn cost(app: &App, selector: Selector<'_>) -> String {
    let prices = app.prices_for([selector]).await.unwrap();
    match app.terms(&prices, &selector, AccountTerms::NONE) {
        Ok(terms) => {
            let usage = creditd::domain::pricing::Usage {
                service: "work",
                quantity: creditd::domain::pricing::Given::Count(1),
                attributes: creditd::domain::pricing::PairsRef::Nothing,
                meters: creditd::domain::pricing::PairsRef::Nothing,
            };
            terms.price(&usage).unwrap().credits().to_string()
        }
        Err(Refusal::RateCardNotFound { .. }) => "no card".to_owned(),
        Err(Refusal::RevisionNotFound { .. }) => "no revision".to_owned(),
        Err(other) => panic!("{other:?}"),
    }
}

async fn publish_one(app: &App, card: &LoadedCard) -> (CardState, Vec<String>) {
    let published = app
        .publish_rate_card(&Caller::default(), card.clone(), false)
        .await
        .unwrap();
    (published.card.card.state, published.warnings)
}

#[tokio::test]
async fn what_was_priced_before_stays_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(Minutes::new());
    let store = open(directory.path(), &clock);
    let app = serve(&store, &clock).await;
    let [one, two, three] = [("1", None), ("2", Some(20)), ("3", None)]
        .map(|(credits, time)| card("plan", credits, time));
    assert_eq!(price(&app, "plan", None).await, "no card");
    clock.set(5);
    assert_eq!(publish_one(&app, &one).await.0, CardState::InForce);
    assert_eq!(publish_one(&app, &two).await.0, CardState::Scheduled);
    // A call in flight keeps its prices.
    let in_flight = app.prices().into_shared();
    clock.set(10);
    publish_one(&app, &three).await;
    let selector = Selector {
        rate_card: "plan",
        ..Selector::default()
    };
    let kept = in_flight.select(&selector, minute(10)).unwrap();
    assert_eq!(kept.revision(), one.card.revision());

    let at = [
        (4, "no card"),
        (5, "1"),
        (9, "1"),
        (10, "3"),
        (19, "3"),
        (20, "2"),
        (29, "2"),
    ];
    let prices = async |app: &App| {
        for (time, expected) in at {
            assert_eq!(price(app, "plan", Some(time)).await, expected, "{time}");
        }
        for (card, expected) in [(&one, "1"), (&two, "2"), (&three, "3")] {
            assert_eq!(by_revision(app, card).await, expected);
        }
        // The default is the file's, whatever is published.
        assert_eq!(price(app, "", None).await, "100");
    };
    prices(&app).await;
    assert_eq!(price(&app, "plan", None).await, "3");
    // Time alone puts the second in force.
    clock.set(20);
    assert_eq!(price(&app, "plan", None).await, "2");
    prices(&app).await;

    // So it is after a restart, whose memory has no card that is over.
    drop((app, store));
    let store = open(directory.path(), &clock);
    let app = serve(&store, &clock).await;
    prices(&app).await;
    assert_eq!(price(&app, "plan", None).await, "2");
    // And in a server that learns of a card only after it was replaced.
    let other = serve(&store, &clock).await;
    clock.set(30);
    let [four, five] = ["4", "5"].map(|credits| card("plan", credits, None));
    publish_one(&app, &four).await;
    clock.set(31);
    publish_one(&app, &five).await;
    assert_eq!(price(&other, "plan", None).await, "2");
    other.follow_prices().await.unwrap();
    assert_eq!(price(&other, "plan", None).await, "5");
    assert_eq!(price(&other, "plan", Some(30)).await, "4");
    prices(&other).await;
}

/// The same again is the same answer, also after a restart; after another card it is a rollback.
#[tokio::test]
async fn the_same_card_again_changes_nothing_and_a_replaced_one_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(Minutes::new());
    let store = open(directory.path(), &clock);
    let app = serve(&store, &clock).await;
    let [one, two] = ["1", "2"].map(|credits| card("plan", credits, None));
    let first = app
        .publish_rate_card(&Caller::default(), one.clone(), false)
        .await
        .unwrap();
    clock.set(1);
    let mut changes = app.price_changes();
    let again = app
        .publish_rate_card(&Caller::default(), one.clone(), false)
        .await
        .unwrap();
    assert_eq!(again, first);
    drop((app, store));
    let store = open(directory.path(), &clock);
    let app = serve(&store, &clock).await;
    changes = {
        drop(changes);
        app.price_changes()
    };
    let again = app
        .publish_rate_card(&Caller::default(), one.clone(), false)
        .await
        .unwrap();
    assert_eq!(again, first);
    assert!(!changes.has_changed().unwrap());
    clock.set(2);
    publish_one(&app, &two).await;
    clock.set(3);
    let back = app
        .publish_rate_card(&Caller::default(), one.clone(), false)
        .await
        .unwrap();
    assert_eq!(back.card.card.since, Some(minute(3)));
    let prices = [(0, "1"), (1, "1"), (2, "2"), (3, "1")];
    for (time, expected) in prices {
        assert_eq!(price(&app, "plan", Some(time)).await, expected, "{time}");
    }
}

/// Only what somebody may not have meant is warned of; only checking changes nothing.
#[tokio::test]
async fn a_publication_warns_and_can_be_only_checked() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(Minutes::new());
    let store = open(directory.path(), &clock);
    let app = serve(&store, &clock).await;
    let one = card("plan", "1", None);
    let before = app.rate_cards("").await.unwrap();
    let checked = app
        .publish_rate_card(&Caller::default(), one.clone(), true)
        .await
        .unwrap();
    assert_eq!(app.rate_cards("").await.unwrap(), before);
    assert_eq!(price(&app, "plan", None).await, "no card");
    assert_eq!(by_revision(&app, &one).await, "no revision");
    let published = app
        .publish_rate_card(&Caller::default(), one, false)
        .await
        .unwrap();
    assert_eq!(published, checked);
    assert_eq!(published.warnings, Vec::<String>::new());

    clock.set(30);
    let renamed = |credits: &str, time: Option<i64>| {
        let text = card("plan", credits, time).toml;
        load_text(&text.replace("\"work\"", "\"job\""), &Loading::ALONE).unwrap()
    };
    for (card, validate_only, warnings) in [
        (
            renamed("2", Some(10)),
            true,
            &["effective_time 2026-01-01T00:10:00Z had passed", "\"work\""][..],
        ),
        (card("plan", "3", Some(40)), false, &[]),
        (card("plan", "4", Some(40)), false, &["takes the place of"]),
        (
            card("plan", "5", None),
            false,
            &["is scheduled to take its place at 2026-01-01T00:40:00Z"],
        ),
        (renamed("6", None), false, &["\"work\"", "is scheduled"]),
    ] {
        let published = app
            .publish_rate_card(&Caller::default(), card, validate_only)
            .await
            .unwrap();
        let said = published.warnings;
        assert_eq!(said.len(), warnings.len(), "{said:?}");
        for (said, expected) in said.iter().zip(warnings) {
            assert!(said.contains(expected), "{said}");
        }
    }
}

/// As `creditd rates check` does, but that it names the first ten only; however often the card
/// is published.
#[tokio::test]
async fn a_publication_warns_of_prices_of_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(Minutes::new());
    let store = open(directory.path(), &clock);
    let app = serve(&store, &clock).await;
    let head = "format = 2\nname = \"plan\"\ntitle = \"Plan\"\n";
    let service = |key: &str, rest: &str| {
        format!("[[service]]\nkey = \"{key}\"\ntitle = \"{key}\"\nrule = \"r\"\n{rest}\n")
    };
    let lines = |count: usize, price: &str| {
        let lines = (1..=count).map(|line| format!("{{ key = \"l{line}\", price = \"{price}\" }}"));
        service(
            "a",
            &format!("lines = [{}]", lines.collect::<Vec<_>>().join(", ")),
        )
    };
    let of_lines = |count: usize| {
        let lines = 1..=count;
        let lines = lines.map(|line| format!("service \"a\": line \"l{line}\" costs nothing"));
        lines.collect::<Vec<_>>()
    };
    let more = |more: &str| format!("{more} of nothing; \"creditd rates check\" names all");
    let table = "attributes.mode = [\"x\", \"y\"]\nlines = [{ key = \"run\" }]\nprices = [{ mode = \"y\", run = \"0\" }, { run = \"1\" }]";
    for (text, expected) in [
        (
            card("plan", "0", None).toml,
            vec!["service \"work\" costs nothing".to_owned()],
        ),
        (card("plan", "1", None).toml, vec![]),
        (
            head.to_owned()
                + &service("a", table)
                + &service("work", "lines = [{ key = \"run\", price = \"1\" }]"),
            vec!["service \"a\": line \"run\" costs nothing where mode = \"y\"".to_owned()],
        ),
        (head.to_owned() + &lines(10, "1"), vec![]),
        (head.to_owned() + &lines(10, "0"), of_lines(10)),
        (
            head.to_owned() + &lines(11, "0"),
            [of_lines(10), vec![more("1 more price")]].concat(),
        ),
        (
            head.to_owned() + &lines(12, "0"),
            [of_lines(10), vec![more("2 more prices")]].concat(),
        ),
    ] {
        let loaded = load_text(&text, &Loading::ALONE).unwrap();
        for validate_only in [true, false, false] {
            let by = Caller::default();
            let published = app.publish_rate_card(&by, loaded.clone(), validate_only);
            let mut warnings = published.await.unwrap().warnings;
            warnings.retain(|warning| !warning.starts_with("services that"));
            assert_eq!(warnings, expected, "{text}");
        }
    }
}

/// Cards that extend each other are refused as files are; each step is published after those
/// before it.
#[tokio::test]
async fn cards_that_extend_each_other_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(Minutes::new());
    let store = open(directory.path(), &clock);
    let app = serve(&store, &clock).await;
    let ring = |said: &str| format!("cards extend each other in a ring: {said}; break the ring");
    for (step, (name, extends, minute_of, expected)) in [
        ("list", "", None, String::new()),
        ("a", "list", None, String::new()),
        ("b", "a", None, String::new()),
        ("a", "b", None, ring(r#""a" extends "b", "b" extends "a""#)),
        ("c", "b", None, String::new()),
        (
            "list",
            "c",
            None,
            ring(r#""list" extends "c", "c" extends "b", "b" extends "a", "a" extends "list""#),
        ),
        (
            "list",
            "c",
            Some(60),
            ring(r#""list" extends "c", "c" extends "b", "b" extends "a", "a" extends "list""#),
        ),
        // One that ended the ring.
        ("a", "", None, String::new()),
        ("list", "c", None, String::new()),
        (
            "a",
            "list",
            None,
            ring(r#""a" extends "list", "list" extends "c", "c" extends "b", "b" extends "a""#),
        ),
        ("a", "base", None, String::new()),
        // One that is still to come, and extends another then.
        ("d", "", None, String::new()),
        ("d", "list", Some(120), String::new()),
        (
            "list",
            "d",
            None,
            ring(r#""list" extends "d", "d" extends "list""#),
        ),
        ("d", "list", Some(30), String::new()),
        (
            "list",
            "d",
            Some(90),
            ring(r#""list" extends "d", "d" extends "list""#),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let time = minute_of.map(|time| creditd::rfc3339::format(minute(time)));
        let time = time.map_or_else(String::new, |time| format!("effective_time = {time}\n"));
        let extends = match extends {
            "" => String::new(),
            extends => format!("extends = \"{extends}\"\n"),
        };
        let text = format!(
            "format = 2\nname = \"{name}\"\ntitle = \"Step {step}\"\n{extends}{time}[[service]]\nkey = \"{name}\"\ntitle = \"S\"\nrule = \"r\"\nlines = [{{ key = \"run\", price = \"1\" }}]\n"
        );
        let loaded = app.load_rate_card(&text).unwrap();
        for validate_only in [true, false] {
            let published = app
                .publish_rate_card(&Caller::default(), loaded.clone(), validate_only)
                .await;
            let said = match published {
                Ok(_) => String::new(),
                Err(StoreError::Refused(Refusal::Invalid(violations))) => {
                    match &violations.as_slice()[0].violation {
                        Violation::RateCardInvalid { line: 4, problem } => problem.to_string(),
                        other => panic!("{other:?}"),
                    }
                }
                Err(other) => panic!("{other:?}"),
            };
            assert_eq!(said, expected, "step {step}, only checked: {validate_only}");
        }
    }
}

/// A scheduled card that was quoted by its revision is honoured after it was withdrawn.
#[tokio::test]
async fn a_withdrawn_revision_is_honoured() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(Minutes::new());
    let store = open(directory.path(), &clock);
    let app = serve(&store, &clock).await;
    let [one, two] = [("1", None), ("2", Some(10))].map(|(c, time)| card("plan", c, time));
    publish_one(&app, &one).await;
    publish_one(&app, &two).await;
    assert_eq!(price(&app, "plan", Some(10)).await, "2");
    let revision = &two.stored.revision;
    let withdrawn = app
        .withdraw_rate_card(&Caller::default(), revision)
        .await
        .unwrap();
    assert_eq!(withdrawn.card.state, CardState::Withdrawn);
    assert_eq!(withdrawn.toml, two.toml);
    assert_eq!(
        app.withdraw_rate_card(&Caller::default(), revision)
            .await
            .unwrap(),
        withdrawn
    );
    clock.set(20);
    assert_eq!(price(&app, "plan", None).await, "1");
    assert_eq!(price(&app, "plan", Some(10)).await, "1");
    assert_eq!(by_revision(&app, &two).await, "2");
    drop((app, store));
    let store = open(directory.path(), &clock);
    let app = serve(&store, &clock).await;
    assert_eq!(by_revision(&app, &two).await, "2");
    let error = app
        .withdraw_rate_card(&Caller::default(), &one.stored.revision)
        .await;
    let refused = matches!(
        error,
        Err(StoreError::Refused(Refusal::RateCardNotScheduled {
            state: CardState::InForce,
            ..
        }))
    );
    assert!(refused);
}

/// Names of files and of what was published do not mix, and the set of files leaves the other
/// cards alone.
#[tokio::test]
async fn reloaded_files_leave_published_cards_alone() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(Minutes::new());
    let store = open(directory.path(), &clock);
    let app = serve(&store, &clock).await;
    publish_one(&app, &card("plan", "1", None)).await;
    app.publish_prices(&[as_file("base", "200")]).await.unwrap();
    assert_eq!(price(&app, "", None).await, "200");
    assert_eq!(price(&app, "plan", None).await, "1");
    // All of them or none.
    let clash = [as_file("base", "300"), as_file("plan", "9")];
    assert!(app.publish_prices(&clash).await.is_err());
    assert_eq!(price(&app, "", None).await, "200");
    assert_eq!(price(&app, "plan", None).await, "1");
    assert!(publish(store.as_ref(), &clash, None).await.is_err());
    // A published card never is the default by itself.
    app.publish_prices(&[as_file("more", "7")]).await.unwrap();
    publish_one(&app, &card("aaa", "2", None)).await;
    assert_eq!(price(&app, "", None).await, "7");
    let told = serve_files(&store, &clock, &[as_file("more", "7")])
        .await
        .with_default_rate_card(Some("plan"));
    told.publish_prices(&[as_file("more", "8")]).await.unwrap();
    assert_eq!(price(&told, "", None).await, "1");
}
