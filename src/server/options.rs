//! Options of a server: from the command line or the environment, then from a file, then the
//! defaults.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::address::LISTEN_DEFAULT;
use super::config::{
    CALL_MEMORY_MIB_MAX_DEFAULT, CALLS_MAX_DEFAULT, CONNECTION_AGE_SECONDS_MAX_DEFAULT,
    CONNECTION_IDLE_SECONDS_MAX_DEFAULT, CONNECTIONS_MAX_DEFAULT, Config, ConfigError,
    DATA_DEFAULT, DEADLINE_MS_MAX_DEFAULT, DRAIN_MS_MAX_DEFAULT, SLOW_CALL_MS_DEFAULT,
    WATCHERS_MAX_DEFAULT,
};
use super::option_table::options;
use super::telemetry::LogFormat;
use crate::domain::Timestamp;
use crate::rfc3339;
use crate::store::sqlite::SqliteSettings;

// Options of `creditd serve`: each is defined here, and nowhere else. Its name is its key in a file,
// its flag with - for _, and its variable in capitals; its first lines are its help. Behind it stand
// its default, and when a change is taken: by a reload, or by a restart alone.
options! {
    /// Address or name to listen on; port 0 takes a free one [default: 127.0.0.1:50051]
    #[arg(long, env = "CREDITD_LISTEN", value_name = "HOST:PORT")]
    listen: Option<String> = Some(LISTEN_DEFAULT.to_string()), Restart;
    /// Address for metrics and probes over HTTP: /metrics, /livez, /readyz. It asks nobody who they
    /// are, and tells nothing of the ledger's data [default: none]
    #[arg(long, env = "CREDITD_ADMIN_LISTEN", value_name = "HOST:PORT")]
    admin_listen: Option<String> = None, Restart;
    /// Unix socket to listen on too; made for this user alone, and removed at the end
    #[arg(long, env = "CREDITD_LISTEN_UNIX", value_name = "FILE")]
    listen_unix: Option<PathBuf> = None, Restart;
    /// PEM file with the certificate to speak TLS with, and those that issued it after it; read
    /// again when it changes, and on SIGHUP
    #[arg(long, env = "CREDITD_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf> = None, Restart;
    /// PEM file with the certificate's private key
    #[arg(long, env = "CREDITD_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf> = None, Restart;
    /// PEM file with those who issue clients' certificates. Callers then need a certificate that
    /// a [[client]] of the configuration file names, or a key; read again as --tls-cert is
    #[arg(long, env = "CREDITD_TLS_CLIENT_CA", value_name = "FILE")]
    tls_client_ca: Option<PathBuf> = None, Restart;
    /// File with keys that may do everything, one a line, at least 24 characters each; read
    /// again on SIGHUP. CREDITD_ADMIN_KEY has one, too. With any of them callers need keys
    #[arg(long, env = "CREDITD_ADMIN_KEY_FILE", value_name = "FILE")]
    admin_key_file: Option<PathBuf> = None, Reload;
    /// Do not ask who calls, although there are keys
    #[arg(
        long,
        env = "CREDITD_NO_AUTHENTICATION",
        num_args = 0..=1,
        default_missing_value = "true",
        value_parser = clap::builder::BoolishValueParser::new(),
        value_name = "BOOL"
    )]
    no_authentication: Option<bool> = Some(false), Restart;
    /// Let other machines reach this server without TLS, or without keys
    #[arg(
        long,
        env = "CREDITD_INSECURE",
        num_args = 0..=1,
        default_missing_value = "true",
        value_parser = clap::builder::BoolishValueParser::new(),
        value_name = "BOOL"
    )]
    insecure: Option<bool> = Some(false), Restart;
    /// Whether callers can ask for the schema, which grpcurl does: on or off [default: on]
    #[arg(long, env = "CREDITD_REFLECTION", value_name = "ON|OFF")]
    reflection: Option<Switch> = Some(Switch::On), Restart;
    /// Refuse calls that name one account more often than so many times a second, each item of a
    /// batch counting, with RATE_LIMITED [default: no limit]
    #[arg(long, env = "CREDITD_ACCOUNT_CALLS_PER_SECOND_MAX", value_name = "N")]
    account_calls_per_second_max: Option<u32> = Some(0), Reload;
    /// File in which credits are kept; made where there is none [default: creditd.db]
    #[arg(long, env = "CREDITD_DATA", value_name = "FILE")]
    data: Option<PathBuf> = Some(DATA_DEFAULT.into()), Restart;
    /// File with a rate card to serve instead of the built-in one; may be repeated, and the
    /// first one's name is the default (in the environment: separated by commas, and as
    /// CREDITD_RATE_CARD too)
    #[arg(
        long,
        visible_alias = "rate-card",
        env = "CREDITD_RATE_CARD_FILE",
        value_name = "FILE",
        value_delimiter = ','
    )]
    #[serde(default, alias = "rate_card")]
    rate_card_file: Vec<PathBuf> = Vec::new(), Reload;
    /// Name of the rate card that is meant where a request names none [default: that of the
    /// first file, or of the built-in card]
    #[arg(long, env = "CREDITD_DEFAULT_RATE_CARD", value_name = "NAME")]
    default_rate_card: Option<String> = None, Reload;
    /// Honour a revision for so many days after other prices took its place [default: for ever]
    #[arg(long, env = "CREDITD_REVISION_AGE_DAYS_MAX", value_name = "DAYS")]
    revision_age_days_max: Option<u32> = None, Restart;
    /// Know a request_id for at least so many hours, 72 to 8760 [default: 72]
    #[arg(long, env = "CREDITD_REQUEST_ID_HOURS", value_name = "HOURS")]
    request_id_hours: Option<u32> = Some(SqliteSettings::default().request_hours), Restart;
    /// Know the request_id of a Grant, Refund or RevokeGrant for at least so many days,
    /// 90 to 3650 [default: 90]
    #[arg(long, env = "CREDITD_REQUEST_ID_DAYS_CREDITS", value_name = "DAYS")]
    request_id_days_credits: Option<u32> =
        Some(SqliteSettings::default().request_days_credits), Restart;
    /// Memory for finding request_ids, 2 bytes each; beyond it the oldest ones are looked up
    /// in the file, which is slower [default: 256]
    #[arg(long, env = "CREDITD_REQUEST_ID_MEMORY_MIB_MAX", value_name = "MIB")]
    request_id_memory_mib_max: Option<usize> =
        Some( SqliteSettings::default().request_filter_bytes_max >> 20 ), Restart;
    /// Most accounts in memory, a large one counting as several; the others are read from
    /// the file when they are needed [default: 200000]
    #[arg(long, env = "CREDITD_ACCOUNTS_IN_MEMORY_MAX", value_name = "N")]
    accounts_in_memory_max: Option<usize> = Some(SqliteSettings::default().accounts_max), Restart;
    /// Believe a clock that jumped, where it is within a day of TIME, such as
    /// 2027-01-31T12:00:00Z; for one start, see docs/clock.md
    // For one start, so it has no place in a file.
    #[arg(long, env = "CREDITD_ACCEPT_CLOCK", value_name = "TIME", value_parser = accept_clock)]
    #[serde(skip)]
    accept_clock: Option<ClockTime> = None, Restart;
    /// Most balances that are watched; more are refused with UNAVAILABLE [default: 1024]
    #[arg(long, env = "CREDITD_WATCHERS_MAX", value_name = "N")]
    watchers_max: Option<usize> = Some(WATCHERS_MAX_DEFAULT), Reload;
    /// Threads that serve [default: one a core]
    #[arg(long, env = "CREDITD_THREADS", value_name = "N")]
    threads: Option<usize> =
        Some(std::thread::available_parallelism().map_or(1, usize::from)), Restart;
    /// Most calls in flight; more are refused with UNAVAILABLE [default: 8192]
    #[arg(long, env = "CREDITD_CALLS_MAX", value_name = "N")]
    calls_max: Option<usize> = Some(CALLS_MAX_DEFAULT), Reload;
    /// Memory for requests and replies, of which a connection may take a share; more is refused
    /// with UNAVAILABLE, at least 64 [default: 256]
    #[arg(long, env = "CREDITD_CALL_MEMORY_MIB_MAX", value_name = "MIB")]
    call_memory_mib_max: Option<usize> = Some(CALL_MEMORY_MIB_MAX_DEFAULT), Reload;
    /// Most connections; more are closed [default: 4096]
    #[arg(long, env = "CREDITD_CONNECTIONS_MAX", value_name = "N")]
    connections_max: Option<usize> = Some(CONNECTIONS_MAX_DEFAULT), Reload;
    /// Close a connection without a call for so many seconds; its client connects again when it
    /// calls [default: 600]
    #[arg(
        long,
        env = "CREDITD_CONNECTION_IDLE_SECONDS_MAX",
        value_name = "SECONDS"
    )]
    connection_idle_seconds_max: Option<u32> = Some(CONNECTION_IDLE_SECONDS_MAX_DEFAULT), Reload;
    /// Have clients connect anew after so many seconds, a tenth more or less; no call is
    /// cut [default: 3600]
    #[arg(
        long,
        env = "CREDITD_CONNECTION_AGE_SECONDS_MAX",
        value_name = "SECONDS"
    )]
    connection_age_seconds_max: Option<u32> = Some(CONNECTION_AGE_SECONDS_MAX_DEFAULT), Reload;
    /// Longest that a call may take, whatever deadline it brings [default: 30000]
    #[arg(long, env = "CREDITD_DEADLINE_MS_MAX", value_name = "MS")]
    deadline_ms_max: Option<u64> = Some(DEADLINE_MS_MAX_DEFAULT), Reload;
    /// How long calls in flight may go on after the signal to stop [default: 10000]
    #[arg(long, env = "CREDITD_DRAIN_MS_MAX", value_name = "MS")]
    drain_ms_max: Option<u64> = Some(DRAIN_MS_MAX_DEFAULT), Reload;
    /// Log calls that take so long, with where their time went; 0: none [default: 1000]
    #[arg(long, env = "CREDITD_SLOW_CALL_MS", value_name = "MS")]
    slow_call_ms: Option<u64> = Some(SLOW_CALL_MS_DEFAULT), Reload;
    /// Log successful calls too; refusals are always logged
    #[arg(
        long,
        env = "CREDITD_LOG_CALLS",
        num_args = 0..=1,
        default_missing_value = "true",
        value_parser = clap::builder::BoolishValueParser::new(),
        value_name = "BOOL"
    )]
    log_calls: Option<bool> = Some(false), Reload;
    /// Collector to which traces of calls are sent, by OTLP over gRPC: http:// or https://, host
    /// and port [default: none]
    #[arg(long, env = "CREDITD_OTLP_ENDPOINT", value_name = "URL")]
    otlp_endpoint: Option<String> = None, Restart;
    /// Of the calls whose callers say nothing of traces, trace so many of a million; others are
    /// traced as their callers say [default: 0]
    #[arg(long, env = "CREDITD_TRACE_CALLS_PER_MILLION", value_name = "N")]
    trace_calls_per_million: Option<u32> = Some(0), Reload;
    /// How the log is written to standard error [default: human]
    #[arg(long, env = "CREDITD_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<LogFormat> = Some(LogFormat::Human), Restart;
    /// What is logged: error, warn, info, debug, trace [default: info]
    #[arg(long, env = "CREDITD_LOG_LEVEL", value_name = "LEVEL")]
    log_level: Option<String> = Some("info".to_owned()), Reload;
}

