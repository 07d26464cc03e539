//! AdminService: converts, asks the use case, converts back.

mod keys;
mod reload;

use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

use super::MESSAGE_BYTES_MAX;
use super::codec::decode_message;
use super::convert::admin::{
    CardsQuery, cards_query_from_pb, published_to_pb, rate_card_to_pb, toml_from_pb,
};
use super::layer::Reservation;
use super::pb::creditd::v1 as pb;
use super::pb::creditd::v1::admin_service_server::AdminService;
use super::refused::{Load, Refused, Resource, RpcRefusal};
use super::reply::{BATCH_REST_BYTES, ITEM_OVERHEAD_BYTES};
use super::wire::page::reserve_page;
use super::wire::{self, EncodedReply};
use crate::app::card_file::LoadedCard;
use crate::app::keys::Keys;
use crate::app::{App, ListedRateCard, refusal_of_text};
use crate::domain::schedule::CardState;
use crate::domain::{FieldViolations, Refusal, Violation};

/// How many texts are read at a time. Each takes a processor, and prices are served meanwhile.
pub const CARD_LOADS_MAX: usize = 2;
/// How many publications may be under way, those that wait to be read among them.
pub const PUBLICATIONS_UNDER_WAY_MAX: usize = 16;

/// The service over the use cases.
pub struct AdminApi {
    app: Arc<App>,
    keys: Arc<Keys>,
    loads: Arc<Semaphore>,
    under_way: Semaphore,
}

impl AdminApi {
    /// The service.
    #[must_use]
    pub fn new(app: Arc<App>, keys: Arc<Keys>) -> Self {
        Self {
            app,
            keys,
            loads: Arc::new(Semaphore::new(CARD_LOADS_MAX)),
            under_way: Semaphore::new(PUBLICATIONS_UNDER_WAY_MAX),
        }
    }

    /// Reads a text on a thread for that. Where its caller gives up it is read to its end and
    /// counts until then.
    async fn load(&self, toml: String) -> Result<LoadedCard, Refused> {
        let defect = || RpcRefusal::StoreUnavailable { operation: "read" };
        let permit = Arc::clone(&self.loads).acquire_owned().await;
        let permit = permit.map_err(|_| defect())?;
        let app = Arc::clone(&self.app);
        let load = move || {
            let loaded = app.load_rate_card(&toml);
            drop(permit);
            loaded
        };
        match tokio::task::spawn_blocking(load).await {
            Ok(Ok(loaded)) => Ok(loaded),
            Ok(Err(error)) => Err(refusal_of_text(&error).into()),
            // It goes on in the layer that answers panics.
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(defect().into()),
            },
        }
    }

    /// Serves a ListRateCards.
    pub(super) async fn encoded_list(
        &self,
        bytes: Bytes,
        held: Reservation,
    ) -> Result<EncodedReply, Status> {
        let request: pb::ListRateCardsRequest = decode_message(&bytes)?;
        let query = cards_query_from_pb(&request).map_err(bad)?;
        reserve_page(&held, usize::MAX).await?;
        let page = self.page(&request, query).await?;
        Ok(EncodedReply::of(&page))
    }

    /// A page: as many cards as fit into a reply.
    async fn page(
        &self,
        request: &pb::ListRateCardsRequest,
        query: CardsQuery,
    ) -> Result<pb::ListRateCardsResponse, Refused> {
        let cards = self.app.rate_cards(&request.rate_card).await?;
        let begin = match query.after {
            None => 0,
            Some(after) => {
                let last = cards.iter().position(|card| card.head.number == after);
                let last = last
                    .ok_or_else(|| Refusal::invalid("page_token", Violation::InvalidPageToken))?;
                last.saturating_add(1)
            }
        };
        let rest = cards.into_iter().skip(begin);
        let mut rest = rest.filter(|card| card.state != CardState::Withdrawn);
        let mut page = pb::ListRateCardsResponse::default();
        let (mut bytes, mut last) = (BATCH_REST_BYTES, None);
        for card in rest.by_ref() {
            let full = page.rate_cards.len() >= query.limit;
            let number = card.head.number;
            let toml = match request.with_toml && !full {
                true => self.app.rate_card_text(&card.head.revision).await?,
                false => String::new(),
            };
            let mut card = rate_card_to_pb(ListedRateCard { card, toml });
            let mut length = card.encoded_len().saturating_add(ITEM_OVERHEAD_BYTES);
            if page.rate_cards.is_empty() && bytes.saturating_add(length) > MESSAGE_BYTES_MAX {
                // The text of a file that fits into no reply.
                card.toml = String::new();
                length = card.encoded_len().saturating_add(ITEM_OVERHEAD_BYTES);
            }
            bytes = bytes.saturating_add(length);
            if full || bytes > MESSAGE_BYTES_MAX {
                let token = last.map(|last| query.key.token(last));
                page.next_page_token = token.unwrap_or_default();
                break;
            }
            page.rate_cards.push(card);
            last = Some(number);
        }
        Ok(page)
    }
}

