//! The line that the log has of a call: which it was, whose, how it ended, and where its time went.

use std::time::{Duration, Instant};

use tonic::Code;
use tracing::Level;

use super::counters::Call;
use super::observe::Record;
use crate::rpc::refused::reason_name;

/// Whether anything is logged at the level of a code.
fn is_logged(code: Code) -> bool {
    match code {
        Code::Internal | Code::Unknown | Code::DataLoss => tracing::enabled!(Level::ERROR),
        Code::Unavailable | Code::DeadlineExceeded => tracing::enabled!(Level::WARN),
        _ => tracing::enabled!(Level::INFO),
    }
}

pub(super) fn micros(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}

/// Where the time of a call went, in microseconds.
struct Stages {
    /// Until its message had come.
    read_us: u64,
    /// Until its answer was made.
    answer_us: u64,
    /// Until its answer was taken to be sent.
    send_us: u64,
    /// Of the answer: until the ledger took what the call asked of it.
    queue_us: Option<u64>,
    /// Of the answer: until writes were decided.
    decide_us: Option<u64>,
    /// Of the answer: until they were on disk.
    commit_us: Option<u64>,
}

/// How long these took together, none counted twice where they ran at the same time; None: there
/// were none. They are in the order in which they began.
fn together(parts: impl Iterator<Item = (Instant, Instant)>) -> Option<u64> {
    let mut sum = None;
    let mut until: Option<Instant> = None;
    for (from, to) in parts {
        let from = until.map_or(from, |until| until.max(from));
        let more = to.saturating_duration_since(from);
        sum = Some(sum.unwrap_or(Duration::ZERO).saturating_add(more));
        until = Some(until.map_or(to, |until| until.max(to)));
    }
    sum.map(micros)
}

impl Record {
    fn stages(&self, end: Instant) -> Stages {
        let read = self.held.as_ref().and_then(|held| held.read_at());
        let read = read.unwrap_or(self.start);
        let answered = self.answered.unwrap_or(end);
        let between = |from: Instant, to: Instant| micros(to.saturating_duration_since(from));
        let calls = self.held.as_ref().map(|held| held.caller().store_calls());
        let calls = calls.unwrap_or_default();
        let decided = calls
            .iter()
            .filter(|call| call.operation == "write")
            .filter_map(|call| Some((&call.stages, call.stages.decided?)));
        Stages {
            queue_us: together(calls.iter().map(|call| (call.queued, call.stages.taken))),
            decide_us: together(decided.clone().map(|(stages, at)| (stages.taken, at))),
            commit_us: together(decided.filter_map(|(stages, at)| Some((at, stages.committed()?)))),
            read_us: between(self.start, read),
            answer_us: between(read, answered),
            send_us: between(answered, end),
        }
    }

    /// Writes the call into the log, where it has a line.
    pub(super) fn log(&self, call: &Call) {
        let code = call.code;
        // A stream takes as long as its caller wants.
        let streams = call.method.is_some_and(|method| method.kind.streams());
        let is_slow = !streams && self.slow_call_min.is_some_and(|min| call.elapsed >= min);
        if code == Code::Ok && !is_slow && !self.log_calls || !is_logged(code) {
            return;
        }
        let end = self.ended(call);
        let is_asked_for = code == Code::Ok && self.log_calls;
        if !is_asked_for && !self.lines.permit(call.method, code, end) {
            return;
        }
        let x_request_id = self.id.text();
        let trace_id = self.trace.as_ref().map(tracing::field::display);
        let method = call.method.map_or("", |method| method.path);
        let peer = self.peer.map(tracing::field::display);
        let caller = self.held.as_ref().map(|held| held.caller());
        let key_id = self.key_id().map(|id| id.as_str());
        let account = caller.and_then(|caller| caller.account());
        let account = account.map(|account| account.as_str());
        let elapsed_us = micros(call.elapsed);
        let Stages {
            read_us,
            answer_us,
            send_us,
            queue_us,
            decide_us,
            commit_us,
        } = self.stages(end);
        // A call that its caller does not wait for any more has no reason.
        let is_refused = !matches!(code, Code::Ok | Code::Cancelled);
        let reason = is_refused.then(|| call.reason.map_or("", reason_name));
        let code_text = (code != Code::Ok).then(|| format!("{code:?}"));
        /// Writes all that is known; what is None is left out.
        macro_rules! write {
            ($log:ident, $message:literal) => {
                tracing::$log!(
                    x_request_id,
                    trace_id,
                    method,
                    peer,
                    key_id,
                    account,
                    code = code_text,
                    reason,
                    elapsed_us,
                    read_us,
                    answer_us,
                    queue_us,
                    decide_us,
                    commit_us,
                    send_us,
                    $message
                )
            };
        }
        match code {
            Code::Ok if is_slow => write!(warn, "slow"),
            Code::Ok => write!(info, "call"),
            Code::Cancelled => write!(info, "cancelled"),
            Code::Internal | Code::Unknown | Code::DataLoss => write!(error, "refused"),
            Code::Unavailable | Code::DeadlineExceeded => write!(warn, "refused"),
            _ => write!(info, "refused"),
        }
    }
}
