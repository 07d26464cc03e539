//! Charge and BatchCharge.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use prost::Message as _;
use tower::service_fn;

use super::entry::{put_batch_item, put_charge_response};
use super::write::{put_head, put_message, put_number};
use super::{Call, encoded, read, serve, whole};
use crate::app::{Answer, BATCH_LENGTH_MAX, Written};
use crate::rpc::batch::{check_batch_answers, check_batch_reply, result_to_pb};
use crate::rpc::convert::write::{Asked, ChargeText, charge_from_text};
use crate::rpc::ledger_service::LedgerApi;
use crate::rpc::pb::creditd::v1::ledger_service_server::LedgerService;
use crate::rpc::refused::Refused;
use crate::rpc::reply::{reply_of_bytes, takes_compressed};

/// More than most replies to a charge take.
const REPLY_BYTES: usize = 384;
/// More than the quantity of a usage takes, with its tags.
const FIGURE_BYTES: usize = 24;

/// Serves a call of Charge.
pub(in crate::rpc) fn charge<B>(api: &Arc<LedgerApi>, request: Request<B>) -> Call
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
{
    let api = Arc::clone(api);
    let takes_compressed = takes_compressed(request.headers());
    let method = move |request: tonic::Request<Bytes>| {
        let api = Arc::clone(&api);
        async move {
            let written = match read::charge(request.get_ref()) {
                Some(text) => api.app().charge(charge_from_text(&text)),
                None => return api.charge(whole(request)?).await.map(encoded),
            };
            // Nothing of it is needed while the answer is waited for.
            drop(request);
            let written = written.await.map_err(Refused::from)?;
            let mut message = Vec::with_capacity(REPLY_BYTES);
            put_charge_response(&written, &mut message);
            Ok(reply_of_bytes(takes_compressed, message))
        }
    };
    serve(request, takes_compressed, service_fn(method))
}

/// Serves a call of BatchCharge.
pub(in crate::rpc) fn batch_charge<B>(api: &Arc<LedgerApi>, request: Request<B>) -> Call
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
{
    let api = Arc::clone(api);
    let takes_compressed = takes_compressed(request.headers());
    let method = move |request: tonic::Request<Bytes>| {
        let api = Arc::clone(&api);
        async move {
            let texts = read::batch_charge(request.get_ref(), BATCH_LENGTH_MAX);
            match texts {
                Some(texts) => {
                    let forms = texts.iter().map(charge_from_text).collect();
                    let sizes = texts.iter().map(text_bytes);
                    let check = |items: &[_]| check_batch_reply(sizes, items);
                    let answers = api.app().batch_charge(forms, check).await;
                    let answers = answers.map_err(Refused::from)?;
                    let message = batch_response(&answers);
                    check_batch_answers(message.len(), &answers)?;
                    Ok(reply_of_bytes(takes_compressed, message))
                }
                None => api.batch_charge(whole(request)?).await.map(encoded),
            }
        }
    };
    serve(request, takes_compressed, service_fn(method))
}

/// What the texts of an item and the figures beside them take.
fn text_bytes(text: &ChargeText<'_>) -> usize {
    let what = match text.what {
        Asked::Usage(usage) => usage.service.len().saturating_add(FIGURE_BYTES),
        Asked::Credits(text) => text.len(),
        Asked::Nothing => 0,
    };
    let names = text.request_id.len().saturating_add(text.account.len());
    names.saturating_add(what)
}

/// A `BatchChargeResponse`.
fn batch_response(answers: &[Answer<Written>]) -> Vec<u8> {
    let mut message = Vec::with_capacity(answers.len().saturating_mul(REPLY_BYTES));
    let mut failed = 0_i64;
    for answer in answers {
        match answer {
            Ok(written) => put_message(1, &mut message, |result| {
                put_message(1, result, |charge| put_batch_item(written, charge));
            }),
            Err(_) => {
                failed = failed.saturating_add(1);
                let result = result_to_pb(answer);
                put_head(1, result.encoded_len(), &mut message);
                // A vector has room for everything.
                let _ = result.encode(&mut message);
            }
        }
    }
    put_number(2, failed, &mut message);
    message
}
