//! Watches end with the key that they were begun with.

use std::time::{Duration, SystemTime};

use creditd::rpc::pb::creditd::v1 as pb;
use tonic::Streaming;

use super::{ADMIN_KEY, create, key, ledger, revoke, serve_with};
use crate::support::refusal::Refusal;
use crate::support::server::Program;
use crate::support::{PATIENCE, grant};

/// A watch that has sent its first balance.
async fn watch(server: &Program, secret: &str) -> Streaming<pb::WatchBalanceResponse> {
    let mut ledger = ledger(server, secret).await;
    let request = pb::WatchBalanceRequest {
        account: "team-a".to_owned(),
    };
    let mut request = tonic::Request::new(request);
    request.set_timeout(PATIENCE);
    let mut watch = ledger.watch_balance(request).await.unwrap().into_inner();
    assert!(watch.message().await.unwrap().is_some());
    watch
}

/// Why a watch ends.
async fn end(watch: &mut Streaming<pb::WatchBalanceResponse>) -> Refusal {
    let ended = tokio::time::timeout(PATIENCE, watch.message()).await;
    Refusal::of(&ended.expect("the watch ends").unwrap_err())
}

#[tokio::test]
async fn a_watch_ends_when_its_key_is_revoked_and_others_go_on() {
    let server = serve_with(&[]);
    let mut all = ledger(&server, ADMIN_KEY).await;
    all.grant(grant("g1", "team-a", "1")).await.unwrap();
    let (id, secret) = create(&server, key("read", "")).await;
    let (_, other) = create(&server, key("read", "")).await;
    let mut first = watch(&server, &secret).await;
    let mut second = watch(&server, &secret).await;
    // This one waits for its reader: its balance has not been taken.
    all.grant(grant("g2", "team-a", "1")).await.unwrap();
    let mut goes_on = watch(&server, &other).await;
    assert!(second.message().await.unwrap().is_some());
    revoke(&server, &id).await;
    assert_eq!(end(&mut second).await.reason, "KEY_INVALID");
    // It was sent before.
    let message = tokio::time::timeout(PATIENCE, first.message())
        .await
        .unwrap();
    if message.is_ok_and(|message| message.is_some()) {
        assert_eq!(end(&mut first).await.reason, "KEY_INVALID");
    }
    all.grant(grant("g3", "team-a", "1")).await.unwrap();
    let balance = goes_on.message().await.unwrap().unwrap().balance.unwrap();
    assert_eq!(balance.available, "3");
}

#[tokio::test]
async fn a_watch_ends_when_its_key_expires() {
    let server = serve_with(&[]);
    let mut all = ledger(&server, ADMIN_KEY).await;
    all.grant(grant("g1", "team-a", "1")).await.unwrap();
    let expires = SystemTime::now() + Duration::from_secs(2);
    let expiring = pb::Key {
        expire_time: Some(expires.into()),
        ..key("read", "")
    };
    let (_, secret) = create(&server, expiring).await;
    let mut watch = watch(&server, &secret).await;
    assert_eq!(end(&mut watch).await.reason, "KEY_INVALID");
    assert!(SystemTime::now() >= expires);
}

/// Whoever watches as anybody is sent away when authentication begins.
#[tokio::test]
async fn a_watch_without_a_key_ends_with_the_first_key() {
    let server = Program::start();
    let mut ledger = ledger(&server, "").await;
    ledger.grant(grant("g1", "team-a", "1")).await.unwrap();
    let mut watch = watch(&server, "").await;
    let request = pb::CreateKeyRequest {
        key: Some(key("admin", "")),
    };
    let created = super::admin(&server, "")
        .await
        .create_key(request.clone())
        .await;
    assert!(created.unwrap().into_inner().secret.starts_with("creditd_"));
    assert_eq!(end(&mut watch).await.reason, "KEY_INVALID");
    let refused = super::admin(&server, "").await.create_key(request).await;
    assert_eq!(Refusal::of(&refused.unwrap_err()).reason, "KEY_REQUIRED");
}
