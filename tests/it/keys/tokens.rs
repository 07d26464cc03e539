//! Tokens that are no key, or not any more.

use std::time::Duration;

use creditd::rpc::client;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::{Code, Request};

use super::{ADMIN_KEY, bearer, connect, create, key, ledger, revoke, serve_with};
use crate::support::balance;
use crate::support::refusal::{Refusal, refused};

fn value(text: &str) -> MetadataValue<Ascii> {
    text.parse().unwrap()
}

#[tokio::test]
async fn nobody_gets_in_without_a_key_that_is_one() {
    let server = serve_with(&[]);
    let (id, secret) = create(&server, key("read", "")).await;
    let (_, other) = create(&server, key("read", "")).await;
    let (revoked_id, revoked) = create(&server, key("read", "")).await;
    revoke(&server, &revoked_id).await;
    let random = secret.rsplit('_').next().unwrap();
    let of_other = other.rsplit('_').next().unwrap();
    let bytes = MetadataValue::try_from(b"Bearer \xff\xfe".as_slice()).unwrap();
    let (last, rest) = (secret.chars().last().unwrap(), &secret[..secret.len() - 1]);
    let changed = format!("{rest}{}", if last == 'z' { 'y' } else { 'z' });
    let one = |text: &str| vec![value(text)];
    let cases: Vec<(&str, Vec<MetadataValue<Ascii>>, &str)> = vec![
        ("nothing", vec![], "KEY_REQUIRED"),
        ("the key", one(&format!("Bearer {secret}")), ""),
        ("in small letters", one(&format!("bearer {secret}")), ""),
        ("the admin's", one(&format!("Bearer {ADMIN_KEY}")), ""),
        ("no scheme", one(&secret), "KEY_INVALID"),
        (
            "another scheme",
            one(&format!("Basic {secret}")),
            "KEY_INVALID",
        ),
        ("no token", one("Bearer "), "KEY_INVALID"),
        ("nothing at all", one(""), "KEY_INVALID"),
        (
            "space behind it",
            one(&format!("Bearer {secret} x")),
            "KEY_INVALID",
        ),
        (
            "two spaces",
            one(&format!("Bearer  {secret}")),
            "KEY_INVALID",
        ),
        (
            "a character less",
            one(&format!("Bearer {rest}")),
            "KEY_INVALID",
        ),
        (
            "a character more",
            one(&format!("Bearer {secret}0")),
            "KEY_INVALID",
        ),
        (
            "another last character",
            one(&format!("Bearer {changed}")),
            "KEY_INVALID",
        ),
        (
            "the secret alone",
            one(&format!("Bearer {random}")),
            "KEY_INVALID",
        ),
        (
            "the id alone",
            one(&format!("Bearer creditd_{id}")),
            "KEY_INVALID",
        ),
        (
            "an empty secret",
            one(&format!("Bearer creditd_{id}_")),
            "KEY_INVALID",
        ),
        (
            "another's secret",
            one(&format!("Bearer creditd_{id}_{of_other}")),
            "KEY_INVALID",
        ),
        (
            "an unknown id",
            one(&format!("Bearer creditd_0000000000000_{random}")),
            "KEY_INVALID",
        ),
        ("the prefix alone", one("Bearer creditd_"), "KEY_INVALID"),
        ("underlines", one("Bearer creditd____"), "KEY_INVALID"),
        (
            "in capitals",
            one(&format!("Bearer {}", secret.to_uppercase())),
            "KEY_INVALID",
        ),
        ("no text", vec![bytes], "KEY_INVALID"),
        (
            "twice the same",
            vec![bearer(&secret), bearer(&secret)],
            "KEY_INVALID",
        ),
        (
            "with another",
            vec![bearer(&secret), bearer("x")],
            "KEY_INVALID",
        ),
        (
            "long",
            one(&format!("Bearer {}", "a".repeat(300))),
            "KEY_INVALID",
        ),
        (
            "huge",
            one(&format!("Bearer {}", "a".repeat(20_000))),
            "METADATA_TOO_LARGE",
        ),
        ("revoked", one(&format!("Bearer {revoked}")), "KEY_INVALID"),
    ];
    // One connection for all, as a proxy has it, and the key between them: what was accepted
    // before lets nobody else in.
    let mut shared = client::ledger(connect(&server.address, "").await);
    for (what, values, expected) in &cases {
        for first in ["", secret.as_str()] {
            if !first.is_empty() {
                let mut request = Request::new(balance("nobody"));
                request
                    .metadata_mut()
                    .insert("authorization", bearer(first));
                let known = refused(shared.get_balance(request).await);
                assert_eq!(known.reason, "ACCOUNT_NOT_FOUND");
            }
            let mut request = Request::new(balance("nobody"));
            let metadata: &mut MetadataMap = request.metadata_mut();
            for value in values {
                metadata.append("authorization", value.clone());
            }
            let refused: Refusal = refused(shared.get_balance(request).await);
            let reason = match *expected {
                "" => "ACCOUNT_NOT_FOUND",
                reason => reason,
            };
            assert_eq!(refused.reason, reason, "{what}");
            if reason.starts_with("KEY_") {
                assert_eq!(refused.code, Code::Unauthenticated, "{what}");
                // What was sent is not repeated.
                assert!(refused.metadata.is_empty(), "{what}: {refused:?}");
                assert!(!refused.message.contains(random), "{what}");
            }
        }
    }
    let directory = server.stop();
    let files = std::fs::read_dir(directory.path()).unwrap();
    for file in files {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        for secret in [random, ADMIN_KEY, of_other] {
            let found = bytes
                .windows(secret.len())
                .any(|part| part == secret.as_bytes());
            assert!(!found, "a secret stands in {}", path.display());
        }
    }
}

#[tokio::test]
async fn a_key_expires_and_stays_so() {
    let server = serve_with(&[]);
    let expires = std::time::SystemTime::now() + Duration::from_secs(2);
    let (_, secret) = create(
        &server,
        creditd::rpc::pb::creditd::v1::Key {
            expire_time: Some(expires.into()),
            ..key("read", "")
        },
    )
    .await;
    let mut ledger = ledger(&server, &secret).await;
    let first = refused(ledger.get_balance(balance("nobody")).await);
    assert_eq!(first.reason, "ACCOUNT_NOT_FOUND");
    let mut reason = String::new();
    let start = std::time::Instant::now();
    while reason != "KEY_INVALID" {
        assert!(start.elapsed() < crate::support::PATIENCE, "{reason}");
        tokio::time::sleep(Duration::from_millis(20)).await;
        reason = refused(ledger.get_balance(balance("nobody")).await).reason;
    }
    assert!(std::time::SystemTime::now() >= expires);
    let server = super::restart(server, &[]);
    let mut ledger = super::ledger(&server, &secret).await;
    assert_eq!(
        refused(ledger.get_balance(balance("nobody")).await).reason,
        "KEY_INVALID"
    );
}
