//! Replies to what is refused because there is too much of it. They are made once: a server that
//! is at its limit has no time to write the same refusal again.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use http::{HeaderMap, Response};
use tonic::body::Body;

use super::retry::{SPREAD, Step};
use super::{Refused, RpcRefusal};
use crate::rpc::pb::creditd::v1::ErrorReason;

/// How many refusals have ready replies. A server has fewer limits, times the loads that
/// their refusals tell.
const READY_MAX: usize = 128;

/// Replies by what they refuse.
#[derive(Debug, Default)]
pub struct ReadyReplies {
    ready: RwLock<Vec<Arc<Ready>>>,
}

/// The replies to one refusal. They differ in their RetryInfo.
#[derive(Debug)]
struct Ready {
    refusal: RpcRefusal,
    replies: [OnceLock<(HeaderMap, ErrorReason)>; SPREAD],
}

impl ReadyReplies {
    /// The reply that refuses a call.
    #[must_use]
    pub fn reply(&self, refusal: &RpcRefusal) -> Response<Body> {
        let step = Step::next();
        let make = || {
            let refused = Refused::at(step, refusal.clone());
            let reason = refused.reason();
            let (head, _) = refused.into_status().into_http::<Body>().into_parts();
            (head.headers, reason)
        };
        let ready = self.find(refusal).or_else(|| self.add(refusal));
        let ready = ready
            .as_ref()
            .and_then(|ready| ready.replies.get(step.index()));
        let (headers, reason) = match ready {
            Some(reply) => reply.get_or_init(make).clone(),
            None => make(),
        };
        let mut response = Response::new(Body::empty());
        *response.headers_mut() = headers;
        response.extensions_mut().insert(reason);
        response
    }

    fn find(&self, refusal: &RpcRefusal) -> Option<Arc<Ready>> {
        let ready = self.ready.read().unwrap_or_else(PoisonError::into_inner);
        let found = ready.iter().find(|ready| ready.refusal == *refusal);
        found.cloned()
    }

    fn add(&self, refusal: &RpcRefusal) -> Option<Arc<Ready>> {
        let mut all = self.ready.write().unwrap_or_else(PoisonError::into_inner);
        if !refusal.is_common() || all.len() >= READY_MAX {
            return None;
        }
        let ready = Arc::new(Ready {
            refusal: refusal.clone(),
            replies: Default::default(),
        });
        all.push(Arc::clone(&ready));
        Some(ready)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tonic::Status;

    use super::super::{Load, Resource, error_info, retry_delay};
    use super::*;

    fn overloaded(refused_for_each: u64) -> RpcRefusal {
        RpcRefusal::Overloaded {
            limit: 8,
            resource: Resource::Calls,
            load: Load::of(refused_for_each),
        }
    }

    #[test]
    fn a_ready_reply_says_what_one_that_is_made_says() {
        let replies = ReadyReplies::default();
        for load in [0, 1, 2, 40, 1_000_000] {
            let mut delays = BTreeSet::new();
            let made = Refused::from(overloaded(load)).into_status();
            for _ in 0..32 {
                let reply = replies.reply(&overloaded(load));
                let status = Status::from_header_map(reply.headers()).unwrap();
                assert_eq!(
                    (status.code(), status.message()),
                    (made.code(), made.message())
                );
                assert_eq!(error_info(status.details()), error_info(made.details()));
                assert_eq!(reply.headers()["content-type"], "application/grpc");
                let delay = retry_delay(status.details()).unwrap();
                delays.insert((delay.seconds, delay.nanos));
            }
            assert_eq!(delays.len(), 8, "{load}");
        }
        assert_eq!(replies.ready.read().unwrap().len(), 4);
    }

    #[test]
    fn what_has_a_text_of_the_caller_is_not_kept() {
        let replies = ReadyReplies::default();
        for number in 0..300 {
            let method = format!("/a/{number}");
            let reply = replies.reply(&RpcRefusal::UnknownMethod {
                method: method.clone(),
            });
            let status = Status::from_header_map(reply.headers()).unwrap();
            assert!(status.message().contains(&method));
        }
        assert!(replies.ready.read().unwrap().is_empty());
    }
}
