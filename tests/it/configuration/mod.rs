//! A server with a configuration file that tests change.

mod commands;
mod reloads;

use std::path::Path;

use rustix::process::Signal;

use crate::support::server::{Program, Settings};
use crate::support::wait_until;

/// The file that servers of these tests read.
const FILE: &str = "creditd.toml";

fn write(directory: &Path, text: &str) {
    std::fs::write(directory.join(FILE), text).unwrap();
}

/// A server of this file.
fn serve(text: &str, args: &[&str]) -> Program {
    serve_with(text, args, &|_| {})
}

/// The same, with further files beside it.
fn serve_with(text: &str, args: &[&str], prepare: &dyn Fn(&Path)) -> Program {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), text);
    prepare(directory.path());
    let args = ["--config", FILE].iter().chain(args);
    Program::start_settings(Settings {
        args: args.map(ToString::to_string).collect(),
        directory: Some(directory),
        ..Settings::default()
    })
}

/// Has the file read again, and waits for the line that says how it went, which it returns, and
/// the one behind it, where there is one.
fn reload(server: &Program, text: &str) -> String {
    write(server.directory.path(), text);
    let count = || {
        let log = server.log();
        log.matches("configuration reloaded").count()
            + log.matches("configuration not reloaded").count()
    };
    let before = count();
    server.signal(Signal::HUP);
    wait_until("the configuration was read again", || count() > before);
    let log = server.log();
    let at = log.rfind("configuration ").unwrap();
    // The first word of the message, not of a problem.
    let reloaded = log.rfind("configuration reloaded");
    let refused = log.rfind("configuration not reloaded");
    let line = reloaded.max(refused).unwrap_or(at);
    log[line..].to_owned()
}
