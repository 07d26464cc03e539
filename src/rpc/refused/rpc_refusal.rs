//! Refusals by the transport, by limits and by the state of the server, rather than by the
//! rules.

use std::time::Duration;

use tonic::Code;

use super::Load;
use crate::app::Queued;
use crate::domain::Timestamp;
use crate::rfc3339;
use crate::rpc::pb::creditd::v1::ErrorReason;
use crate::rpc::prose::Prose;

/// When to try again after a limit on what goes on at once: calls end all the time. The more is
/// refused, the later.
const RETRY_WHEN_SHED: Duration = Duration::from_millis(100);
/// When to try again while the store or the clock is at refusal: the server tries twice a second
/// whether it can write again.
const RETRY_WHEN_RECOVERED: Duration = Duration::from_millis(500);

/// Why the server did not serve a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RpcRefusal {
    /// Bytes that are not the method's message.
    MalformedMessage {
        /// What the decoder says.
        problem: String,
    },
    /// A message over the limit.
    MessageTooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// Metadata over the limit.
    MetadataTooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// A compression that is not read.
    UnsupportedEncoding {
        /// What tonic says about it.
        problem: String,
    },
    /// Callers have to say who they are, and this one does not.
    KeyRequired,
    /// Its key is none, or not any more.
    KeyInvalid,
    /// The configuration that was to be reloaded is wrong.
    ConfigNotReloaded {
        /// All that is wrong with it, cut.
        problems: String,
    },
    /// No such method.
    UnknownMethod {
        /// The path that was called, cut.
        method: String,
    },
    /// The call's deadline passed.
    DeadlineExceeded {
        /// How long the call had.
        deadline_ms: u128,
    },
    /// A limit on what goes on at once was reached: the call was shed.
    Overloaded {
        /// The limit.
        limit: usize,
        /// What it limits.
        resource: Resource,
        /// How much more arrives.
        load: Load,
    },
    /// The limit on balances that are watched was reached.
    TooManyWatchers {
        /// The limit.
        limit: usize,
    },
    /// The store cannot be used.
    StoreUnavailable {
        /// "read" or "write".
        operation: &'static str,
    },
    /// The clock is not believed, so nothing is dated by it.
    ClockNotBelieved {
        /// What the clock says.
        clock_time: Timestamp,
        /// What time it should be.
        believed_time: Timestamp,
    },
    /// A defect.
    Internal {
        /// The call's x-request-id.
        x_request_id: String,
    },
}

/// What the server limits the number of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Calls in flight.
    Calls,
    /// Streams of reflection.
    Reflections,
    /// Streams of health.
    HealthWatchers,
    /// Memory for requests and replies, in MiB.
    CallMemory,
    /// The share of a connection, in KiB where it is memory.
    OfConnection(Shared),
    /// The share of all calls of a key, in KiB where it is memory.
    OfKey(Shared),
    /// What all who call without a key share, where others have keys.
    WithoutKey,
    /// Rate cards that are being published.
    Publications,
    /// Work that waits for the ledger.
    Queued(Queued),
}

/// What connections share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shared {
    /// Memory for requests and replies.
    Memory,
    /// Calls in flight.
    Calls,
    /// Balances that are watched.
    BalanceWatchers,
    /// Streams of health.
    HealthWatchers,
    /// Streams of reflection.
    Reflections,
}

impl Shared {
    /// Its number among all of them.
    pub(in crate::rpc) const fn number(self) -> usize {
        match self {
            Self::Memory => 0,
            Self::Calls => 1,
            Self::BalanceWatchers => 2,
            Self::HealthWatchers => 3,
            Self::Reflections => 4,
        }
    }
}

impl Resource {
    const fn name(self) -> &'static str {
        match self {
            Self::CallMemory => "MiB of memory for requests and replies",
            Self::OfConnection(Shared::Memory) => {
                "KiB of memory for requests and replies of one connection"
            }
            Self::WithoutKey => "KiB or calls of all who have no key",
            Self::OfKey(Shared::Memory) => "KiB of memory for requests and replies of one key",
            Self::OfKey(Shared::Calls) => "calls in flight of one key",
            Self::OfKey(Shared::BalanceWatchers) => "balances watched by one key",
            Self::OfKey(Shared::HealthWatchers) => "watches of health of one key",
            Self::OfKey(Shared::Reflections) => "streams of reflection of one key",
            Self::OfConnection(Shared::Calls) => "calls in flight of one connection",
            Self::OfConnection(Shared::BalanceWatchers) => "balances watched by one connection",
            Self::OfConnection(Shared::HealthWatchers) => "watches of health of one connection",
            Self::OfConnection(Shared::Reflections) => "streams of reflection of one connection",
            Self::Calls => "calls in flight",
            Self::Reflections => "streams of reflection",
            Self::HealthWatchers => "watches of health",
            Self::Publications => "rate cards being published",
            Self::Queued(Queued::Commands) => "writes and reads waiting for the ledger",
            Self::Queued(Queued::Jobs) => "calls waiting for the ledger",
            Self::Queued(Queued::Past) => "reads of the past waiting",
        }
    }
}

impl RpcRefusal {
    pub(super) const fn code(&self) -> Code {
        match self {
            Self::MalformedMessage { .. } => Code::InvalidArgument,
            Self::MessageTooLarge { .. } | Self::MetadataTooLarge { .. } => Code::ResourceExhausted,
            Self::UnsupportedEncoding { .. } | Self::UnknownMethod { .. } => Code::Unimplemented,
            Self::KeyRequired | Self::KeyInvalid => Code::Unauthenticated,
            Self::ConfigNotReloaded { .. } => Code::FailedPrecondition,
            Self::DeadlineExceeded { .. } => Code::DeadlineExceeded,
            Self::Overloaded { .. }
            | Self::TooManyWatchers { .. }
            | Self::StoreUnavailable { .. }
            | Self::ClockNotBelieved { .. } => Code::Unavailable,
            Self::Internal { .. } => Code::Internal,
        }
    }

