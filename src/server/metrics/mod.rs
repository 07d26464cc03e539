//! Metrics for Prometheus: what is known of the process, its calls, its limits and its ledger, as
//! text. docs/metrics.md lists all of them, and a test compares.
//!
//! Everything is read when it is asked for. Prometheus's numbers are binary floating point: what
//! is exact in the ledger becomes such a number here, and never comes back.

mod calls;
mod ledger;
mod process;
mod state;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, prometheus_text, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use super::live::Live;
use super::tls::Tls;
use super::traces::SpanCounts;
use crate::rpc::health::State;
use crate::rpc::layer::{Budget, Counters};
use crate::store::Store;
use crate::store::sqlite::SqliteSettings;

/// What is measured.
pub(super) struct Sources {
    pub(super) counters: Arc<Counters>,
    pub(super) budget: Arc<Budget>,
    /// Connections of each thread that serves.
    pub(super) connections: Vec<Arc<AtomicUsize>>,
    pub(super) limits: Arc<Live>,
    pub(super) state: watch::Receiver<State>,
    /// Whether the clock is believed.
    pub(super) believed: watch::Receiver<bool>,
    pub(super) store: Arc<dyn Store>,
    pub(super) store_settings: SqliteSettings,
    pub(super) data: PathBuf,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) spans: Arc<SpanCounts>,
}

/// All metrics.
pub(super) struct Metrics(Registry);

/// How metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// OpenMetrics, which Prometheus asks for.
    OpenMetrics,
    /// The text format of Prometheus before it.
    Prometheus,
}

impl Format {
    /// The one that this `accept` asks for.
    pub(super) fn accepted(accept: &str) -> Self {
        match accept.contains("application/openmetrics-text") {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }

    /// Its name for HTTP.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

impl Metrics {
    /// The metrics of these.
    pub(super) fn new(sources: Sources) -> Self {
        let mut registry = Registry::default();
        let counters = Arc::clone(&sources.counters);
        registry.register_collector(Box::new(calls::Calls(counters)));
        ledger::register(&mut registry, &sources.store);
        registry.register_collector(Box::new(process::Process));
        registry.register_collector(Box::new(state::Gauges(sources)));
        Self(registry)
    }

    /// All of them as text.
    pub(super) fn text(&self, format: Format) -> Result<String, fmt::Error> {
        let mut written = String::new();
        match format {
            Format::OpenMetrics => text::encode(&mut written, &self.0)?,
            Format::Prometheus => prometheus_text::encode(&mut written, &self.0)?,
        }
        Ok(written)
    }
}

/// Writes a collector's metrics.
struct Writer<'a>(DescriptorEncoder<'a>);

impl Writer<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let gauge = ConstGauge::new(value);
        let described = (self.0).encode_descriptor(name, help, None, gauge.metric_type())?;
        gauge.encode(described)
    }

    fn count(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.gauge(name, help, float(value))
    }

    fn counter(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let counter = ConstCounter::new(value);
        let described = (self.0).encode_descriptor(name, help, None, counter.metric_type())?;
        counter.encode(described)
    }

    /// A counter with labels.
    fn counters<const LABELS: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'static str, String); LABELS], f64)>,
    ) -> fmt::Result {
        let kind = ConstCounter::new(0_u64).metric_type();
        let mut described = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in values {
            ConstCounter::new(value).encode(described.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// A number as Prometheus has it.
fn float(number: impl fmt::Display) -> f64 {
    // The text of a number is one.
    number.to_string().parse().unwrap_or(f64::NAN)
}
