//! The limits of traces.

use creditd::app::access::STORE_CALLS_NOTED_MAX;
use creditd::rpc::layer::limits::TRACESTATE_BYTES_MAX;
use creditd::server::limits::{
    EXPORT_INTERVAL, EXPORT_TIMEOUT, GROUPS_SENT_KNOWN, LINKS_MAX, PER_MILLION_MAX,
    QUEUE_CALLS_MAX, SPANS_PER_EXPORT,
};
use creditd::store::GROUPS_NAMED_MAX;

use super::words::number;

/// Their rows on the page.
pub fn rows() -> [(&'static str, String); 8] {
    let seconds = |time: std::time::Duration| format!("{} s", number(time.as_secs()));
    [
        (
            "`--otlp-endpoint`, calls that wait for their spans to be sent",
            number(QUEUE_CALLS_MAX),
        ),
        (
            "`--otlp-endpoint`, spans of one message, or the time after which fewer are sent",
            format!("{}, or {}", SPANS_PER_EXPORT, seconds(EXPORT_INTERVAL)),
        ),
        (
            "`--otlp-endpoint`, how long a collector may take for a message",
            seconds(EXPORT_TIMEOUT),
        ),
        (
            "groups that are linked to one call",
            number(LINKS_MAX.max(GROUPS_NAMED_MAX)),
        ),
        (
            "groups of which it is known whether their span was sent",
            number(GROUPS_SENT_KNOWN),
        ),
        (
            "what a call asks of the ledger, in its trace and its line of the log",
            number(STORE_CALLS_NOTED_MAX),
        ),
        ("`tracestate`", format!("{TRACESTATE_BYTES_MAX} bytes")),
        (
            "calls of a million that are traced, of those whose callers do not say",
            format!("0 to {}", number(PER_MILLION_MAX)),
        ),
    ]
}
