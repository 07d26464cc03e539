//! One account that asks for much does not hold up the others: their reads go on beside
//! its long ones, and what it has is not walked along for each of its charges.

use std::future::Future as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use creditd::domain::ledger::{Action, Command, Cost, GrantAction};
use creditd::domain::{Credits, FieldViolations};
use creditd::store::sqlite::{SqliteSettings, SqliteStore};
use creditd::store::{EntryPage, EntryQuery, Pending, Store as _, StoreError};

use crate::store::{Hand, batch, charge, command, grant, name, one_credit, open_with};

fn open(file: &Path, clock: &Arc<Hand>) -> SqliteStore {
    open_with(file, clock, SqliteSettings::default())
}

/// A read that visits 10,000 entries, or takes 50 ms.
fn long_question(store: &SqliteStore, account: &str) -> Pending<EntryPage> {
    let query = EntryQuery {
        limit: 1,
        kinds: vec!["refund"],
        ..EntryQuery::default()
    };
    store.entries(name(account), query)
}

async fn many_charges(store: &SqliteStore, batches: usize) {
    grant(store, "team-a", "g1", "1000000").await.unwrap();
    for number in 0..batches {
        let charges = batch(number, 5_000);
        store.write_batch(charges).await.unwrap();
    }
}

#[tokio::test]
async fn a_single_question_does_not_wait_for_anothers_many() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("creditd.db"), &Hand::new());
    many_charges(&store, 3).await;
    grant(&store, "team-b", "g1", "5").await.unwrap();
    charge(&store, "team-b", "c1").await.unwrap();

    let long: Vec<_> = (0..60).map(|_| long_question(&store, "team-a")).collect();
    let single = store.entries(
        name("team-b"),
        EntryQuery {
            limit: 10,
            ..EntryQuery::default()
        },
    );
    let page = single.await.unwrap();
    assert_eq!(page.entries.len(), 2);
    let mut done = 0;
    for mut question in long {
        // What is not there at once was answered after the single question, or is not yet.
        let answer = std::future::poll_fn(|context| {
            let polled = std::pin::Pin::new(&mut question).poll(context);
            std::task::Poll::Ready(polled)
        });
        done += usize::from(answer.await.is_ready());
    }
    assert!(
        done <= 20,
        "{done} of 60 long questions were answered before"
    );
}

#[tokio::test]
async fn questions_of_one_account_are_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("creditd.db"), &Hand::new());
    many_charges(&store, 3).await;
    grant(&store, "team-b", "g1", "5").await.unwrap();
    let long: Vec<_> = (0..1_000)
        .map(|_| long_question(&store, "team-a"))
        .collect();
    // Another one's is taken.
    let other = long_question(&store, "team-b").await.unwrap();
    assert_eq!(other.entries.len(), 0);
    let mut busy = 0;
    for mut question in long {
        // Those that were taken are answered one by one; the others were refused at once.
        let answer = std::future::poll_fn(|context| {
            let polled = std::pin::Pin::new(&mut question).poll(context);
            std::task::Poll::Ready(polled)
        });
        match answer.await {
            std::task::Poll::Ready(Err(StoreError::Busy { limit: 256, .. })) => busy += 1,
            std::task::Poll::Ready(Err(other)) => panic!("{other:?}"),
            std::task::Poll::Ready(Ok(_)) | std::task::Poll::Pending => {}
        }
    }
    assert!(busy > 0, "all were taken");
}

/// The searches are of many accounts, which take turns: of each a slice is done, and then the short
/// question is.
#[tokio::test]
async fn long_searches_of_many_accounts_wait_for_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("creditd.db"), &Hand::new());
    let accounts: Vec<_> = (0..20).map(|number| format!("long-{number}")).collect();
    for account in &accounts {
        grant(&store, account, "g1", "1000000").await.unwrap();
        let charges = (0..10_000).map(|n| command(account, &format!("c{n}"), one_credit()));
        store.write_batch(charges.collect()).await.unwrap();
    }
    grant(&store, "team-b", "g1", "5").await.unwrap();
    let three = [0, 1, 2].map(|_| accounts.iter());
    let long: Vec<_> = (three.into_iter().flatten())
        .map(|account| long_question(&store, account))
        .collect();
    let short = EntryQuery {
        limit: 10,
        ..EntryQuery::default()
    };
    let page = store.entries(name("team-b"), short).await.unwrap();
    assert_eq!(page.entries.len(), 1);
    let mut done = 0;
    for mut question in long {
        let answer = std::future::poll_fn(|context| {
            let polled = std::pin::Pin::new(&mut question).poll(context);
            std::task::Poll::Ready(polled)
        });
        done += usize::from(answer.await.is_ready());
    }
    assert!(done <= 8, "{done} of 60 searches were done before");
}

