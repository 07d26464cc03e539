//! The one place that asks the system what time it is.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::Timestamp;
use crate::store::Clock;

/// The system's clock, whatever it says.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where time comes in")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Timestamp::from_unix_nanos(0).plus(since.unwrap_or_default())
    }
}
