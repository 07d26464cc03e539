//! Pending answers: futures of what a store will answer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use super::{StoreError, Unavailable};

/// A future answer of a store. Dropping it does not cancel the work.
#[derive(Debug)]
pub struct Pending<T> {
    receiver: oneshot::Receiver<Answer<T>>,
    operation: &'static str,
}

/// The answer of a store.
pub type Answer<T> = Result<T, StoreError>;

/// The sender of a [`Pending`] answer.
pub type Promise<T> = oneshot::Sender<Answer<T>>;

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
        };
        (promise, pending)
    }

    /// An answer that is ready.
    #[must_use]
    pub fn ready(answer: Answer<T>) -> Self {
        let (promise, pending) = Self::new();
        // The receiver is alive: it is in `pending`.
        let _ = promise.send(answer);
        pending
    }
}

impl<T> Future for Pending<T> {
    type Output = Answer<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let operation = self.operation;
        Pin::new(&mut self.receiver).poll(context).map(|received| {
            received.unwrap_or_else(|_| {
                Err(StoreError::Unavailable(Unavailable {
                    operation,
                    cause: "the store has stopped, or a defect ended this call".to_owned(),
                }))
            })
        })
    }
}
