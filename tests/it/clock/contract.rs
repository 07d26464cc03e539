//! The contract of every store whose clock is not believed.

use crate::support::memory::MemoryStore;
use std::sync::{Arc, Mutex};

use creditd::domain::Timestamp;
use creditd::domain::clock::ClockNotBelieved;
use creditd::domain::ledger::{Action, GrantAction};
use creditd::domain::{Credits, FieldViolations};
use creditd::rfc3339;
use creditd::store::sqlite::{SqliteSettings, SqliteStore};
use creditd::store::{Clock, Store, StoreError};

use crate::store::{command, name, one_credit};

/// A clock that the test sets, and whether it is believed.
struct Doubted(Mutex<Result<Timestamp, ClockNotBelieved>>);

impl Clock for Doubted {
    fn now(&self) -> Timestamp {
        self.believed().unwrap_or_else(|not| not.believed_time)
    }

    fn believed(&self) -> Result<Timestamp, ClockNotBelieved> {
        *self.0.lock().unwrap()
    }
}

#[tokio::test]
async fn a_store_whose_clock_is_not_believed_answers_again_and_writes_nothing() {
    let noon = rfc3339::parse("2026-01-01T12:00:00Z").unwrap();
    let clock = Arc::new(Doubted(Mutex::new(Ok(noon))));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("creditd.db");
    let settings = SqliteSettings::default();
    let sqlite = SqliteStore::open(&file, clock.clone(), settings).unwrap();
    let memory = MemoryStore::new(clock.clone());
    for store in [&memory as &dyn Store, &sqlite] {
        *clock.0.lock().unwrap() = Ok(noon);
        let hour = noon.plus_nanos(3_600_000_000_000);
        let granted = Action::Grant(GrantAction {
            credits: Credits::parse("10").unwrap(),
            expire_time: Some(hour),
            priority: 0,
            source: "".into(),
            services: Vec::new(),
            violations: FieldViolations::new(),
        });
        let grant = |id: &str| command("team-a", id, granted.clone());
        let first = store.write(grant("g")).await.unwrap();

        let not_believed = ClockNotBelieved {
            clock_time: noon.plus_nanos(7_200_000_000_000),
            believed_time: noon,
        };
        *clock.0.lock().unwrap() = Err(not_believed);
        let refusal = Err(StoreError::ClockNotBelieved(not_believed));
        assert_eq!(store.write(grant("g2")).await, refusal);
        let other = command("team-new", "g", granted.clone());
        assert_eq!(store.write(other).await, refusal);
        let again = store.write(grant("g")).await.unwrap();
        assert!(again.replayed);
        assert_eq!(again.entry, first.entry);
        let items = vec![command("team-a", "c", one_credit()), grant("g")];
        let answers = store.write_batch(items).await.unwrap();
        assert_eq!(answers.len(), 2);
        assert_eq!(answers[0].as_ref().err(), refusal.as_ref().err());
        assert!(answers[1].as_ref().unwrap().replayed);
        let read = async || {
            let account = store.account(name("team-a"), None).await.unwrap().account;
            (account.available().to_string(), account.version())
        };
        assert_eq!(read().await, ("10".to_owned(), 1));

        // It is right again, and an hour has passed.
        *clock.0.lock().unwrap() = Ok(hour);
        assert_eq!(read().await, ("0".to_owned(), 2));
    }
}
