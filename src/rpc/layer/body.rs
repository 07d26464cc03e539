//! Bodies that have to do with permits: a request acquires more of them as it grows, and a
//! reply keeps its call's until it has left.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::body::Body;
use tonic::{Code, Status};

use super::observe::Record;
use super::permits::{Handover, Permits, Pool};
use crate::rpc::refused::{Refused, RpcRefusal};

pin_project_lite::pin_project! {
    /// A reply that keeps its call's permits until it has left.
    pub struct ReplyBody {
        #[pin]
        body: Body,
        permits: Permits,
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
    pub(super) const fn new(body: Body, permits: Permits) -> Self {
        Self {
            body,
            permits,
            streams: false,
            end: None,
            record: None,
        }
    }

    /// A reply that goes on until its peer has enough of it, or this time is over.
    pub(super) fn stream(body: Body, permits: Permits, end_after: Option<Duration>) -> Self {
        let end = end_after.map(|after| End {
            sleep: Box::pin(sleep(after)),
            after,
        });
        Self {
            streams: true,
            end,
            ..Self::new(body, permits)
        }
    }

    /// A reply without permits.
    #[must_use]
    pub fn free(response: Response<Body>) -> Response<Self> {
        response.map(|body| Self::new(body, Permits::default()))
    }

    /// Has the call recorded when its last piece has been taken.
    pub(super) fn recorded(self, record: Record) -> Self {
        Self {
            record: Some(record),
            ..self
        }
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

    /// Its permits, which go with its message until that has left.
    pub fn take_permits(self: Pin<&mut Self>) -> Permits {
        std::mem::take(self.project().permits)
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

/// So many bytes of a request take a further permit: what has come of it waits in memory.
const BYTES_PER_PERMIT: usize = 64 * 1_024;

pin_project_lite::pin_project! {
    /// A request that acquires permits as it grows, or that is ended.
    pub struct MeteredBody<B> {
        #[pin]
        body: B,
        bytes: usize,
        bound: Bound,
    }
}

/// What bounds a request.
enum Bound {
    Permits {
        pool: Arc<Pool>,
        /// For its bytes, until it has been read.
        permits: Permits,
        batch: Option<Batch>,
    },
    /// So many bytes, and a time, after which it counts as ended.
    End(usize, Pin<Box<Sleep>>),
}

/// A batch acquires its weight when it has come, and not when it is announced.
pub(super) struct Batch {
    pub(super) weight: usize,
    pub(super) handover: Handover,
}

impl<B> MeteredBody<B> {
    pub(super) fn new(body: B, pool: Arc<Pool>, batch: Option<Batch>) -> Self {
        Self {
            body,
            bytes: 0,
            bound: Bound::Permits {
                pool,
                permits: Permits::default(),
                batch,
            },
        }
    }

    /// The request of a stream. It takes no permits; what comes beyond this is not read.
    pub(super) fn ending(body: B, bytes_max: usize, after: Duration) -> Self {
        Self {
            body,
            bytes: 0,
            bound: Bound::End(bytes_max, Box::pin(sleep(after))),
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
        let frame = ready!(this.body.as_mut().poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            *this.bytes = this.bytes.saturating_add(data.len());
        }
        if let Bound::Permits {
            pool,
            permits,
            batch,
        } = this.bound
        {
            let mut acquired = acquire_for_bytes(*this.bytes, permits, pool);
            let has_ended = || frame.is_none() || this.body.is_end_stream();
            if acquired.is_ok()
                && let Some(batch) = batch.take_if(|_| has_ended())
            {
                acquired = acquire_for_batch(&batch, pool);
            }
            if let Err(refusal) = acquired {
                return Poll::Ready(Some(Err(Refused::from(refusal).into_status().into())));
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

fn acquire_for_bytes(bytes: usize, permits: &mut Permits, pool: &Pool) -> Result<(), RpcRefusal> {
    // One request fits, however small the limit is.
    let count = bytes
        .div_euclid(BYTES_PER_PERMIT)
        .min(pool.size().saturating_sub(1));
    permits.grow_to(count, pool)
}

fn acquire_for_batch(batch: &Batch, pool: &Pool) -> Result<(), RpcRefusal> {
    // One batch fits, however small the limit is; the call has one permit.
    let count = batch.weight.min(pool.size()).saturating_sub(1);
    if count > 0 {
        batch.handover.put(pool.acquire(count)?.into());
    }
    Ok(())
}
