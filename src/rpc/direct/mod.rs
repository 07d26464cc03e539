//! The methods that are called most, between bytes and values without messages.
//!
//! A generated message owns its texts, and a batch of a thousand is some thousand
//! allocations on the way in and as many on the way out. Here a request in its common
//! form is read where it lies, and its reply is written as bytes. What
//! is not in the common form, or does not succeed, goes the way of every other method:
//! the generated message and the generated service. Both ways answer the same, and
//! `tests/it/direct.rs` holds them to it.

mod codec;
pub mod entry;
mod ledger;
mod pricing;
pub mod read;
mod write;

use bytes::Bytes;
use http::{Request, Response};
use prost::Message;
use tonic::Status;
use tonic::body::Body;
use tonic::codec::{CompressionEncoding, EnabledCompressionEncodings};
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, UnaryService};

use self::codec::BytesCodec;
use super::MESSAGE_BYTES_MAX;
use super::codec::decode_message;
use super::reply::reply_of_bytes;

pub(super) use self::ledger::{batch_charge, charge};
pub(super) use self::pricing::{batch_estimate, estimate};

/// Lets tonic serve one call of a method that takes and gives bytes.
async fn serve<B, S>(request: Request<B>, method: S) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    S: UnaryService<Bytes, Response = Bytes>,
{
    let mut gzip = EnabledCompressionEncodings::default();
    gzip.enable(CompressionEncoding::Gzip);
    Grpc::new(BytesCodec)
        .apply_compression_config(gzip, gzip)
        .apply_max_message_size_config(Some(MESSAGE_BYTES_MAX), None)
        .unary(method, request)
        .await
}

/// A reply to a request with these headers.
fn reply(request: &MetadataMap, message: Vec<u8>) -> tonic::Response<Bytes> {
    reply_of_bytes(request, Bytes::from(message))
}

/// The request as the generated service takes it.
fn whole<T: Message + Default + 'static>(
    request: tonic::Request<Bytes>,
) -> Result<tonic::Request<T>, Status> {
    let (metadata, extensions, bytes) = request.into_parts();
    let message = decode_message(&bytes)?;
    Ok(tonic::Request::from_parts(metadata, extensions, message))
}

/// The reply of the generated service.
fn encoded<T: Message>(response: tonic::Response<T>) -> tonic::Response<Bytes> {
    // Whether it is to be compressed was decided: it stands in the extensions.
    response.map(|message| Bytes::from(message.encode_to_vec()))
}
