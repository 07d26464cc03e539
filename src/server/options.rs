//! Options of a server: from the command line or the environment, then from a
//! file, then the defaults.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::address::{self, LISTEN_DEFAULT};
use super::clients::{self, ClientForm, Wrong};
use super::config::{
    CALL_MEMORY_MIB_MAX_DEFAULT, CALLS_MAX_DEFAULT, CONNECTION_AGE_SECONDS_MAX_DEFAULT,
    CONNECTION_IDLE_SECONDS_MAX_DEFAULT, CONNECTIONS_MAX_DEFAULT, Config, ConfigError,
    DATA_DEFAULT, DEADLINE_MS_MAX_DEFAULT, DRAIN_MS_MAX_DEFAULT, SLOW_CALL_MS_DEFAULT,
    WATCHERS_MAX_DEFAULT,
};
use super::telemetry::LogFormat;
use super::tls::TlsFiles;
use crate::app::access::Authentication;
use crate::app::certificates::ClientEntry;
use crate::domain::Timestamp;
use crate::rfc3339;
use crate::store::sqlite::SqliteSettings;

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
    /// Address for metrics and probes over HTTP: /metrics, /livez, /readyz. It asks nobody who they
    /// are, and tells nothing of the ledger's data [default: none]
    #[arg(long, env = "CREDITD_ADMIN_LISTEN", value_name = "HOST:PORT")]
    pub admin_listen: Option<String>,
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
    /// PEM file with those who issue clients' certificates. Callers then need a certificate that
    /// a [[client]] of the configuration file names, or a key; read again as --tls-cert is
    #[arg(long, env = "CREDITD_TLS_CLIENT_CA", value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,
    #[arg(skip)]
    #[serde(default, rename = "client")]
    client_forms: Vec<Spanned<ClientForm>>,
    /// The `[[client]]` of a file.
    #[arg(skip)]
    #[serde(skip)]
    pub clients: Vec<ClientEntry>,
    /// The file that these are of.
    #[arg(skip)]
    #[serde(skip)]
    file: Option<PathBuf>,
    /// File with keys that may do everything, one a line, at least 24 characters each; read
    /// again on SIGHUP. CREDITD_ADMIN_KEY has one, too. With any of them callers need keys
    #[arg(long, env = "CREDITD_ADMIN_KEY_FILE", value_name = "FILE")]
    pub admin_key_file: Option<PathBuf>,
    /// Do not ask who calls, although there are keys
    #[arg(
        long,
        env = "CREDITD_NO_AUTHENTICATION",
        num_args = 0..=1,
        default_missing_value = "true",
        value_parser = clap::builder::BoolishValueParser::new(),
        value_name = "BOOL"
    )]
    pub no_authentication: Option<bool>,
    /// Let other machines reach this server without TLS, or without keys
    #[arg(
        long,
        env = "CREDITD_INSECURE",
        num_args = 0..=1,
        default_missing_value = "true",
        value_parser = clap::builder::BoolishValueParser::new(),
        value_name = "BOOL"
    )]
    pub insecure: Option<bool>,
    /// Whether callers can ask for the schema, which grpcurl does: on or off [default: on]
    #[arg(long, env = "CREDITD_REFLECTION", value_name = "ON|OFF")]
    pub reflection: Option<Switch>,
    /// Refuse calls that name one account more often than so many times a second, each item of a
    /// batch counting, with RATE_LIMITED [default: no limit]
    #[arg(long, env = "CREDITD_ACCOUNT_CALLS_PER_SECOND_MAX", value_name = "N")]
    pub account_calls_per_second_max: Option<u32>,
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
    /// Log calls that take so long, with where their time went; 0: none [default: 1000]
    #[arg(long, env = "CREDITD_SLOW_CALL_MS", value_name = "MS")]
    pub slow_call_ms: Option<u64>,
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

/// Whether something is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// It is.
    On,
    /// It is not.
    Off,
}

fn accept_clock(text: &str) -> Result<Timestamp, String> {
    rfc3339::parse(text).ok_or_else(|| "write it like 2027-01-31T12:00:00Z".to_owned())
}

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
        let wrong = |at: Option<usize>, problem: &str| {
            let before = at.and_then(|at| text.get(..at));
            let line = before.map_or(1, |before| before.matches('\n').count().saturating_add(1));
            ConfigError(format!("configuration {name}:{line}: {problem}"))
        };
        let mut options: Self = toml::from_str(&text).map_err(|error| {
            let problem = error.message().trim().replace('\n', " ");
            let at = error.span().map(|span| span.start);
            wrong(
                at,
                &format!("{problem}; its keys are the options of \"creditd serve\" with _ for -"),
            )
        })?;
        let forms = std::mem::take(&mut options.client_forms);
        let entries = clients::entries(forms);
        options.clients =
            entries.map_err(|Wrong { at, problem }| wrong(Some(at.start), &problem))?;
        options.file = Some(path.to_owned());
        Ok(options)
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
            admin_listen: match given!(admin_listen) {
                Some(text) => Some(address::resolve_admin(&text).map_err(ConfigError)?),
                None => None,
            },
            tls: match (given!(tls_cert), given!(tls_key)) {
                (Some(cert), Some(key)) => Some(TlsFiles {
                    cert,
                    key,
                    client_ca: given!(tls_client_ca),
                }),
                (None, None) if given!(tls_client_ca).is_some() => {
                    return Err(one_alone("--tls-client-ca", "--tls-cert and --tls-key"));
                }
                (None, None) => None,
                (Some(_), None) => return Err(one_alone("--tls-cert", "--tls-key")),
                (None, Some(_)) => return Err(one_alone("--tls-key", "--tls-cert")),
            },
            clients: file.clients,
            file: file.file,
            authentication: match given!(no_authentication) {
                Some(true) => Authentication::Off,
                _ => Authentication::WhereKnown,
            },
            admin_key: None,
            admin_key_file: given!(admin_key_file),
            insecure: given!(insecure).unwrap_or_default(),
            reflection: given!(reflection) != Some(Switch::Off),
            account_calls_per_second_max: given!(account_calls_per_second_max).unwrap_or_default(),
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
            slow_call_min: match given!(slow_call_ms).unwrap_or(SLOW_CALL_MS_DEFAULT) {
                0 => None,
                slow_call_ms => Some(ms(slow_call_ms)),
            },
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