/// Whether something is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// It is.
    On,
    /// It is not.
    Off,
}

/// The key of the line of an entry.
pub(super) fn client_key(number: usize) -> String {
    format!("client[{number}]")
}

/// A time that a clock may show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockTime(pub(super) Timestamp);

impl Serialize for ClockTime {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&rfc3339::format(self.0))
    }
}

fn accept_clock(text: &str) -> Result<ClockTime, String> {
    let time = rfc3339::parse(text).map(ClockTime);
    time.ok_or_else(|| "write it like 2027-01-31T12:00:00Z".to_owned())
}

impl Options {
    /// The `[[client]]`, each with the key by which `lines` has its line.
    #[must_use]
    pub fn client_values(&self) -> Vec<(String, serde_json::Value)> {
        let forms = self.client_forms.iter().enumerate();
        let values = forms.map(|(number, form)| {
            let value = serde_json::to_value(form).unwrap_or_default();
            (client_key(number), value)
        });
        values.collect()
    }

    /// Settings: these first, then those of the file, then the defaults.
    ///
    /// # Errors
    /// Values that make no sense.
    pub fn over(self, file: Self) -> Result<Config, ConfigError> {
        let in_force = self.clone().or(file).or(Self::defaults());
        Config::of(in_force, self)
    }

