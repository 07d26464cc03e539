//! Many durations, and what is said of them.

use serde::Serialize;

/// How long things took, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Spread {
    pub count: usize,
    pub p50_nanos: u64,
    pub p99_nanos: u64,
    pub max_nanos: u64,
}

impl Spread {
    pub fn of(mut nanos: Vec<u64>) -> Self {
        nanos.sort_unstable();
        // The smallest one that so many in a hundred do not exceed.
        let percentile = |hundredths: usize| {
            let rank = (nanos.len() * hundredths).div_ceil(100).max(1);
            nanos.get(rank - 1).copied().unwrap_or_default()
        };
        Self {
            count: nanos.len(),
            p50_nanos: percentile(50),
            p99_nanos: percentile(99),
            max_nanos: nanos.last().copied().unwrap_or_default(),
        }
    }
}
