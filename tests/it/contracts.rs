//! Cards that extend others: what a contract takes, leaves out and replaces, and what is refused.

use std::path::PathBuf;
use std::sync::Arc;

use creditd::app::card_file::{self, Bases, LoadedCard, Loading};
use creditd::domain::Timestamp;
use creditd::domain::pricing::{Card, Given, Pairs, PairsRef, Usage};
use creditd::rfc3339;

use crate::support::NO_ACCOUNT;

/// The head of a card, and a service that costs so much a piece.
fn card(name: &str, head: &str, services: &[(&str, &str)]) -> String {
    let services = services.iter().map(|(key, credits)| {
        format!(
            "[[service]]\nkey = \"{key}\"\ntitle = \"{key}\"\nrule = \"{credits} a piece\"\n\
             meters.count = {{ default = \"1\" }}\n\
             lines = [{{ key = \"piece\", quantity = \"count\", price = \"{credits}\" }}]\n"
        )
    });
    let services: String = services.collect();
    format!("format = 2\nname = \"{name}\"\ntitle = \"{name}\"\n{head}\n{services}")
}

/// Loads these texts as files a.toml, b.toml and so on.
fn load(texts: &[String], loading: &Loading<'_>) -> Result<Vec<LoadedCard>, String> {
    let directory = tempfile::tempdir().unwrap();
    let names = ["a.toml", "b.toml", "c.toml", "d.toml"];
    let files: Vec<PathBuf> = texts
        .iter()
        .zip(names)
        .map(|(text, name)| {
            let file = directory.path().join(name);
            std::fs::write(&file, text).unwrap();
            file
        })
        .collect();
    let folder = format!("{}/", directory.path().display());
    let said = |error: card_file::CardFileError| error.to_string().replace(&folder, "");
    let loaded = card_file::load_files(&files, loading).map_err(said);
    loaded.map_err(|error| error.replacen("rate card ", "", 1))
}

fn price(card: &Card, service: &str, count: i64) -> String {
    let usage = Usage {
        service,
        quantity: Given::Count(count),
        attributes: PairsRef::Nothing,
        meters: PairsRef::Nothing,
    };
    match card.price(&usage, &NO_ACCOUNT) {
        Ok(quote) => quote.credits().to_string(),
        Err(violations) => format!("{:?}", violations.as_slice()[0].violation),
    }
}

#[test]
fn a_contract_takes_leaves_out_and_replaces() {
    let contract = card(
        "acme",
        "extends = \"list\"\nwithout = [\"video\"]\nfactors = [{ times = \"0.8\", title = \"contract\" }]",
        &[("image", "2"), ("extra", "5")],
    );
    let list = card(
        "list",
        "",
        &[("voice", "1"), ("video", "9"), ("image", "3")],
    );
    // In any order of the files.
    for texts in [[contract.clone(), list.clone()], [list, contract]] {
        let cards = load(&texts, &Loading::ALONE).unwrap();
        let acme = cards
            .iter()
            .find(|card| card.card.name() == "acme")
            .unwrap();
        let keys: Vec<&str> = (acme.card.services().iter()).map(|s| &*s.key).collect();
        assert_eq!(keys, ["voice", "image", "extra"]);
        for (service, count, credits) in
            [("voice", 10, "8"), ("image", 10, "16"), ("extra", 1, "4")]
        {
            assert_eq!(price(&acme.card, service, count), credits, "{service}");
        }
        assert!(price(&acme.card, "video", 1).starts_with("UnknownService"));
        let restored = card_file::restore(&acme.stored).unwrap();
        assert_eq!(price(&restored, "voice", 10), "8");
        assert_eq!(restored.revision(), acme.card.revision());
    }
}

/// The resolved card has the revision of one that lists all of it.
#[test]
fn the_revision_is_of_the_resolved_card() {
    let list = card("list", "", &[("voice", "1"), ("image", "3")]);
    let contract = card("acme", "extends = \"list\"", &[("image", "2")]);
    let whole = card("acme", "", &[("voice", "1"), ("image", "2")]);
    let cards = load(&[list, contract], &Loading::ALONE).unwrap();
    let whole = load(&[whole], &Loading::ALONE).unwrap();
    assert_eq!(cards[1].stored, whole[0].stored);
}