    /// The same, with all that makes no sense of them; in the place of what cannot be used stands
    /// the default.
    #[must_use]
    pub fn read_over(self, file: Self) -> (Config, Vec<String>) {
        let in_force = self.clone().or(file).or(Self::defaults());
        Config::read(in_force, self)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

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

    /// The flag, the variable and the key of the file differ in their form alone, and the table
    /// has each option.
    #[test]
    fn an_option_has_one_name_everywhere() {
        use clap::Args as _;
        let keys = toml::from_str::<Options>("unknown = 1").unwrap_err();
        let keys = keys.message().to_owned();
        let mut in_table: Vec<_> = crate::server::OPTIONS.iter().map(|row| row.key).collect();
        let command = Options::augment_args(clap::Command::new("serve"));
        for option in command.get_arguments() {
            let key = option.get_long().unwrap().replace('-', "_");
            let variable = format!("CREDITD_{}", key.to_uppercase());
            assert_eq!(option.get_env(), Some(variable.as_ref()), "{key}");
            // It is for one start.
            let in_file = key != "accept_clock";
            assert_eq!(keys.contains(&format!("`{key}`")), in_file, "{key}: {keys}");
            let row = in_table.iter().position(|of_row| **of_row == *key);
            in_table.remove(row.unwrap_or_else(|| panic!("{key} is not in the table")));
        }
        assert_eq!(in_table, Vec::<&str>::new(), "no option has them");
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let options = Options {
            threads: Some(0),
            calls_max: Some(0),
            tls_key: Some("key.pem".into()),
            log_level: Some("loud".to_owned()),
            ..Options::default()
        };
        let problems = options.over(Options::default()).unwrap_err();
        let begin = |problem: &String| problem.split(' ').next().unwrap_or_default().to_owned();
        let begin: Vec<_> = problems.problems().iter().map(begin).collect();
        assert_eq!(
            begin,
            ["--tls-key", "--threads", "--calls-max", "--log-level"]
        );
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
            Options {
                log_level: Some("loud".into()),
                ..Options::default()
            },
            Options {
                listen: Some("0.0.0.0:0".into()),
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
