//! A refusal on its way to the wire, with the details that programs read: one
//! ErrorInfo, all bad fields, and when to try again.

use std::time::Duration;

use prost::Message as _;
use tonic::{Code, Status};

use super::pb::creditd::v1::ErrorReason;
use super::pb::google::rpc;
use super::prose::{self, Prose};
use crate::app::{AppError, Queued};
use crate::domain::{Refusal, Timestamp};
use crate::rfc3339;

/// Whom the reasons are from.
pub const DOMAIN: &str = "creditd";
const TYPE_PREFIX: &str = "type.googleapis.com/";
const REASON_PREFIX: &str = "ERROR_REASON_";
/// When to try again what was shed: places are free again as soon as calls are done.
const RETRY_WHEN_SHED: Duration = Duration::from_millis(100);
/// And what the store or the clock is in the way of: the server tries twice a second whether
/// it can write again.
const RETRY_WHEN_RECOVERED: Duration = Duration::from_millis(500);

/// A refusal with everything that the wire carries of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    code: Code,
    told: Prose,
    violations: Vec<rpc::bad_request::FieldViolation>,
    retry_after: Option<Duration>,
}

/// What goes wrong on the wire or in the server, rather than in the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireFault {
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
        /// What is known about it.
        problem: String,
    },
    /// No such method.
    UnknownMethod {
        /// Its path, cut.
        method: String,
    },
    /// Not done in time.
    DeadlineExceeded {
        /// How long there was.
        deadline_ms: u128,
    },
    /// Too much to do.
    Overloaded {
        /// How much is taken on.
        limit: usize,
        /// Of what.
        resource: Resource,
    },
    /// As many balances are watched as may be.
    TooManyWatchers {
        /// How many.
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
        /// What time it is by all that is known.
        believed_time: Timestamp,
    },
    /// A defect.
    Internal {
        /// The call's x-request-id.
        x_request_id: String,
    },
}

/// What a server takes on only so much of at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Calls that were not answered yet.
    Calls,
    /// Streams of reflection.
    Reflections,
    /// Streams of health.
    HealthWatchers,
    /// What waits for the ledger.
    Queued(Queued),
}

impl Resource {
    const fn name(self) -> &'static str {
        match self {
            Self::Calls => "calls in flight",
            Self::Reflections => "streams of reflection",
            Self::HealthWatchers => "watches of health",
            Self::Queued(Queued::Commands) => "writes and reads waiting for the ledger",
            Self::Queued(Queued::Jobs) => "calls waiting for the ledger",
            Self::Queued(Queued::Past) => "reads of the past waiting",
        }
    }
}

impl WireFault {
    const fn code(&self) -> Code {
        match self {
            Self::MalformedMessage { .. } => Code::InvalidArgument,
            Self::MessageTooLarge { .. } | Self::MetadataTooLarge { .. } => Code::ResourceExhausted,
            Self::UnsupportedEncoding { .. } | Self::UnknownMethod { .. } => Code::Unimplemented,
            Self::DeadlineExceeded { .. } => Code::DeadlineExceeded,
            Self::Overloaded { .. }
            | Self::TooManyWatchers { .. }
            | Self::StoreUnavailable { .. }
            | Self::ClockNotBelieved { .. } => Code::Unavailable,
            Self::Internal { .. } => Code::Internal,
        }
    }

