//! Replies: their size and their compression.

use http::HeaderName;
use prost::Message;
use tonic::Response;
use tonic::metadata::MetadataMap;

use super::MESSAGE_BYTES_MAX;
use crate::domain::{Refusal, Violation};

/// The compressions that a caller accepts.
pub(super) static ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
/// Replies up to this size are not worth compressing, also where it is asked for.
pub(super) const COMPRESSED_BYTES_MIN: usize = 1_024;
/// The tag and the length before an item of a list take at most this many bytes.
pub(super) const ITEM_OVERHEAD_BYTES: usize = 6;
/// More than the reply of a batch takes beside its results.
pub(super) const BATCH_REST_BYTES: usize = 256;

/// A reply to a request with these headers.
pub(super) fn reply<T: Message>(request: &MetadataMap, message: T) -> Response<T> {
    let accepts_compression = request.as_ref().contains_key(&ACCEPT_ENCODING);
    let small = accepts_compression && message.encoded_len() < COMPRESSED_BYTES_MIN;
    let mut response = Response::new(message);
    if small {
        response.disable_compression();
    }
    response
}

/// Refuses a batch of which only so many items have room in a reply.
pub(super) fn reply_too_large(field: &'static str, items_that_fit: usize) -> Refusal {
    let too_large = Violation::ReplyTooLarge {
        limit_bytes: MESSAGE_BYTES_MAX,
        items_that_fit,
    };
    Refusal::invalid(field, too_large)
}
