//! Pending answers: futures of what a store will answer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::sync::oneshot;

use super::stages::{Stages, StoreCall};
use super::{StoreError, Unavailable};

/// A future answer of a store. Dropping it does not cancel the work.
#[derive(Debug)]
pub struct Pending<T> {
    receiver: oneshot::Receiver<Sent<T>>,
    operation: &'static str,
    since: Instant,
}

/// The answer of a store.
pub type Answer<T> = Result<T, StoreError>;

/// An answer, and what became of what was asked for, where the store tells that.
type Sent<T> = (Answer<T>, Option<Stages>);

/// The sender of a [`Pending`] answer.
#[derive(Debug)]
pub struct Promise<T>(oneshot::Sender<Sent<T>>);

impl<T> Promise<T> {
    /// Sends the answer.
    ///
    /// # Errors
    /// The answer, where nobody waits for it.
    pub fn send(self, answer: Answer<T>) -> Result<(), Answer<T>> {
        self.0.send((answer, None)).map_err(|(answer, _)| answer)
    }

    /// Sends the answer to what passed these stages. The caller may be gone.
    pub fn send_after(self, stages: Stages, answer: Answer<T>) {
        drop(self.0.send((answer, Some(stages))));
    }

    /// Whether nobody waits for the answer.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl<T> Pending<T> {
    /// A pending answer to a write, and its sender.
    #[must_use]
    pub fn new() -> (Promise<T>, Self) {
        Self::of("write")
    }

    /// A pending answer to a read, and its sender.
    #[must_use]
    pub fn to_read() -> (Promise<T>, Self) {
        Self::of("read")
    }

    fn of(operation: &'static str) -> (Promise<T>, Self) {
        let (promise, receiver) = oneshot::channel();
        let pending = Self {
            receiver,
            operation,
            since: Instant::now(),
        };
        (Promise(promise), pending)
    }

    /// An answer that is ready.
    #[must_use]
    pub fn ready(answer: Answer<T>) -> Self {
        let (promise, pending) = Self::new();
        // The receiver is alive: it is in `pending`.
        let _ = promise.send(answer);
        pending
    }

    /// When it was asked for.
    #[must_use]
    pub const fn since(&self) -> Instant {
        self.since
    }

    /// The answer, and what became of what was asked for. Where the store does not tell, all of
    /// the time counts as queued.
    pub async fn with_stages(mut self) -> (Answer<T>, StoreCall) {
        let (answer, stages) = std::future::poll_fn(|context| self.poll_sent(context)).await;
        let call = StoreCall {
            operation: self.operation,
            queued: self.since,
            stages: stages.unwrap_or_else(|| Stages::taken(Instant::now())),
        };
        (answer, call)
    }

    fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<Sent<T>> {
        let received = ready!(Pin::new(&mut self.receiver).poll(context));
        Poll::Ready(received.unwrap_or_else(|_| {
            let stopped = StoreError::Unavailable(Unavailable {
                operation: self.operation,
                cause: "the store has stopped, or a defect ended this call".to_owned(),
            });
            (Err(stopped), None)
        }))
    }
}

impl<T> Future for Pending<T> {
    type Output = Answer<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_sent(context).map(|(answer, _)| answer)
    }
}
