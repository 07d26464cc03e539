//! The process, by the names that Prometheus's clients have in common.

use std::fmt;
use std::time::Duration;

use procfs::process::{LimitValue, Process as Read};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::{Writer, float};

/// Collects what the system says of the process.
#[derive(Debug)]
pub(super) struct Process;

/// A time that the system counts in ticks.
fn of_ticks(ticks: u64) -> Duration {
    const NANOS: u64 = 1_000_000_000;
    let nanos = NANOS.checked_div(procfs::ticks_per_second());
    Duration::from_nanos(nanos.unwrap_or_default().saturating_mul(ticks))
}

impl Collector for Process {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer(encoder);
        // A system without /proc has none of these.
        let Ok(process) = Read::myself() else {
            return Ok(());
        };
        if let Ok(stat) = process.stat() {
            let ticks = stat.utime.saturating_add(stat.stime);
            writer.counter(
                "process_cpu_seconds",
                "Processor time, of the user and of the system.",
                of_ticks(ticks).as_secs_f64(),
            )?;
            writer.count(
                "process_virtual_memory_bytes",
                "Virtual memory.",
                stat.vsize,
            )?;
            let bytes = stat.rss.saturating_mul(procfs::page_size());
            writer.count("process_resident_memory_bytes", "Resident memory.", bytes)?;
            writer.gauge("process_threads", "Threads.", float(stat.num_threads))?;
            if let Ok(boot) = procfs::boot_time_secs() {
                let boot = Duration::from_secs(boot);
                let start = boot.saturating_add(of_ticks(stat.starttime));
                writer.gauge(
                    "process_start_time_seconds",
                    "When the process began, in seconds since 1970.",
                    start.as_secs_f64(),
                )?;
            }
        }
        if let Ok(open) = process.fd_count() {
            writer.gauge("process_open_fds", "Open file descriptors.", float(open))?;
        }
        match process
            .limits()
            .map(|limits| limits.max_open_files.soft_limit)
        {
            Ok(LimitValue::Value(most)) => {
                writer.count("process_max_fds", "Most file descriptors.", most)
            }
            Ok(LimitValue::Unlimited) | Err(_) => Ok(()),
        }
    }
}
