//! One connection: HTTP/2 with its limits, by hyper, until its peer or the server ends it.
//!
//! The connection and its calls are one task, so that no call has to cross over to another
//! one: they are polled in a `FuturesUnordered`, in the order in which they came or were
//! woken. That is done for a time slice of a millisecond, then the thread's other connections
//! are polled: without that, one connection with heavy calls would block all of them.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::{Request, Response};
use hyper::server::conn::http2::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tower::Service;

use super::body::{Holds, Reply, Replying, RequestBody};
use super::calls::Calls;
use super::concurrency::Concurrency;
use super::discard::Discards;
use super::frame_meter::FrameMeter;
use super::lifetime::{EndOfWatches, Over, over};
use super::lines::{ConnectionLines, Kind};
use super::lingering::LingeringClose;
use super::live::Live;
use super::stalls::{Stall, Stalls};
use super::stream_limit::StreamLimit;
use super::tracker::{Generations, Tracker};
use super::worker::Phase;
use crate::rpc::layer::{REFLECTION_MAX, ReplyBody};
use crate::rpc::peer::PeerAddress;

/// What a reply may take to leave, beyond the longest call.
pub const REPLY_GRACE: Duration = Duration::from_secs(5);
/// How long a peer without open calls has to close after GOAWAY; it is checked twice.
pub const IDLE_GRACE: Duration = Duration::from_millis(500);
/// So often it is checked at most where the socket is still busy: a peer that goes on sending, or
/// does not read, gets no longer.
pub const IDLE_CHECKS_MAX: u32 = 10;
/// After so long without a frame of the peer it is sent a ping.
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(60);
/// And has so long to acknowledge it.
pub const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Most calls at once on one connection. Its peer keeps the others until it has answers: a queue
/// there costs nobody else anything.
pub const STREAMS_MAX: u32 = 400;
/// Largest header block that HTTP/2 takes in. It answers a larger one by itself, with HTTP's
/// status alone; calls are refused from an eighth of it on, with a reason.
const HEADER_BYTES_MAX: u32 = 128 * 1_024;
/// How much of one message may be under way before it is read.
const STREAM_WINDOW_BYTES: u32 = 1_024 * 1_024;
/// The same for all of a connection's messages.
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1_024 * 1_024;
/// How much of a reply may wait in the connection's own buffer.
const SEND_BUFFER_BYTES_MAX: usize = 400 * 1_024;
/// Streams that the server had to reset; a peer that causes more is sent GOAWAY.
const RESET_STREAMS_MAX: usize = 1_024;
/// Calls that were given up before they were accepted: all of a connection may be.
const STREAMS_PENDING_RESET_MAX: usize = 1_024;

/// Nothing that began before GOAWAY takes longer.
fn drain_max(limits: &Live) -> Duration {
    let longest = limits.calls().deadline_max().max(REFLECTION_MAX);
    longest.saturating_add(REPLY_GRACE)
}

/// What the connections of a thread share.
#[derive(Clone)]
pub(super) struct Around {
    pub(super) limits: Arc<Live>,
    pub(super) lines: Arc<ConnectionLines>,
    pub(super) concurrency: Arc<Concurrency>,
}

/// What a connection's poll found.
enum Polled {
    Ended(hyper::Result<()>),
    Excess(&'static str),
    Stalled(Stall),
}

/// Serves a connection to its end.
pub(super) async fn serve<I, S>(
    io: I,
    peer: PeerAddress,
    service: S,
    phase: watch::Receiver<Phase>,
    Around {
        limits,
        lines,
        concurrency,
    }: Around,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<RequestBody>, Response = Response<ReplyBody>, Error = Infallible>
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    let tracker = Arc::new(Tracker::default());
    let (io, activity) = LingeringClose::new(io);
    let streams = StreamLimit::new(Arc::clone(&concurrency), Arc::clone(&tracker));
    let limited = streams.limited();
    let (io, meter) = FrameMeter::new(io, streams);
    let mut stalls = Stalls::new(meter.unfinished(), activity.clone());
    let calls = Calls::new();
    let discards = Discards::default();
    let watches = EndOfWatches::new();
    let service = ConnectionService {
        service: Arc::new(Mutex::new(service)),
        tracker: Arc::clone(&tracker),
        discards: discards.clone(),
        watches: watches.clone(),
    };
    let http = builder(&calls).serve_connection(TokioIo::new(io), service);
    let mut http = std::pin::pin!(http);
    let _end = EndWithConnection(calls.clone(), discards.clone());
    let mut events = events(phase, &tracker, &calls, &limits);
    events.push(Box::pin(
        async move { match limited.wake(concurrency).await {} },
    ));
    let mut check = std::pin::pin!(sleep(IDLE_GRACE));
    // Set when there are to be no further calls; those under way are finished.
    let mut draining: Option<Drain> = None;
    loop {
        let end_within = tokio::select! {
            biased;
            found = poll_fn(|context| {
                if let Poll::Ready(ended) = http.as_mut().poll(context) {
                    return Poll::Ready(Polled::Ended(ended));
                }
                calls.poll(context);
                discards.poll(context);
                if let Some(drain) = &draining {
                    meter.set_bounded(drain.is_idle(&tracker, &calls));
                }
                if let Some(frames) = meter.take_excess() {
                    return Poll::Ready(Polled::Excess(frames));
                }
                stalls.poll(context).map(Polled::Stalled)
            }) => match found {
                Polled::Ended(ended) => {
                    // That a peer breaks the protocol or goes away is no error of the server.
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection ended early");
                    }
                    return;
                }
                Polled::Stalled(stall) => {
                    let calls = tracker.open();
                    if lines.permit(Kind::Stalled) {
                        tracing::warn!(%peer, ?stall, calls, "a connection was cut: its peer does not go on");
                    }
                    return;
                }
                Polled::Excess(frames) => {
                    if lines.permit(Kind::Excess) {
                        tracing::warn!(%peer, frames, "a connection was ended: its peer sent more frames beside calls than it may");
                    }
                    // It is read as one that has ended, after GOAWAY.
                    meter.end();
                    REPLY_GRACE
                }
            },
            Some(event) = events.next() => match event {
                Event::Stopping | Event::Over(_) if draining.is_some() => continue,
                Event::Stopping => drain_max(&limits),
                Event::Over(over) => {
                    tracing::debug!(%peer, ?over, "a connection is over");
                    if over != Over::OldAndBusy {
                        meter.skip_round_trip();
                    }
                    watches.end();
                    drain_max(&limits)
                }
                Event::Unread => {
                    if lines.permit(Kind::Unread) {
                        tracing::warn!(%peer, calls = tracker.open(), "a connection was closed: its peer does not read its replies");
                    }
                    return;
                }
            },
            () = check.as_mut(), if draining.is_some() => {
                if let Some(drain) = &mut draining {
                    if drain.is_over(&tracker, &calls, activity.is_waiting()) {
                        return;
                    }
                    if drain.idle_checks > 0 {
                        // What nobody reads holds up nothing.
                        discards.close();
                    }
                }
                check.set(sleep(IDLE_GRACE));
                continue;
            }
        };
        draining = Some(Drain::new(end_within));
        http.as_mut().graceful_shutdown();
        check.set(sleep(IDLE_GRACE));
    }
}

