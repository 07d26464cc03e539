//! What holds of every ledger, whatever was sent to it.

use std::collections::BTreeSet;
use std::sync::Arc;

use creditd::domain::{AccountName, Credits};
use creditd::store::{EntryQuery, NameQuery, Store};

/// Entries of a page that is read here.
const PAGE_SIZE: usize = 1_000;

/// Each account is the sum of its entries, which have no gaps and keep to the order of time.
pub async fn check(ledger: &Arc<dyn Store>) {
    let query = NameQuery {
        limit: PAGE_SIZE,
        ..NameQuery::default()
    };
    for name in ledger.account_names(query).await.unwrap() {
        account(ledger, &name).await;
    }
}

async fn account(ledger: &Arc<dyn Store>, name: &AccountName) {
    let snapshot = ledger.account(name.clone(), None).await.unwrap();
    let account = &snapshot.account;
    let mut entries = Vec::new();
    let mut before = None;
    loop {
        let query = EntryQuery {
            before,
            limit: PAGE_SIZE,
            ..EntryQuery::default()
        };
        let page = ledger.entries(name.clone(), query).await.unwrap();
        entries.extend(page.entries);
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    entries.reverse();
    let (mut available, mut held) = (0, 0);
    let (mut requests, mut last) = (BTreeSet::new(), None);
    for (number, entry) in (1..).zip(&entries) {
        assert_eq!((&entry.account, entry.id.0), (name, number), "{entry:?}");
        available += entry.credits.nanos();
        held += entry.held.nanos();
        assert_eq!(entry.available.nanos(), available, "{entry:?}");
        assert!(available >= 0 && held >= 0, "{entry:?}");
        assert!(last <= Some(entry.create_time), "{entry:?}");
        last = Some(entry.create_time);
        let sum = entry.credits.nanos() + entry.held.nanos() + entry.spent.nanos();
        assert!(sum == 0 || entry.kind.enters_or_leaves(), "{entry:?}");
        let request_id = entry.request_id.as_ref().map(|id| id.as_str());
        assert!(request_id.is_none_or(|id| requests.insert(id)), "{entry:?}");
        let sum = |part: fn(&creditd::domain::ledger::GrantShare) -> Credits| {
            entry
                .shares
                .iter()
                .map(|share| part(share).nanos())
                .sum::<i64>()
        };
        let shares = (sum(|share| share.credits), sum(|share| share.held));
        assert_eq!(
            shares,
            (entry.credits.nanos(), entry.held.nanos()),
            "{entry:?}"
        );
    }
    assert_eq!(account.available().nanos(), available, "{name}");
    assert_eq!(account.held().nanos(), held, "{name}");
    assert_eq!(
        account.version(),
        entries.last().map_or(0, |entry| entry.id.0),
        "{name}"
    );
    let in_holds: i64 = account
        .holds()
        .values()
        .map(|hold| hold.hold.held.nanos())
        .sum();
    assert_eq!(in_holds, held, "{name}: what its open holds have");
}
