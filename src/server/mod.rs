//! Composition: configuration, then store, use cases and services, then threads
//! and signals. The order in which a server starts and stops is written in
//! [`run`], a reason a line.

mod address;
mod banner;
mod call;
mod checked_clock;
mod config;
mod connection;
pub mod files;
mod heard;
mod keepalive;
mod listener;
mod prices;
mod reload;
pub use prices::offline as offline_prices;
mod shutdown;
mod stream;
mod system_clock;
pub mod telemetry;
mod tracker;
mod turn;
mod unix;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::app::App;
use crate::app::card_file::CardFileError;
use crate::app::prices::publish;
use crate::rpc::health::{Serving, State};
use crate::rpc::layer::{Counters, Observer, Settings, Totals, stack};
use crate::rpc::router::Router;
use crate::store::sqlite::{OpenError, SqliteStore};
use crate::store::{Clock, Store, Unavailable};

pub use address::{LISTEN_DEFAULT, PORT_DEFAULT, host_and_port};
pub use checked_clock::CheckedClock;
pub use config::{Config, ConfigError, FileConfig, Options};
pub use system_clock::SystemClock;
pub use telemetry::LogFormat;

/// How long calls in flight may go on where a thread is gone that they need.
const DEFECT_DRAIN_MAX: Duration = Duration::from_millis(500);

/// How often the clock is looked at where nobody asks for the time.
const CLOCK_CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// Why a server did not start, or did not go on, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A rate card is wrong.
    #[error(transparent)]
    RateCard(#[from] CardFileError),
    /// The rate cards do not go together, or do not go with the data file.
    #[error("{0}")]
    Prices(String),
    /// The data file cannot be used.
    #[error(transparent)]
    Data(#[from] OpenError),
    /// The data file cannot be read or written.
    #[error(
        "data file: {0}; see that no other program is writing to it and that the disk has room, then start again"
    )]
    Store(#[from] Unavailable),
    /// The address cannot be listened on.
    #[error("{0}")]
    Listen(String),
    /// The system refuses something that every server needs.
    #[error("{what}: {error}")]
    System {
        /// What.
        what: &'static str,
        /// Why.
        error: String,
    },
    /// A thread ended that every call needs.
    #[error(
        "a defect ended {0}: start the server again; what was answered is on disk; please report what the log says above"
    )]
    Defect(&'static str),
}

/// Runs a server until it is told to stop.
///
/// # Errors
/// Why it did not start, or why it ended by itself.
pub fn run(config: &Config) -> Result<(), StartError> {
    let system = |what| {
        move |error: &dyn std::fmt::Display| StartError::System {
            what,
            error: error.to_string(),
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .thread_name("rate-cards")
        .enable_all()
        .build()
        .map_err(|error| system("no runtime for the listener")(&error))?;
    // First of all SIGHUP, by which the system would end the process: cards that change
    // while the server starts are read again as soon as it runs.
    let hangup = reload::catch(runtime.handle())
        .map_err(|error| system("signals cannot be caught")(&error))?;
    // Believed until the data file says what it knows about time.
    let checked = Arc::new(CheckedClock::new(config.accept_clock));
    let clock: Arc<dyn Clock> = checked.clone();
    // A bad price is found before any file is touched.
    let cards = prices::load(&config.rate_cards)?;
    // So is a port in use. Nobody can connect yet.
    let socket = listener::reserve(config.listen)?;
    // The data file: its lock refuses a second server.
    let store = SqliteStore::open(&config.data, Arc::clone(&clock), config.store)?;
    let store = Arc::new(store);
    let writable = store.writable();
    // Prices that will be served are on disk before anybody sees their revision.
    let published = publish(store.as_ref(), &cards, config.revision_age_days_max);
    let catalog = runtime.block_on(published)?;
    let app = Arc::new(App::new(catalog, store.clone(), store, clock));
    let reload = reload::Reload {
        config: Arc::new(config.clone()),
        app: Arc::clone(&app),
    };
    // Health says NOT_SERVING until everything below stands.
    let (state, health) = watch::channel(State {
        serving: Serving::No,
        writable: *checked.watch().borrow(),
    });
    let router = Router::new(&app, health, config.watchers_max)
        .map_err(|error| system("reflection cannot be built")(&error))?;
    let counters = Arc::new(Counters::default());
    let observer: Arc<dyn Observer> = counters.clone();
    let layers = stack(&Settings {
        calls_max: config.calls_max,
        deadline_max: config.deadline_max,
        log_calls: config.log_calls,
        observer,
    });
    let service = layers.service(router);

    // The threads that serve, before the first connection can come.
    let workers = worker::start(config, &service)?;
    let outcome = runtime.block_on(async {
        // Signals are caught before anybody is told that the server runs.
        let signals = shutdown::Signals::catch()
            .map_err(|error| system("signals cannot be caught")(&error))?;
        // Last of all the listener: who can connect can be served.
        let listener = listener::listen(socket, config.listen)?;
        let unix = config
            .listen_unix
            .as_deref()
            .map(unix::listen)
            .transpose()?;
        state.send_modify(|state| state.serving = Serving::Yes);
        banner::print(&listener, config, &app);
        // Serves until a signal, then drains; returns when all is done.
        let serve = listener::serve((listener, unix), &workers, config, signals, &state);
        // Health says what the ledger says about its disk, and whether the clock is believed. Where a thread is gone that every
        // call needs, only a new start helps: whoever supervises the server sees it end.
        let gone = tokio::select! {
            () = serve => return Ok(()),
            () = follow(writable, &checked, &state) => "the thread that writes the data file",
            never = reload.run(hangup) => match never {},
            () = workers.one_gone() => "a thread that serves",
        };
        state.send_modify(|state| state.serving = Serving::No);
        // Whoever waits for an answer hears that there is none.
        workers.drain();
        state.send_modify(|state| state.serving = Serving::Gone);
        let _ = tokio::time::timeout(DEFECT_DRAIN_MAX, workers.drained()).await;
        Err(StartError::Defect(gone))
    });
    workers.join();
    // Rate cards that are being read are finished with: nobody else has the store then.
    drop(runtime);
    if outcome.is_ok() {
        let Totals {
            started,
            handled,
            refused,
            cancelled,
        } = counters.totals();
        tracing::info!(started, handled, refused, cancelled, "stopped");
    }
    // The store is dropped with the last use case: its writer finishes and closes the file.
    drop(service);
    drop(app);
    outcome
}

/// Tells health whether the ledger can write, for as long as it has a writer. A ledger whose
/// clock is not believed cannot.
async fn follow(
    mut writable: watch::Receiver<bool>,
    clock: &CheckedClock,
    state: &watch::Sender<State>,
) {
    let mut believed = clock.watch();
    loop {
        let can_write = *writable.borrow_and_update() && *believed.borrow_and_update();
        state.send_if_modified(|state| {
            std::mem::replace(&mut state.writable, can_write) != can_write
        });
        let changed = tokio::select! {
            changed = writable.changed() => changed,
            changed = believed.changed() => changed,
            () = tokio::time::sleep(CLOCK_CHECK_INTERVAL) => {
                // Also where nobody asks for the time a jump is noticed.
                clock.now();
                Ok(())
            }
        };
        if changed.is_err() {
            return;
        }
    }
}
