//! Whether a silent peer lives: it is asked, and let go where it does not answer.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep, sleep};

/// After so much silence a peer is asked.
const INTERVAL: Duration = Duration::from_secs(60);
/// And has so long to answer.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Asks a silent peer.
pub(super) struct KeepAlive {
    pings: Option<PingPong>,
    /// How much had been heard when it was last looked at.
    heard: usize,
    timer: Pin<Box<Sleep>>,
    asked: bool,
}

impl KeepAlive {
    pub(super) fn new(pings: Option<PingPong>) -> Self {
        Self {
            pings,
            heard: 0,
            timer: Box::pin(sleep(INTERVAL)),
            asked: false,
        }
    }

    /// Ready when the peer is gone; `heard` is how much was heard of it until now.
    pub(super) fn poll_gone(&mut self, heard: usize, context: &mut Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll(context).is_ready() {
            let Some(pings) = &mut self.pings else {
                return Poll::Pending;
            };
            // An answer is also something that was heard; it has to be taken away for the
            // next question.
            let _ = pings.poll_pong(context);
            if std::mem::replace(&mut self.heard, heard) == heard {
                if self.asked {
                    return Poll::Ready(());
                }
                // It fails where the question before it has not been answered yet.
                let _ = pings.send_ping(Ping::opaque());
                self.asked = true;
            } else {
                self.asked = false;
            }
            let wait = if self.asked { TIMEOUT } else { INTERVAL };
            let next = Instant::now().checked_add(wait);
            self.timer.as_mut().reset(next.unwrap_or_else(Instant::now));
        }
        Poll::Pending
    }
}
