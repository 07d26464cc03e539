//! Id of the call: a valid `x-request-id` is kept, otherwise one is made. The caller finds
//! it in the reply's headers, and the operator in the log. It has nothing to
//! do with the `request_id` of a write, by which a caller can repeat it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::domain::names::{X_REQUEST_ID_BYTES_MAX, is_printable};

/// The header.
pub static HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Makes ids that no other process makes: random bits and a count.
#[derive(Debug)]
pub(super) struct Ids {
    process: u64,
    next: AtomicU64,
}

impl Ids {
    pub(super) fn new() -> Arc<Self> {
        // Without randomness ids are still unique within the process.
        let process = getrandom::u64().unwrap_or_default();
        Arc::new(Self {
            process,
            next: AtomicU64::new(1),
        })
    }
}

impl Ids {
    /// The id of a call with these headers.
    pub(super) fn id(&self, headers: &HeaderMap) -> CallId {
        if let Some(given) = headers.get(&HEADER)
            && given
                .to_str()
                .is_ok_and(|text| is_printable(text, X_REQUEST_ID_BYTES_MAX))
        {
            return CallId::Given(given.clone());
        }
        CallId::Made {
            process: self.process,
            count: self.next.fetch_add(1, Ordering::Relaxed),
        }
    }
}

/// The id of a call. One that was made is written where it is needed: to keep a header's
/// value twice costs more.
#[derive(Clone, Debug)]
pub(super) enum CallId {
    Given(HeaderValue),
    Made { process: u64, count: u64 },
}

impl CallId {
    /// As a header.
    pub(super) fn header(&self) -> HeaderValue {
        let mut id = match self {
            Self::Given(id) => id.clone(),
            Self::Made { process, count } => {
                let mut text = [0_u8; 33];
                let text = write_id(*process, *count, &mut text);
                // Hexadecimal digits and a dash are always a header's value.
                let id = HeaderValue::from_bytes(text);
                id.unwrap_or(HeaderValue::from_static("unknown"))
            }
        };
        // No two are equal: they are not worth a place in the connection's table of
        // headers, which costs more than all else about them.
        id.set_sensitive(true);
        id
    }

    /// As a text.
    pub(super) fn text(&self) -> String {
        let header = self.header();
        header.to_str().unwrap_or_default().to_owned()
    }
}

/// Writes 16 digits, a dash, and as many digits as the count needs.
fn write_id(process: u64, count: u64, buffer: &mut [u8; 33]) -> &[u8] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |number: u64| {
        let low = usize::try_from(number & 0xf).unwrap_or_default();
        DIGITS.get(low).copied().unwrap_or(b'0')
    };
    let (head, tail) = buffer.split_at_mut(17);
    for (place, digits) in head.iter_mut().zip((0..16_u32).rev()) {
        *place = digit(process >> digits.saturating_mul(4));
    }
    if let Some(dash) = head.last_mut() {
        *dash = b'-';
    }
    let length = (64_u32.saturating_sub(count.leading_zeros()))
        .div_ceil(4)
        .max(1);
    for (place, digits) in tail.iter_mut().zip((0..length).rev()) {
        *place = digit(count >> digits.saturating_mul(4));
    }
    let end = usize::try_from(length)
        .unwrap_or_default()
        .saturating_add(17);
    buffer.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_as_hexadecimal_numbers() {
        for (process, count, expected) in [
            (0, 0, "0000000000000000-0"),
            (1, 0x10, "0000000000000001-10"),
            (u64::MAX, u64::MAX, "ffffffffffffffff-ffffffffffffffff"),
            (0x0123_4567_89ab_cdef, 0xabc, "0123456789abcdef-abc"),
        ] {
            let mut buffer = [0; 33];
            let text = write_id(process, count, &mut buffer);
            assert_eq!(std::str::from_utf8(text), Ok(expected));
        }
    }
}
