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

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use prost::Message;
use tonic::Status;
use tonic::body::Body;
use tonic::codec::{CompressionEncoding, EnabledCompressionEncodings};
use tonic::codegen::BoxFuture;
use tonic::server::{Grpc, UnaryService};

use self::codec::BytesCodec;
use super::MESSAGE_BYTES_MAX;
use super::codec::decode_message;

pub(super) use self::ledger::{batch_charge, charge};
pub(super) use self::pricing::{batch_estimate, estimate};

/// A call under way. It is as large as what has to be kept while it waits and no larger:
/// with hundreds of calls waiting, memory that is cold costs more than what is done in it.
pub(super) type Call = BoxFuture<Response<Body>, Infallible>;

/// Lets tonic serve one call of a method that takes and gives bytes.
fn serve<B, S>(request: Request<B>, takes_compressed: bool, method: S) -> Call
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
    S: UnaryService<Bytes, Response = Bytes> + Send + 'static,
    S::Future: Send,
{
    let mut gzip = EnabledCompressionEncodings::default();
    gzip.enable(CompressionEncoding::Gzip);
    // tonic need not look whether a caller takes what it does not take.
    let sent = match takes_compressed {
        true => gzip,
        false => EnabledCompressionEncodings::default(),
    };
    let mut grpc = Grpc::new(BytesCodec)
        .apply_compression_config(gzip, sent)
        .apply_max_message_size_config(Some(MESSAGE_BYTES_MAX), None);
    Box::pin(async move { Ok(grpc.unary(method, request).await) })
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
