//! The spans of a call that has ended, by OpenTelemetry's conventions for RPC, and those of the
//! groups that made its writes durable.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{
    Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanLinks};
use tonic::Code;

use super::ids::{Ids, Of, span_id};
use super::limits::{GROUPS_SENT_KNOWN, LINKS_MAX};
use crate::domain::Timestamp;
use crate::rpc::layer::TracedCall;
use crate::rpc::peer::PeerAddress;
use crate::rpc::refused::reason_name;
use crate::store::{Group, StoreCall};

/// Makes spans.
pub(super) struct Spans {
    ids: Arc<Ids>,
    scope: InstrumentationScope,
    /// What each span of a call says of the server.
    server: Server,
    sent: SentGroups,
}

/// Where the server is reached.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) address: Option<SocketAddr>,
    pub(super) unix: Option<String>,
}

/// An instant, and the time of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Anchor {
    pub(super) instant: Instant,
    pub(super) time: Timestamp,
}

impl Anchor {
    fn time_of(&self, instant: Instant) -> SystemTime {
        let before = self.instant.saturating_duration_since(instant);
        let time = self.time.minus(before).unix_nanos().unwrap_or_default();
        let since = Duration::from_nanos(u64::try_from(time).unwrap_or_default());
        UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
    }
}

/// A part of a span.
#[derive(Clone, Copy, Debug)]
struct Part {
    name: &'static str,
    from: Instant,
    to: Instant,
}

/// The parts of a call whose times are known.
fn parts(call: &TracedCall) -> impl Iterator<Item = Part> {
    let read = call.read.map(|read| Part {
        name: "read message",
        from: call.start,
        to: read,
    });
    read.into_iter()
        .chain(call.store_calls.iter().flat_map(of_store))
}

fn of_store(call: &StoreCall) -> impl Iterator<Item = Part> {
    let stages = &call.stages;
    let part = |name, from, to| Part { name, from, to };
    let work = match call.operation {
        "write" => "decide",
        _ => "read account",
    };
    let decided = stages.decided;
    let committed = decided.and_then(|from| Some(part("commit", from, stages.committed()?)));
    [
        Some(part("queue", call.queued, stages.taken)),
        decided.map(|to| part(work, stages.taken, to)),
        committed,
    ]
    .into_iter()
    .flatten()
}

/// How many spans a call has, those of groups apart.
pub(super) fn count(call: &TracedCall) -> u64 {
    let parts = u64::try_from(parts(call).count()).unwrap_or_default();
    parts.saturating_add(1)
}

/// Which groups were sent, of the newest ones: by the rest of its number, the number of each.
struct SentGroups(Box<[u64]>);

impl SentGroups {
    fn new() -> Self {
        Self(vec![0; usize::from(GROUPS_SENT_KNOWN)].into())
    }

    /// Whether the group is to be sent: once.
    fn add(&mut self, number: u64) -> bool {
        let place = number.checked_rem(u64::from(GROUPS_SENT_KNOWN));
        let place = usize::try_from(place.unwrap_or_default()).unwrap_or_default();
        let Some(newest) = self.0.get_mut(place) else {
            return false;
        };
        let is_new = *newest < number;
        *newest = number.max(*newest);
        is_new
    }
}

impl Spans {
    pub(super) fn new(ids: Arc<Ids>, server: Server) -> Self {
        Self {
            ids,
            scope: InstrumentationScope::builder("creditd")
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
            server,
            sent: SentGroups::new(),
        }
    }

    /// Adds the spans of a call, and those of its groups that were not sent yet.
    pub(super) fn add(&mut self, call: TracedCall, anchor: Anchor, spans: &mut Vec<SpanData>) {
        let trace = TraceId::from(call.trace.0);
        let state = call.trace_state.as_deref().map(str::parse::<TraceState>);
        let context = SpanContext::new(
            trace,
            SpanId::from(span_id(self.ids.new_id(Of::Span))),
            TraceFlags::SAMPLED,
            false,
            state.and_then(Result::ok).unwrap_or_default(),
        );
        let (links, groups) = self.links(&call);
        for part in parts(&call) {
            spans.push(self.part(&context, part, anchor));
        }
        let name = name(&call);
        spans.push(SpanData {
            parent_span_id: call.parent.map_or(SpanId::INVALID, SpanId::from),
            parent_span_is_remote: call.parent.is_some(),
            span_kind: SpanKind::Server,
            attributes: self.attributes(&call, name),
            links,
            status: match is_error(call.code) {
                true => Status::error(""),
                false => Status::Unset,
            },
            ..self.span(context, name, (call.start, call.end), anchor)
        });
        for group in groups {
            if self.sent.add(group.number) {
                self.add_group(&group, anchor, spans);
            }
        }
    }

