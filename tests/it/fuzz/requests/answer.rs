//! What every answer must be: one status, a reason for each refusal, and otherwise a message of
//! the method's type, in bounded memory.

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::sync::LazyLock;

use creditd::rpc::MESSAGE_BYTES_MAX;
use creditd::rpc::layer::ReplyBody;
use creditd::rpc::pb::creditd::v1::ErrorReason;
use flate2::read::GzDecoder;
use http::{HeaderMap, Response};
use http_body_util::BodyExt as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, ReflectMessage, Value};
use tonic::{Code, Status};

use crate::support::refusal::Refusal;

/// What a refusal may take of the metadata that clients accept.
const REFUSAL_BYTES_MAX: usize = 8 * 1_024;

/// An answer, as far as it was read.
pub struct Answer {
    pub http: u16,
    headers: HeaderMap,
    trailers: HeaderMap,
    body: Vec<u8>,
    /// Whether it has ended: a watch is left after its first message.
    has_ended: bool,
}

/// Creditd's own methods, by their paths.
static METHODS: LazyLock<HashMap<String, MethodDescriptor>> = LazyLock::new(|| {
    let pool = DescriptorPool::decode(creditd::rpc::pb::DESCRIPTORS).unwrap();
    let services: Vec<_> = pool.services().collect();
    let methods = services.iter().flat_map(|service| service.methods());
    let by_path = methods.map(|method| {
        let service = method.parent_service().full_name().to_owned();
        (format!("/{service}/{}", method.name()), method)
    });
    by_path.collect()
});

/// A request as its type reads it; None where it does not, or is no message of creditd's.
pub fn request_of(path: &str, message: &[u8]) -> Option<DynamicMessage> {
    DynamicMessage::decode(METHODS.get(path)?.input(), message).ok()
}

impl Answer {
    /// Reads a response; of a watch its first message.
    pub async fn read(response: Response<ReplyBody>, is_watch: bool) -> Self {
        let (head, body) = response.into_parts();
        let mut answer = Self {
            http: head.status.as_u16(),
            headers: head.headers,
            trailers: HeaderMap::new(),
            body: Vec::new(),
            has_ended: true,
        };
        let mut body = Box::pin(body);
        while let Some(frame) = body.frame().await {
            match frame.unwrap().into_data() {
                Ok(data) => answer.body.extend_from_slice(&data),
                Err(frame) => answer.trailers.extend(frame.into_trailers().unwrap()),
            }
            if is_watch && !answer.body.is_empty() {
                answer.has_ended = false;
                break;
            }
        }
        answer
    }

    /// Checks it, and tells how it ended: what it says, or why it is refused.
    pub fn outcome(&self, path: &str) -> Result<Option<DynamicMessage>, Refusal> {
        if self.http != 200 {
            assert_eq!(self.http, 415, "{path}");
            assert!(self.body.is_empty() && self.trailers.is_empty(), "{path}");
            return Ok(None);
        }
        assert!(self.headers.contains_key("x-request-id"), "{path}");
        let of = |headers: &HeaderMap| headers.get_all("grpc-status").iter().count();
        let statuses = of(&self.headers) + of(&self.trailers);
        assert_eq!(
            statuses,
            usize::from(self.has_ended),
            "{path}: {:?}",
            self.headers
        );
        let status = Status::from_header_map(&self.headers)
            .or_else(|| Status::from_header_map(&self.trailers));
        match status {
            Some(status) if status.code() != Code::Ok => {
                // A stream may have begun; any other refusal has no message.
                Err(refusal(path, &status))
            }
            _ => Ok(self.message(path)),
        }
    }

    /// The message of creditd's own methods.
    fn message(&self, path: &str) -> Option<DynamicMessage> {
        let method = METHODS.get(path)?;
        let (prefix, message) = self.body.split_first_chunk::<5>().unwrap();
        let [flag, length @ ..] = *prefix;
        assert_eq!(u32::from_be_bytes(length) as usize, message.len(), "{path}");
        assert!(
            message.len() <= MESSAGE_BYTES_MAX,
            "{path}: {}",
            message.len()
        );
        let mut unpacked = Vec::new();
        let message = match flag {
            0 => message,
            1 => {
                assert_eq!(self.headers["grpc-encoding"], "gzip", "{path}");
                GzDecoder::new(message).read_to_end(&mut unpacked).unwrap();
                &unpacked
            }
            flag => panic!("{path}: flag {flag}"),
        };
        Some(DynamicMessage::decode(method.output(), message).unwrap())
    }

    /// Its bytes and how it ended: two answers to one question are alike.
    pub fn to_compare(&self) -> (&[u8], Option<Code>) {
        let status = Status::from_header_map(&self.headers)
            .or_else(|| Status::from_header_map(&self.trailers));
        (&self.body, status.map(|status| status.code()))
    }
}

/// A refusal has a reason of ours, and a defect is none.
fn refusal(path: &str, status: &Status) -> Refusal {
    let refusal = match status.details() {
        // Health and reflection have protocols of their own, which know no reasons.
        [] if !path.starts_with("/creditd.") => without_reason(status),
        _ => Refusal::of(status),
    };
    let reason = format!("ERROR_REASON_{}", refusal.reason);
    assert!(
        refusal.reason.is_empty() || ErrorReason::from_str_name(&reason).is_some(),
        "{path}: {refusal:?}"
    );
    let is_defect = matches!(
        refusal.code,
        Code::Ok | Code::Internal | Code::Unknown | Code::DataLoss
    );
    assert!(!is_defect, "{path}: {refusal:?}");
    let bytes = status.message().len() + status.details().len();
    assert!(
        bytes <= REFUSAL_BYTES_MAX,
        "{path}: {bytes} bytes: {refusal:?}"
    );
    refusal
}

fn without_reason(status: &Status) -> Refusal {
    Refusal {
        code: status.code(),
        message: status.message().to_owned(),
        reason: String::new(),
        metadata: BTreeMap::new(),
        fields: Vec::new(),
    }
}

/// The texts of every field that names an account, wherever it stands.
pub fn accounts(message: &DynamicMessage) -> Vec<String> {
    let mut names = Vec::new();
    for (field, value) in message.fields() {
        match value {
            Value::String(text) if field.name() == "account" => names.push(text.clone()),
            Value::Message(message) => names.extend(accounts(message)),
            Value::List(items) => {
                let items = items.iter().filter_map(Value::as_message);
                names.extend(items.flat_map(accounts));
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The same without any time.
pub fn without_times(mut message: DynamicMessage) -> DynamicMessage {
    let fields: Vec<_> = message
        .fields()
        .map(|(field, value)| (field, value.clone()))
        .collect();
    for (field, value) in fields {
        let plain = match value {
            Value::Message(inner) if inner.descriptor().name() == "Timestamp" => {
                message.clear_field(&field);
                continue;
            }
            Value::Message(inner) => Value::Message(without_times(inner)),
            Value::List(items) => {
                let items = items.into_iter().map(|item| match item {
                    Value::Message(inner) => Value::Message(without_times(inner)),
                    other => other,
                });
                Value::List(items.collect())
            }
            other => other,
        };
        message.set_field(&field, plain);
    }
    message
}

/// A field that is a boolean; false where there is none.
pub fn flag(message: &DynamicMessage, field: &str) -> bool {
    let Some(field) = message.descriptor().get_field_by_name(field) else {
        return false;
    };
    message.get_field(&field).as_bool().unwrap_or_default()
}
