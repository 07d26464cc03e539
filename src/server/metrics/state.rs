//! What is so now: limits and what is used of them, files, clock, certificate.

use std::fmt;
use std::path::Path;
use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::{Sources, Writer, float};
use crate::domain::Timestamp;
use crate::rpc::layer::InUse;
use crate::rpc::router::SERVICES;
use crate::server::files::{self, StatusFile};
use crate::server::telemetry;

/// Collects what is so now.
pub(super) struct Gauges(pub(super) Sources);

impl fmt::Debug for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gauges")
    }
}

impl Collector for Gauges {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer(encoder);
        build(&mut writer)?;
        self.limits(&mut writer)?;
        self.health(&mut writer)?;
        self.files(&mut writer)?;
        writer.counter(
            "creditd_log_lines_dropped",
            "Lines of the log that a slow reader could not take.",
            float(telemetry::lines_dropped()),
        )?;
        let spans = &self.0.spans;
        writer.counter(
            "creditd_trace_spans_sent",
            "Spans of traces that the collector took.",
            float(spans.sent()),
        )?;
        writer.counter(
            "creditd_trace_spans_dropped",
            "Spans of traces that the collector could not take.",
            float(spans.dropped()),
        )
    }
}

fn build(writer: &mut Writer<'_>) -> fmt::Result {
    let labels = [("version", env!("CARGO_PKG_VERSION"))];
    let mut described = writer.0.encode_descriptor(
        "creditd_build_info",
        "Which version runs.",
        None,
        MetricType::Gauge,
    )?;
    ConstGauge::new(1_i64).encode(described.encode_family(&labels)?)
}

impl Gauges {
    fn limits(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let InUse {
            calls,
            memory_bytes,
            balance_watches,
        } = self.0.budget.in_use();
        let connections = self.0.connections.iter();
        let connections = connections.map(|count| count.load(Ordering::Relaxed));
        let connections = connections.fold(0, usize::saturating_add);
        for (name, help, [used, max]) in [
            ("creditd_calls", "Calls in flight", calls),
            (
                "creditd_call_memory_bytes",
                "Memory for requests and replies",
                memory_bytes,
            ),
            (
                "creditd_connections",
                "Connections",
                [connections, self.0.limits.connections_max()],
            ),
            ("creditd_watchers", "Watched balances", balance_watches),
        ] {
            writer.gauge(name, &format!("{help}."), float(used))?;
            let (base, unit) = match name.strip_suffix("_bytes") {
                Some(base) => (base, "_bytes"),
                None => (name, ""),
            };
            let name = format!("{base}_max{unit}");
            writer.gauge(&name, &format!("{help}: the limit."), float(max))?;
        }
        writer.gauge(
            "creditd_store_queue_commands",
            "Commands and reads that wait for the ledger's writer.",
            float(self.0.store.queued_commands()),
        )?;
        let settings = self.0.store_settings;
        writer.gauge(
            "creditd_accounts_in_memory_max",
            "Accounts in memory: the limit; a large one counts as several.",
            float(settings.accounts_max),
        )?;
        writer.gauge(
            "creditd_request_id_memory_max_bytes",
            "Memory for finding request_ids: the limit.",
            float(settings.request_filter_bytes_max),
        )
    }

    fn health(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let state = *self.0.state.borrow();
        let mut described = writer.0.encode_descriptor(
            "creditd_serving",
            "What health says: 1 where a service serves.",
            None,
            MetricType::Gauge,
        )?;
        for service in SERVICES {
            let labels = [("grpc_service", service.name)];
            let serves = i64::from(state.serves(service.writes));
            ConstGauge::new(serves).encode(described.encode_family(&labels)?)?;
        }
        let is = |is: bool| f64::from(u8::from(is));
        writer.gauge(
            "creditd_store_writable",
            "1 where the ledger can write.",
            is(*self.0.store.writable().borrow()),
        )?;
        writer.gauge(
            "creditd_clock_believed",
            "1 where the system's clock is believed.",
            is(*self.0.believed.borrow()),
        )?;
        match self.0.tls.as_ref().map(|tls| tls.expiry()) {
            Some(expiry) => writer.gauge(
                "creditd_tls_certificate_expiry_timestamp_seconds",
                "When the server's certificate ends, in seconds since 1970.",
                float(expiry),
            ),
            None => Ok(()),
        }
    }

    fn files(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let data = &self.0.data;
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        writer.count("creditd_store_file_bytes", "The data file.", size(data))?;
        writer.count(
            "creditd_store_wal_bytes",
            "The data file's -wal.",
            files::wal_bytes(data),
        )?;
        if let Some(free) = files::free_bytes(data) {
            writer.count(
                "creditd_store_disk_free_bytes",
                "What is free on the disk of the data file.",
                free,
            )?;
        }
        for (what, help, status) in [
            (
                "backup",
                "Up to when the data file was backed up last",
                StatusFile::Backup,
            ),
            (
                "audit",
                "When an audit of the data file was sound last",
                StatusFile::Audit,
            ),
        ] {
            writer.gauge(
                &format!("creditd_last_{what}_timestamp_seconds"),
                &format!("{help}, in seconds since 1970; 0: it never was."),
                float(status.read(data).map_or(0, Timestamp::seconds)),
            )?;
        }
        Ok(())
    }
}
