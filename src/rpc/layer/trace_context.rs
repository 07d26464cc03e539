//! The trace that a call is part of, as its caller says it: W3C Trace Context.

use std::fmt;

use http::{HeaderMap, HeaderName};

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The id of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TraceId(u128);

impl TraceId {
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
        (is_known && trace != 0 && parent != 0).then_some(Self(trace))
    }
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
    use super::*;

    #[test]
    fn a_trace_is_known_by_its_form() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        for (text, is_known) in [
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                true,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
                true,
            ),
            (
                "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
                true,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
                false,
            ),
            (
                "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                false,
            ),
            (
                "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
                false,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
                false,
            ),
            (
                "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                false,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
                false,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
                false,
            ),
            (
                "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                false,
            ),
            ("", false),
        ] {
            let found = TraceId::parse(text).map(|trace| trace.to_string());
            assert_eq!(found.as_deref(), is_known.then_some(trace), "{text}");
        }
    }
}
