//! Replies: their size, their compression and their permits.

use std::sync::Arc;

use http::HeaderName;
use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Response, Status};

use super::MESSAGE_BYTES_MAX;
use super::layer::{BatchPlaces, Place};
use super::refused::Refused;
use crate::domain::{Fault, Refusal};

/// The compressions that a caller accepts.
static ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
/// Replies up to this size are not worth compressing, also where it is asked for.
const COMPRESSED_BYTES_MIN: usize = 1_024;
/// The tag and the length before an item of a list take at most this many bytes.
pub(super) const ITEM_OVERHEAD_BYTES: usize = 6;
/// More than the reply of a batch takes beside its results.
pub(super) const BATCH_REST_BYTES: usize = 256;

/// A reply to a request with these headers.
pub(super) fn reply<T: Message>(request: &MetadataMap, message: T) -> Response<T> {
    let asked_for = request.as_ref().contains_key(&ACCEPT_ENCODING);
    let small = asked_for && message.encoded_len() < COMPRESSED_BYTES_MIN;
    let mut response = Response::new(message);
    if small {
        response.disable_compression();
    }
    response
}

/// Takes the permits of many calls for a batch, because its reply can be as large as theirs.
pub(super) fn batch_permit(extensions: &Extensions) -> Result<Option<Arc<Place>>, Status> {
    // Without the layer there is no limit.
    let permits = extensions.get::<BatchPlaces>();
    let taken = permits.map(BatchPlaces::take).transpose();
    taken.map_err(|fault| Refused::from(fault).into_status())
}

/// Keeps the permit until the reply has left.
pub(super) fn with_permit<T>(mut reply: Response<T>, permit: Option<Arc<Place>>) -> Response<T> {
    if let Some(permit) = permit {
        reply.extensions_mut().insert(permit);
    }
    reply
}

/// Adds up the size of a batch's reply.
pub(super) struct BatchSize {
    bytes: usize,
    items_that_fit: usize,
}

impl BatchSize {
    pub(super) const fn new() -> Self {
        Self {
            bytes: BATCH_REST_BYTES,
            items_that_fit: 0,
        }
    }

    /// Adds an item of this length. False where the reply has no room for it.
    pub(super) fn add(&mut self, item_bytes: usize) -> bool {
        let bytes = self.bytes.saturating_add(item_bytes);
        self.bytes = bytes.saturating_add(ITEM_OVERHEAD_BYTES);
        let fits = self.bytes <= MESSAGE_BYTES_MAX;
        self.items_that_fit = self.items_that_fit.saturating_add(usize::from(fits));
        fits
    }

    /// Refuses a batch whose reply would be larger than clients take.
    pub(super) fn check(&self, field: &'static str) -> Result<(), Refusal> {
        if self.bytes <= MESSAGE_BYTES_MAX {
            return Ok(());
        }
        let too_large = Fault::ReplyTooLarge {
            limit_bytes: MESSAGE_BYTES_MAX,
            items_that_fit: self.items_that_fit,
        };
        Err(Refusal::invalid(field, too_large))
    }
}