#[test]
fn factors_of_the_base_come_first() {
    let base = "attributes.plan = { values = [\"free\", \"pro\"], default = \"free\", from = \"account\" }\n\
                factors = [{ plan = \"pro\", times = \"0.5\", title = \"pro\" }]";
    let list = card("list", base, &[("voice", "1")]);
    let acme = card(
        "acme",
        "extends = \"list\"\nfactors = [{ times = \"0.8\", title = \"contract\" }]",
        &[],
    );
    let cards = load(&[list, acme], &Loading::ALONE).unwrap();
    let plan = Pairs::from([("plan".to_owned(), "pro".to_owned())]);
    let usage = Usage {
        service: "voice",
        quantity: Given::Count(10),
        attributes: PairsRef::Nothing,
        meters: PairsRef::Nothing,
    };
    let context = NO_ACCOUNT.of_account(&plan);
    let quote = cards[1].card.price(&usage, &context).unwrap();
    assert_eq!(quote.credits().to_string(), "4");
    let lines = quote.lines(&usage, &context);
    let words: Vec<&str> = lines.iter().map(|line| line.description.as_str()).collect();
    assert_eq!(
        words,
        [
            "piece: 10 pieces at 1 credit per piece",
            "total: 10 times 0.5 (pro), times 0.8 (contract)"
        ]
    );
    assert_eq!(lines[1].credits.to_string(), "-6");
}

/// Cards that are in force, beside the files.
struct Published(Vec<Arc<Card>>);

impl Bases for Published {
    fn in_force(&self, name: &str, at: Timestamp) -> Option<Arc<Card>> {
        let mut cards = self.0.iter().rev();
        cards
            .find(|card| card.name() == name && card.effective_time().is_none_or(|t| t <= at))
            .cloned()
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|card| card.name().to_owned()).collect()
    }
}

#[test]
fn the_base_is_the_card_in_force_then_or_when_it_is_loaded() {
    let old = card(
        "list",
        "effective_time = 2026-01-01T00:00:00Z",
        &[("voice", "1")],
    );
    let new = card(
        "list",
        "effective_time = 2027-01-01T00:00:00Z",
        &[("voice", "2")],
    );
    let published = load(&[old, new], &Loading::ALONE).unwrap();
    let published = published.into_iter().map(|loaded| Arc::new(loaded.card));
    let bases = Published(published.collect());
    for (effective_time, now, credits) in [
        ("", "2026-06-01T00:00:00Z", "1"),
        ("", "2027-01-01T00:00:00Z", "2"),
        ("2026-12-31T23:59:59Z", "2026-06-01T00:00:00Z", "1"),
        ("2027-01-01T00:00:00Z", "2026-06-01T00:00:00Z", "2"),
        // One from the past extends what is in force now.
        ("2026-02-01T00:00:00Z", "2027-06-01T00:00:00Z", "2"),
        ("2025-02-01T00:00:00Z", "2025-06-01T00:00:00Z", "none"),
    ] {
        let since = match effective_time {
            "" => String::new(),
            time => format!("effective_time = {time}\n"),
        };
        let contract = card("acme", &format!("{since}extends = \"list\""), &[]);
        let loading = Loading {
            bases: &bases,
            now: rfc3339::parse(now).unwrap(),
        };
        let costs = match load(&[contract], &loading) {
            Ok(cards) => price(&cards[0].card, "voice", 1),
            Err(error) => {
                let expected = format!(
                    "a.toml:{}: it extends \"list\", and no card of that name is in force at {now}; \
                     give this card an effective_time at which that one is, or give that one an earlier one",
                    if since.is_empty() { 4 } else { 5 },
                );
                assert_eq!(error, expected);
                "none".to_owned()
            }
        };
        assert_eq!(costs, credits, "{effective_time} {now}");
    }
}

