//! Accounts as large as they may be, lists longer than a page, replies larger than
//! clients take.

use creditd::rpc::pb::creditd::v1 as pb;
use prost::Message as _;
use tonic::Code;

use super::subjects::{Store, Subject};
use crate::support::call::{Call, Outcome, Reply};
use crate::support::refusal::Refusal;
use crate::support::requests::{batch, charge, hold};
use crate::support::{balance, grant, wait_until};

const ACCOUNT: &str = "team-a";
/// What clients take by default.
const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most grants with something left, and most open holds.
const LIVE_MAX: usize = 10_000;

struct Ledger(Box<dyn Subject>);

impl Ledger {
    fn open(store: Store) -> Self {
        Self((store.factory())())
    }

    fn call(&mut self, call: impl Into<Call>) -> Reply {
        let call = call.into();
        let shown = format!("{call:?}").chars().take(200).collect::<String>();
        let outcome = self.0.call(call);
        outcome.unwrap_or_else(|refusal| panic!("{shown}: {refusal:?}"))
    }

    fn refused(&mut self, call: impl Into<Call>) -> Refusal {
        self.0.call(call.into()).expect_err("refused")
    }

    fn grant(&mut self, number: usize) {
        self.call(grant(&format!("g{number}"), ACCOUNT, "1"));
    }

    fn hold(&mut self, number: usize, credits: &str) {
        self.call(hold(&format!("h{number}"), ACCOUNT, credits));
    }

    fn balance(&mut self) -> pb::Balance {
        self.call(balance(ACCOUNT)).balance.unwrap()
    }

    fn entries(&mut self, page_size: i32, page_token: &str) -> Reply {
        let request = pb::ListEntriesRequest {
            account: ACCOUNT.to_owned(),
            page_size,
            page_token: page_token.to_owned(),
            ..pb::ListEntriesRequest::default()
        };
        self.call(request)
    }

    fn holds(&mut self, page_size: i32, page_token: &str) -> Reply {
        let request = pb::ListHoldsRequest {
            account: ACCOUNT.to_owned(),
            page_size,
            page_token: page_token.to_owned(),
            ..pb::ListHoldsRequest::default()
        };
        self.call(request)
    }
}

#[test]
fn pages_and_balances_have_their_largest_lengths() {
    for store in Store::ALL {
        let mut ledger = Ledger::open(store);
        let many = 1_010;
        for number in 0..many {
            ledger.grant(number);
        }
        let balance = ledger.balance();
        assert_eq!(
            (balance.available.as_str(), balance.version),
            ("1010", 1_010)
        );
        assert_eq!(balance.grants.len(), 1_000, "{store:?}");
        for number in 0..many {
            ledger.hold(number, "0.5");
        }
        let balance = ledger.balance();
        let totals = (balance.available.as_str(), balance.held.as_str());
        assert_eq!(totals, ("505", "505"));

        // 0 means 50; more than 1,000 is read as 1,000. A page may be shorter where the machine
        // is slow.
        for (asked, first) in [(0, 50), (1, 1), (1_000, 1_000), (i32::MAX, 1_000)] {
            wait_until("a page of entries is full", || {
                let page = ledger.entries(asked, "");
                assert!(!page.next_page_token.is_empty());
                page.entries.unwrap().len() == first
            });
            wait_until("a page of holds is full", || {
                let page = ledger.holds(asked, "");
                assert!(!page.next_page_token.is_empty());
                page.holds.unwrap().len() == first
            });
        }
        wait_until("two pages have all holds", || {
            let first = ledger.holds(1_000, "");
            let rest = ledger.holds(1_000, &first.next_page_token);
            rest.holds.unwrap().len() == 10 && rest.next_page_token.is_empty()
        });
    }
}

