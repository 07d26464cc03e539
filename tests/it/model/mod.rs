//! The ledger, told again as plainly as possible: lists and maps in memory, a page a
//! verb, and nothing shared with the ledger that is tested. Where `docs/ledger.md`
//! and this differ, one of them is wrong.
//!
//! The model is told the time of each call. It names grants, holds and entries by
//! numbers of its own.

mod account;
mod form;
mod grants;
mod holds;
mod prices;
mod reads;
mod refusal;
mod spend;

use std::collections::BTreeMap;

use tonic::Code;

pub use account::Account;
pub use prices::{Cards, MAX, amount, text};

use account::Numbers;
use form::Body;
use prices::{NoPrice, Priced};
use refusal::{Faults, not_found, refuse};

use crate::ledger::call::{Call, Nanos, Outcome, Reply};
use crate::support::refusal::Refusal;

/// Most grants with something left or held, and most open holds, of one account.
const GRANTS_MAX: usize = 10_000;
const HOLDS_MAX: usize = 10_000;
/// Most items of a batch.
const BATCH_MAX: usize = 10_000;

/// The whole ledger.
pub struct Model {
    pub accounts: BTreeMap<String, Account>,
    pub cards: Cards,
    numbers: Numbers,
}

/// The part of a request that every write has.
struct Write<'a> {
    request_id: &'a str,
    account: &'a str,
    body: Body,
    /// What is wrong whatever the time and the prices are.
    form: Faults,
}

impl Model {
    pub fn new(cards: Cards) -> Self {
        Self {
            accounts: BTreeMap::new(),
            cards,
            numbers: Numbers::default(),
        }
    }

    /// What the ledger answers at that time.
    pub fn call(&mut self, call: &Call, now: Nanos) -> Outcome {
        match call {
            Call::Grant(request) => self.grant(request, now),
            Call::RevokeGrant(request) => self.revoke_grant(request, now),
            Call::Charge(request) => self.charge(request, now),
            Call::BatchCharge(request) => self.batch_charge(request, now),
            Call::Refund(request) => self.refund(request, now),
            Call::Hold(request) => self.hold(request, now),
            Call::ExtendHold(request) => self.extend_hold(request, now),
            Call::SettleHold(request) => self.settle_hold(request, now),
            Call::ReleaseHold(request) => self.release_hold(request, now),
            Call::GetHold(request) => self.get_hold(request, now),
            Call::ListHolds(request) => self.list_holds(request, now),
            Call::ListEntries(request) => self.list_entries(request, now),
            Call::GetBalance(request) => self.get_balance(request, now),
        }
    }

    /// A write, in the order in which things are looked at: its form, its request_id,
    /// what depends on time and prices, its account, and then what `decide` says.
    fn write<T>(
        &mut self,
        write: Write<'_>,
        now: Nanos,
        by_time: Result<T, NoPrice>,
        decide: impl FnOnce(&mut Account, &mut Numbers, &Cards, T) -> Outcome,
    ) -> Outcome {
        // What is wrong with the form is told at once with what else is wrong.
        let mut faults = write.form;
        if !faults.is_empty() {
            if let Err(NoPrice::Fields(others)) = by_time {
                faults.merge(others);
            }
            return Err(faults.refusal());
        }
        if let Some(account) = self.accounts.get(write.account)
            && let Some((body, answer)) = account.answers.get(write.request_id)
        {
            if *body != write.body {
                let metadata = [
                    ("account", write.account.to_owned()),
                    ("request_id", write.request_id.to_owned()),
                ];
                return Err(refuse(Code::AlreadyExists, "REQUEST_ID_REUSED", &metadata));
            }
            return Ok(replayed(answer.clone()));
        }
        let found = by_time.map_err(|no_price| match no_price {
            NoPrice::Fields(faults) => faults.refusal(),
            NoPrice::NoCard(refusal) => refusal,
        })?;
        let account = account(&mut self.accounts, write.account)?;
        account.lapse(&mut self.numbers, now);
        let reply = decide(account, &mut self.numbers, &self.cards, found)?;
        let answer = (write.body, reply.clone());
        account.answers.insert(write.request_id.to_owned(), answer);
        Ok(reply)
    }

    /// The account of a read, with nothing in it whose time is over.
    fn read(&mut self, name: &str, now: Nanos) -> Result<&Account, Refusal> {
        let account = account(&mut self.accounts, name)?;
        account.lapse(&mut self.numbers, now);
        Ok(account)
    }
}

fn account<'a>(
    accounts: &'a mut BTreeMap<String, Account>,
    name: &str,
) -> Result<&'a mut Account, Refusal> {
    accounts
        .get_mut(name)
        .ok_or_else(|| not_found("ACCOUNT_NOT_FOUND", "account", name))
}

/// The same answer once more.
fn replayed(mut answer: Reply) -> Reply {
    let mark = match &mut answer {
        Reply::Grant(reply) => &mut reply.replayed,
        Reply::Charge(reply) => &mut reply.replayed,
        Reply::Refund(reply) => &mut reply.replayed,
        Reply::Hold(reply) => &mut reply.replayed,
        Reply::ExtendHold(reply) => &mut reply.replayed,
        Reply::SettleHold(reply) => &mut reply.replayed,
        Reply::ReleaseHold(reply) => &mut reply.replayed,
        Reply::RevokeGrant(reply) => &mut reply.replayed,
        Reply::BatchCharge(_)
        | Reply::GetHold(_)
        | Reply::ListHolds(_)
        | Reply::ListEntries(_)
        | Reply::GetBalance(_) => unreachable!("reads keep no answers"),
    };
    *mark = true;
    answer
}
