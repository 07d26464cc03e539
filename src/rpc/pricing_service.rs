//! PricingService: converts, asks the use case, converts back.

use std::sync::Arc;

use bumpalo::Bump;
use bytes::Bytes;
use prost::Message as _;
use tonic::{Request, Response, Status};

use super::MESSAGE_BYTES_MAX;
use super::codec::decode_message;
use super::convert::pricing::{
    EstimateParts, Prices, PricesParts, affordability_to_pb, estimate_to_pb, prices_from_pb,
    usage_from_pb,
};
use super::convert::rate_card::{services_page, services_query_from_pb};
use super::layer::Reservation;
use super::pb::creditd::v1 as pb;
use super::pb::creditd::v1::pricing_service_server::PricingService;
use super::refused::{ItemsRefused, Refused};
use super::reply::{BATCH_REST_BYTES, ITEM_OVERHEAD_BYTES, reply_too_large};
use super::wire::page::{Pace, decoded_bytes, reserve_page};
use super::wire::write::{EstimateWriter, put_estimate, put_fields, put_message};
use super::wire::{self, EncodedReply, read};
use crate::app::access::Caller;
use crate::app::{App, BATCH_LENGTH_MAX, BatchEstimate, PricedAccount};
use crate::domain::keys::Scope;
use crate::domain::pricing::Usage;
use crate::domain::{FieldViolations, Refusal};

/// The service over the use cases.
#[derive(Clone)]
pub struct PricingApi(Arc<App>);

impl PricingApi {
    /// The service.
    #[must_use]
    pub const fn new(app: Arc<App>) -> Self {
        Self(app)
    }

    /// Serves an Estimate.
    pub(super) async fn encoded_estimate(
        &self,
        bytes: Bytes,
        caller: &Caller,
    ) -> Result<EncodedReply, Status> {
        let request: pb::EstimateRequest;
        let room = Bump::new();
        let parts = match read::estimate(&bytes, &room) {
            Some(parts) => parts,
            None => {
                request = decode_message(&bytes)?;
                EstimateParts::from(&request)
            }
        };
        let mut violations = FieldViolations::new();
        let check_balance = parts.check_balance;
        let prices = prices_from_pb(parts.prices, check_balance, &mut violations);
        check_caller(caller, &prices, check_balance)?;
        let by = self.0.prices_for([prices.selector]).await;
        let by = by.map_err(Refused::from)?;
        let account = self
            .account(caller, &prices, check_balance, &violations)
            .await?;
        let (terms, quote) = self
            .0
            .estimate(
                &by,
                parts.usage.as_ref(),
                &prices.selector,
                account.terms(),
                violations,
            )
            .map_err(Refused::from)?;
        let known = account.known;
        let mut reply = EncodedReply::with_capacity(RESULT_BYTES);
        put_message(1, reply.end(), |estimate| match parts.explain {
            true => put_fields(
                &estimate_to_pb(&terms, &quote, known, parts.usage.as_ref()),
                estimate,
            ),
            false => put_estimate(&terms, &quote, known, estimate),
        });
        if let Some(payer) = prices.account
            && check_balance
        {
            let costs = vec![(Arc::clone(&quote.service().key), quote.credits())];
            let answer = self
                .0
                .affordability(caller, payer, account.account.clone(), costs)
                .await;
            let affordability = affordability_to_pb(&answer.map_err(Refused::from)?);
            put_message(2, reply.end(), |into| put_fields(&affordability, into));
        }
        Ok(reply)
    }

    /// The account for which prices are asked. A request that is refused anyway asks no ledger.
    async fn account(
        &self,
        caller: &Caller,
        prices: &Prices<'_>,
        with_balance: bool,
        violations: &FieldViolations,
    ) -> Result<PricedAccount, Refused> {
        let account = prices.account.as_ref();
        let account = account.filter(|_| violations.is_empty());
        Ok(self.0.priced_account(caller, account, with_balance).await?)
    }

