//! Composition: configuration, then store, use cases and services, then threads. A server
//! is a value: [`Server::bind`] makes all that it needs, in the order in which that is
//! written there, and [`Server::run`] serves until it is told to stop. Neither knows the
//! process that it is in: signals, the log and the banner's place are the command line's.

mod address;
mod admin;
mod banner;
mod body;
mod calls;
mod certificate;
mod checked_clock;
mod clients;
mod concurrency;
mod config;
mod config_file;
mod connection;
mod discard;
pub mod files;
mod follow_ledger;
mod frame_meter;
mod inputs;
mod keys;
mod lifetime;
mod lines;
mod lingering;
mod listener;
mod live;
mod metrics;
mod option_table;
mod options;
mod price_changes;
mod prices;
mod reload;
#[cfg(any(test, fuzzing))]
pub(crate) use frame_meter::fuzz as fuzz_frames;
pub use prices::offline as offline_prices;
mod stalls;
mod start_error;
mod stream;
mod stream_limit;
mod supervisor;
mod system_clock;
pub mod telemetry;
mod tls;
mod traces;
mod tracker;
mod unix;
mod watchdog;
mod worker;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, watch};
use tokio_stream::{Stream, StreamExt as _};

use crate::app::App;
use crate::app::access::Access;
use crate::app::card_file::{NoBases, extend_others};
use crate::app::keys::Keys;
use crate::app::prices::{publish_with_default, published};
use crate::app::reload::{RELOADS_MAX, ReloadRequest};
use crate::domain::pricing::Catalog;
use crate::rpc::health::{Serving, State};
use crate::rpc::layer::{
    CallLines, Counters, LimitLayer, Observer, Settings, Totals, stack_limited,
};
use crate::rpc::router::Router;
use crate::store::sqlite::SqliteStore;
use crate::store::{Clock, Store};

use self::admin::{Admin, Answers};
use self::live::Live;
use self::metrics::{Metrics, Sources};
use self::reload::Reload;
use self::start_error::system;
use self::tls::Tls;
use self::traces::Traces;
use self::unix::Listening;
use self::worker::Workers;

/// Limits of connections that no option sets.
pub mod limits {
    pub use super::admin::{
        ADMIN_CONNECTION_AGE_MAX, ADMIN_CONNECTIONS_MAX, ADMIN_HEADER_BYTES_MAX,
        ADMIN_HEADER_TIMEOUT,
    };
    pub use super::concurrency::{ROUND_TARGET, STREAMS_MIN, WINDOW};
    pub use super::connection::{
        IDLE_CHECKS_MAX, IDLE_GRACE, KEEP_ALIVE_INTERVAL, KEEP_ALIVE_TIMEOUT, REPLY_GRACE,
        STREAMS_MAX,
    };
    pub use super::discard::{BODY_BYTES_MAX, BODY_TIMEOUT};
    pub use super::frame_meter::{
        BUDGET_FRAMES_MAX, FRAMES_PER_CALL, FRAMES_PER_SECOND, LATE_BYTES_MAX, SENT_BYTES_PER_FRAME,
    };
    pub use super::lifetime::FIRST_CALL_TIMEOUT;
    pub use super::stalls::{FRAME_TIMEOUT, WRITE_TIMEOUT};
    pub use super::tls::HANDSHAKE_TIMEOUT;
    pub use super::traces::limits::{
        EXPORT_INTERVAL, EXPORT_TIMEOUT, GROUPS_SENT_KNOWN, LINKS_MAX, PER_MILLION_MAX,
        QUEUE_CALLS_MAX, SPANS_PER_EXPORT,
    };
    pub use super::worker::FIRST_BYTE_TIMEOUT;
}

pub use address::{LISTEN_DEFAULT, PORT_DEFAULT, host_and_port};
pub use checked_clock::CheckedClock;
pub use clients::CLIENT_KEYS;
pub use config::{Config, ConfigError, REQUEST_ID_DAYS_CREDITS, REQUEST_ID_HOURS};
pub use inputs::{Checked, check, one_line};
pub use option_table::{OptionRow, Taken};
pub use options::{OPTIONS, Options, Switch};
pub use start_error::StartError;
pub use supervisor::Supervisor;
pub use system_clock::SystemClock;
pub use telemetry::{LogFormat, LogLevel};
pub use tls::{TlsError, TlsFiles};

/// How long calls in flight may go on after a panic ended a thread that they need.
const DEFECT_DRAIN_MAX: Duration = Duration::from_millis(500);

