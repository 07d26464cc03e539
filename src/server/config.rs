//! Settings of a server: from the command line or the environment, then from a
//! file, then the defaults.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::address::{self, LISTEN_DEFAULT};
use super::telemetry::LogFormat;
use super::tls::TlsFiles;
use crate::domain::Timestamp;
use crate::rfc3339;
use crate::store::sqlite::SqliteSettings;

/// Where credits are kept by default.
pub const DATA_DEFAULT: &str = "creditd.db";
/// Most calls in flight by default.
pub const CALLS_MAX_DEFAULT: usize = 8_192;
/// Memory for requests and replies by default, and the least that serves large calls.
pub const CALL_MEMORY_MIB_MAX_DEFAULT: usize = 256;
const CALL_MEMORY_MIB_MIN: usize = 64;
/// Most connections by default.
pub const CONNECTIONS_MAX_DEFAULT: usize = 4_096;
/// Longest idle time of a connection by default.
pub const CONNECTION_IDLE_SECONDS_MAX_DEFAULT: u32 = 600;
/// Longest age of a connection by default.
pub const CONNECTION_AGE_SECONDS_MAX_DEFAULT: u32 = 3_600;
/// Longest call by default.
pub const DEADLINE_MS_MAX_DEFAULT: u64 = 30_000;
/// Most balances that are watched by default.
pub const WATCHERS_MAX_DEFAULT: usize = 1_024;
/// Longest drain by default.
pub const DRAIN_MS_MAX_DEFAULT: u64 = 10_000;
/// Three days, which the API promises, to a year.
pub const REQUEST_ID_HOURS: std::ops::RangeInclusive<u32> = 72..=8_760;
/// What the API promises, to ten years.
pub const REQUEST_ID_DAYS_CREDITS: std::ops::RangeInclusive<u32> = 90..=3_650;
/// More threads than cores do not serve more calls.
const THREADS_MAX: usize = 256;

/// Settings of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// A socket in the file system to listen on too.
    pub listen_unix: Option<PathBuf>,
    /// What TCP speaks TLS with; None: it does not.
    pub tls: Option<TlsFiles>,
    /// The data file.
    pub data: PathBuf,
    /// Rate cards; none: the built-in one.
    pub rate_cards: Vec<PathBuf>,
    /// The card that is meant where none is named; None: the first of the files, or the
    /// built-in one.
    pub default_rate_card: Option<String>,
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
    /// Most memory for requests and replies.
    pub call_memory_bytes_max: usize,
    /// Most connections.
    pub connections_max: usize,
    /// How long a connection without a call is kept.
    pub connection_idle_max: Duration,
    /// How long any connection is kept, about.
    pub connection_age_max: Duration,
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