    /// When the same call is worth another try. A deadline that is over is not among them:
    /// what such a call lacks is a longer one, and when to send it its caller decides.
    const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Overloaded { .. } | Self::TooManyWatchers { .. } => Some(RETRY_WHEN_SHED),
            Self::StoreUnavailable { .. } | Self::ClockNotBelieved { .. } => {
                Some(RETRY_WHEN_RECOVERED)
            }
            Self::MalformedMessage { .. }
            | Self::MessageTooLarge { .. }
            | Self::MetadataTooLarge { .. }
            | Self::UnsupportedEncoding { .. }
            | Self::UnknownMethod { .. }
            | Self::DeadlineExceeded { .. }
            | Self::Internal { .. } => None,
        }
    }

    fn told(self) -> Prose {
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
            Self::Overloaded { limit, resource } => Prose::new(
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

impl From<WireFault> for Refused {
    fn from(fault: WireFault) -> Self {
        let retry_after = fault.retry_after();
        Self {
            code: fault.code(),
            told: fault.told(),
            violations: Vec::new(),
            retry_after,
        }
    }
}

impl From<&Refusal> for Refused {
    fn from(refusal: &Refusal) -> Self {
        let (code, told, violations) = match (refusal, prose::of_refusal(refusal)) {
            (_, Some((code, told))) => (code, told, Vec::new()),
            (Refusal::Invalid(faults), None) => {
                let (told, violations) = bad_fields(faults);
                (Code::InvalidArgument, told, violations)
            }
            // of_refusal tells everything but bad fields.
            (_, None) => (Code::Internal, unexplained(), Vec::new()),
        };
        Self {
            code,
            told,
            violations,
            retry_after: None,
        }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::from(&refusal)
    }
}

impl From<&AppError> for Refused {
    fn from(error: &AppError) -> Self {
        match error {
            AppError::Refused(refusal) => refusal.into(),
            AppError::Busy { limit, queued } => WireFault::Overloaded {
                limit: *limit,
                resource: Resource::Queued(*queued),
            }
            .into(),
            AppError::Unavailable(unavailable) => WireFault::StoreUnavailable {
                operation: unavailable.operation,
            }
            .into(),
            AppError::ClockNotBelieved(not) => WireFault::ClockNotBelieved {
                clock_time: not.clock_time,
                believed_time: not.believed_time,
            }
            .into(),
        }
    }
}

impl From<AppError> for Refused {
    fn from(error: AppError) -> Self {
        Self::from(&error)
    }
}

/// The first bad field in words, and all of them as details.
fn bad_fields(faults: &crate::domain::Faults) -> (Prose, Vec<rpc::bad_request::FieldViolation>) {
    let mut all = faults.violations().iter().map(|violation| {
        (
            violation,
            prose::of_fault(&violation.field, &violation.fault),
        )
    });
    let mut violations = Vec::with_capacity(faults.violations().len());
    let Some((first, mut told)) = all.next() else {
        return (unexplained(), violations);
    };
    violations.push(field_violation(&first.field, &told));
    violations.extend(all.map(|(violation, told)| field_violation(&violation.field, &told)));
    match violations.len() {
        0 | 1 => {}
        2 => told.message.push_str(" (and 1 more bad field)"),
        n => {
            let more = n.saturating_sub(1);
            told.message
                .push_str(&format!(" (and {more} more bad fields)"));
        }
    }
    (told, violations)
}

fn field_violation(field: &str, told: &Prose) -> rpc::bad_request::FieldViolation {
    rpc::bad_request::FieldViolation {
        field: field.to_owned(),
        description: told.message.clone(),
        reason: reason_name(told.reason).to_owned(),
        localized_message: None,
    }
}

fn unexplained() -> Prose {
    Prose::new(
        ErrorReason::Internal,
        "refused without a reason",
        Vec::new(),
    )
}

/// The reason as ErrorInfo has it, "UNKNOWN_SERVICE".
#[must_use]
pub fn reason_name(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix(REASON_PREFIX).unwrap_or(name)
}

impl Refused {
    /// The code.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The refusal in words.
    #[must_use]
    pub const fn told(&self) -> &Prose {
        &self.told
    }

    /// As it stands in a batch's results.
    #[must_use]
    pub fn into_rpc_status(self) -> rpc::Status {
        let info = rpc::ErrorInfo {
            reason: reason_name(self.told.reason).to_owned(),
            domain: DOMAIN.to_owned(),
            metadata: self
                .told
                .variables
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        };
        let mut details = vec![packed("google.rpc.ErrorInfo", &info)];
        if !self.violations.is_empty() {
            let bad_request = rpc::BadRequest {
                field_violations: self.violations,
            };
            details.push(packed("google.rpc.BadRequest", &bad_request));
        }
        if let Some(after) = self.retry_after {
            let retry = rpc::RetryInfo {
                retry_delay: prost_types::Duration::try_from(after).ok(),
            };
            details.push(packed("google.rpc.RetryInfo", &retry));
        }
        rpc::Status {
            code: i32::from(self.code),
            message: self.told.message,
            details,
        }
    }

    /// As it ends a call.
    #[must_use]
    pub fn into_status(self) -> Status {
        let code = self.code;
        let status = self.into_rpc_status();
        let details = status.encode_to_vec();
        Status::with_details(code, status.message, details.into())
    }
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Self {
        refused.into_status()
    }
}

fn packed(name: &str, message: &impl prost::Message) -> prost_types::Any {
    prost_types::Any {
        type_url: format!("{TYPE_PREFIX}{name}"),
        value: message.encode_to_vec(),
    }
}

/// The ErrorInfo of a status's details, where it has one.
#[must_use]
pub fn error_info(details: &[u8]) -> Option<rpc::ErrorInfo> {
    unpacked(details, "google.rpc.ErrorInfo")
}

/// All bad fields that a status's details name.
#[must_use]
pub fn field_violations(details: &[u8]) -> Vec<rpc::bad_request::FieldViolation> {
    unpacked::<rpc::BadRequest>(details, "google.rpc.BadRequest")
        .map_or_else(Vec::new, |bad_request| bad_request.field_violations)
}

/// When it is worth trying again, where a status's details say so.
#[must_use]
pub fn retry_delay(details: &[u8]) -> Option<prost_types::Duration> {
    unpacked::<rpc::RetryInfo>(details, "google.rpc.RetryInfo")?.retry_delay
}

/// The detail of that type.
fn unpacked<M: prost::Message + Default>(details: &[u8], name: &str) -> Option<M> {
    let status = rpc::Status::decode(details).ok()?;
    let found = status
        .details
        .iter()
        .find(|any| any.type_url.strip_prefix(TYPE_PREFIX) == Some(name))?;
    M::decode(found.value.as_slice()).ok()
}
