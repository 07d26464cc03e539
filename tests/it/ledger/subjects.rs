//! What is asked: the model, and the real service over each kind of store, in this
//! process and with a clock of the test.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use creditd::app::App;
use creditd::domain::Timestamp;
use creditd::rpc::LedgerApi;
use creditd::rpc::health::{Serving, State};
use creditd::rpc::pb::creditd::v1 as pb;
use creditd::rpc::pb::creditd::v1::ledger_service_server::LedgerService as _;
use creditd::store::sqlite::{SqliteSettings, SqliteStore};
use creditd::store::{Clock, Store as RealStore};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tonic::{Request, Response, Status};

use super::call::{BEGINNING, Call, Nanos, Outcome, Reply, SECOND, Subject, ledger_time};
use super::cards;
use crate::model::Model;
use crate::support::memory::MemoryStore;
use crate::support::refusal::Refusal;

/// Makes a ledger in which nothing happened yet, whose clock stands at
/// [`BEGINNING`].
pub type Factory = fn() -> Box<dyn Subject>;

/// The stores under a real ledger.
#[derive(Clone, Copy, Debug)]
pub enum Store {
    Memory,
    Sqlite,
    /// SQLite with next to nothing in memory.
    Crowded,
}

impl Store {
    pub const ALL: [Self; 3] = [Self::Memory, Self::Sqlite, Self::Crowded];

    pub fn factory(self) -> Factory {
        match self {
            Self::Memory => || Box::new(Served::new(Memory::default())),
            Self::Sqlite => || {
                let settings = SqliteSettings::default();
                Box::new(Served::new(Sqlite::new(settings)))
            },
            Self::Crowded => || Box::new(Served::new(Sqlite::new(CROWDED))),
        }
    }
}

/// A store that keeps next to nothing in memory, so that it has to read from its
/// file what it forgot.
const CROWDED: SqliteSettings = SqliteSettings {
    accounts_max: 1,
    request_hours: 72,
    request_days_credits: 90,
    request_filter_bytes_max: 64,
    request_run_length: 16,
};

/// How the server stands all the time.
const STATE: State = State {
    serving: Serving::Yes,
    writable: true,
};

/// The model, asked like a server.
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
        self.last = ledger_time(self.clock, self.last) + call.time_before();
        self.model.call(&call, self.last)
    }

    fn set_clock(&mut self, now: Nanos) {
        self.clock = now;
    }

    fn restart(&mut self) {}
}

/// A clock that says what it was told to.
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

/// Where a store keeps what it keeps.
trait Keeper {
    fn open(&self, clock: Arc<dyn Clock>) -> Arc<dyn RealStore>;
}

/// Nowhere: what it has stays with the store, which a restart keeps.
#[derive(Default)]
struct Memory(OnceLock<Arc<MemoryStore>>);

impl Keeper for Memory {
    fn open(&self, clock: Arc<dyn Clock>) -> Arc<dyn RealStore> {
        let store = self.0.get_or_init(|| Arc::new(MemoryStore::new(clock)));
        Arc::clone(store) as Arc<dyn RealStore>
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

impl Keeper for Sqlite {
    fn open(&self, clock: Arc<dyn Clock>) -> Arc<dyn RealStore> {
        let file = self.directory.path().join("creditd.db");
        Arc::new(SqliteStore::open(&file, clock, self.settings).unwrap())
    }
}

/// The service as the wire reaches it, over a store.
struct Served<K> {
    keeper: K,
    clock: Arc<TestClock>,
    runtime: Runtime,
    /// None only while it restarts.
    api: Option<LedgerApi>,
}

impl<K: Keeper> Served<K> {
    fn new(keeper: K) -> Self {
        let clock = Arc::new(TestClock::at(BEGINNING));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let api = Some(serve(&keeper, &clock));
        Self {
            keeper,
            clock,
            runtime,
            api,
        }
    }
}

fn serve(keeper: &impl Keeper, clock: &Arc<TestClock>) -> LedgerApi {
    let clock: Arc<dyn Clock> = Arc::clone(clock) as Arc<dyn Clock>;
    let store = keeper.open(Arc::clone(&clock));
    store.serve_cards(&cards::kept()).unwrap();
    let app = Arc::new(App::new(cards::catalog(), store, clock));
    // Nobody watches here.
    let (_, state) = tokio::sync::watch::channel(STATE);
    LedgerApi::new(app, state, 1)
}

impl<K: Keeper> Subject for Served<K> {
    fn call(&mut self, call: Call) -> Outcome {
        let api = self.api.as_ref().unwrap();
        let outcome = self.runtime.block_on(ask(api, call));
        outcome.map_err(|status| Refusal::of(&status))
    }

    fn set_clock(&mut self, now: Nanos) {
        *self.clock.0.lock().unwrap() = moment(now);
    }

    fn restart(&mut self) {
        // The store is let go of before it is opened again.
        self.api = None;
        self.api = Some(serve(&self.keeper, &self.clock));
    }
}

async fn ask(api: &LedgerApi, call: Call) -> Result<Reply, Status> {
    Ok(match call {
        Call::Grant(body) => Reply::Grant(inner(api.grant(Request::new(body)).await)?),
        Call::Charge(body) => Reply::Charge(inner(api.charge(Request::new(body)).await)?),
        Call::BatchCharge(body) => {
            let reply = inner(api.batch_charge(Request::new(body)).await)?;
            Reply::BatchCharge(items(reply))
        }
        Call::Refund(body) => Reply::Refund(inner(api.refund(Request::new(body)).await)?),
        Call::Hold(body) => Reply::Hold(inner(api.hold(Request::new(body)).await)?),
        Call::ExtendHold(body) => {
            Reply::ExtendHold(inner(api.extend_hold(Request::new(body)).await)?)
        }
        Call::SettleHold(body) => {
            Reply::SettleHold(inner(api.settle_hold(Request::new(body)).await)?)
        }
        Call::ReleaseHold(body) => {
            Reply::ReleaseHold(inner(api.release_hold(Request::new(body)).await)?)
        }
        Call::RevokeGrant(body) => {
            Reply::RevokeGrant(inner(api.revoke_grant(Request::new(body)).await)?)
        }
        Call::GetHold(body) => Reply::GetHold(inner(api.get_hold(Request::new(body)).await)?),
        Call::ListHolds(body) => Reply::ListHolds(inner(api.list_holds(Request::new(body)).await)?),
        Call::ListEntries(body) => {
            Reply::ListEntries(inner(api.list_entries(Request::new(body)).await)?)
        }
        Call::GetBalance(body) => {
            Reply::GetBalance(inner(api.get_balance(Request::new(body)).await)?)
        }
    })
}

fn inner<T>(reply: Result<Response<T>, Status>) -> Result<T, Status> {
    reply.map(Response::into_inner)
}

/// The results of a batch, whose count of failures must be right.
fn items(reply: pb::BatchChargeResponse) -> Vec<Result<pb::ChargeResponse, Refusal>> {
    use pb::batch_charge_result::Result as Item;
    let results: Vec<_> = reply
        .results
        .into_iter()
        .map(|item| match item.result.expect("each item has a result") {
            Item::Charge(reply) => Ok(reply),
            Item::Error(status) => Err(Refusal::of_pb(&status)),
        })
        .collect();
    let failed = results.iter().filter(|result| result.is_err()).count();
    assert_eq!(reply.failed_count, i32::try_from(failed).unwrap());
    results
}
