//! What holds for all quantities and amounts, not only for those of the tables.

use std::sync::{Arc, OnceLock};

use creditd::app::{App, card_file};
use creditd::domain::pricing::{
    AccountTerms, Card, Catalog, Given, Line, Meter, OnePrice, PairsRef, Price, Quote, Selector,
    Service, ServicePrice, Usage,
};
use creditd::domain::{Credits, FieldViolations, Rounding};
use creditd::server::SystemClock;
use creditd::store::Clock;
use proptest::prelude::*;
use rust_decimal::Decimal;

use crate::support::memory::MemoryStore;
use crate::support::rate_cards::MemoryRateCards;
use crate::support::{NO_ACCOUNT, root};

fn cards() -> &'static [Card] {
    static CARDS: OnceLock<Vec<Card>> = OnceLock::new();
    let of = |name: &str| card_file::load(&root(&format!("tests/data/cards/{name}.toml")));
    CARDS.get_or_init(|| {
        vec![
            card_file::built_in().unwrap().card,
            of("rounding").unwrap().card,
            of("blocks-of-pieces").unwrap().card,
        ]
    })
}

/// The one price of a service; these cards have no others.
fn one(service: &Service) -> &OnePrice {
    match &service.price {
        ServicePrice::One(one) => one,
        ServicePrice::Lines(_) => panic!("{}", service.key),
    }
}

/// So many atoms of a service.
fn given(service: &Service, atoms: i64) -> Given {
    match one(service).meter {
        Meter::Duration => Given::Duration(atoms.into()),
        Meter::Count { .. } => Given::Count(atoms),
    }
}

/// How a cost adds up.
fn lines(quote: &Quote<'_>, atoms: i64) -> Vec<Line> {
    let service = quote.service();
    let usage = Usage {
        service: &service.key,
        quantity: given(service, atoms),
        attributes: PairsRef::Nothing,
        meters: PairsRef::Nothing,
    };
    quote.lines(&usage, &NO_ACCOUNT)
}

/// The quote for so many atoms of a service, or None where it is refused.
fn quote<'a>(card: &'a Card, service: &str, atoms: i64) -> Option<Quote<'a>> {
    let quantity = given(card.service(service)?, atoms);
    let usage = Usage {
        service,
        quantity,
        attributes: PairsRef::Nothing,
        meters: PairsRef::Nothing,
    };
    card.price(&usage, &NO_ACCOUNT).ok()
}

