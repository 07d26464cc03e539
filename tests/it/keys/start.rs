//! When a server asks for keys, and when it does not start.

use std::path::Path;

use creditd::rpc::pb::creditd::v1 as pb;
use rustix::process::Signal;

use super::{ADMIN_KEY, admin, connect, create, key, ledger, revoke, serve_with};
use crate::support::refusal::refused;
use crate::support::server::{Program, Settings, run};
use crate::support::{balance, estimate, wait_until};

/// The reason that a call without a key is refused with; of an account that is not there.
async fn reason(server: &Program, secret: &str) -> String {
    let mut ledger = ledger(server, secret).await;
    refused(ledger.get_balance(balance("nobody")).await).reason
}

#[tokio::test]
async fn authentication_begins_with_the_first_key_and_stays() {
    let server = Program::start();
    assert_eq!(reason(&server, "").await, "ACCOUNT_NOT_FOUND");
    // A key that nobody asks for is not looked at.
    assert_eq!(reason(&server, "anything").await, "ACCOUNT_NOT_FOUND");
    let request = pb::CreateKeyRequest {
        key: Some(key("admin", "")),
    };
    let created = admin(&server, "")
        .await
        .create_key(request)
        .await
        .unwrap()
        .into_inner();
    let (id, secret) = (created.key.unwrap().key_id, created.secret);
    assert_eq!(reason(&server, "").await, "KEY_REQUIRED");
    assert_eq!(reason(&server, &secret).await, "ACCOUNT_NOT_FOUND");
    let server = server.restart(&[]);
    assert_eq!(reason(&server, "").await, "KEY_REQUIRED");
    let request = pb::RevokeKeyRequest { key_id: id };
    admin(&server, &secret)
        .await
        .revoke_key(request)
        .await
        .unwrap();
    // There is no key any more, and nobody gets in.
    assert_eq!(reason(&server, &secret).await, "KEY_INVALID");
    let server = server.restart(&[]);
    assert_eq!(reason(&server, "").await, "KEY_REQUIRED");
    let server = server.restart(&["--no-authentication"]);
    assert_eq!(reason(&server, "").await, "ACCOUNT_NOT_FOUND");
    assert_eq!(reason(&server, &secret).await, "ACCOUNT_NOT_FOUND");
    server.wait_for_log("--no-authentication");
    let server = super::restart(server, &[]);
    assert_eq!(reason(&server, "").await, "KEY_REQUIRED");
    assert_eq!(reason(&server, ADMIN_KEY).await, "ACCOUNT_NOT_FOUND");
}

/// The file of admin keys is read again: two keys are valid while they are rotated.
#[tokio::test]
async fn admin_keys_are_rotated_by_their_file() {
    let [first, second] = ["first", "second"].map(|name| format!("{name}-of-the-admin-keys-here"));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("admin.keys");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    write(&format!("{first}\n"));
    let server = Program::start_with(&["--admin-key-file", file.to_str().unwrap()]);
    for (text, expected) in [
        (format!("{first}\n\n {second} \n"), [true, true]),
        ("too short\n".to_owned(), [true, true]),
        (String::new(), [true, true]),
        (format!("{second}\n"), [false, true]),
        (format!("{first}\n"), [true, false]),
    ] {
        write(&text);
        let reloads = server.log().matches("configuration ").count();
        server.signal(Signal::HUP);
        wait_until("it has read the files again", || {
            server.log().matches("configuration ").count() > reloads
        });
        for (secret, expected) in [&first, &second].into_iter().zip(expected) {
            let expected = if expected {
                "ACCOUNT_NOT_FOUND"
            } else {
                "KEY_INVALID"
            };
            assert_eq!(reason(&server, secret).await, expected, "{text:?}");
        }
    }
    assert!(
        server.log().contains("configuration not reloaded"),
        "{}",
        server.log()
    );
    assert!(!server.log().contains(&first));
}

/// What a server says that does not start.
fn refusal(directory: &Path, args: &[&str]) -> String {
    let all = [&["serve"], args].concat();
    let (status, _, err) = run(directory, &all);
    assert!(matches!(status, Some(1 | 2)), "{args:?}: {status:?} {err}");
    err
}

