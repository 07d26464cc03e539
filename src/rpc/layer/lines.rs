//! Which calls have lines in the log: of each method and each code a few each second.

use std::time::Instant;

use tonic::Code;

use super::counters::CODES;
use crate::line_rate::LineRate;
use crate::rpc::method::{METHODS, Method};

/// Logs at the level of a code: what the server is to blame for is an error, what is to be watched
/// a warning, and what the caller is to blame for information.
macro_rules! log_refused {
    ($code:expr, $($line:tt)*) => {
        match $code {
            Code::Internal | Code::Unknown | Code::DataLoss => tracing::error!($($line)*),
            Code::Unavailable | Code::DeadlineExceeded => tracing::warn!($($line)*),
            _ => tracing::info!($($line)*),
        }
    };
}

/// Decides which calls have lines in the log.
#[derive(Debug)]
pub struct CallLines {
    start: Instant,
    /// For each method, and for calls of no method, a rate for each code.
    rates: Box<[LineRate]>,
}

impl CallLines {
    /// Counts from now on.
    #[must_use]
    pub fn new(start: Instant) -> Self {
        let length = METHODS.len().saturating_add(1).saturating_mul(CODES);
        Self {
            start,
            rates: (0..length).map(|_| LineRate::default()).collect(),
        }
    }

    /// Whether a call that ended now has a line. One that has none is counted.
    pub(super) fn permit(&self, method: Option<&'static Method>, code: Code, now: Instant) -> bool {
        let rate = self.rates.get(index(method, code));
        rate.is_none_or(|rate| rate.permit(self.start, now))
    }

    /// Logs how many calls had no line. It is to be called once a second.
    pub fn tell(&self) {
        for (number, rate) in self.rates.iter().enumerate() {
            let calls = rate.take_left_out();
            if calls == 0 {
                continue;
            }
            let method = number.checked_div(CODES).and_then(|at| METHODS.get(at));
            let method = method.map_or("", |method| method.path);
            let code = i32::try_from(number.checked_rem(CODES).unwrap_or_default());
            let code = Code::from(code.unwrap_or_default());
            let text = format!("{code:?}");
            match code {
                Code::Ok => {
                    tracing::warn!(method, calls, "slow, beside those with a line of their own")
                }
                Code::Cancelled => tracing::info!(
                    method,
                    code = text,
                    calls,
                    "cancelled, beside those with a line of their own"
                ),
                _ => log_refused!(
                    code,
                    method,
                    code = text,
                    calls,
                    "refused, beside those with a line of their own"
                ),
            }
        }
    }
}

fn index(method: Option<&'static Method>, code: Code) -> usize {
    let code = usize::try_from(i32::from(code)).unwrap_or_default();
    method
        .map_or(METHODS.len(), Method::number)
        .saturating_mul(CODES)
        .saturating_add(code)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_kind_of_call_has_a_rate_of_its_own() {
        let start = Instant::now();
        let lines = CallLines::new(start);
        let written = |method, code, at| {
            let permitted = (0..1_000).filter(|_| lines.permit(method, code, at));
            permitted.count()
        };
        let [first, last] = [METHODS.first(), METHODS.last()];
        for (method, code, after_ms, expected) in [
            (first, Code::Unavailable, 0, 10),
            (first, Code::Unavailable, 999, 0),
            // Another code, another method, and none.
            (first, Code::NotFound, 999, 10),
            (last, Code::Unavailable, 999, 10),
            (None, Code::Unavailable, 999, 10),
            (first, Code::Unavailable, 1_000, 10),
        ] {
            let at = start + Duration::from_millis(after_ms);
            assert_eq!(written(method, code, at), expected, "{code:?} {after_ms}");
        }
        let methods = METHODS.iter().map(Some).chain([None]);
        let places: std::collections::BTreeSet<_> = methods
            .flat_map(|method| (0..17).map(move |code| index(method, Code::from(code))))
            .collect();
        assert_eq!(places.len(), lines.rates.len());
    }
}
