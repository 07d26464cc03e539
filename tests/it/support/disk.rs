//! A disk that a test makes fail or slow: `tests/shim/failing_disk.c`, loaded into the server
//! before libc.

use std::ffi::OsString;

use tempfile::TempDir;

use super::server::{Program, Settings};

pub struct Disk {
    directory: TempDir,
}

impl Disk {
    /// One that works.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        super::shim::compile("failing_disk", directory.path());
        let disk = Self { directory };
        disk.mend();
        disk
    }

    /// From now on calls fail or wait as these lines say. A shim that was not loaded
    /// would let everything pass: each test sees that something failed.
    pub fn fail(&self, faults: &str) {
        // At once: a file half written would be half the faults.
        let next = self.directory.path().join("next");
        std::fs::write(&next, faults).unwrap();
        std::fs::rename(next, self.directory.path().join("faults")).unwrap();
    }

    pub fn mend(&self) {
        self.fail("");
    }

    /// Starts a server whose data lies on it.
    pub fn server(&self, directory: Option<TempDir>) -> Program {
        self.start(directory, Vec::new())
    }

    /// The same with further variables.
    pub fn server_with(&self, variables: Vec<(&'static str, OsString)>) -> Program {
        self.start(None, variables)
    }

    fn start(
        &self,
        directory: Option<TempDir>,
        variables: Vec<(&'static str, OsString)>,
    ) -> Program {
        let path = |name: &str| OsString::from(self.directory.path().join(name));
        Program::start_settings(Settings {
            directory,
            variables: [
                ("LD_PRELOAD", path("failing_disk.so")),
                ("FAILING_DISK", path("faults")),
            ]
            .into_iter()
            .chain(variables)
            .collect(),
            ..Settings::default()
        })
    }
}
