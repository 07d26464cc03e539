//! The ledgers under test: the model, and the service over each kind of store, in this
//! process and with a clock that the test sets.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use creditd::app::App;
use creditd::domain::{Credits, Timestamp};
use creditd::rpc::health::{Serving, State};
use creditd::rpc::pb::creditd::v1::ledger_service_client::LedgerServiceClient;
use creditd::rpc::router::Router;
use creditd::server::files::{self, Archiving};
use creditd::store::cards::RateCardStore;
use creditd::store::sqlite::{SqliteSettings, SqliteStore};
use creditd::store::{Clock, Store as RealStore};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::cards;
use super::time::{BEGINNING, Nanos, SECOND, ledger_time, time_before};
use crate::model::{Archived, Model};
use crate::support::call::{Call, Outcome};
use crate::support::keys::router;
use crate::support::memory::MemoryStore;
use crate::support::rate_cards::MemoryRateCards;
use crate::support::refusal::Refusal;
use crate::support::wait_until;

/// Something that has a ledger.
pub trait Subject {
    /// Calls it.
    fn call(&mut self, call: Call) -> Outcome;

    /// Sets its clock.
    fn set_clock(&mut self, now: Nanos);

    /// Stops it, and starts it again over what it stored.
    fn restart(&mut self);

    /// Stops it, archives what was written before a time, and starts it again. What is archived of
    /// each account; nothing where it cannot archive, or there is nothing as old.
    fn archive(&mut self, _before: Nanos, _now: Nanos) -> Vec<(String, Archived)> {
        Vec::new()
    }
}

/// Makes an empty ledger whose clock is at [`BEGINNING`].
pub type Factory = fn() -> Box<dyn Subject>;

/// The stores under the service.
#[derive(Clone, Copy, Debug)]
pub enum Store {
    Memory,
    /// The same, where it tells settings that accounts may not have any more.
    OldSettings,
    Sqlite,
    /// SQLite with caches so small that it reads nearly everything from its file.
    SmallCaches,
}

impl Store {
    pub const ALL: [Self; 4] = [
        Self::Memory,
        Self::OldSettings,
        Self::Sqlite,
        Self::SmallCaches,
    ];

    pub fn factory(self) -> Factory {
        match self {
            Self::Memory => || Box::new(Served::new(Memory::new(MemoryStore::new))),
            Self::OldSettings => {
                || Box::new(Served::new(Memory::new(MemoryStore::with_old_settings)))
            }
            Self::Sqlite => || {
                let settings = SqliteSettings::default();
                Box::new(Served::new(Sqlite::new(settings)))
            },
            Self::SmallCaches => || Box::new(Served::new(Sqlite::new(SMALL_CACHES))),
        }
    }
}

const SMALL_CACHES: SqliteSettings = SqliteSettings {
    accounts_max: 1,
    request_hours: 72,
    request_days_credits: 90,
    request_filter_bytes_max: 64,
    request_run_length: 16,
};

/// The health of the server, which does not change here.
const STATE: State = State {
    serving: Serving::Yes,
    writable: true,
};

/// The model with a clock.
pub struct Modelled {
    model: Model,
    clock: Nanos,
    last: Nanos,
}

impl Modelled {
    pub fn factory() -> Box<dyn Subject> {
        Box::new(Self {
            model: Model::new(cards::for_model()),
            clock: BEGINNING,
            last: 0,
        })
    }
}

impl Subject for Modelled {
    fn call(&mut self, call: Call) -> Outcome {
        self.last = ledger_time(self.clock, self.last) + time_before(&call);
        self.model.call(&call, self.last)
    }

    fn set_clock(&mut self, now: Nanos) {
        self.clock = now;
    }

    fn restart(&mut self) {}
}

/// A clock that the test sets.
struct TestClock(Mutex<Timestamp>);

impl TestClock {
    fn at(time: Nanos) -> Self {
        Self(Mutex::new(moment(time)))
    }
}

