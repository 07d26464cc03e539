//! What every call passes on its way in and out.
//!
//! The order is written in [`stack`], outermost first, with a reason a line.

mod body;
mod complete;
mod counters;
mod deadline;
mod limit;
mod lines;
mod load;
mod observe;
mod panic;
mod permits;
mod request_id;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use tower::ServiceBuilder;
use tower::layer::util::{Identity, Stack};

pub use body::{MeteredBody, ReplyBody};
pub use complete::{Complete, CompleteLayer};
pub use counters::{Call, Counters, Observer, Totals};
pub use deadline::{Deadline, DeadlineLayer};
pub use limit::{Limit, LimitLayer, REFLECTION_MAX};
pub use lines::CallLines;
pub use observe::{Observe, ObserveLayer};
pub use panic::{CatchPanic, CatchPanicLayer, Panicked};
pub use permits::Permits;

/// How a call ended, in the headers of a reply that has no message.
pub static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The details of how it ended.
static GRPC_STATUS_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// What the layers need to know.
#[derive(Clone)]
pub struct Settings {
    /// Most calls in flight in the whole process.
    pub calls_max: usize,
    /// The longest that a call may take, whatever its caller says.
    pub deadline_max: Duration,
    /// Whether successful calls are logged too.
    pub log_calls: bool,
    /// Who counts calls.
    pub observer: Arc<dyn Observer>,
    /// Which calls have lines in the log.
    pub lines: Arc<CallLines>,
}

type Layers = Stack<
    DeadlineLayer,
    Stack<LimitLayer, Stack<CatchPanicLayer, Stack<CompleteLayer, Stack<ObserveLayer, Identity>>>>,
>;

/// The layers in their order. One limit is shared by all that come from one call.
#[must_use]
pub fn stack(settings: &Settings) -> ServiceBuilder<Layers> {
    ServiceBuilder::new()
        // Sees every outcome, also that of the layers below: every reply, refusals too, is
        // found by the call's id.
        .layer(ObserveLayer::new(
            Arc::clone(&settings.observer),
            Arc::clone(&settings.lines),
            settings.log_calls,
        ))
        // Gives a reason to what tonic refuses by itself.
        .layer(CompleteLayer)
        // A panic in one call is that call's INTERNAL and affects no other call.
        .layer(CatchPanicLayer)
        // What is too much is refused before any time is spent on it.
        .layer(LimitLayer::new(settings.calls_max))
        // The clock runs for the work alone.
        .layer(DeadlineLayer::new(settings.deadline_max))
}
