//! Charge and BatchCharge.

use bytes::Bytes;
use http::{Request, Response};
use prost::Message as _;
use tonic::body::Body;
use tower::service_fn;

use super::entry::put_charge_response;
use super::write::{put_head, put_message, put_number};
use super::{encoded, read, reply, serve, whole};
use crate::app::{Answer, BATCH_LENGTH_MAX, Written};
use crate::rpc::batch::{batch_fits, result_to_pb};
use crate::rpc::convert::write::charge_from_text;
use crate::rpc::ledger_service::LedgerApi;
use crate::rpc::pb::creditd::v1::ledger_service_server::LedgerService;
use crate::rpc::refused::Refused;

/// More than most replies to a charge take.
const REPLY_BYTES: usize = 384;

/// Serves a call of Charge.
pub(in crate::rpc) async fn charge<B>(api: LedgerApi, request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    let api = &api;
    let method = |request: tonic::Request<Bytes>| async move {
        let written = match read::charge(request.get_ref()) {
            Some(text) => api.app().charge(charge_from_text(&text)),
            None => return api.charge(whole(request)?).await.map(encoded),
        };
        let written = written.await.map_err(Refused::from)?;
        let mut message = Vec::with_capacity(REPLY_BYTES);
        put_charge_response(&written, &mut message);
        Ok(reply(request.metadata(), message))
    };
    serve(request, service_fn(method)).await
}

/// Serves a call of BatchCharge.
pub(in crate::rpc) async fn batch_charge<B>(api: LedgerApi, request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    let api = &api;
    let method = |request: tonic::Request<Bytes>| async move {
        let answers = match read::batch_charge(request.get_ref(), BATCH_LENGTH_MAX) {
            Some(texts) => {
                let forms = texts.iter().map(charge_from_text).collect();
                api.app().batch_charge(forms, batch_fits).await
            }
            None => return api.batch_charge(whole(request)?).await.map(encoded),
        };
        let answers = answers.map_err(Refused::from)?;
        Ok(reply(request.metadata(), batch_response(&answers)))
    };
    serve(request, service_fn(method)).await
}

/// A `BatchChargeResponse`.
fn batch_response(answers: &[Answer<Written>]) -> Vec<u8> {
    let mut message = Vec::with_capacity(answers.len().saturating_mul(REPLY_BYTES));
    let mut failed = 0_i64;
    for answer in answers {
        match answer {
            Ok(written) => put_message(1, &mut message, |result| {
                put_message(1, result, |charge| put_charge_response(written, charge));
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
