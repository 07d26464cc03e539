//! Servers under test: in the test's own process, or as the real program.

use std::ffi::OsString;
use std::io::Read as _;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use clap::Parser as _;
use creditd::rpc::pb::creditd::v1::ledger_service_client::LedgerServiceClient;
use creditd::rpc::pb::creditd::v1::pricing_service_client::PricingServiceClient;
use creditd::server::{self, Options, Signal};
use rustix::process::{Pid, kill_process};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Channel;

use super::wait_until;

/// Where a server that runs is reached, and the directory that it has for itself.
pub struct Running {
    pub address: String,
    /// Where metrics and probes are, of a server in this process.
    pub admin: Option<std::net::SocketAddr>,
    pub directory: TempDir,
}

impl Running {
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("creditd.db")
    }

    pub async fn channel(&self) -> Channel {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", self.address));
        endpoint.unwrap().connect().await.unwrap()
    }

    pub async fn pricing(&self) -> PricingServiceClient<Channel> {
        PricingServiceClient::new(self.channel().await)
    }

    pub async fn ledger(&self) -> LedgerServiceClient<Channel> {
        LedgerServiceClient::new(self.channel().await)
    }

    fn take_directory(&mut self) -> TempDir {
        std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap())
    }
}

/// A server in this process, with threads of its own.
pub struct Server {
    running: Running,
    /// None when it was told to stop at once.
    signals: Option<mpsc::UnboundedSender<Signal>>,
    thread: Option<JoinHandle<Result<(), String>>>,
}

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

impl Server {
    /// Starts one without further options.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with these options too.
    pub fn start_with(args: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), args)
    }

    /// Starts one over the data in a directory.
    pub fn start_in(directory: TempDir, args: &[&str]) -> Self {
        let own = ["creditd", "--listen", "127.0.0.1:0"];
        let line = Line::parse_from(own.iter().chain(args));
        let mut options = line.options;
        options.data = Some(directory.path().join("creditd.db"));
        let config = options.over(Options::default()).unwrap();
        let (signals, received) = mpsc::unbounded_channel();
        let (bound, address) = std::sync::mpsc::channel();
        let run = async move {
            let server = server::Server::bind(config).await?;
            bound
                .send((server.address(), server.admin_address()))
                .unwrap();
            server.run(UnboundedReceiverStream::new(received)).await
        };
        let thread = std::thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().unwrap();
            let outcome = runtime.block_on(run);
            outcome.map(|_| ()).map_err(|error| error.to_string())
        });
        let Ok((address, admin)) = address.recv() else {
            panic!("the server did not start: {:?}", thread.join().unwrap());
        };
        Self {
            running: Running {
                address: address.to_string(),
                admin,
                directory,
            },
            signals: Some(signals),
            thread: Some(thread),
        }
    }

    /// Tells it to stop. At the second time calls in flight are cut.
    pub fn signal_stop(&self) {
        let signals = self.signals.as_ref().unwrap();
        signals.send(Signal::Stop("a test")).unwrap();
    }

    /// Waits until it has ended in order.
    pub fn wait(&mut self) {
        wait_until("the server has ended", || {
            self.thread.as_ref().is_none_or(JoinHandle::is_finished)
        });
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap().unwrap();
        }
    }

    /// Stops it in order, and keeps its directory.
    pub fn stop(mut self) -> TempDir {
        self.signal_stop();
        self.wait();
        self.take_directory()
    }

    /// Stops it, and starts it again over the same data.
    pub fn restart(self, args: &[&str]) -> Self {
        Self::start_in(self.stop(), args)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of signals stops it at once.
        self.signals = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Deref for Server {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}

impl DerefMut for Server {
    fn deref_mut(&mut self) -> &mut Running {
        &mut self.running
    }
}

/// The program, to be run as a user runs it.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_creditd"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CREDITD_")) {
        command.env_remove(name);
    }
    command
}

/// A server that is the real program: for tests that kill or starve it, read its log, or
/// are about its command line.
pub struct Program {
    running: Running,
    child: Child,
    /// What it printed before it served.
    pub banner: String,
}

/// How a server is started.
#[derive(Default)]
pub struct Settings {
    pub args: Vec<String>,
    /// Where it listens; None: on a free port of this machine.
    pub listen: Option<&'static str>,
    pub directory: Option<TempDir>,
    /// Set in its environment.
    pub variables: Vec<(&'static str, OsString)>,
}

impl Program {
    /// Starts one without further options.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with these options too.
    pub fn start_with(args: &[&str]) -> Self {
        Self::start_settings(Settings {
            args: args.iter().map(ToString::to_string).collect(),
            ..Settings::default()
        })
    }

