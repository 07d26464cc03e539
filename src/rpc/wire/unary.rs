//! A unary call whose request and reply are bytes. One whose request came whole and is not
//! compressed, as nearly all are, is read and answered here; tonic's way, which is open to
//! every kind of call, takes a tenth of what an Estimate costs. All others go that way.

use std::convert::Infallible;
use std::future::{Future, ready};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, BodyStream, Full, StreamBody};
use tonic::Status;
use tonic::body::Body;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::codec::{EnabledCompressionEncodings, EncodeBody, SingleMessageCompressionOverride};
use tonic::codegen::BoxFuture;
use tonic::server::Grpc;
use tonic_prost::ProstEncoder;
use tower::service_fn;

use super::{Encoded, EncodedReply, PREFIX_BYTES};
use crate::rpc::MESSAGE_BYTES_MAX;
use crate::rpc::codec::{Codec, buffers};
use crate::rpc::layer::GRPC_STATUS;
use crate::rpc::reply::{ACCEPT_ENCODING, COMPRESSED_BYTES_MIN, reply};

static GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// Answers a request by a method that takes and gives bytes.
pub fn serve<B, M, F>(request: Request<B>, method: M) -> BoxFuture<Response<Body>, Infallible>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
    M: Fn(Bytes) -> F + Send + Sync + 'static,
    F: Future<Output = Result<EncodedReply, Status>> + Send + 'static,
{
    Box::pin(async move {
        let (accepted, message) = {
            let (head, mut body) = request.into_parts();
            let first = body.frame().await;
            let Some(message) = whole_message(&head.headers, first.as_ref(), &body) else {
                let frames = stream::iter(first).chain(BodyStream::new(body));
                let request = Request::from_parts(head, StreamBody::new(frames));
                return Ok(Box::pin(by_tonic(request, method)).await);
            };
            (Accepted::of(&head.headers), message)
        };
        Ok(match method(message).await {
            Ok(reply) => response(reply, accepted),
            Err(status) => status.into_http(),
        })
    })
}

/// The message, where it is all of the request and needs no more than to be taken.
fn whole_message<B, E>(
    headers: &HeaderMap,
    first: Option<&Result<Frame<Bytes>, E>>,
    rest: &B,
) -> Option<Bytes>
where
    B: http_body::Body,
{
    let data = first?.as_ref().ok()?.data_ref()?;
    let (prefix, message) = data.split_at_checked(PREFIX_BYTES)?;
    let [0, length @ ..] = *prefix.first_chunk::<PREFIX_BYTES>()? else {
        return None;
    };
    let is_whole = usize::try_from(u32::from_be_bytes(length)).ok()? == message.len()
        && message.len() <= MESSAGE_BYTES_MAX
        && rest.is_end_stream()
        && !headers.contains_key(&GRPC_ENCODING);
    is_whole.then(|| data.slice(PREFIX_BYTES..))
}

/// The compression of its reply that a call accepts.
#[derive(Clone, Copy)]
enum Accepted {
    Gzip,
    Nothing,
}

impl Accepted {
    fn of(headers: &HeaderMap) -> Self {
        let value = headers.get(&ACCEPT_ENCODING);
        let names = value.and_then(|value| value.to_str().ok());
        let is_gzip = |names: &str| names.split(',').any(|name| name.trim() == "gzip");
        match names.is_some_and(is_gzip) {
            true => Self::Gzip,
            false => Self::Nothing,
        }
    }
}

fn response(reply: EncodedReply, accepted: Accepted) -> Response<Body> {
    let mut response = match accepted {
        Accepted::Gzip if reply.len() >= COMPRESSED_BYTES_MIN => {
            let messages = stream::iter([Ok(Encoded(reply.into_message()))]);
            let body = EncodeBody::new_server(
                ProstEncoder::new(buffers()),
                messages,
                Some(Gzip),
                SingleMessageCompressionOverride::default(),
                None,
            );
            let mut response = Response::new(Body::new(body));
            let gzip = HeaderValue::from_static("gzip");
            response.headers_mut().insert(GRPC_ENCODING.clone(), gzip);
            response
        }
        _ => {
            let mut trailers = HeaderMap::with_capacity(1);
            trailers.insert(GRPC_STATUS.clone(), HeaderValue::from_static("0"));
            let body = Full::new(reply.into_frame()).with_trailers(ready(Some(Ok(trailers))));
            Response::new(Body::new(body))
        }
    };
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, grpc);
    response
}

async fn by_tonic<B, M, F>(request: Request<B>, method: M) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
    M: Fn(Bytes) -> F + Send + Sync + 'static,
    F: Future<Output = Result<EncodedReply, Status>> + Send + 'static,
{
    let mut gzip = EnabledCompressionEncodings::default();
    gzip.enable(Gzip);
    let mut grpc = Grpc::new(Codec::<Encoded, Encoded>::default())
        .apply_compression_config(gzip, gzip)
        .apply_max_message_size_config(Some(MESSAGE_BYTES_MAX), None);
    let method = service_fn(move |request: tonic::Request<Encoded>| {
        let (headers, _, Encoded(bytes)) = request.into_parts();
        let answer = method(bytes);
        async move { Ok(reply(&headers, Encoded(answer.await?.into_message()))) }
    });
    grpc.unary(method, request).await
}
