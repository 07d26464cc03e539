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
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use h2::RecvStream;
use h2::server::{Builder, SendResponse};
use http::{Request, Response};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tower::Service;

use super::call::{Call, Piece, RequestBody};
use super::heard::{Heard, Line};
use super::keepalive::KeepAlive;
use super::stream::Stream;
use super::tracker::Tracker;
use super::turn::{InTurns, Turn, after_the_others};
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
/// Largest header block that HTTP/2 takes in. It answers a larger one by itself, with HTTP's
/// status alone; calls are refused from an eighth of it on, with a reason.
const HEADER_BYTES_MAX: u32 = 128 * 1_024;
/// How much of one message may be under way before it is read.
const STREAM_WINDOW_BYTES: u32 = 1_024 * 1_024;
/// The same for all of a connection's messages.
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1_024 * 1_024;
/// How much of a reply may wait in the connection's own buffer.
const SEND_BUFFER_BYTES_MAX: usize = 400 * 1_024;
/// Streams that this side had to reset; a peer that causes more is let go.
const RESET_STREAMS_MAX: usize = 1_024;
/// Calls that were given up before they were taken up: all of a connection may be.
const STREAMS_PENDING_RESET_MAX: usize = 1_024;

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
        // Calls wait to be taken up, and their callers may give up meanwhile.
        .max_pending_accept_reset_streams(STREAMS_PENDING_RESET_MAX)
        .max_local_error_reset_streams(Some(RESET_STREAMS_MAX));
    let (stream, line) = Heard::new(stream);
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
    let connection = Connection {
        keep_alive: KeepAlive::new(http.ping_pong()),
        line: Arc::clone(&line),
        http,
        service,
        tracker: Arc::default(),
        came: VecDeque::new(),
        waiting: FuturesUnordered::new(),
        behind: false,
        moved: false,
    };

    until_its_end(connection, phase, deadline_max).await;
    line.linger().await;
}

/// Serves until the peer goes, has to go, or is let go.
async fn until_its_end<S>(
    mut connection: Connection<S>,
    mut phase: watch::Receiver<Phase>,
    deadline_max: Duration,
) where
    S: Service<Request<RequestBody>, Response = Response<Held>, Error = Infallible>,
{
    let tracker = Arc::clone(&connection.tracker);
    let mut first_call = std::pin::pin!(sleep(FIRST_CALL_TIMEOUT));
    // A reply must have left its call's deadline and as much time again after it.
    let turn_length = deadline_max.saturating_add(REPLY_GRACE);
    let mut turn = std::pin::pin!(sleep(turn_length));
    let mut idle = std::pin::pin!(sleep(IDLE_GRACE));
    let mut heard = 0;
    // Set when there are to be no further calls; those under way are finished.
    let mut leaving = false;
    loop {
        tokio::select! {
            biased;
            () = stopping(&mut phase), if !leaving => leaving = true,
            () = connection.ended() => return,
            () = first_call.as_mut(), if !leaving && !first_call.is_elapsed() => {
                if tracker.called() {
                    continue;
                }
                tracing::debug!("a connection without a call is let go");
                leaving = true;
            }
            () = turn.as_mut() => {
                if tracker.next_turn() {
                    tracing::warn!(calls = tracker.open(), "a connection was closed: its peer does not read its replies");
                    return;
                }
                turn.set(sleep(turn_length));
                continue;
            }
            () = idle.as_mut(), if leaving => {
                // A peer that has nothing to wait for, and neither goes nor says anything,
                // is not waited for.
                let before = std::mem::replace(&mut heard, connection.line.heard());
                if connection.is_idle() && heard == before {
                    return;
                }
                idle.set(sleep(IDLE_GRACE));
                continue;
            }
        }
        connection.http.graceful_shutdown();
        idle.set(sleep(IDLE_GRACE));
    }
}

/// Waits until the server stops, or is gone.
async fn stopping(phase: &mut watch::Receiver<Phase>) {
    let _ = phase.wait_for(|phase| *phase != Phase::Serving).await;
}

/// A call that waits for something.
type Waiting<F> = Pin<Box<InTurns<Call<F>>>>;

/// A connection and its calls.
struct Connection<S: Service<Request<RequestBody>>> {
    http: h2::server::Connection<Heard<Stream>, Piece>,
    service: S,
    tracker: Arc<Tracker>,
    line: Arc<Line<Stream>>,
    keep_alive: KeepAlive,
    /// Calls that came and were not taken up yet.
    came: VecDeque<(Request<RecvStream>, SendResponse<Piece>)>,
    /// Calls whose work or whose reply waits for something.
    waiting: FuturesUnordered<Waiting<S::Future>>,
    /// Whether the last turn left something for the next one.
    behind: bool,
    /// Whether the last turn did anything.
    moved: bool,
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
        self.moved = false;
        // Neither keeps the other waiting.
        let (taken_up, gone_on) = (self.take_up(context), self.go_on(context));
        self.behind = !(taken_up && gone_on);
        if self.moved {
            // There are replies to send, and perhaps more calls: after the others' turn.
            match self.behind {
                false => context.waker().wake_by_ref(),
                true => after_the_others(context),
            }
            return Poll::Pending;
        }
        self.keep_alive.poll_gone(self.line.heard(), context)
    }

    /// Begins the calls that came. Whether the turn had time for all of them.
    fn take_up(&mut self, context: &mut Context<'_>) -> bool {
        if self.came.is_empty() {
            return true;
        }
        let late = self.behind;
        let mut turn = Turn::begin();
        let mut left = TURN_CALLS_MAX;
        while let Some((request, mut respond)) = self.came.pop_front() {
            self.moved = true;
            // Who had to wait may have given up.
            if late && respond.poll_reset(context).is_ready() {
                continue;
            }
            let open = self.tracker.begin(request.uri().path());
            let work = self.service.call(request.map(RequestBody::new));
            let mut call = Box::pin(InTurns::new(Call::new(work, respond, open)));
            if call.as_mut().poll(context).is_pending() {
                self.waiting.push(call);
            }
            left = left.saturating_sub(1);
            turn.count();
            if turn.is_over() {
                return false;
            }
        }
        left > 0
    }

    /// Goes on with calls that waited for something. Whether the turn had time for all of
    /// them.
    fn go_on(&mut self, context: &mut Context<'_>) -> bool {
        if self.waiting.is_empty() {
            return true;
        }
        let mut moved = false;
        let had_time = Turn::go_on(|| {
            while let Poll::Ready(Some(())) = self.waiting.poll_next_unpin(context) {
                moved = true;
            }
        });
        self.moved |= moved || !had_time;
        had_time
    }

    /// Whether nobody waits for anything here.
    fn is_idle(&self) -> bool {
        let sent = self.tracker.open() == 0 && !self.line.is_full();
        !self.moved && self.came.is_empty() && sent
    }
}
