//! Estimate and BatchEstimate.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use prost::Message as _;
use tonic::Status;
use tower::service_fn;

use super::write::{EstimateWriter, field_length, put_credits, put_head, put_number};
use super::{Call, encoded, read, serve, whole};
use crate::app::{App, BATCH_LENGTH_MAX};
use crate::domain::{Faults, Refusal};
use crate::rpc::MESSAGE_BYTES_MAX;
use crate::rpc::convert::pricing::prices_from_text;
use crate::rpc::pb::creditd::v1::pricing_service_server::PricingService;
use crate::rpc::pricing_service::{PricingApi, error_to_pb};
use crate::rpc::refused::Refused;
use crate::rpc::reply::{BATCH_REST_BYTES, ITEM_OVERHEAD_BYTES, reply_of_bytes, takes_compressed};

/// Serves a call of Estimate.
pub(in crate::rpc) fn estimate<B>(api: &Arc<PricingApi>, request: Request<B>) -> Call
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
{
    let api = Arc::clone(api);
    let takes_compressed = takes_compressed(request.headers());
    let method = move |request: tonic::Request<Bytes>| {
        let api = Arc::clone(&api);
        async move {
            match priced(api.app(), request.get_ref()) {
                Some(message) => Ok(reply_of_bytes(takes_compressed, message?)),
                None => api.estimate(whole(request)?).await.map(encoded),
            }
        }
    };
    serve(request, takes_compressed, service_fn(method))
}

/// The reply to an `EstimateRequest` in its common form.
fn priced(app: &App, bytes: &[u8]) -> Option<Result<Vec<u8>, Status>> {
    let request = read::estimate(bytes)?;
    let mut faults = Faults::new();
    let prices = prices_from_text(request.prices, false, &mut faults);
    let by = app.prices();
    let (card, quote) = match app.estimate(&by, request.usage.as_ref(), &prices.selector, faults) {
        Ok(priced) => priced,
        Err(refusal) => return Some(Err(Refused::from(refusal).into())),
    };
    let mut message = Vec::with_capacity(192);
    EstimateWriter::new(card).put(&quote, None, &mut message);
    Some(Ok(message))
}

/// Serves a call of BatchEstimate.
pub(in crate::rpc) fn batch_estimate<B>(api: &Arc<PricingApi>, request: Request<B>) -> Call
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
{
    let api = Arc::clone(api);
    let takes_compressed = takes_compressed(request.headers());
    let method = move |request: tonic::Request<Bytes>| {
        let api = Arc::clone(&api);
        async move {
            Ok(match batch_priced(api.app(), request.get_ref()) {
                Some(message) => reply_of_bytes(takes_compressed, message?),
                None => api.batch_estimate(whole(request)?).await.map(encoded)?,
            })
        }
    };
    serve(request, takes_compressed, service_fn(method))
}

/// The reply to a `BatchEstimateRequest` in its common form. None also where the reply
/// would be too large: the generated service says by how much.
fn batch_priced(app: &App, bytes: &[u8]) -> Option<Result<Vec<u8>, Status>> {
    let request = read::batch_estimate(bytes, BATCH_LENGTH_MAX)?;
    let mut faults = Faults::new();
    let prices = prices_from_text(request.prices, false, &mut faults);
    let by = app.prices();
    let batch = match app.batch_estimate(&by, &request.usages, &prices.selector, faults) {
        Ok(batch) => batch,
        Err(refusal) => return Some(Err(Refused::from(refusal).into())),
    };
    let writer = EstimateWriter::new(batch.card);
    // As much as results of usual names take.
    let expected = batch.results.len().saturating_mul(112);
    let mut message = Vec::with_capacity(expected.min(MESSAGE_BYTES_MAX));
    let (mut bytes, mut failed) = (BATCH_REST_BYTES, 0_i64);
    for result in &batch.results {
        let length = match result {
            Ok(quote) => writer.put(quote, Some(1), &mut message),
            Err(faults) => {
                failed = failed.saturating_add(1);
                let error = error_to_pb(&Refusal::Invalid(faults.clone()));
                let length = field_length(error.encoded_len());
                put_head(1, length, &mut message);
                put_head(2, error.encoded_len(), &mut message);
                // A vector has room for everything.
                let _ = error.encode(&mut message);
                length
            }
        };
        bytes = bytes
            .saturating_add(length)
            .saturating_add(ITEM_OVERHEAD_BYTES);
        if bytes > MESSAGE_BYTES_MAX {
            return None;
        }
    }
    put_credits(2, batch.total, &mut message);
    put_number(3, failed, &mut message);
    Some(Ok(message))
}
