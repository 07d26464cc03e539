//! Entries, and those who issue certificates, that change while the server runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use super::{CLOSED, Site, ended, grant_to, outcomes, watch, write};
use crate::support::PATIENCE;
use crate::support::authority::Authority;

fn entry(name: &str, scopes: &str) -> String {
    format!("[[client]]\nname = \"{name}\"\nsubject = \"CN={name}\"\nscopes = [{scopes}]\n")
}

/// Calls go on meanwhile over the connection that was there before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issuers_change_under_load() {
    let site = Site::new();
    let entries = entry("billing", "\"price\", \"read\"");
    let server = site.serve(&entries);
    grant_to(&site.admin(&server).await, &["team-a", "other"]).await;
    let second = Authority::new("second");
    let one = site.client("billing");
    let two = second.issue_to(&[(super::CN, "billing")], |_| {});

    let old = site.connect(&server, Some(&one), "").await.unwrap();
    let watched = watch(&old, "team-a").await;
    let ends = Arc::new(AtomicBool::new(false));
    let is_over = Arc::clone(&ends);
    let calls = tokio::spawn(async move {
        let mut calls = 0;
        while !ends.load(Ordering::Relaxed) {
            assert_eq!(outcomes(&old).await, "ok ok ok", "after {calls}");
            calls += 1;
        }
        calls
    });

    assert_eq!(site.outcomes(&server, Some(&two), "").await, CLOSED);
    // Where it is asked for, with the server's own certificate.
    let (cert, key) = site.servers.issue(&["127.0.0.1"]);
    write(&server, "cert.pem", &cert);
    write(&server, "key.pem", &key);
    write(&server, "client-ca.pem", &second.pem);
    server.signal(Signal::HUP);
    server.wait_for_log("configuration reloaded changes=\"certificate: ");
    assert_eq!(site.outcomes(&server, Some(&two), "").await, "ok ok ok");
    assert_eq!(site.outcomes(&server, Some(&one), "").await, CLOSED);

    // Files that cannot be used: what was loaded before serves on.
    let half = format!("{}{}", second.pem, &site.clients.pem[..200]);
    for (file, said) in [("nothing\n", 1), (half.as_str(), 2)] {
        write(&server, "client-ca.pem", file);
        server.signal(Signal::HUP);
        crate::support::wait_until("it is logged", || {
            server.log().matches("configuration not reloaded").count() == said
        });
        assert_eq!(site.outcomes(&server, Some(&two), "").await, "ok ok ok");
        assert_eq!(site.outcomes(&server, Some(&one), "").await, CLOSED);
    }
    assert!(
        server
            .log()
            .contains("--tls-client-ca client-ca.pem: no certificate is in it")
    );

    // By itself, soon after the file has changed: both are let in.
    let both = format!("{}{}", second.pem, site.clients.pem);
    write(&server, "client-ca.pem", &both);
    tokio::time::timeout(PATIENCE, async {
        while site.outcomes(&server, Some(&one), "").await != "ok ok ok" {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
    .await
    .unwrap();
    assert_eq!(site.outcomes(&server, Some(&two), "").await, "ok ok ok");

    is_over.store(true, Ordering::Relaxed);
    assert!(calls.await.unwrap() > 10);
    drop(watched);
}

/// Connections go on, and what their certificates are for is looked up anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_change_under_load() {
    let site = Site::new();
    let [gone, changed, stays] =
        ["gone", "changed", "stays"].map(|name| entry(name, "\"price\", \"read\""));
    let server = site.serve(&format!("{gone}{changed}{stays}"));
    grant_to(&site.admin(&server).await, &["team-a", "other"]).await;
    let mut connections = Vec::new();
    for name in ["gone", "changed", "stays", "comes"] {
        let shown = site.client(name);
        connections.push(site.connect(&server, Some(&shown), "").await.unwrap());
    }
    let watch_gone = watch(&connections[0], "team-a").await;
    let watch_changed = watch(&connections[1], "team-a").await;
    let mut watch_stays = watch(&connections[2], "team-a").await;
    let required = "KEY_REQUIRED KEY_REQUIRED KEY_REQUIRED";
    for (connection, expected) in connections
        .iter()
        .zip(["ok ok ok", "ok ok ok", "ok ok ok", required])
    {
        assert_eq!(outcomes(connection).await, expected);
    }

    let changed = entry("changed", "\"price\"");
    let comes = entry("comes", "\"read\"");
    // A file that is wrong changes nothing.
    write(
        &server,
        "creditd.toml",
        &format!("{changed}{stays}{comes}scope = 1\n"),
    );
    server.signal(Signal::HUP);
    server.wait_for_log("configuration not reloaded; the old one serves on");
    let log = server.log();
    assert!(
        log.contains("configuration creditd.toml:13: unknown key \\\"scope\\\" in [[client]]"),
        "{log}"
    );
    assert_eq!(outcomes(&connections[0]).await, "ok ok ok");

    write(&server, "creditd.toml", &format!("{changed}{stays}{comes}"));
    server.signal(Signal::HUP);
    server.wait_for_log("configuration reloaded");
    for (connection, expected) in connections.iter().zip([
        required,
        "ok NOT_ALLOWED NOT_ALLOWED",
        "ok ok ok",
        "NOT_ALLOWED ok ok",
    ]) {
        assert_eq!(outcomes(connection).await, expected);
    }
    assert_eq!(ended(watch_gone).await, "KEY_INVALID");
    assert_eq!(ended(watch_changed).await, "KEY_INVALID");
    // The others see the next balance.
    let mut ledger = creditd::rpc::client::ledger(site.admin(&server).await);
    ledger
        .grant(crate::support::grant("g2", "team-a", "1"))
        .await
        .unwrap();
    let next = tokio::time::timeout(PATIENCE, watch_stays.message()).await;
    assert!(next.unwrap().unwrap().is_some());
}
