//! What a call's bodies owe to the connection: a request that its caller gave up does not
//! look like one that has ended, and what a call holds of the server's limits is released
//! when the last piece of its reply has left.

use std::convert::Infallible;
use std::future::Future;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tonic::Status;
use tower::Service;

use super::discard::Discards;
use super::lifetime::EndOfWatches;
use super::tracker::{Begun, Generations, Open};
use crate::rpc::layer::{ReplyBody, Reservation};

/// A request's body. Where its stream was reset or its connection has broken it never ends: its
/// call is about to be dropped, and must not take what has come for all of it. Where its call is
/// answered before it has ended, the connection reads the rest of it.
pub struct RequestBody {
    /// None when this is dropped.
    body: Option<Incoming>,
    discards: Discards,
}

impl RequestBody {
    pub(super) fn new(body: Incoming, discards: &Discards) -> Self {
        Self {
            body: Some(body),
            discards: discards.clone(),
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(body) = self.body.take()
            && !body.is_end_stream()
        {
            self.discards.take(body);
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(body) = &mut self.body else {
            return Poll::Pending;
        };
        match ready!(Pin::new(&mut *body).poll_frame(context)) {
            Some(Ok(frame)) => Poll::Ready(Some(Ok(frame))),
            // hyper takes a stream that was cancelled for one that has ended.
            None if body.is_end_stream() => Poll::Ready(None),
            None | Some(Err(_)) => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.body.as_ref().map(Body::size_hint);
        hint.unwrap_or_default()
    }
}

pin_project_lite::pin_project! {
    /// A call, until its reply begins. The service is called when this is first polled, and
    /// not when hyper has accepted the call: what waits for its time slice has no permit.
    pub(super) struct Replying<S: Service<Request<RequestBody>>> {
        #[pin]
        state: State<S, S::Future>,
        holds: Holds,
    }
}

pin_project_lite::pin_project! {
    #[project = StateProjection]
    enum State<S, F> {
        Accepted {
            request: Option<Request<RequestBody>>,
            service: Arc<Mutex<S>>,
        },
        Called {
            #[pin]
            work: F,
        },
    }
}

impl<S: Service<Request<RequestBody>>> Replying<S> {
    pub(super) fn new(
        request: Request<RequestBody>,
        service: &Arc<Mutex<S>>,
        holds: Holds,
    ) -> Self {
        let state = State::Accepted {
            request: Some(request),
            service: Arc::clone(service),
        };
        Self { state, holds }
    }
}

impl<S> Future for Replying<S>
where
    S: Service<Request<RequestBody>, Response = Response<ReplyBody>, Error = Infallible>,
{
    type Output = Result<Response<Reply>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let work = match this.state.as_mut().project() {
                StateProjection::Accepted { request, service } => {
                    let Some(request) = request.take() else {
                        return Poll::Pending;
                    };
                    let mut service = service.lock().unwrap_or_else(PoisonError::into_inner);
                    service.call(request)
                }
                StateProjection::Called { work } => {
                    let response = ready!(work.poll(context))?;
                    let holds = std::mem::replace(this.holds, Holds::Nothing);
                    return Poll::Ready(Ok(response.map(|body| Reply { body, holds })));
                }
            };
            this.state.set(State::Called { work });
        }
    }
}

/// What a call keeps until its reply has left.
pub(super) enum Holds {
    Nothing,
    Call {
        _open: Open,
    },
    Watch {
        /// Waits until the connection ends its watches.
        end: Pin<Box<dyn Future<Output = ()> + Send>>,
        messages: Arc<Generations>,
        _open: Option<Open>,
    },
}

impl From<Option<Open>> for Holds {
    fn from(open: Option<Open>) -> Self {
        open.map_or(Self::Nothing, |open| Self::Call { _open: open })
    }
}

impl Holds {
    pub(super) fn new(begun: Begun, watches: &EndOfWatches, messages: &Arc<Generations>) -> Self {
        match begun {
            Begun::Open(open) => Self::Call { _open: open },
            Begun::Watch(open) => Self::Watch {
                end: Box::pin(watches.ended()),
                messages: Arc::clone(messages),
                _open: open,
            },
            Begun::Free => messages.begin().into(),
        }
    }
}

pin_project_lite::pin_project! {
    /// A reply on its way out.
    pub(super) struct Reply {
        #[pin]
        body: ReplyBody,
        holds: Holds,
    }
}

impl Body for Reply {
    type Data = Piece;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Status>>> {
        let mut this = self.project();
        if let Holds::Watch { end, .. } = this.holds
            && end.as_mut().poll(context).is_ready()
        {
            let trailers = this.body.end_in_order();
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        let frame = ready!(this.body.as_mut().poll_frame(context));
        let streams = this.body.is_stream();
        let piece = |bytes| Piece {
            bytes,
            // A reply has one message, but for a stream, which keeps what it holds.
            _held: match streams {
                true => None,
                false => this.body.take_held(),
            },
            _holds: match this.holds {
                // Each of its messages must have been read in time.
                Holds::Watch { messages, .. } => messages.begin().into(),
                holds if !streams => std::mem::replace(holds, Holds::Nothing),
                _ => Holds::Nothing,
            },
        };
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

/// A piece of a reply on its way through the connection, with what its call holds.
pub(super) struct Piece {
    bytes: Bytes,
    _held: Option<Reservation>,
    _holds: Holds,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.bytes.chunks_vectored(slices)
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}
