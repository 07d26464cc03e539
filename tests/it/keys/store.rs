//! Every store of keys keeps the promises of `store::keys`.

use std::sync::Arc;

use creditd::domain::keys::{AccountPattern, AccountPatterns, Key, KeyId, KeyTerms, Scope, Scopes};
use creditd::server::SystemClock;
use creditd::store::Clock as _;
use creditd::store::StoreError;
use creditd::store::keys::{EventQuery, KEYS_MAX, KeyQuery, KeyStore, NewKey, StoredKey};
use creditd::store::sqlite::{SqliteSettings, SqliteStore};

use crate::support::keys::MemoryKeys;
use crate::support::refusal::Refusal;

fn id(text: &str) -> KeyId {
    KeyId::new(text).unwrap()
}

fn new(text: &str, hash: u8) -> NewKey {
    let accounts = ["b", "a*"].map(|text| AccountPattern::parse(text).unwrap());
    NewKey {
        id: id(text),
        terms: KeyTerms {
            title: format!("key {text}").into(),
            scopes: Scopes::from_iter([Scope::Charge, Scope::Read]),
            accounts: AccountPatterns::new(accounts.to_vec()),
            expire_time: None,
            calls_per_second_max: 7,
        },
        hash: [hash; 32],
    }
}

fn reason(outcome: Result<Key, StoreError>) -> String {
    let error = outcome.unwrap_err();
    let status = creditd::rpc::refused::Refused::from(error).into_status();
    Refusal::of(&status).reason
}

async fn all(store: &dyn KeyStore) -> Vec<StoredKey> {
    let query = KeyQuery {
        show_revoked: true,
        limit: usize::MAX,
        ..KeyQuery::default()
    };
    let all = store.keys(query).await.unwrap();
    let page = |after, limit| KeyQuery {
        after,
        show_revoked: false,
        limit,
    };
    let not_revoked = store.keys(page(None, usize::MAX)).await.unwrap();
    let mut expected = all.clone();
    expected.retain(|stored| stored.key.revoke_time.is_none());
    assert_eq!(not_revoked, expected);
    // Page by page it is the same.
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let next = store.keys(page(after, 1)).await.unwrap();
        let Some(last) = next.last() else { break };
        after = Some(last.number);
        paged.extend(next);
    }
    assert_eq!(paged, expected);
    let valid = store.valid_keys().await.unwrap();
    let now = SystemClock.now();
    expected.retain(|stored| stored.key.terms.expire_time.is_none_or(|end| end > now));
    assert_eq!((valid.keys, valid.had_any), (expected, !all.is_empty()));
    all
}

async fn trail(store: &dyn KeyStore) -> Vec<String> {
    let query = EventQuery {
        limit: 1_000,
        ..EventQuery::default()
    };
    let events = store.admin_events(query).await.unwrap();
    assert!(events.is_sorted_by(|a, b| a.number > b.number && a.create_time >= b.create_time));
    let line = |event: &creditd::store::keys::AdminEvent| {
        let by = event.key_id.as_ref().map_or("-", KeyId::as_str);
        format!(
            "{by} {} {} {}",
            event.action.name(),
            event.subject,
            event.title
        )
    };
    events.iter().map(line).collect()
}

async fn keeps_its_promises(store: &dyn KeyStore) {
    let mut changes = store.key_changes();
    let one = store.create_key(new("one", 1), None).await.unwrap();
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    let two = store
        .create_key(new("two", 2), Some(id("one")))
        .await
        .unwrap();
    changes.mark_unchanged();
    let minute = SystemClock.now();
    store
        .note_key_uses(vec![(id("two"), minute)])
        .await
        .unwrap();
    // Nobody has to look at the keys again for that.
    assert!(!changes.has_changed().unwrap());
    let revoked = store.revoke_key(id("one"), Some(id("two"))).await.unwrap();
    assert!(changes.has_changed().unwrap());
    assert!(revoked.revoke_time >= Some(one.create_time));
    changes.mark_unchanged();
    let again = store.revoke_key(id("one"), None).await.unwrap();
    assert_eq!(again, revoked);
    assert!(!changes.has_changed().unwrap());
    assert_eq!(
        reason(store.revoke_key(id("three"), None).await),
        "KEY_NOT_FOUND"
    );
    let keys = all(store).await;
    let kept: Vec<_> = keys
        .iter()
        .map(|stored| (stored.key.clone(), stored.hash))
        .collect();
    let used = Key {
        last_use_time: Some(minute),
        ..two
    };
    assert_eq!(kept, [(revoked, [1; 32]), (used, [2; 32])]);
    assert!(keys[0].number < keys[1].number);
    let expected = [
        "two revoke_key one key one",
        "one create_key two key two",
        "- create_key one key one",
    ];
    assert_eq!(trail(store).await, expected);
}

/// A store that has one key less than there may be, beside one that has expired.
async fn takes_no_more_than_there_may_be(store: &dyn KeyStore) {
    store.create_key(new("last", 5), None).await.unwrap();
    let more = || store.create_key(new("more", 5), None);
    assert_eq!(reason(more().await), "TOO_MANY_KEYS");
    store.revoke_key(id("last"), None).await.unwrap();
    more().await.unwrap();
}

fn expired() -> NewKey {
    NewKey {
        terms: KeyTerms {
            expire_time: Some(SystemClock.now()),
            ..KeyTerms::default()
        },
        ..new("expired", 3)
    }
}

#[tokio::test]
async fn a_store_in_memory_does() {
    keeps_its_promises(&MemoryKeys::default()).await;
    let store = MemoryKeys::default();
    store.create_key(expired(), None).await.unwrap();
    for number in 1..KEYS_MAX {
        let new = new(&format!("n{number}"), 4);
        store.create_key(new, None).await.unwrap();
    }
    takes_no_more_than_there_may_be(&store).await;
}

#[tokio::test]
async fn the_data_file_does() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("creditd.db");
    let open = || {
        let clock = Arc::new(SystemClock);
        SqliteStore::open(&file, clock, SqliteSettings::default()).unwrap()
    };
    let store = open();
    keeps_its_promises(&store).await;
    let (keys, lines) = (all(&store).await, trail(&store).await);
    drop(store);
    let store = open();
    assert_eq!(all(&store).await, keys);
    assert_eq!(trail(&store).await, lines);
    store.create_key(expired(), None).await.unwrap();
    drop(store);
    // Each would be a transaction of its own. One of the two that are there is valid.
    let many = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})
         INSERT INTO keys (key_id, title, scopes, accounts, secret_hash, create_time,
                           calls_per_second_max)
         SELECT 'n' || i, '', '[]', '[]', zeroblob(32), 0, 0 FROM n",
        KEYS_MAX - 2
    );
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection.execute(&many, []).unwrap();
    drop(connection);
    takes_no_more_than_there_may_be(&open()).await;
}
