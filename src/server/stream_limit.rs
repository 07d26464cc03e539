//! Stream limit: tells the peer of a connection how many streams it may have at once, whenever
//! the concurrency limit of its thread says another number. HTTP/2 has SETTINGS for that
//! (RFC 9113, 6.5.2), but h2 sends them at the beginning alone. So they are sent here, between
//! its frames, and their acknowledgement is kept from it.
//!
//! A peer that had more when it was told to have fewer has done nothing wrong, and what it begins
//! beyond the number, h2 takes: it has its own limit, which does not change.

use std::convert::Infallible;
use std::sync::Arc;

use tokio::sync::Notify;

use super::concurrency::Concurrency;
use super::connection::STREAMS_MAX;
use super::tracker::Tracker;

const FRAME_BYTES: usize = 15;
/// SETTINGS with one setting, SETTINGS_MAX_CONCURRENT_STREAMS (3), whose value comes last.
const FRAME: [u8; FRAME_BYTES] = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0];

/// A connection that was below its fair share in so many windows in a row has no limit.
const WINDOWS_BELOW_MIN: u32 = 4;

/// What one connection was told.
pub(super) struct StreamLimit {
    concurrency: Arc<Concurrency>,
    tracker: Arc<Tracker>,
    announced: u32,
    /// The window in which the connection reported last, and how many calls it had begun then.
    window: u32,
    begun: usize,
    /// In so many windows in a row it was below its fair share.
    windows_below: u32,
    limited: Limited,
}

/// Wakes a connection whose peer may have fewer streams at the end of each window: nothing else
/// may, where all of them are watches.
#[derive(Clone, Default)]
pub(super) struct Limited(Arc<Notify>);

impl Limited {
    /// Polled by the connection's task, which looks for what is due whenever it is woken.
    pub(super) async fn wake(self, concurrency: Arc<Concurrency>) -> Infallible {
        loop {
            self.0.notified().await;
            concurrency.window_ended().await;
        }
    }
}

impl StreamLimit {
    pub(super) fn new(concurrency: Arc<Concurrency>, tracker: Arc<Tracker>) -> Self {
        Self {
            // It is due at once.
            window: concurrency.window().wrapping_sub(1),
            concurrency,
            tracker,
            announced: STREAMS_MAX,
            begun: 0,
            windows_below: 0,
            limited: Limited::default(),
        }
    }

    pub(super) fn limited(&self) -> Limited {
        self.limited.clone()
    }

    /// Whether there is a window in which the connection has not reported.
    #[inline]
    pub(super) fn is_due(&self) -> bool {
        self.window != self.concurrency.window()
    }

    /// Reports what the connection does. The frame to send, if it is to have another limit.
    #[cold]
    pub(super) fn report(&mut self) -> Option<[u8; FRAME_BYTES]> {
        self.window = self.concurrency.window();
        let begun = self.tracker.begun();
        let calls = begun.wrapping_sub(std::mem::replace(&mut self.begun, begun));
        let open = self.tracker.take_most_open();
        self.windows_below = match self.concurrency.is_below_fair_share(calls) {
            true => self.windows_below.saturating_add(1),
            false => 0,
        };
        let limit = match self.concurrency.limit_of(calls, open) {
            _ if self.windows_below >= WINDOWS_BELOW_MIN => STREAMS_MAX,
            limit => limit,
        };
        // What goes on for long is no load, and does not count.
        let others = u32::try_from(self.tracker.open_streams()).unwrap_or(u32::MAX);
        let streams = limit.saturating_add(others).min(STREAMS_MAX);
        // A peer that has few calls at once need not know.
        let has_many = open.saturating_mul(2) > usize::try_from(limit).unwrap_or(usize::MAX);
        let tell = streams > self.announced || (streams < self.announced && has_many);
        if tell {
            self.announced = streams;
        }
        if self.announced < STREAMS_MAX {
            self.limited.0.notify_one();
        }
        if !tell {
            return None;
        }
        let mut frame = FRAME;
        if let Some(value) = frame.last_chunk_mut() {
            *value = streams.to_be_bytes();
        }
        Some(frame)
    }
}
