//! Clocks that a test sets: `tests/shim/shifted_clock.c`, loaded into the server before libc.

use std::ffi::OsString;
use std::time::Duration;

use creditd::domain::Timestamp;
use creditd::server::SystemClock;
use creditd::store::Clock as _;
use tempfile::TempDir;

use super::server::{Program, Settings};

pub const SECOND: i64 = 1_000;
pub const HOUR: i64 = 3_600 * SECOND;
pub const DAY: i64 = 24 * HOUR;
pub const YEAR: i64 = 365 * DAY;

/// The clocks of a machine.
pub struct Clocks {
    directory: TempDir,
}

impl Clocks {
    /// Clocks without a shift.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        super::shim::compile("shifted_clock", directory.path());
        let clocks = Self { directory };
        clocks.right();
        clocks
    }

    /// Shifts the wall time alone, by so many milliseconds.
    pub fn set(&self, off: i64) {
        self.shift(off, 0);
    }

    pub fn right(&self) {
        self.set(0);
    }

    /// Shifts the wall time and the time since boot: time passes without waiting.
    pub fn pass(&self, millis: i64) {
        self.shift(millis, millis);
    }

    /// Shifts the wall time, and the time since boot.
    pub fn shift(&self, wall: i64, boot: i64) {
        // At once: a file half written would be another time.
        let next = self.directory.path().join("next");
        std::fs::write(&next, format!("{wall} {boot}\n")).unwrap();
        std::fs::rename(next, self.directory.path().join("shift")).unwrap();
    }

    /// What makes a program read them.
    pub fn variables(&self) -> [(&'static str, OsString); 2] {
        let path = |name: &str| OsString::from(self.directory.path().join(name));
        [
            ("LD_PRELOAD", path("shifted_clock.so")),
            ("SHIFTED_CLOCK", path("shift")),
        ]
    }

    /// Starts a server that reads them.
    pub fn server(&self, directory: Option<TempDir>, args: &[&str]) -> Program {
        self.server_with(directory, args, &[])
    }

    /// The same, with these in its environment.
    pub fn server_with(
        &self,
        directory: Option<TempDir>,
        args: &[&str],
        variables: &[(&'static str, &str)],
    ) -> Program {
        let mut set = self.variables().to_vec();
        set.extend((variables.iter()).map(|(name, value)| (*name, OsString::from(value))));
        Program::start_settings(Settings {
            args: args.iter().map(ToString::to_string).collect(),
            directory,
            variables: set,
            ..Settings::default()
        })
    }
}

/// The time, so many milliseconds from now by the test's own clock.
pub fn from_now(millis: i64) -> Timestamp {
    let time = Duration::from_millis(millis.unsigned_abs());
    match millis < 0 {
        true => SystemClock.now().minus(time),
        false => SystemClock.now().plus(time),
    }
}
