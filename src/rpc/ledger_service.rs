//! LedgerService: converts, asks the use case, converts back.

use std::pin::Pin;
use std::sync::Arc;

use bumpalo::Bump;
use bytes::Bytes;
use prost::Message as _;
use tokio::sync::watch;
use tokio_stream::Stream;
use tonic::body::Body;
use tonic::{Request, Response, Status};

use super::batch::{check_batch_answers, check_batch_reply, refused_to_pb};
use super::codec::decode_message;
use super::convert::account::account_to_pb;
use super::convert::ledger::{
    balance_query_from_pb, balance_to_pb, entry_to_pb, hold_to_pb, opening_to_pb,
};
use super::convert::page::{
    AccountsQuery, ListQuery, accounts_query_from_pb, entries_query_from_pb, holds_query_from_pb,
};
use super::convert::write::{
    ChargeParts, charge_from_parts, extend_from_pb, grant_from_pb, hold_from_pb, id_from_pb,
    refund_from_pb, release_from_pb, revoke_from_pb, settle_from_pb, update_from_pb,
};
use super::health::State;
use super::layer::Reservation;
use super::pb::creditd::v1 as pb;
use super::pb::creditd::v1::ledger_service_server::LedgerService;
use super::refused::{ItemsRefused, Refused};
use super::watching::{Watcher, Watching};
use super::wire::page::{Pace, decoded_bytes, page_of, reserve_page};
use super::wire::write::{put_batch_item, put_charge, put_fields, put_message};
use super::wire::{self, EncodedReply, read};
use crate::app::access::Caller;
use crate::app::{App, BATCH_LENGTH_MAX, Pending, WriteForm, Written};
use crate::domain::keys::Scope;
use crate::domain::{AccountName, FieldViolations, Refusal};

/// What an item of a batch takes while it is decided, beside its bytes: the form, the command,
/// the answer and its part of the reply.
const CHARGE_BYTES: usize = 2_048;

/// The service over the use cases.
#[derive(Clone)]
pub struct LedgerApi {
    app: Arc<App>,
    watching: Watching,
}

impl LedgerApi {
    /// The service. Balances are watched until the server stops serving.
    #[must_use]
    pub const fn new(app: Arc<App>, state: watch::Receiver<State>) -> Self {
        Self {
            app,
            watching: Watching::new(state),
        }
    }

    /// Serves a Charge.
    pub(super) async fn encoded_charge(
        &self,
        bytes: Bytes,
        caller: &Caller,
    ) -> Result<EncodedReply, Status> {
        // Hundreds of calls can wait for one commit: none keeps its request meanwhile.
        let pending = match self.charge_at_once(&bytes, caller)? {
            Some(pending) => {
                drop(bytes);
                pending
            }
            None => Box::pin(self.charge_after_look_up(bytes, caller)).await?,
        };
        let written = self.app.written(caller, pending).await;
        let written = written.map_err(Refused::from)?;
        let mut reply = EncodedReply::with_capacity(RESULT_BYTES);
        put_charge(&written, reply.end());
        Ok(reply)
    }

    /// None where a rate card has to be looked up.
    fn charge_at_once(
        &self,
        bytes: &[u8],
        caller: &Caller,
    ) -> Result<Option<Pending<Box<Written>>>, Status> {
        let request: pb::ChargeRequest;
        let room = Bump::new();
        let parts = match read::charge(bytes, &room) {
            Some(parts) => parts,
            None => {
                request = decode_message(bytes)?;
                ChargeParts::from(&request)
            }
        };
        let pending = self.app.write_at_once(caller, charge_from_parts(&parts));
        Ok(pending.transpose().map_err(Refused::from)?)
    }

    async fn charge_after_look_up(
        &self,
        bytes: Bytes,
        caller: &Caller,
    ) -> Result<Pending<Box<Written>>, Status> {
        let request: pb::ChargeRequest = decode_message(&bytes)?;
        let parts = ChargeParts::from(&request);
        let pending = self.app.write(caller, charge_from_parts(&parts)).await;
        Ok(pending.map_err(Refused::from)?)
    }