// Options of `creditd serve`, as they were given in one place: on the command line or in the
// environment, or in a file, whose keys are the names of the fields. What was not given is
// None. (Documentation of the struct would replace that of the subcommand it is part of.)
#[allow(missing_docs)]
#[derive(Clone, Debug, Default, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Address or name to listen on; port 0 takes a free one [default: 127.0.0.1:50051]
    #[arg(long, env = "CREDITD_LISTEN", value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Unix socket to listen on too; made for this user alone, and removed at the end
    #[arg(long, env = "CREDITD_LISTEN_UNIX", value_name = "FILE")]
    pub listen_unix: Option<PathBuf>,
    /// PEM file with the certificate to speak TLS with, and those that issued it after it; read
    /// again when it changes, and on SIGHUP
    #[arg(long, env = "CREDITD_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// PEM file with the certificate's private key
    #[arg(long, env = "CREDITD_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// File in which credits are kept; made where there is none [default: creditd.db]
    #[arg(long, env = "CREDITD_DATA", value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// File with a rate card to serve instead of the built-in one; may be repeated, and the
    /// first one's name is the default (in the environment: separated by commas, and as
    /// CREDITD_RATE_CARD too)
    #[arg(
        long = "rate-card-file",
        visible_alias = "rate-card",
        env = "CREDITD_RATE_CARD_FILE",
        value_name = "FILE",
        value_delimiter = ','
    )]
    #[serde(default, rename = "rate_card_file", alias = "rate_card")]
    pub rate_cards: Vec<PathBuf>,
    /// Name of the rate card that is meant where a request names none [default: that of the
    /// first file, or of the built-in card]
    #[arg(long, env = "CREDITD_DEFAULT_RATE_CARD", value_name = "NAME")]
    pub default_rate_card: Option<String>,
    /// Honour a revision for so many days after other prices took its place [default: for ever]
    #[arg(long, env = "CREDITD_REVISION_AGE_DAYS_MAX", value_name = "DAYS")]
    pub revision_age_days_max: Option<u32>,
    /// Know a request_id for at least so many hours, 72 to 8760 [default: 72]
    #[arg(long, env = "CREDITD_REQUEST_ID_HOURS", value_name = "HOURS")]
    pub request_id_hours: Option<u32>,
    /// Know the request_id of a Grant, Refund or RevokeGrant for at least so many days,
    /// 90 to 3650 [default: 90]
    #[arg(long, env = "CREDITD_REQUEST_ID_DAYS_CREDITS", value_name = "DAYS")]
    pub request_id_days_credits: Option<u32>,
    /// Memory for finding request_ids, 2 bytes each; beyond it the oldest ones are looked up
    /// in the file, which is slower [default: 256]
    #[arg(long, env = "CREDITD_REQUEST_ID_MEMORY_MIB_MAX", value_name = "MIB")]
    pub request_id_memory_mib_max: Option<usize>,
    /// Most accounts in memory, a large one counting as several; the others are read from
    /// the file when they are needed [default: 200000]
    #[arg(long, env = "CREDITD_ACCOUNTS_IN_MEMORY_MAX", value_name = "N")]
    pub accounts_in_memory_max: Option<usize>,
    /// Believe a clock that jumped, where it is within a day of TIME, such as
    /// 2027-01-31T12:00:00Z; for one start, see docs/clock.md
    // For one start, so it has no place in a file.
    #[arg(long, env = "CREDITD_ACCEPT_CLOCK", value_name = "TIME", value_parser = accept_clock)]
    #[serde(skip)]
    pub accept_clock: Option<Timestamp>,
    /// Most balances that are watched; more are refused with UNAVAILABLE [default: 1024]
    #[arg(long, env = "CREDITD_WATCHERS_MAX", value_name = "N")]
    pub watchers_max: Option<usize>,
    /// Threads that serve [default: one a core]
    #[arg(long, env = "CREDITD_THREADS", value_name = "N")]
    pub threads: Option<usize>,
    /// Most calls in flight; more are refused with UNAVAILABLE [default: 8192]
    #[arg(long, env = "CREDITD_CALLS_MAX", value_name = "N")]
    pub calls_max: Option<usize>,
    /// Memory for requests and replies, of which a connection may take a share; more is refused
    /// with UNAVAILABLE, at least 64 [default: 256]
    #[arg(long, env = "CREDITD_CALL_MEMORY_MIB_MAX", value_name = "MIB")]
    pub call_memory_mib_max: Option<usize>,
    /// Most connections; more are closed [default: 4096]
    #[arg(long, env = "CREDITD_CONNECTIONS_MAX", value_name = "N")]
    pub connections_max: Option<usize>,
    /// Close a connection without a call for so many seconds; its client connects again when it
    /// calls [default: 600]
    #[arg(
        long,
        env = "CREDITD_CONNECTION_IDLE_SECONDS_MAX",
        value_name = "SECONDS"
    )]
    pub connection_idle_seconds_max: Option<u32>,
    /// Have clients connect anew after so many seconds, a tenth more or less; no call is
    /// cut [default: 3600]
    #[arg(
        long,
        env = "CREDITD_CONNECTION_AGE_SECONDS_MAX",
        value_name = "SECONDS"
    )]
    pub connection_age_seconds_max: Option<u32>,
    /// Longest that a call may take, whatever deadline it brings [default: 30000]
    #[arg(long, env = "CREDITD_DEADLINE_MS_MAX", value_name = "MS")]
    pub deadline_ms_max: Option<u64>,
    /// How long calls in flight may go on after the signal to stop [default: 10000]
    #[arg(long, env = "CREDITD_DRAIN_MS_MAX", value_name = "MS")]
    pub drain_ms_max: Option<u64>,
    /// Log successful calls too; refusals are always logged
    #[arg(
        long,
        env = "CREDITD_LOG_CALLS",
        num_args = 0..=1,
        default_missing_value = "true",
        value_parser = clap::builder::BoolishValueParser::new(),
        value_name = "BOOL"
    )]
    pub log_calls: Option<bool>,
    /// How the log is written to standard error [default: human]
    #[arg(long, env = "CREDITD_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// What is logged: error, warn, info, debug, trace [default: info]
    #[arg(long, env = "CREDITD_LOG_LEVEL", value_name = "LEVEL")]
    pub log_level: Option<String>,
}

