//! What every call passes on its way in and out.
//!
//! The order is written in [`stack`], outermost first, with a reason a line.

mod authenticate;
mod body;
mod budget;
mod call_limits;
mod call_line;
mod complete;
mod counters;
mod deadline;
mod limit;
mod lines;
mod load;
mod observe;
mod panic;
mod request_id;
mod reservation;
mod share;
mod shed;
mod trace_context;
mod traced;

use std::sync::Arc;

use http::HeaderName;
use tower::ServiceBuilder;
use tower::layer::util::{Identity, Stack};

pub use body::{MeteredBody, ReplyBody};
pub use budget::{Budget, InUse};
pub use call_limits::{CallLimits, LiveLimits};
pub use complete::{Complete, CompleteLayer};
pub use counters::{Call, Counters, DURATION_BOUNDS_US, MethodTotals, Observer, Totals};
pub use deadline::{Deadline, DeadlineLayer};
pub use limit::{Admission, Limit, LimitLayer, REFLECTION_MAX};
pub use lines::CallLines;
pub use observe::{Observe, ObserveLayer};
pub use panic::{CatchPanic, CatchPanicLayer, Panicked};
pub use reservation::Reservation;
pub use shed::NoRoom;
pub use trace_context::{TraceContext, TraceId};
pub use traced::{TracedCall, Tracer};

use super::peer::Peer;
use crate::app::access::Access;

/// The limits that docs/limits.md names.
pub mod limits {
    pub use super::budget::{
        BALANCE_WATCHES_FLOOR, CALLS_FLOOR, HEALTH_WATCHES_FLOOR, HEALTH_WATCHES_MAX,
        MEMORY_FLOOR_BYTES, REFLECTIONS_FLOOR, REFLECTIONS_MAX,
    };
    pub use super::reservation::{CALL_BYTES, CHECKS_FLOOR_BYTES, HEALTH_REQUEST_BYTES_MAX};
    pub use super::share::PAGES_AT_ONCE_MAX;
    pub use super::trace_context::TRACESTATE_BYTES_MAX;
}

/// How a call ended, in the headers of a reply that has no message.
pub static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The details of how it ended.
static GRPC_STATUS_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// What the layers need to know.
#[derive(Clone)]
pub struct Settings {
    /// The limits that can change.
    pub limits: Arc<LiveLimits>,
    /// Who may call.
    pub access: Arc<Access>,
    /// Who knows whether writes are queued.
    pub admission: Arc<dyn Admission>,
    /// Who counts calls.
    pub observer: Arc<dyn Observer>,
    /// Which calls have lines in the log.
    pub lines: Arc<CallLines>,
    /// Who has calls traced; None: nobody.
    pub tracer: Option<Arc<dyn Tracer>>,
}

/// A service that knows for which connection it is.
pub trait OfConnection {
    /// The service of a connection with this peer.
    #[must_use]
    fn of_connection(self, peer: &Peer) -> Self;
}

type Layers = Stack<
    DeadlineLayer,
    Stack<LimitLayer, Stack<CatchPanicLayer, Stack<CompleteLayer, Stack<ObserveLayer, Identity>>>>,
>;

/// The layers in their order. One limit is shared by all that come from one call.
#[must_use]
pub fn stack(settings: &Settings) -> ServiceBuilder<Layers> {
    stack_limited(settings, LimitLayer::new(settings))
}

/// The same, with limits that were made before.
#[must_use]
pub fn stack_limited(settings: &Settings, limits: LimitLayer) -> ServiceBuilder<Layers> {
    ServiceBuilder::new()
        // Sees every outcome, also that of the layers below: every reply, refusals too, is
        // found by the call's id.
        .layer(ObserveLayer::new(settings))
        // Gives a reason to what tonic refuses by itself.
        .layer(CompleteLayer)
        // A panic in one call is that call's INTERNAL and affects no other call.
        .layer(CatchPanicLayer)
        // Who may not call is refused before anything is held, and what is too much before any
        // time is spent on it.
        .layer(limits)
        // The clock runs for the work alone.
        .layer(DeadlineLayer::new(Arc::clone(&settings.limits)))
}
