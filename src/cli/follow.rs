//! `creditd backup --follow`: options, log and signals around a follower.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use super::failure::Failure;
use super::output::{Format, print_own};
use super::times;
use crate::rfc3339;
use crate::server::files::{self, FOLLOW_INTERVAL_MS, FollowReport, FollowSettings};
use crate::server::{LogFormat, telemetry};

/// A base or a retention that is longer means never.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 86_400);

// How the data file is followed.
#[derive(clap::Args, Debug)]
pub(super) struct FollowArgs {
    /// Keep a continuous copy in this directory, which is made where there is none
    #[arg(long = "follow", id = "follow", value_name = "DIR")]
    pub(super) directory: Option<PathBuf>,
    /// Time between two segments, 100 to 10000: what may be lost with the disk
    #[arg(
        long,
        env = "CREDITD_BACKUP_INTERVAL_MS",
        value_name = "MS",
        default_value_t = 1_000,
        value_parser = interval,
        help_heading = "With --follow"
    )]
    interval_ms: u64,
    /// For how long every moment can be restored
    #[arg(
        long,
        env = "CREDITD_BACKUP_RETAIN",
        value_name = "DURATION",
        default_value = "7d",
        value_parser = long,
        help_heading = "With --follow"
    )]
    retain: Duration,
    /// Time between two whole copies: a restore reads one of them and what came after
    #[arg(
        long,
        env = "CREDITD_BACKUP_BASE_EVERY",
        value_name = "DURATION",
        default_value = "24h",
        value_parser = long,
        help_heading = "With --follow"
    )]
    base_every: Duration,
    /// End after what is new was written, for cron
    #[arg(long, requires = "follow", help_heading = "With --follow")]
    once: bool,
    /// How the log is written to standard error
    #[arg(
        long,
        env = "CREDITD_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "human",
        help_heading = "With --follow"
    )]
    log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace
    #[arg(
        long,
        env = "CREDITD_LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info",
        help_heading = "With --follow"
    )]
    log_level: String,
}

fn interval(text: &str) -> Result<u64, String> {
    let number = text.parse().ok();
    let number = number.filter(|number| FOLLOW_INTERVAL_MS.contains(number));
    number.ok_or_else(|| {
        let (least, most) = FOLLOW_INTERVAL_MS.into_inner();
        format!("it must be {least} to {most}")
    })
}

fn long(text: &str) -> Result<Duration, String> {
    let nanos = times::nanos(text)?;
    u64::try_from(nanos.max(0))
        .map_or(Some(LONGEST), |nanos| Some(Duration::from_nanos(nanos)))
        .filter(|long| nanos > 0 && !long.is_zero())
        .map(|long| long.min(LONGEST))
        .ok_or_else(|| "it must be more than 0".to_owned())
}

#[derive(Serialize)]
struct Printed {
    directory: String,
    data: String,
    bases: u64,
    segments: u64,
    pages: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    whole_until: Option<String>,
}

/// Follows until it is told to stop.
pub(super) fn run(
    data: &Path,
    directory: &Path,
    args: &FollowArgs,
    format: Format,
) -> Result<(), Failure> {
    let _log = telemetry::start(args.log_format, &args.log_level).map_err(Failure::usage)?;
    let settings = FollowSettings {
        interval: Duration::from_millis(args.interval_ms),
        retain: args.retain,
        base_every: args.base_every,
        once: args.once,
    };
    let report = until_signal(|stop| files::follow(data, directory, settings, stop))?;
    let FollowReport {
        bases,
        segments,
        pages,
        whole_until,
    } = report;
    let printed = Printed {
        directory: directory.display().to_string(),
        data: data.display().to_string(),
        bases,
        segments,
        pages,
        whole_until: whole_until.map(rfc3339::format),
    };
    print_own(format, &printed, || {
        let Printed {
            directory, data, ..
        } = &printed;
        match &printed.whole_until {
            Some(moment) => format!("{directory} has everything of {data} up to {moment}"),
            None => format!("{directory} is not whole: its base was not made"),
        }
    })
}

/// Runs on a thread of its own, until it ends or a signal to stop comes, at which `stop` is set.
fn until_signal<T: Send>(
    work: impl FnOnce(&AtomicBool) -> Result<T, String> + Send,
) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime for signals: {error}"))?;
    let stop = Arc::new(AtomicBool::new(false));
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    let signals = {
        let _inside = runtime.enter();
        let catch =
            |kind| signal(kind).map_err(|error| format!("signals cannot be caught: {error}"));
        (
            catch(SignalKind::terminate())?,
            catch(SignalKind::interrupt())?,
            catch(SignalKind::hangup())?,
        )
    };
    let (mut terminate, mut interrupt, mut hangup) = signals;
    std::thread::scope(|scope| {
        let stopped = Arc::clone(&stop);
        let worker = scope.spawn(move || {
            let done = work(&stopped);
            drop(ended);
            done
        });
        let ignore_hangups = async {
            while hangup.recv().await.is_some() {
                tracing::info!("SIGHUP: there is nothing to read again, and the backup goes on");
            }
            std::future::pending::<()>().await;
        };
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = end => {}
                () = ignore_hangups => {}
            }
        });
        stop.store(true, Ordering::Relaxed);
        let joined = worker.join();
        let done = joined.map_err(|_| "the follower ended by a defect".to_owned())?;
        done.map_err(Failure::from)
    })
}
