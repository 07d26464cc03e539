//! What a service manager is told, by the protocol of sd_notify, which systemd and others read:
//! that the server is ready, reloads, stops, and that its threads go on. Where there is none,
//! nothing is done.

use std::convert::Infallible;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Instant, sleep};

/// By so much a step that takes long is extended, and how often.
const EXTENSION_USEC: u32 = 30_000_000;
const EXTENSION_INTERVAL: Duration = Duration::from_secs(10);
/// A start that takes longer than this is not extended any more: it may have stopped to work.
const EXTENDED_MAX: Duration = Duration::from_secs(6 * 3_600);
/// Threads are asked at half of the manager's time, and have a quarter of it to answer.
const PING_DIVISOR: u32 = 2;
const ANSWER_DIVISOR: u32 = 4;

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct Supervisor {
    is_there: bool,
    /// Within so long it has to be told that the threads go on.
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// The one that started this process, if it did.
    #[must_use]
    pub fn of_process() -> Self {
        Self {
            is_there: std::env::var_os("NOTIFY_SOCKET").is_some(),
            watchdog: sd_notify::watchdog_enabled(),
        }
    }

    fn tell(self, state: &[NotifyState<'_>]) {
        if !self.is_there {
            return;
        }
        if let Err(error) = sd_notify::notify(state) {
            tracing::warn!(%error, "the service manager cannot be told");
        }
    }

    /// The server listens, or has done a reload.
    pub fn ready(self, status: &str) {
        self.tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    pub(super) fn reloading(self) {
        let now = NotifyState::monotonic_usec_now();
        let status = NotifyState::Status("reads its configuration again");
        match now {
            Ok(now) => self.tell(&[NotifyState::Reloading, now, status]),
            Err(error) => tracing::warn!(%error, "no time for the service manager"),
        }
    }

    pub(super) fn stopping(self, status: &str) {
        self.tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
    }

    /// Asks for more time while a step is under way.
    pub async fn extend(self) -> Infallible {
        let began = Instant::now();
        while self.is_there && began.elapsed() < EXTENDED_MAX {
            self.tell(&[NotifyState::ExtendTimeoutUsec(EXTENSION_USEC)]);
            sleep(EXTENSION_INTERVAL).await;
        }
        std::future::pending().await
    }

    /// How often to ask the threads whether they go on, and within how long they must answer; None
    /// where nobody wants to know.
    pub(super) fn watchdog(self) -> Option<(Duration, Duration)> {
        let within = self.watchdog.filter(|_| self.is_there)?;
        let part = |divisor| within.checked_div(divisor).unwrap_or(within);
        Some((part(PING_DIVISOR), part(ANSWER_DIVISOR)))
    }

    /// All threads go on.
    pub(super) fn alive(self) {
        self.tell(&[NotifyState::Watchdog]);
    }
}
