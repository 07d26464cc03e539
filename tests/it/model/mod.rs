//! A reference model of the ledger, as plain as possible: lists and maps in memory, and no
//! code of the ledger under test but amounts and times. Where `docs/ledger.md` and the model
//! differ, one of them is wrong.
//!
//! Each call comes with its time. Ids of grants, holds and entries are the model's own.

mod account;
mod accounts;
mod form;
mod grants;
mod holds;
mod prices;
mod reads;
mod refusal;
mod spend;

use std::collections::BTreeMap;

use tonic::Code;

pub use account::{Account, Archived};
pub use prices::{Cards, MAX, amount, text};

use account::Numbers;
use form::Body;
use prices::{NoPrice, Priced};
use refusal::{FieldViolations, not_found, refuse};

use crate::ledger::time::Nanos;
use crate::support::call::{Call, Outcome, Reply};
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

/// Some accounts as they were.
pub struct Before {
    accounts: Vec<(String, Option<Account>)>,
    numbers: Numbers,
}

/// The part of a request that every write has.
struct Write<'a> {
    request_id: &'a str,
    account: &'a str,
    body: Body,
    /// What is wrong whatever the time and the prices are.
    form: FieldViolations,
}

impl<'a> Write<'a> {
    const fn new(request_id: &'a str, account: &'a str, form: FieldViolations, body: Body) -> Self {
        Self {
            request_id,
            account,
            body,
            form,
        }
    }
}

impl Model {
    /// What a call that names these accounts may change.
    pub fn before(&self, accounts: Vec<String>) -> Before {
        let as_it_is = |name: String| {
            let account = self.accounts.get(&name).cloned();
            (name, account)
        };
        Before {
            accounts: accounts.into_iter().map(as_it_is).collect(),
            numbers: self.numbers.clone(),
        }
    }

    /// Takes a call back.
    pub fn restore(&mut self, before: &Before) {
        for (name, account) in &before.accounts {
            match account {
                Some(account) => self.accounts.insert(name.clone(), account.clone()),
                None => self.accounts.remove(name),
            };
        }
        self.numbers = before.numbers.clone();
    }

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
            Call::GetAccount(request) => self.get_account(request, now),
            Call::ListAccounts(request) => self.list_accounts(request, |_| now),
            Call::UpdateAccount(request) => self.update_account(request, now),
        }
    }

    /// A write. Its checks are in this order: its form, its request_id, what depends on time
    /// and prices, its account, and then what `decide` refuses.
    fn write<T>(
        &mut self,
        write: Write<'_>,
        now: Nanos,
        by_time: Result<T, NoPrice>,
        decide: impl FnOnce(&mut Account, &mut Numbers, &Cards, T) -> Outcome,
    ) -> Outcome {
        // One refusal has the bad fields of the form and those that depend on the time.
        let mut violations = write.form;
        if !violations.is_empty() {
            if let Err(NoPrice::Fields(others)) = by_time {
                violations.merge(others);
            }
            return Err(violations.refusal());
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
            return Ok(Reply {
                replayed: true,
                ..answer.clone()
            });
        }
        let priced = by_time.map_err(|no_price| match no_price {
            NoPrice::Fields(violations) => violations.refusal(),
            NoPrice::NoCard(refusal) => refusal,
        })?;
        let account = account(&mut self.accounts, write.account)?;
        account.lapse(&mut self.numbers, now);
        let reply = decide(account, &mut self.numbers, &self.cards, priced)?;
        let answer = (write.body, reply.clone());
        account.answers.insert(write.request_id.to_owned(), answer);
        Ok(reply)
    }

    /// The account of a read, after everything that has expired is written.
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
