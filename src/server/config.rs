//! Settings of a server, and which of them make sense.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::address::{self, LISTEN_DEFAULT};
use super::config_file::at_line;
use super::options::{OPTIONS, Options, Switch};
use super::telemetry::{self, LogFormat};
use super::tls::TlsFiles;
use super::traces::{self, Endpoint};
use crate::app::access::Authentication;
use crate::app::certificates::ClientEntry;
use crate::app::token::Token;
use crate::domain::Timestamp;
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
/// Calls that take so long are logged by default.
pub const SLOW_CALL_MS_DEFAULT: u64 = 1_000;
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
    /// Where metrics and probes are served; None: nowhere.
    pub admin_listen: Option<SocketAddr>,
    /// A socket in the file system to listen on too.
    pub listen_unix: Option<PathBuf>,
    /// What TCP speaks TLS with; None: it does not.
    pub tls: Option<TlsFiles>,
    /// Whose certificates let in, and for what.
    pub clients: Vec<ClientEntry>,
    /// Whether callers are asked who they are.
    pub authentication: Authentication,
    /// A key that may do everything, from the environment.
    pub admin_key: Option<Token>,
    /// A file with such keys.
    pub admin_key_file: Option<PathBuf>,
    /// Whether other machines may reach a server that is not protected from them.
    pub insecure: bool,
    /// Whether callers can ask for the schema.
    pub reflection: bool,
    /// How many calls may name one account in a second; 0: no limit.
    pub account_calls_per_second_max: u32,
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
    /// Calls that take so long are logged; None: none is for that.
    pub slow_call_min: Option<Duration>,
    /// Whether successful calls are logged.
    pub log_calls: bool,
    /// Where traces are sent; None: nowhere.
    pub otlp_endpoint: Option<Endpoint>,
    /// How many calls of a million are traced, of those whose callers do not say.
    pub trace_calls_per_million: u32,
    /// How the log is written.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_level: String,
    /// The options that all of this is of.
    pub options: Options,
    /// Those of them that were given on the command line and in the environment. They win over the
    /// file, also where it is read again.
    pub given: Options,
}

/// All that is wrong with settings, and what to do about it; each problem is a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub(super) Vec<String>);

impl ConfigError {
    /// Each thing that is wrong.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.0
    }
}

impl Config {
    /// The settings that these options are, which have a value each.
    pub(super) fn of(options: Options, given: Options) -> Result<Self, ConfigError> {
        let (config, problems) = Self::read(options, given);
        match problems.is_empty() {
            true => Ok(config),
            false => Err(ConfigError(problems)),
        }
    }