    /// Serves a BatchEstimate.
    pub(super) async fn encoded_batch_estimate(
        &self,
        bytes: Bytes,
        held: Reservation,
    ) -> Result<EncodedReply, Status> {
        let request: pb::BatchEstimateRequest;
        let room = Bump::new();
        let usages = match read::usages(&bytes, BATCH_LENGTH_MAX, &room) {
            Some((usages, rest)) => {
                let made = usages.len().saturating_mul(USAGE_BYTES);
                held.reserve_batch(made).await.map_err(Refused::from)?;
                request = decode_message(rest)?;
                usages
            }
            None => {
                let made = decoded_bytes(&bytes, USAGE_BYTES);
                held.reserve_batch(made).await.map_err(Refused::from)?;
                request = decode_message(&bytes)?;
                request.usages.iter().map(usage_from_pb).collect()
            }
        };
        let mut violations = FieldViolations::new();
        let check_balance = request.check_balance;
        let prices = PricesParts::of(request.prices.as_ref());
        let prices = prices_from_pb(prices, check_balance, &mut violations);
        check_caller(held.caller(), &prices, check_balance)?;
        let by = self.0.prices_for([prices.selector]).await;
        let by = by.map_err(Refused::from)?;
        // Its balance is read after a thousand prices, and not kept meanwhile.
        let account = self
            .account(held.caller(), &prices, false, &violations)
            .await?;
        let batch = self
            .0
            .batch_estimate(&by, &usages, &prices.selector, account.terms(), violations)
            .await
            .map_err(Refused::from)?;
        let reply = results_of(&batch, &usages, request.explain, account.known).await;
        let mut reply = reply.map_err(Refused::from)?;
        let affordability = match prices.account {
            Some(payer) if check_balance => {
                let quotes = batch.results.iter().flatten();
                let costs = quotes.map(|q| (Arc::clone(&q.service().key), q.credits()));
                let costs = costs.collect();
                let answer = self
                    .0
                    .affordability(held.caller(), payer, None, costs)
                    .await;
                Some(affordability_to_pb(&answer.map_err(Refused::from)?))
            }
            _ => None,
        };
        let failed = batch.results.iter().filter(|result| result.is_err());
        let rest = pb::BatchEstimateResponse {
            results: Vec::new(),
            // At most the 10,000 items of a batch.
            failed_count: i32::try_from(failed.count()).unwrap_or(i32::MAX),
            total_credits: batch.total.to_string(),
            affordability,
        };
        put_fields(&rest, reply.end());
        Ok(reply)
    }

    /// Serves a GetRateCard.
    pub(super) async fn encoded_rate_card(
        &self,
        bytes: Bytes,
        held: Reservation,
    ) -> Result<EncodedReply, Status> {
        let request: pb::GetRateCardRequest = decode_message(&bytes)?;
        let mut violations = FieldViolations::new();
        let prices = PricesParts::of(request.prices.as_ref());
        let prices = prices_from_pb(prices, false, &mut violations);
        check_caller(held.caller(), &prices, false)?;
        let query = services_query_from_pb(&request, &mut violations);
        violations
            .or(())
            .map_err(Refusal::from)
            .map_err(Refused::from)?;
        reserve_page(&held, usize::MAX).await?;
        let by = self.0.prices_for([prices.selector]).await;
        let by = by.map_err(Refused::from)?;
        let account = self
            .account(held.caller(), &prices, false, &FieldViolations::new())
            .await?;
        let terms = self
            .0
            .terms(&by, &prices.selector, account.terms())
            .map_err(Refused::from)?;
        let card = terms.card();
        let page = services_page(card, &query);
        let page = page.map_err(Refusal::from).map_err(Refused::from)?;
        let mut reply = EncodedReply::with_capacity(0);
        let (mut length, mut bytes) = (0_usize, 0_usize);
        let mut pace = Pace::new();
        for service in page.services() {
            pace.step().await;
            let more = service.encoded_len().saturating_add(ITEM_OVERHEAD_BYTES);
            bytes = bytes.saturating_add(more);
            if page.is_full(length, bytes) {
                break;
            }
            put_message(3, reply.end(), |into| put_fields(&service, into));
            length = length.saturating_add(1);
        }
        put_fields(&page.rest_to_pb(length, by.times_of(card)), reply.end());
        Ok(reply)
    }
}

