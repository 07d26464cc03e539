//! One connection: HTTP/2 with its limits, until its peer or the server ends it.

use std::convert::Infallible;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tonic::body::Body;
use tower::Service;

use super::worker::Phase;

/// A peer that says nothing for so long after it connected is let go.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(10);
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
pub(super) async fn serve<S>(stream: TcpStream, service: S, mut phase: watch::Receiver<Phase>)
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    tokio::select! {
        ready = tokio::time::timeout(FIRST_BYTE_TIMEOUT, stream.readable()) => match ready {
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
    let connection =
        builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = std::pin::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = stopping(&mut phase) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        // A peer that breaks the protocol or goes away is its own affair.
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Waits until the server stops, or is gone.
async fn stopping(phase: &mut watch::Receiver<Phase>) {
    let _ = phase.wait_for(|phase| *phase != Phase::Serving).await;
}
