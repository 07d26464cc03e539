//! The threads that serve: one single-threaded runtime each. A connection stays
//! with its thread, and a new one goes to the thread that has the fewest.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use http::{Request, Response};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::Service;

use super::StartError;
use super::body::RequestBody;
use super::certificate;
use super::concurrency::Concurrency;
use super::connection::{self, Around};
use super::lines::{ConnectionLines, Kind};
use super::live::Live;
use super::stream::{StdStream, Stream};
use super::tls::{HANDSHAKE_TIMEOUT, Tls};
use crate::app::access::Access;
use crate::app::certificates::Certificate;
use crate::failpoint;
use crate::rpc::layer::{Observe, OfConnection, Panicked, ReplyBody};
use crate::rpc::peer::{Peer, PeerAddress};

/// A connection on which nothing has come for so long is closed.
pub const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a drain counts the connections that are left.
const DRAIN_POLL_INTERVAL: Duration = Duration::from_millis(5);
/// Accepted connections that may wait for their thread.
const ACCEPTED_MAX: usize = 1_024;

/// After so many polls of connections the runtime polls its sockets, also where some of its
/// connections always have work.
const EVENT_INTERVAL: u32 = 8;
/// Before each of those polls the runtime checks its remote queue, by which answers of the
/// ledger come. By tokio's default it would after 31 polls: an overloaded thread would then refuse
/// calls while those that it has accepted wait for answers that are there.
const GLOBAL_QUEUE_INTERVAL: u32 = 1;

/// How far the server is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It serves.
    Serving,
    /// Each connection finishes its calls.
    Draining,
    /// All connections are cut.
    Ended,
}

/// All threads.
pub(super) struct Workers {
    phase: watch::Sender<Phase>,
    /// Whether one of them has ended by a panic.
    one_panicked: watch::Receiver<bool>,
    workers: Vec<Worker>,
    pub(super) lines: Arc<ConnectionLines>,
}

struct Worker {
    runtime: Handle,
    accepted: mpsc::Sender<Accepted>,
    connections: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

/// A connection on its way to its thread.
struct Accepted {
    stream: StdStream,
    peer: PeerAddress,
    /// What it speaks TLS with, if it does.
    tls: Option<Arc<Tls>>,
    counted: Counted,
}

/// Counts a connection for as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(connections: &Arc<AtomicUsize>) -> Self {
        connections.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(connections))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Workers {
    /// How many connections each thread has, to be read later.
    pub(super) fn connection_counts(&self) -> Vec<Arc<AtomicUsize>> {
        let workers = self.workers.iter();
        workers
            .map(|worker| Arc::clone(&worker.connections))
            .collect()
    }
}

/// Starts the threads.
pub(super) fn start<S>(
    (threads, limits): (usize, &Arc<Live>),
    access: &Arc<Access>,
    service: &Observe<S>,
) -> Result<Workers, StartError>
where
    S: Service<Request<RequestBody>, Response = Response<ReplyBody>, Error = Panicked>
        + OfConnection
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    let phase = watch::Sender::new(Phase::Serving);
    let (panicked, one_panicked) = watch::channel(false);
    let lines = Arc::new(ConnectionLines::new());
    let workers = (0..threads)
        .map(|number| {
            start_one(
                number,
                service.clone(),
                (phase.subscribe(), panicked.clone()),
                (Arc::clone(limits), Arc::clone(&lines), Arc::clone(access)),
            )
        })
        .collect::<std::io::Result<_>>()
        .map_err(|error| StartError::System {
            what: "no thread to serve with",
            error: error.to_string(),
        })?;
    Ok(Workers {
        phase,
        one_panicked,
        workers,
        lines,
    })
}

