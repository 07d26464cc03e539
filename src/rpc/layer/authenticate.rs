//! Who makes a call: by the key in its metadata, or by the certificate of its connection.
//!
//! A connection remembers the key that was accepted last: most have one, and a call with it
//! costs a comparison and no hash.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use subtle::ConstantTimeEq as _;

use crate::app::access::{Access, Caller};
use crate::app::certificates::ByCertificate;
use crate::app::token::TOKEN_BYTES_MAX;
use crate::domain::Refusal;
use crate::domain::keys::KeyId;
use crate::rpc::method::Method;
use crate::rpc::peer::Peer;
use crate::rpc::refused::RpcRefusal;

/// How a token is announced; gRPC's libraries write it in either way.
const SCHEME: &str = "bearer ";

/// Why a call is not let in.
#[derive(Debug)]
pub(super) enum NotAdmitted {
    /// It is not known who makes it.
    Unauthenticated(RpcRefusal),
    /// Whoever makes it may not.
    Refused(Refusal, Option<KeyId>),
}

/// Recognises the callers of one connection.
#[derive(Clone, Debug)]
pub(super) struct Authenticator {
    access: Arc<Access>,
    /// Whoever the connection's certificate is for.
    by_certificate: Option<ByCertificate>,
    /// The metadata that was accepted last, and whose it is.
    last: Option<(HeaderValue, Caller)>,
}

impl Authenticator {
    /// Callers of a connection without a certificate.
    pub(super) const fn new(access: Arc<Access>) -> Self {
        Self {
            access,
            by_certificate: None,
            last: None,
        }
    }

    /// The same for a connection.
    pub(super) fn of_connection(&self, peer: &Peer) -> Self {
        let certificate = peer.certificate.clone();
        Self {
            by_certificate: certificate
                .map(|certificate| ByCertificate::new(certificate, &self.access)),
            ..Self::new(Arc::clone(&self.access))
        }
    }

    /// Who makes a call of this method, if it may.
    pub(super) fn admit(
        &mut self,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<Caller, NotAdmitted> {
        let Some(scope) = method.scope else {
            return Ok(self.access.stranger());
        };
        if !self.access.is_required() {
            return Ok(Caller::default());
        }
        let caller = self.caller(headers).map_err(NotAdmitted::Unauthenticated)?;
        let counted = self.access.count_call(&caller);
        let checked = counted.and_then(|()| caller.check_scope(scope));
        if let Err(refusal) = checked {
            return Err(NotAdmitted::Refused(refusal, caller.key_id().cloned()));
        }
        Ok(caller)
    }

    fn caller(&mut self, headers: &HeaderMap) -> Result<Caller, RpcRefusal> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (value, another) = (values.next(), values.next());
        let Some(value) = value else {
            let known = self.by_certificate.as_mut();
            let known = known.ok_or(RpcRefusal::KeyRequired)?;
            let caller = known.caller(&self.access);
            let caller = caller.map_err(|_| RpcRefusal::KeyInvalid)?;
            return caller.ok_or(RpcRefusal::KeyRequired);
        };
        if another.is_some() {
            return Err(RpcRefusal::KeyInvalid);
        }
        if let Some((last, caller)) = &self.last
            // A proxy's connection has calls of others too.
            && bool::from(last.as_bytes().ct_eq(value.as_bytes()))
            && self.access.is_valid(caller)
        {
            return Ok(caller.clone());
        }
        let token = token(value).ok_or(RpcRefusal::KeyInvalid)?;
        let caller = self.access.authenticate(token);
        let caller = caller.map_err(|_| RpcRefusal::KeyInvalid)?;
        self.last = Some((value.clone(), caller.clone()));
        Ok(caller)
    }
}

/// The bearer token of a value, where it can be one.
fn token(value: &HeaderValue) -> Option<&str> {
    let text = value.to_str().ok()?;
    let (scheme, token) = text.split_at_checked(SCHEME.len())?;
    let is_token = scheme.eq_ignore_ascii_case(SCHEME) && token.len() <= TOKEN_BYTES_MAX;
    is_token.then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bearer_tokens_are_read() {
        let long = format!("Bearer {}", "a".repeat(TOKEN_BYTES_MAX));
        let too_long = format!("{long}a");
        for (value, expected) in [
            ("Bearer creditd_a_b", Some("creditd_a_b")),
            ("bearer creditd_a_b", Some("creditd_a_b")),
            ("BEARER x", Some("x")),
            ("Bearer ", Some("")),
            ("Bearer", None),
            ("creditd_a_b", None),
            ("Basic creditd_a_b", None),
            ("", None),
            (long.as_str(), long.get(7..)),
            (too_long.as_str(), None),
        ] {
            let value = HeaderValue::from_str(value).unwrap();
            assert_eq!(token(&value), expected, "{value:?}");
        }
        let bytes = HeaderValue::from_bytes(b"Bearer \xff").unwrap();
        assert_eq!(token(&bytes), None);
    }
}