/// Only with SQLite and its usual caches: the other stores take minutes.
#[test]
fn accounts_are_as_large_as_they_may_be() {
    let mut ledger = Ledger::open(Store::Sqlite);
    for number in 0..LIVE_MAX {
        ledger.grant(number);
    }
    let limit = |refusal: &Refusal| {
        let keys = ["account", "limit"].map(|key| refusal.metadata[key].clone());
        (refusal.code, refusal.reason.clone(), keys)
    };
    let expected = |reason: &str| {
        let keys = [ACCOUNT.to_owned(), LIVE_MAX.to_string()];
        (Code::FailedPrecondition, reason.to_owned(), keys)
    };
    let one_more = grant("one more", ACCOUNT, "1");
    let refusal = ledger.refused(one_more.clone());
    assert_eq!(limit(&refusal), expected("TOO_MANY_GRANTS"));
    // A grant that is used up counts no more, and the request_id is as good as new.
    ledger.call(charge("c1", ACCOUNT, "1"));
    ledger.call(one_more);

    for number in 0..LIVE_MAX {
        ledger.hold(number, "0.5");
    }
    // What a grant has may be held: it counts.
    let refusal = ledger.refused(grant("too many", ACCOUNT, "1"));
    assert_eq!(limit(&refusal), expected("TOO_MANY_GRANTS"));
    let one_more = hold("one more hold", ACCOUNT, "0.5");
    let refusal = ledger.refused(one_more.clone());
    assert_eq!(limit(&refusal), expected("TOO_MANY_HOLDS"));
    let oldest = ledger.holds(1, "").holds.unwrap().remove(0).hold_id;
    ledger.call(pb::ReleaseHoldRequest {
        request_id: "r1".to_owned(),
        account: ACCOUNT.to_owned(),
        hold_id: oldest,
    });
    ledger.call(one_more);

    let before = ledger.balance();
    ledger.0.restart();
    let after = ledger.balance();
    assert_eq!(
        (
            &before.available,
            &before.held,
            before.version,
            &before.grants
        ),
        (&after.available, &after.held, after.version, &after.grants),
    );
}

/// Not with the store in memory, whose calls take longer the larger an account is.
#[test]
fn a_batch_has_at_most_ten_thousand_charges() {
    for store in [Store::Sqlite, Store::SmallCaches] {
        let mut ledger = Ledger::open(store);
        ledger.call(grant("g", ACCOUNT, "10000"));
        let mut charges: Vec<_> = (0..10_001)
            .map(|number| charge(&format!("c{number}"), ACCOUNT, "1"))
            .collect();
        let refusal = ledger.refused(batch(charges.clone()));
        assert_eq!(refusal.reason, "TOO_MANY_ITEMS");
        assert_eq!(ledger.balance().version, 1);
        charges.pop();
        ledger.call(batch(charges));
        let balance = ledger.balance();
        assert_eq!((balance.available.as_str(), balance.version), ("0", 10_001));
    }
}

/// A charge whose entry takes about 5 KB.
fn large_charge(number: usize) -> pb::ChargeRequest {
    let labels = (0..16).map(|label| (format!("{label:0>64}"), "v".repeat(256)));
    pb::ChargeRequest {
        labels: labels.collect(),
        ..charge(&format!("c{number}"), ACCOUNT, "1")
    }
}

#[test]
fn replies_stay_below_what_clients_take() {
    for store in Store::ALL {
        let mut ledger = Ledger::open(store);
        ledger.call(grant("g", ACCOUNT, "10000"));
        let mut charges: Vec<_> = (0..780).map(large_charge).collect();

        // Refused whole, before anything moves.
        let refusal = ledger.refused(batch(charges.clone()));
        assert_eq!(
            (refusal.code, refusal.reason.as_str(), refusal.paths()),
            (Code::InvalidArgument, "REPLY_TOO_LARGE", vec!["charges"]),
            "{store:?}"
        );
        let balance = ledger.balance();
        assert_eq!((balance.available.as_str(), balance.version), ("10000", 1));

        // What fits is done, and none of its request_ids was used up.
        let fits: usize = refusal.metadata["items_that_fit"].parse().unwrap();
        assert!((100..780).contains(&fits), "{fits}");
        let rest = charges.split_off(fits);
        let results = ledger.call(batch(charges)).results.0;
        let is_new = |result: &Outcome| result.as_ref().is_ok_and(|reply| !reply.replayed);
        assert!(results.iter().all(is_new), "{store:?}");
        ledger.call(batch(rest));
        assert_eq!(ledger.balance().available, "9220");

        // A page holds fewer instead, and the list is whole.
        let (mut token, mut versions) = (String::new(), Vec::new());
        loop {
            let page = ledger.entries(1_000, &token);
            let page = pb::ListEntriesResponse {
                entries: page.entries.unwrap(),
                next_page_token: page.next_page_token,
                opening_balance: page.opening_balance,
            };
            assert!(page.encoded_len() <= MESSAGE_BYTES_MAX, "{store:?}");
            versions.extend(page.entries.iter().map(|entry| entry.version));
            if page.next_page_token.is_empty() {
                break;
            }
            assert!(!page.entries.is_empty(), "{store:?}");
            token = page.next_page_token;
        }
        let all: Vec<i64> = (1..=781).rev().collect();
        assert_eq!(versions, all, "{store:?}");
    }
}

