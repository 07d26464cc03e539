//! Replies: their size and their compression.

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use prost::Message;
use tonic::Response;
use tonic::metadata::MetadataMap;

use super::MESSAGE_BYTES_MAX;
use crate::domain::{Fault, Refusal};

/// What a caller says that it can take.
static ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
/// Replies up to this size are not worth compressing, also where it is asked for.
const COMPRESSED_BYTES_MIN: usize = 1_024;
/// A field's tag and the length before an item take at most so many bytes.
pub(super) const ITEM_OVERHEAD_BYTES: usize = 6;
/// More than a batch's reply takes beside its results.
pub(super) const BATCH_REST_BYTES: usize = 256;

/// A reply to a request with these headers.
pub(super) fn reply<T: Message>(request: &MetadataMap, message: T) -> Response<T> {
    let asked_for = takes_compressed(request.as_ref());
    let small = asked_for && message.encoded_len() < COMPRESSED_BYTES_MIN;
    let mut response = Response::new(message);
    if small {
        response.disable_compression();
    }
    response
}

/// Whether a caller with these headers takes a compressed reply.
pub(super) fn takes_compressed(headers: &HeaderMap) -> bool {
    headers.contains_key(&ACCEPT_ENCODING)
}

/// A reply of a message that is bytes already.
pub(super) fn reply_of_bytes(takes_compressed: bool, message: Vec<u8>) -> Response<Bytes> {
    let small = message.len() < COMPRESSED_BYTES_MIN;
    let mut response = Response::new(Bytes::from(message));
    if takes_compressed && small {
        response.disable_compression();
    }
    response
}

/// Refuses a batch whose reply would be larger than clients take.
pub(super) fn check_reply_size<T: Message>(
    field: &'static str,
    items: &[T],
    rest_bytes: usize,
) -> Result<(), Refusal> {
    let mut total = rest_bytes;
    let mut items_that_fit = 0_usize;
    for item in items {
        total = total
            .saturating_add(item.encoded_len())
            .saturating_add(ITEM_OVERHEAD_BYTES);
        if total <= MESSAGE_BYTES_MAX {
            items_that_fit = items_that_fit.saturating_add(1);
        }
    }
    if total <= MESSAGE_BYTES_MAX {
        return Ok(());
    }
    Err(reply_too_large(field, items_that_fit))
}

/// Refuses a batch of which only so many items have room in a reply.
pub(super) fn reply_too_large(field: &'static str, items_that_fit: usize) -> Refusal {
    Refusal::invalid(
        field,
        Fault::ReplyTooLarge {
            limit_bytes: MESSAGE_BYTES_MAX,
            items_that_fit,
        },
    )
}