/// A refusal of fields.
fn bad(violations: FieldViolations) -> Refused {
    Refusal::from(violations).into()
}

#[tonic::async_trait]
impl AdminService for AdminApi {
    async fn publish_rate_card(
        &self,
        request: Request<pb::PublishRateCardRequest>,
    ) -> Result<Response<pb::PublishRateCardResponse>, Status> {
        let held = wire::held_of(&request);
        let caller = held.caller();
        let request = request.into_inner();
        toml_from_pb(&request.toml).map_err(bad)?;
        let under_way = self.under_way.try_acquire();
        let _under_way = under_way.map_err(|_| {
            Refused::from(RpcRefusal::Overloaded {
                limit: PUBLICATIONS_UNDER_WAY_MAX,
                resource: Resource::Publications,
                load: Load::default(),
            })
        })?;
        let loaded = self.load(request.toml).await?;
        let published = self
            .app
            .publish_rate_card(caller, loaded, request.validate_only)
            .await;
        let published = published.map_err(Refused::from)?;
        Ok(Response::new(published_to_pb(published)))
    }

    async fn list_rate_cards(
        &self,
        request: Request<pb::ListRateCardsRequest>,
    ) -> Result<Response<pb::ListRateCardsResponse>, Status> {
        let reply = self.encoded_list(wire::encoded(request), Reservation::default());
        wire::decoded(reply.await?)
    }

    async fn withdraw_rate_card(
        &self,
        request: Request<pb::WithdrawRateCardRequest>,
    ) -> Result<Response<pb::WithdrawRateCardResponse>, Status> {
        let held = wire::held_of(&request);
        let caller = held.caller();
        let request = request.into_inner();
        if request.revision.is_empty() {
            return Err(bad(FieldViolations::of("revision", Violation::Required)).into());
        }
        let withdrawn = self.app.withdraw_rate_card(caller, &request.revision).await;
        let withdrawn = withdrawn.map_err(Refused::from)?;
        let withdrawn = pb::WithdrawRateCardResponse {
            rate_card: Some(rate_card_to_pb(withdrawn)),
        };
        Ok(Response::new(withdrawn))
    }

    async fn create_key(
        &self,
        request: Request<pb::CreateKeyRequest>,
    ) -> Result<Response<pb::CreateKeyResponse>, Status> {
        let held = wire::held_of(&request);
        let caller = held.caller();
        Ok(Response::new(self.create(request.get_ref(), caller).await?))
    }

    async fn list_keys(
        &self,
        request: Request<pb::ListKeysRequest>,
    ) -> Result<Response<pb::ListKeysResponse>, Status> {
        let reply = self.encoded_keys(wire::encoded(request), Reservation::default());
        wire::decoded(reply.await?)
    }

    async fn revoke_key(
        &self,
        request: Request<pb::RevokeKeyRequest>,
    ) -> Result<Response<pb::RevokeKeyResponse>, Status> {
        let held = wire::held_of(&request);
        let caller = held.caller();
        Ok(Response::new(self.revoke(request.get_ref(), caller).await?))
    }

    async fn list_admin_events(
        &self,
        request: Request<pb::ListAdminEventsRequest>,
    ) -> Result<Response<pb::ListAdminEventsResponse>, Status> {
        let reply = self.encoded_events(wire::encoded(request), Reservation::default());
        wire::decoded(reply.await?)
    }

    async fn reload_config(
        &self,
        request: Request<pb::ReloadConfigRequest>,
    ) -> Result<Response<pb::ReloadConfigResponse>, Status> {
        let held = wire::held_of(&request);
        let caller = held.caller();
        Ok(Response::new(self.reload(caller).await?))
    }
}
