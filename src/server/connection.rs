//! One connection: HTTP/2 with its limits, until its peer or the server ends it.
//!
//! Everything about it runs in one task. A turn takes up the calls that have come,
//! does what can be done at once, and lets other connections of the thread have theirs:
//! one that is busy does not keep them waiting. Replies leave together when the next
//! turn begins.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use h2::RecvStream;
use h2::server::{Builder, SendResponse};
use http::{Request, Response};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tower::Service;

use super::call::{Call, RequestBody};
use super::keepalive::{Heard, KeepAlive};
use super::stream::Stream;
use super::tracker::Tracker;
use super::worker::Phase;
use crate::rpc::layer::Held;

/// A peer that says nothing for so long after it connected is let go.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(10);
/// And one that has not made a call for so long, politely: it can connect again.
const FIRST_CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// What a reply may take to leave, beyond the longest call.
const REPLY_GRACE: Duration = Duration::from_secs(5);
/// How long an idle peer has to go when it was told to.
const IDLE_GRACE: Duration = Duration::from_millis(500);
/// Most calls at once on one connection.
const STREAMS_MAX: u32 = 1_024;
/// Most calls that are taken up in one turn.
const TURN_CALLS_MAX: usize = 256;
/// How long a turn may last, but for what a few calls take more.
const TURN_MAX: Duration = Duration::from_millis(1);
/// After so many calls it is looked how long the turn has lasted.
const TURN_STEP: usize = 4;
/// Largest header block of a call.
const HEADER_BYTES_MAX: u32 = 16 * 1_024;
/// How much of one message may be under way before it is read.
const STREAM_WINDOW_BYTES: u32 = 1_024 * 1_024;
/// The same for all of a connection's messages.
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1_024 * 1_024;
/// How much of a reply may wait in the connection's own buffer.
const SEND_BUFFER_BYTES_MAX: usize = 400 * 1_024;
/// Streams that this side had to reset; a peer that causes more is let go.
const RESET_STREAMS_MAX: usize = 1_024;

/// Serves a connection to its end.
pub(super) async fn serve<S>(
    stream: Stream,
    service: S,
    mut phase: watch::Receiver<Phase>,
    deadline_max: Duration,
) where
    S: Service<Request<RequestBody>, Response = Response<Held>, Error = Infallible>,
{
    tokio::select! {
        ready = timeout(FIRST_BYTE_TIMEOUT, stream.readable()) => match ready {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        },
        () = stopping(&mut phase) => return,
    }
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buffer_size(SEND_BUFFER_BYTES_MAX)
        .max_local_error_reset_streams(Some(RESET_STREAMS_MAX));
    let (stream, heard) = Heard::new(stream);
    let mut http = tokio::select! {
        shaken = timeout(FIRST_CALL_TIMEOUT, builder.handshake(stream)) => match shaken {
            Ok(Ok(http)) => http,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a connection that is no HTTP/2");
                return;
            }
            Err(_) => return,
        },
        () = stopping(&mut phase) => return,
    };
    let tracker = Arc::new(Tracker::default());
    let mut connection = Connection {
        keep_alive: KeepAlive::new(http.ping_pong(), heard),
        http,
        service,
        tracker: Arc::clone(&tracker),
        came: VecDeque::new(),
        waiting: FuturesUnordered::new(),
    };

    let first_call = sleep(FIRST_CALL_TIMEOUT);
    let mut first_call = std::pin::pin!(first_call);
    // A reply must have left its call's deadline and as much time again after it.
    let turn_length = deadline_max.saturating_add(REPLY_GRACE);
    let mut turn = std::pin::pin!(sleep(turn_length));
    loop {
        tokio::select! {
            biased;
            () = stopping(&mut phase) => break,
            () = connection.ended() => return,
            () = first_call.as_mut(), if !first_call.is_elapsed() => {
                if !tracker.called() {
                    tracing::debug!("a connection without a call is let go");
                    break;
                }
            }
            () = turn.as_mut() => {
                if tracker.next_turn() {
                    tracing::warn!(calls = tracker.open(), "a connection was closed: its peer does not read its replies");
                    return;
                }
                turn.set(sleep(turn_length));
            }
        }
    }
    // No further calls; those under way are finished.
    connection.http.graceful_shutdown();
    loop {
        // A peer that has nothing to wait for, and does not go, is not waited for.
        match timeout(IDLE_GRACE, connection.ended()).await {
            Err(_) if tracker.open() > 0 => {}
            Ok(()) | Err(_) => return,
        }
    }
}

/// Waits until the server stops, or is gone.
async fn stopping(phase: &mut watch::Receiver<Phase>) {
    let _ = phase.wait_for(|phase| *phase != Phase::Serving).await;
}

/// A call that waits for something.
type Waiting<F> = Pin<Box<Call<F, Held>>>;

/// A connection and its calls.
struct Connection<S: Service<Request<RequestBody>>> {
    http: h2::server::Connection<Heard<Stream>, Bytes>,
    service: S,
    tracker: Arc<Tracker>,
    keep_alive: KeepAlive,
    /// Calls that came and were not taken up yet.
    came: VecDeque<(Request<RecvStream>, SendResponse<Bytes>)>,
    /// Calls whose work or whose reply waits for something.
    waiting: FuturesUnordered<Waiting<S::Future>>,
}

impl<S> Connection<S>
where
    S: Service<Request<RequestBody>, Response = Response<Held>, Error = Infallible>,
{
    /// Serves until the connection has ended.
    async fn ended(&mut self) {
        poll_fn(|context| self.poll_turn(context)).await;
    }

    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // Reads all that is there, and sends the replies of the turn before.
        while self.came.len() < TURN_CALLS_MAX {
            match self.http.poll_accept(context) {
                Poll::Ready(Some(Ok(call))) => self.came.push_back(call),
                Poll::Ready(Some(Err(error))) => {
                    // A peer that breaks the protocol or goes away is its own affair.
                    tracing::debug!(%error, "a connection ended early");
                    return Poll::Ready(());
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        let mut moved = self.take_up(context);
        while let Poll::Ready(Some(())) = self.waiting.poll_next_unpin(context) {
            moved = true;
        }
        if moved {
            // There are replies to send, and perhaps more calls: after the others' turn.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.keep_alive.poll_gone(context)
    }

    /// Begins the calls that came, for as long as a turn may last. Whether there were any.
    fn take_up(&mut self, context: &mut Context<'_>) -> bool {
        let begun = Instant::now();
        let mut count = 0_usize;
        while let Some((request, respond)) = self.came.pop_front() {
            let open = self.tracker.begin(request.uri().path());
            let work = self.service.call(request.map(RequestBody::new));
            let mut call = Box::pin(Call::new(work, respond, open));
            if call.as_mut().poll(context).is_pending() {
                self.waiting.push(call);
            }
            count = count.saturating_add(1);
            if count.is_multiple_of(TURN_STEP) && begun.elapsed() > TURN_MAX {
                break;
            }
        }
        count > 0
    }
}
