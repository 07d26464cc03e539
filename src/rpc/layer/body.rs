//! Bodies that have to do with places: a reply keeps its call's until it has left, and
//! a request takes more of them as it grows.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::body::Body;
use tonic::{Code, Status};

use super::observe::Record;
use super::places::{Place, Places};
use crate::rpc::near::Near;
use crate::rpc::refused::{Refused, Resource, WireFault};

/// What a call has of places: one, and those that a large reply takes.
#[derive(Debug, Default)]
pub struct Kept {
    _place: Option<Place>,
    _more: Option<Arc<Place>>,
}

impl Kept {
    pub(super) const fn new(place: Option<Place>, more: Option<Arc<Place>>) -> Self {
        Self {
            _place: place,
            _more: more,
        }
    }
}

pin_project_lite::pin_project! {
    /// A reply that keeps its call's places until it has left.
    pub struct Held {
        #[pin]
        body: Body,
        kept: Kept,
        streams: bool,
        until: Option<Until>,
        record: Option<Record>,
    }
}

/// When a reply that has no end by itself ends.
struct Until {
    sleep: Pin<Box<Sleep>>,
    after: Duration,
}

impl Held {
    pub(super) const fn new(body: Body, kept: Kept) -> Self {
        Self {
            body,
            kept,
            streams: false,
            until: None,
            record: None,
        }
    }

    /// A reply that goes on until its peer has enough of it, or this time is over.
    pub(super) fn stream(body: Body, kept: Kept, end_after: Option<Duration>) -> Self {
        let until = end_after.map(|after| Until {
            sleep: Box::pin(sleep(after)),
            after,
        });
        Self {
            body,
            kept,
            streams: true,
            until,
            record: None,
        }
    }

    /// A reply without a place.
    #[must_use]
    pub fn free(response: Response<Body>) -> Response<Self> {
        response.map(|body| Self::new(body, Kept::default()))
    }

    /// Has the call recorded when its last piece has been taken.
    pub(super) fn recorded(self, record: Record) -> Self {
        Self {
            record: Some(record),
            ..self
        }
    }

    /// Ready when a reply that has no end by itself is to end.
    pub fn poll_over(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match self.project().until {
            Some(until) => until.sleep.as_mut().poll(context),
            None => Poll::Pending,
        }
    }

    /// What it keeps, for whoever brings its last piece away. A reply without end keeps
    /// it itself.
    pub fn take_kept(self: Pin<&mut Self>) -> Kept {
        let this = self.project();
        match this.streams {
            true => Kept::default(),
            false => std::mem::take(this.kept),
        }
    }
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.project();
        if let Some(until) = this.until
            && until.sleep.as_mut().poll(context).is_ready()
        {
            let fault = WireFault::DeadlineExceeded {
                deadline_ms: until.after.as_millis(),
            };
            let mut trailers = HeaderMap::new();
            // What it says can be said in headers.
            let _ = Refused::from(fault).into_status().add_header(&mut trailers);
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

/// So many bytes of a request take a further place: what is half received waits in
/// memory.
const BYTES_PER_PLACE: usize = 64 * 1_024;

pin_project_lite::pin_project! {
    /// A request that takes more places as it grows, or that ends.
    pub struct Weighed<B> {
        #[pin]
        body: B,
        bytes: usize,
        bound: Bound,
    }
}

/// What bounds a request.
enum Bound {
    /// The places that it takes.
    Places(Place),
    /// So many bytes, and a time, after which it has no more to say.
    End(usize, Pin<Box<Sleep>>),
}

impl<B> Weighed<B> {
    pub(super) fn new(body: B, places: &Near<Places>) -> Self {
        Self {
            body,
            bytes: 0,
            bound: Bound::Places(Place::none(places)),
        }
    }

    /// The request of a stream. It takes no places; what it says beyond this counts no
    /// more.
    pub(super) fn ending(body: B, bytes_max: usize, after: Duration) -> Self {
        Self {
            body,
            bytes: 0,
            bound: Bound::End(bytes_max, Box::pin(sleep(after))),
        }
    }
}

impl<B> http_body::Body for Weighed<B>
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
        let this = self.project();
        if let Bound::End(bytes_max, over) = this.bound
            && (*this.bytes > *bytes_max || over.as_mut().poll(context).is_ready())
        {
            return Poll::Ready(None);
        }
        let frame = ready!(this.body.poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            *this.bytes = this.bytes.saturating_add(data.len());
            if let Bound::Places(place) = this.bound
                && let Err(fault) = weigh(place, *this.bytes)
            {
                return Poll::Ready(Some(Err(Refused::from(fault).into_status().into())));
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

/// Takes the places for so many bytes.
fn weigh(place: &mut Place, bytes: usize) -> Result<(), WireFault> {
    let limit = place.max();
    // One request fits, however small the limit is.
    let due = bytes
        .div_euclid(BYTES_PER_PLACE)
        .min(limit.saturating_sub(1));
    let more = due.saturating_sub(place.count());
    match more == 0 || place.grow(more) {
        true => Ok(()),
        false => Err(WireFault::Overloaded {
            limit,
            resource: Resource::Calls,
        }),
    }
}