/// What a running server is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Stop; the name is for the log. The first one drains, the second one cuts what is left.
    Stop(&'static str),
    /// Read the configuration again, and all that it names.
    Reload,
}

/// A server that listens. It serves no call before [`Server::run`].
pub struct Server {
    config: Config,
    limits: Arc<Live>,
    address: SocketAddr,
    clock: Arc<CheckedClock>,
    app: Arc<App>,
    keys: Arc<Keys>,
    store: Arc<dyn Store>,
    health: watch::Sender<State>,
    counters: Arc<Counters>,
    lines: Arc<CallLines>,
    traces: Option<Traces>,
    workers: Workers,
    tls: Option<Arc<Tls>>,
    admin: Option<Admin>,
    reloads: mpsc::Receiver<ReloadRequest>,
    level: Option<LogLevel>,
    supervisor: Supervisor,
    listeners: (TcpListener, Option<Listening>),
}

/// What [`Server::bind`] has made before it listens.
struct Parts {
    config: Config,
    limits: Arc<Live>,
    clock: Arc<CheckedClock>,
    app: Arc<App>,
    keys: Arc<Keys>,
    store: Arc<dyn Store>,
    health: watch::Sender<State>,
    counters: Arc<Counters>,
    lines: Arc<CallLines>,
    traces: Option<Traces>,
    workers: Workers,
    tls: Option<Arc<Tls>>,
    admin: Option<Admin>,
    reloads: mpsc::Receiver<ReloadRequest>,
    socket: tokio::net::TcpSocket,
}

impl Parts {
    /// Files are read and locked and threads are started, so this blocks.
    fn new(config: Config) -> Result<Self, StartError> {
        // The clock is believed until the data file says what it knows about time.
        let checked = Arc::new(CheckedClock::new(config.accept_clock));
        let clock: Arc<dyn Clock> = checked.clone();
        // A bad price is found before any file is touched, unless it can be told only by what
        // was published: a card that is extended.
        let cards = match prices::load(&config.rate_cards, &NoBases) {
            Ok(cards) => Some(cards),
            Err(_) if config.data.exists() && extend_others(&config.rate_cards) => None,
            Err(error) => return Err(error),
        };
        // So is a certificate that cannot be used.
        let tls = config.tls.clone().map(Tls::load).transpose()?.map(Arc::new);
        // And keys.
        let admin_keys = keys::read_admin_keys(&config)?;
        // And a port in use. It does not listen yet.
        let socket = listener::reserve(config.listen, "--listen")?;
        let admin_socket = (config.admin_listen)
            .map(|address| listener::reserve(address, "--admin-listen"))
            .transpose()?;
        // The data file: its lock refuses a second server.
        let store = SqliteStore::open(&config.data, Arc::clone(&clock), config.store)?;
        let store = Arc::new(store);
        let cards = match cards {
            Some(cards) => cards,
            None => {
                let none = Catalog::empty("", None);
                let published = published(store.as_ref(), &none);
                let published = Handle::current().block_on(published)?;
                prices::load(&config.rate_cards, &published)?
            }
        };
        // Prices that will be served are on disk before anybody sees their revision.
        let default = config.default_rate_card.as_deref();
        let days_max = config.revision_age_days_max;
        let catalog = publish_with_default(store.as_ref(), &cards, days_max, default);
        let catalog = Handle::current().block_on(catalog)?;
        // Who may call, before anybody can.
        let calls_max = config.account_calls_per_second_max;
        let access = Access::new(config.authentication, clock.clone(), calls_max);
        let access = Arc::new(access);
        access.take_up_admin_keys(&admin_keys);
        clients::take_up(&config, &access);
        let keys = Keys::new(store.clone(), Arc::clone(&access), clock.clone());
        Handle::current().block_on(keys.take_up())?;
        if !access.is_required()
            && let Some(problem) = config.open_to_others()
        {
            return Err(StartError::Open(problem));
        }
        let keys = Arc::new(keys);
        let app = App::new(catalog, store.clone(), store.clone(), clock);
        let app = app.with_default_rate_card(default);
        let (reloads, reloads_asked) = mpsc::channel(RELOADS_MAX);
        let app = app.with_access(Arc::clone(&access)).with_reloads(reloads);
        let app = Arc::new(app);
        // Health says NOT_SERVING until the server runs.
        let (health, state) = watch::channel(State {
            serving: Serving::No,
            writable: *checked.watch().borrow(),
        });
        let router = Router::new(&app, Arc::clone(&keys), state, config.reflection)
            .map_err(|error| system("reflection cannot be built", &error))?;
        let counters = Arc::new(Counters::new(config.threads));
        let observer: Arc<dyn Observer> = counters.clone();
        let lines = Arc::new(CallLines::new(Instant::now()));
        let limits = Live::new(&config);
        let traces = Traces::start(&config, socket.local_addr().ok())?;
        let settings = Settings {
            limits: Arc::clone(limits.calls()),
            access: Arc::clone(&access),
            admission: app.clone(),
            observer,
            lines: Arc::clone(&lines),
            tracer: traces.as_ref().map(Traces::tracer),
        };
        let layer = LimitLayer::new(&settings);
        let budget = Arc::clone(layer.budget());
        let layers = stack_limited(&settings, layer);
        // The threads that serve, before the first connection can come.
        let workers = worker::start((config.threads, &limits), &access, &layers.service(router))?;
        let admin = match (config.admin_listen, admin_socket) {
            (Some(address), Some(socket)) => {
                let answers = Answers {
                    state: health.subscribe(),
                    metrics: Metrics::new(Sources {
                        counters: Arc::clone(&counters),
                        budget,
                        connections: workers.connection_counts(),
                        limits: Arc::clone(&limits),
                        state: health.subscribe(),
                        believed: checked.watch(),
                        store: store.clone(),
                        store_settings: config.store,
                        data: config.data.clone(),
                        tls: tls.clone(),
                        spans: traces.as_ref().map(Traces::counts).unwrap_or_default(),
                    }),
                };
                Some(Admin::start(socket, address, answers)?)
            }
            _ => None,
        };
        Ok(Self {
            config,
            limits,
            clock: checked,
            app,
            keys,
            store,
            health,
            counters,
            lines,
            traces,
            workers,
            tls,
            admin,
            reloads: reloads_asked,
            socket,
        })
    }
}

