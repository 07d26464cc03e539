use super::*;
use crate::domain::ledger::GrantAction;
use crate::domain::{Faults, Labels};

fn action() -> GrantAction {
    GrantAction {
        credits: Credits::ONE,
        expire_time: None,
        priority: 0,
        source: "".into(),
        services: Vec::new(),
        faults: Faults::new(),
    }
}

fn labels() -> Labels {
    let pairs = [("k".to_owned(), "v".to_owned())];
    Labels::new(pairs.iter().map(|(k, v)| (k, v))).unwrap()
}

fn hex(fingerprint: Fingerprint) -> String {
    fingerprint
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A kept request_id must mean the same after an upgrade: these never change.
#[test]
fn fingerprints_of_grants_stay_what_they_are() {
    let none = Labels::default();
    assert_eq!(
        hex(of_grant(&action(), &none)),
        "623d70c661db7beb30edfcd33b9c9481"
    );
    let full = GrantAction {
        credits: Credits::parse("12.5").unwrap(),
        expire_time: crate::rfc3339::parse("2030-01-01T00:00:00.5Z"),
        priority: -3,
        source: "purchase".into(),
        services: vec!["ai_scripts".into(), "motion_1_0".into()],
        faults: Faults::new(),
    };
    assert_eq!(
        hex(of_grant(&full, &labels())),
        "819eac2f8a5361c3ee7545e3b4c24db8"
    );
}

#[test]
fn every_field_of_a_grant_counts() {
    let none = Labels::default();
    let base = of_grant(&action(), &none);
    let changes: [fn(&mut GrantAction); 5] = [
        |a| a.credits = Credits::MAX,
        |a| a.expire_time = crate::rfc3339::parse("2030-01-01T00:00:00Z"),
        |a| a.priority = 1,
        |a| a.source = "x".into(),
        |a| a.services = vec!["x".into()],
    ];
    for change in changes {
        let mut other = action();
        change(&mut other);
        assert_ne!(of_grant(&other, &none), base);
    }
    assert_ne!(of_grant(&action(), &labels()), base);
}

fn usage<'a>(service: &'a str, quantity: Given, pairs: &'a Pairs) -> What<'a> {
    What::Usage(Usage {
        service,
        quantity,
        attributes: pairs,
        meters: pairs,
    })
}

fn charge(what: &What<'_>, prices: &Selector<'_>) -> String {
    let mut writer = FingerprintWriter::new(Method::Charge);
    hex(writer
        .what(3, 4, what)
        .prices(5, prices)
        .labels(6, &Labels::default())
        .finish())
}

/// The same for what is paid for, which charges, holds and settlements share.
#[test]
fn fingerprints_of_what_is_paid_for_stay_what_they_are() {
    let pairs = Pairs::new();
    let none = Selector::default();
    let seconds = Given::Duration(125_000_000_000);
    let expected = [
        (
            What::Credits(Credits::ONE),
            "7fccd647db45532c699c2b3fa4453837",
        ),
        (
            usage("by_call", Given::Nothing, &pairs),
            "153929e82ea8a87eae33897895b248d2",
        ),
        (
            usage("by_call", Given::Count(1), &pairs),
            "153929e82ea8a87eae33897895b248d2",
        ),
        (
            usage("by_time", seconds, &pairs),
            "fb30be6608d9494460271511b07d809f",
        ),
    ];
    for (what, fingerprint) in expected {
        assert_eq!(charge(&what, &none), fingerprint, "{what:?}");
    }
    let revision = Selector {
        revision: "abc",
        ..none
    };
    let one = What::Credits(Credits::ONE);
    assert_eq!(charge(&one, &revision), "a19c9d1358a8db83fe781a8cd920a6a1");
}

#[test]
fn every_part_of_what_is_paid_for_counts() {
    let (none, mut some) = (Pairs::new(), Pairs::new());
    some.insert("k".to_owned(), "v".to_owned());
    let prices = Selector::default();
    let base = charge(&usage("a", Given::Count(2), &none), &prices);
    for other in [
        usage("b", Given::Count(2), &none),
        usage("a", Given::Count(3), &none),
        usage("a", Given::Duration(2), &none),
        usage("a", Given::Count(2), &some),
        What::Credits(Credits::ONE),
    ] {
        assert_ne!(charge(&other, &prices), base, "{other:?}");
    }
}
