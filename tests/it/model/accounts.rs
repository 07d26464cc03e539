//! GetAccount, ListAccounts and UpdateAccount.

use creditd::rpc::pb::creditd::v1 as pb;

use super::account::Account;
use super::form::{self, Body};
use super::prices::{NoPrice, text};
use super::reads::{balance, page, token};
use super::refusal::{FieldViolations, not_found};
use super::{Model, Write};
use crate::ledger::time::{Nanos, timestamp};
use crate::support::call::{Outcome, Reply};

/// What can be set.
const SETTINGS: [&str; 3] = ["rate_card", "attributes", "labels"];

impl Model {
    pub(super) fn get_account(&mut self, request: &pb::GetAccountRequest, now: Nanos) -> Outcome {
        let mut violations = FieldViolations::default();
        form::account_name(&mut violations, "account", &request.account);
        if !violations.is_empty() {
            return Err(violations.refusal());
        }
        let account = self.read(&request.account, now)?;
        Ok(Reply {
            account: Some(account.to_pb(balance(account, now))),
            ..Reply::default()
        })
    }

    /// Each account is read at a time of its own.
    pub fn list_accounts(
        &mut self,
        request: &pb::ListAccountsRequest,
        time_of: impl Fn(&str) -> Nanos,
    ) -> Outcome {
        let mut violations = FieldViolations::default();
        if !request.prefix.is_empty() {
            form::account_name(&mut violations, "prefix", &request.prefix);
        }
        let size = form::page_size(&mut violations, request.page_size);
        let list = format!("accounts {}", request.prefix);
        let after: Option<String> = page(&mut violations, &list, &request.page_token);
        if !violations.is_empty() {
            return Err(violations.refusal());
        }
        let names = self.accounts.keys().filter(|name| {
            name.starts_with(&request.prefix) && after.as_ref().is_none_or(|after| *name > after)
        });
        let mut names: Vec<String> = names.cloned().collect();
        let more = names.len() > size;
        names.truncate(size);
        let mut accounts = Vec::new();
        for name in &names {
            let time = time_of(name);
            let account = self.read(name, time)?;
            accounts.push(account.to_pb(pb::Balance {
                grants: Vec::new(),
                ..balance(account, time)
            }));
        }
        let last = names.last().filter(|_| more);
        Ok(Reply {
            accounts: Some(accounts),
            next_page_token: last.map_or_else(String::new, |last| token(&list, last)),
            ..Reply::default()
        })
    }

    pub(super) fn update_account(
        &mut self,
        request: &pb::UpdateAccountRequest,
        now: Nanos,
    ) -> Outcome {
        let asked = request.account.clone().unwrap_or_default();
        let mut form = FieldViolations::default();
        form::request_id(&mut form, &request.request_id);
        form::account_name(&mut form, "account.account", &asked.account);
        let mask = request.update_mask.clone().unwrap_or_default().paths;
        let sets = |setting: &str| mask.iter().any(|path| path == setting);
        if mask.is_empty() || mask.iter().any(|path| !SETTINGS.contains(&path.as_str())) {
            form.add("update_mask", "INVALID_MASK");
        }
        let mut body = Body::from([
            ("verb", "UpdateAccount".to_owned()),
            ("allow_missing", request.allow_missing.to_string()),
        ]);
        if sets("rate_card") {
            body.insert("rate_card", asked.rate_card.clone());
        }
        if sets("attributes") {
            form.pairs("account.attributes", &asked.attributes);
            body.insert("attributes", form::pairs_text(&asked.attributes));
        }
        if sets("labels") {
            form.pairs("account.labels", &asked.labels);
            body.insert("labels", form::pairs_text(&asked.labels));
        }
        let unknown = sets("rate_card")
            && !asked.rate_card.is_empty()
            && !self.cards.has_name(&asked.rate_card);
        let looked_at = sets("attributes") && !form.has("account.attributes");
        let mut wrong = FieldViolations::default();
        if looked_at {
            for reason in self.cards.wrong_attributes(&asked.attributes) {
                wrong.add("account.attributes", reason);
            }
        }
        let by_cards = match (wrong.is_empty(), unknown) {
            (false, _) => Err(NoPrice::Fields(wrong)),
            (true, true) => Err(NoPrice::NoCard(not_found(
                "RATE_CARD_NOT_FOUND",
                "rate_card",
                &asked.rate_card,
            ))),
            (true, false) => Ok(()),
        };
        let opens = form.is_empty() && by_cards.is_ok() && request.allow_missing;
        if opens && !self.accounts.contains_key(&asked.account) {
            let account = Account::new(&asked.account, now);
            self.accounts.insert(asked.account.clone(), account);
        }
        let write = Write::new(&request.request_id, &asked.account, form, body);
        self.write(write, now, by_cards, |account, _, _, ()| {
            if sets("rate_card") {
                account.rate_card.clone_from(&asked.rate_card);
            }
            if sets("attributes") {
                account.attributes.clone_from(&asked.attributes);
            }
            if sets("labels") {
                account.labels.clone_from(&asked.labels);
            }
            let balance = pb::Balance {
                account: account.name.clone(),
                available: text(account.available()),
                held: text(account.held()),
                grants: Vec::new(),
                read_time: Some(timestamp(now)),
                version: account.version(),
            };
            Ok(Reply {
                account: Some(account.to_pb(balance)),
                ..Reply::default()
            })
        })
    }
}

impl Account {
    fn to_pb(&self, balance: pb::Balance) -> pb::Account {
        pb::Account {
            account: self.name.clone(),
            create_time: Some(timestamp(self.create)),
            rate_card: self.rate_card.clone(),
            attributes: self.attributes.clone(),
            labels: self.labels.clone(),
            balance: Some(balance),
        }
    }
}
