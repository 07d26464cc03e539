//! Health, by the protocol: `""` for the server and one name for each service.
//!
//! tonic-health's own service refuses to watch a service that it does not know
//! and starts as SERVING; the protocol says SERVICE_UNKNOWN with the stream kept
//! open, and a server that is not ready must not say that it is. So its messages
//! are served by this: one state for all, watched by everybody.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::sync::watch;
use tokio_stream::Stream;
use tokio_stream::wrappers::WatchStream;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// Whether the server can be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serving {
    /// It can.
    Yes,
    /// It cannot: not yet, or not any more.
    No,
    /// It is gone: watchers are let go.
    Gone,
}

/// The health service.
#[derive(Clone)]
pub struct HealthApi {
    state: watch::Receiver<Serving>,
    services: &'static [&'static str],
}

impl HealthApi {
    /// Answers for these services, and for the server as "".
    #[must_use]
    pub const fn new(state: watch::Receiver<Serving>, services: &'static [&'static str]) -> Self {
        Self { state, services }
    }

    fn knows(&self, service: &str) -> bool {
        service.is_empty() || self.services.contains(&service)
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

const fn status_of(serving: Serving) -> ServingStatus {
    match serving {
        Serving::Yes => ServingStatus::Serving,
        Serving::No | Serving::Gone => ServingStatus::NotServing,
    }
}

#[tonic::async_trait]
impl Health for HealthApi {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !self.knows(&request.get_ref().service) {
            return Err(Status::not_found("this server has no such service"));
        }
        let status = status_of(*self.state.borrow());
        Ok(Response::new(response(status)))
    }

    type WatchStream =
        Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send + 'static>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Ok(Response::new(Box::pin(Changes {
            states: WatchStream::new(self.state.clone()),
            known: self.knows(&request.get_ref().service),
            last: None,
            gone: false,
        })))
    }
}

/// What a watcher is told: the state now, and each change. The last one before
/// the server goes is never missed, however late it is read.
struct Changes {
    states: WatchStream<Serving>,
    known: bool,
    last: Option<ServingStatus>,
    gone: bool,
}

impl Stream for Changes {
    type Item = Result<HealthCheckResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while !self.gone {
            let Some(serving) = ready!(Pin::new(&mut self.states).poll_next(context)) else {
                break;
            };
            self.gone = serving == Serving::Gone;
            let status = if self.known {
                status_of(serving)
            } else {
                ServingStatus::ServiceUnknown
            };
            if self.last.replace(status) != Some(status) {
                return Poll::Ready(Some(Ok(response(status))));
            }
        }
        Poll::Ready(None)
    }
}
