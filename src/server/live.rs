//! The limits of a running server that can change: those of calls, and those of connections.
//! Whoever is limited reads them each time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::config::Config;
use crate::rpc::layer::{CallLimits, LiveLimits};

/// See the module.
#[derive(Debug)]
pub(super) struct Live {
    calls: Arc<LiveLimits>,
    connections_max: AtomicUsize,
    connection_idle_ms_max: AtomicU64,
    connection_age_ms_max: AtomicU64,
    drain_ms_max: AtomicU64,
}

impl Live {
    /// The limits of this configuration.
    pub(super) fn new(config: &Config) -> Arc<Self> {
        let live = Self {
            calls: LiveLimits::new(&of_calls(config)),
            connections_max: AtomicUsize::default(),
            connection_idle_ms_max: AtomicU64::default(),
            connection_age_ms_max: AtomicU64::default(),
            drain_ms_max: AtomicU64::default(),
        };
        live.set(config);
        Arc::new(live)
    }

    /// From now on those of this configuration hold.
    pub(super) fn set(&self, config: &Config) {
        self.calls.set(&of_calls(config));
        self.connections_max
            .store(config.connections_max, Ordering::Relaxed);
        for (limit, time) in [
            (&self.connection_idle_ms_max, config.connection_idle_max),
            (&self.connection_age_ms_max, config.connection_age_max),
            (&self.drain_ms_max, config.drain_max),
        ] {
            let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            limit.store(millis, Ordering::Relaxed);
        }
    }

    /// Those of calls.
    pub(super) const fn calls(&self) -> &Arc<LiveLimits> {
        &self.calls
    }

    pub(super) fn connections_max(&self) -> usize {
        self.connections_max.load(Ordering::Relaxed)
    }

    /// How long a connection without a call is kept.
    pub(super) fn connection_idle_max(&self) -> Duration {
        Duration::from_millis(self.connection_idle_ms_max.load(Ordering::Relaxed))
    }

    /// How long any connection is kept, about.
    pub(super) fn connection_age_max(&self) -> Duration {
        Duration::from_millis(self.connection_age_ms_max.load(Ordering::Relaxed))
    }

    /// How long calls in flight may go on after the signal to stop.
    pub(super) fn drain_max(&self) -> Duration {
        Duration::from_millis(self.drain_ms_max.load(Ordering::Relaxed))
    }
}

const fn of_calls(config: &Config) -> CallLimits {
    CallLimits {
        calls_max: config.calls_max,
        call_memory_bytes_max: config.call_memory_bytes_max,
        watchers_max: config.watchers_max,
        deadline_max: config.deadline_max,
        slow_call_min: config.slow_call_min,
        log_calls: config.log_calls,
        trace_calls_per_million: config.trace_calls_per_million,
    }
}