impl Server {
    /// Makes all that a server needs, and listens. Connections wait until it runs.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        let parts = tokio::task::spawn_blocking(|| Parts::new(config)).await;
        let parts = parts.map_err(|error| system("a defect ended the start", &error))??;
        // Last of all it listens: who can connect can be served.
        let listener = listener::listen(
            parts.socket,
            parts.config.listen,
            "--listen",
            listener::BACKLOG,
        )?;
        let unix = parts.config.listen_unix.as_deref();
        let unix = unix.map(unix::listen).transpose()?;
        Ok(Self {
            address: listener.local_addr().unwrap_or(parts.config.listen),
            config: parts.config,
            limits: parts.limits,
            clock: parts.clock,
            app: parts.app,
            keys: parts.keys,
            store: parts.store,
            health: parts.health,
            counters: parts.counters,
            lines: parts.lines,
            traces: parts.traces,
            workers: parts.workers,
            tls: parts.tls,
            admin: parts.admin,
            reloads: parts.reloads,
            level: None,
            supervisor: Supervisor::default(),
            listeners: (listener, unix),
        })
    }

    /// A reload sets the level of this log, too.
    #[must_use]
    pub fn with_log_level(self, level: LogLevel) -> Self {
        Self {
            level: Some(level),
            ..self
        }
    }

    /// Whoever started the process is told how it goes.
    #[must_use]
    pub fn with_supervisor(self, supervisor: Supervisor) -> Self {
        Self { supervisor, ..self }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where metrics and probes are served.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|admin| admin.address)
    }

    /// What a person reads at a start: where it listens, what it serves, what to try. Beside
    /// a log in JSON it is a line of that.
    #[must_use]
    pub fn banner(&self) -> String {
        banner::banner(self.address, &self.config, &self.app)
    }

    /// Serves until it is told to stop, then drains: connections take no further calls and
    /// end after their last one. Returns when all of them, the threads and the data file
    /// are closed. Where the signals end, it stops at once.
    ///
    /// # Errors
    /// Why it ended by itself.
    pub async fn run(self, signals: impl Stream<Item = Signal>) -> Result<Totals, StartError> {
        let mut signals = std::pin::pin!(signals.fuse());
        let (config, workers, health) = (self.config, self.workers, self.health);
        let (limits, tls) = (self.limits, self.tls);
        let admin = self.admin;
        let keys = self.keys;
        let reload_asked = Notify::new();
        health.send_modify(|state| state.serving = Serving::Yes);
        let supervisor = self.supervisor;
        let status = format!("listens on {}", self.address);
        supervisor.ready(&status);
        banner::log(self.address, &config, keys.access());
        if let Some(admin) = &admin {
            banner::log_admin(admin.address);
        }
        let reload = Reload {
            config,
            limits: Arc::clone(&limits),
            app: self.app,
            tls: tls.clone(),
            level: self.level,
            supervisor: (self.supervisor, status.clone()),
            observer: self.counters.clone(),
        };
        let mut end = None;
        let serve = async {
            let (listener, unix) = self.listeners;
            let stop = tokio::select! {
                stop = next_stop(&mut signals, &reload_asked) => stop,
                never = listener::accept((&listener, tls.as_ref()), unix.as_ref(), &workers, &limits) => match never {},
            };
            end = Instant::now().checked_add(limits.drain_max());
            tracing::info!(signal = stop, "stopping");
            supervisor.stopping(&format!("stops by {stop}: calls in flight finish"));
            // Checks and watches of health say NOT_SERVING before any connection closes.
            health.send_modify(|state| state.serving = Serving::No);
            // No further connections.
            drop((listener, unix));
            // Each connection takes no further calls and ends after its last one. Watches are
            // ended after that alone: who watches again at once is not let in first and cut then.
            workers.drain();
            health.send_modify(|state| state.serving = Serving::Ended);
            tokio::select! {
                () = workers.drained() => {}
                never = supervisor.extend() => match never {},
                () = tokio::time::sleep(limits.drain_max()) => {
                    tracing::warn!(connections = workers.connections(), "calls in flight were cut: --drain-ms-max is over");
                }
                stop = next_stop(&mut signals, &reload_asked) => {
                    end = None;
                    tracing::warn!(signal = stop, connections = workers.connections(), "calls in flight were cut: a second signal");
                }
            }
        };
        // Health follows the ledger's disk and whether the clock is believed. Where a panic
        // has ended a thread that every call needs, only a new start helps, so the server
        // ends, and its supervisor starts it again.
        let defect = tokio::select! {
            () = serve => None,
            () = follow_ledger::follow(self.store.writable(), &self.clock, &health) => Some("the thread that writes the data file"),
            never = reload.run(&reload_asked, self.reloads) => match never {},
            never = watchdog::watch(supervisor, &workers, &self.store) => match never {},
            never = follow_certificate(tls.as_ref()) => match never {},
            never = keys::follow(&keys) => match never {},
            never = lines::tell_of_others(&self.lines, &workers.lines) => match never {},
            () = workers.one_panicked() => Some("a thread that serves"),
        };
        if defect.is_some() {
            health.send_modify(|state| state.serving = Serving::No);
            // Calls that wait for an answer of that thread are refused.
            workers.drain();
            health.send_modify(|state| state.serving = Serving::Ended);
            let _ = tokio::time::timeout(DEFECT_DRAIN_MAX, workers.drained()).await;
        }
        // Probes are answered until all calls have ended. It reads the store, which is closed next.
        drop(admin);
        keys::note_uses(&keys).await;
        drop(keys);
        let store = self.store;
        let closed = tokio::task::spawn_blocking(move || {
            workers.join();
            // With the last use case its writer finishes and closes the file.
            drop(store);
        });
        if let Err(error) = closed.await {
            tracing::error!(%error, "a defect while the server closed");
        }
        if let Some(thread) = defect {
            return Err(StartError::Defect(thread));
        }
        self.lines.tell();
        if let Some(traces) = self.traces {
            // All calls have ended: what they left is sent in the rest of the time.
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            traces.stop(left.unwrap_or_default()).await;
        }
        let totals = self.counters.totals();
        let Totals {
            started,
            handled,
            refused,
            cancelled,
        } = totals;
        tracing::info!(started, handled, refused, cancelled, "stopped");
        Ok(totals)
    }
}

/// The name of the next Stop. A Reload meanwhile is passed on.
async fn next_stop(
    signals: &mut (impl Stream<Item = Signal> + Unpin),
    reload: &Notify,
) -> &'static str {
    loop {
        match signals.next().await {
            Some(Signal::Reload) => reload.notify_one(),
            Some(Signal::Stop(name)) => return name,
            None => return "the end of signals",
        }
    }
}

/// Follows the files of the certificate, where there is one.
async fn follow_certificate(tls: Option<&Arc<Tls>>) -> Infallible {
    match tls {
        Some(tls) => tls.follow().await,
        None => std::future::pending().await,
    }
}
