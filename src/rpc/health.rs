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

/// The state of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Whether it can be called.
    pub serving: Serving,
    /// Whether the ledger can write. Where it cannot, reads and prices go on.
    pub writable: bool,
}

impl State {
    /// Whether it takes neither calls nor connections any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.serving == Serving::Ended
    }

    /// Whether a service serves that writes, or that does not.
    #[must_use]
    pub fn serves(self, needs_to_write: bool) -> bool {
        self.status_of(needs_to_write) == ServingStatus::Serving
    }

    /// The status of a service; the server is well where all of them are.
    fn status_of(self, needs_to_write: bool) -> ServingStatus {
        match self.serving == Serving::Yes && (self.writable || !needs_to_write) {
            true => ServingStatus::Serving,
            false => ServingStatus::NotServing,
        }
    }
}

/// Whether the server can be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serving {
    /// It can.
    Yes,
    /// It cannot: not yet, or not any more.
    No,
    /// It has drained: watches end.
    Ended,
}

/// The health service.
#[derive(Clone)]
pub struct HealthApi {
    state: watch::Receiver<State>,
    services: &'static [Service],
}

/// A service, as health names it.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// Its name.
    pub name: &'static str,
    /// Whether it is of no use where the ledger cannot write.
    pub writes: bool,
}

impl HealthApi {
    /// Answers for these services, and for the server as "".
    #[must_use]
    pub const fn new(state: watch::Receiver<State>, services: &'static [Service]) -> Self {
        Self { state, services }
    }

    /// Whether the service needs to write; None for one that is not known.
    fn needs_to_write(&self, service: &str) -> Option<bool> {
        if service.is_empty() {
            return Some(true);
        }
        let known = self.services.iter().find(|known| known.name == service);
        known.map(|known| known.writes)
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

#[tonic::async_trait]
impl Health for HealthApi {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let Some(needs_to_write) = self.needs_to_write(&request.get_ref().service) else {
            return Err(Status::not_found("this server has no such service"));
        };
        let status = self.state.borrow().status_of(needs_to_write);
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
            needs_to_write: self.needs_to_write(&request.get_ref().service),
            last: None,
            ended: false,
        })))
    }
}

/// What a watch sends: the state now, and each change. The last one before
/// the server goes is never missed, however late it is read.
struct Changes {
    states: WatchStream<State>,
    /// None for a service that is not known.
    needs_to_write: Option<bool>,
    last: Option<ServingStatus>,
    ended: bool,
}

impl Stream for Changes {
    type Item = Result<HealthCheckResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while !self.ended {
            let Some(state) = ready!(Pin::new(&mut self.states).poll_next(context)) else {
                break;
            };
            self.ended = state.has_ended();
            let status = match self.needs_to_write {
                Some(needs_to_write) => state.status_of(needs_to_write),
                None => ServingStatus::ServiceUnknown,
            };
            if self.last.replace(status) != Some(status) {
                return Poll::Ready(Some(Ok(response(status))));
            }
        }
        Poll::Ready(None)
    }
}
