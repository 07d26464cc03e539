//! TLS: who is let in by which certificate, and certificates that change while the server runs.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use creditd::rpc::client::{self, EachCall, Tls};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::authority::Authority;
use crate::support::server::{Program, run};
use crate::support::{PATIENCE, estimate};

const NAME: &str = "credits.example";

/// Writes a pair to where the server reads it.
fn write_pair(directory: &Path, (cert, key): &(String, String)) {
    std::fs::write(directory.join("cert.pem"), cert).unwrap();
    std::fs::write(directory.join("key.pem"), key).unwrap();
}

/// Writes a pair that nobody trusts into a directory, and says where.
pub fn self_signed(directory: &Path) -> (String, String) {
    write_pair(directory, &Authority::new("test").issue(&[NAME]));
    let path = |name: &str| directory.join(name).display().to_string();
    (path("cert.pem"), path("key.pem"))
}

/// A server that speaks TLS, with its files in a directory.
fn start(directory: &Path) -> Program {
    let file = |name: &str| directory.join(name).display().to_string();
    let (cert, key) = (file("cert.pem"), file("key.pem"));
    Program::start_with(&["--tls-cert", &cert, "--tls-key", &key])
}

/// A connection by TLS, where the server's certificate is issued by this authority.
async fn connect(server: &Program, authority: &Authority) -> Result<client::Pricing, String> {
    let tls = Tls {
        ca: Some(authority.pem.clone().into_bytes()),
        ..Tls::default()
    };
    let uri = format!("https://{}", server.address);
    let connection = client::connect(&uri, PATIENCE, EachCall::default(), Some(tls)).await;
    let connection = connection.map_err(|error| client::root_cause(&error))?;
    Ok(client::pricing(connection))
}

async fn is_served(pricing: &mut client::Pricing) -> bool {
    let reply = pricing.estimate(estimate("lip_sync_video", "31s")).await;
    reply.is_ok_and(|reply| reply.into_inner().estimate.unwrap().credits == "0.248")
}

/// What the command line says, by the options that it is given.
#[test]
fn the_command_line_says_what_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let (authority, other) = (Authority::new("one"), Authority::new("other"));
    write_pair(path, &authority.issue(&["127.0.0.1", NAME]));
    let (client_cert, client_key) = authority.issue(&["client"]);
    for (file, text) in [
        ("ca.pem", authority.pem.as_str()),
        ("other.pem", &other.pem),
        ("empty.pem", "nothing\n"),
        ("client.pem", &client_cert),
        ("client-key.pem", &client_key),
    ] {
        std::fs::write(path.join(file), text).unwrap();
    }
    let (server, plain) = (start(path), Program::start());
    let (tls, plaintext) = (server.address.as_str(), plain.address.as_str());
    for (options, code, expected) in [
        (format!("https://{tls} --tls-ca ca.pem"), 0, ""),
        (format!("{tls} --tls-ca ca.pem"), 0, ""),
        (
            format!("{tls} --tls-ca ca.pem --tls-server-name {NAME}"),
            0,
            "",
        ),
        (
            format!(
                "{tls} --tls-ca ca.pem --tls-client-cert client.pem --tls-client-key client-key.pem"
            ),
            0,
            "",
        ),
        (
            format!("https://{tls}"),
            5,
            ": invalid peer certificate: UnknownIssuer; --tls-ca takes a PEM file with the certificate that issued the server's",
        ),
        (
            format!("{tls} --tls-ca other.pem"),
            5,
            "; --tls-ca takes a PEM file with the certificate that issued the server's",
        ),
        (
            format!("{tls} --tls-ca ca.pem --tls-server-name elsewhere.example"),
            5,
            "; --tls-server-name takes the name that the server's certificate is for",
        ),
        (tls.to_owned(), 5, "wants TLS: write https://"),
        (
            format!("https://{plaintext}"),
            5,
            "what answers there speaks no TLS: leave https:// and --tls-ca out, or name another by --addr",
        ),
        (
            format!("{tls} --tls-ca empty.pem"),
            2,
            "--tls-ca empty.pem: no certificate is in it; give a PEM file that begins with \"-----BEGIN CERTIFICATE-----\"",
        ),
        (
            format!("{tls} --tls-ca missing.pem"),
            2,
            "--tls-ca missing.pem: No such file or directory (os error 2); give the path of a PEM file that this user can read",
        ),
        (
            format!("{tls} --tls-client-cert client.pem"),
            2,
            "--tls-client-key",
        ),
    ] {
        let line = format!("health --addr {options}");
        let args: Vec<_> = line.split(' ').collect();
        let (ended, out, err) = run(path, &args);
        assert_eq!(ended, Some(code), "{line}: {out}{err}");
        assert!(err.contains(expected), "{line}: {err}");
        assert_eq!(out.is_empty(), code != 0, "{line}: {out}");
    }
    // Who does not know the certificate's issuer leaves a line.
    server.wait_for_log("no TLS handshake with its peer");
}

