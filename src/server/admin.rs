//! The admin listener: metrics and probes over HTTP/1, for those who watch the server. It says
//! nothing of what is in the ledger, takes no request body, and asks nobody who they are.
//!
//! It has a thread of its own: a scrape delays no call, and a probe is answered while all
//! threads that serve are busy.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;

use super::metrics::{Format, Metrics};
use super::start_error::system;
use super::{StartError, listener};
use crate::rpc::health::State;
use crate::rpc::router::SERVICES;

/// Most connections; for one more the oldest is closed, so that nobody can keep probes out.
pub const ADMIN_CONNECTIONS_MAX: usize = 32;
/// Within so long the headers of a request must have come; a connection without one is closed.
pub const ADMIN_HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection is kept at most.
pub const ADMIN_CONNECTION_AGE_MAX: Duration = Duration::from_secs(600);
/// What the headers of a request may take.
pub const ADMIN_HEADER_BYTES_MAX: usize = 16 * 1_024;
const BACKLOG: u32 = 128;
const TEXT: &str = "text/plain; charset=utf-8";

/// What it answers from.
pub(super) struct Answers {
    pub(super) metrics: Metrics,
    pub(super) state: watch::Receiver<State>,
}

/// The listener's thread; it ends when this is dropped.
pub(super) struct Admin {
    pub(super) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Admin {
    /// Serves at the address that was reserved.
    pub(super) fn start(
        socket: TcpSocket,
        address: SocketAddr,
        answers: Answers,
    ) -> Result<Self, StartError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| system("no runtime for the admin listener", &error))?;
        // A socket belongs to the runtime in which it listens.
        let entered = runtime.enter();
        let listener = listener::listen(socket, address, "--admin-listen", BACKLOG)?;
        drop(entered);
        let address = listener.local_addr().unwrap_or(address);
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("admin".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        never = accept(&listener, Arc::new(answers)) => match never {},
                        // Its sender is dropped.
                        _ = stopped => {}
                    }
                });
            })
            .map_err(|error| system("no thread for the admin listener", &error))?;
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the admin listener ended by a panic");
        }
    }
}

async fn accept(listener: &TcpListener, answers: Arc<Answers>) -> Infallible {
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "the admin listener could not accept a connection");
                tokio::time::sleep(listener::NO_ROOM_PAUSE).await;
                continue;
            }
        };
        open.retain(|connection| !connection.is_finished());
        if open.len() >= ADMIN_CONNECTIONS_MAX
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        let answers = Arc::clone(&answers);
        let connection = tokio::spawn(async move {
            let serve = service_fn(move |request: Request<Incoming>| {
                let response = answers.answer(&request);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(ADMIN_HEADER_TIMEOUT)
                .max_buf_size(ADMIN_HEADER_BYTES_MAX)
                .serve_connection(TokioIo::new(stream), serve);
            // How it ends is the peer's affair.
            let _ = tokio::time::timeout(ADMIN_CONNECTION_AGE_MAX, connection).await;
        });
        open.push_back(connection.abort_handle());
    }
}

impl Answers {
    fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let is_read = [Method::GET, Method::HEAD].contains(request.method());
        let path = request.uri().path();
        match path {
            "/metrics" | "/livez" | "/readyz" if !is_read => {
                let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "use GET\n");
                let allowed = HeaderValue::from_static("GET, HEAD");
                refused.headers_mut().insert(ALLOW, allowed);
                refused
            }
            "/metrics" => self.metrics(request),
            "/livez" => text(StatusCode::OK, "ok\n"),
            "/readyz" => self.readiness(request.uri().query()),
            _ => text(
                StatusCode::NOT_FOUND,
                "here are /metrics, /livez and /readyz\n",
            ),
        }
    }

    fn metrics<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let accept = request.headers().get(ACCEPT);
        let accept = accept.and_then(|accept| accept.to_str().ok());
        let format = Format::accepted(accept.unwrap_or_default());
        match self.metrics.text(format) {
            Ok(metrics) => response(StatusCode::OK, format.content_type(), metrics),
            // Writing into memory does not fail.
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
        }
    }

    /// Whether all services serve, or the one that the query names.
    fn readiness(&self, query: Option<&str>) -> Response<Full<Bytes>> {
        let mut parts = query.unwrap_or_default().split('&');
        let asked = parts.find_map(|part| part.strip_prefix("service="));
        let services = SERVICES.iter();
        let services = services.filter(|service| asked.is_none_or(|name| name == service.name));
        let services: Vec<_> = services.collect();
        if services.is_empty() {
            let names: Vec<_> = SERVICES.iter().map(|service| service.name).collect();
            let names = names.join(", ");
            let unknown = format!("there is no such service; there are {names}\n");
            return text(StatusCode::NOT_FOUND, &unknown);
        }
        let state = *self.state.borrow();
        let not_serving = services.iter();
        let not_serving = not_serving.filter(|service| !state.serves(service.writes));
        let lines: Vec<_> = not_serving
            .map(|service| format!("{} is not serving\n", service.name))
            .collect();
        match lines.is_empty() {
            true => text(StatusCode::OK, "ok\n"),
            false => text(StatusCode::SERVICE_UNAVAILABLE, &lines.concat()),
        }
    }
}

fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    response(status, TEXT, body.to_owned())
}

fn response(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
