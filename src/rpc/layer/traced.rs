//! Traced calls: which they are, and what is known of one when it has ended. Until then a traced
//! call costs no more than another one.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;
use tonic::Code;

use super::trace_context::{TraceContext, TraceId, trace_state};
use crate::app::StoreCall;
use crate::domain::AccountName;
use crate::domain::keys::KeyId;
use crate::rpc::method::Method;
use crate::rpc::pb::creditd::v1::ErrorReason;
use crate::rpc::peer::PeerAddress;

/// Whoever has calls traced.
pub trait Tracer: Debug + Send + Sync + 'static {
    /// The trace that begins with a call of no trace; None: it is not traced. So many of a million
    /// are.
    fn begin(&self, calls_per_million: u32) -> Option<TraceId>;
    /// A traced call has ended. It does not wait.
    fn ended(&self, call: TracedCall);
}

/// A traced call that has ended.
#[derive(Clone, Debug)]
pub struct TracedCall {
    /// Its trace.
    pub trace: TraceId,
    /// The span of its caller; None where the trace begins with it.
    pub parent: Option<u64>,
    /// What others keep with the trace.
    pub trace_state: Option<String>,
    /// Its method; None for one that the server does not have.
    pub method: Option<&'static Method>,
    /// Its id.
    pub x_request_id: String,
    /// Who made it.
    pub peer: Option<PeerAddress>,
    /// By which key.
    pub key_id: Option<KeyId>,
    /// The account that it named first.
    pub account: Option<AccountName>,
    /// How it ended.
    pub code: Code,
    /// Why it was refused.
    pub reason: Option<ErrorReason>,
    /// When its headers had come.
    pub start: Instant,
    /// When its message had come; None: with its headers.
    pub read: Option<Instant>,
    /// When the last of its reply was taken to be sent, or its caller gave it up.
    pub end: Instant,
    /// What it asked of the store.
    pub store_calls: Vec<StoreCall>,
}

/// The trace of a call until it ends.
#[derive(Debug)]
pub(super) struct CallTrace {
    pub(super) tracer: Arc<dyn Tracer>,
    pub(super) trace: TraceId,
    pub(super) parent: Option<u64>,
    pub(super) trace_state: Option<String>,
}

impl CallTrace {
    /// The trace of a call with these headers, where it is traced: as its caller says, and where
    /// that says nothing, so many of a million.
    pub(super) fn of(
        tracer: &Arc<dyn Tracer>,
        context: Option<&TraceContext>,
        headers: &HeaderMap,
        calls_per_million: u32,
    ) -> Option<Box<Self>> {
        let (trace, parent, trace_state) = match context {
            Some(caller) if !caller.is_sampled => return None,
            Some(caller) => (caller.trace, Some(caller.span), trace_state(headers)),
            None if calls_per_million == 0 => return None,
            None => (tracer.begin(calls_per_million)?, None, None),
        };
        Some(Box::new(Self {
            tracer: Arc::clone(tracer),
            trace,
            parent,
            trace_state,
        }))
    }
}
