//! TLS sessions: none is resumed, so that each connection verifies its certificate.

use std::sync::Arc;

use rustix::process::Signal;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Site, write};
use crate::support::authority::{Authority, Pair};
use crate::support::server::Program;

/// A client that resumes sessions where it is let.
fn client(
    site: &Site,
    (cert, key): &Pair,
    version: &'static SupportedProtocolVersion,
) -> TlsConnector {
    let certificate = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate(&site.servers.pem)).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate(cert)], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsConnector::from(Arc::new(config))
}

/// Connects, and reads the first frame of HTTP/2, before which tickets come.
async fn handshake(server: &Program, client: &TlsConnector) -> std::io::Result<HandshakeKind> {
    let stream = TcpStream::connect(&server.address).await?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut stream = client.connect(name, stream).await?;
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await?;
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await?;
    stream.read_exact(&mut [0; 9]).await?;
    Ok(stream.get_ref().1.handshake_kind().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_session_is_resumed() {
    let site = Site::new();
    let server = site.serve("");
    let shown = site.client("billing");
    let clients = [&TLS12, &TLS13].map(|version| client(&site, &shown, version));
    for client in &clients {
        for _ in 0..3 {
            let kind = handshake(&server, client).await.unwrap();
            assert!(
                matches!(
                    kind,
                    HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest
                ),
                "{kind:?}"
            );
        }
    }
    write(&server, "client-ca.pem", &Authority::new("others").pem);
    server.signal(Signal::HUP);
    server.wait_for_log("configuration reloaded changes=\"certificate: ");
    for client in &clients {
        assert!(handshake(&server, client).await.is_err());
    }
}