fn start_one<S>(
    number: usize,
    service: Observe<S>,
    (phase, panicked): (watch::Receiver<Phase>, watch::Sender<bool>),
    shared: (Arc<Live>, Arc<ConnectionLines>, Arc<Access>),
) -> std::io::Result<Worker>
where
    S: Service<Request<RequestBody>, Response = Response<ReplyBody>, Error = Panicked>
        + OfConnection
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .global_queue_interval(GLOBAL_QUEUE_INTERVAL)
        .build()?;
    let handle = runtime.handle().clone();
    let (accepted, queue) = mpsc::channel(ACCEPTED_MAX);
    let connections = Arc::new(AtomicUsize::new(0));
    let thread = std::thread::Builder::new()
        .name(format!("serve-{number}"))
        .spawn(move || {
            let serve = || runtime.block_on(run(queue, service, phase, shared));
            if catch_unwind(AssertUnwindSafe(serve)).is_err() {
                panicked.send_replace(true);
            }
            // Connections that are still open are cut when the runtime is dropped.
        })?;
    Ok(Worker {
        runtime: handle,
        accepted,
        connections,
        thread,
    })
}

async fn run<S>(
    mut queue: mpsc::Receiver<Accepted>,
    service: Observe<S>,
    mut phase: watch::Receiver<Phase>,
    (limits, lines, access): (Arc<Live>, Arc<ConnectionLines>, Arc<Access>),
) where
    S: Service<Request<RequestBody>, Response = Response<ReplyBody>, Error = Panicked>
        + OfConnection
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    let concurrency = Arc::new(Concurrency::default());
    let around = Around {
        limits,
        lines,
        concurrency: Arc::clone(&concurrency),
    };
    // It ends with the runtime. It is a task of its own, so that the runtime polls it in turn
    // with the connections, whose turns it measures.
    tokio::spawn(async move { concurrency.follow().await });
    let mut tasks = JoinSet::new();
    let each = phase.clone();
    loop {
        tokio::select! {
            // An error means that the sender was dropped: the same as Ended.
            _ = phase.wait_for(|phase| *phase == Phase::Ended) => return,
            Some(_) = tasks.join_next() => {}
            accepted = queue.recv() => {
                let Some(Accepted { stream, peer, tls, counted }) = accepted else { return };
                failpoint::pass("serve");
                let (service, phase) = (service.clone(), each.clone());
                let (around, access) = (around.clone(), Arc::clone(&access));
                tasks.spawn(async move {
                    match stream.into_stream() {
                        Ok(stream) => {
                            let mut to_wait = phase.clone();
                            if !first_byte(&stream, &mut to_wait).await {
                                return;
                            }
                            let known = |certificate| Peer { address: peer, certificate };
                            match tls {
                                None => {
                                    let service = service.of_connection(&known(None));
                                    connection::serve(stream, peer, service, phase, around).await;
                                }
                                Some(tls) => match handshake(stream, &tls, &mut to_wait).await {
                                    Ok(stream) => {
                                        let shown = shown_certificate(&stream, peer, &access, &around.lines);
                                        let service = service.of_connection(&known(shown));
                                        connection::serve(stream, peer, service, phase, around).await;
                                    }
                                    Err(error) if around.lines.permit(Kind::NoTls) => {
                                        tracing::warn!(%peer, %error, "a connection was closed: no TLS handshake with its peer");
                                    }
                                    Err(_) => {}
                                },
                            }
                        }
                        Err(error) if around.lines.permit(Kind::Failed) => {
                            tracing::warn!(%error, "a connection could not be taken");
                        }
                        Err(_) => {}
                    }
                    drop(counted);
                });
            }
        }
    }
}

/// Whether the peer sends anything, soon, and while the server takes calls.
async fn first_byte(stream: &Stream, phase: &mut watch::Receiver<Phase>) -> bool {
    tokio::select! {
        ready = tokio::time::timeout(FIRST_BYTE_TIMEOUT, stream.readable()) => matches!(ready, Ok(Ok(()))),
        _ = phase.wait_for(|phase| *phase != Phase::Serving) => false,
    }
}