    /// The same, with all that makes no sense of them; in the place of what cannot be used stands
    /// the default.
    pub(super) fn read(options: Options, given: Options) -> (Self, Vec<String>) {
        let mut problems = Vec::new();
        let listen = match address::resolve(options.listen.as_deref().unwrap_or_default()) {
            Ok(listen) => listen,
            Err(problem) => {
                problems.push(problem);
                LISTEN_DEFAULT
            }
        };
        let admin_listen = options.admin_listen.as_deref().map(address::resolve_admin);
        let admin_listen = admin_listen.transpose().unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        let otlp_endpoint = options.otlp_endpoint.as_deref().map(traces::endpoint);
        let otlp_endpoint = otlp_endpoint.transpose().unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        let tls = tls_files(&options).unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        let seconds = |given: Option<u32>| Duration::from_secs(given.unwrap_or_default().into());
        let ms = |given: Option<u64>| Duration::from_millis(given.unwrap_or_default());
        let mib = |given: Option<usize>| given.unwrap_or_default().saturating_mul(1 << 20);
        let number = Option::<usize>::unwrap_or_default;
        let config = Self {
            listen,
            admin_listen,
            listen_unix: options.listen_unix.clone(),
            tls,
            clients: options.clients.clone(),
            authentication: match options.no_authentication {
                Some(true) => Authentication::Off,
                _ => Authentication::WhereKnown,
            },
            admin_key: None,
            admin_key_file: options.admin_key_file.clone(),
            insecure: options.insecure.unwrap_or_default(),
            reflection: options.reflection != Some(Switch::Off),
            account_calls_per_second_max: options.account_calls_per_second_max.unwrap_or_default(),
            data: options.data.clone().unwrap_or_default(),
            rate_cards: options.rate_card_file.clone(),
            default_rate_card: options.default_rate_card.clone(),
            revision_age_days_max: options.revision_age_days_max,
            accept_clock: options.accept_clock.map(|time| time.0),
            store: SqliteSettings {
                accounts_max: number(options.accounts_in_memory_max),
                request_hours: options.request_id_hours.unwrap_or_default(),
                request_days_credits: options.request_id_days_credits.unwrap_or_default(),
                request_filter_bytes_max: mib(options.request_id_memory_mib_max),
                ..SqliteSettings::default()
            },
            watchers_max: number(options.watchers_max),
            threads: number(options.threads),
            calls_max: number(options.calls_max),
            call_memory_bytes_max: mib(options.call_memory_mib_max),
            connections_max: number(options.connections_max),
            connection_idle_max: seconds(options.connection_idle_seconds_max),
            connection_age_max: seconds(options.connection_age_seconds_max),
            deadline_max: ms(options.deadline_ms_max),
            drain_max: ms(options.drain_ms_max),
            slow_call_min: match options.slow_call_ms {
                None | Some(0) => None,
                given => Some(ms(given)),
            },
            log_calls: options.log_calls.unwrap_or_default(),
            otlp_endpoint,
            trace_calls_per_million: options.trace_calls_per_million.unwrap_or_default(),
            log_format: options.log_format.unwrap_or_default(),
            log_level: options.log_level.clone().unwrap_or_default(),
            options,
            given,
        };
        config.check(&mut problems);
        let problems = problems.into_iter();
        let problems = problems.map(|problem| config.with_place(problem)).collect();
        (config, problems)
    }

    /// A problem, with the line of the file that its option is of.
    fn with_place(&self, problem: String) -> String {
        let flag = problem.split([' ', ':']).next().unwrap_or_default();
        let row = OPTIONS.iter().find(|row| row.flag() == flag);
        let place = row.and_then(|row| {
            let is_of_file = (row.value)(&self.given).is_null();
            let line = self.options.lines.get(row.key).filter(|_| is_of_file)?;
            Some((self.options.file.as_ref()?, *line))
        });
        match place {
            Some((file, line)) => at_line(file, line, &problem),
            None => problem,
        }
    }

