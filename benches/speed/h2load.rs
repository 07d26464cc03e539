//! nghttp2's load generator, an ordinary one: it sends one request again and again.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::load::requests::Template;
use super::machine::processor_nanos;
use super::options::Options;
use super::pairs::Figure;
use super::server::Server;
use super::setup::at;

/// So long after the measured time has begun, and before it ends, the server's processor
/// time is read.
const MARGIN: Duration = Duration::from_millis(200);

/// Whether it is there.
pub fn is_missing() -> bool {
    let version = Command::new("h2load")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    !version.is_ok_and(|status| status.success())
}

/// What to do where it is not.
pub const MISSING: &str = "h2load is missing: install nghttp2 (Debian: nghttp2-client)";

/// A load: so many connections, each with so many calls at once.
#[derive(Clone, Copy, Debug)]
pub struct H2load {
    pub connections: usize,
    pub streams: usize,
    pub scheme: Scheme,
    /// The key that each call has.
    pub key: Option<&'static str>,
}

/// How it speaks to the server.
#[derive(Clone, Copy, Debug)]
pub enum Scheme {
    Http,
    /// By TLS; no certificate is looked at.
    Https,
}

impl H2load {
    /// Calls a second at a server; `items` of each call are counted.
    pub fn run(
        self,
        server: &Server,
        template: &Template,
        items: u32,
        options: &Options,
        directory: &Path,
    ) -> Result<Figure, String> {
        let body = directory.join("body");
        std::fs::write(&body, template.frame()).map_err(|error| at(&body, error))?;
        let (warm_up, measured) = options.times();
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let mut command = Command::new("h2load");
        if let Some(key) = self.key {
            command
                .arg("-H")
                .arg(format!("authorization: Bearer {key}"));
        }
        let child = command
            .args(["-c", &self.connections.to_string()])
            .args(["-m", &self.streams.to_string()])
            .args(["-D", &options.seconds.to_string()])
            .arg(format!("--warm-up-time={}", options.warm_up_seconds))
            .arg("-d")
            .arg(&body)
            .args(["-H", "content-type: application/grpc", "-H", "te: trailers"])
            .arg(format!("{scheme}://{}{}", server.address, template.method))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("h2load does not start: {error}"))?;
        std::thread::sleep(warm_up + MARGIN);
        let begin = processor_nanos(server.pid());
        let between = measured.saturating_sub(MARGIN * 2);
        std::thread::sleep(between);
        let end = processor_nanos(server.pid());
        // It ends by itself; what it prints is short.
        let output = child
            .wait_with_output()
            .map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let calls = calls_per_second(&text).filter(|_| output.status.success());
        let calls = calls.ok_or_else(|| format!("h2load failed:\n{text}"))?;
        let nanos = begin.zip(end).map(|(begin, end)| {
            let used = Duration::from_nanos(end.saturating_sub(begin)).as_secs_f64();
            used / between.as_secs_f64() / calls / f64::from(items) * 1e9
        });
        Ok(Figure {
            value: calls * f64::from(items),
            server_nanos: nanos,
        })
    }
}

/// Out of what it prints; None where a call failed.
fn calls_per_second(text: &str) -> Option<f64> {
    let line = |begin: &str| text.lines().find(|line| line.starts_with(begin));
    let requests = line("requests:")?;
    if !requests.contains(" 0 failed, 0 errored, 0 timeout") {
        return None;
    }
    let rate = line("finished in ")?.split(", ").nth(1)?;
    rate.strip_suffix(" req/s")?.parse().ok()
}
