//! Traces of calls, sent to a collector by OTLP over gRPC. docs/traces.md says what they are.
//!
//! A call that has ended is put into a bounded queue, and one thread makes its spans and sends
//! them: no call waits for a collector. Where the queue is full or the collector does not take
//! spans, they are dropped and counted. All of it but the options is behind the feature `otlp`.

#[cfg(feature = "otlp")]
mod export;
#[cfg(feature = "otlp")]
mod ids;
pub mod limits;
#[cfg(feature = "otlp")]
mod spans;
#[cfg(not(feature = "otlp"))]
mod without;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use http::Uri;

#[cfg(feature = "otlp")]
pub(super) use export::Traces;
#[cfg(not(feature = "otlp"))]
pub(super) use without::Traces;

/// Where a collector takes OTLP over gRPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Uri);

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many spans were sent.
#[derive(Debug, Default)]
pub(super) struct SpanCounts {
    sent: AtomicU64,
    dropped: AtomicU64,
}

impl SpanCounts {
    /// So many were taken by the collector.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// So many were not.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Reads the option. The URL is not repeated: a password could be in it.
pub(super) fn endpoint(text: &str) -> Result<Endpoint, String> {
    if cfg!(not(feature = "otlp")) {
        return Err(
            "--otlp-endpoint: this creditd was built without traces; build it with \"cargo build --release --features otlp\", or leave the option out"
                .to_owned(),
        );
    }
    let wrong = |what: &str| {
        Err(format!(
            "--otlp-endpoint {what}; give the address of a collector, such as http://127.0.0.1:4317"
        ))
    };
    let Ok(uri) = text.parse::<Uri>() else {
        return wrong("is no URL");
    };
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    let authority = uri.authority();
    if !is_http || authority.is_none_or(|authority| authority.host().is_empty()) {
        return wrong("must begin with http:// or https:// and have a host");
    }
    if authority.is_some_and(|authority| authority.as_str().contains('@')) {
        return wrong("must have no user and no password");
    }
    if uri.port_u16().is_none_or(|port| port == 0) {
        return wrong("must have a port, which is 4317 for most collectors");
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return wrong("must end with its port: OTLP over gRPC has no path");
    }
    Ok(Endpoint(uri))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_url_with_host_and_port() {
        for (text, expected) in [
            ("http://127.0.0.1:4317", None),
            ("https://collector.example.com:4317/", None),
            ("http://[::1]:4317", None),
            ("", Some("is no URL")),
            ("no url", Some("is no URL")),
            ("127.0.0.1:4317", Some("must begin with http://")),
            ("ftp://collector:4317", Some("must begin with http://")),
            ("http://collector", Some("must have a port")),
            ("http://collector:0", Some("must have a port")),
            (
                "http://collector:4318/v1/traces",
                Some("must end with its port"),
            ),
            ("http://collector:4317?a=b", Some("must end with its port")),
            ("http://me:secret@collector:4317", Some("must have no user")),
        ] {
            let problem = endpoint(text).err();
            let expected = match cfg!(feature = "otlp") {
                true => expected,
                false => Some("built without traces"),
            };
            let is_expected = match (&problem, expected) {
                (None, None) => true,
                (Some(problem), Some(part)) => problem.contains(part),
                _ => false,
            };
            assert!(is_expected, "{text}: {problem:?}");
            let repeats = problem.is_some_and(|problem| problem.contains("secret"));
            assert!(!repeats, "{text}");
        }
    }
}
