//! Data files that are locked, taken away, replaced, cut or copied while a server uses them.

mod copies;
mod half_checkpointed;
mod locked;
mod taken;

use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::books::Ledger;
use crate::support::grant;
use crate::support::refusal::refused;
use crate::support::requests::charge;
use crate::support::server::{Program, Settings, run};

/// A read that does not wait for anything.
const AT_ONCE: Duration = Duration::from_millis(250);
/// How soon it is noticed that a file is locked or gone, and that it is not any more.
const NOTICED_MAX: Duration = Duration::from_millis(1_500);

/// A hundred credits, of which one is spent.
async fn spend_one(server: &Program) -> Ledger {
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-a", "100")).await.unwrap();
    ledger.charge(charge("c", "team-a", "1")).await.unwrap();
    ledger
}

async fn refused_charge(ledger: &mut Ledger, id: &str) -> Duration {
    let start = Instant::now();
    let refusal = refused(ledger.charge(charge(id, "team-a", "1")).await);
    assert_eq!(refusal.reason, "STORE_UNAVAILABLE");
    assert_eq!(refusal.metadata["operation"], "write");
    start.elapsed()
}

/// Starts a server again over the data in a directory.
fn over(directory: tempfile::TempDir) -> Program {
    Program::start_settings(Settings {
        directory: Some(directory),
        ..Settings::default()
    })
}

/// Why a server does not start over the data in a directory.
fn complaint(directory: &Path) -> String {
    let args = ["serve", "--listen", "127.0.0.1:0", "--data", "creditd.db"];
    let (code, _, err) = run(directory, &args);
    assert_eq!(code, Some(1), "{err}");
    err
}

/// A data file of another server, stopped in order.
async fn another_file() -> tempfile::TempDir {
    let server = Program::start();
    let mut ledger = server.ledger().await;
    ledger.grant(grant("g", "team-b", "7")).await.unwrap();
    server.stop()
}
