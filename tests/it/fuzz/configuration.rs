//! Configuration files: an error names file and line, and what is accepted makes sense.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::LazyLock;

use creditd::server::{Options, PORT_DEFAULT, host_and_port};
use tempfile::TempDir;

/// In memory where the system has a place for that.
static DIRECTORY: LazyLock<TempDir> =
    LazyLock::new(|| TempDir::new_in("/dev/shm").unwrap_or_else(|_| TempDir::new().unwrap()));

pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let path: PathBuf = DIRECTORY.path().join("creditd.toml");
    std::fs::write(&path, bytes).unwrap();
    let mut options = match Options::from_file(&path) {
        Ok(options) => options,
        Err(error) => {
            assert!(!error.problems().is_empty());
            for error in error.problems() {
                let place = error.strip_prefix(&format!("configuration {}:", path.display()));
                let (line, problem) = place.and_then(|place| place.split_once(": ")).unwrap();
                let line: usize = line.parse().unwrap();
                let lines = text.split('\n').count();
                assert!((1..=lines).contains(&line), "{error} of {lines} lines");
                assert!(!problem.contains('\n'), "{error}");
            }
            return;
        }
    };
    // A name would be looked up in the network.
    let is_address = |listen: &String| {
        host_and_port(listen, 0, PORT_DEFAULT).is_ok_and(|(host, _)| host.parse::<IpAddr>().is_ok())
    };
    options.listen = options.listen.filter(is_address);
    match Options::default().over(options) {
        Ok(config) => {
            assert!((1..=256).contains(&config.threads), "{config:?}");
            assert!(
                config.calls_max > 0 && config.connections_max > 0,
                "{config:?}"
            );
            assert!(config.call_memory_bytes_max >= 64 << 20, "{config:?}");
            assert!(!config.deadline_max.is_zero(), "{config:?}");
            let is_open = !config.listen.ip().is_loopback();
            assert!(
                !is_open || config.insecure || config.tls.is_some(),
                "{config:?}"
            );
        }
        Err(error) => {
            assert!(!error.problems().is_empty());
            for error in error.problems() {
                let place = format!("configuration {}:", path.display());
                let problem = (error.strip_prefix(&place))
                    .and_then(|place| place.split_once(": "))
                    .map_or(error.as_str(), |(_, problem)| problem);
                assert!(problem.starts_with("--"), "{error}");
                assert!(!error.contains('\n'), "{error}");
            }
        }
    }
}
