use super::*;
use crate::domain::ledger::{EntryId, GrantId, HoldId};
use crate::domain::pricing::Pairs;
use crate::domain::{AccountName, Credits, FieldViolations};

fn grant() -> GrantAction {
    GrantAction {
        credits: Credits::ONE,
        expire_time: None,
        priority: 0,
        source: "".into(),
        services: Vec::new(),
        violations: FieldViolations::new(),
    }
}

fn labels() -> Labels {
    let pairs = [("k".to_owned(), "v".to_owned())];
    Labels::new(pairs.iter().map(|(k, v)| (k, v))).unwrap()
}

fn hex(action: &Action<CostForm<'_>>, labels: &Labels) -> String {
    let bytes = of(action, labels).into_iter();
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

fn usage<'a>(service: &'a str, quantity: Given, pairs: &'a Pairs) -> CostForm<'a> {
    CostForm::Usage {
        usage: Usage {
            service,
            quantity,
            attributes: pairs.into(),
            meters: pairs.into(),
        },
        prices: Selector::default(),
    }
}

fn with_prices<'a>(cost: CostForm<'a>, prices: Selector<'a>) -> CostForm<'a> {
    match cost {
        CostForm::Usage { usage, .. } => CostForm::Usage { usage, prices },
        other => other,
    }
}

fn named<T: AccountId>(id: T) -> Named<T> {
    Named::of(id, &AccountName::new("team-a").unwrap())
}

fn updated(update: UpdateAction) -> Action<CostForm<'static>> {
    Action::UpdateAccount(Box::new(update))
}

