//! Encodes and decodes messages with prost. Unlike tonic's own codec, it refuses bytes that are
//! no message as the caller's mistake, and a batch of too many items before it decodes them.

use std::any::TypeId;
use std::marker::PhantomData;

use bytes::Buf as _;
use prost::Message;
use prost::encoding::decode_varint;
use tonic::Status;
use tonic::codec::{BufferSettings, DecodeBuf, Decoder};
use tonic_prost::ProstEncoder;

use super::pb::creditd::v1 as pb;
use super::refused::{Refused, RpcRefusal};
use super::wire::Encoded;
use crate::app::BATCH_LENGTH_MAX;
use crate::domain::{Refusal, Violation};

/// The codec of every method.
#[derive(Clone, Copy, Debug)]
pub struct Codec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> tonic::codec::Codec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = MessageDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(buffers())
    }

    fn decoder(&mut self) -> Self::Decoder {
        MessageDecoder {
            has_decoded: false,
            message: PhantomData,
        }
    }
}

/// Most messages are small: the buffer begins small, and grows for a large one.
pub(super) fn buffers() -> BufferSettings {
    BufferSettings::new(512, 32 * 1_024)
}

/// Decodes the message of a call.
#[derive(Clone, Copy, Debug)]
pub struct MessageDecoder<U> {
    has_decoded: bool,
    message: PhantomData<U>,
}

impl<U: Message + Default + 'static> Decoder for MessageDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        // No method takes a stream of requests. The one that gives a stream is read by clients.
        let is_stream = TypeId::of::<U>() == TypeId::of::<pb::WatchBalanceResponse>();
        if std::mem::replace(&mut self.has_decoded, true) && !is_stream {
            let problem = "a second message in a call that takes one".to_owned();
            return Err(Refused::from(RpcRefusal::MalformedMessage { problem }).into_status());
        }
        if TypeId::of::<U>() == TypeId::of::<Encoded>() {
            // From the buffer itself its bytes are taken without a copy.
            return U::decode(bytes).map(Some).map_err(malformed);
        }
        // A message lies in one piece, from which prost decodes faster than from a buffer.
        let message = decode_message(bytes.chunk())?;
        bytes.advance(bytes.remaining());
        Ok(Some(message))
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}

/// Decodes a message that was taken as bytes.
pub(super) fn decode_message<U: Message + Default + 'static>(bytes: &[u8]) -> Result<U, Status> {
    check_batch::<U>(bytes)?;
    U::decode(bytes).map_err(malformed)
}

fn malformed(error: prost::DecodeError) -> Status {
    let problem = error.to_string();
    Refused::from(RpcRefusal::MalformedMessage { problem }).into_status()
}

/// Refuses a batch of too many items before it is decoded: two bytes on the wire become
/// hundreds in memory.
fn check_batch<U: 'static>(bytes: &[u8]) -> Result<(), Status> {
    let field = if TypeId::of::<U>() == TypeId::of::<pb::BatchEstimateRequest>() {
        "usages"
    } else if TypeId::of::<U>() == TypeId::of::<pb::BatchChargeRequest>() {
        "charges"
    } else {
        return Ok(());
    };
    let size = count_items(bytes);
    if size <= BATCH_LENGTH_MAX {
        return Ok(());
    }
    let limit = BATCH_LENGTH_MAX;
    let refusal = Refusal::invalid(field, Violation::TooManyItems { size, limit });
    Err(Refused::from(refusal).into_status())
}

/// How often field 1, a message, stands in these bytes. It stops at bytes that are no message,
/// which the decoder refuses.
pub(super) fn count_items(mut bytes: &[u8]) -> usize {
    const ITEM: u64 = 0x0a;
    let mut count = 0_usize;
    while let Ok(tag) = decode_varint(&mut bytes) {
        let skip = match tag & 7 {
            0 => decode_varint(&mut bytes).map(|_| 0),
            1 => Ok(8),
            2 => decode_varint(&mut bytes),
            5 => Ok(4),
            _ => break,
        };
        let rest = skip
            .ok()
            .and_then(|skip| usize::try_from(skip).ok())
            .and_then(|skip| bytes.get(skip..));
        let Some(rest) = rest else { break };
        bytes = rest;
        count = count.saturating_add(usize::from(tag == ITEM));
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_counted_as_the_decoder_reads_them() {
        let request = pb::BatchEstimateRequest {
            usages: vec![pb::Usage::default(); 300],
            prices: Some(pb::PriceSelector::default()),
            explain: true,
            check_balance: true,
        };
        assert_eq!(count_items(&request.encode_to_vec()), 300);
        assert_eq!(count_items(&[]), 0);
        assert_eq!(count_items(&[0x0a, 0xff]), 0);
        assert_eq!(count_items(&[0x0a, 0x00, 0x0a, 0x05, 0x01]), 1);
        assert_eq!(count_items(&[0xff; 40]), 0);
    }
}
