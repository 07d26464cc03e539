//! Wall time beside the time since the machine booted.
//!
//! Wall time can be set. The time since boot cannot, so ages go by it where both moments are of the
//! same boot.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;
use crate::store::Clock;

/// How far wall time may be behind the newest moment of a copy: then moments stand still. Further
/// behind, the clock was set back.
pub const CLOCK_BEHIND_MAX: Duration = Duration::from_secs(5);

/// A time since a boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Boot {
    id: String,
    millis: u64,
}

/// Both clocks at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) wall: Timestamp,
    /// None where the system does not say.
    pub(super) boot: Option<Boot>,
}

impl Reading {
    pub(super) fn now(clock: &dyn Clock) -> Self {
        let sample = clock.sample().filter(|sample| !sample.boot_id.is_empty());
        let boot = sample.map(|sample| Boot {
            id: sample.boot_id.into(),
            millis: u64::try_from(sample.boot.as_millis()).unwrap_or(u64::MAX),
        });
        Self {
            wall: clock.now(),
            boot,
        }
    }

    /// How long ago an earlier reading was. Where only wall time says so, it counts up to `max`.
    pub(super) fn since(&self, earlier: &Self, max: Duration) -> Duration {
        match (&self.boot, &earlier.boot) {
            (Some(boot), Some(before)) if boot.id == before.id => {
                Duration::from_millis(boot.millis.saturating_sub(before.millis))
            }
            _ => self.wall.since(earlier.wall).min(max),
        }
    }
}
