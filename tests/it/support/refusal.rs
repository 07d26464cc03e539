//! A refusal as programs read it.

use std::collections::BTreeMap;

use creditd::rpc::pb::google::rpc;
use prost::Message as _;
use tonic::{Code, Status};

#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub code: Code,
    pub message: String,
    pub reason: String,
    pub metadata: BTreeMap<String, String>,
    /// Path and reason of each bad field.
    pub fields: Vec<(String, String)>,
}

impl Refusal {
    /// Reads a refusal; it must have exactly one ErrorInfo, with our domain.
    pub fn of(status: &Status) -> Self {
        assert!(!status.details().is_empty(), "no details: {status:?}");
        let decoded = rpc::Status::decode(status.details()).unwrap();
        assert_eq!(decoded.message, status.message());
        Self::of_pb(&decoded)
    }

    pub fn of_pb(status: &rpc::Status) -> Self {
        let of_type = |name: &str| {
            let url = format!("type.googleapis.com/google.rpc.{name}");
            let found = status.details.iter().filter(move |any| any.type_url == url);
            found.map(|any| any.value.clone()).collect::<Vec<_>>()
        };
        let infos = of_type("ErrorInfo");
        assert_eq!(infos.len(), 1, "{status:?}");
        let info = rpc::ErrorInfo::decode(infos[0].as_slice()).unwrap();
        assert_eq!(info.domain, "creditd");
        let fields = of_type("BadRequest").into_iter().flat_map(|bytes| {
            let bad = rpc::BadRequest::decode(bytes.as_slice()).unwrap();
            bad.field_violations.into_iter().map(|v| {
                assert!(!v.description.is_empty(), "{}", v.field);
                (v.field, v.reason)
            })
        });
        Self {
            code: Code::from(status.code),
            message: status.message.clone(),
            reason: info.reason,
            metadata: info.metadata.into_iter().collect(),
            fields: fields.collect(),
        }
    }

    pub fn paths(&self) -> Vec<&str> {
        self.fields.iter().map(|(path, _)| path.as_str()).collect()
    }
}

/// The refusal of a call that must have been refused.
#[track_caller]
pub fn refused<T: std::fmt::Debug>(outcome: Result<T, Status>) -> Refusal {
    Refusal::of(&outcome.expect_err("refused"))
}
