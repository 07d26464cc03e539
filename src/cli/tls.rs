//! TLS to a server: whether it is spoken, and by which certificates.

use std::path::{Path, PathBuf};

use super::addr::Address;
use super::failure::Failure;
use crate::pem;
use crate::rpc::client;

// Where a server speaks TLS.
#[derive(clap::Args, Clone, Debug, Default)]
#[group(skip)]
pub(super) struct Tls {
    /// Speak TLS, and accept the server's certificate where one of this PEM file has issued it
    /// [default with https:// before the address: those that the system trusts]
    #[arg(
        long,
        env = "CREDITD_TLS_CA",
        value_name = "FILE",
        help_heading = "TLS"
    )]
    tls_ca: Option<PathBuf>,
    /// Name that the server's certificate is for, where it is not the address's
    #[arg(
        long,
        env = "CREDITD_TLS_SERVER_NAME",
        value_name = "NAME",
        help_heading = "TLS"
    )]
    tls_server_name: Option<String>,
    /// PEM file with a certificate to show to the server
    #[arg(
        long,
        env = "CREDITD_TLS_CLIENT_CERT",
        value_name = "FILE",
        requires = "tls_client_key",
        help_heading = "TLS"
    )]
    tls_client_cert: Option<PathBuf>,
    /// PEM file with that certificate's private key
    #[arg(
        long,
        env = "CREDITD_TLS_CLIENT_KEY",
        value_name = "FILE",
        requires = "tls_client_cert",
        help_heading = "TLS"
    )]
    tls_client_key: Option<PathBuf>,
}

impl Tls {
    /// Whether TLS is spoken to that address.
    pub(super) const fn is_spoken_to(&self, address: &Address) -> bool {
        match address {
            Address::Tcp { tls, .. } => {
                *tls || self.tls_ca.is_some()
                    || self.tls_server_name.is_some()
                    || self.tls_client_cert.is_some()
            }
            // It does not leave this machine.
            Address::Unix(_) => false,
        }
    }

    /// What to speak it with.
    pub(super) fn settings(&self) -> Result<client::Tls, Failure> {
        let client_cert = read("--tls-client-cert", self.tls_client_cert.as_deref())?;
        let client_key = read("--tls-client-key", self.tls_client_key.as_deref())?;
        let settings = client::Tls {
            ca: read("--tls-ca", self.tls_ca.as_deref())?,
            client: client_cert.zip(client_key),
            server_name: self.tls_server_name.clone(),
        };
        if let (Some(path), Some(ca)) = (&self.tls_ca, &settings.ca)
            && !client::has_certificate(ca)
        {
            return Err(Failure::usage(pem::no_certificate("--tls-ca", path)));
        }
        Ok(settings)
    }
}

fn read(option: &str, path: Option<&Path>) -> Result<Option<Vec<u8>>, Failure> {
    let read = path.map(|path| pem::read(option, path)).transpose();
    read.map_err(Failure::usage)
}