    /// Adds what makes no sense to the problems.
    fn check(&self, problems: &mut Vec<String>) {
        let mut wrong = |text: &str| problems.push(text.to_owned());
        let data = self.data.to_string_lossy();
        if data.starts_with("postgres://") || data.starts_with("postgresql://") {
            wrong(
                "--data: this version keeps credits in a file; PostgreSQL is not built in, so give the path of a file",
            );
        }
        if self.data.as_os_str().is_empty() {
            wrong("--data is empty; give the path of a file");
        }
        // SQLite takes these for no paths.
        if data == ":memory:" || data.starts_with("file:") {
            wrong(&format!(
                "--data {data}: credits are kept on disk; give the path of a file"
            ));
        }
        if let Some(admin) = self.admin_listen
            && admin.port() != 0
            && admin.port() == self.listen.port()
            && (admin.ip() == self.listen.ip()
                || admin.ip().is_unspecified()
                || self.listen.ip().is_unspecified())
        {
            wrong(&format!(
                "--admin-listen {admin}: --listen has that port; choose another"
            ));
        }
        if self.default_rate_card.as_deref() == Some("") {
            wrong("--default-rate-card is empty; name a rate card, or leave it out");
        }
        let unix = self.listen_unix.as_deref().map(Path::as_os_str);
        if unix.is_some_and(std::ffi::OsStr::is_empty) {
            wrong("--listen-unix is empty; give the path of a socket, or leave it out");
        }
        let meant_tls = self.options.tls_cert.is_some() || self.options.tls_key.is_some();
        if !self.listen.ip().is_loopback() && !meant_tls && !self.insecure {
            wrong(&format!(
                "--listen {}: other machines could read and change what calls say; give --tls-cert and --tls-key, listen on 127.0.0.1, or say --insecure where the network itself keeps others out",
                self.listen
            ));
        }
        if !self.clients.is_empty() && self.options.tls_client_ca.is_none() {
            wrong(
                "[[client]] is given without --tls-client-ca; give the file with the certificates of those who issue clients' certificates",
            );
        }
        if !(1..=THREADS_MAX).contains(&self.threads) {
            wrong("--threads must be 1 to 256");
        }
        if !REQUEST_ID_HOURS.contains(&self.store.request_hours) {
            wrong("--request-id-hours must be 72 to 8760");
        }
        if !REQUEST_ID_DAYS_CREDITS.contains(&self.store.request_days_credits) {
            wrong("--request-id-days-credits must be 90 to 3650");
        }
        for (name, value) in [
            ("--accounts-in-memory-max", self.store.accounts_max),
            ("--calls-max", self.calls_max),
            ("--connections-max", self.connections_max),
        ] {
            if value == 0 {
                wrong(&format!("{name} must be more than 0"));
            }
        }
        for (name, time) in [
            ("--connection-idle-seconds-max", self.connection_idle_max),
            ("--connection-age-seconds-max", self.connection_age_max),
            ("--deadline-ms-max", self.deadline_max),
        ] {
            if time.is_zero() {
                wrong(&format!("{name} must be more than 0"));
            }
        }
        if self.call_memory_bytes_max < CALL_MEMORY_MIB_MIN.saturating_mul(1 << 20) {
            wrong("--call-memory-mib-max must be at least 64");
        }
        if self.trace_calls_per_million > traces::limits::PER_MILLION_MAX {
            wrong("--trace-calls-per-million must be 0 to 1000000");
        }
        if let Err(problem) = telemetry::filter(&self.log_level) {
            wrong(&problem);
        }
    }

    /// Whether clients may show certificates.
    #[must_use]
    pub fn asks_for_certificates(&self) -> bool {
        let tls = self.tls.as_ref();
        tls.is_some_and(|tls| tls.client_ca.is_some())
    }

    /// Why a server that does not ask who calls may not be reached by other machines; None where
    /// it may.
    #[must_use]
    pub fn open_to_others(&self) -> Option<String> {
        let is_open = !self.listen.ip().is_loopback() && !self.insecure;
        is_open.then(|| {
            format!(
                "--listen {}: other machines could reach a server that does not ask who calls; give --admin-key-file FILE and create keys with \"creditd keys create\", listen on 127.0.0.1, or say --insecure where the network itself keeps others out",
                self.listen
            )
        })
    }
}

/// What TCP speaks TLS with, if it does.
fn tls_files(options: &Options) -> Result<Option<TlsFiles>, String> {
    let alone = |given: &str, missing: &str| {
        Err(format!(
            "{given} is given without {missing}; TLS needs both"
        ))
    };
    match (&options.tls_cert, &options.tls_key) {
        (Some(cert), Some(key)) => Ok(Some(TlsFiles {
            cert: cert.clone(),
            key: key.clone(),
            client_ca: options.tls_client_ca.clone(),
        })),
        (None, None) if options.tls_client_ca.is_some() => {
            alone("--tls-client-ca", "--tls-cert and --tls-key")
        }
        (None, None) => Ok(None),
        (Some(_), None) => alone("--tls-cert", "--tls-key"),
        (None, Some(_)) => alone("--tls-key", "--tls-cert"),
    }
}
