//! What a run needs before it begins: programs, and a directory on a disk.

use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::machine::Machine;
use super::options::Options;

/// Where and with what everything is measured.
pub struct Setup {
    pub program: PathBuf,
    pub yardstick: PathBuf,
    pub machine: Machine,
    pub json: PathBuf,
    place: PathBuf,
    start: Instant,
}

impl Setup {
    pub fn new(options: &Options) -> Result<Self, String> {
        let built = Path::new(env!("CARGO_BIN_EXE_creditd"));
        let target = built.ancestors().nth(2).expect("it is in target/release");
        let place = options.directory.clone();
        let place = place.unwrap_or_else(|| target.join("bench"));
        std::fs::create_dir_all(&place).map_err(|error| at(&place, error))?;
        // Servers run in another directory.
        let place = absolute(&place)?;
        let machine = Machine::of(&place);
        if machine.in_memory() {
            return Err(format!(
                "{} is in memory, where nothing is durable; choose another --directory",
                place.display()
            ));
        }
        allow_connections();
        let program = options.program.clone().unwrap_or_else(|| built.to_owned());
        let beside = || built.with_file_name("creditd-yardstick");
        let yardstick = options.yardstick.clone().unwrap_or_else(beside);
        Ok(Self {
            program: absolute(&program)?,
            // Only the goals need it.
            yardstick: absolute(&yardstick).unwrap_or(yardstick),
            machine,
            json: options
                .json
                .clone()
                .unwrap_or_else(|| place.join("bench.json")),
            place,
            start: Instant::now(),
        })
    }

    /// A directory that is removed at the end.
    pub fn directory(&self) -> Result<tempfile::TempDir, String> {
        tempfile::tempdir_in(&self.place).map_err(|error| at(&self.place, error))
    }

    /// Free bytes on the disk.
    pub fn free_bytes(&self) -> Result<u64, String> {
        let disk = rustix::fs::statvfs(&self.place).map_err(|error| at(&self.place, error))?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Says what is done now, to those who wait for the tables.
    pub fn say(&self, what: &str) {
        eprintln!("[{:>4} s] {what}", self.start.elapsed().as_secs());
    }
}

/// An error of a file.
pub fn at(path: &Path, error: impl std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}

fn absolute(path: &Path) -> Result<PathBuf, String> {
    path.canonicalize().map_err(|error| at(path, error))
}

/// As many open files as the system allows, for this and for the servers that it starts.
fn allow_connections() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    // Where it cannot be raised, the run says what failed.
    let _ = setrlimit(Resource::Nofile, raised);
}
