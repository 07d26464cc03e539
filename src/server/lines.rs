//! Which lines the log has of connections: of each kind a few each second. A peer that connects
//! again and again costs the log no more.

use std::convert::Infallible;
use std::time::Instant;

use crate::line_rate::{LEFT_OUT_INTERVAL, LineRate};
use crate::rpc::layer::CallLines;

/// What is logged of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One too many.
    Refused,
    /// One that the system did not hand over.
    Failed,
    /// One whose peer does not speak TLS as the server does.
    NoTls,
    /// One whose certificate is verified, and that no entry matches.
    NoClient,
    /// One whose peer does not read.
    Unread,
    /// One whose peer does not go on.
    Stalled,
    /// One whose peer sent frames beyond reason.
    Excess,
}

/// All kinds, with the words for those without a line.
const KINDS: [(Kind, &str); 7] = [
    (Kind::Refused, "further connections were refused"),
    (Kind::Failed, "further connections could not be accepted"),
    (
        Kind::NoTls,
        "further connections were closed: no TLS handshake with their peers",
    ),
    (
        Kind::NoClient,
        "further connections had certificates that match no [[client]]",
    ),
    (
        Kind::Unread,
        "further connections were closed: their peers do not read their replies",
    ),
    (
        Kind::Stalled,
        "further connections were cut: their peers do not go on",
    ),
    (
        Kind::Excess,
        "further connections were ended: their peers sent more frames beside calls than they may",
    ),
];

/// The rates of all kinds.
#[derive(Debug)]
pub(super) struct ConnectionLines {
    start: Instant,
    rates: [LineRate; KINDS.len()],
}

impl ConnectionLines {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            rates: Default::default(),
        }
    }

    /// Whether a line of this kind is written now. One that is not is counted.
    pub(super) fn permit(&self, kind: Kind) -> bool {
        let at = KINDS.iter().position(|(other, _)| *other == kind);
        let rate = at.and_then(|at| self.rates.get(at));
        rate.is_none_or(|rate| rate.permit(self.start, Instant::now()))
    }

    /// Logs how many were left out. It is to be called once a second.
    pub(super) fn tell(&self) {
        for ((_, words), rate) in KINDS.iter().zip(&self.rates) {
            let connections = rate.take_left_out();
            if connections > 0 {
                tracing::warn!(connections, "{words}");
            }
        }
    }
}

/// Logs once a second how many calls and connections had no line of their own.
pub(super) async fn tell_of_others(calls: &CallLines, connections: &ConnectionLines) -> Infallible {
    loop {
        tokio::time::sleep(LEFT_OUT_INTERVAL).await;
        calls.tell();
        connections.tell();
    }
}