    /// Serves a BatchCharge.
    pub(super) async fn encoded_batch_charge(
        &self,
        bytes: Bytes,
        held: Reservation,
    ) -> Result<EncodedReply, Status> {
        let request: pb::BatchChargeRequest;
        let room = Bump::new();
        let charges = match read::charges(&bytes, BATCH_LENGTH_MAX, &room) {
            Some(charges) => {
                let made = charges.len().saturating_mul(CHARGE_BYTES);
                held.reserve_batch(made).await.map_err(Refused::from)?;
                charges
            }
            None => {
                let made = decoded_bytes(&bytes, CHARGE_BYTES);
                held.reserve_batch(made).await.map_err(Refused::from)?;
                request = decode_message(&bytes)?;
                let charges = request.charges.iter();
                charges
                    .map(|charge| (ChargeParts::from(charge), charge.encoded_len()))
                    .collect()
            }
        };
        let mut pace = Pace::new();
        let mut forms = Vec::with_capacity(charges.len());
        for (parts, _) in &charges {
            pace.step().await;
            forms.push(charge_from_parts(parts));
        }
        let sizes = charges.iter().map(|(_, size)| *size);
        let check = |items: &[_]| check_batch_reply(sizes, items);
        let answers = self.app.batch_charge(held.caller(), forms, check).await;
        let answers = answers.map_err(Refused::from)?;
        let expected = answers.len().saturating_mul(RESULT_BYTES);
        let mut reply = EncodedReply::with_capacity(expected);
        let mut items_refused = ItemsRefused::default();
        for answer in &answers {
            pace.step().await;
            put_message(1, reply.end(), |result| match answer {
                Ok(written) => {
                    put_message(1, result, |charge| put_batch_item(written, charge));
                }
                Err(error) => {
                    let refused = Refused::from(error);
                    items_refused.note(refused.reason());
                    put_fields(&refused_to_pb(refused), result);
                }
            });
        }
        reply.set_items_refused(items_refused);
        let failed = answers.iter().filter(|answer| answer.is_err()).count();
        let rest = pb::BatchChargeResponse {
            results: Vec::new(),
            // At most the 10,000 items of a batch.
            failed_count: i32::try_from(failed).unwrap_or(i32::MAX),
        };
        put_fields(&rest, reply.end());
        check_batch_answers(reply.len(), &answers)?;
        Ok(reply)
    }

    /// Serves a ListEntries.
    pub(super) async fn encoded_entries(
        &self,
        bytes: Bytes,
        held: Reservation,
    ) -> Result<EncodedReply, Status> {
        let request: pb::ListEntriesRequest = decode_message(&bytes)?;
        drop(bytes);
        let mut violations = FieldViolations::new();
        let list = entries_query_from_pb(&request, &mut violations);
        let ListQuery {
            account,
            query,
            key,
        } = list;
        let account = account_of(held.caller(), account, violations)?;
        reserve_page(&held, query.limit).await?;
        let name = account.clone();
        let page = self.app.entries(held.caller(), account, query).await;
        let page = page.map_err(Refused::from)?;
        let (mut reply, length) = page_of(&page.entries, entry_to_pb).await;
        // A page that was cut goes on below its last entry.
        let next = match length < page.entries.len() {
            true => length.checked_sub(1),
            false => None,
        };
        let next = next.and_then(|last| page.entries.get(last));
        let next = next.map(|entry| entry.id).or(page.next);
        let rest = pb::ListEntriesResponse {
            entries: Vec::new(),
            next_page_token: next.map_or_else(String::new, |id| key.token(id.0)),
            // A page that was cut is not the last one.
            opening_balance: (page.opening.as_ref())
                .filter(|_| next.is_none())
                .map(|opening| opening_to_pb(opening, &name)),
        };
        put_fields(&rest, reply.end());
        Ok(reply)
    }

    /// Serves a ListHolds.
    pub(super) async fn encoded_holds(
        &self,
        bytes: Bytes,
        held: Reservation,
    ) -> Result<EncodedReply, Status> {
        let request: pb::ListHoldsRequest = decode_message(&bytes)?;
        drop(bytes);
        let mut violations = FieldViolations::new();
        let list = holds_query_from_pb(&request, &mut violations);
        let ListQuery {
            account,
            query,
            key,
        } = list;
        let account = account_of(held.caller(), account, violations)?;
        reserve_page(&held, query.limit).await?;
        let page = self
            .app
            .list_holds(held.caller(), account.clone(), query)
            .await;
        let page = page.map_err(Refused::from)?;
        let (mut reply, length) = page_of(&page.holds, |hold| hold_to_pb(hold, &account)).await;
        // A page that was cut goes on behind its last hold, as one with more behind it.
        let more = page.more || length < page.holds.len();
        let last = length.checked_sub(1).filter(|_| more);
        let last = last.and_then(|last| page.holds.get(last));
        let rest = pb::ListHoldsResponse {
            next_page_token: last.map_or_else(String::new, |hold| key.token(hold.id.0)),
            holds: Vec::new(),
        };
        put_fields(&rest, reply.end());
        Ok(reply)
    }

