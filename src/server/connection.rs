//! One connection: HTTP/2 with its limits, by hyper, until its peer or the server ends it.
//!
//! The connection and its calls are one task, so that no call has to cross over to another
//! one: they are polled in a `FuturesUnordered`, in the order in which they came or were
//! woken. That is done for a time slice of a millisecond, then the thread's other connections
//! are polled: without that, one connection with heavy calls would block all of them.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::{Request, Response};
use hyper::server::conn::http2::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::sleep;
use tower::Service;

use super::body::{Reply, Replying, RequestBody};
use super::lingering::LingeringClose;
use super::tracker::{Generations, Tracker};
use super::worker::Phase;
use crate::rpc::layer::{REFLECTION_MAX, ReplyBody};

/// A connection without a call for so long is closed, politely: its peer can connect again.
const FIRST_CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// What a reply may take to leave, beyond the longest call.
const REPLY_GRACE: Duration = Duration::from_secs(5);
/// How long a peer without open calls has to close after GOAWAY; it is checked twice.
const IDLE_GRACE: Duration = Duration::from_millis(500);
/// After so long without a frame of the peer it is sent a ping.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(60);
/// And has so long to acknowledge it.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Most calls at once on one connection.
const STREAMS_MAX: u32 = 1_024;
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

/// How long calls are polled before the thread's other connections are.
const TIME_SLICE_NANOS: u64 = 1_000_000;

