//! Refusals as gRPC statuses, with `google.rpc` details: one ErrorInfo, a BadRequest where
//! fields are bad, and a RetryInfo where another try can succeed.

mod ready;
mod reasons;
mod retry;
mod rpc_refusal;

use std::time::Duration;

use prost::Message as _;
use tonic::{Code, Status};

use super::pb::creditd::v1::ErrorReason;
use super::pb::google::rpc;
use super::prose::{self, Prose};
use crate::app::AppError;
use crate::domain::Refusal;

use self::retry::Step;

pub use self::ready::ReadyReplies;
pub use self::reasons::{ItemsRefused, reason_in_trailers, reason_of};
pub use self::retry::Load;
pub use self::rpc_refusal::{Resource, RpcRefusal, Shared};

/// The domain of every ErrorInfo.
pub const DOMAIN: &str = "creditd";
const TYPE_PREFIX: &str = "type.googleapis.com/";
const REASON_PREFIX: &str = "ERROR_REASON_";
/// How much may stand in the details about bad fields. The first bad field is always there.
const VIOLATIONS_BYTES_MAX: usize = 3_584;
/// A status travels as metadata, of which many clients take 8 KiB; some of it is for others.
const STATUS_BYTES_MAX: usize = 7_424;
/// What stands around the texts of a status: types, domain, lengths, names of headers.
const STATUS_REST_BYTES: usize = 384;

/// A refusal with its code, words and details.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    code: Code,
    prose: Prose,
    violations: Vec<rpc::bad_request::FieldViolation>,
    retry_after: Option<Duration>,
}

impl From<RpcRefusal> for Refused {
    fn from(refusal: RpcRefusal) -> Self {
        Self::at(Step::next(), refusal)
    }
}

impl From<&Refusal> for Refused {
    fn from(refusal: &Refusal) -> Self {
        let (code, prose, violations) = match (refusal, prose::refusal(refusal)) {
            (_, Some((code, prose))) => (code, prose, Vec::new()),
            (Refusal::Invalid(violations), None) => {
                let (prose, violations) = bad_fields(violations);
                (Code::InvalidArgument, prose, violations)
            }
            // There is prose for everything but bad fields.
            (_, None) => (Code::Internal, unexplained(), Vec::new()),
        };
        Self {
            code,
            prose,
            violations,
            retry_after: match refusal {
                Refusal::RateLimited { wait, .. } => Some(*wait),
                _ => None,
            },
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
            AppError::Busy { limit, queued } => RpcRefusal::Overloaded {
                limit: *limit,
                resource: Resource::Queued(*queued),
                load: Load::default(),
            }
            .into(),
            AppError::Unavailable(unavailable) => RpcRefusal::StoreUnavailable {
                operation: unavailable.operation,
            }
            .into(),
            // The use case prices such a command again; it answers no call.
            AppError::OtherSettings(_) => {
                RpcRefusal::StoreUnavailable { operation: "write" }.into()
            }
            AppError::ClockNotBelieved(not) => RpcRefusal::ClockNotBelieved {
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

/// The first bad field in words, and all of them as details, as far as there is room.
fn bad_fields(
    violations: &crate::domain::FieldViolations,
) -> (Prose, Vec<rpc::bad_request::FieldViolation>) {
    let mut all = violations.as_slice().iter().map(|violation| {
        let prose = prose::field::prose(&violation.field, &violation.violation);
        (violation, prose)
    });
    let mut details = Vec::with_capacity(violations.as_slice().len());
    let Some((first, mut prose)) = all.next() else {
        return (unexplained(), details);
    };
    let first = field_violation(&first.field, &prose);
    let room = room_for_others(&prose, &first);
    details.push(first);
    let others = all.map(|(violation, prose)| field_violation(&violation.field, &prose));
    let mut bytes = 0_usize;
    details.extend(others.take_while(|violation| {
        bytes = bytes.saturating_add(violation.encoded_len());
        bytes <= room
    }));
    match violations.as_slice().len() {
        0 | 1 => {}
        2 => prose.message.push_str(" (and 1 more bad field)"),
        n => {
            let more = n.saturating_sub(1);
            prose
                .message
                .push_str(&format!(" (and {more} more bad fields)"));
        }
    }
    (prose, details)
}

/// How much of a status is left for the bad fields after the first.
fn room_for_others(prose: &Prose, first: &rpc::bad_request::FieldViolation) -> usize {
    // As a header, nearly all but letters and digits takes three bytes for each.
    let message = prose.message.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => 1_usize,
        _ => 3,
    });
    let message = message.fold(0, usize::saturating_add);
    let variables = prose.variables.iter();
    let variables = variables.map(|(name, value)| name.len().saturating_add(value.len()));
    let details = variables
        .chain([prose.message.len(), first.encoded_len(), STATUS_REST_BYTES])
        .fold(0, usize::saturating_add);
    // Details are Base64: four bytes for three.
    let taken = message.saturating_add(details.saturating_mul(4).div_ceil(3));
    let left = STATUS_BYTES_MAX.saturating_sub(taken).saturating_mul(3);
    left.checked_div(4)
        .unwrap_or_default()
        .min(VIOLATIONS_BYTES_MAX)
}

fn field_violation(field: &str, prose: &Prose) -> rpc::bad_request::FieldViolation {
    rpc::bad_request::FieldViolation {
        field: field.to_owned(),
        description: prose.message.clone(),
        reason: reason_name(prose.reason).to_owned(),
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

/// The reason as ErrorInfo has it: "UNKNOWN_SERVICE".
#[must_use]
pub fn reason_name(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix(REASON_PREFIX).unwrap_or(name)
}

impl Refused {
    fn at(step: Step, refusal: RpcRefusal) -> Self {
        Self {
            code: refusal.code(),
            retry_after: refusal.retry_after().map(|delay| step.of(delay)),
            prose: refusal.prose(),
            violations: Vec::new(),
        }
    }

    /// The status of an item of a batch.
    #[must_use]
    pub fn into_rpc_status(self) -> rpc::Status {
        let info = rpc::ErrorInfo {
            reason: reason_name(self.prose.reason).to_owned(),
            domain: DOMAIN.to_owned(),
            metadata: self
                .prose
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
            message: self.prose.message,
            details,
        }
    }

    /// The status of a call.
    #[must_use]
    pub fn into_status(self) -> Status {
        let (code, reason) = (self.code, self.reason());
        let status = self.into_rpc_status();
        let details = status.encode_to_vec();
        let mut status = Status::with_details(code, status.message, details.into());
        reasons::set_reason(&mut status, reason);
        status
    }

    /// Its reason.
    #[must_use]
    pub const fn reason(&self) -> ErrorReason {
        self.prose.reason
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
    let mut details = status.details.iter();
    let detail = details.find(|any| any.type_url.strip_prefix(TYPE_PREFIX) == Some(name))?;
    M::decode(detail.value.as_slice()).ok()
}
