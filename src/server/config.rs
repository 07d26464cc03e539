//! Settings of a server: from the command line or the environment, then from a
//! file, then the defaults.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::address::{self, LISTEN_DEFAULT};
use super::telemetry::LogFormat;
use crate::domain::Timestamp;
use crate::store::sqlite::SqliteSettings;

/// Where credits are kept by default.
pub const DATA_DEFAULT: &str = "creditd.db";
/// Most calls in flight by default.
pub const CALLS_MAX_DEFAULT: usize = 8_192;
/// Most connections by default.
pub const CONNECTIONS_MAX_DEFAULT: usize = 4_096;
/// Longest call by default.
pub const DEADLINE_MS_MAX_DEFAULT: u64 = 30_000;
/// Most balances that are watched by default.
pub const WATCHERS_MAX_DEFAULT: usize = 1_024;
/// Longest drain by default.
pub const DRAIN_MS_MAX_DEFAULT: u64 = 10_000;
/// Three days, which the API promises, to a year.
const REQUEST_ID_HOURS: std::ops::RangeInclusive<u32> = 72..=8_760;
/// What the API promises, to ten years.
const REQUEST_ID_DAYS_CREDITS: std::ops::RangeInclusive<u32> = 90..=3_650;
/// More threads than this help nobody.
const THREADS_MAX: usize = 256;

/// Settings of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// A socket in the file system to listen on too.
    pub listen_unix: Option<PathBuf>,
    /// The data file.
    pub data: PathBuf,
    /// Rate cards; none: the built-in one.
    pub rate_cards: Vec<PathBuf>,
    /// For how many days replaced prices are honoured; None: for ever.
    pub revision_age_days_max: Option<u32>,
    /// A time near which the clock is believed at the start.
    pub accept_clock: Option<Timestamp>,
    /// What the data file's store keeps.
    pub store: SqliteSettings,
    /// Most balances that are watched.
    pub watchers_max: usize,
    /// Threads that serve.
    pub threads: usize,
    /// Most calls in flight.
    pub calls_max: usize,
    /// Most connections.
    pub connections_max: usize,
    /// The longest that a call may take.
    pub deadline_max: Duration,
    /// How long calls in flight may go on after the signal to stop.
    pub drain_max: Duration,
    /// Whether successful calls are logged.
    pub log_calls: bool,
    /// How the log is written.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_level: String,
}

/// Settings as they were given in one place; what was not is None.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Where to listen: host and port, either of which may be left out.
    pub listen: Option<String>,
    /// A socket in the file system to listen on too.
    pub listen_unix: Option<PathBuf>,
    /// The data file.
    pub data: Option<PathBuf>,
    /// Rate cards.
    #[serde(default, rename = "rate_card_file", alias = "rate_card")]
    pub rate_cards: Vec<PathBuf>,
    /// For how many days replaced prices are honoured.
    pub revision_age_days_max: Option<u32>,
    /// A time near which the clock is believed at the start. It is for one start, so it
    /// has no place in a file.
    #[serde(skip)]
    pub accept_clock: Option<Timestamp>,
    /// For how many hours a request_id is known at least.
    pub request_id_hours: Option<u32>,
    /// For how many days one of a call that brings credits in or back is known at least.
    pub request_id_days_credits: Option<u32>,
    /// Most memory for filters of request_ids.
    pub request_id_memory_mib_max: Option<usize>,
    /// Most accounts in memory.
    pub accounts_in_memory_max: Option<usize>,
    /// Most balances that are watched.
    pub watchers_max: Option<usize>,
    /// Threads that serve.
    pub threads: Option<usize>,
    /// Most calls in flight.
    pub calls_max: Option<usize>,
    /// Most connections.
    pub connections_max: Option<usize>,
    /// The longest that a call may take.
    pub deadline_ms_max: Option<u64>,
    /// How long calls in flight may go on after the signal to stop.
    pub drain_ms_max: Option<u64>,
    /// Whether successful calls are logged.
    pub log_calls: Option<bool>,
    /// How the log is written.
    pub log_format: Option<LogFormat>,
    /// What is logged.
    pub log_level: Option<String>,
}

/// What a configuration file holds.
pub type FileConfig = Options;

