//! Cuts at every place of a file with rows of all kinds.

use std::path::{Path, PathBuf};

use creditd::domain::Refusal;
use creditd::domain::ledger::{Account, Entry, EntryId};
use creditd::store::sqlite::SqliteStore;
use creditd::store::{EntryPage, EntryQuery, Store as _, StoreError};

use super::{archive, archive_path, assert_sound, audit_all, cut_at, number, order, time};
use crate::chain::{head, open, small};
use crate::store::{Hand, name};

pub const ACCOUNTS: [&str; 2] = ["team-a", "team-b"];

pub fn copy(directory: &Path, file: &Path) -> PathBuf {
    std::fs::create_dir_all(directory).unwrap();
    let copy = directory.join("creditd.db");
    std::fs::copy(file, &copy).unwrap();
    copy
}

/// A store whose clock is later than all that the file has.
fn opened(file: &Path) -> SqliteStore {
    let clock = Hand::new();
    clock.step(10);
    open(file, &clock)
}

async fn entries(store: &SqliteStore, account: &str) -> EntryPage {
    let query = EntryQuery {
        limit: 1_000,
        ..EntryQuery::default()
    };
    store.entries(name(account), query).await.unwrap()
}

/// What a file says of all its accounts, and of each at the time of each of its entries.
pub struct Told {
    entries: Vec<Vec<Entry>>,
    now: Vec<Account>,
    then: Vec<Vec<Account>>,
}

pub async fn told(file: &Path) -> Told {
    let store = opened(file);
    let mut told = Told {
        entries: Vec::new(),
        now: Vec::new(),
        then: Vec::new(),
    };
    for account in ACCOUNTS {
        let page = entries(&store, account).await;
        let snapshot = store.account(name(account), None).await.unwrap();
        told.now.push(Account::clone(&snapshot.account));
        let mut then = Vec::new();
        for entry in &page.entries {
            let as_of = Some(entry.create_time);
            let snapshot = store.account(name(account), as_of).await.unwrap();
            then.push(Account::clone(&snapshot.account));
        }
        told.then.push(then);
        told.entries.push(page.entries);
    }
    told
}

fn is_archived(error: &StoreError, account: &str) -> bool {
    matches!(error, StoreError::Refused(Refusal::HistoryArchived { account: of, .. }) if of.as_str() == account)
}

