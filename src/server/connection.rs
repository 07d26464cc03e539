//! One connection: HTTP/2 with its limits, until its peer or the server ends it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tower::Service;

use super::tracker::{Tracked, Tracker};
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
/// A silent peer is asked whether it lives.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
/// And let go where it does not answer.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Most calls at once on one connection.
const STREAMS_MAX: u32 = 1_024;
/// Largest header block of a call.
const HEADER_BYTES_MAX: u32 = 16 * 1_024;
/// How much of one message may be under way before it is read.
const STREAM_WINDOW_BYTES: u32 = 1_024 * 1_024;
/// The same for all of a connection's messages.
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1_024 * 1_024;

/// Serves a connection to its end.
pub(super) async fn serve<S>(
    stream: TcpStream,
    service: S,
    mut phase: watch::Receiver<Phase>,
    deadline_max: Duration,
) where
    S: Service<Request<Incoming>, Response = Response<Held>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    tokio::select! {
        ready = timeout(FIRST_BYTE_TIMEOUT, stream.readable()) => match ready {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        },
        () = stopping(&mut phase) => return,
    }
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    let tracker = Arc::new(Tracker::default());
    let service = Tracked::new(service, Arc::clone(&tracker));
    let connection =
        builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = std::pin::pin!(connection);

    let first_call = sleep(FIRST_CALL_TIMEOUT);
    let mut first_call = std::pin::pin!(first_call);
    // A reply must have left its call's deadline and as much time again after it.
    let turn_length = deadline_max.saturating_add(REPLY_GRACE);
    let mut turn = std::pin::pin!(sleep(turn_length));
    loop {
        tokio::select! {
            outcome = connection.as_mut() => {
                if let Err(error) = outcome {
                    // A peer that breaks the protocol or goes away is its own affair.
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            () = stopping(&mut phase) => break,
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
    connection.as_mut().graceful_shutdown();
    loop {
        // A peer that has nothing to wait for, and does not go, is not waited for.
        match timeout(IDLE_GRACE, connection.as_mut()).await {
            Err(_) if tracker.open() > 0 => {}
            Ok(_) | Err(_) => return,
        }
    }
}

/// Waits until the server stops, or is gone.
async fn stopping(phase: &mut watch::Receiver<Phase>) {
    let _ = phase.wait_for(|phase| *phase != Phase::Serving).await;
}
