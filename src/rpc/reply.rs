//! Replies: their size.

use super::MESSAGE_BYTES_MAX;
use crate::domain::{Refusal, Violation};

/// The tag and the length before an item of a list take at most this many bytes.
pub(super) const ITEM_OVERHEAD_BYTES: usize = 6;
/// More than the reply of a batch takes beside its results.
pub(super) const BATCH_REST_BYTES: usize = 256;

/// Refuses a batch of which only so many items have room in a reply.
pub(super) fn reply_too_large(field: &'static str, items_that_fit: usize) -> Refusal {
    let too_large = Violation::ReplyTooLarge {
        limit_bytes: MESSAGE_BYTES_MAX,
        items_that_fit,
    };
    Refusal::invalid(field, too_large)
}
