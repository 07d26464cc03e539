//! TLS on the TCP listener, by rustls: certificate and key come from files, and are read again
//! when those change or where it is asked for. A connection keeps what it began with. A pair
//! that cannot be used is logged, and the one before serves on.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};

use crate::pem;

/// Within so long a handshake must be done.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the files are looked at. They are read whole: systems that replace files by links
/// (Kubernetes) change neither their times nor their names in a way that can be relied on.
const FILES_INTERVAL: Duration = Duration::from_secs(10);
/// The only protocol that is spoken here.
const HTTP_2: &[u8] = b"h2";

/// Where certificate and key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM: the certificate, then those that it was issued by.
    pub cert: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
}

/// Why a pair cannot be used, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TlsError(String);

/// What the files hold.
struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
}

type Digest = [u8; 32];

impl Contents {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self {
            cert: pem::read("--tls-cert", &files.cert).map_err(TlsError)?,
            key: pem::read("--tls-key", &files.key).map_err(TlsError)?,
        })
    }

    fn digest(&self) -> Digest {
        let mut digest = Sha256::new();
        digest.update(Sha256::digest(&self.cert));
        digest.update(Sha256::digest(&self.key));
        digest.finalize().into()
    }

    fn config(&self, files: &TlsFiles) -> Result<(ServerConfig, String), TlsError> {
        let (cert, key) = (files.cert.display(), files.key.display());
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.cert).collect();
        let chain = chain
            .map_err(|error| TlsError(format!("--tls-cert {cert}: {error}; write it as PEM")))?;
        let Some(leaf) = chain.first() else {
            return Err(TlsError(pem::no_certificate("--tls-cert", &files.cert)));
        };
        let fingerprint = hex(&Sha256::digest(leaf));
        let private = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| {
            TlsError(format!(
                "--tls-key {key}: {error}; give a PEM file with one private key that has no password"
            ))
        })?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(chain, private))
            .map_err(|error| {
                TlsError(format!(
                    "--tls-cert {cert}, --tls-key {key}: {error}; give a certificate and the key that belongs to it"
                ))
            })?;
        config.alpn_protocols = vec![HTTP_2.to_vec()];
        Ok((config, fingerprint))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// See the module.
pub(super) struct Tls {
    files: TlsFiles,
    config: ArcSwap<ServerConfig>,
    /// Of what was read last, whether it could be used or not: each is logged once.
    read: Mutex<Digest>,
}

impl Tls {
    /// Reads the files.
    pub(super) fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let contents = Contents::read(&files)?;
        let (config, fingerprint) = contents.config(&files)?;
        log("the certificate is loaded", &files, &fingerprint);
        Ok(Self {
            config: ArcSwap::from_pointee(config),
            read: Mutex::new(contents.digest()),
            files,
        })
    }

    /// What a connection that comes now begins with.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }

    /// Reads the files again.
    pub(super) async fn reload(self: &Arc<Self>) {
        let tls = Arc::clone(self);
        // A panic is in the log.
        let _ = tokio::task::spawn_blocking(move || tls.read_again()).await;
    }

    fn read_again(&self) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let (digest, loaded) = match Contents::read(&self.files) {
            Ok(contents) => (contents.digest(), contents.config(&self.files)),
            Err(error) => (Sha256::digest(error.to_string()).into(), Err(error)),
        };
        if std::mem::replace(&mut *read, digest) == digest {
            return;
        }
        match loaded {
            Ok((config, fingerprint)) => {
                self.config.store(Arc::new(config));
                log("another certificate is loaded", &self.files, &fingerprint);
            }
            Err(error) => {
                tracing::error!(%error, "the certificate is not loaded; the old one serves on");
            }
        }
    }

    /// Reads the files again when they may have changed, for ever.
    pub(super) async fn follow(self: &Arc<Self>) -> Infallible {
        loop {
            tokio::time::sleep(FILES_INTERVAL).await;
            self.reload().await;
        }
    }
}

fn log(message: &str, files: &TlsFiles, sha256: &str) {
    tracing::info!(cert = %files.cert.display(), key = %files.key.display(), sha256, "{message}");
}
