//! Keys of a running server: those that it is started with, those that others change in the
//! store, and when they were used.

use std::convert::Infallible;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::StartError;
use super::config::Config;
use crate::app::keys::Keys;
use crate::app::token::{ADMIN_TOKEN_BYTES_MIN, TOKEN_BYTES_MAX, Token};

/// Largest file of admin keys.
const FILE_BYTES_MAX: u64 = 64 * 1_024;
/// The group's and everybody's right to write.
const WRITABLE_BY_OTHERS: u32 = 0o022;
/// How often uses of keys are written down, which have the minute.
const USES_INTERVAL: Duration = Duration::from_secs(15);
/// How often accounts are forgotten that were not called for a second: callers choose their names.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);

/// The keys that the server is started with: of the environment and of the file.
pub(super) fn read_admin_keys(config: &Config) -> Result<Vec<Token>, StartError> {
    let mut keys: Vec<_> = config.admin_key.iter().cloned().collect();
    let Some(file) = &config.admin_key_file else {
        return Ok(keys);
    };
    let name = file.display();
    let wrong =
        |problem: &str| StartError::AdminKeys(format!("--admin-key-file {name}: {problem}"));
    let text = read_regular(file)
        .map_err(|error| wrong(&format!("{error}; give a file with one key a line")))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    for line in lines {
        let key = Token::of_admin(line);
        keys.push(key.ok_or_else(|| {
            wrong(&format!(
                "a line is no key; write one a line, {ADMIN_TOKEN_BYTES_MIN} to {TOKEN_BYTES_MAX} characters without spaces, such as \"openssl rand -hex 32\" prints"
            ))
        })?);
    }
    match keys.is_empty() {
        true => Err(wrong("it has no key; write one a line")),
        false => Ok(keys),
    }
}

/// Reads a file that has an end.
fn read_regular(file: &Path) -> io::Result<String> {
    let metadata = std::fs::metadata(file)?;
    if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
        return Err(io::Error::other("it is no file, or a large one"));
    }
    if metadata.permissions().mode() & WRITABLE_BY_OTHERS != 0 {
        tracing::warn!(file = %file.display(), "others may write to the file of admin keys");
    }
    std::fs::read_to_string(file)
}

/// Takes up what others change in the store, and writes down which keys are used, for ever.
pub(super) async fn follow(keys: &Keys) -> Infallible {
    let mut changes = keys.changes();
    let (mut uses, mut idle) = (interval(USES_INTERVAL), interval(IDLE_INTERVAL));
    uses.set_missed_tick_behavior(MissedTickBehavior::Delay);
    idle.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Another server may have changed them since the start.
    let mut behind = true;
    loop {
        tokio::select! {
            Ok(()) = changes.changed() => behind = true,
            _ = uses.tick() => note_uses(keys).await,
            // What could not be taken up is tried again, too.
            _ = idle.tick() => keys.access().forget_idle_accounts(),
        }
        if behind {
            let taken_up = keys.take_up().await;
            if let Err(error) = &taken_up {
                tracing::error!(%error, "changed keys are not taken up; the old ones stay valid");
            }
            behind = taken_up.is_err();
        }
    }
}

/// Writes down which keys were used.
pub(super) async fn note_uses(keys: &Keys) {
    if let Err(error) = keys.note_uses().await {
        tracing::debug!(%error, "uses of keys were not written down");
    }
}