#[test]
fn a_pair_that_cannot_be_used_is_refused_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let authority = Authority::new("one");
    write_pair(path, &authority.issue(&[NAME]));
    let (_, other_key) = authority.issue(&[NAME]);
    std::fs::write(path.join("other-key.pem"), other_key).unwrap();
    std::fs::write(path.join("empty.pem"), "").unwrap();
    for (options, expected) in [
        (
            "--tls-cert cert.pem",
            "creditd: --tls-cert is given without --tls-key; TLS needs both",
        ),
        (
            "--tls-key key.pem",
            "creditd: --tls-key is given without --tls-cert; TLS needs both",
        ),
        (
            "--tls-cert missing.pem --tls-key key.pem",
            "creditd: --tls-cert missing.pem: No such file or directory (os error 2); give the path of a PEM file that this user can read",
        ),
        (
            "--tls-cert cert.pem --tls-key missing.pem",
            "creditd: --tls-key missing.pem: No such file or directory (os error 2); give the path of a PEM file that this user can read",
        ),
        (
            "--tls-cert empty.pem --tls-key key.pem",
            "creditd: --tls-cert empty.pem: no certificate is in it; give a PEM file that begins with \"-----BEGIN CERTIFICATE-----\"",
        ),
        (
            "--tls-cert cert.pem --tls-key empty.pem",
            "creditd: --tls-key empty.pem: ",
        ),
        (
            "--tls-cert cert.pem --tls-key other-key.pem",
            "creditd: --tls-cert cert.pem, --tls-key other-key.pem: ",
        ),
        (
            "--tls-cert key.pem --tls-key cert.pem",
            "creditd: --tls-cert key.pem: no certificate is in it; ",
        ),
    ] {
        let line = format!("serve --listen 127.0.0.1:0 --data creditd.db {options}");
        let args: Vec<_> = line.split(' ').collect();
        let (code, out, err) = run(path, &args);
        assert!(matches!(code, Some(1 | 2)), "{options}: {code:?} {err}");
        assert_eq!(out, "", "{options}");
        assert!(
            err.starts_with(expected) && err.lines().count() == 1,
            "{options}: {err}"
        );
        assert!(!path.join("creditd.db").exists(), "no file is made");
    }
}

/// Calls go on meanwhile over the connection that was there before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_change_under_load() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let [first, second] = ["first", "second"].map(Authority::new);
    let [one, two] = [&first, &second].map(|authority| authority.issue(&["127.0.0.1"]));
    write_pair(path, &one);
    let server = start(path);

    let mut old = connect(&server, &first).await.unwrap();
    let ends = Arc::new(AtomicBool::new(false));
    let (is_over, calls) = (Arc::clone(&ends), async move {
        let mut calls = 0;
        while !ends.load(Ordering::Relaxed) {
            assert!(is_served(&mut old).await, "after {calls} calls");
            calls += 1;
        }
        calls
    });
    let calls = tokio::spawn(calls);

    // Where it is asked for.
    write_pair(path, &two);
    server.signal(Signal::HUP);
    server.wait_for_log("configuration reloaded changes=\"certificate: ");
    let mut new = connect(&server, &second).await.unwrap();
    assert!(is_served(&mut new).await);
    let refused = connect(&server, &first).await.err().unwrap();
    assert!(refused.contains("UnknownIssuer"), "{refused}");

    // A pair that cannot be used: the one before serves on.
    std::fs::write(path.join("key.pem"), &one.1).unwrap();
    server.signal(Signal::HUP);
    server.wait_for_log("configuration not reloaded; the old one serves on");
    assert!(is_served(&mut connect(&server, &second).await.unwrap()).await);

    // By itself, soon after the files have changed.
    write_pair(path, &one);
    tokio::time::timeout(PATIENCE, async {
        while connect(&server, &first).await.is_err() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
    .await
    .unwrap();

    is_over.store(true, Ordering::Relaxed);
    assert!(calls.await.unwrap() > 10);
    let log = server.log();
    assert_eq!(log.matches("the old one serves on").count(), 1, "{log}");
    assert!(!log.contains("PRIVATE"), "{log}");
}

/// Peers that do not speak TLS, and one that never ends its handshake.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_are_closed() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new("one");
    write_pair(directory.path(), &authority.issue(&["127.0.0.1"]));
    let server = start(directory.path());
    let hello = b"\x16\x03\x01\x00\xc8".to_vec();
    let http = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec();
    let plaintext =
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00".to_vec();
    for (bytes, within) in [(plaintext, 5), (http, 5), (hello, 20)] {
        let mut stream = tokio::net::TcpStream::connect(&server.address)
            .await
            .unwrap();
        stream.write_all(&bytes).await.unwrap();
        let mut rest = Vec::new();
        let read = stream.read_to_end(&mut rest);
        let read = tokio::time::timeout(Duration::from_secs(within), read).await;
        assert!(read.is_ok(), "it is still open: {bytes:?}");
    }
    assert!(is_served(&mut connect(&server, &authority).await.unwrap()).await);
}
