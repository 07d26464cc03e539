//! Answers that are on their way.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use super::{Reading, StoreRefusal, Unavailable};

/// An answer that is on its way. To drop it changes nothing about the work.
#[derive(Debug)]
pub struct Pending<T> {
    receiver: oneshot::Receiver<Answer<T>>,
    operation: &'static str,
}

/// What a store answers.
pub type Answer<T> = Result<T, StoreRefusal>;

/// The other end of a [`Pending`].
pub type Promise<T> = oneshot::Sender<Answer<T>>;

impl<T> Pending<T> {
    /// An answer to come and the end by which to give it.
    #[must_use]
    pub fn new() -> (Promise<T>, Self) {
        Self::of("write")
    }

    /// The same for what is read.
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

    /// An answer that is there already.
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
                Err(StoreRefusal::Unavailable(Unavailable {
                    operation,
                    cause: "the store has stopped, or a defect ended this call".to_owned(),
                }))
            })
        })
    }
}

/// Takes from an account what its reader wants to know, so that no account is copied
/// to be read.
pub trait Look: Send {
    /// Whether anybody still waits for it.
    fn wanted(&self) -> bool;
    /// The account, or why it cannot be shown.
    fn see(self: Box<Self>, reading: Answer<Reading<'_>>);
}

/// A [`Look`] that gives what it saw to a [`Pending`].
pub struct Seen<T, F> {
    take: F,
    promise: Promise<T>,
}

/// A look that takes something from the account, and the answer with it.
pub fn look<T, F>(take: F) -> (Box<Seen<T, F>>, Pending<T>)
where
    F: FnOnce(Reading<'_>) -> T + Send,
    T: Send,
{
    let (promise, pending) = Pending::to_read();
    (Box::new(Seen { take, promise }), pending)
}

impl<T, F> Look for Seen<T, F>
where
    F: FnOnce(Reading<'_>) -> T + Send,
    T: Send,
{
    fn wanted(&self) -> bool {
        !self.promise.is_closed()
    }

    fn see(self: Box<Self>, reading: Answer<Reading<'_>>) {
        let Self { take, promise } = *self;
        // A reader that is gone does not matter.
        let _ = promise.send(reading.map(take));
    }
}
