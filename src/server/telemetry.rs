//! The log: on standard error, for people on a terminal and as JSON by option.
//! Writing it never keeps a call waiting: what a slow reader cannot take is
//! dropped, and counted by the writer.

use std::io::IsTerminal;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::reload;

/// How many lines may wait to be written.
const LINES_MAX: usize = 65_536;

/// Counts lines that were dropped.
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// How many lines of the log a slow reader could not take.
pub(super) fn lines_dropped() -> usize {
    DROPPED.get().map_or(0, ErrorCounter::dropped_lines)
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// What of the log can change while it is written.
pub struct LogLevel(Box<dyn Fn(EnvFilter) + Send + Sync>);

impl LogLevel {
    fn new<S: 'static>(handle: reload::Handle<EnvFilter, S>) -> Self {
        // It fails where the log has ended.
        Self(Box::new(move |filter| drop(handle.reload(filter))))
    }

    /// From now on this is logged.
    pub(super) fn set(&self, filter: EnvFilter) {
        (self.0)(filter);
    }
}

/// Which lines are logged at a level.
///
/// # Errors
/// It is none.
pub(super) fn filter(level: &str) -> Result<EnvFilter, String> {
    // A bare word that is no level would be taken for the name of a module, and
    // silence everything else.
    let named = level.contains('=') || level.parse::<LevelFilter>().is_ok();
    let filter = EnvFilter::builder().parse(level).ok().filter(|_| named);
    filter.ok_or_else(|| {
        format!("--log-level {level} is no level; use error, warn, info, debug or trace")
    })
}

/// Starts the log. It is written for as long as the guard lives.
///
/// # Errors
/// A level that is none.
pub fn start(format: LogFormat, level: &str) -> Result<(WorkerGuard, LogLevel), String> {
    let filter = filter(level)?;
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(LINES_MAX)
        .lossy(true)
        .thread_name("log-writer")
        .finish(std::io::stderr());
    let dropped = writer.error_counter();
    let builder = tracing_subscriber::fmt()
        .with_writer(writer)
        .with_target(false);
    let (started, level) = match format {
        LogFormat::Human => {
            let builder = builder.with_ansi(std::io::stderr().is_terminal());
            let builder = builder.with_env_filter(filter).with_filter_reloading();
            let level = LogLevel::new(builder.reload_handle());
            (builder.try_init(), level)
        }
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true);
            let builder = builder.with_env_filter(filter).with_filter_reloading();
            let level = LogLevel::new(builder.reload_handle());
            (builder.try_init(), level)
        }
    };
    started.map_err(|error| error.to_string())?;
    // There is one log in a process.
    let _ = DROPPED.set(dropped);
    // A panic belongs in the log as everything else does.
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(%panic, "a defect: please report it");
    }));
    Ok((guard, level))
}