#[test]
fn what_does_not_go_together_is_refused() {
    let list = || card("list", "", &[("voice", "1"), ("video", "9")]);
    let usd = "exchange = { unit = \"USD\", credits = \"10\" }";
    for (texts, expected) in [
        (
            vec![
                card("a", "extends = \"b\"", &[]),
                card("b", "extends = \"a\"", &[("x", "1")]),
            ],
            "a.toml:4: cards extend each other in a ring: \"a\" extends \"b\" (a.toml:4), \"b\" extends \"a\" (b.toml:4); break the ring",
        ),
        (
            vec![
                list(),
                card("b", "extends = \"c\"", &[]),
                card("c", "extends = \"d\"", &[]),
                card("d", "extends = \"b\"", &[]),
            ],
            "b.toml:4: cards extend each other in a ring: \"b\" extends \"c\" (b.toml:4), \"c\" extends \"d\" (c.toml:4), \"d\" extends \"b\" (d.toml:4); break the ring",
        ),
        (
            vec![
                card("a", "extends = \"b\"", &[]),
                card("b", "extends = \"c\"", &[]),
                card("c", "extends = \"b\"", &[("x", "1")]),
            ],
            "a.toml:4: it extends a card of a ring: \"b\" extends \"c\" (b.toml:4), \"c\" extends \"b\" (c.toml:4); break the ring",
        ),
        (
            vec![card("a", "extends = \"a\"", &[])],
            "a.toml:4: card \"a\" extends itself; name the card that it is made of",
        ),
        (
            vec![list(), card("acme", "extends = \"lists\"", &[])],
            "b.toml:4: it extends \"lists\", and no card of that name is loaded; did you mean \"list\"? otherwise load that card too",
        ),
        (
            vec![
                list(),
                card("acme", "extends = \"list\"\nwithout = [\"vidoe\"]", &[]),
            ],
            "b.toml:5: without: card \"list\" has no \"vidoe\"; did you mean \"video\"?",
        ),
        (
            vec![
                list(),
                card(
                    "acme",
                    "extends = \"list\"\nwithout = [\"video\"]",
                    &[("video", "3")],
                ),
            ],
            "b.toml:7: service \"video\" stands in without, and here; take it out of without: what is listed here takes its place",
        ),
        (
            vec![
                list(),
                card(
                    "acme",
                    "extends = \"list\"\nwithout = [\"video\", \"voice\"]",
                    &[],
                ),
            ],
            "b.toml:2: it has no services; add a [[service]]",
        ),
        (
            vec![
                list(),
                card(
                    "acme",
                    "extends = \"list\"",
                    &[("video", "3"), ("video", "4")],
                ),
            ],
            "b.toml:12: service \"video\" stands here twice; give each service a key of its own",
        ),
        (
            vec![
                list(),
                card("acme", &format!("extends = \"list\"\n{usd}"), &[]),
            ],
            "b.toml:5: its exchange is not that of the card that it extends; take it out: the prices of that card have theirs",
        ),
        (
            vec![
                card("list", "", &[("voice", "0.000000001")]),
                card(
                    "acme",
                    "extends = \"list\"\nfactors = [{ times = \"0.5\" }]",
                    &[],
                ),
            ],
            "b.toml:4: service \"voice\": the factors of the card can make its cost longer than 9 decimals and nothing says how it rounds; add rounding = \"up\", \"down\", \"half_up\" or \"half_even\" to the service, or to this card where the service is of a card that it extends",
        ),
    ] {
        let refused = load(&texts, &Loading::ALONE).map(|cards| cards.len());
        assert_eq!(refused, Err(expected.to_owned()), "{texts:?}");
    }
    // The unit of a base is that of the contract, which need not say it.
    let texts = [
        card("list", usd, &[("voice", "1")]),
        card("acme", "extends = \"list\"", &[("video", "2")]),
    ];
    let cards = load(&texts, &Loading::ALONE).unwrap();
    assert_eq!(price(&cards[1].card, "voice", 1), "10");
    assert_eq!(price(&cards[1].card, "video", 1), "20");
}
