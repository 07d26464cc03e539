//! Estimate, Charge and their batches in protobuf's wire format, without generated messages.
//!
//! A generated message owns its strings: a batch of 1,000 items makes thousands of allocations
//! in each direction. So a request in its common form is read in place, and replies are written
//! from values. A request in any other form is decoded as a message, and from there on the way
//! is the same.

mod caller;
mod gzip;
pub mod page;
pub mod read;
mod unary;
pub mod write;

use bytes::{Buf, BufMut, Bytes};
use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, skip_field};
use tonic::Status;

use super::codec::decode_message;
use super::refused::ItemsRefused;
pub(super) use caller::{held_of, request_of};
pub use unary::RequestBody;
pub(super) use unary::{serve, serve_stream};

/// A message that is kept as its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded(pub Bytes);

impl prost::Message for Encoded {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        buffer.put_slice(&self.0);
    }

    fn merge(&mut self, mut buffer: impl Buf) -> Result<(), DecodeError> {
        self.0 = buffer.copy_to_bytes(buffer.remaining());
        Ok(())
    }

    /// `merge` takes all fields at once.
    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        skip_field(wire_type, tag, buffer, context)
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

/// What gRPC writes before a message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;
/// A reply that has more room than it needs is moved.
const WASTE_BYTES_MAX: usize = 16 * 1_024;

/// A reply that is written as bytes, behind room for its prefix.
pub struct EncodedReply {
    frame: Vec<u8>,
    /// Why items of a batch were refused, beside the message.
    items_refused: ItemsRefused,
}

impl EncodedReply {
    /// An empty message with room for so many bytes.
    pub(super) fn with_capacity(message_bytes: usize) -> Self {
        let mut frame = Vec::with_capacity(PREFIX_BYTES.saturating_add(message_bytes));
        frame.resize(PREFIX_BYTES, 0);
        Self {
            frame,
            items_refused: ItemsRefused::default(),
        }
    }

    /// Says beside the message why items of a batch were refused.
    pub(super) fn set_items_refused(&mut self, items_refused: ItemsRefused) {
        self.items_refused = items_refused;
    }

    /// Where the message goes on.
    pub(super) const fn end(&mut self) -> &mut Vec<u8> {
        &mut self.frame
    }

    /// The message's length.
    pub(super) fn len(&self) -> usize {
        self.frame.len().saturating_sub(PREFIX_BYTES)
    }

    /// What it takes with its prefix.
    pub(super) const fn frame_bytes(&self) -> usize {
        self.frame.len()
    }

    /// The message alone.
    fn into_message(self) -> Bytes {
        Bytes::from(self.frame).split_off(PREFIX_BYTES)
    }

    /// A message.
    pub(super) fn of(message: &impl prost::Message) -> Self {
        let mut reply = Self::with_capacity(message.encoded_len());
        // A vector has room for everything.
        let _ = message.encode(reply.end());
        reply
    }

    /// Prefix and message.
    fn into_frame(self, is_compressed: bool) -> Bytes {
        self.into_vec(is_compressed).into()
    }

    /// The same, in memory of its length.
    pub(super) fn into_vec(mut self, is_compressed: bool) -> Vec<u8> {
        // A reply is at most a few MiB.
        let length = u32::try_from(self.len()).unwrap_or(u32::MAX);
        if let Some((_, prefix)) = self
            .frame
            .first_chunk_mut::<PREFIX_BYTES>()
            .map(|prefix| prefix.split_at_mut(1))
        {
            prefix.copy_from_slice(&length.to_be_bytes());
        }
        if let Some(flag) = self.frame.first_mut() {
            *flag = u8::from(is_compressed);
        }
        let waste = self.frame.capacity().saturating_sub(self.frame.len());
        if waste > WASTE_BYTES_MAX {
            self.frame.shrink_to_fit();
        }
        self.frame
    }
}

/// The request as bytes.
pub(super) fn encoded<T: prost::Message>(request: tonic::Request<T>) -> Bytes {
    request.into_inner().encode_to_vec().into()
}

/// The reply as a generated message.
pub(super) fn decoded<T: prost::Message + Default + 'static>(
    reply: EncodedReply,
) -> Result<tonic::Response<T>, Status> {
    decode_message(&reply.into_message()).map(tonic::Response::new)
}
