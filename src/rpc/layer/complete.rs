//! Completes refusals: what tonic refuses by itself, before a handler runs, comes
//! without an ErrorInfo and with codes that mislead. Here it gets the reason and
//! the code of the contract.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Request, Response};
use http_body::Body as _;
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::{GRPC_STATUS, GRPC_STATUS_DETAILS, OfConnection, ReplyBody};
use crate::domain::names::repeated;
use crate::rpc::MESSAGE_BYTES_MAX;
use crate::rpc::peer::Peer;
use crate::rpc::refused::{Refused, RpcRefusal};

/// Puts [`Complete`] around a service.
#[derive(Clone, Copy, Debug)]
pub struct CompleteLayer;

impl<S> Layer<S> for CompleteLayer {
    type Service = Complete<S>;

    fn layer(&self, inner: S) -> Complete<S> {
        Complete { inner }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Complete<S> {
    inner: S,
}

impl<S: OfConnection> OfConnection for Complete<S> {
    fn of_connection(self, peer: &Peer) -> Self {
        Self {
            inner: self.inner.of_connection(peer),
        }
    }
}

impl<S, A> Service<Request<A>> for Complete<S>
where
    S: Service<Request<A>, Response = Response<ReplyBody>>,
{
    type Response = Response<ReplyBody>;
    type Error = S::Error;
    type Future = Completed<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        Completed {
            inner: self.inner.call(request),
        }
    }
}

pin_project_lite::pin_project! {
    /// A reply whose refusal will be complete.
    pub struct Completed<F> {
        #[pin]
        inner: F,
    }
}

impl<F, E> Future for Completed<F>
where
    F: Future<Output = Result<Response<ReplyBody>, E>>,
{
    type Output = Result<Response<ReplyBody>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(self.project().inner.poll(context));
        Poll::Ready(
            // A refusal has no message.
            outcome.map(|response| match response.body().is_end_stream() {
                true => completed(response),
                false => response,
            }),
        )
    }
}

fn completed(response: Response<ReplyBody>) -> Response<ReplyBody> {
    match missing_reason(response.headers()) {
        Some(refusal) => ReplyBody::free(Refused::from(refusal).into_status().into_http()),
        None => response,
    }
}

/// What a refusal without details is about; None where there is nothing to add.
fn missing_reason(headers: &HeaderMap) -> Option<RpcRefusal> {
    headers.get(&GRPC_STATUS)?;
    if headers.contains_key(&GRPC_STATUS_DETAILS) {
        return None;
    }
    let status = Status::from_header_map(headers)?;
    let problem = || repeated(status.message()).into_string();
    match status.code() {
        Code::OutOfRange | Code::ResourceExhausted => Some(RpcRefusal::MessageTooLarge {
            limit_bytes: MESSAGE_BYTES_MAX,
        }),
        // A message that is compressed in no way that its headers name.
        Code::Internal if status.message().contains("compressed-flag") => {
            Some(RpcRefusal::UnsupportedEncoding {
                problem: "the message is marked as compressed, and no grpc-encoding says how"
                    .to_owned(),
            })
        }
        // A broken frame, or a message that ends too early. What is wrong with
        // the server itself comes with details.
        Code::Internal | Code::Unknown => Some(RpcRefusal::MalformedMessage { problem: problem() }),
        Code::Unimplemented => Some(RpcRefusal::UnsupportedEncoding { problem: problem() }),
        _ => None,
    }
}
