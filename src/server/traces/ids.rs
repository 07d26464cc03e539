//! Ids of traces and spans: hashes of numbers under a key of the process, so that all who name a
//! group give it the same ids.

use std::hash::Hasher as _;
use std::sync::atomic::{AtomicU64, Ordering};

use siphasher::sip128::{Hasher128 as _, SipHasher24};

/// What an id is of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Of {
    /// A trace that begins with a call, which may be traced.
    Trace,
    /// A span of a call.
    Span,
    /// The trace of a group.
    GroupTrace,
    /// The span of a group.
    GroupSpan,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Ids {
    key: [u8; 16],
    next: AtomicU64,
}

impl Ids {
    /// Ids of this key.
    pub(super) const fn new(key: [u8; 16]) -> Self {
        Self {
            key,
            next: AtomicU64::new(1),
        }
    }

    /// The id of the thing of that number; it is not 0.
    pub(super) fn id(&self, of: Of, number: u64) -> u128 {
        let kind = match of {
            Of::Trace => 1,
            Of::Span => 2,
            Of::GroupTrace => 3,
            Of::GroupSpan => 4,
        };
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write_u8(kind);
        hasher.write_u64(number);
        hasher.finish128().as_u128().max(1)
    }

    /// A new one.
    pub(super) fn new_id(&self, of: Of) -> u128 {
        self.id(of, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// The id of a span, which has half as many bits.
pub(super) fn span_id(id: u128) -> u64 {
    let low = id & u128::from(u64::MAX);
    u64::try_from(low).unwrap_or_default().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_a_group_are_the_same_whoever_asks_and_others_are_new() {
        let [ids, same, other] = [[1; 16], [1; 16], [2; 16]].map(Ids::new);
        let group = ids.id(Of::GroupTrace, 7);
        assert_eq!(group, same.id(Of::GroupTrace, 7));
        for unlike in [
            other.id(Of::GroupTrace, 7),
            ids.id(Of::GroupTrace, 8),
            ids.id(Of::GroupSpan, 7),
            ids.id(Of::Trace, 7),
        ] {
            assert_ne!(group, unlike);
        }
        assert_ne!(ids.new_id(Of::Span), ids.new_id(Of::Span));
        assert_ne!(span_id(group), span_id(ids.id(Of::GroupTrace, 8)));
        assert_eq!([span_id(0), span_id(u128::MAX)], [1, u64::MAX]);
    }
}
