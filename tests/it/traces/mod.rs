//! Traces of calls, as a collector gets them: which spans a call has, when they were, what they
//! are linked to, and that no call waits for a collector.

mod calls;
mod collector;
mod groups;
mod lost;

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use tonic::Request;

use self::collector::{Collector, Does};
use crate::support::server::Server;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
/// The secret of a key.
const SECRET: &str = "a-secret-of-the-tests-of-traces";

/// A server that sends traces to a collector.
pub struct Traced {
    pub server: Server,
    pub collector: Collector,
}

impl Traced {
    pub fn start(does: Does, args: &[&str]) -> Self {
        let collector = Collector::start(does);
        let traced = ["--otlp-endpoint", &collector.url];
        let server = Server::start_with(&[&traced, args].concat());
        Self { server, collector }
    }

    /// The spans of all calls: a server that stops has sent them. Whether a message came a moment
    /// after its headers is left out.
    pub fn spans(self) -> Vec<Span> {
        drop(self.server.stop());
        let mut spans = self.collector.spans();
        spans.retain(|span| span.name != "read message");
        spans
    }
}

/// A request with these headers.
pub fn with<T>(message: T, headers: &[(&'static str, &str)]) -> Request<T> {
    let mut request = Request::new(message);
    for (name, value) in headers {
        request.metadata_mut().insert(*name, value.parse().unwrap());
    }
    request
}

/// A request of a call that is traced.
pub fn sampled<T>(message: T) -> Request<T> {
    with(
        message,
        &[("traceparent", &format!("00-{TRACE}-{PARENT}-01"))],
    )
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Attributes as text.
pub fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| {
        let value = attribute.value.as_ref().unwrap().value.as_ref().unwrap();
        let value = match value {
            Value::StringValue(text) => text.clone(),
            Value::IntValue(number) => number.to_string(),
            other => panic!("{other:?}"),
        };
        (attribute.key.clone(), value)
    };
    attributes.iter().map(text).collect()
}

/// The one span of that name.
#[track_caller]
pub fn one<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let mut named = spans.iter().filter(|span| span.name == name);
    let span = named
        .next()
        .unwrap_or_else(|| panic!("{name} in {spans:#?}"));
    assert!(named.next().is_none(), "{name} in {spans:#?}");
    span
}

/// The spans below one, by their begin.
pub fn children<'a>(spans: &'a [Span], parent: &Span) -> Vec<&'a Span> {
    let is_child = |span: &&Span| span.parent_span_id == parent.span_id;
    let mut children: Vec<_> = spans.iter().filter(is_child).collect();
    children.sort_by_key(|span| (span.start_time_unix_nano, span.end_time_unix_nano));
    children
}

/// Names of spans.
pub fn names(spans: &[&Span]) -> Vec<String> {
    spans.iter().map(|span| span.name.clone()).collect()
}
