//! Composition: configuration, then store, use cases and services, then threads
//! and signals. The order in which a server starts and stops is written in
//! [`run`], a reason a line.

mod banner;
mod call;
mod config;
mod connection;
pub mod files;
mod heard;
mod keepalive;
mod listener;
mod prices;
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

use tokio::sync::watch;

use crate::app::App;
use crate::app::card_file::CardFileError;
use crate::rpc::health::{Serving, State};
use crate::rpc::layer::{Counters, Observer, Settings, stack};
use crate::rpc::router::Router;
use crate::store::sqlite::{OpenError, SqliteStore};
use crate::store::{Clock, Store, Unavailable};

pub use config::{Config, ConfigError, FileConfig, Options};
pub use connection::HEADER_BYTES_MAX;
pub use system_clock::SystemClock;
pub use telemetry::LogFormat;

/// Why a server did not start, and what to do about it.
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
}

/// Runs a server until it is told to stop.
///
/// # Errors
/// Why it did not start.
pub fn run(config: &Config) -> Result<(), StartError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // A bad price is found before any file is touched.
    let cards = prices::load(&config.rate_cards)?;
    // So is a port in use. Nobody can connect yet.
    let socket = listener::reserve(config.listen)?;
    // The data file: its lock refuses a second server.
    let store = SqliteStore::open(&config.data, Arc::clone(&clock), config.store)?;
    let store: Arc<dyn Store> = Arc::new(store);
    let writable = store.writable();
    // Prices that will be served are on disk before anybody sees their revision.
    let catalog = prices::catalog(cards, store.as_ref(), config.revision_age_days_max)?;
    let app = Arc::new(App::new(catalog, store, clock));
    // Health says NOT_SERVING until everything below stands.
    let (state, health) = watch::channel(State {
        serving: Serving::No,
        writable: true,
    });
    let system = |what| {
        move |error: &dyn std::fmt::Display| StartError::System {
            what,
            error: error.to_string(),
        }
    };
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

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| system("no runtime for the listener")(&error))?;
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
        // Health says what the ledger says about its disk.
        tokio::select! {
            () = serve => {}
            () = follow(writable, &state) => {}
        }
        Ok(())
    });
    workers.join();
    if outcome.is_ok() {
        let (started, handled, refused) = counters.totals();
        tracing::info!(started, handled, refused, "stopped");
    }
    // The store is dropped with the last use case: its writer finishes and closes the file.
    drop(service);
    drop(app);
    outcome
}

/// Tells health whether the ledger can write, for ever.
async fn follow(mut writable: watch::Receiver<bool>, state: &watch::Sender<State>) {
    loop {
        let can_write = *writable.borrow_and_update();
        state.send_if_modified(|state| {
            std::mem::replace(&mut state.writable, can_write) != can_write
        });
        if writable.changed().await.is_err() {
            // Its writer has ended: only a new start brings it back.
            tracing::error!("the ledger has stopped writing; restart the server");
            state.send_modify(|state| state.writable = false);
            std::future::pending::<()>().await;
        }
    }
}