/// The longest names make the largest replies: as many are taken as fit in any case.
#[test]
fn long_names_are_counted_in_the_reply_to_a_batch() {
    let account = "a".repeat(128);
    let mut ledger = Ledger::open(Store::Sqlite);
    ledger.call(grant("g", &account, "10000"));
    let mut charges: Vec<_> = (0..10_000)
        .map(|number| charge(&format!("{number:0>256}"), &account, "1"))
        .collect();
    let refusal = ledger.refused(batch(charges.clone()));
    assert_eq!(refusal.reason, "REPLY_TOO_LARGE");
    let fits: usize = refusal.metadata["items_that_fit"].parse().unwrap();
    assert!((3_000..10_000).contains(&fits), "{fits}");
    charges.truncate(fits + 1);
    let refusal = ledger.refused(batch(charges.clone()));
    assert_eq!(refusal.metadata["items_that_fit"], fits.to_string());
    charges.pop();
    let results = ledger.call(batch(charges)).results.0;
    let bytes = results.into_iter().map(|result| {
        let reply = result.unwrap();
        let response = pb::ChargeResponse {
            entry: reply.entry,
            available: reply.available.unwrap(),
            replayed: reply.replayed,
        };
        // Around it are its own tag and length, those of its result and of its kind.
        response.encoded_len() + 10
    });
    let bytes: usize = bytes.sum();
    assert!(bytes <= MESSAGE_BYTES_MAX, "{bytes}");
    assert!(bytes > MESSAGE_BYTES_MAX / 3, "{bytes}");
}

/// Holds have the labels of their requests, so a page of them can be too large as well.
#[test]
fn pages_of_holds_stay_below_what_clients_take() {
    for store in [Store::Sqlite, Store::SmallCaches] {
        let mut ledger = Ledger::open(store);
        ledger.call(grant("g", ACCOUNT, "10000"));
        let labels = large_charge(0).labels;
        let mut made = Vec::new();
        for number in 0..900 {
            let reply = ledger.call(pb::HoldRequest {
                labels: labels.clone(),
                ..hold(&format!("h{number}"), ACCOUNT, "1")
            });
            made.push(reply.hold.unwrap().hold_id);
        }
        for filter in [std::collections::BTreeMap::new(), labels] {
            let mut request = pb::ListHoldsRequest {
                account: ACCOUNT.to_owned(),
                page_size: 1_000,
                labels: filter,
                ..pb::ListHoldsRequest::default()
            };
            let (mut found, mut pages) = (Vec::new(), 0);
            loop {
                let page = ledger.call(request.clone());
                let page = pb::ListHoldsResponse {
                    holds: page.holds.unwrap(),
                    next_page_token: page.next_page_token,
                };
                assert!(page.encoded_len() <= MESSAGE_BYTES_MAX, "{store:?}");
                assert!(!page.holds.is_empty(), "{store:?}");
                found.extend(page.holds.into_iter().map(|hold| hold.hold_id));
                pages += 1;
                request.page_token = page.next_page_token;
                if request.page_token.is_empty() {
                    break;
                }
            }
            assert_eq!((pages, &found), (2, &made), "{store:?}");
        }
    }
}
