//! What else is known of each option: its default, its value, and whether a reload takes it. A
//! test compares this with the options themselves.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use super::address::LISTEN_DEFAULT;
use super::config::{
    CALL_MEMORY_MIB_MAX_DEFAULT, CALLS_MAX_DEFAULT, CONNECTION_AGE_SECONDS_MAX_DEFAULT,
    CONNECTION_IDLE_SECONDS_MAX_DEFAULT, CONNECTIONS_MAX_DEFAULT, DATA_DEFAULT,
    DEADLINE_MS_MAX_DEFAULT, DRAIN_MS_MAX_DEFAULT, WATCHERS_MAX_DEFAULT,
};
use super::options::{Options, Switch};
use super::telemetry::LogFormat;
use crate::store::sqlite::SqliteSettings;

/// When a change of an option is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// By a reload, while the server runs.
    Reload,
    /// By the next start.
    Restart,
}

/// An option.
pub struct OptionRow {
    /// Its key in a file; the flag has - for _, the variable is in capitals.
    pub key: &'static str,
    /// When a change of it is taken.
    pub taken: Taken,
    /// Its value, as a file has it; null where it has none.
    pub value: fn(&Options) -> Value,
}

/// The only option that has no place in a file: it is for one start.
const FOR_ONE_START: &str = "accept_clock";

impl OptionRow {
    /// Whether a file may have it.
    #[must_use]
    pub fn is_in_file(&self) -> bool {
        self.key != FOR_ONE_START
    }

    /// Its name on the command line.
    #[must_use]
    pub fn flag(&self) -> String {
        format!("--{}", self.key.replace('_', "-"))
    }

    /// Its name in the environment.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("CREDITD_{}", self.key.to_uppercase())
    }
}

/// An option that may have been given.
trait Given {
    fn or_given(self, other: Self) -> Self;
}

impl<T> Given for Option<T> {
    fn or_given(self, other: Self) -> Self {
        self.or(other)
    }
}

impl Given for Vec<PathBuf> {
    fn or_given(self, other: Self) -> Self {
        match self.is_empty() {
            true => other,
            false => self,
        }
    }
}

fn value_of(option: &impl Serialize) -> Value {
    match serde_json::to_value(option) {
        Ok(Value::Array(values)) if values.is_empty() => Value::Null,
        Ok(value) => value,
        // A path that is no text.
        Err(_) => Value::Null,
    }
}

macro_rules! options {
    ($($key:ident: $taken:ident = $default:expr),* $(,)?) => {
        /// All options, in the order of the help.
        pub const OPTIONS: &[OptionRow] = &[$(OptionRow {
            key: stringify!($key),
            taken: Taken::$taken,
            value: |options| value_of(&options.$key),
        }),*];

        impl Options {
            /// What a server takes where nothing is said.
            #[must_use]
            pub fn defaults() -> Self {
                Self {
                    $($key: $default,)*
                    ..Self::default()
                }
            }

            /// These, and where one was not given here, the other one.
            #[must_use]
            pub fn or(self, other: Self) -> Self {
                let (clients, forms) = (self.clients.is_empty(), self.client_forms.is_empty());
                Self {
                    $($key: self.$key.or_given(other.$key),)*
                    clients: if clients { other.clients } else { self.clients },
                    client_forms: if forms { other.client_forms } else { self.client_forms },
                    file: self.file.or(other.file),
                    lines: if self.lines.is_empty() { other.lines } else { self.lines },
                }
            }

            /// These, but what only a start takes is as it was before.
            #[must_use]
            pub fn kept_from(self, before: &Self) -> Self {
                Self {
                    $($key: match Taken::$taken {
                        Taken::Reload => self.$key,
                        Taken::Restart => before.$key.clone(),
                    },)*
                    ..self
                }
            }
        }
    };
}

options! {
    listen: Restart = Some(LISTEN_DEFAULT.to_string()),
    listen_unix: Restart = None,
    tls_cert: Restart = None,
    tls_key: Restart = None,
    tls_client_ca: Restart = None,
    admin_key_file: Reload = None,
    no_authentication: Restart = Some(false),
    insecure: Restart = Some(false),
    reflection: Restart = Some(Switch::On),
    account_calls_per_second_max: Reload = Some(0),
    data: Restart = Some(DATA_DEFAULT.into()),
    rate_card_file: Reload = Vec::new(),
    default_rate_card: Reload = None,
    revision_age_days_max: Restart = None,
    request_id_hours: Restart = Some(SqliteSettings::default().request_hours),
    request_id_days_credits: Restart = Some(SqliteSettings::default().request_days_credits),
    request_id_memory_mib_max: Restart = Some(
        SqliteSettings::default().request_filter_bytes_max >> 20
    ),
    accounts_in_memory_max: Restart = Some(SqliteSettings::default().accounts_max),
    accept_clock: Restart = None,
    watchers_max: Reload = Some(WATCHERS_MAX_DEFAULT),
    threads: Restart = Some(std::thread::available_parallelism().map_or(1, usize::from)),
    calls_max: Reload = Some(CALLS_MAX_DEFAULT),
    call_memory_mib_max: Reload = Some(CALL_MEMORY_MIB_MAX_DEFAULT),
    connections_max: Reload = Some(CONNECTIONS_MAX_DEFAULT),
    connection_idle_seconds_max: Reload = Some(CONNECTION_IDLE_SECONDS_MAX_DEFAULT),
    connection_age_seconds_max: Reload = Some(CONNECTION_AGE_SECONDS_MAX_DEFAULT),
    deadline_ms_max: Reload = Some(DEADLINE_MS_MAX_DEFAULT),
    drain_ms_max: Reload = Some(DRAIN_MS_MAX_DEFAULT),
    log_calls: Reload = Some(false),
    log_format: Restart = Some(LogFormat::Human),
    log_level: Reload = Some("info".to_owned()),
}