/// Quantities of all sizes, and those beside the edges of blocks.
fn atoms() -> impl Strategy<Value = i64> {
    prop_oneof![
        1..1_000_i64,
        1..1_000_000_000_000_i64,
        1..i64::MAX / 2,
        (1..10_000_i64, -2..=2_i64)
            .prop_map(|(blocks, off)| (blocks * 20_000_000_000 + off).max(1)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cost_never_falls_as_the_quantity_grows(a in atoms(), b in atoms()) {
        let (less, more) = (a.min(b), a.max(b));
        for card in cards() {
            for service in card.services() {
                let cost = |atoms| quote(card, &service.key, atoms).map(|q| q.credits());
                if let (Some(less), Some(more)) = (cost(less), cost(more)) {
                    prop_assert!(less <= more, "{}", service.key);
                }
                // What is refused for its size stays refused as it grows.
                prop_assert!(cost(less).is_some() || cost(more).is_none(), "{}", service.key);
            }
        }
    }

    #[test]
    fn lines_sum_to_the_cost(atoms in atoms()) {
        for card in cards() {
            for service in card.services() {
                let Some(quote) = quote(card, &service.key, atoms) else { continue };
                let sum = lines(&quote, atoms).iter().try_fold(Credits::ZERO, |sum, line| {
                    sum.checked_add(line.credits)
                });
                prop_assert_eq!(sum, Ok(quote.credits()));
            }
        }
    }

    /// Against plain fractions: no cost that rounds up is below the exact one, and
    /// none is a billionth or more away from it.
    #[test]
    fn rounding_is_by_less_than_a_billionth_and_in_its_direction(atoms in 1..1_000_000_000_000_i64) {
        for card in cards() {
            for service in card.services() {
                let Price::ProRata(rate) = &one(service).price else { continue };
                let Some(quote) = quote(card, &service.key, atoms) else { continue };
                // cost * per  against  credits * atoms, in billionths.
                let cost = i128::from(quote.credits().nanos()) * rate.per();
                let exact = i128::from(rate.credits().nanos()) * i128::from(atoms);
                prop_assert!((cost - exact).abs() < rate.per());
                match rate.rounding() {
                    Rounding::Up => prop_assert!(cost >= exact),
                    Rounding::Down => prop_assert!(cost <= exact),
                    Rounding::HalfUp | Rounding::HalfEven => {
                        prop_assert!((cost - exact).abs() * 2 <= rate.per());
                    }
                }
            }
        }
    }

    /// A line that did not have to round is quantity times unit_credits.
    #[test]
    fn lines_multiply(atoms in 1..1_000_000_000_000_i64) {
        for card in cards() {
            for service in card.services() {
                let Some(quote) = quote(card, &service.key, atoms) else { continue };
                for line in lines(&quote, atoms) {
                    let Ok(quantity) = line.quantity.parse::<Decimal>() else {
                        prop_assert!(line.quantity.contains('/'), "{}", line.quantity);
                        continue;
                    };
                    if line.description.contains("rounded") { continue }
                    prop_assert_eq!(quantity * line.unit_credits.to_decimal(), line.credits.to_decimal());
                }
            }
        }
    }

    #[test]
    fn what_is_shown_is_never_less_than_the_cost_for_lip_sync(atoms in 1..1_000_000_000_000_i64) {
        let quote = quote(&cards()[0], "lip_sync_video", atoms).unwrap();
        prop_assert!(quote.shown() >= quote.credits());
        prop_assert!(quote.shown().to_decimal().scale() <= 2);
    }

    #[test]
    fn parsing_and_printing_are_inverse(nanos in 0..=9_000_000_000_000_000_000_i64) {
        let credits = Credits::from_nanos(nanos).unwrap();
        let text = credits.to_string();
        prop_assert_eq!(Credits::parse(&text), Ok(credits));
        prop_assert_eq!(text.parse::<Decimal>().unwrap().normalize().to_string(), text);
    }

    /// Whatever the text: an amount exactly where the grammar says so, no panic.
    #[test]
    fn only_amounts_are_read_as_amounts(text in "[-+]?[0-9_.,eE ]{0,14}|\\PC{0,20}") {
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let by_grammar = match text.split_once('.') {
            Some((whole, fraction)) => digits(whole) && digits(fraction) && fraction.len() <= 9,
            None => digits(&text),
        };
        match Credits::parse(&text) {
            Ok(credits) => {
                prop_assert!(by_grammar);
                prop_assert_eq!(credits.to_decimal(), text.parse::<Decimal>().unwrap());
            }
            Err(_) if by_grammar => {
                prop_assert!(text.parse::<Decimal>().unwrap() > Decimal::from(9_000_000_000_i64));
            }
            Err(_) => {}
        }
    }

    /// A batch's total is the exact sum of its items, and an item costs in a batch
    /// what it costs alone.
    #[test]
    fn a_batch_is_the_sum_of_its_items(items in prop::collection::vec((0..12_usize, 1..1_000_000_000_000_i64), 1..40)) {
        let app = app();
        let prices = app.prices();
            let card = app.rate_card(&Selector::default()).unwrap();
        let usages: Vec<Usage<'_>> = items
            .iter()
            .map(|(row, atoms)| {
                // One more than there are rows: an item that fails.
                let service = card.services().get(*row);
                let quantity = match service.map(|service| &one(service).meter) {
                    Some(Meter::Duration) => Given::Duration((*atoms).into()),
                    _ => Given::Count(atoms % 1_000),
                };
                Usage { service: service.map_or("nothing", |s| &*s.key), quantity, attributes: PairsRef::Nothing, meters: PairsRef::Nothing }
            })
            .collect();
        let selector = Selector::default();
        let batch = app.batch_estimate(&prices, &usages, &selector, AccountTerms::NONE, FieldViolations::new());
        let batch = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(batch).unwrap();
        let mut sum = Decimal::ZERO;
        for (usage, result) in usages.iter().zip(&batch.results) {
            let alone = card.price(usage, &NO_ACCOUNT).map(|quote| quote.credits());
            prop_assert_eq!(&alone, &result.as_ref().map(|quote| quote.credits()).map_err(Clone::clone));
            sum += alone.map_or(Decimal::ZERO, Credits::to_decimal);
        }
        prop_assert_eq!(batch.total.to_decimal(), sum.normalize());
    }
}

/// The use cases over the built-in card.
fn app() -> &'static App {
    static APP: OnceLock<App> = OnceLock::new();
    APP.get_or_init(|| {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = MemoryStore::new(Arc::clone(&clock));
        let card = Arc::new(card_file::built_in().unwrap().card);
        let catalog = Catalog::new(vec![card], None).unwrap();
        let cards = Arc::new(MemoryRateCards::default());
        App::new(catalog, Arc::new(store), cards, clock)
    })
}
