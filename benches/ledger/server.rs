//! The real program, as a user runs it, and what it costs the machine.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long it may take to stop; then it is ended.
const STOP_MAX: Duration = Duration::from_secs(20);

/// A running server.
pub struct Server {
    child: Child,
    log: PathBuf,
    pub address: String,
}

impl Server {
    /// Starts one with its defaults, over a new data file in this directory.
    pub fn start(program: &Path, directory: &Path) -> Result<Self, String> {
        let log = directory.join("log");
        let stderr = std::fs::File::create(&log).expect("the log can be made");
        let mut command = Command::new(program);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CREDITD_")) {
            command.env_remove(name);
        }
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(directory.join("creditd.db"))
            .current_dir(directory)
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .map_err(|error| format!("{} does not start: {error}", program.display()))?;
        let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut banner = String::new();
        while !banner.contains("stops it") {
            if out.read_line(&mut banner).unwrap_or_default() == 0 {
                let _ = child.wait();
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                return Err(format!("the server did not start: {log}"));
            }
        }
        std::thread::spawn(move || {
            let _ = out.read_to_end(&mut Vec::new());
        });
        let first = banner.lines().next().unwrap_or_default();
        let address = first.split_once("listens on ").map(|(_, rest)| rest);
        Ok(Self {
            address: address.expect("the banner has an address").to_owned(),
            child,
            log,
        })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Stops it in order. Whether it could.
    pub fn stop(mut self) -> bool {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let start = Instant::now();
        while start.elapsed() < STOP_MAX {
            if let Ok(Some(status)) = self.child.try_wait() {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Also where the run failed, no process is left behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