fn settle(cost: CostForm<'_>) -> Action<CostForm<'_>> {
    Action::SettleHold {
        hold: named(HoldId(7)),
        cost,
        keep_open: false,
        overage: Overage::Reject,
    }
}

/// A request_id must mean the same after an upgrade: these hashes never change. They were
/// computed by another program, from the description of the canonical form.
#[test]
fn fingerprints_stay_what_they_are() {
    let none = Labels::default();
    let pairs = Pairs::new();
    let full = GrantAction {
        credits: Credits::parse("12.5").unwrap(),
        expire_time: crate::rfc3339::parse("2030-01-01T00:00:00.5Z"),
        priority: -3,
        source: "purchase".into(),
        services: vec!["ai_scripts".into(), "motion_1_0".into()],
        violations: FieldViolations::new(),
    };
    let credits = CostForm::Credits(Credits::ONE);
    let seconds = Given::Duration(125_000_000_000);
    let revision = Selector {
        revision: "abc",
        ..Selector::default()
    };
    for (action, labels, expected) in [
        (
            Action::Grant(grant()),
            &none,
            "585fca0dcb3e82d19afa76de74647e71",
        ),
        (
            Action::Grant(full),
            &labels(),
            "ef9c5dad7362afe24a15beb812a38608",
        ),
        (
            Action::Charge(credits),
            &none,
            "ff6d4d8d3c76de5b4825fa7a158d2243",
        ),
        (
            Action::Charge(usage("by_call", Given::Nothing, &pairs)),
            &none,
            "70e4e7f7a0315a12393036094491a922",
        ),
        (
            Action::Charge(usage("by_call", Given::Count(1), &pairs)),
            &none,
            "70e4e7f7a0315a12393036094491a922",
        ),
        (
            Action::Charge(usage("by_time", seconds, &pairs)),
            &none,
            "69d4934d23cfd6cf8e3765867b639fcf",
        ),
        (
            Action::Charge(with_prices(usage("by_time", seconds, &pairs), revision)),
            &none,
            "feedbe2fc3381421cddfc42c69b05888",
        ),
        (settle(credits), &none, "cee5b64e5e6af93671f5b5be89d2aba9"),
        (
            Action::ReleaseHold {
                hold: named(HoldId(7)),
            },
            &none,
            "b40744836851ef5f4498293decb60f53",
        ),
        (
            updated(UpdateAction {
                rate_card: Some("studio".into()),
                attributes: Some([("plan".to_owned(), "growth".to_owned())].into()),
                labels: Some(labels()),
                allow_missing: true,
                refusal: None,
            }),
            &none,
            "adc442e5db3fe7890673c03735db545a",
        ),
        (
            updated(UpdateAction {
                labels: Some(Labels::default()),
                ..UpdateAction::default()
            }),
            &none,
            "d34fc968649c0c154e73799c3f4ca439",
        ),
    ] {
        assert_eq!(hex(&action, labels), expected, "{action:?}");
    }
}

/// Forms that differ in one thing: each has a fingerprint of its own.
#[test]
fn every_field_counts() {
    let none = Labels::default();
    let (empty, mut some) = (Pairs::new(), Pairs::new());
    some.insert("k".to_owned(), "v".to_owned());
    let selectors = [
        Selector {
            rate_card: "x",
            ..Selector::default()
        },
        Selector {
            revision: "x",
            ..Selector::default()
        },
        Selector {
            price_time: crate::rfc3339::parse("2030-01-01T00:00:00Z"),
            ..Selector::default()
        },
    ];
    let work = usage("a", Given::Count(2), &empty);
    let one = CostForm::Credits(Credits::ONE);
    let mut costs = vec![
        work,
        usage("b", Given::Count(2), &empty),
        usage("a", Given::Count(3), &empty),
        usage("a", Given::Duration(2), &empty),
        usage("a", Given::Count(2), &some),
        one,
        CostForm::Credits(Credits::ZERO),
    ];
    costs.extend(selectors.map(|prices| with_prices(work, prices)));
    let CostForm::Usage {
        usage: given,
        prices,
    } = work
    else {
        panic!("it is a usage")
    };
    for (attributes, meters) in [(&some, &empty), (&empty, &some)] {
        let usage = Usage {
            attributes: attributes.into(),
            meters: meters.into(),
            ..given
        };
        costs.push(CostForm::Usage { usage, prices });
    }
    let grants: [fn(&mut GrantAction); 7] = [
        |_| (),
        |a| a.credits = Credits::MAX,
        |a| a.expire_time = crate::rfc3339::parse("2030-01-01T00:00:00Z"),
        |a| a.priority = 1,
        |a| a.source = "x".into(),
        |a| a.services = vec!["x".into()],
        |a| a.services = vec!["x".into(), "y".into()],
    ];
    let mut actions = Vec::new();
    for change in grants {
        let mut action = grant();
        change(&mut action);
        actions.push(Action::Grant(action));
    }
    for cost in costs {
        actions.push(Action::Charge(cost));
        actions.push(Action::Hold { cost, ttl_nanos: 1 });
        actions.push(settle(cost));
    }
    for (keep_open, overage) in [
        (true, Overage::Reject),
        (false, Overage::FromAvailable),
        (true, Overage::FromAvailable),
    ] {
        actions.push(Action::SettleHold {
            hold: named(HoldId(7)),
            cost: one,
            keep_open,
            overage,
        });
    }
    for number in [1, 2] {
        for credits in [None, Some(Credits::ONE), Some(Credits::MAX)] {
            let entry = named(EntryId(number));
            actions.push(Action::Refund { entry, credits });
        }
        let (grant, hold) = (named(GrantId(number)), named(HoldId(number)));
        actions.push(Action::RevokeGrant { grant });
        actions.push(Action::ReleaseHold { hold: hold.clone() });
        for ttl_nanos in [5, 6] {
            let hold = hold.clone();
            actions.push(Action::ExtendHold { hold, ttl_nanos });
        }
        actions.push(Action::Hold {
            cost: one,
            ttl_nanos: number.saturating_add(1),
        });
    }
    let updates: [fn(&mut UpdateAction); 8] = [
        |u| u.rate_card = Some("".into()),
        |u| u.rate_card = Some("x".into()),
        |u| u.attributes = Some(Pairs::new()),
        |u| u.attributes = Some([("k".to_owned(), "v".to_owned())].into()),
        |u| u.labels = Some(Labels::default()),
        |u| u.labels = Some(labels()),
        |u| (u.attributes, u.labels) = (Some(Pairs::new()), Some(Labels::default())),
        |u| (u.labels, u.allow_missing) = (Some(Labels::default()), true),
    ];
    for change in updates {
        let mut update = UpdateAction::default();
        change(&mut update);
        actions.push(updated(update));
    }
    let labelled = labels();
    let mut all = std::collections::HashMap::new();
    for action in &actions {
        for labels in [&none, &labelled] {
            if let Some(other) = all.insert(of(action, labels), (action, labels)) {
                panic!("{action:?} {labels:?} and {other:?} have one fingerprint");
            }
        }
    }
    assert_eq!(all.len(), actions.len() * 2);
}