fn restricted(id: String) -> Command {
    let action = Action::Grant(GrantAction {
        credits: Credits::ONE,
        expire_time: None,
        priority: 0,
        source: "".into(),
        services: vec!["other".into()],
        violations: FieldViolations::new(),
    });
    command("team-a", &id, action)
}

fn unpayable(id: String) -> Command {
    let action = Action::Charge(Ok(Box::new(Cost {
        credits: Credits::ONE,
        service: Some("service".into()),
        pricing: None,
        usage: None,
        assumed: None,
    })));
    command("team-a", &id, action)
}

/// How long a batch takes whose charges are all refused.
async fn refused(store: &SqliteStore) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let charges = (0..10_000).map(|n| unpayable(format!("c{n}"))).collect();
        let began = Instant::now();
        let answers = store.write_batch(charges).await;
        best = best.min(began.elapsed());
        assert!(answers.unwrap().iter().all(Result::is_err));
    }
    best
}

/// It was looked at all grants for each charge: a second in which nobody else was served.
#[tokio::test]
async fn grants_for_other_services_cost_a_charge_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("creditd.db"), &Hand::new());
    store.write(restricted("g0".to_owned())).await.unwrap();
    let few = refused(&store).await;
    for part in 1..10 {
        let grants = (0..1_000).map(|n| restricted(format!("g{part}-{n}")));
        let grants = store.write_batch(grants.collect());
        assert!(grants.await.unwrap().iter().all(Result::is_ok));
    }
    let many = refused(&store).await;
    assert!(
        many < few * 4 + Duration::from_millis(100),
        "{many:?} with 9,001 grants, {few:?} with one"
    );
}

/// An entry that thousands of grants paid for, repeated thousands of times.
#[tokio::test]
async fn a_batch_whose_reply_is_too_large_is_not_decided_to_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("creditd.db"), &Hand::new());
    for part in 0..3 {
        let grants = (0..1_000).map(|n| {
            let mut grant = restricted(format!("g{part}-{n}"));
            if let Action::Grant(action) = &mut grant.action {
                action.services.clear();
            }
            grant
        });
        let grants = store.write_batch(grants.collect());
        assert!(grants.await.unwrap().iter().all(Result::is_ok));
    }
    let all = |id: &str| {
        let mut all = unpayable(id.to_owned());
        if let Action::Charge(Ok(cost)) = &mut all.action {
            cost.credits = Credits::parse("2999").unwrap();
        }
        all
    };
    let paid = store.write(all("all")).await.unwrap();
    assert_eq!(paid.entry.shares.len(), 2_999);

    // Neither the thousands of shares nor the time to read them count for each item.
    let batch = (0..2_000).map(|_| all("all")).collect();
    let answers = store.write_batch(batch).await.unwrap();
    assert_eq!(answers.len(), 2_000);
    for answer in answers {
        let written = answer.unwrap();
        assert!(written.replayed && written.entry.shares.is_empty());
        assert_eq!(written.entry.spent, paid.entry.spent);
    }
    let again = store.write(all("all")).await.unwrap();
    assert_eq!(again.entry.shares, paid.entry.shares);
}

/// While a reader had a snapshot of such an account, a charge copied all of its grants.
#[tokio::test]
async fn a_charge_does_not_copy_what_a_reader_has() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("creditd.db"), &Hand::new());
    let grants = (0..2_000).map(|n| {
        let mut grant = restricted(format!("g{n}"));
        if let Action::Grant(action) = &mut grant.action {
            action.services = (0..100).map(|n| format!("service-{n:02}").into()).collect();
        }
        grant
    });
    let grants = store.write_batch(grants.collect()).await.unwrap();
    assert!(grants.iter().all(Result::is_ok));
    let mut best = [Duration::MAX; 2];
    for number in 0..20 {
        let is_read = number % 2 == 1;
        let snapshot = store.account(name("team-a"), None).await.unwrap();
        let snapshot = is_read.then_some(snapshot);
        let mut cheap = unpayable(format!("c{number}"));
        if let Action::Charge(Ok(cost)) = &mut cheap.action {
            cost.credits = Credits::parse("0.001").unwrap();
            cost.service = Some("service-07".into());
        }
        let began = Instant::now();
        store.write(cheap).await.unwrap();
        let best = &mut best[usize::from(is_read)];
        *best = (*best).min(began.elapsed());
        drop(snapshot);
    }
    let [alone, read] = best;
    assert!(
        read < alone * 4 + Duration::from_millis(2),
        "{read:?} while it is read, {alone:?} while it is not"
    );
}
