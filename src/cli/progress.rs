//! The progress of a long command, on one line of a terminal. Nothing is printed where
//! standard error is no terminal.

use std::io::{IsTerminal as _, Write as _};

/// The line.
pub(super) struct Progress {
    unit: &'static str,
    shown: bool,
    percent: Option<u64>,
}

impl Progress {
    pub(super) fn new(unit: &'static str) -> Self {
        Self {
            unit,
            shown: std::io::stderr().is_terminal(),
            percent: None,
        }
    }

    /// So much of so much is done.
    pub(super) fn tell(&mut self, done: u64, total: u64) {
        let percent = done.saturating_mul(100).checked_div(total).unwrap_or(100);
        if !self.shown || self.percent == Some(percent) {
            return;
        }
        self.percent = Some(percent);
        let unit = self.unit;
        let mut out = std::io::stderr().lock();
        // A terminal that is gone is no reason to stop.
        let _ = write!(out, "\r{percent:>3} % of {total} {unit}");
        let _ = out.flush();
    }

    /// Takes the line away.
    pub(super) fn end(self) {
        if self.percent.is_some() {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[K");
        }
    }
}