    /// Serves a ListAccounts.
    pub(super) async fn encoded_accounts(
        &self,
        bytes: Bytes,
        held: Reservation,
    ) -> Result<EncodedReply, Status> {
        let request: pb::ListAccountsRequest = decode_message(&bytes)?;
        drop(bytes);
        let list = accounts_query_from_pb(&request);
        let AccountsQuery { query, key } = list.map_err(|bad| Refused::from(Refusal::from(bad)))?;
        reserve_page(&held, query.limit).await?;
        let page = self.app.list_accounts(held.caller(), query).await;
        let page = page.map_err(Refused::from)?;
        let (mut reply, length) = page_of(&page.accounts, account_to_pb).await;
        // A page that was cut goes on behind its last account, as one with more behind it.
        let more = page.more || length < page.accounts.len();
        let last = length.checked_sub(1).filter(|_| more);
        let last = last.and_then(|last| page.accounts.get(last));
        let token = last.map(|last| key.token_of_name(&last.balance.account));
        let rest = pb::ListAccountsResponse {
            accounts: Vec::new(),
            next_page_token: token.unwrap_or_default(),
        };
        put_fields(&rest, reply.end());
        Ok(reply)
    }

    /// Serves a WatchBalance.
    pub(super) async fn encoded_watch(
        &self,
        bytes: Bytes,
        held: Reservation,
        compress: bool,
    ) -> Result<Body, Status> {
        let caller = held.caller().clone();
        let watcher = self.watcher(&decode_message(&bytes)?, caller).await?;
        Ok(watcher.into_body(held, compress))
    }

    async fn watcher(
        &self,
        request: &pb::WatchBalanceRequest,
        caller: Caller,
    ) -> Result<Watcher, Refused> {
        let mut violations = FieldViolations::new();
        let account = violations.check("account", AccountName::new(&request.account));
        let account = account_of(&caller, account, violations)?;
        self.watching.watch(&self.app, caller, account).await
    }

    /// Serves a write. `form` makes the form of its request.
    async fn write<Q, R>(&self, request: Request<Q>, form: fn(&Q) -> WriteForm<'_>) -> Reply<R>
    where
        Q: Send + Sync,
        R: prost::Message + for<'a> From<&'a Written>,
    {
        let held = wire::held_of(&request);
        let caller = held.caller();
        let request = request.into_inner();
        let pending = self.app.write(caller, form(&request)).await;
        // Hundreds of calls can wait for one commit: none keeps its request meanwhile.
        drop(request);
        let pending = pending.map_err(Refused::from)?;
        let written = self.app.written(caller, pending).await;
        let written = written.map_err(Refused::from)?;
        Ok(Response::new(R::from(&*written)))
    }
}

/// What the result of most charges takes.
const RESULT_BYTES: usize = 384;

type Reply<T> = Result<Response<T>, Status>;

/// A request that is about one account that exists, without a form of its own.
fn account_of(
    caller: &Caller,
    account: Option<AccountName>,
    violations: FieldViolations,
) -> Result<AccountName, Refused> {
    if let Some(account) = &account {
        // Whatever else is wrong.
        caller.check_account(account, Scope::Read)?;
    }
    match account {
        Some(account) if violations.is_empty() => Ok(account),
        _ => Err(Refusal::Invalid(violations).into()),
    }
}

/// The router answers with the bytes of a charge; whoever calls the service itself gets the
/// message.
#[tonic::async_trait]
impl LedgerService for LedgerApi {
    type WatchBalanceStream =
        Pin<Box<dyn Stream<Item = Result<pb::WatchBalanceResponse, Status>> + Send>>;

    async fn get_balance(
        &self,
        request: Request<pb::GetBalanceRequest>,
    ) -> Reply<pb::GetBalanceResponse> {
        let held = wire::held_of(&request);
        let caller = held.caller();
        let request = request.into_inner();
        let mut violations = FieldViolations::new();
        let (account, as_of) = balance_query_from_pb(&request, &mut violations);
        let balance = self.app.balance(caller, account, as_of, violations).await;
        let balance = balance.map_err(Refused::from)?;
        let response = pb::GetBalanceResponse {
            balance: Some(balance_to_pb(&balance)),
        };
        Ok(Response::new(response))
    }

    async fn watch_balance(
        &self,
        request: Request<pb::WatchBalanceRequest>,
    ) -> Reply<Self::WatchBalanceStream> {
        let held = wire::held_of(&request);
        let caller = held.caller();
        let watcher = self.watcher(request.get_ref(), caller.clone()).await?;
        Ok(Response::new(Box::pin(watcher.balances())))
    }