fn moment(time: Nanos) -> Timestamp {
    let seconds = i64::try_from(time.div_euclid(SECOND)).unwrap();
    let nanos = u32::try_from(time.rem_euclid(SECOND)).unwrap();
    Timestamp::new(seconds, nanos).unwrap()
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// The ledger's store and that of its rate cards.
type Stores = (Arc<dyn RealStore>, Arc<dyn RateCardStore>);

/// What outlives a restart of the service.
trait Storage {
    fn open(&self, clock: Arc<dyn Clock>) -> Stores;

    fn archive(&self, _before: Timestamp, _now: Timestamp) -> Vec<(String, Archived)> {
        Vec::new()
    }
}

/// The store itself: it is in memory, and outlives the service.
struct Memory {
    store: OnceLock<Arc<MemoryStore>>,
    make: fn(Arc<dyn Clock>) -> MemoryStore,
}

impl Memory {
    fn new(make: fn(Arc<dyn Clock>) -> MemoryStore) -> Self {
        Self {
            store: OnceLock::new(),
            make,
        }
    }
}

impl Storage for Memory {
    fn open(&self, clock: Arc<dyn Clock>) -> Stores {
        let store = self.store.get_or_init(|| Arc::new((self.make)(clock)));
        (store.clone(), Arc::new(MemoryRateCards::default()))
    }
}

/// A file in a directory of its own.
struct Sqlite {
    directory: TempDir,
    settings: SqliteSettings,
}

impl Sqlite {
    /// In memory where the system has a place for that: these tests are about what
    /// the ledger answers, and a hundred thousand writes to a disk take minutes.
    fn new(settings: SqliteSettings) -> Self {
        let in_memory = Path::new("/dev/shm");
        let directory = match TempDir::new_in(in_memory) {
            Ok(directory) => directory,
            Err(_) => TempDir::new().unwrap(),
        };
        Self {
            directory,
            settings,
        }
    }
}

impl Storage for Sqlite {
    fn open(&self, clock: Arc<dyn Clock>) -> Stores {
        let file = self.directory.path().join("creditd.db");
        // The store before this one is dropped, but a thread that answered for it may end a
        // moment later, and has the file open until then.
        let mut opened = None;
        wait_until("the data file is released", || {
            match SqliteStore::open(&file, Arc::clone(&clock), self.settings) {
                Ok(store) => opened = Some(Arc::new(store)),
                Err(error) => assert!(error.to_string().contains("is using it"), "{error}"),
            }
            opened.is_some()
        });
        let store = opened.unwrap();
        (store.clone(), store)
    }

    fn archive(&self, before: Timestamp, now: Timestamp) -> Vec<(String, Archived)> {
        let directory = self.directory.path();
        let file = directory.join("creditd.db");
        let to = |number: usize| directory.join(format!("archive-{number}.db"));
        let made = (1..).take_while(|number| to(*number).exists()).count();
        let order = Archiving {
            before,
            to: to(made + 1),
            request_hours: 1,
            request_days_credits: 0,
        };
        let clock = TestClock(Mutex::new(now));
        let mut archived = Ok(false);
        wait_until("the data file is released", || {
            match files::archive(&file, &order, &clock, &mut |_, _, _| {}) {
                Ok(_) => archived = Ok(true),
                Err(error) if error.contains("is using it") => return false,
                Err(error) if error.contains("is from before") => archived = Ok(false),
                Err(error) => archived = Err(error),
            }
            true
        });
        if !archived.unwrap() {
            return Vec::new();
        }
        let all: Vec<_> = (1..=made + 1).map(to).collect();
        let report = files::audit_with_archives(&file, &all, None, &mut |_, _| {}).unwrap();
        assert_eq!(report.findings, Vec::<String>::new());
        openings(&file)
    }
}

/// What the file says of archived entries.
fn openings(file: &Path) -> Vec<(String, Archived)> {
    let file = rusqlite::Connection::open(file).unwrap();
    let mut statement = file
        .prepare(
            "SELECT a.name, o.archive_id, o.entry_id, o.create_time, o.state, o.available, o.held,
                    e.kind NOT IN ('extend', 'update')
               FROM openings o JOIN accounts a USING (account_id)
               JOIN entries e ON e.position = o.position",
        )
        .unwrap();
    let rows = statement.query_map([], |row| {
        let state: String = row.get(4)?;
        let state: serde_json::Value = serde_json::from_str(&state).unwrap();
        let position = |id: &serde_json::Value| usize::try_from(id.as_i64().unwrap()).unwrap() - 1;
        let open = state["holds"].as_array().into_iter().flatten();
        let amount = |nanos: i64| Credits::from_nanos(nanos).unwrap().to_string();
        let archived = Archived {
            number: row.get(1)?,
            entries: usize::try_from(row.get::<_, i64>(2)?).unwrap(),
            time: Nanos::from(row.get::<_, i64>(3)?),
            holds: usize::try_from(state["last"][2].as_i64().unwrap()).unwrap(),
            open_holds: open.map(|hold| position(&hold["id"])).collect(),
            available: amount(row.get(5)?),
            held: amount(row.get(6)?),
            ends_with_entry: row.get(7)?,
        };
        Ok((row.get(0)?, archived))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// The services over a store, without a network between them and the client.
struct Served<S> {
    storage: S,
    clock: Arc<TestClock>,
    runtime: Runtime,
    /// None while it restarts.
    client: Option<LedgerServiceClient<Router>>,
}

impl<S: Storage> Served<S> {
    fn new(storage: S) -> Self {
        let clock = Arc::new(TestClock::at(BEGINNING));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let client = Some(serve(&storage, &clock, &runtime));
        Self {
            storage,
            clock,
            runtime,
            client,
        }
    }
}

fn serve(
    storage: &impl Storage,
    clock: &Arc<TestClock>,
    runtime: &Runtime,
) -> LedgerServiceClient<Router> {
    let clock: Arc<dyn Clock> = Arc::clone(clock) as Arc<dyn Clock>;
    let (store, rate_cards) = storage.open(Arc::clone(&clock));
    let published = rate_cards.publish(cards::stored());
    runtime.block_on(published).unwrap();
    let app = Arc::new(App::new(cards::catalog(), store, rate_cards, clock));
    // Nobody watches here.
    let (_, state) = tokio::sync::watch::channel(STATE);
    LedgerServiceClient::new(router(&app, state))
}

impl<S: Storage> Subject for Served<S> {
    fn call(&mut self, call: Call) -> Outcome {
        let client = self.client.as_mut().unwrap();
        let outcome = self.runtime.block_on(call.send(client));
        outcome.map_err(|status| Refusal::of(&status))
    }

    fn set_clock(&mut self, now: Nanos) {
        *self.clock.0.lock().unwrap() = moment(now);
    }

    fn restart(&mut self) {
        // A data file is closed before it is opened again.
        self.client = None;
        self.client = Some(serve(&self.storage, &self.clock, &self.runtime));
    }

    fn archive(&mut self, before: Nanos, now: Nanos) -> Vec<(String, Archived)> {
        self.client = None;
        let archived = self.storage.archive(moment(before), moment(now));
        self.client = Some(serve(&self.storage, &self.clock, &self.runtime));
        archived
    }
}
