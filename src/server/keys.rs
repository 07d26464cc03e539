//! Keys of a running server: those that it is started with, those that others change in the
//! store, and when they were used.

use std::convert::Infallible;
use std::time::Duration;

use super::StartError;
use super::config::Config;
use crate::app::keys::Keys;
use crate::app::token::{ADMIN_TOKEN_BYTES_MIN, TOKEN_BYTES_MAX, Token};

/// How often uses of keys are written down, which have the minute.
const USES_INTERVAL: Duration = Duration::from_secs(15);
/// How often to try again to take up the keys of the store.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// The keys that the server is started with: of the environment and of the file.
pub(super) fn read_admin_keys(config: &Config) -> Result<Vec<Token>, StartError> {
    let mut keys: Vec<_> = config.admin_key.iter().cloned().collect();
    let Some(file) = &config.admin_key_file else {
        return Ok(keys);
    };
    let name = file.display();
    let wrong =
        |problem: &str| StartError::AdminKeys(format!("--admin-key-file {name}: {problem}"));
    let text = std::fs::read_to_string(file)
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

/// Takes up the file again.
pub(super) fn reload_admin_keys(config: &Config, keys: &Keys) {
    match read_admin_keys(config) {
        Ok(admin_keys) => keys.access().take_up_admin_keys(&admin_keys),
        Err(error) => {
            tracing::error!(%error, "admin keys not reloaded; the old ones stay valid");
        }
    }
}

/// Takes up what others change in the store, and writes down which keys are used, for ever.
pub(super) async fn follow(keys: &Keys) -> Infallible {
    let mut changes = keys.changes();
    // Another server may have changed them since the start.
    let mut behind = true;
    loop {
        tokio::select! {
            Ok(()) = changes.changed() => behind = true,
            () = tokio::time::sleep(RETRY_INTERVAL), if behind => {}
            () = tokio::time::sleep(USES_INTERVAL) => note_uses(keys).await,
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