/// Serves a connection to its end.
pub(super) async fn serve<I, S>(
    io: I,
    service: S,
    mut phase: watch::Receiver<Phase>,
    deadline_max: Duration,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<RequestBody>, Response = Response<ReplyBody>, Error = Infallible>
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    let tracker = Arc::new(Tracker::default());
    let (io, activity) = LingeringClose::new(io);
    let calls = Calls::new();
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
    let service = ConnectionService {
        service: Arc::new(Mutex::new(service)),
        tracker: Arc::clone(&tracker),
    };
    let http = builder.serve_connection(TokioIo::new(io), service);
    let mut http = std::pin::pin!(http);
    let _end = EndWithConnection(calls.clone());
    let mut first_call = std::pin::pin!(sleep(FIRST_CALL_TIMEOUT));
    // A reply must have left within twice the longest time of a call.
    let mut unread = std::pin::pin!(async {
        tokio::select! {
            () = outlived(&tracker.calls, deadline_max) => {}
            () = outlived(&tracker.reflections, REFLECTION_MAX) => {}
        }
    });
    let mut idle = std::pin::pin!(sleep(IDLE_GRACE));
    let mut was_idle = false;
    // Set when there are to be no further calls; those under way are finished.
    let mut draining = false;
    loop {
        tokio::select! {
            biased;
            () = stopping(&mut phase), if !draining => {}
            ended = poll_fn(|context| {
                match http.as_mut().poll(context) {
                    Poll::Ready(ended) => Poll::Ready(ended),
                    Poll::Pending => {
                        calls.poll(context);
                        Poll::Pending
                    }
                }
            }) => {
                // That a peer breaks the protocol or goes away is no error of the server.
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            () = first_call.as_mut(), if !draining && !first_call.is_elapsed() => {
                if tracker.has_called() {
                    continue;
                }
                tracing::debug!("a connection without a call is closed");
            }
            () = unread.as_mut() => {
                tracing::warn!(calls = tracker.open(), "a connection was closed: its peer does not read its replies");
                return;
            }
            () = idle.as_mut(), if draining => {
                // A peer without open calls that does not close its side is cut.
                let is_idle = tracker.open() == 0 && calls.is_empty() && !activity.waits_for_peer();
                if was_idle && is_idle {
                    return;
                }
                was_idle = is_idle;
                idle.set(sleep(IDLE_GRACE));
                continue;
            }
        }
        draining = true;
        http.as_mut().graceful_shutdown();
        idle.set(sleep(IDLE_GRACE));
    }
}

/// Waits until the server drains, or has ended.
async fn stopping(phase: &mut watch::Receiver<Phase>) {
    let _ = phase.wait_for(|phase| *phase != Phase::Serving).await;
}

/// Waits until a call has been open for longer than it may take, twice.
async fn outlived(open: &Generations, call_max: Duration) {
    loop {
        sleep(call_max.saturating_add(REPLY_GRACE)).await;
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
}

impl<S> hyper::service::Service<Request<hyper::body::Incoming>> for ConnectionService<S>
where
    S: Service<Request<RequestBody>, Response = Response<ReplyBody>, Error = Infallible>,
{
    type Response = Response<Reply>;
    type Error = Infallible;
    type Future = Replying<S>;

    fn call(&self, request: Request<hyper::body::Incoming>) -> Self::Future {
        let open = self.tracker.begin(request.uri().path());
        let request = request.map(RequestBody::new);
        Replying::new(request, &self.service, open)
    }
}

/// The calls of a connection, from their requests to the end of their replies. hyper puts
/// them here.
#[derive(Clone)]
struct Calls {
    open: Arc<Mutex<FuturesUnordered<Isolated>>>,
    slice: Arc<TimeSlice>,
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Calls {
    fn execute(&self, call: F) {
        self.lock().push(Isolated {
            call: Box::pin(call),
            slice: Arc::clone(&self.slice),
        });
    }
}

impl Calls {
    fn new() -> Self {
        Self {
            open: Arc::default(),
            slice: Arc::new(TimeSlice::new()),
        }
    }

    /// hyper's connection and its calls are polled one after the other: there is never a wait.
    fn lock(&self) -> MutexGuard<'_, FuturesUnordered<Isolated>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Polls the calls that can go on, for a slice. Where any ended, or some are left, the
    /// connection is polled again: there are replies to send.
    fn poll(&self, context: &mut Context<'_>) {
        let mut open = self.lock();
        if open.is_empty() {
            return;
        }
        self.slice.begin();
        let mut has_ended = false;
        while !self.slice.is_over()
            && let Poll::Ready(Some(())) = open.poll_next_unpin(context)
        {
            has_ended = true;
        }
        match (self.slice.is_over(), has_ended) {
            (true, _) => wake_after_others(context),
            (false, true) => context.waker().wake_by_ref(),
            (false, false) => {}
        }
    }
}

/// Drops the calls of a connection that ends. They hold hyper's clones of what they are in, and
/// would keep each other.
struct EndWithConnection(Calls);

impl Drop for EndWithConnection {
    fn drop(&mut self) {
        let open = std::mem::take(&mut *self.0.lock());
        drop(open);
    }
}

/// A call that is polled within its connection's time slice. A panic is its own: it ends by a
/// reset of its stream.
struct Isolated {
    call: Pin<Box<dyn Future<Output = ()> + Send>>,
    slice: Arc<TimeSlice>,
}

impl Future for Isolated {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.slice.is_over() {
            // A FuturesUnordered polls all that are ready, however long that takes.
            wake_after_others(context);
            return Poll::Pending;
        }
        let call = this.call.as_mut();
        let polled = catch_unwind(AssertUnwindSafe(|| call.poll(context)));
        this.slice.note();
        polled.unwrap_or_else(|_| {
            tracing::error!("a defect while a reply was sent; the panic is logged beside it");
            Poll::Ready(())
        })
    }
}

/// Wakes whoever polls after the runtime has polled the other tasks and its sockets. A task
/// that wakes itself is polled many times before the runtime looks at its sockets again.
fn wake_after_others(context: &mut Context<'_>) {
    let yielded = std::pin::pin!(tokio::task::yield_now());
    // Its first poll asks for the second one, and that is all of it.
    let _ = yielded.poll(context);
}

/// How long calls may be polled before the thread's other connections are.
struct TimeSlice {
    base: Instant,
    /// When it ends, in nanoseconds after `base`.
    end: AtomicU64,
    is_over: AtomicBool,
}

impl TimeSlice {
    fn new() -> Self {
        Self {
            base: Instant::now(),
            end: AtomicU64::new(0),
            is_over: AtomicBool::new(true),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.base.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn begin(&self) {
        let end = self.now().saturating_add(TIME_SLICE_NANOS);
        self.end.store(end, Ordering::Relaxed);
        self.is_over.store(false, Ordering::Relaxed);
    }

    /// A call was polled; whether the slice is over is decided then alone, since the clock
    /// costs as much as a short poll.
    fn note(&self) {
        if self.now() > self.end.load(Ordering::Relaxed) {
            self.is_over.store(true, Ordering::Relaxed);
        }
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}