/// TLS with the peer, soon, and while the server takes calls.
async fn handshake(
    stream: Stream,
    tls: &Tls,
    phase: &mut watch::Receiver<Phase>,
) -> io::Result<TlsStream<Stream>> {
    // What is loaded now, not when the connection was accepted.
    let accepting = TlsAcceptor::from(tls.config()).accept(stream);
    tokio::select! {
        stream = tokio::time::timeout(HANDSHAKE_TIMEOUT, accepting) => stream?,
        _ = phase.wait_for(|phase| *phase != Phase::Serving) => {
            Err(io::Error::other("the server stops"))
        }
    }
}

/// What the certificate says that the peer has shown, and that was verified.
fn shown_certificate(
    stream: &TlsStream<Stream>,
    peer: PeerAddress,
    access: &Access,
    lines: &ConnectionLines,
) -> Option<Arc<Certificate>> {
    let (_, session) = stream.get_ref();
    let leaf = session.peer_certificates()?.first()?;
    match certificate::read(leaf) {
        Ok(shown) => {
            let matches = access.clients().caller_of(&shown).is_some();
            if !matches && lines.permit(Kind::NoClient) {
                let names = certificate::describe(&shown);
                tracing::warn!(%peer, names, "a certificate matches no [[client]]: its calls need a key");
            }
            Some(Arc::new(shown))
        }
        Err(error) => {
            if lines.permit(Kind::NoClient) {
                tracing::warn!(%peer, %error, "a certificate cannot be read: its calls need a key");
            }
            None
        }
    }
}

impl Workers {
    /// Hands a connection to the thread that has the fewest.
    pub(super) fn serve(&self, stream: StdStream, peer: PeerAddress, tls: Option<Arc<Tls>>) {
        let least = self
            .workers
            .iter()
            .min_by_key(|worker| worker.connections.load(Ordering::Relaxed));
        if let Some(worker) = least
            // It counts from now on: the next connection may go to another thread.
            && worker
                .accepted
                .try_send(Accepted {
                    stream,
                    peer,
                    tls,
                    counted: Counted::new(&worker.connections),
                })
                .is_err()
            && self.lines.permit(Kind::Refused)
        {
            tracing::warn!("a connection was refused: its thread has too many to take up");
        }
    }

    /// Waits until one of the threads has ended by a panic.
    pub(super) async fn one_panicked(&self) {
        let mut panicked = self.one_panicked.clone();
        if panicked.wait_for(|panicked| *panicked).await.is_err() {
            // All threads have ended in order.
            std::future::pending::<()>().await;
        }
    }

    /// The number of a thread that does not come to a task of its own within so long.
    pub(super) async fn silent(&self, within: Duration) -> Option<usize> {
        let asked = self.workers.iter();
        let asked: Vec<_> = asked.map(|worker| worker.runtime.spawn(async {})).collect();
        let until = Instant::now().checked_add(within)?;
        for (number, answer) in asked.into_iter().enumerate() {
            let answer = tokio::time::timeout_at(until, answer).await;
            if !matches!(answer, Ok(Ok(()))) {
                return Some(number);
            }
        }
        None
    }

    /// How many connections there are.
    pub(super) fn connections(&self) -> usize {
        let count = |worker: &Worker| worker.connections.load(Ordering::Relaxed);
        self.workers
            .iter()
            .map(count)
            .fold(0, usize::saturating_add)
    }

    /// Lets each connection finish its calls.
    pub(super) fn drain(&self) {
        self.phase.send_replace(Phase::Draining);
    }

    /// Waits until there is no connection left.
    pub(super) async fn drained(&self) {
        while self.connections() > 0 {
            tokio::time::sleep(DRAIN_POLL_INTERVAL).await;
        }
    }

    /// Ends everything at once.
    pub(super) fn end(&self) {
        self.phase.send_replace(Phase::Ended);
    }

    /// Cuts all connections and waits for the threads.
    pub(super) fn join(self) {
        self.end();
        for worker in self.workers {
            drop(worker.accepted);
            if worker.thread.join().is_err() {
                tracing::error!("a thread that serves ended by a panic");
            }
        }
    }
}
