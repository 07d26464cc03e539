//! Calls whose request and reply are bytes. A request that came whole and is not compressed, as
//! nearly all are, is read here, and one by gzip beside; tonic's way, which is open to every kind
//! of request, takes a tenth of what an Estimate costs. All others are read that way. Every reply
//! is made here, so that its length is known before it is sent.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, BodyStream, Full, StreamBody};
use tonic::Status;
use tonic::body::Body;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::codec::EnabledCompressionEncodings;
use tonic::codegen::BoxFuture;
use tonic::server::Grpc;
use tower::service_fn;

use super::{Encoded, EncodedReply, PREFIX_BYTES, gzip};
use crate::rpc::MESSAGE_BYTES_MAX;
use crate::rpc::codec::Codec;
use crate::rpc::layer::{GRPC_STATUS, MeteredBody, Reservation};
use crate::rpc::refused::Refused;

/// The compressions that a caller accepts.
static ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
static GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// The body of a request.
pub trait RequestBody:
    http_body::Body<Data = Bytes, Error: Into<BoxError> + Send> + Send + Unpin + 'static
{
    /// What its call holds, where that is limited.
    fn held(&self) -> Option<Reservation>;
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl<B> RequestBody for MeteredBody<B>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    fn held(&self) -> Option<Reservation> {
        Self::held(self).cloned()
    }
}

impl RequestBody for Body {
    fn held(&self) -> Option<Reservation> {
        None
    }
}

/// Answers a request by a method that takes and gives bytes.
pub fn serve<B, M, F>(request: Request<B>, method: M) -> BoxFuture<Response<Body>, Infallible>
where
    B: RequestBody,
    M: FnOnce(Bytes, Option<Reservation>) -> F + Send + 'static,
    F: Future<Output = Result<EncodedReply, Status>> + Send + 'static,
{
    Box::pin(async move {
        let received = match received(request).await {
            Ok(received) => received,
            Err(response) => return Ok(*response),
        };
        let Received {
            message,
            accepted,
            held,
        } = received;
        let compressing = held
            .as_ref()
            .filter(|_| accepted == Accepted::Gzip)
            .cloned();
        Ok(match method(message, held).await {
            Ok(reply) if accepted == Accepted::Gzip => {
                Box::pin(compressed(reply, compressing)).await
            }
            Ok(reply) => response(reply, false),
            Err(status) => status.into_http(),
        })
    })
}

/// Answers a request by a method that gives a stream of messages, compressed or not.
pub fn serve_stream<B, M, F>(
    request: Request<B>,
    method: M,
) -> BoxFuture<Response<Body>, Infallible>
where
    B: RequestBody,
    M: FnOnce(Bytes, Option<Reservation>, bool) -> F + Send + 'static,
    F: Future<Output = Result<Body, Status>> + Send + 'static,
{
    Box::pin(async move {
        let received = match received(request).await {
            Ok(received) => received,
            Err(response) => return Ok(*response),
        };
        let compress = received.accepted == Accepted::Gzip;
        Ok(
            match method(received.message, received.held, compress).await {
                Ok(body) => head(body, compress),
                Err(status) => status.into_http(),
            },
        )
    })
}

/// A request that has come.
struct Received {
    message: Bytes,
    accepted: Accepted,
    held: Option<Reservation>,
}

async fn received<B: RequestBody>(request: Request<B>) -> Result<Received, Box<Response<Body>>> {
    let (head, mut body) = request.into_parts();
    let held = body.held();
    let accepted = Accepted::of(&head.headers);
    let first = match body.frame().await.transpose() {
        Ok(first) => first,
        Err(error) => return Err(Box::new(gzip::status(error).into_http())),
    };
    if let Some(message) = whole_message(&head.headers, first.as_ref(), &body) {
        return Ok(Received {
            message,
            accepted,
            held,
        });
    }
    let encoding = head.headers.get(&GRPC_ENCODING);
    let message = match encoding.is_some_and(|encoding| encoding == "gzip") {
        true => {
            let message = Box::pin(gzip::message(first, body, held.as_ref())).await;
            message.map_err(|status| Box::new(status.into_http()))?
        }
        false => {
            let frames = stream::iter(first.map(Ok)).chain(BodyStream::new(body));
            let request = Request::from_parts(head, StreamBody::new(frames));
            Box::pin(by_tonic(request)).await?
        }
    };
    Ok(Received {
        message,
        accepted,
        held,
    })
}

/// The message, where it is all of the request and needs no more than to be taken.
fn whole_message(
    headers: &HeaderMap,
    first: Option<&Frame<Bytes>>,
    rest: &impl http_body::Body,
) -> Option<Bytes> {
    let data = first?.data_ref()?;
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

/// The message of any request, read by tonic; or what tonic answers.
async fn by_tonic<B>(request: Request<B>) -> Result<Bytes, Box<Response<Body>>>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
{
    let mut gzip = EnabledCompressionEncodings::default();
    gzip.enable(Gzip);
    let mut grpc = Grpc::new(Codec::<Encoded, Encoded>::default())
        .apply_compression_config(gzip, gzip)
        .apply_max_message_size_config(Some(MESSAGE_BYTES_MAX), None);
    let message = Arc::new(Mutex::new(None));
    let taken = Arc::clone(&message);
    let method = service_fn(move |request: tonic::Request<Encoded>| {
        let Encoded(bytes) = request.into_inner();
        *taken.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes);
        ready(Ok(tonic::Response::new(Encoded::default())))
    });
    let response = grpc.unary(method, request).await;
    let mut message = message.lock().unwrap_or_else(PoisonError::into_inner);
    message.take().ok_or_else(|| Box::new(response))
}

/// The compression of its reply that a call accepts.
#[derive(Clone, Copy, PartialEq, Eq)]
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

async fn compressed(reply: EncodedReply, held: Option<Reservation>) -> Response<Body> {
    // Both are there meanwhile, and other calls go on.
    let room = held.map_or(Ok(()), |held| held.compressing(reply.len()));
    if let Err(refusal) = room {
        return Refused::from(refusal).into_status().into_http();
    }
    let (reply, is_compressed) = reply.compressed_if(true).await;
    response(reply, is_compressed)
}

fn response(mut reply: EncodedReply, is_compressed: bool) -> Response<Body> {
    let items_refused = std::mem::take(&mut reply.items_refused);
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(GRPC_STATUS.clone(), HeaderValue::from_static("0"));
    let frame = reply.into_frame(is_compressed);
    let body = Full::new(frame).with_trailers(ready(Some(Ok(trailers))));
    let mut response = head(Body::new(body), is_compressed);
    if !items_refused.is_empty() {
        response.extensions_mut().insert(items_refused);
    }
    response
}

fn head(body: Body, is_compressed: bool) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if is_compressed {
        headers.insert(GRPC_ENCODING.clone(), HeaderValue::from_static("gzip"));
    }
    response
}
