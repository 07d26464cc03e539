//! Limits of traces, which docs/limits.md names.

use std::time::Duration;

/// All calls of a million.
pub const PER_MILLION_MAX: u32 = 1_000_000;
/// So many calls that have ended may wait to be sent.
pub const QUEUE_CALLS_MAX: usize = 4_096;
/// With so many spans a message is sent at once.
pub const SPANS_PER_EXPORT: usize = 512;
/// And otherwise so long after the first of them.
pub const EXPORT_INTERVAL: Duration = Duration::from_secs(1);
/// How long a collector may take for a message. Then its spans are dropped.
pub const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// So many groups are linked to one call; the others are counted.
pub const LINKS_MAX: usize = 32;
/// Of so many groups, the newest ones, it is known whether their spans were sent. The span of an
/// older one is not sent any more.
pub const GROUPS_SENT_KNOWN: u16 = 4_096;
