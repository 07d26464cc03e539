//! The configuration is read again while the server runs: whoever asks for it, and what came of
//! it. All that is read is taken, or nothing.

use std::fmt;

use tokio::sync::{mpsc, oneshot};

use super::App;

/// How many may wait until the configuration is read again.
pub const RELOADS_MAX: usize = 16;

/// Something that is another than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key of an option, or what else it is, such as `rate card "plan"`.
    pub what: String,
    /// As it was; empty: there was none.
    pub before: String,
    /// As it is; empty: there is none.
    pub after: String,
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &'_ str| match text.is_empty() {
            true => "none".to_owned(),
            false => text.to_owned(),
        };
        let (before, after) = (shown(&self.before), shown(&self.after));
        write!(formatter, "{}: {before} -> {after}", self.what)
    }
}

/// What a reload has taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// What is another from now on.
    pub changes: Vec<Change>,
    /// Options of the file that are others, and that only the next start takes.
    pub need_restart: Vec<Change>,
}

/// All that is wrong, so that nothing was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReloaded {
    /// Each problem on one line.
    pub problems: Vec<String>,
}

/// What came of a reload.
pub type ReloadOutcome = Result<Reloaded, NotReloaded>;

/// Whoever waits for the outcome.
pub type ReloadRequest = oneshot::Sender<ReloadOutcome>;

impl App {
    /// The same where such requests are answered.
    #[must_use]
    pub fn with_reloads(self, reloads: mpsc::Sender<ReloadRequest>) -> Self {
        Self {
            reloads: Some(reloads),
            ..self
        }
    }

    /// Has the configuration read again.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub async fn reload(&self) -> ReloadOutcome {
        let none = || NotReloaded {
            problems: vec!["the server stops, or has no configuration".to_owned()],
        };
        let reloads = self.reloads.as_ref().ok_or_else(none)?;
        let (request, outcome) = oneshot::channel();
        reloads.send(request).await.map_err(|_| none())?;
        outcome.await.map_err(|_| none())?
    }
}