    async fn list_entries(
        &self,
        request: Request<pb::ListEntriesRequest>,
    ) -> Reply<pb::ListEntriesResponse> {
        let reply = self.encoded_entries(wire::encoded(request), Reservation::default());
        wire::decoded(reply.await?)
    }

    async fn grant(&self, request: Request<pb::GrantRequest>) -> Reply<pb::GrantResponse> {
        self.write(request, grant_from_pb).await
    }

    async fn charge(&self, request: Request<pb::ChargeRequest>) -> Reply<pb::ChargeResponse> {
        let held = wire::held_of(&request);
        let caller = held.caller();
        wire::decoded(self.encoded_charge(wire::encoded(request), caller).await?)
    }

    async fn batch_charge(
        &self,
        request: Request<pb::BatchChargeRequest>,
    ) -> Reply<pb::BatchChargeResponse> {
        let reply = self.encoded_batch_charge(wire::encoded(request), Reservation::default());
        wire::decoded(reply.await?)
    }

    async fn refund(&self, request: Request<pb::RefundRequest>) -> Reply<pb::RefundResponse> {
        self.write(request, refund_from_pb).await
    }

    async fn hold(&self, request: Request<pb::HoldRequest>) -> Reply<pb::HoldResponse> {
        self.write(request, hold_from_pb).await
    }

    async fn extend_hold(
        &self,
        request: Request<pb::ExtendHoldRequest>,
    ) -> Reply<pb::ExtendHoldResponse> {
        self.write(request, extend_from_pb).await
    }

    async fn settle_hold(
        &self,
        request: Request<pb::SettleHoldRequest>,
    ) -> Reply<pb::SettleHoldResponse> {
        self.write(request, settle_from_pb).await
    }

    async fn release_hold(
        &self,
        request: Request<pb::ReleaseHoldRequest>,
    ) -> Reply<pb::ReleaseHoldResponse> {
        self.write(request, release_from_pb).await
    }

    async fn get_hold(&self, request: Request<pb::GetHoldRequest>) -> Reply<pb::GetHoldResponse> {
        let held = wire::held_of(&request);
        let caller = held.caller();
        let request = request.into_inner();
        let mut violations = FieldViolations::new();
        let account = violations.check("account", AccountName::new(&request.account));
        let hold = id_from_pb(
            "hold_id",
            &request.hold_id,
            account.as_ref(),
            &mut violations,
        );
        let account = account_of(caller, account, violations)?;
        let Some(hold) = hold else {
            // It was said what is wrong with it.
            return Err(Refused::from(Refusal::Invalid(FieldViolations::new())).into());
        };
        let found = self.app.get_hold(caller, account.clone(), hold).await;
        let found = found.map_err(Refused::from)?;
        let response = pb::GetHoldResponse {
            hold: Some(hold_to_pb(&found, &account)),
        };
        Ok(Response::new(response))
    }

    async fn list_holds(
        &self,
        request: Request<pb::ListHoldsRequest>,
    ) -> Reply<pb::ListHoldsResponse> {
        let reply = self.encoded_holds(wire::encoded(request), Reservation::default());
        wire::decoded(reply.await?)
    }

    async fn revoke_grant(
        &self,
        request: Request<pb::RevokeGrantRequest>,
    ) -> Reply<pb::RevokeGrantResponse> {
        self.write(request, revoke_from_pb).await
    }

    async fn get_account(
        &self,
        request: Request<pb::GetAccountRequest>,
    ) -> Reply<pb::GetAccountResponse> {
        let held = wire::held_of(&request);
        let caller = held.caller();
        let request = request.into_inner();
        let mut violations = FieldViolations::new();
        let account = violations.check("account", AccountName::new(&request.account));
        let account = account_of(caller, account, violations)?;
        let found = self.app.get_account(caller, account).await;
        let found = found.map_err(Refused::from)?;
        let response = pb::GetAccountResponse {
            account: Some(account_to_pb(&found)),
        };
        Ok(Response::new(response))
    }

    async fn list_accounts(
        &self,
        request: Request<pb::ListAccountsRequest>,
    ) -> Reply<pb::ListAccountsResponse> {
        let reply = self.encoded_accounts(wire::encoded(request), Reservation::default());
        wire::decoded(reply.await?)
    }

    async fn update_account(
        &self,
        request: Request<pb::UpdateAccountRequest>,
    ) -> Reply<pb::UpdateAccountResponse> {
        self.write(request, update_from_pb).await
    }
}
