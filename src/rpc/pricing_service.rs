//! PricingService: converts, asks the use case, converts back.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::convert::pricing::{
    affordability_to_pb, estimate_to_pb, prices_from_pb, rate_card_to_pb, usage_from_pb,
};
use super::pb::creditd::v1 as pb;
use super::pb::creditd::v1::batch_estimate_result::Result as ItemResult;
use super::pb::creditd::v1::pricing_service_server::PricingService;
use super::pb::google::rpc;
use super::refused::Refused;
use super::reply::{BATCH_REST_BYTES, check_reply_size, reply};
use crate::app::{App, BatchEstimate};
use crate::domain::{Faults, Refusal};

/// The service over the use cases.
#[derive(Clone)]
pub struct PricingApi(Arc<App>);

impl PricingApi {
    /// The service.
    #[must_use]
    pub const fn new(app: Arc<App>) -> Self {
        Self(app)
    }

    pub(super) fn app(&self) -> &App {
        &self.0
    }
}

#[tonic::async_trait]
impl PricingService for PricingApi {
    async fn estimate(
        &self,
        request: Request<pb::EstimateRequest>,
    ) -> Result<Response<pb::EstimateResponse>, Status> {
        let (headers, _, request) = request.into_parts();
        let mut faults = Faults::new();
        let check_balance = request.check_balance;
        let prices = prices_from_pb(request.prices.as_ref(), check_balance, &mut faults);
        let usage = request.usage.as_ref().map(usage_from_pb);
        let by = self.0.prices_for([prices.selector]).await;
        let by = by.map_err(Refused::from)?;
        let (card, quote) = self
            .0
            .estimate(&by, usage.as_ref(), &prices.selector, faults)
            .map_err(Refused::from)?;
        let affordability = match prices.account {
            Some(payer) if check_balance => {
                let costs = vec![(Arc::clone(&quote.service().key), quote.credits())];
                let answer = self.0.affordability(payer, costs).await;
                Some(affordability_to_pb(&answer.map_err(Refused::from)?))
            }
            _ => None,
        };
        let response = pb::EstimateResponse {
            estimate: Some(estimate_to_pb(card, &quote, request.explain)),
            affordability,
        };
        Ok(reply(&headers, response))
    }

    async fn batch_estimate(
        &self,
        request: Request<pb::BatchEstimateRequest>,
    ) -> Result<Response<pb::BatchEstimateResponse>, Status> {
        let (headers, _, request) = request.into_parts();
        let mut faults = Faults::new();
        let check_balance = request.check_balance;
        let prices = prices_from_pb(request.prices.as_ref(), check_balance, &mut faults);
        let usages: Vec<_> = request.usages.iter().map(usage_from_pb).collect();
        let by = self.0.prices_for([prices.selector]).await;
        let by = by.map_err(Refused::from)?;
        let batch = self
            .0
            .batch_estimate(&by, &usages, &prices.selector, faults)
            .map_err(Refused::from)?;
        let results = results_to_pb(&batch, request.explain);
        check_reply_size("usages", &results, BATCH_REST_BYTES).map_err(Refused::from)?;
        let affordability = match prices.account {
            Some(payer) if check_balance => {
                let quotes = batch.results.iter().flatten();
                let costs = quotes.map(|q| (Arc::clone(&q.service().key), q.credits()));
                let answer = self.0.affordability(payer, costs.collect()).await;
                Some(affordability_to_pb(&answer.map_err(Refused::from)?))
            }
            _ => None,
        };
        let failed = batch.results.iter().filter(|result| result.is_err());
        let response = pb::BatchEstimateResponse {
            // At most the 10,000 items of a batch.
            failed_count: i32::try_from(failed.count()).unwrap_or(i32::MAX),
            total_credits: batch.total.to_string(),
            results,
            affordability,
        };
        Ok(reply(&headers, response))
    }

    async fn get_rate_card(
        &self,
        request: Request<pb::GetRateCardRequest>,
    ) -> Result<Response<pb::GetRateCardResponse>, Status> {
        let (headers, _, request) = request.into_parts();
        let mut faults = Faults::new();
        let prices = prices_from_pb(request.prices.as_ref(), false, &mut faults);
        faults
            .or(())
            .map_err(Refusal::from)
            .map_err(Refused::from)?;
        let by = self.0.prices_for([prices.selector]).await;
        let by = by.map_err(Refused::from)?;
        let card = self.0.card(&by, &prices.selector).map_err(Refused::from)?;
        Ok(reply(&headers, rate_card_to_pb(card)))
    }
}

fn results_to_pb(batch: &BatchEstimate<'_>, explain: bool) -> Vec<pb::BatchEstimateResult> {
    let item = |result: &Result<_, Faults>| match result {
        Ok(quote) => ItemResult::Estimate(estimate_to_pb(batch.card, quote, explain)),
        Err(faults) => ItemResult::Error(error_to_pb(&Refusal::Invalid(faults.clone()))),
    };
    batch
        .results
        .iter()
        .map(|result| pb::BatchEstimateResult {
            result: Some(item(result)),
        })
        .collect()
}

/// Why an item of a batch is refused.
pub(super) fn error_to_pb(refusal: &Refusal) -> rpc::Status {
    Refused::from(refusal).into_rpc_status()
}
