//! The log: on standard error, for people on a terminal and as JSON by option.
//! Writing it never keeps a call waiting: what a slow reader cannot take is
//! dropped, and counted by the writer.

use std::io::IsTerminal;
use std::sync::OnceLock;

use serde::Deserialize;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// How many lines may wait to be written.
const LINES_MAX: usize = 65_536;

/// Counts lines that were dropped.
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// How many lines of the log a slow reader could not take.
pub(super) fn lines_dropped() -> usize {
    DROPPED.get().map_or(0, ErrorCounter::dropped_lines)
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Starts the log. It is written for as long as the guard lives.
///
/// # Errors
/// A level that is none.
pub fn start(format: LogFormat, level: &str) -> Result<WorkerGuard, String> {
    // A bare word that is no level would be taken for the name of a module, and
    // silence everything else.
    let named = level.contains('=') || level.parse::<LevelFilter>().is_ok();
    let filter = EnvFilter::builder().parse(level).ok().filter(|_| named);
    let filter = filter.ok_or_else(|| {
        format!("--log-level {level} is no level; use error, warn, info, debug or trace")
    })?;
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(LINES_MAX)
        .lossy(true)
        .thread_name("log-writer")
        .finish(std::io::stderr());
    let dropped = writer.error_counter();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_target(false);
    let started = match format {
        LogFormat::Human => builder
            .with_ansi(std::io::stderr().is_terminal())
            .try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| error.to_string())?;
    // There is one log in a process.
    let _ = DROPPED.set(dropped);
    // A panic belongs in the log as everything else does.
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(%panic, "a defect: please report it");
    }));
    Ok(guard)
}
