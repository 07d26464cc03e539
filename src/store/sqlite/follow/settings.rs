//! How a data file is followed, and what came of it.

use std::time::Duration;

use crate::domain::Timestamp;

/// How a data file is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowSettings {
    /// Time between two segments.
    pub interval: Duration,
    /// For how long every moment can be restored.
    pub retain: Duration,
    /// Time between two bases.
    pub base_every: Duration,
    /// Whether to end after one segment, or one base.
    pub once: bool,
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FollowReport {
    /// How many bases.
    pub bases: u64,
    /// How many segments.
    pub segments: u64,
    /// How many pages in them.
    pub pages: u64,
    /// The moment up to which the copy is whole, if it is.
    pub whole_until: Option<Timestamp>,
}
