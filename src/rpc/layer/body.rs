//! Bodies that have to do with limits: a request takes more memory as it grows and a permit
//! when it has come, and a reply keeps what its call holds until it has left.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::body::Body;
use tonic::{Code, Status};

use super::observe::Record;
use super::reservation::Reservation;
use crate::rpc::refused::{Refused, RpcRefusal};

pin_project_lite::pin_project! {
    /// A reply that keeps what its call holds until it has left.
    pub struct ReplyBody {
        #[pin]
        body: Body,
        held: Option<Reservation>,
        streams: bool,
        end: Option<End>,
        record: Option<Record>,
    }
}

/// When a stream that has no end by itself ends.
struct End {
    sleep: Pin<Box<Sleep>>,
    after: Duration,
}

impl ReplyBody {
    pub(super) const fn new(body: Body, held: Option<Reservation>) -> Self {
        Self {
            body,
            held,
            streams: false,
            end: None,
            record: None,
        }
    }

    /// A reply that goes on until its peer has enough of it, or this time is over.
    pub(super) fn stream(body: Body, held: Reservation, end_after: Option<Duration>) -> Self {
        let end = end_after.map(|after| End {
            sleep: Box::pin(sleep(after)),
            after,
        });
        Self {
            streams: true,
            end,
            ..Self::new(body, Some(held))
        }
    }

    /// A reply of a call that holds nothing.
    #[must_use]
    pub fn free(response: Response<Body>) -> Response<Self> {
        response.map(|body| Self::new(body, None))
    }

    /// Has the call recorded when its last piece has been taken.
    pub(super) fn recorded(self, record: Record) -> Self {
        Self {
            record: Some(record),
            ..self
        }
    }

    /// What its call holds.
    pub(super) const fn held(&self) -> Option<&Reservation> {
        self.held.as_ref()
    }

    /// Whether it is a stream, and not one message.
    #[must_use]
    pub const fn is_stream(&self) -> bool {
        self.streams
    }

    /// Ends a stream with OK, as if it had ended by itself; the trailers that say so.
    pub fn end_in_order(self: Pin<&mut Self>) -> HeaderMap {
        let mut trailers = HeaderMap::new();
        trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
        Record::end(self.project().record, Ok(&trailers));
        trailers
    }

    /// What its call holds, which goes with its message until that has left.
    pub fn take_held(self: Pin<&mut Self>) -> Option<Reservation> {
        self.project().held.take()
    }
}

impl http_body::Body for ReplyBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.project();
        if let Some(end) = this.end
            && end.sleep.as_mut().poll(context).is_ready()
        {
            let refusal = RpcRefusal::DeadlineExceeded {
                deadline_ms: end.after.as_millis(),
            };
            let mut trailers = HeaderMap::new();
            // What it says can be said in headers.
            let _ = Refused::from(refusal)
                .into_status()
                .add_header(&mut trailers);
            Record::end(this.record, Ok(&trailers));
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        let frame = ready!(this.body.poll_frame(context));
        match &frame {
            Some(Ok(frame)) if frame.is_data() => {}
            Some(Ok(frame)) => {
                let trailers = frame.trailers_ref();
                Record::end(this.record, trailers.ok_or(Code::Unknown));
            }
            Some(Err(error)) => Record::end(this.record, Err(error.code())),
            None => Record::end(this.record, Err(Code::Unknown)),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pin_project_lite::pin_project! {
    /// A request that takes memory as it grows, or that is ended.
    pub struct MeteredBody<B> {
        #[pin]
        body: B,
        bytes: usize,
        bound: Bound,
        // Its peer was waited for.
        has_waited: bool,
    }
}

/// What bounds a request.
enum Bound {
    /// What its call may hold.
    Reservation { held: Reservation, is_whole: bool },
    /// So many bytes, and a time, after which it counts as ended.
    End(usize, Pin<Box<Sleep>>),
}

impl<B> MeteredBody<B> {
    pub(super) const fn new(body: B, held: Reservation) -> Self {
        Self {
            body,
            bytes: 0,
            bound: Bound::Reservation {
                held,
                is_whole: false,
            },
            has_waited: false,
        }
    }

    /// What its call holds; None for a stream that has all from the beginning.
    pub(in crate::rpc) const fn held(&self) -> Option<&Reservation> {
        match &self.bound {
            Bound::Reservation { held, .. } => Some(held),
            Bound::End(..) => None,
        }
    }

    /// The request of a stream, which has what it holds from the beginning; what comes beyond
    /// this is not read.
    pub(super) fn ending(body: B, bytes_max: usize, after: Duration) -> Self {
        Self {
            body,
            bytes: 0,
            bound: Bound::End(bytes_max, Box::pin(sleep(after))),
            has_waited: false,
        }
    }
}

impl<B> http_body::Body for MeteredBody<B>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let mut this = self.project();
        if let Bound::End(bytes_max, over) = this.bound
            && (*this.bytes > *bytes_max || over.as_mut().poll(context).is_ready())
        {
            return Poll::Ready(None);
        }
        let Poll::Ready(frame) = this.body.as_mut().poll_frame(context) else {
            *this.has_waited = true;
            return Poll::Pending;
        };
        let before = *this.bytes;
        let data = frame.as_ref().and_then(|frame| frame.as_ref().ok());
        let more = data.and_then(Frame::data_ref).map_or(0, Bytes::len);
        *this.bytes = before.saturating_add(more);
        if let Bound::Reservation { held, is_whole } = this.bound {
            let mut taken = held.read(before, more);
            if taken.is_ok() && !*is_whole && (frame.is_none() || this.body.is_end_stream()) {
                *is_whole = true;
                if *this.has_waited {
                    held.note_read();
                }
                taken = held.whole();
            }
            if let Err(refusal) = taken {
                return Poll::Ready(Some(Err(held.refuse_request(refusal).into())));
            }
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