/// HTTP/2 with its limits.
fn builder(calls: &Calls) -> Builder<Calls> {
    let mut builder = Builder::new(calls.clone());
    builder
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
        // Calls wait to be accepted, and their callers may give up meanwhile.
        .max_pending_accept_reset_streams(STREAMS_PENDING_RESET_MAX)
        .max_local_error_reset_streams(RESET_STREAMS_MAX);
    builder
}

/// A connection whose peer was told to go.
struct Drain {
    /// When it is cut, whatever is open.
    end: Option<Instant>,
    /// Checks in a row that found no call.
    idle_checks: u32,
}

impl Drain {
    fn new(end_within: Duration) -> Self {
        Self {
            end: Instant::now().checked_add(end_within),
            idle_checks: 0,
        }
    }

    fn is_idle(&self, tracker: &Tracker, calls: &Calls) -> bool {
        tracker.open() == 0 && calls.is_empty()
    }

    /// Checks whether the connection is to be cut.
    fn is_over(&mut self, tracker: &Tracker, calls: &Calls, waits_for_peer: bool) -> bool {
        self.idle_checks = match self.is_idle(tracker, calls) {
            true => self.idle_checks.saturating_add(1),
            false => 0,
        };
        // A peer without open calls that does not close its side is cut.
        let is_idle = match waits_for_peer {
            true => self.idle_checks >= IDLE_CHECKS_MAX,
            false => self.idle_checks >= 2,
        };
        is_idle || self.end.is_some_and(|end| Instant::now() >= end)
    }
}

/// What happens to a connection by itself.
enum Event {
    /// The server drains, or has ended.
    Stopping,
    Over(Over),
    /// A reply has not left within twice the longest time of a call.
    Unread,
}

type Events<'a> = FuturesUnordered<Pin<Box<dyn Future<Output = Event> + Send + 'a>>>;

/// They are polled when they are woken, and not with each poll of the connection.
fn events<'a>(
    mut phase: watch::Receiver<Phase>,
    tracker: &'a Tracker,
    calls: &'a Calls,
    limits: &'a Live,
) -> Events<'a> {
    let events = Events::new();
    events.push(Box::pin(async move {
        let _ = phase.wait_for(|phase| *phase != Phase::Serving).await;
        Event::Stopping
    }));
    events.push(Box::pin(async move {
        Event::Over(over(limits, tracker, calls).await)
    }));
    for (open, is_reflection) in [
        (&tracker.calls, false),
        (&tracker.reflections, true),
        (&tracker.messages, false),
    ] {
        let call_max = move || match is_reflection {
            true => REFLECTION_MAX,
            false => limits.calls().deadline_max(),
        };
        events.push(Box::pin(async move {
            outlived(open, call_max).await;
            Event::Unread
        }));
    }
    events
}

/// Waits until a call has been open for longer than it may take, twice. How long that is may change
/// meanwhile.
async fn outlived(open: &Generations, call_max: impl Fn() -> Duration) {
    loop {
        sleep(call_max().saturating_add(REPLY_GRACE)).await;
        if open.next_generation() {
            return;
        }
    }
}

/// The service of one connection.
struct ConnectionService<S> {
    /// The calls of a connection are polled by one task: there is never a wait.
    service: Arc<Mutex<S>>,
    tracker: Arc<Tracker>,
    discards: Discards,
    watches: EndOfWatches,
}

impl<S> hyper::service::Service<Request<hyper::body::Incoming>> for ConnectionService<S>
where
    S: Service<Request<RequestBody>, Response = Response<ReplyBody>, Error = Infallible>,
{
    type Response = Response<Reply>;
    type Error = Infallible;
    type Future = Replying<S>;

    fn call(&self, request: Request<hyper::body::Incoming>) -> Self::Future {
        let begun = self.tracker.begin(request.uri().path());
        let holds = Holds::new(begun, &self.watches, &self.tracker.messages);
        let request = request.map(|body| RequestBody::new(body, &self.discards));
        Replying::new(request, &self.service, holds)
    }
}

/// Drops what is left of a connection that ends.
struct EndWithConnection(Calls, Discards);

impl Drop for EndWithConnection {
    fn drop(&mut self) {
        self.1.close();
        self.0.clear();
    }
}
