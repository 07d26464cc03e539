//! Estimate, Charge and their batches in protobuf's wire format, without generated messages.
//!
//! A generated message owns its strings: a batch of 1,000 items makes thousands of allocations
//! in each direction. So a request in its common form is read in place, and replies are written
//! from values. A request in any other form is decoded as a message, and from there on the way
//! is the same.

pub mod read;
pub mod write;

use std::convert::Infallible;

use bytes::{Buf, BufMut, Bytes};
use http::{Request, Response};
use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, skip_field};
use tonic::Status;
use tonic::body::Body;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::codec::EnabledCompressionEncodings;
use tonic::codegen::BoxFuture;
use tonic::server::{Grpc, UnaryService};

use super::MESSAGE_BYTES_MAX;
use super::codec::{Codec, decode_message};

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

/// A request that was decoded, as its bytes.
pub(super) fn encoded<T: prost::Message>(request: tonic::Request<T>) -> tonic::Request<Encoded> {
    request.map(|message| Encoded(message.encode_to_vec().into()))
}

/// The reply as a generated message.
pub(super) fn decoded<T: prost::Message + Default + 'static>(
    reply: tonic::Response<Encoded>,
) -> Result<tonic::Response<T>, Status> {
    let (metadata, Encoded(bytes), extensions) = reply.into_parts();
    let message = decode_message(&bytes)?;
    Ok(tonic::Response::from_parts(metadata, message, extensions))
}

/// Serves one call of a method that gives its reply as bytes.
pub(super) fn serve<B, Q, S>(
    request: Request<B>,
    method: S,
) -> BoxFuture<Response<Body>, Infallible>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
    Q: prost::Message + Default + 'static,
    S: UnaryService<Q, Response = Encoded> + Send + 'static,
    S::Future: Send,
{
    let mut gzip = EnabledCompressionEncodings::default();
    gzip.enable(Gzip);
    let mut grpc = Grpc::new(Codec::<Encoded, Q>::default())
        .apply_compression_config(gzip, gzip)
        .apply_max_message_size_config(Some(MESSAGE_BYTES_MAX), None);
    Box::pin(async move { Ok(grpc.unary(method, request).await) })
}