    /// The same, under this load.
    pub(crate) const fn under(mut self, now: Load) -> Self {
        if let Self::Overloaded { load, .. } = &mut self {
            *load = now;
        }
        self
    }

    /// Whether it refuses many calls alike, with no text of one of them.
    pub(super) const fn is_common(&self) -> bool {
        matches!(
            self,
            Self::Overloaded { .. }
                | Self::TooManyWatchers { .. }
                | Self::KeyRequired
                | Self::KeyInvalid
        )
    }

    /// When the same call is worth another try. A call that passed its deadline needs a longer
    /// one instead, so it gets none.
    pub(super) const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Overloaded { load, .. } => Some(RETRY_WHEN_SHED.saturating_mul(load.factor())),
            Self::TooManyWatchers { .. } => Some(RETRY_WHEN_SHED),
            Self::StoreUnavailable { .. } | Self::ClockNotBelieved { .. } => {
                Some(RETRY_WHEN_RECOVERED)
            }
            Self::MalformedMessage { .. }
            | Self::MessageTooLarge { .. }
            | Self::MetadataTooLarge { .. }
            | Self::UnsupportedEncoding { .. }
            | Self::UnknownMethod { .. }
            | Self::KeyRequired
            | Self::KeyInvalid
            | Self::ConfigNotReloaded { .. }
            | Self::DeadlineExceeded { .. }
            | Self::Internal { .. } => None,
        }
    }

    pub(super) fn prose(self) -> Prose {
        use ErrorReason as Reason;
        match self {
            Self::MalformedMessage { problem } => Prose::new(
                Reason::MalformedMessage,
                "the request is not a valid message: {problem}; check that client and server use the same proto",
                vec![("problem", problem)],
            ),
            Self::MessageTooLarge { limit_bytes } => Prose::new(
                Reason::MessageTooLarge,
                "the request is larger than the {limit_bytes} bytes that this server reads; send smaller batches",
                vec![("limit_bytes", limit_bytes.to_string())],
            ),
            Self::MetadataTooLarge { limit_bytes } => Prose::new(
                Reason::MetadataTooLarge,
                "the call's metadata is larger than the {limit_bytes} bytes that this server reads, each pair counting 32 more than its texts; send less of it",
                vec![("limit_bytes", limit_bytes.to_string())],
            ),
            Self::UnsupportedEncoding { problem } => Prose::new(
                Reason::UnsupportedEncoding,
                "the request's compression cannot be read: {problem}; use gzip or none",
                vec![("problem", problem)],
            ),
            Self::KeyRequired => Prose::new(
                Reason::KeyRequired,
                "this server asks for a key; send \"authorization: Bearer creditd_...\" with each call",
                Vec::new(),
            ),
            Self::KeyInvalid => Prose::new(
                Reason::KeyInvalid,
                "the key is not valid: it is unknown, was revoked, or has expired; send one that \"creditd keys list\" shows",
                Vec::new(),
            ),
            Self::ConfigNotReloaded { problems } => Prose::new(
                Reason::ConfigNotReloaded,
                "the configuration was not reloaded, and the old one serves on: {problems}",
                vec![("problems", problems)],
            ),
            Self::UnknownMethod { method } => Prose::new(
                Reason::UnknownMethod,
                "this server has no method \"{method}\"; \"grpcurl -plaintext HOST:PORT list\" shows what it has",
                vec![("method", method)],
            ),
            Self::DeadlineExceeded { deadline_ms } => Prose::new(
                Reason::DeadlineExceeded,
                "not done within {deadline_ms} ms; a repeated write with the same request_id is safe",
                vec![("deadline_ms", deadline_ms.to_string())],
            ),
            Self::Overloaded {
                limit, resource, ..
            } => Prose::new(
                Reason::ServerOverloaded,
                "the server is at its limit of {limit} {resource}; try again shortly",
                vec![
                    ("limit", limit.to_string()),
                    ("resource", resource.name().to_owned()),
                ],
            ),
            Self::TooManyWatchers { limit } => Prose::new(
                Reason::TooManyWatchers,
                "{limit} {limit:balance is|balances are} being watched, this server's limit; try again later",
                vec![("limit", limit.to_string())],
            ),
            Self::StoreUnavailable { operation } => Prose::new(
                Reason::StoreUnavailable,
                match operation {
                    "read" => {
                        "the data file cannot be read now; try the {operation} again shortly, the server's log says why"
                    }
                    _ => {
                        "the data file cannot be written now; try the {operation} again with the same request_id, the server's log says why"
                    }
                },
                vec![("operation", operation.to_owned())],
            ),
            Self::ClockNotBelieved {
                clock_time,
                believed_time,
            } => Prose::new(
                Reason::ClockNotBelieved,
                "the server's clock says {clock_time}, where {believed_time} is believed; nothing is written until it is right again",
                vec![
                    ("clock_time", rfc3339::format(clock_time)),
                    ("believed_time", rfc3339::format(believed_time)),
                ],
            ),
            Self::Internal { x_request_id } => Prose::new(
                Reason::Internal,
                "a defect in the server stopped this call; its log has more under x-request-id {x_request_id}",
                vec![("x_request_id", x_request_id)],
            ),
        }
    }
}
