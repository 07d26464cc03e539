//! The real program and the yardstick, as a user runs them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long it may take to stop; then it is ended.
const STOP_MAX: Duration = Duration::from_secs(60);

/// A running server.
pub struct Server {
    child: Child,
    log: PathBuf,
    pub address: String,
    /// From before it was started until it said that it serves.
    pub started_in: Duration,
}

impl Server {
    /// Starts creditd with its defaults over the data file in this directory, which is
    /// made where there is none.
    pub fn start(program: &Path, directory: &Path) -> Result<Self, String> {
        Self::start_with(program, directory, &[])
    }

    /// The same, with more options.
    pub fn start_with(program: &Path, directory: &Path, more: &[&str]) -> Result<Self, String> {
        let command = Self::command(program, directory, more);
        Self::spawn(command, directory, "stops it")
    }

    fn command(program: &Path, directory: &Path, more: &[&str]) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CREDITD_")) {
            command.env_remove(name);
        }
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(directory.join("creditd.db"))
            .args(more);
        command
    }

    /// Starts creditd on a disk on which a sync of the log takes so long at least.
    pub fn start_on_slow_disk(
        program: &Path,
        directory: &Path,
        sync: Duration,
        more: &[&str],
    ) -> Result<Self, String> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shim/failing_disk.c");
        let (shim, faults) = (directory.join("disk.so"), directory.join("faults"));
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&shim, &source])
            .status();
        if !compiled.is_ok_and(|status| status.success()) {
            return Err("a slow disk takes a C compiler, cc".to_owned());
        }
        let rule = format!("sync {}us creditd.db-wal", sync.as_micros());
        std::fs::write(&faults, rule).map_err(|error| error.to_string())?;
        let mut command = Self::command(program, directory, more);
        command.env("LD_PRELOAD", shim).env("FAILING_DISK", faults);
        Self::spawn(command, directory, "stops it")
    }

    /// Starts the yardstick.
    pub fn yardstick(program: &Path, directory: &Path, more: &[&str]) -> Result<Self, String> {
        let mut command = Command::new(program);
        command.args(more);
        Self::spawn(command, directory, "listens on")
    }

    /// Starts a server and reads what it prints until this was said.
    fn spawn(mut command: Command, directory: &Path, said: &str) -> Result<Self, String> {
        let program = command.get_program().to_string_lossy().into_owned();
        let name = Path::new(&program).file_name().unwrap_or_default();
        let log = directory.join(format!("{}.log", name.display()));
        let mut file = std::fs::File::create(&log).expect("the log can be made");
        // One pipe for all that it prints: which of it stands on standard error is its own choice.
        let (said_so_far, printed) = std::io::pipe().expect("a pipe can be made");
        let start = Instant::now();
        let mut child = command
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(printed.try_clone().expect("a pipe has two ends"))
            .stderr(printed)
            .spawn()
            .map_err(|error| format!("{program} does not start: {error}"))?;
        // Its own end of the pipe would keep it open.
        drop(command);
        let mut out = BufReader::new(said_so_far);
        let mut banner = String::new();
        while !banner.contains(said) {
            if out.read_line(&mut banner).unwrap_or_default() == 0 {
                let _ = child.wait();
                return Err(format!("the server did not start: {banner}"));
            }
        }
        let started_in = start.elapsed();
        let before = banner.clone();
        std::thread::spawn(move || {
            let _ = file.write_all(before.as_bytes());
            let _ = std::io::copy(&mut out, &mut file);
        });
        let address = banner
            .lines()
            .find_map(|line| line.split_once("listens on "))
            .map(|(_, rest)| rest);
        Ok(Self {
            address: address.expect("the banner has an address").to_owned(),
            child,
            log,
            started_in,
        })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged, at the end of an error.
    pub fn explain(&self, error: &str) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let begin = log.len().saturating_sub(2_000);
        let end = log.get(log.ceil_char_boundary(begin)..);
        format!("{error}\n{}", end.unwrap_or_default())
    }

    /// Stops it in order.
    pub fn stop(mut self) -> Result<(), String> {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let start = Instant::now();
        while start.elapsed() < STOP_MAX {
            if let Ok(Some(status)) = self.child.try_wait() {
                return match status.success() {
                    true => Ok(()),
                    false => Err(self.explain("the server did not stop as it should")),
                };
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err("the server does not stop".to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Also where the run failed, no process is left behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