    pub fn start_settings(settings: Settings) -> Self {
        let directory = settings
            .directory
            .unwrap_or_else(|| tempfile::tempdir().unwrap());
        let path = directory.path().join("log");
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&path)
            .unwrap();
        // What a server before this one wrote.
        let old = usize::try_from(log.metadata().unwrap().len()).unwrap();
        let mut child = program()
            .args([
                "serve",
                "--listen",
                settings.listen.unwrap_or("127.0.0.1:0"),
            ])
            .arg("--data")
            .arg(directory.path().join("creditd.db"))
            .args(&settings.args)
            .envs(settings.variables)
            .current_dir(directory.path())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut banner = String::new();
        wait_until("the server has started", || {
            let ended = child.try_wait().unwrap();
            let log = std::fs::read_to_string(&path).unwrap();
            banner = said(&log[old..]);
            assert!(ended.is_none(), "the server did not start: {log}");
            !banner.is_empty()
        });
        let address = banner
            .lines()
            .next()
            .and_then(|line| line.split_once("listens on "))
            .map(|(_, address)| address.split('"').next().unwrap().to_owned())
            .unwrap();
        Self {
            running: Running {
                address,
                admin: None,
                directory,
            },
            child,
            banner,
        }
    }

    /// What it has logged so far, without its banner.
    pub fn log(&self) -> String {
        let log = std::fs::read_to_string(self.directory.path().join("log")).unwrap();
        log.replace(&self.banner, "")
    }

    /// Waits until the log holds a text.
    pub fn wait_for_log(&self, text: &str) {
        wait_until(&format!("the log has {text:?}"), || {
            self.log().contains(text)
        });
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the server has ended", || {
            status = self.ended();
            status.is_some()
        });
        status.unwrap()
    }

    /// Stops it in order, and keeps its directory.
    pub fn stop(mut self) -> TempDir {
        self.signal(rustix::process::Signal::TERM);
        assert!(self.wait().success(), "{}", self.log());
        self.take_directory()
    }

    /// Ends it at once, and keeps its directory.
    pub fn kill(mut self) -> TempDir {
        self.signal(rustix::process::Signal::KILL);
        self.wait();
        self.take_directory()
    }

    /// Stops it, and starts it again over the same data.
    pub fn restart(self, args: &[&str]) -> Self {
        let directory = self.stop();
        Self::start_settings(Settings {
            args: args.iter().map(ToString::to_string).collect(),
            directory: Some(directory),
            ..Settings::default()
        })
    }
}

/// The banner in a log, once it is there whole: some lines, or one of JSON.
fn said(log: &str) -> String {
    let from = |start: &str, end: &str| {
        let start = log.find(start)?;
        let line = log[..start].rfind('\n').map_or(0, |at| at + 1);
        let end = start + log[start..].find(end)? + end.len();
        Some(log[line..end].to_owned())
    };
    let begin = format!("creditd {} listens on ", env!("CARGO_PKG_VERSION"));
    let json = from(&format!("\"message\":\"{begin}"), "\n");
    json.or_else(|| from(&begin, "stops it.\n"))
        .unwrap_or_default()
}

impl Deref for Program {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}

impl DerefMut for Program {
    fn deref_mut(&mut self) -> &mut Running {
        &mut self.running
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Also where a test failed, no process is left behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts one over the data in a directory, and kills it before it could serve
/// for long, or at all.
pub fn kill_while_starting(directory: &Path, after: Duration) {
    let mut child = program()
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(directory.join("creditd.db"))
        .current_dir(directory)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// What a run of the program that ends by itself says: status, output, errors.
pub fn run(directory: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    run_for(directory, args, Duration::from_secs(20))
}

fn run_for(directory: &Path, args: &[&str], patience: Duration) -> (Option<i32>, String, String) {
    let mut child = program()
        .args(args)
        .current_dir(directory)
        .env("COLUMNS", "100")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let out = std::thread::spawn(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).map(|_| text)
    });
    let err = std::thread::spawn(move || {
        let mut text = String::new();
        err.read_to_string(&mut text).map(|_| text)
    });
    let start = std::time::Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > patience {
            let _ = child.kill();
            panic!("creditd {args:?} did not end");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    (
        status.code(),
        out.join().unwrap().unwrap(),
        err.join().unwrap().unwrap(),
    )
}