fn accept_clock(text: &str) -> Result<Timestamp, String> {
    rfc3339::parse(text).ok_or_else(|| "write it like 2027-01-31T12:00:00Z".to_owned())
}

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
        /// The option as it was given first: here, or in the file.
        macro_rules! given {
            ($option:ident) => {
                self.$option.or(file.$option)
            };
        }
        let ms = Duration::from_millis;
        let seconds =
            |given: Option<u32>, default: u32| Duration::from_secs(given.unwrap_or(default).into());
        let config = Config {
            listen: match given!(listen) {
                Some(text) => address::resolve(&text).map_err(ConfigError)?,
                None => LISTEN_DEFAULT,
            },
            listen_unix: given!(listen_unix),
            tls: match (given!(tls_cert), given!(tls_key)) {
                (Some(cert), Some(key)) => Some(TlsFiles { cert, key }),
                (None, None) => None,
                (Some(_), None) => return Err(one_alone("--tls-cert", "--tls-key")),
                (None, Some(_)) => return Err(one_alone("--tls-key", "--tls-cert")),
            },
            data: given!(data).unwrap_or_else(|| DATA_DEFAULT.into()),
            rate_cards,
            default_rate_card: given!(default_rate_card),
            revision_age_days_max: given!(revision_age_days_max),
            accept_clock: self.accept_clock,
            store: SqliteSettings {
                accounts_max: given!(accounts_in_memory_max).unwrap_or(store.accounts_max),
                request_hours: given!(request_id_hours).unwrap_or(store.request_hours),
                request_days_credits: given!(request_id_days_credits)
                    .unwrap_or(store.request_days_credits),
                request_filter_bytes_max: given!(request_id_memory_mib_max)
                    .map_or(store.request_filter_bytes_max, |mib| {
                        mib.saturating_mul(1 << 20)
                    }),
                ..store
            },
            watchers_max: given!(watchers_max).unwrap_or(WATCHERS_MAX_DEFAULT),
            threads: given!(threads).unwrap_or(cores),
            calls_max: given!(calls_max).unwrap_or(CALLS_MAX_DEFAULT),
            call_memory_bytes_max: given!(call_memory_mib_max)
                .unwrap_or(CALL_MEMORY_MIB_MAX_DEFAULT)
                .saturating_mul(1 << 20),
            connections_max: given!(connections_max).unwrap_or(CONNECTIONS_MAX_DEFAULT),
            connection_idle_max: seconds(
                given!(connection_idle_seconds_max),
                CONNECTION_IDLE_SECONDS_MAX_DEFAULT,
            ),
            connection_age_max: seconds(
                given!(connection_age_seconds_max),
                CONNECTION_AGE_SECONDS_MAX_DEFAULT,
            ),
            deadline_max: ms(given!(deadline_ms_max).unwrap_or(DEADLINE_MS_MAX_DEFAULT)),
            drain_max: ms(given!(drain_ms_max).unwrap_or(DRAIN_MS_MAX_DEFAULT)),
            log_calls: given!(log_calls).unwrap_or_default(),
            log_format: given!(log_format).unwrap_or_default(),
            log_level: given!(log_level).unwrap_or_else(|| "info".to_owned()),
        };
        config.check()
    }
}

fn one_alone(given: &str, missing: &str) -> ConfigError {
    ConfigError(format!(
        "{given} is given without {missing}; TLS needs both"
    ))
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
        if self.default_rate_card.as_deref() == Some("") {
            return wrong("--default-rate-card is empty; name a rate card, or leave it out");
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
        for (name, time) in [
            ("--connection-idle-seconds-max", self.connection_idle_max),
            ("--connection-age-seconds-max", self.connection_age_max),
            ("--deadline-ms-max", self.deadline_max),
        ] {
            if time.is_zero() {
                return wrong(&format!("{name} must be more than 0"));
            }
        }
        if self.call_memory_bytes_max < CALL_MEMORY_MIB_MIN.saturating_mul(1 << 20) {
            return wrong("--call-memory-mib-max must be at least 64");
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

    /// The flag, the variable and the key of the file differ in their form alone.
    #[test]
    fn an_option_has_one_name_everywhere() {
        use clap::Args as _;
        let keys = toml::from_str::<Options>("unknown = 1").unwrap_err();
        let keys = keys.message().to_owned();
        let command = Options::augment_args(clap::Command::new("serve"));
        for option in command.get_arguments() {
            let key = option.get_long().unwrap().replace('-', "_");
            let variable = format!("CREDITD_{}", key.to_uppercase());
            assert_eq!(option.get_env(), Some(variable.as_ref()), "{key}");
            // It is for one start.
            let in_file = key != "accept_clock";
            assert_eq!(keys.contains(&format!("`{key}`")), in_file, "{key}: {keys}");
        }
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
                connection_idle_seconds_max: Some(0),
                ..Options::default()
            },
            Options {
                connection_age_seconds_max: Some(0),
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
                default_rate_card: Some(String::new()),
                ..Options::default()
            },
            Options {
                tls_cert: Some("cert.pem".into()),
                ..Options::default()
            },
            Options {
                tls_key: Some("key.pem".into()),
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
