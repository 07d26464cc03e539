//! LedgerService: converts, asks the use case, converts back.

use std::pin::Pin;
use std::sync::Arc;

use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::convert::ledger::{
    balance_query_from_pb, balance_to_pb, grant_from_pb, grant_response_to_pb,
};
use super::pb::creditd::v1 as pb;
use super::pb::creditd::v1::ledger_service_server::LedgerService;
use super::refused::{Refused, WireFault};
use super::reply::reply;
use crate::app::App;
use crate::domain::Faults;

/// The service over the use cases.
#[derive(Clone)]
pub struct LedgerApi(Arc<App>);

impl LedgerApi {
    /// The service.
    #[must_use]
    pub const fn new(app: Arc<App>) -> Self {
        Self(app)
    }
}

/// Refuses methods of the API that this version does not serve.
macro_rules! not_served {
    ($($name:ident, $method:literal, $request:ident -> $reply:ident;)*) => {
        $(
            fn $name<'life0, 'async_trait>(
                &'life0 self,
                _request: Request<pb::$request>,
            ) -> Pin<Box<dyn Future<Output = Result<Response<pb::$reply>, Status>> + Send + 'async_trait>>
            where
                'life0: 'async_trait,
                Self: 'async_trait,
            {
                let refused = Refused::from(WireFault::MethodNotServed {
                    method: $method,
                });
                Box::pin(std::future::ready(Err(refused.into_status())))
            }
        )*
    };
}

#[tonic::async_trait]
impl LedgerService for LedgerApi {
    type WatchBalanceStream =
        Pin<Box<dyn Stream<Item = Result<pb::WatchBalanceResponse, Status>> + Send + 'static>>;

    async fn get_balance(
        &self,
        request: Request<pb::GetBalanceRequest>,
    ) -> Result<Response<pb::GetBalanceResponse>, Status> {
        let (headers, _, request) = request.into_parts();
        let mut faults = Faults::new();
        let (account, as_of) = balance_query_from_pb(&request, &mut faults);
        let reading = self.0.balance(account, as_of, faults).await;
        let reading = reading.map_err(Refused::from)?;
        let response = pb::GetBalanceResponse {
            balance: Some(balance_to_pb(&reading)),
        };
        Ok(reply(&headers, response))
    }

    async fn grant(
        &self,
        request: Request<pb::GrantRequest>,
    ) -> Result<Response<pb::GrantResponse>, Status> {
        let (headers, _, request) = request.into_parts();
        let mut faults = Faults::new();
        let form = grant_from_pb(&request, &mut faults);
        let written = self.0.grant(form, faults).await.map_err(Refused::from)?;
        Ok(reply(&headers, grant_response_to_pb(&written)))
    }

    async fn watch_balance(
        &self,
        _request: Request<pb::WatchBalanceRequest>,
    ) -> Result<Response<Self::WatchBalanceStream>, Status> {
        let method = "WatchBalance";
        Err(Refused::from(WireFault::MethodNotServed { method }).into_status())
    }

    not_served! {
        list_entries, "ListEntries", ListEntriesRequest -> ListEntriesResponse;
        charge, "Charge", ChargeRequest -> ChargeResponse;
        batch_charge, "BatchCharge", BatchChargeRequest -> BatchChargeResponse;
        refund, "Refund", RefundRequest -> RefundResponse;
        hold, "Hold", HoldRequest -> HoldResponse;
        extend_hold, "ExtendHold", ExtendHoldRequest -> ExtendHoldResponse;
        settle_hold, "SettleHold", SettleHoldRequest -> SettleHoldResponse;
        release_hold, "ReleaseHold", ReleaseHoldRequest -> ReleaseHoldResponse;
        get_hold, "GetHold", GetHoldRequest -> GetHoldResponse;
        list_holds, "ListHolds", ListHoldsRequest -> ListHoldsResponse;
        revoke_grant, "RevokeGrant", RevokeGrantRequest -> RevokeGrantResponse;
    }
}
