//! One call on a connection: the work, then its reply, piece by piece as the peer has
//! room for it. What the call takes of the server's limits goes with the last piece of
//! its reply, and is given back when that has left.

use std::convert::Infallible;
use std::future::Future;
use std::io::IoSlice;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Response};
use http_body::{Body, Frame};

use super::tracker::Open;
use crate::rpc::layer::{Held, Kept};

/// A request's body. The peer may send more as soon as this has been read.
pub struct RequestBody(RecvStream);

impl RequestBody {
    pub(super) const fn new(stream: RecvStream) -> Self {
        Self(stream)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let stream = &mut self.0;
        match stream.poll_data(context) {
            Poll::Ready(Some(Err(error))) if is_given_up(&error) => Poll::Pending,
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(data)) => {
                if let Ok(data) = &data {
                    // It fails where the stream has ended, which is no news.
                    let _ = stream.flow_control().release_capacity(data.len());
                }
                Poll::Ready(Some(data.map(Frame::data)))
            }
            Poll::Ready(None) => {
                let trailers = stream.poll_trailers(context);
                trailers.map(|trailers| Some(trailers.transpose()?.map(Frame::trailers)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }
}

/// Whether a request does not go on because its caller gave the call up or is gone, and not
/// because it broke the protocol. Such a request has not ended, and who reads it must not
/// take it for one that ends too early: its call is dropped, by its reset or with its
/// connection.
fn is_given_up(error: &h2::Error) -> bool {
    !error.is_library()
}

/// A piece of a reply on its way through the connection.
pub(super) struct Piece {
    bytes: Bytes,
    /// With the last one: what its call holds.
    _held: Option<(Kept, Option<Open>)>,
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

pin_project_lite::pin_project! {
    /// A call, until its reply has been handed over to the connection or its peer has
    /// no use for it any more.
    pub(super) struct Call<F> {
        #[pin]
        step: Step<F>,
        open: Option<Open>,
    }
}

pin_project_lite::pin_project! {
    #[project = StepProjection]
    enum Step<F> {
        Working {
            #[pin]
            work: F,
            respond: SendResponse<Piece>,
        },
        Replying {
            #[pin]
            body: Held,
            reply: Reply,
        },
    }
}

impl<F> Call<F>
where
    F: Future<Output = Result<Response<Held>, Infallible>>,
{
    pub(super) const fn new(work: F, respond: SendResponse<Piece>, open: Option<Open>) -> Self {
        Self {
            step: Step::Working { work, respond },
            open,
        }
    }

    fn advance(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        loop {
            match this.step.as_mut().project() {
                StepProjection::Working { work, respond } => {
                    let Poll::Ready(Ok(response)) = work.poll(context) else {
                        // Whoever cancels is not worked for.
                        return respond.poll_reset(context).map(|_| ());
                    };
                    let (head, body) = response.into_parts();
                    let ended = body.is_end_stream();
                    let head = Response::from_parts(head, ());
                    match respond.send_response(head, ended) {
                        Ok(stream) if !ended => this.step.set(Step::Replying {
                            body,
                            reply: Reply::new(stream),
                        }),
                        // An error: the peer went away.
                        Ok(_) | Err(_) => return Poll::Ready(()),
                    }
                }
                StepProjection::Replying { body, reply } => {
                    return reply.poll(body, this.open, context);
                }
            }
        }
    }
}

impl<F> Future for Call<F>
where
    F: Future<Output = Result<Response<Held>, Infallible>>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // A defect where a reply is made ends that call, by a reset of its stream, and no
        // other one of the connection.
        let advanced = catch_unwind(AssertUnwindSafe(|| self.advance(context)));
        advanced.unwrap_or_else(|_| {
            tracing::error!("a defect while a reply was sent; the panic is logged beside it");
            Poll::Ready(())
        })
    }
}

/// A reply on its way out.
struct Reply {
    stream: SendStream<Piece>,
    /// What there was no room for yet.
    rest: Bytes,
}

impl Reply {
    const fn new(stream: SendStream<Piece>) -> Self {
        Self {
            stream,
            rest: Bytes::new(),
        }
    }

    fn poll(
        &mut self,
        mut body: Pin<&mut Held>,
        open: &mut Option<Open>,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        loop {
            let step = match self.rest.is_empty() {
                false => self.poll_send(body.as_mut(), open, context),
                true => match body.as_mut().poll_frame(context) {
                    Poll::Ready(frame) => self.take(frame),
                    Poll::Pending => Poll::Pending,
                },
            };
            match step {
                Poll::Ready(Next::More) => {}
                Poll::Ready(Next::Done) => return Poll::Ready(()),
                Poll::Pending if body.as_mut().poll_over(context).is_ready() => {
                    // Its peer has no room for what it is told.
                    self.stream.send_reset(Reason::CANCEL);
                    return Poll::Ready(());
                }
                Poll::Pending => return self.stream.poll_reset(context).map(|_| ()),
            }
        }
    }

    /// Takes what the body has next.
    fn take<E>(&mut self, frame: Option<Result<Frame<Bytes>, E>>) -> Poll<Next> {
        let trailers = match frame.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(data))) => {
                self.rest = data;
                return Poll::Ready(Next::More);
            }
            Some(Ok(Err(frame))) => frame.into_trailers().unwrap_or_default(),
            None => HeaderMap::new(),
            Some(Err(_)) => {
                self.stream.send_reset(Reason::INTERNAL_ERROR);
                return Poll::Ready(Next::Done);
            }
        };
        // An error: the peer went away.
        let _ = match trailers.is_empty() {
            true => {
                let nothing = Piece {
                    bytes: Bytes::new(),
                    _held: None,
                };
                self.stream.send_data(nothing, true)
            }
            false => self.stream.send_trailers(trailers),
        };
        Poll::Ready(Next::Done)
    }

    /// Sends as much as there is room for.
    fn poll_send(
        &mut self,
        body: Pin<&mut Held>,
        open: &mut Option<Open>,
        context: &mut Context<'_>,
    ) -> Poll<Next> {
        self.stream.reserve_capacity(self.rest.len());
        let room = match self.stream.capacity() {
            0 => match self.stream.poll_capacity(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(room))) => room,
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Next::Done),
            },
            room => room,
        };
        let bytes = self.rest.split_to(room.min(self.rest.len()));
        if bytes.is_empty() {
            return Poll::Ready(Next::More);
        }
        // A reply has one message, but for streams, which keep what they hold.
        let last = self.rest.is_empty();
        let piece = Piece {
            bytes,
            _held: last.then(|| (body.take_kept(), open.take())),
        };
        Poll::Ready(match self.stream.send_data(piece, false) {
            Ok(()) => Next::More,
            Err(_) => Next::Done,
        })
    }
}

/// Whether a reply goes on.
enum Next {
    More,
    Done,
}
