//! PEM files that options name: what the server and the command line say of them.

use std::path::Path;

/// What a file holds, or what to do where it cannot be read.
pub fn read(option: &str, path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| {
        let path = path.display();
        format!("{option} {path}: {error}; give the path of a PEM file that this user can read")
    })
}

/// What to do where a file has no certificate.
pub fn no_certificate(option: &str, path: &Path) -> String {
    let path = path.display();
    format!(
        "{option} {path}: no certificate is in it; give a PEM file that begins with \"-----BEGIN CERTIFICATE-----\""
    )
}