    /// A span without more than its name and its times.
    fn span(
        &self,
        span_context: SpanContext,
        name: &'static str,
        (from, to): (Instant, Instant),
        anchor: Anchor,
    ) -> SpanData {
        SpanData {
            span_context,
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: name.into(),
            start_time: anchor.time_of(from),
            end_time: anchor.time_of(to),
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: Default::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        }
    }

    /// The span of a part.
    fn part(&self, parent: &SpanContext, part: Part, anchor: Anchor) -> SpanData {
        let context = SpanContext::new(
            parent.trace_id(),
            SpanId::from(span_id(self.ids.new_id(Of::Span))),
            TraceFlags::SAMPLED,
            false,
            parent.trace_state().clone(),
        );
        SpanData {
            parent_span_id: parent.span_id(),
            ..self.span(context, part.name, (part.from, part.to), anchor)
        }
    }

    /// Links to the groups of a call, and the groups.
    fn links(&self, call: &TracedCall) -> (SpanLinks, Vec<Arc<Group>>) {
        let mut links = SpanLinks::default();
        let mut groups: Vec<Arc<Group>> = Vec::new();
        for call in &call.store_calls {
            let of_call = &call.stages.groups;
            links.dropped_count = links.dropped_count.saturating_add(of_call.left_out);
            for group in of_call.named() {
                if groups.iter().any(|other| other.number == group.number) {
                    continue;
                }
                if groups.len() >= LINKS_MAX {
                    links.dropped_count = links.dropped_count.saturating_add(1);
                    continue;
                }
                links.links.push(Link::with_context(self.context_of(group)));
                groups.push(Arc::clone(group));
            }
        }
        (links, groups)
    }

    fn context_of(&self, group: &Group) -> SpanContext {
        SpanContext::new(
            TraceId::from(self.ids.id(Of::GroupTrace, group.number)),
            SpanId::from(span_id(self.ids.id(Of::GroupSpan, group.number))),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        )
    }

    /// Adds the spans of a group.
    fn add_group(&self, group: &Group, anchor: Anchor, spans: &mut Vec<SpanData>) {
        let context = self.context_of(group);
        let (began, ended) = (group.began, group.ended);
        let parts = [
            ("decide", began, group.decided),
            ("write", group.decided, group.written),
            ("commit", group.written, ended),
        ];
        for (name, from, to) in parts {
            spans.push(self.part(&context, Part { name, from, to }, anchor));
        }
        let number = |number: Result<i64, _>| number.unwrap_or(i64::MAX);
        spans.push(SpanData {
            attributes: vec![
                KeyValue::new("creditd.group.number", number(i64::try_from(group.number))),
                KeyValue::new(
                    "creditd.group.commands",
                    number(i64::try_from(group.commands)),
                ),
            ],
            status: match group.is_durable {
                true => Status::Unset,
                false => Status::error("the group could not be made durable"),
            },
            ..self.span(context, "ledger group", (began, ended), anchor)
        });
    }

    fn attributes(&self, call: &TracedCall, name: &'static str) -> Vec<KeyValue> {
        let code = code_name(call.code);
        let mut attributes = vec![
            KeyValue::new("rpc.system.name", "grpc"),
            KeyValue::new("rpc.method", name),
            KeyValue::new("rpc.response.status_code", code),
            KeyValue::new("creditd.x_request_id", call.x_request_id.clone()),
        ];
        let mut add = |key: &'static str, value: Option<String>| {
            attributes.extend(value.map(|value| KeyValue::new(key, value)));
        };
        add(
            "creditd.key_id",
            call.key_id.as_ref().map(|id| id.as_str().to_owned()),
        );
        let account = call.account.as_ref();
        add(
            "creditd.account",
            account.map(|account| account.as_str().to_owned()),
        );
        add(
            "creditd.reason",
            call.reason.map(|reason| reason_name(reason).to_owned()),
        );
        add("error.type", is_error(call.code).then(|| code.to_owned()));
        let Server { address, unix } = &self.server;
        let (transport, peer, server) = match call.peer {
            Some(PeerAddress::Tcp(peer)) => ("tcp", Some(peer), *address),
            Some(PeerAddress::Unix) => {
                add("server.address", unix.clone());
                ("unix", None, None)
            }
            None => return attributes,
        };
        attributes.push(KeyValue::new("network.transport", transport));
        for (keys, address) in [
            (["network.peer.address", "network.peer.port"], peer),
            (["server.address", "server.port"], server),
        ] {
            if let Some(address) = address {
                let [host, port] = keys;
                attributes.push(KeyValue::new(host, address.ip().to_string()));
                attributes.push(KeyValue::new(port, i64::from(address.port())));
            }
        }
        attributes
    }
}

/// The name of the method, which is that of the span.
fn name(call: &TracedCall) -> &'static str {
    // A path that is no method's could be anything.
    call.method.map_or("_OTHER", |method| {
        method.path.strip_prefix('/').unwrap_or(method.path)
    })
}

/// Whether a code is an error of the server, and not of its caller.
const fn is_error(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

/// The name of a code, as gRPC writes it.
const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
