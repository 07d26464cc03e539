//! Why a server does not start, or does not go on.

use super::TlsError;
use crate::app::card_file::CardFileError;
use crate::store::Unavailable;
use crate::store::sqlite::OpenError;

/// Why a server did not start, or did not go on, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A rate card is wrong.
    #[error(transparent)]
    RateCard(#[from] CardFileError),
    /// The rate cards do not go together, or do not go with the data file.
    #[error("{0}")]
    Prices(String),
    /// The data file cannot be used.
    #[error(transparent)]
    Data(#[from] OpenError),
    /// The data file cannot be read or written.
    #[error(
        "data file: {0}; see that no other program is writing to it and that the disk has room, then start again"
    )]
    Store(#[from] Unavailable),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The keys that it was started with cannot be used.
    #[error("{0}")]
    AdminKeys(String),
    /// Other machines could reach it, and it does not ask who calls.
    #[error("{0}")]
    Open(String),
    /// The address cannot be listened on.
    #[error("{0}")]
    Listen(String),
    /// The system refuses something that every server needs.
    #[error("{what}: {error}")]
    System {
        /// What.
        what: &'static str,
        /// Why.
        error: String,
    },
    /// A thread ended that every call needs.
    #[error(
        "a defect ended {0}: start the server again; what was answered is on disk; please report what the log says above"
    )]
    Defect(&'static str),
}

impl StartError {
    /// Whether what the configuration names is the cause: rate cards, a certificate, keys.
    #[must_use]
    pub const fn is_of_inputs(&self) -> bool {
        matches!(
            self,
            Self::RateCard(_) | Self::Prices(_) | Self::Tls(_) | Self::AdminKeys(_)
        )
    }
}

/// The system refuses something that every server needs.
pub(super) fn system(what: &'static str, error: &dyn std::fmt::Display) -> StartError {
    StartError::System {
        what,
        error: error.to_string(),
    }
}
