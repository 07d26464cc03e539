//! What a service manager is told, over the socket that it names in NOTIFY_SOCKET.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::disk::Disk;
use crate::support::raw::{Raw, frame};
use crate::support::requests::charge;
use crate::support::server::{Program, Settings};
use crate::support::{PATIENCE, estimate, grant};

/// Within so long a manager wants to be told that all goes on.
const WATCHDOG: Duration = Duration::from_secs(2);

struct Manager {
    socket: UnixDatagram,
    directory: TempDir,
}

impl Manager {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        Self { socket, directory }
    }

    fn variables(&self) -> Vec<(&'static str, std::ffi::OsString)> {
        vec![
            ("NOTIFY_SOCKET", self.directory.path().join("notify").into()),
            ("WATCHDOG_USEC", WATCHDOG.as_micros().to_string().into()),
        ]
    }

    fn start(&self, args: &[&str]) -> Program {
        Program::start_settings(Settings {
            args: args.iter().map(ToString::to_string).collect(),
            variables: self.variables(),
            ..Settings::default()
        })
    }

    /// What it is told next, within so long.
    fn told(&self, within: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(within)).unwrap();
        let mut bytes = [0; 4_096];
        let length = self.socket.recv(&mut bytes).ok()?;
        Some(String::from_utf8(bytes[..length].to_vec()).unwrap())
    }

    /// All that it is told until it is told this, which it is.
    fn wait_for(&self, line: &str) -> String {
        let began = Instant::now();
        let mut all = String::new();
        while began.elapsed() < PATIENCE {
            let told = self
                .told(PATIENCE)
                .unwrap_or_else(|| panic!("{line}: {all}"));
            let found = told.lines().any(|told| told.starts_with(line));
            all.push_str(&told);
            if found {
                return all;
            }
        }
        panic!("{line}: {all}");
    }

    /// Whether it is told that all goes on, within two times in which it wants to be.
    fn is_told_of_life(&self) -> bool {
        let began = Instant::now();
        while let Some(left) = (WATCHDOG * 2).checked_sub(began.elapsed()) {
            let told = self.told(left.max(Duration::from_millis(1)));
            if told.is_some_and(|told| told.contains("WATCHDOG=1")) {
                return true;
            }
        }
        false
    }

    /// Reads what it was told already.
    fn skip(&self) {
        while self.told(Duration::from_millis(1)).is_some() {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_is_told_of_start_reload_and_stop() {
    let manager = Manager::new();
    let mut server = manager.start(&[]);
    let told = manager.wait_for("READY=1");
    assert!(told.starts_with("EXTEND_TIMEOUT_USEC="), "{told}");
    let status = format!("STATUS=listens on {}\n", server.address);
    assert!(told.contains(&status), "{told}");
    for _ in 0..2 {
        manager.wait_for("WATCHDOG=1");
    }
    server.signal(Signal::HUP);
    let told = manager.wait_for("RELOADING=1");
    let time = told
        .lines()
        .find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
    assert!(time.unwrap().parse::<u64>().unwrap() > 0, "{told}");
    let told = manager.wait_for("READY=1");
    assert!(told.contains(&status), "{told}");
    // So it is where the configuration is wrong: the old one serves on.
    let mut raw = Raw::connect(&server).await;
    let (response, mut body) = raw.begin("/creditd.v1.PricingService/Estimate", &[]).await;
    let unknown = raw.send("/x/y", &[], frame(0, &[])).await;
    assert!(unknown.status.is_some());
    server.signal(Signal::TERM);
    let told = manager.wait_for("STOPPING=1");
    assert!(told.contains("STATUS=stops by SIGTERM"), "{told}");
    manager.wait_for("EXTEND_TIMEOUT_USEC=");
    use prost::Message as _;
    let good = frame(0, &estimate("lip_sync_video", "31s").encode_to_vec());
    body.send_data(good.into(), true).unwrap();
    Raw::answer(response).await;
    assert!(server.wait().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_hangs_is_not_said_to_live() {
    let manager = Manager::new();
    let disk = Disk::new();
    let server = disk.server_with(manager.variables());
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-a", "5")).await.unwrap();
    manager.wait_for("WATCHDOG=1");
    disk.fail("sync 60000000us creditd.db-wal\n");
    let hanging = tokio::spawn(async move { ledger.charge(charge("c", "team-a", "1")).await });
    server.wait_for_log("a thread does not answer");
    assert!(server.log().contains("ledger-writer"), "{}", server.log());
    manager.skip();
    assert!(!manager.is_told_of_life());
    hanging.abort();
}

#[cfg(debug_assertions)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_that_hangs_is_not_said_to_live() {
    let manager = Manager::new();
    let named = manager.directory.path().join("failpoint");
    let mut variables = manager.variables();
    variables.push(("CREDITD_FAILPOINT", named.clone().into()));
    let server = Program::start_settings(Settings {
        args: vec!["--threads".to_owned(), "2".to_owned()],
        variables,
        ..Settings::default()
    });
    manager.wait_for("WATCHDOG=1");
    std::fs::write(&named, "serve hangs").unwrap();
    let address = server.address.clone();
    let _connection = std::net::TcpStream::connect(address).unwrap();
    crate::support::wait_until("a thread hangs", || !named.exists());
    server.wait_for_log("a thread does not answer");
    assert!(server.log().contains("serve-"), "{}", server.log());
    manager.skip();
    assert!(!manager.is_told_of_life());
}
