//! Compresses replies and inflates requests in slices: megabytes take a tenth of a second, and
//! other calls of the thread go on meanwhile.

use std::io::Write as _;

use bytes::{Buf as _, Bytes};
use flate2::Compression;
use flate2::write::{GzDecoder, GzEncoder};
use http_body::Frame;
use http_body_util::BodyExt as _;
use tokio::task::yield_now;
use tonic::Status;

use super::{EncodedReply, PREFIX_BYTES};
use crate::rpc::MESSAGE_BYTES_MAX;
use crate::rpc::layer::{NoRoom, Reservation};
use crate::rpc::refused::{Refused, RpcRefusal};

/// Messages up to this size are not worth compressing.
const COMPRESSED_BYTES_MIN: usize = 1_024;
/// So much is compressed at a time: about half a millisecond.
const SLICE_BYTES: usize = 16 * 1_024;
/// So much is inflated at a time: it makes a megabyte at most.
const INFLATED_SLICE_BYTES: usize = 1_024;
/// After so much that was made or read, others have their turn.
const INFLATED_PACE_BYTES: usize = 64 * 1_024;
/// As much as gRPC's libraries compress by default.
const LEVEL: u32 = 6;

impl EncodedReply {
    /// The same message, compressed where that is asked for and worth it; and whether it is.
    pub(in crate::rpc) async fn compressed_if(self, asked: bool) -> (Self, bool) {
        match asked && self.len() >= COMPRESSED_BYTES_MIN {
            true => (Box::pin(compressed(self)).await, true),
            false => (self, false),
        }
    }
}

/// The same message, compressed.
async fn compressed(mut reply: EncodedReply) -> EncodedReply {
    let items_refused = std::mem::take(&mut reply.items_refused);
    let into = EncodedReply::with_capacity(reply.len().div_euclid(4)).frame;
    let mut encoder = GzEncoder::new(into, Compression::new(LEVEL));
    let message = reply.into_message();
    for (number, slice) in message.chunks(SLICE_BYTES).enumerate() {
        if number > 0 {
            yield_now().await;
        }
        // A vector has room for everything.
        let _ = encoder.write_all(slice);
    }
    drop(message);
    let frame = encoder.finish().unwrap_or_default();
    EncodedReply {
        frame,
        items_refused,
    }
}

/// The message of a request whose encoding is gzip, of which the first frame has come.
pub(super) async fn message<B, E>(
    first: Option<Frame<Bytes>>,
    mut body: B,
    held: Option<&Reservation>,
) -> Result<Bytes, Status>
where
    B: http_body::Body<Data = Bytes, Error = E> + Unpin,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut next = first;
    let mut bytes = Bytes::new();
    let mut joined = Vec::new();
    while let Some(frame) = next {
        if let Ok(data) = frame.into_data() {
            match bytes.is_empty() && joined.is_empty() {
                true => bytes = data,
                // A frame is a part of a larger buffer: small ones would keep many.
                false => {
                    joined.extend_from_slice(&std::mem::take(&mut bytes));
                    joined.extend_from_slice(&data);
                }
            }
        }
        let length = bytes.len().max(joined.len());
        if length > MESSAGE_BYTES_MAX.saturating_add(PREFIX_BYTES) {
            return Err(too_large());
        }
        next = body.frame().await.transpose().map_err(status)?;
    }
    drop(body);
    if !joined.is_empty() {
        bytes = joined.into();
    }
    let Some([compressed, length @ ..]) = bytes.first_chunk::<PREFIX_BYTES>().copied() else {
        return Err(malformed("the request ends before its message"));
    };
    bytes.advance(PREFIX_BYTES);
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > MESSAGE_BYTES_MAX {
        return Err(too_large());
    }
    match length.cmp(&bytes.len()) {
        std::cmp::Ordering::Greater => Err(malformed("the request ends within its message")),
        std::cmp::Ordering::Less => Err(malformed("a second message in a call that takes one")),
        std::cmp::Ordering::Equal => match compressed {
            0 => Ok(bytes),
            1 => match held {
                Some(held) => {
                    let room = held.inflating(length).await.map_err(Refused::from)?;
                    let message = inflated(bytes).await?;
                    held.inflated(room, message.len());
                    Ok(message)
                }
                None => inflated(bytes).await,
            },
            _ => Err(malformed("a compression flag that is neither 0 nor 1")),
        },
    }
}

async fn inflated(bytes: Bytes) -> Result<Bytes, Status> {
    let not_gzip = |error: std::io::Error| malformed(&format!("it is not gzip: {error}"));
    let mut decoder = GzDecoder::new(Vec::with_capacity(bytes.len()));
    let mut since = 0_usize;
    for slice in bytes.chunks(INFLATED_SLICE_BYTES) {
        if since > INFLATED_PACE_BYTES {
            since = 0;
            yield_now().await;
        }
        let before = decoder.get_ref().len();
        decoder.write_all(slice).map_err(not_gzip)?;
        let after = decoder.get_ref().len();
        if after > MESSAGE_BYTES_MAX {
            return Err(too_large());
        }
        since = since
            .saturating_add(after.saturating_sub(before))
            .saturating_add(slice.len());
    }
    let message = decoder.finish().map_err(not_gzip)?;
    match message.len() > MESSAGE_BYTES_MAX {
        true => Err(too_large()),
        false => Ok(message.into()),
    }
}

/// Why a body cannot be read: what was refused on the way, or that it broke.
pub(super) fn status<E: Into<Box<dyn std::error::Error + Send + Sync>>>(error: E) -> Status {
    match error.into().downcast::<NoRoom>() {
        // The layer of limits says why.
        Ok(_) => Status::unavailable(""),
        Err(error) => malformed(&error.to_string()),
    }
}

fn too_large() -> Status {
    let limit_bytes = MESSAGE_BYTES_MAX;
    Refused::from(RpcRefusal::MessageTooLarge { limit_bytes }).into_status()
}

fn malformed(problem: &str) -> Status {
    let problem = problem.to_owned();
    Refused::from(RpcRefusal::MalformedMessage { problem }).into_status()
}
