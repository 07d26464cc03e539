//! Bearer tokens: whatever the metadata of a call says, it is let in by a key that is valid and
//! by nothing else, also on a connection whose last call had a valid one.

use std::convert::Infallible;
use std::sync::Arc;

use creditd::app::access::{Access, Authentication};
use creditd::app::token::{Token, hash_of, parts};
use creditd::domain::Timestamp;
use creditd::domain::keys::{Key, KeyId, KeyTerms, Scope, Scopes};
use creditd::rpc::layer::stack;
use creditd::store::keys::{StoredKey, ValidKeys};
use futures_util::FutureExt as _;
use http::{HeaderValue, Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::{Service, ServiceExt as _, service_fn};

use super::requests::service::{FixedClock, settings};

const PATH: &str = "/creditd.v1.PricingService/Estimate";
const ADMIN: &str = "an-admin-key-of-24-bytes";
const VALID: [&str; 2] = ["creditd_valid_secret", ADMIN];

/// Each line is a value of `authorization`.
pub fn run(bytes: &[u8]) {
    let values = bytes.split(|byte| *byte == b'\n');
    let values: Vec<_> = values
        .filter_map(|value| HeaderValue::from_bytes(value).ok())
        .collect();
    for value in &values {
        tokens(value);
    }
    let expected = match values.as_slice() {
        [value] => is_valid(value.as_bytes()),
        _ => false,
    };
    let valid = HeaderValue::from_static("Bearer creditd_valid_secret");
    let access = Arc::new(access());
    let mut connection = stack(&settings(&access)).service(service_fn(|_: Request<_>| async {
        Ok::<_, Infallible>(Response::new(Body::empty()))
    }));
    for (values, expected) in [
        (values.as_slice(), expected),
        (std::slice::from_ref(&valid), true),
        (values.as_slice(), expected),
        (&[], false),
    ] {
        let mut request = Request::post(format!("http://x{PATH}"));
        for value in values {
            request = request.header("authorization", value);
        }
        let request = request.body(Body::empty()).unwrap();
        let called = async {
            let ready = connection.ready().await?;
            ready.call(request).await
        };
        let response = called.now_or_never().expect("nothing waits").unwrap();
        let status = Status::from_header_map(response.headers());
        let is_admitted = status
            .as_ref()
            .is_none_or(|status| status.code() == tonic::Code::Ok);
        assert_eq!(is_admitted, expected, "{values:?}: {status:?}");
        if let Some(status) = status {
            // Metadata has a limit of its own.
            let codes = [tonic::Code::Unauthenticated, tonic::Code::ResourceExhausted];
            assert!(codes.contains(&status.code()), "{status:?}");
            for value in VALID {
                assert!(!status.message().contains(value), "{status:?}");
            }
        }
    }
}

/// Whether this is "Bearer" and a key that is valid.
fn is_valid(value: &[u8]) -> bool {
    let Some((scheme, token)) = value.split_at_checked(7) else {
        return false;
    };
    scheme.eq_ignore_ascii_case(b"bearer ") && VALID.iter().any(|valid| valid.as_bytes() == token)
}

/// A token is read without loss, and is never shown.
fn tokens(value: &HeaderValue) {
    let Ok(text) = value.to_str() else {
        return;
    };
    if let Some((id, secret)) = parts(text) {
        assert_eq!(format!("creditd_{id}_{secret}"), text);
    }
    let token = Token::of_admin(text);
    let can_be = (24..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    assert_eq!(token.is_some(), can_be, "{text:?}");
    if let Some(token) = token {
        assert_eq!(token.as_str(), text);
        assert_eq!(format!("{token:?}"), "Token(…)");
    }
}

/// Keys that are valid, that have ended, and that were revoked.
fn access() -> Access {
    let now = Timestamp::from_unix_nanos(1_000_000_000);
    let access = Access::new(Authentication::WhereKnown, Arc::new(FixedClock::at(now)), 0);
    access.take_up_admin_keys(&[Token::of_admin(ADMIN).unwrap()]);
    let key = |number: i64, id: &str, expire_time| StoredKey {
        number,
        key: Key {
            id: KeyId::new(id).unwrap(),
            terms: KeyTerms {
                scopes: Scopes::from_iter([Scope::Price]),
                expire_time,
                ..KeyTerms::default()
            },
            create_time: Timestamp::MIN,
            last_use_time: None,
            revoke_time: None,
        },
        hash: hash_of("secret"),
    };
    let mut valid = ValidKeys {
        keys: vec![
            key(1, "valid", None),
            key(2, "expired", Some(now)),
            key(3, "revoked", None),
        ],
        had_any: true,
    };
    access.take_up(&valid);
    valid.keys.pop();
    access.take_up(&valid);
    access
}
