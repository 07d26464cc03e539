//! Rate cards: one that loads has prices, and is the same card when it is read from its stored
//! form or from its text again; what is wrong with another is said with its line.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use creditd::app::card_file::{
    CardFileError, Loading, built_in, is_revision, load_text, problems, restore,
};
use creditd::domain::pricing::{
    Card, Catalog, Given, Pairs, PairsRef, PriceContext, ServicePrice, Usage,
};
use creditd::domain::{Credits, Timestamp};

/// What a card of the fuzzer may extend.
static BASES: LazyLock<Catalog> = LazyLock::new(|| {
    let card = Arc::new(built_in().unwrap().card);
    Catalog::new(vec![card], None).unwrap()
});

pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let loading = Loading {
        bases: &*BASES,
        now: Timestamp::from_unix_nanos(0),
    };
    match load_text(text, &loading) {
        Ok(loaded) => {
            assert!(is_revision(&loaded.stored.revision));
            assert_eq!(loaded.card.revision().as_str(), loaded.stored.revision);
            assert_eq!(loaded.toml, text);
            let restored = restore(&loaded.stored).unwrap();
            assert_eq!(restored.revision(), loaded.card.revision());
            assert_eq!(costs(&restored), costs(&loaded.card));
            let again = load_text(&loaded.toml, &loading).unwrap();
            assert_eq!(again.stored, loaded.stored);
            assert_eq!(problems(Path::new("card.toml"), text, &loading), []);
        }
        Err(error) => {
            is_about(&error, text);
            let problems = problems(Path::new("card.toml"), text, &loading);
            assert!(!problems.is_empty(), "{error}");
            for problem in &problems {
                is_about(problem, text);
            }
            let known = problems
                .iter()
                .any(|other| other.problem() == error.problem());
            assert!(known, "{error} is not among {problems:?}");
        }
    }
}

/// An error names a line of the text and says what to do, in bounded words.
fn is_about(error: &CardFileError, text: &str) {
    let lines = text.split('\n').count();
    if let Some(line) = error.line() {
        assert!((1..=lines).contains(&line), "{error} of {lines} lines");
    }
    assert!(
        !error.problem().is_empty() && !error.remedy().is_empty(),
        "{error}"
    );
    assert!(error.sentence().len() <= 1_100, "{error}");
}

/// What some usages of each service cost; None where they are refused.
pub fn costs(card: &Card) -> Vec<Option<Credits>> {
    let mut costs = Vec::new();
    let context = PriceContext::at(Timestamp::from_unix_nanos(0));
    for service in card.services().iter().take(20) {
        let meters: Pairs = match &service.price {
            ServicePrice::Lines(program) => {
                let names = program.spec.meters.keys();
                let others = names.filter(|name| !["duration", "count"].contains(&&***name));
                others
                    .map(|name| (name.to_string(), "1".to_owned()))
                    .collect()
            }
            ServicePrice::One(_) => Pairs::new(),
        };
        for quantity in [
            Given::Nothing,
            Given::Count(1),
            Given::Count(i64::MAX),
            Given::Duration(1),
            Given::Duration(61_500_000_000),
            Given::Duration(i128::from(i64::MAX) * 1_000_000_000),
        ] {
            let usage = Usage {
                service: &service.key,
                quantity,
                attributes: PairsRef::default(),
                meters: (&meters).into(),
            };
            let cost = card
                .price(&usage, &context)
                .ok()
                .map(|quote| quote.credits());
            if let Some(cost) = cost {
                assert!(cost.nanos() >= 0, "{usage:?}: {cost}");
                assert!(service.show(cost).nanos() >= 0, "{usage:?}: {cost}");
            }
            costs.push(cost);
        }
    }
    costs
}
