//! The key that calls are made with. It is never an argument: those are in every list of
//! processes.

use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use tonic::metadata::{Ascii, MetadataValue};

use super::addr::Address;
use super::failure::Failure;

/// The variable that holds a key.
const VARIABLE: &str = "CREDITD_KEY";

// Which key. A flattened struct's documentation would replace that of the subcommand.
#[derive(clap::Args, Clone, Debug, Default)]
#[group(skip)]
pub(super) struct KeyArgs {
    /// File with the key to call with, instead of CREDITD_KEY; only its first line is read
    #[arg(long, env = "CREDITD_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,
}

impl KeyArgs {
    /// What calls to that address carry; None where there is no key.
    pub(super) fn authorization(
        &self,
        address: &Address,
        is_tls: bool,
    ) -> Result<Option<MetadataValue<Ascii>>, Failure> {
        let (key, source) = match &self.key_file {
            Some(file) => {
                let source = format!("--key-file {}", file.display());
                let text = std::fs::read_to_string(file).map_err(|error| {
                    Failure::usage(format!("{source}: {error}; give a file with a key"))
                })?;
                (text.lines().next().unwrap_or_default().to_owned(), source)
            }
            None => match std::env::var(VARIABLE) {
                Ok(key) if !key.is_empty() => (key, VARIABLE.to_owned()),
                Ok(_) | Err(std::env::VarError::NotPresent) => return Ok(None),
                Err(error) => return Err(Failure::usage(format!("{VARIABLE}: {error}"))),
            },
        };
        let key = key.trim();
        let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        let value = format!("Bearer {key}").parse::<MetadataValue<Ascii>>();
        let (Ok(mut value), true) = (value, is_key) else {
            return Err(Failure::usage(format!(
                "{source} has no key: one is printable characters without spaces, such as \"creditd keys create\" prints"
            )));
        };
        if !is_tls && !stays_here(address) {
            return Err(Failure::usage(format!(
                "a key would be sent to {address} where others can read it: write https://{address}, or call a server of this machine"
            )));
        }
        // It is in no log of the transport.
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// Whether what is sent to the address does not leave this machine.
fn stays_here(address: &Address) -> bool {
    match address {
        Address::Unix(_) => true,
        Address::Tcp { host, .. } => is_loopback(host),
    }
}

fn is_loopback(host: &str) -> bool {
    let mapped = |address: Ipv6Addr| address.to_ipv4_mapped();
    match host.parse() {
        Ok(IpAddr::V4(address)) => address.is_loopback(),
        Ok(IpAddr::V6(address)) => {
            address.is_loopback() || mapped(address).is_some_and(|address| address.is_loopback())
        }
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for (host, expected) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("localhost", true),
            ("LocalHost", true),
            ("0.0.0.0", false),
            ("::", false),
            ("10.0.0.1", false),
            ("::ffff:10.0.0.1", false),
            ("localhost.example.com", false),
            ("127.0.0.1.example.com", false),
            ("credits.internal", false),
        ] {
            assert_eq!(is_loopback(host), expected, "{host}");
        }
    }
}