#[test]
fn a_server_that_others_reach_is_protected() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    file("admin.key", &format!("{ADMIN_KEY}\n"));
    file("short.key", "short\n");
    file("none.key", "\n");
    let pair = crate::tls::self_signed(directory.path());
    let [cert, key] = [pair.0.as_str(), pair.1.as_str()];
    for (args, expected) in [
        (vec!["--listen", "0.0.0.0:0"], "--tls-cert"),
        (
            vec!["--listen", "[::]:0", "--admin-key-file", "admin.key"],
            "--tls-cert",
        ),
        (
            vec![
                "--listen",
                "0.0.0.0:0",
                "--tls-cert",
                cert,
                "--tls-key",
                key,
            ],
            "--admin-key-file",
        ),
        (
            vec![
                "--listen",
                "0.0.0.0:0",
                "--tls-cert",
                cert,
                "--tls-key",
                key,
                "--admin-key-file",
                "admin.key",
                "--no-authentication",
            ],
            "--insecure",
        ),
        (vec!["--admin-key-file", "missing.key"], "missing.key"),
        (
            vec!["--admin-key-file", "short.key"],
            "24 to 256 characters",
        ),
        (vec!["--admin-key-file", "none.key"], "has no key"),
    ] {
        let said = refusal(directory.path(), &args);
        assert!(said.contains(expected), "{args:?}: {said}");
    }
    for args in [
        vec!["--insecure"],
        vec![
            "--tls-cert",
            cert,
            "--tls-key",
            key,
            "--admin-key-file",
            "admin.key",
        ],
    ] {
        let path = |arg: &str| match arg.strip_suffix(".key") {
            Some("admin") => directory.path().join(arg).display().to_string(),
            _ => arg.to_owned(),
        };
        let server = Program::start_settings(Settings {
            args: args.iter().map(|arg| path(arg)).collect(),
            listen: Some("0.0.0.0:0"),
            ..Settings::default()
        });
        // The line before its last one, at the latest.
        let directory = server.stop();
        let log = std::fs::read_to_string(directory.path().join("log")).unwrap();
        assert_eq!(log.contains("as --insecure says"), args.len() == 1, "{log}");
    }
}

/// Health is for whoever watches a server; the schema can be taken away.
#[tokio::test]
async fn health_answers_without_a_key_and_reflection_as_it_is_told() {
    let server = serve_with(&["--reflection", "off"]);
    let connection = connect(&server.address, "").await;
    let health = creditd::rpc::client::health(connection)
        .check(tonic_health::pb::HealthCheckRequest::default())
        .await;
    assert_eq!(health.unwrap().into_inner().status, 1);
    for path in ["v1", "v1alpha"] {
        let path = format!("/grpc.reflection.{path}.ServerReflection/ServerReflectionInfo");
        let method = creditd::rpc::method::find(&path).unwrap();
        let connection = connect(&server.address, "").await;
        let refused = super::call(&connection, method, Vec::new()).await;
        assert_eq!(refused.unwrap_err().code(), tonic::Code::Unimplemented);
    }
}

/// A key that is revoked while calls of it come: none is let in after the answer.
#[tokio::test]
async fn revoking_takes_effect_at_once() {
    let server = serve_with(&[]);
    for _ in 0..20 {
        let (id, secret) = create(&server, key("price", "")).await;
        let mut pricing = creditd::rpc::client::pricing(connect(&server.address, &secret).await);
        pricing
            .estimate(estimate("lip_sync_video", "31s"))
            .await
            .unwrap();
        revoke(&server, &id).await;
        let refused = refused(pricing.estimate(estimate("lip_sync_video", "31s")).await);
        assert_eq!(refused.reason, "KEY_INVALID");
    }
}

/// Keys that are created and revoked at the same time: none that was revoked comes back.
#[tokio::test(flavor = "multi_thread")]
async fn no_revoked_key_is_valid_again() {
    let server = serve_with(&[]);
    let mut all = Vec::new();
    for _ in 0..24 {
        let (id, secret) = create(&server, key("price", "")).await;
        all.push((id, secret));
    }
    let server = &server;
    let each = |(id, secret): (String, String)| async move {
        tokio::join!(revoke(server, &id), create(server, key("price", "")));
        secret
    };
    let secrets = futures_util::future::join_all(all.into_iter().map(each)).await;
    for secret in secrets {
        assert_eq!(reason(server, &secret).await, "KEY_INVALID");
    }
}
