//! The calls of one connection, polled by its task: in the order in which they came or were
//! woken, for a time slice of a millisecond, then the thread's other connections are polled.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

/// How long calls are polled before the thread's other connections are.
const TIME_SLICE_NANOS: u64 = 1_000_000;

/// The calls of a connection, from their requests to the end of their replies. hyper puts
/// them here.
#[derive(Clone)]
pub(super) struct Calls {
    open: Arc<Mutex<FuturesUnordered<Isolated>>>,
    slice: Arc<TimeSlice>,
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Calls {
    fn execute(&self, call: F) {
        self.lock().push(Isolated {
            call: Box::pin(call),
            slice: Arc::clone(&self.slice),
        });
    }
}

impl Calls {
    pub(super) fn new() -> Self {
        Self {
            open: Arc::default(),
            slice: Arc::new(TimeSlice::new()),
        }
    }

    /// hyper's connection and its calls are polled one after the other: there is never a wait.
    fn lock(&self) -> MutexGuard<'_, FuturesUnordered<Isolated>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Drops the calls of a connection that ends. They hold hyper's clones of what they are in,
    /// and would keep each other.
    pub(super) fn clear(&self) {
        let open = std::mem::take(&mut *self.lock());
        drop(open);
    }

    /// Polls the calls that can go on, for a slice. Where any ended, or some are left, the
    /// connection is polled again: there are replies to send.
    pub(super) fn poll(&self, context: &mut Context<'_>) {
        let mut open = self.lock();
        if open.is_empty() {
            return;
        }
        self.slice.begin();
        let mut has_ended = false;
        while !self.slice.is_over()
            && let Poll::Ready(Some(())) = open.poll_next_unpin(context)
        {
            has_ended = true;
        }
        match (self.slice.is_over(), has_ended) {
            (true, _) => wake_after_others(context),
            (false, true) => context.waker().wake_by_ref(),
            (false, false) => {}
        }
    }
}

/// A call that is polled within its connection's time slice. A panic is its own: it ends by a
/// reset of its stream.
struct Isolated {
    call: Pin<Box<dyn Future<Output = ()> + Send>>,
    slice: Arc<TimeSlice>,
}

impl Future for Isolated {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.slice.is_over() {
            // A FuturesUnordered polls all that are ready, however long that takes.
            wake_after_others(context);
            return Poll::Pending;
        }
        let call = this.call.as_mut();
        let polled = catch_unwind(AssertUnwindSafe(|| call.poll(context)));
        this.slice.note();
        polled.unwrap_or_else(|_| {
            tracing::error!("a defect while a reply was sent; the panic is logged beside it");
            Poll::Ready(())
        })
    }
}

/// Wakes whoever polls after the runtime has polled the other tasks and its sockets. A task
/// that wakes itself is polled many times before the runtime looks at its sockets again.
fn wake_after_others(context: &mut Context<'_>) {
    let yielded = std::pin::pin!(tokio::task::yield_now());
    // Its first poll asks for the second one, and that is all of it.
    let _ = yielded.poll(context);
}

/// How long calls may be polled before the thread's other connections are.
struct TimeSlice {
    base: Instant,
    /// When it ends, in nanoseconds after `base`.
    end: AtomicU64,
    is_over: AtomicBool,
}

impl TimeSlice {
    fn new() -> Self {
        Self {
            base: Instant::now(),
            end: AtomicU64::new(0),
            is_over: AtomicBool::new(true),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.base.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn begin(&self) {
        let end = self.now().saturating_add(TIME_SLICE_NANOS);
        self.end.store(end, Ordering::Relaxed);
        self.is_over.store(false, Ordering::Relaxed);
    }

    /// A call was polled; whether the slice is over is decided then alone, since the clock
    /// costs as much as a short poll.
    fn note(&self) {
        if self.now() > self.end.load(Ordering::Relaxed) {
            self.is_over.store(true, Ordering::Relaxed);
        }
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}
