//! The trace that a call is part of, as its caller says it: W3C Trace Context.

use std::fmt;

use http::{HeaderMap, HeaderName};

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// A longer `tracestate` is not passed on.
pub const TRACESTATE_BYTES_MAX: usize = 512;
/// The flag of a trace that is recorded.
const SAMPLED: u128 = 1;

/// The id of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(pub u128);

/// The span of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Its trace.
    pub trace: TraceId,
    /// Its id.
    pub span: u64,
    /// Whether it is recorded.
    pub is_sampled: bool,
}

impl TraceContext {
    /// That of a call with these headers; None where they name no trace.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(&TRACEPARENT)?;
        Self::parse(value.to_str().ok()?)
    }

    /// Reads "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01". Later versions may say more
    /// behind that.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let [version, trace, parent, flags] = [(); 4].map(|()| parts.next());
        let (version, flags) = (hexadecimal(version?, 2)?, hexadecimal(flags?, 2)?);
        let (trace, parent) = (hexadecimal(trace?, 32)?, hexadecimal(parent?, 16)?);
        let has_more = parts.next().is_some();
        let is_known = version != 0xff && !(version == 0 && has_more) && flags <= 0xff;
        let span = u64::try_from(parent).ok()?;
        let context = Self {
            trace: TraceId(trace),
            span,
            is_sampled: flags & SAMPLED == SAMPLED,
        };
        (is_known && trace != 0 && span != 0).then_some(context)
    }
}

/// What the systems on the way of a trace keep with it, as the headers have it.
pub(super) fn trace_state(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(&TRACESTATE).iter();
    let values: Vec<_> = values.map_while(|value| value.to_str().ok()).collect();
    let state = values.join(",");
    (!state.is_empty() && state.len() <= TRACESTATE_BYTES_MAX).then_some(state)
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A number of so many hexadecimal digits, which are small letters.
fn hexadecimal(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_number = text.len() == digits && text.bytes().all(is_digit);
    u128::from_str_radix(text, 16).ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_trace_is_known_by_its_form() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let some = |is_sampled| Some((0x00f0_67aa_0ba9_02b7, is_sampled));
        for (text, expected) in [
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                some(true),
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
                some(false),
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02",
                some(false),
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03",
                some(true),
            ),
            (
                "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
                some(true),
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
                None,
            ),
            (
                "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                None,
            ),
            (
                "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
                None,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
                None,
            ),
            (
                "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                None,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
                None,
            ),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", None),
            (
                "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                None,
            ),
            ("", None),
        ] {
            let found = TraceContext::parse(text);
            let trace_id = found.map(|found| found.trace.to_string());
            assert_eq!(trace_id.as_deref(), expected.map(|_| trace), "{text}");
            let found = found.map(|found| (found.span, found.is_sampled));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn the_state_of_a_trace_is_taken_as_a_whole_or_not_at_all() {
        let long = "a=".to_owned() + &"1".repeat(TRACESTATE_BYTES_MAX);
        let most = &long[..TRACESTATE_BYTES_MAX];
        for (values, expected) in [
            (vec![], None),
            (vec![""], None),
            (vec!["a=1"], Some("a=1")),
            (vec!["a=1", "b=2"], Some("a=1,b=2")),
            (vec![most], Some(most)),
            (vec![long.as_str()], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in &values {
                headers.append(&TRACESTATE, HeaderValue::from_str(value).unwrap());
            }
            assert_eq!(trace_state(&headers).as_deref(), expected, "{values:?}");
        }
    }
}