/// Whether the caller may ask for these prices, whatever else is wrong: for an account only where
/// it may name that, and with a balance only where it may read.
fn check_caller(caller: &Caller, prices: &Prices<'_>, check_balance: bool) -> Result<(), Refused> {
    if check_balance {
        caller.check_scope(Scope::Read)?;
    }
    match &prices.account {
        Some(account) => Ok(caller.check_account(account, Scope::Price)?),
        None => Ok(()),
    }
}

/// What an item of a batch takes while it is priced, beside its bytes: the usage, the quote, and
/// its part of the reply.
const USAGE_BYTES: usize = 512;
/// What the result of most usages takes.
const RESULT_BYTES: usize = 112;

/// The router answers with the bytes of an estimate; whoever calls the service itself gets the
/// message.
#[tonic::async_trait]
impl PricingService for PricingApi {
    async fn estimate(
        &self,
        request: Request<pb::EstimateRequest>,
    ) -> Result<Response<pb::EstimateResponse>, Status> {
        let held = wire::held_of(&request);
        let caller = held.caller();
        wire::decoded(
            self.encoded_estimate(wire::encoded(request), caller)
                .await?,
        )
    }

    async fn batch_estimate(
        &self,
        request: Request<pb::BatchEstimateRequest>,
    ) -> Result<Response<pb::BatchEstimateResponse>, Status> {
        let reply = self.encoded_batch_estimate(wire::encoded(request), Reservation::default());
        wire::decoded(reply.await?)
    }

    async fn get_rate_card(
        &self,
        request: Request<pb::GetRateCardRequest>,
    ) -> Result<Response<pb::GetRateCardResponse>, Status> {
        let reply = self.encoded_rate_card(wire::encoded(request), Reservation::default());
        wire::decoded(reply.await?)
    }
}

/// The results of a batch: the beginning of its reply.
async fn results_of(
    batch: &BatchEstimate<'_>,
    usages: &[Usage<'_>],
    explain: bool,
    account_known: bool,
) -> Result<EncodedReply, Refusal> {
    let estimates = EstimateWriter::new(&batch.terms, account_known);
    let expected = batch.results.len().saturating_mul(RESULT_BYTES);
    let mut reply = EncodedReply::with_capacity(expected.min(MESSAGE_BYTES_MAX));
    let mut bytes = BATCH_REST_BYTES;
    let mut pace = Pace::new();
    let mut items_refused = ItemsRefused::default();
    for (index, (result, usage)) in batch.results.iter().zip(usages).enumerate() {
        pace.step().await;
        let length = put_message(1, reply.end(), |item| match result {
            Ok(quote) if !explain => {
                put_message(1, item, |estimate| estimates.put(quote, estimate));
            }
            Ok(quote) => {
                let estimate = estimate_to_pb(&batch.terms, quote, account_known, Some(usage));
                put_message(1, item, |into| put_fields(&estimate, into));
            }
            Err(violations) => {
                let refused = Refused::from(&Refusal::Invalid(violations.clone()));
                items_refused.note(refused.reason());
                let error = refused.into_rpc_status();
                put_message(2, item, |into| put_fields(&error, into));
            }
        });
        bytes = bytes
            .saturating_add(length)
            .saturating_add(ITEM_OVERHEAD_BYTES);
        if bytes > MESSAGE_BYTES_MAX {
            return Err(reply_too_large("usages", index));
        }
    }
    reply.set_items_refused(items_refused);
    Ok(reply)
}
