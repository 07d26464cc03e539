//! TLS on the TCP listener, by rustls: certificate, key and those who issue clients' certificates
//! come from files, and are read again when those change or where it is asked for. A connection
//! keeps what it began with. Files that cannot be used are logged, and what was loaded before
//! serves on.
//!
//! Where clients show certificates, each connection verifies one: no session is resumed, for a
//! resumed one is let in by a certificate that was verified once.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};

use crate::pem;

/// Within so long a handshake must be done.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the files are looked at. They are read whole: systems that replace files by links
/// (Kubernetes) change neither their times nor their names in a way that can be relied on.
const FILES_INTERVAL: Duration = Duration::from_secs(10);
const CLIENT_CA: &str = "--tls-client-ca";
/// The only protocol that is spoken here.
const HTTP_2: &[u8] = b"h2";

/// Where certificate and key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM: the certificate, then those that it was issued by.
    pub cert: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
    /// PEM: those who issue the certificates of clients; None: clients show none.
    pub client_ca: Option<PathBuf>,
}

/// Why files cannot be used, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TlsError(String);

/// What the files hold.
struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

type Digest = [u8; 32];

/// What is said of the server's own certificate.
struct Leaf {
    fingerprint: String,
    /// In seconds since 1970.
    expiry: i64,
}

/// When a certificate ends, in seconds since 1970; 0 for one that cannot be read here, though
/// rustls can.
fn expiry(certificate: &CertificateDer<'_>) -> i64 {
    let parsed = x509_parser::parse_x509_certificate(certificate);
    parsed.map_or(0, |(_, parsed)| parsed.validity().not_after.timestamp())
}

/// Reads a file that has an end: it is read again and again while the server runs.
fn read_regular(option: &str, path: &Path) -> Result<Vec<u8>, String> {
    match path.exists() && !path.is_file() {
        true => Err(format!(
            "{option} {}: it is no regular file; give the path of a PEM file",
            path.display()
        )),
        false => pem::read(option, path),
    }
}

impl Contents {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let client_ca = files.client_ca.as_deref();
        let client_ca = client_ca.map(|path| read_regular(CLIENT_CA, path));
        Ok(Self {
            cert: read_regular("--tls-cert", &files.cert).map_err(TlsError)?,
            key: read_regular("--tls-key", &files.key).map_err(TlsError)?,
            client_ca: client_ca.transpose().map_err(TlsError)?,
        })
    }

    fn digest(&self) -> Digest {
        let mut digest = Sha256::new();
        digest.update(Sha256::digest(&self.cert));
        digest.update(Sha256::digest(&self.key));
        digest.update(Sha256::digest(
            self.client_ca.as_deref().unwrap_or_default(),
        ));
        digest.finalize().into()
    }

    fn config(&self, files: &TlsFiles) -> Result<(ServerConfig, Leaf), TlsError> {
        let (cert, key) = (files.cert.display(), files.key.display());
        let chain = certificates("--tls-cert", &files.cert, &self.cert)?;
        let Some(leaf) = chain.first() else {
            return Err(TlsError(pem::no_certificate("--tls-cert", &files.cert)));
        };
        let leaf = Leaf {
            fingerprint: hex(&Sha256::digest(leaf)),
            expiry: expiry(leaf),
        };
        let private = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| {
            TlsError(format!(
                "--tls-key {key}: {error}; give a PEM file with one private key that has no password"
            ))
        })?;
        let provider = Arc::new(ring::default_provider());
        let verifier = match (&files.client_ca, &self.client_ca) {
            (Some(path), Some(text)) => Some(verifier(path, text, &provider)?),
            _ => None,
        };
        let is_verified = verifier.is_some();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|config| {
                let config = match verifier {
                    Some(verifier) => config.with_client_cert_verifier(verifier),
                    None => config.with_no_client_auth(),
                };
                config.with_single_cert(chain, private)
            })
            .map_err(|error| {
                TlsError(format!(
                    "--tls-cert {cert}, --tls-key {key}: {error}; give a certificate and the key that belongs to it"
                ))
            })?;
        config.alpn_protocols = vec![HTTP_2.to_vec()];
        if is_verified {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok((config, leaf))
    }
}

