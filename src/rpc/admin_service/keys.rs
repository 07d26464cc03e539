//! AdminService: keys and the trail.

use bytes::Bytes;
use tonic::Status;

use super::{AdminApi, bad};
use crate::app::access::Caller;
use crate::domain::{FieldViolations, Violation};
use crate::rpc::codec::decode_message;
use crate::rpc::convert::keys::{
    event_to_pb, events_query_from_pb, key_to_pb, keys_query_from_pb, terms_from_pb,
};
use crate::rpc::layer::Reservation;
use crate::rpc::pb::creditd::v1 as pb;
use crate::rpc::refused::Refused;
use crate::rpc::wire::EncodedReply;
use crate::rpc::wire::page::{page_of, reserve_page};
use crate::rpc::wire::write::put_fields;

impl AdminApi {
    pub(super) async fn create(
        &self,
        request: &pb::CreateKeyRequest,
        caller: &Caller,
    ) -> Result<pb::CreateKeyResponse, Refused> {
        let mut violations = FieldViolations::new();
        let terms = terms_from_pb(request.key.as_ref(), &mut violations);
        let (key, secret) = self.keys.create(terms, violations, caller).await?;
        Ok(pb::CreateKeyResponse {
            key: Some(key_to_pb(&key)),
            secret: secret.as_str().to_owned(),
        })
    }

    pub(super) async fn revoke(
        &self,
        request: &pb::RevokeKeyRequest,
        caller: &Caller,
    ) -> Result<pb::RevokeKeyResponse, Refused> {
        if request.key_id.is_empty() {
            return Err(bad(FieldViolations::of("key_id", Violation::Required)));
        }
        let key = self.keys.revoke(&request.key_id, caller).await?;
        Ok(pb::RevokeKeyResponse {
            key: Some(key_to_pb(&key)),
        })
    }

    /// Serves a ListKeys.
    pub(in crate::rpc) async fn encoded_keys(
        &self,
        bytes: Bytes,
        held: Reservation,
    ) -> Result<EncodedReply, Status> {
        let request: pb::ListKeysRequest = decode_message(&bytes)?;
        let (mut query, key) = keys_query_from_pb(&request).map_err(bad)?;
        let limit = query.limit;
        reserve_page(&held, limit).await?;
        // One more tells whether the list goes on.
        query.limit = limit.saturating_add(1);
        let keys = self.keys.list(query).await.map_err(Refused::from)?;
        let page = keys.get(..limit.min(keys.len())).unwrap_or_default();
        let (mut reply, length) = page_of(page, |stored| key_to_pb(&stored.key)).await;
        let last = length.checked_sub(1).filter(|_| length < keys.len());
        let last = last.and_then(|last| keys.get(last));
        let rest = pb::ListKeysResponse {
            keys: Vec::new(),
            next_page_token: last.map_or_else(String::new, |last| key.token(last.number)),
        };
        put_fields(&rest, reply.end());
        Ok(reply)
    }

    /// Serves a ListAdminEvents.
    pub(in crate::rpc) async fn encoded_events(
        &self,
        bytes: Bytes,
        held: Reservation,
    ) -> Result<EncodedReply, Status> {
        let request: pb::ListAdminEventsRequest = decode_message(&bytes)?;
        let (mut query, key) = events_query_from_pb(&request).map_err(bad)?;
        let limit = query.limit;
        reserve_page(&held, limit).await?;
        // One more tells whether the list goes on.
        query.limit = limit.saturating_add(1);
        let events = self.keys.events(query).await.map_err(Refused::from)?;
        let page = events.get(..limit.min(events.len())).unwrap_or_default();
        let (mut reply, length) = page_of(page, event_to_pb).await;
        let last = length.checked_sub(1).filter(|_| length < events.len());
        let last = last.and_then(|last| events.get(last));
        let rest = pb::ListAdminEventsResponse {
            events: Vec::new(),
            next_page_token: last.map_or_else(String::new, |last| key.token(last.number)),
        };
        put_fields(&rest, reply.end());
        Ok(reply)
    }
}
