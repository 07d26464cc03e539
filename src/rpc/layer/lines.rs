//! Lines of the log about calls. Of those that ended alike a few are written each second; the
//! others are counted, and the count is logged once a second: a flood of refusals costs neither
//! the disk nor the time of those who are served.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use tonic::Code;

use super::observe::log_refused;
use crate::rpc::method::{METHODS, Method};

/// How many lines of one kind are written in a second: calls of one method that ended by one
/// code.
pub const LINES_PER_SECOND_MAX: u32 = 10;
/// gRPC has so many codes.
const CODES: usize = 17;

/// Decides which calls have lines in the log.
#[derive(Debug)]
pub struct CallLines {
    start: Instant,
    /// For each method, and for calls of no method, a kind for each code.
    kinds: Box<[Kind]>,
}

#[derive(Debug, Default)]
struct Kind {
    /// The newest second in which there was such a call, after the start.
    second: AtomicU64,
    /// How many there were in it.
    calls: AtomicU32,
    /// How many had no line, and were not told yet.
    left_out: AtomicU64,
}

impl CallLines {
    /// Counts from now on.
    #[must_use]
    pub fn new(start: Instant) -> Self {
        let length = METHODS.len().saturating_add(1).saturating_mul(CODES);
        Self {
            start,
            kinds: (0..length).map(|_| Kind::default()).collect(),
        }
    }

    /// Whether a call that ended now has a line. One that has none is counted.
    pub(super) fn permit(&self, method: Option<&'static Method>, code: Code, now: Instant) -> bool {
        let Some(kind) = self.kinds.get(index(method, code)) else {
            return true;
        };
        let second = now.saturating_duration_since(self.start).as_secs();
        if kind.second.swap(second, Ordering::Relaxed) != second {
            kind.calls.store(0, Ordering::Relaxed);
        }
        if kind.calls.fetch_add(1, Ordering::Relaxed) < LINES_PER_SECOND_MAX {
            return true;
        }
        kind.left_out.fetch_add(1, Ordering::Relaxed);
        false
    }

    /// Logs how many calls had no line. It is to be called once a second.
    pub fn tell(&self) {
        for (number, kind) in self.kinds.iter().enumerate() {
            let calls = kind.left_out.swap(0, Ordering::Relaxed);
            if calls == 0 {
                continue;
            }
            let method = number.checked_div(CODES).and_then(|at| METHODS.get(at));
            let method = method.map_or("", |method| method.path);
            let code = i32::try_from(number.checked_rem(CODES).unwrap_or_default());
            let code = Code::from(code.unwrap_or_default());
            let text = format!("{code:?}");
            match code {
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
    let number = method.and_then(|method| {
        let mut methods = METHODS.iter();
        methods.position(|other| std::ptr::eq(other, method))
    });
    let code = usize::try_from(i32::from(code)).unwrap_or_default();
    number
        .unwrap_or(METHODS.len())
        .saturating_mul(CODES)
        .saturating_add(code)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn lines_of_one_kind_are_bounded_in_each_second() {
        let start = Instant::now();
        let lines = CallLines::new(start);
        let written = |method, code, at| {
            let permitted = (0..1_000).filter(|_| lines.permit(method, code, at));
            permitted.count()
        };
        let [first, second] = [METHODS.first(), METHODS.last()];
        for (method, code, after, expected) in [
            (first, Code::Unavailable, 0, 10),
            (first, Code::Unavailable, 999, 0),
            // Another code, another method, and none.
            (first, Code::NotFound, 999, 10),
            (second, Code::Unavailable, 999, 10),
            (None, Code::Unavailable, 999, 10),
            (first, Code::Unavailable, 1_000, 10),
            (first, Code::Unavailable, 9_000, 10),
        ] {
            let at = start + Duration::from_millis(after);
            assert_eq!(written(method, code, at), expected, "{code:?} {after}");
        }
        let left_out = lines
            .kinds
            .iter()
            .map(|kind| kind.left_out.load(Ordering::Relaxed));
        assert_eq!(left_out.sum::<u64>(), 7 * 1_000 - 6 * 10);
    }

    #[test]
    fn each_kind_has_a_place_of_its_own() {
        let lines = CallLines::new(Instant::now());
        let methods = METHODS.iter().map(Some).chain([None]);
        let places: std::collections::BTreeSet<_> = methods
            .flat_map(|method| (0..17).map(move |code| index(method, Code::from(code))))
            .collect();
        assert_eq!(places.len(), lines.kinds.len());
        assert_eq!(places.last().copied(), lines.kinds.len().checked_sub(1));
    }
}