/// Why settings cannot be used, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl Options {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// What is wrong, with file and line.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| {
            ConfigError(format!(
                "configuration {name}: {error}; give --config the path of a TOML file"
            ))
        })?;
        toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map_or(1, |before| before.matches('\n').count().saturating_add(1));
            let problem = error.message().trim().replace('\n', " ");
            ConfigError(format!(
                "configuration {name}:{line}: {problem}; its keys are the options of \"creditd serve\" with _ for -"
            ))
        })
    }

    /// Settings: these first, then those of the file, then the defaults.
    ///
    /// # Errors
    /// A value that makes no sense.
    pub fn over(self, file: Self) -> Result<Config, ConfigError> {
        let store = SqliteSettings::default();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let rate_cards = match self.rate_cards.is_empty() {
            true => file.rate_cards,
            false => self.rate_cards,
        };
        let listen = match self.listen.or(file.listen) {
            Some(text) => address::resolve(&text).map_err(ConfigError)?,
            None => LISTEN_DEFAULT,
        };
        let config = Config {
            listen,
            listen_unix: self.listen_unix.or(file.listen_unix),
            data: self
                .data
                .or(file.data)
                .unwrap_or_else(|| DATA_DEFAULT.into()),
            rate_cards,
            revision_age_days_max: self.revision_age_days_max.or(file.revision_age_days_max),
            accept_clock: self.accept_clock,
            store: SqliteSettings {
                accounts_max: self
                    .accounts_in_memory_max
                    .or(file.accounts_in_memory_max)
                    .unwrap_or(store.accounts_max),
                request_hours: self
                    .request_id_hours
                    .or(file.request_id_hours)
                    .unwrap_or(store.request_hours),
                request_days_credits: self
                    .request_id_days_credits
                    .or(file.request_id_days_credits)
                    .unwrap_or(store.request_days_credits),
                request_filter_bytes_max: self
                    .request_id_memory_mib_max
                    .or(file.request_id_memory_mib_max)
                    .map_or(store.request_filter_bytes_max, |mib| {
                        mib.saturating_mul(1 << 20)
                    }),
                ..store
            },
            watchers_max: self
                .watchers_max
                .or(file.watchers_max)
                .unwrap_or(WATCHERS_MAX_DEFAULT),
            threads: self.threads.or(file.threads).unwrap_or(cores),
            calls_max: self
                .calls_max
                .or(file.calls_max)
                .unwrap_or(CALLS_MAX_DEFAULT),
            connections_max: self
                .connections_max
                .or(file.connections_max)
                .unwrap_or(CONNECTIONS_MAX_DEFAULT),
            deadline_max: Duration::from_millis(
                self.deadline_ms_max
                    .or(file.deadline_ms_max)
                    .unwrap_or(DEADLINE_MS_MAX_DEFAULT),
            ),
            drain_max: Duration::from_millis(
                self.drain_ms_max
                    .or(file.drain_ms_max)
                    .unwrap_or(DRAIN_MS_MAX_DEFAULT),
            ),
            log_calls: self.log_calls.or(file.log_calls).unwrap_or_default(),
            log_format: self.log_format.or(file.log_format).unwrap_or_default(),
            log_level: self
                .log_level
                .or(file.log_level)
                .unwrap_or_else(|| "info".to_owned()),
        };
        config.check()
    }
}

impl Config {
    fn check(self) -> Result<Self, ConfigError> {
        let wrong = |text: &str| Err(ConfigError(text.to_owned()));
        let data = self.data.to_string_lossy();
        if data.starts_with("postgres://") || data.starts_with("postgresql://") {
            return wrong(
                "--data: this version keeps credits in a file; PostgreSQL is not built in, so give the path of a file",
            );
        }
        if self.data.as_os_str().is_empty() {
            return wrong("--data is empty; give the path of a file");
        }
        let unix = self.listen_unix.as_deref().map(Path::as_os_str);
        if unix.is_some_and(std::ffi::OsStr::is_empty) {
            return wrong("--listen-unix is empty; give the path of a socket, or leave it out");
        }
        if !(1..=THREADS_MAX).contains(&self.threads) {
            return wrong("--threads must be 1 to 256");
        }
        if !REQUEST_ID_HOURS.contains(&self.store.request_hours) {
            return wrong("--request-id-hours must be 72 to 8760");
        }
        if !REQUEST_ID_DAYS_CREDITS.contains(&self.store.request_days_credits) {
            return wrong("--request-id-days-credits must be 90 to 3650");
        }
        for (name, value) in [
            ("--accounts-in-memory-max", self.store.accounts_max),
            ("--calls-max", self.calls_max),
            ("--connections-max", self.connections_max),
        ] {
            if value == 0 {
                return wrong(&format!("{name} must be more than 0"));
            }
        }
        if self.deadline_max.is_zero() {
            return wrong("--deadline-ms-max must be more than 0");
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_wins_over_the_file_and_both_over_the_defaults() {
        let file = Options {
            threads: Some(3),
            calls_max: Some(5),
            ..Options::default()
        };
        let line = Options {
            threads: Some(2),
            ..Options::default()
        };
        let config = line.over(file).unwrap();
        assert_eq!(config.threads, 2);
        assert_eq!(config.calls_max, 5);
        assert_eq!(config.listen, LISTEN_DEFAULT);
        assert_eq!(config.data, Path::new(DATA_DEFAULT));
    }

    #[test]
    fn values_without_sense_are_refused() {
        for options in [
            Options {
                threads: Some(0),
                ..Options::default()
            },
            Options {
                calls_max: Some(0),
                ..Options::default()
            },
            Options {
                connections_max: Some(0),
                ..Options::default()
            },
            Options {
                deadline_ms_max: Some(0),
                ..Options::default()
            },
            Options {
                request_id_hours: Some(71),
                ..Options::default()
            },
            Options {
                request_id_days_credits: Some(89),
                ..Options::default()
            },
            Options {
                data: Some("postgres://x/y".into()),
                ..Options::default()
            },
            Options {
                data: Some("".into()),
                ..Options::default()
            },
            Options {
                listen_unix: Some("".into()),
                ..Options::default()
            },
        ] {
            assert!(
                options.clone().over(Options::default()).is_err(),
                "{options:?}"
            );
        }
    }
}