/// Compares a cut file with what the whole one told.
pub async fn compare(file: &Path, position: i64, told: &Told) {
    let store = opened(file);
    for (at, account) in ACCOUNTS.into_iter().enumerate() {
        let all = &told.entries[at];
        let newest = format!(
            "SELECT entry_id FROM openings JOIN accounts USING (account_id) WHERE name = '{account}'"
        );
        let newest = EntryId(number(file, &newest).unwrap_or_default());
        let page = entries(&store, account).await;
        let kept: Vec<&Entry> = all.iter().filter(|entry| entry.id > newest).collect();
        assert_eq!(
            page.entries.iter().collect::<Vec<_>>(),
            kept,
            "{account} {position}"
        );
        assert_eq!(page.next, None);
        let now = store.account(name(account), None).await.unwrap().account;
        assert_eq!(*now, told.now[at], "{account} {position}");
        let mut sum = page.opening.as_ref().map_or(0, |o| o.available.nanos());
        assert_eq!(page.opening.is_some(), newest.0 > 0, "{account} {position}");
        for entry in &page.entries {
            sum += entry.credits.nanos();
        }
        assert_eq!(sum, now.available().nanos(), "{account} {position}");
        let oldest = page.opening.map(|opening| opening.time);
        for (entry, then) in all.iter().zip(&told.then[at]) {
            let answer = store.account(name(account), Some(entry.create_time)).await;
            match oldest.is_some_and(|oldest| entry.create_time < oldest) {
                true => {
                    let error = answer.unwrap_err();
                    assert!(is_archived(&error, account), "{position} {error:?}");
                }
                false => {
                    let snapshot = answer.unwrap();
                    assert_eq!(*snapshot.account, *then, "{account} {position}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_file_that_is_cut_anywhere_says_the_same_of_all_that_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let whole = small(directory.path()).await;
    let told = told(&whole).await;
    let kept_head = head(&whole);
    let last = number(&whole, "SELECT max(position) FROM entries").unwrap();
    for position in 1..=last {
        let file = copy(&directory.path().join(position.to_string()), &whole);
        // Rows of two accounts can be in another order than their times.
        let before = super::time_after(&file, position);
        let report = archive(&order(&file, 1, before), &file).unwrap();
        let cut = report.position;
        assert_eq!((report.archive, report.rows), (1, cut));
        assert_eq!(head(&file), kept_head, "{cut}");
        assert_sound(&file, &[], Some(&kept_head));
        assert_sound(&file, &[1], Some(&kept_head));
        compare(&file, cut, &told).await;
        // The store has closed it: it is as sound as before.
        assert_sound(&file, &[1], None);
    }
}

#[tokio::test]
async fn archives_of_archives_are_numbered_and_prove_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let whole = small(directory.path()).await;
    let told = told(&whole).await;
    let heads = head(&whole);
    for (first, second) in [(1, 2), (5, 15), (9, 13), (15, 16), (13, 18), (16, 19)] {
        let file = copy(&directory.path().join(format!("{first}-{second}")), &whole);
        cut_at(&file, 1, first);
        let at_first = number(&file, "SELECT position FROM archives").unwrap();
        assert_eq!(at_first, first);
        let report = cut_at(&file, 2, second);
        assert_eq!((report.archive, report.rows), (2, second - first));
        for numbers in [&[][..], &[1], &[2], &[1, 2], &[2, 1]] {
            assert_sound(&file, numbers, Some(&heads));
        }
        compare(&file, second, &told).await;
        // The first archive is whole, and the second one begins with the openings of the first.
        assert_eq!(head(&archive_path(&file, 1)), heads);
        assert_eq!(head(&archive_path(&file, 2)), heads);
        let openings = "SELECT count(*) FROM openings";
        assert_eq!(number(&archive_path(&file, 1), openings), Some(0));
        assert!(number(&archive_path(&file, 2), openings) > Some(0));
    }
}

/// Heads that were kept before the cut need the archives that have their rows.
#[tokio::test]
async fn older_heads_are_proved_through_the_archives() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Hand::new();
    let file = directory.path().join("creditd.db");
    let mut heads = Vec::new();
    for number in 0..4 {
        let store = open(&file, &clock);
        clock.step(1);
        crate::store::grant(&store, "team-a", &format!("g{number}"), "5")
            .await
            .unwrap();
        crate::store::charge(&store, "team-a", &format!("c{number}"))
            .await
            .unwrap();
        drop(store);
        heads.push(head(&file));
    }
    cut_at(&file, 1, 3);
    cut_at(&file, 2, 5);
    // After 2, 4, 6 and 8 rows.
    for (head, numbers, missing) in [
        (0, &[][..], Some("archive 1 (archive-1.db)")),
        (0, &[1], Some("archive 2 (archive-2.db)")),
        (0, &[2], Some("archive 1 (archive-1.db)")),
        (0, &[1, 2], None),
        (1, &[], Some("archive 2 (archive-2.db)")),
        (1, &[1], Some("archive 2 (archive-2.db)")),
        (1, &[2], None),
        (1, &[1, 2], None),
        (2, &[], None),
        (2, &[1, 2], None),
        (3, &[], None),
    ] {
        let audited = audit_all(&file, numbers, Some(&heads[head]));
        match missing {
            None => assert_eq!(audited.unwrap().findings, Vec::<String>::new(), "{head}"),
            Some(missing) => {
                let refused = audited.unwrap_err();
                assert!(refused.contains(missing), "{head} {numbers:?}: {refused}");
            }
        }
    }
    // A head at the cut itself follows from the openings.
    let connection = rusqlite::Connection::open(&file).unwrap();
    let at_cut: String = connection
        .query_row("SELECT head FROM archives WHERE archive_id = 2", [], |r| {
            r.get(0)
        })
        .unwrap();
    drop(connection);
    assert_sound(&file, &[], Some(&at_cut));
    // And one of another file does not.
    let other = "2-0000-0000-0000-0000-0000-0000-0000-00";
    assert!(
        other
            .parse::<creditd::server::files::JournalHead>()
            .is_err()
    );
    assert!(time(super::NOW) > time("2026-01-01T00:00:00Z"));
}