/// The certificates of a file.
fn certificates(
    option: &str,
    path: &Path,
    text: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    certificates.map_err(|error| {
        TlsError(format!(
            "{option} {}: {error}; write it as PEM",
            path.display()
        ))
    })
}

/// Lets in clients whose certificate one of the file has issued, and those who show none, for
/// they may have a key.
fn verifier(
    path: &Path,
    text: &[u8],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let wrong = |error: &dyn std::fmt::Display| {
        TlsError(format!(
            "{CLIENT_CA} {}: {error}; give a PEM file with the certificates of those who issue clients' certificates",
            path.display()
        ))
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(CLIENT_CA, path, text)? {
        roots.add(certificate).map_err(|error| wrong(&error))?;
    }
    if roots.is_empty() {
        return Err(TlsError(pem::no_certificate(CLIENT_CA, path)));
    }
    let provider = Arc::clone(provider);
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .allow_unauthenticated()
        .build()
        .map_err(|error| wrong(&error))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the files hold, checked.
pub(super) struct Loaded {
    config: ServerConfig,
    leaf: Leaf,
    digest: Digest,
}

impl Loaded {
    /// Reads the files.
    ///
    /// # Errors
    /// Why they cannot be used.
    pub(super) fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        Self::of(files, &Contents::read(files)?)
    }

    fn of(files: &TlsFiles, contents: &Contents) -> Result<Self, TlsError> {
        let (config, leaf) = contents.config(files)?;
        Ok(Self {
            config,
            leaf,
            digest: contents.digest(),
        })
    }
}

/// What was read of the files.
struct Known {
    /// Last, whether it could be used or not: each is logged once.
    read: Digest,
    /// What is used.
    used: Digest,
    leaf: Leaf,
}

/// See the module.
pub(super) struct Tls {
    files: TlsFiles,
    config: ArcSwap<ServerConfig>,
    known: Mutex<Known>,
}

impl Tls {
    /// Reads the files.
    pub(super) fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let loaded = Loaded::read(&files)?;
        log(
            "the certificate is loaded",
            &files,
            &loaded.leaf.fingerprint,
        );
        Ok(Self {
            config: ArcSwap::from_pointee(loaded.config),
            known: Mutex::new(Known {
                read: loaded.digest,
                used: loaded.digest,
                leaf: loaded.leaf,
            }),
            files,
        })
    }

    /// What a connection that comes now begins with.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }

    /// When the certificate ends, in seconds since 1970.
    pub(super) fn expiry(&self) -> i64 {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.leaf.expiry
    }

    /// Uses what was read from now on. The fingerprints of the certificates before and after, where
    /// anything is another.
    pub(super) fn take_up(&self, loaded: Loaded) -> Option<(String, String)> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.read = loaded.digest;
        if known.used == loaded.digest {
            return None;
        }
        known.used = loaded.digest;
        self.config.store(Arc::new(loaded.config));
        let before = std::mem::replace(&mut known.leaf, loaded.leaf);
        Some((before.fingerprint, known.leaf.fingerprint.clone()))
    }

    fn read_again(&self) {
        let read = Contents::read(&self.files);
        let digest = match &read {
            Ok(contents) => contents.digest(),
            Err(error) => Sha256::digest(error.to_string()).into(),
        };
        {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if std::mem::replace(&mut known.read, digest) == digest {
                return;
            }
        }
        match read.and_then(|contents| Loaded::of(&self.files, &contents)) {
            Ok(loaded) => {
                if let Some((_, after)) = self.take_up(loaded) {
                    log("another certificate is loaded", &self.files, &after);
                }
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
            let tls = Arc::clone(self);
            // A panic is in the log.
            let _ = tokio::task::spawn_blocking(move || tls.read_again()).await;
        }
    }
}

fn log(message: &str, files: &TlsFiles, sha256: &str) {
    let client_ca = files.client_ca.as_deref().map(Path::display);
    let client_ca = client_ca.as_ref().map(tracing::field::display);
    tracing::info!(cert = %files.cert.display(), key = %files.key.display(), client_ca, sha256, "{message}");
}
