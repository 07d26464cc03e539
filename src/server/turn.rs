//! Turns: for how long a connection may keep its thread from the others.
//!
//! A turn has two halves, the calls that came and those that go on, and each ends after
//! about a millisecond; a few calls are done before the clock is looked at.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// How long each half of a turn may last, but for what a few calls take more.
const TURN_MAX: Duration = Duration::from_millis(1);
/// After so many calls it is looked how long it has lasted.
const TURN_STEP: usize = 4;

/// Half of a turn.
#[derive(Clone, Copy)]
pub(super) struct Turn {
    begun: Instant,
    calls: usize,
    is_over: bool,
}

thread_local! {
    /// The half of a turn in which calls go on, on this thread.
    static GOING_ON: Cell<Option<Turn>> = const { Cell::new(None) };
}

impl Turn {
    pub(super) fn begin() -> Self {
        Self {
            begun: Instant::now(),
            calls: 0,
            is_over: false,
        }
    }

    /// A call had its part of it.
    pub(super) fn count(&mut self) {
        self.calls = self.calls.saturating_add(1);
        if self.calls.is_multiple_of(TURN_STEP) {
            self.is_over = self.begun.elapsed() > TURN_MAX;
        }
    }

    /// Whether it has lasted long enough.
    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Lets calls go on for as long as it lasts. Whether there was time for all of them.
    pub(super) fn go_on(calls: impl FnOnce()) -> bool {
        GOING_ON.set(Some(Self::begin()));
        calls();
        GOING_ON.take().is_none_or(|turn| !turn.is_over)
    }
}

pin_project_lite::pin_project! {
    /// A call that goes on in its connection's turns: when one is over, in the next.
    pub(super) struct InTurns<F> {
        #[pin]
        call: F,
    }
}

impl<F> InTurns<F> {
    pub(super) const fn new(call: F) -> Self {
        Self { call }
    }
}

impl<F: Future> Future for InTurns<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let turn = GOING_ON.get();
        if turn.is_some_and(|turn| turn.is_over) {
            after_the_others(context);
            return Poll::Pending;
        }
        let polled = self.project().call.poll(context);
        if let Some(mut turn) = turn {
            turn.count();
            GOING_ON.set(Some(turn));
        }
        polled
    }
}

/// Wakes whoever polls when the runtime has looked who else has something to do. A task that
/// wakes itself is polled sixty times before the runtime looks at its sockets again.
pub(super) fn after_the_others(context: &mut Context<'_>) {
    let yielded = std::pin::pin!(tokio::task::yield_now());
    // Its first poll asks for the second one, and that is all of it.
    let _ = yielded.poll(context);
}
