//! What is made of the definitions of options: the struct of those that were given, and a table of
//! what is known of each.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use super::options::Options;

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
pub(super) trait Given {
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

pub(super) fn value_of(option: &impl Serialize) -> Value {
    match serde_json::to_value(option) {
        Ok(Value::Array(values)) if values.is_empty() => Value::Null,
        Ok(value) => value,
        // A path that is no text.
        Err(_) => Value::Null,
    }
}

/// Defines options.
macro_rules! options {
    ($($(#[$attribute:meta])* $key:ident: $type:ty = $default:expr, $taken:ident;)*) => {
        // As they were given in one place: on the command line or in the environment, or in a
        // file. What was not given is None. (Documentation of the struct would replace that of the
        // subcommand it is part of.)
        #[allow(missing_docs)]
        #[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize, clap::Args)]
        #[serde(deny_unknown_fields)]
        pub struct Options {
            $($(#[$attribute])* pub $key: $type,)*
            /// The `[[client]]` of a file, as it has them.
            #[arg(skip)]
            #[serde(skip)]
            pub(super) client_forms: Vec<toml::Spanned<$crate::server::clients::ClientForm>>,
            /// The same, checked.
            #[arg(skip)]
            #[serde(skip)]
            pub clients: Vec<$crate::app::certificates::ClientEntry>,
            /// The file that these are of.
            #[arg(skip)]
            #[serde(skip)]
            pub file: Option<std::path::PathBuf>,
            /// In which of its lines each key is.
            #[arg(skip)]
            #[serde(skip)]
            pub lines: std::collections::BTreeMap<String, usize>,
        }

        /// All options, in the order of the help.
        pub const OPTIONS: &[$crate::server::OptionRow] = &[$($crate::server::OptionRow {
            key: stringify!($key),
            taken: $crate::server::Taken::$taken,
            value: |options| $crate::server::option_table::value_of(&options.$key),
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
                use $crate::server::option_table::Given as _;
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
                    $($key: match $crate::server::Taken::$taken {
                        $crate::server::Taken::Reload => self.$key,
                        $crate::server::Taken::Restart => before.$key.clone(),
                    },)*
                    ..self
                }
            }
        }
    };
}
pub(super) use options;
