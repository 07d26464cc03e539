//! Small files beside a data file that say when it was last copied and last audited.
//!
//! `creditd.db-backup` has the moment up to which a copy is whole, `creditd.db-audit` the moment
//! of the newest sound audit: one RFC 3339 time and a newline. Both are written by other processes
//! than the server, which only reads them. Each is replaced by a rename, so a reader gets a whole one.

use std::path::{Path, PathBuf};

use super::wal_match::side_file_path;
use crate::domain::Timestamp;
use crate::rfc3339;

/// What such a file is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusFile {
    /// The moment up to which a copy is whole.
    Backup,
    /// The moment of the newest sound audit.
    Audit,
}

impl StatusFile {
    /// Its path, beside a data file.
    #[must_use]
    pub fn path(self, data: &Path) -> PathBuf {
        side_file_path(
            data,
            match self {
                Self::Backup => "-backup",
                Self::Audit => "-audit",
            },
        )
    }

    /// The moment that it says; None where it is missing or says none.
    #[must_use]
    pub fn read(self, data: &Path) -> Option<Timestamp> {
        let text = std::fs::read_to_string(self.path(data)).ok()?;
        rfc3339::parse(text.strip_suffix('\n')?)
    }

    /// Notes a moment.
    ///
    /// # Errors
    /// Why the file cannot be written.
    pub fn write(self, data: &Path, moment: Timestamp) -> std::io::Result<()> {
        let path = self.path(data);
        let mut partial = path.as_os_str().to_owned();
        partial.push(format!(".{}.partial", std::process::id()));
        let partial = PathBuf::from(partial);
        let written = std::fs::write(&partial, format!("{}\n", rfc3339::format(moment)))
            .and_then(|()| std::fs::rename(&partial, &path));
        if written.is_err() {
            let _ = std::fs::remove_file(&partial);
        }
        written
    }
}
