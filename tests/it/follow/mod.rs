//! `creditd backup --follow` and `creditd restore`: disks that are lost, moments, damage, and what
//! happens to the data file meanwhile.

mod clock;
mod damage;
mod disasters;
mod full;
mod lock;
mod meanwhile;
mod moments;
mod origin;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use creditd::domain::Timestamp;
use creditd::rfc3339;
use creditd::server::SystemClock;
use creditd::server::files::StatusFile;
use creditd::store::Clock as _;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::books::Ledger;
use crate::support::requests::charge;
use crate::support::server::{Program, Settings, program, run};
use crate::support::wait_until;

/// Time between two segments, where nothing else is said.
const INTERVAL_MS: u64 = 200;

pub fn now() -> Timestamp {
    SystemClock.now()
}

/// A process that follows a data file.
pub struct Follower {
    child: Child,
    data: PathBuf,
    log: PathBuf,
}

impl Follower {
    pub fn start(data: &Path, copies: &Path) -> Self {
        Self::start_with(data, copies, &[], &[])
    }

    pub fn start_with(
        data: &Path,
        copies: &Path,
        args: &[&str],
        variables: &[(&str, OsString)],
    ) -> Self {
        let log = copies.with_extension("log");
        let out = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&log);
        let child = program()
            .args(["backup", "--interval-ms", &INTERVAL_MS.to_string()])
            .arg("--follow")
            .arg(copies)
            .arg("--data")
            .arg(data)
            .args(args)
            .envs(variables.iter().cloned())
            .stdout(Stdio::null())
            .stderr(out.unwrap())
            .spawn()
            .unwrap();
        Self {
            child,
            data: data.to_owned(),
            log,
        }
    }

    /// What all that followed into the directory have logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until the copy has everything up to now.
    pub fn wait_whole(&mut self) {
        let since = now();
        wait_until("the copy is whole", || {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{}", self.log());
            StatusFile::Backup
                .read(&self.data)
                .is_some_and(|moment| moment > since)
        });
    }

    /// Ends it, and starts another one.
    pub fn restart(&mut self, args: &[&str], variables: &[(&str, OsString)]) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let copies = self.log.with_extension("");
        *self = Self::start_with(&self.data.clone(), &copies, args, variables);
    }

    /// How much memory it has had at most.
    pub fn memory_mib_max(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let kib: u64 = line
            .unwrap()
            .split_whitespace()
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        kib >> 10
    }

    /// Waits until it has ended by a failure.
    pub fn wait_failed(mut self) {
        let mut status = None;
        wait_until("the follower has ended", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        assert_eq!(status.unwrap().code(), Some(1), "{}", self.log());
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub fn stop(mut self) -> String {
        self.signal(Signal::TERM);
        let mut status = None;
        wait_until("the follower has ended", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        assert!(status.unwrap().success(), "{}", self.log());
        self.log()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Restores into a directory of its own, and returns what was printed. The file is sound.
pub fn restore(copies: &Path, at: Option<&str>) -> (TempDir, Value) {
    let to = tempfile::tempdir().unwrap();
    let copies = copies.to_str().unwrap();
    let mut args = vec!["restore", copies, "--to", "creditd.db", "--json"];
    args.extend(at.iter().flat_map(|at| ["--at", at]));
    let (status, out, err) = run(to.path(), &args);
    assert_eq!((status, err.as_str()), (Some(0), ""), "{at:?} {out}");
    let printed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(printed["sound"], true, "{out}");
    (to, printed)
}

/// A server over a restored file.
pub fn serve(directory: TempDir) -> Program {
    Program::start_settings(Settings {
        directory: Some(directory),
        ..Settings::default()
    })
}

pub fn moment(printed: &Value) -> Timestamp {
    rfc3339::parse(printed["moment"].as_str().unwrap()).unwrap()
}

/// The generations that a directory has.
pub fn generations(copies: &Path) -> Vec<PathBuf> {
    let found = copies
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = found
        .filter(|path| path.is_dir() && path.extension().is_some_and(|end| end.len() == 10))
        .collect();
    found.sort();
    found
}

/// Charges of 1 by these numbers, one after another.
pub async fn spend(ledger: &mut Ledger, numbers: std::ops::Range<i32>) {
    for n in numbers {
        let request = charge(&format!("c{n}"), "team-a", "1");
        ledger.charge(request).await.unwrap();
    }
}
