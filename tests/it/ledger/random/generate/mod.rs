//! Calls that are likely to mean something to the ledger as it is.

mod accounts;
mod holds;
mod methods;

use creditd::rpc::pb::creditd::v1 as pb;

pub use methods::{METHODS, Method, REFUSALS_OF_WRITES};

use super::super::time::{HOUR, MICROSECOND, MILLISECOND, Nanos, SECOND, duration, timestamp};
use super::ids::{Ids, Kind};
use super::rng::Rng;
use crate::model::{Account, MAX, Model, text};
use crate::support::call::Call;

/// Accounts that are used; the last one is never opened.
pub const ACCOUNTS: [&str; 5] = ["team-a", "team-b", "auth0|a+b@x.y", "solo", "nobody"];

/// What a call is made from.
pub struct Generator<'a> {
    pub rng: &'a mut Rng,
    pub model: &'a Model,
    pub ids: &'a Ids,
    /// The ledger's time is this or later.
    pub now: Nanos,
    /// Of the next new request.
    pub number: &'a mut u64,
}

impl Generator<'_> {
    /// A call of one of the methods.
    pub fn call(&mut self) -> Call {
        let account = self.account();
        let known = self.model.accounts.contains_key(&account);
        if !known && account != "nobody" && self.rng.chance(800) {
            return match self.rng.chance(200) {
                true => Call::UpdateAccount(self.update(account)),
                false => Call::Grant(self.grant(account)),
            };
        }
        let methods = METHODS.map(|method| (method.weight, method.name));
        let method = self.rng.weighted(&methods);
        let of_hold = ["ExtendHold", "SettleHold", "ReleaseHold", "GetHold"].contains(&method);
        let holds = self.state(&account).map_or(0, Account::open_holds);
        if known && of_hold && holds == 0 && self.rng.chance(850) {
            return Call::Hold(self.hold(account));
        }
        match method {
            "Grant" if account != "nobody" => Call::Grant(self.grant(account)),
            "Charge" => Call::Charge(self.charge(account)),
            "BatchCharge" => Call::BatchCharge(self.batch_charge()),
            "Refund" => Call::Refund(self.refund(account)),
            "Hold" => Call::Hold(self.hold(account)),
            "ExtendHold" => Call::ExtendHold(self.extend(account)),
            "SettleHold" => Call::SettleHold(self.settle(account)),
            "ReleaseHold" => Call::ReleaseHold(self.release(account)),
            "RevokeGrant" => Call::RevokeGrant(self.revoke(account)),
            "GetHold" => Call::GetHold(pb::GetHoldRequest {
                hold_id: self.hold_id(&account),
                account,
            }),
            "ListHolds" => Call::ListHolds(self.list_holds(account)),
            "ListEntries" => Call::ListEntries(self.list_entries(account)),
            "GetAccount" => Call::GetAccount(pb::GetAccountRequest { account }),
            "ListAccounts" => Call::ListAccounts(self.list_accounts(&account)),
            "UpdateAccount" => Call::UpdateAccount(self.update(account)),
            _ => Call::GetBalance(self.balance(account)),
        }
    }

    fn account(&mut self) -> String {
        let weights = [(40, 0), (30, 1), (20, 2), (9, 3), (1, 4)];
        let at: usize = self.rng.weighted(&weights);
        ACCOUNTS[at].to_owned()
    }

    fn state(&self, account: &str) -> Option<&Account> {
        self.model.accounts.get(account)
    }

    fn request_id(&mut self) -> String {
        *self.number += 1;
        format!("r{}", self.number)
    }

    fn labels(&mut self) -> std::collections::BTreeMap<String, String> {
        let mut labels = std::collections::BTreeMap::new();
        while self.rng.chance(200) {
            let key = (*self.rng.pick(&["job", "team", "k"])).to_owned();
            labels.insert(key, self.rng.below(3).to_string());
        }
        labels
    }

    /// A length from a millisecond to days, more often a short one.
    fn length(&mut self) -> Nanos {
        let unit = *self.rng.pick(&[MILLISECOND, SECOND, 60 * SECOND, HOUR]);
        let length = unit * Nanos::from(self.rng.between(1, 30));
        match self.rng.below(4) {
            0 => length + Nanos::from(self.rng.between(0, 999_999)),
            1 => length + MICROSECOND * Nanos::from(self.rng.between(0, 999)),
            _ => length,
        }
    }

    /// An amount of any size, often with few digits.
    fn any_amount(&mut self) -> i64 {
        match self.rng.below(10) {
            0 => self.rng.between(1, 9),
            1 => self.rng.between(1, 100_000_000_000),
            2 => self.rng.between(1, 9_000_000_000_000_000_000),
            _ => self.rng.between(1, 200) * 250_000_000,
        }
    }

    /// An amount that the account can spend, or nearly.
    fn amount(&mut self, spendable: i64) -> i64 {
        if spendable == 0 {
            return self.any_amount();
        }
        match self.rng.below(20) {
            0 => spendable,
            1 => (spendable + 1).min(MAX),
            2 => self.any_amount(),
            3..=9 => self.rng.between(1, spendable),
            _ => self.rng.between(1, (spendable / 5).max(1)),
        }
    }

    /// A service, mostly one of the card of the account.
    fn service(&mut self, account: &str) -> String {
        let cards = &self.model.cards;
        let mut services = cards.services();
        if self.rng.chance(700) {
            let own = self.card_of(account);
            services.retain(|service| cards.names_with(service).contains(&own));
        }
        // Hardly anybody can pay a film.
        match *self.rng.pick(&services) {
            "film" if self.rng.chance(900) => "image".to_owned(),
            service => service.to_owned(),
        }
    }

    /// The name of the card by which an account is priced.
    fn card_of(&self, account: &str) -> &'static str {
        let state = self.model.accounts.get(account);
        let named = state.map_or("", |state| state.rate_card.as_str());
        let mut names = ["partner", "maker"].into_iter();
        names.find(|name| *name == named).unwrap_or("studio")
    }

    pub fn usage(&mut self, account: &str) -> pb::Usage {
        let service = self.service(account);
        self.usage_of(service)
    }

    fn usage_of(&mut self, service: String) -> pb::Usage {
        use pb::usage::Quantity;
        let quantity = if self.model.cards.by_time(&service) {
            Some(Quantity::Duration(duration(self.length())))
        } else if self.rng.chance(150) {
            None
        } else {
            Some(Quantity::Count(match self.rng.below(8) {
                0 => self.rng.between(1, 5_000),
                _ => self.rng.between(1, 10),
            }))
        };
        pb::Usage {
            service,
            quantity,
            ..pb::Usage::default()
        }
    }

    /// Which prices; where the card of the account does not have the service, mostly those of
    /// one that has.
    pub fn prices(&mut self, service: &str, account: &str) -> Option<pb::PriceSelector> {
        let mut prices = pb::PriceSelector::default();
        if self.rng.chance(100) {
            account.clone_into(&mut prices.account);
        }
        let fitting = self.model.cards.names_with(service);
        let fits = fitting.contains(&self.card_of(account));
        match self.rng.below(20) {
            0..=13 if !fits => prices.rate_card = (*self.rng.pick(&fitting)).to_owned(),
            0..=3 => {
                let revisions = self.model.cards.revisions();
                let (name, revision) = *self.rng.pick(&revisions);
                prices.revision = self.quoted(revision);
                if self.rng.chance(200) {
                    name.clone_into(&mut prices.rate_card);
                }
            }
            4 => {
                let names = ["studio", "partner", "maker", "unheard-of"];
                prices.rate_card = (*self.rng.pick(&names)).to_owned();
            }
            5 => {
                let hours = Nanos::from(self.rng.between(-40, 40));
                let nanosecond = Nanos::from(self.rng.below(2));
                prices.price_time = Some(timestamp(self.now + hours * HOUR + nanosecond));
            }
            6 if self.rng.chance(100) => "0123abcd".clone_into(&mut prices.revision),
            _ => {}
        }
        let named = prices != pb::PriceSelector::default();
        (named || self.rng.chance(50)).then_some(prices)
    }

    /// A revision as it is, or with values behind it as an estimate names it; at times such that
    /// no estimate does.
    fn quoted(&mut self, revision: &str) -> String {
        let mut pairs = Vec::new();
        for values in self.model.cards.quotable(revision) {
            if self.rng.chance(700) {
                pairs.push(self.rng.pick(&values).clone());
            }
        }
        if self.rng.chance(100) {
            match self.rng.below(6) {
                0 => pairs.reverse(),
                1 => pairs.push(String::new()),
                2 => pairs.push("plan=9".to_owned()),
                3 => pairs.extend(pairs.last().cloned()),
                4 => pairs.insert(0, "job=1".to_owned()),
                _ => pairs.push("region=far away".to_owned()),
            }
        }
        match pairs.is_empty() {
            true => revision.to_owned(),
            false => format!("{revision}.{}", pairs.join(",")),
        }
    }

    /// The account of an amount, named or not.
    fn no_prices(&mut self, account: &str) -> Option<pb::PriceSelector> {
        self.rng.chance(50).then(|| pb::PriceSelector {
            account: account.to_owned(),
            ..pb::PriceSelector::default()
        })
    }

    pub fn grant(&mut self, account: String) -> pb::GrantRequest {
        let expire_time = self
            .rng
            .chance(600)
            .then(|| timestamp(self.now + self.length()));
        let mut services = Vec::new();
        while self.rng.chance(250) {
            services.push(self.service(&account));
        }
        let credits = match self.rng.below(80) {
            0 => self.room(&account),
            1..=2 => self.any_amount(),
            3..=4 => self.rng.between(1, 9),
            _ => self.rng.between(1, 400) * 250_000_000,
        };
        pb::GrantRequest {
            request_id: self.request_id(),
            account,
            credits: text(credits),
            expire_time,
            priority: *self.rng.pick(&[0, 0, 0, 0, 1, -1, 7, i32::MIN, i32::MAX]),
            source: (*self.rng.pick(&["", "purchase", "plan"])).to_owned(),
            services,
            labels: self.labels(),
        }
    }

    /// About as much as the account can still have.
    fn room(&mut self, account: &str) -> i64 {
        let has = |state: &Account| state.available() + state.held();
        let room = MAX - self.state(account).map_or(0, has);
        (room + self.rng.between(-1, 1)).clamp(1, MAX)
    }

    pub fn charge(&mut self, account: String) -> pb::ChargeRequest {
        use pb::charge_request::What;
        let (what, prices) = if self.rng.chance(500) {
            let usage = self.usage(&account);
            let prices = self.prices(&usage.service, &account);
            (What::Usage(usage), prices)
        } else {
            let spendable = self.state(&account).map_or(0, |state| state.spendable(""));
            let credits = text(self.amount(spendable));
            (What::Credits(credits), self.no_prices(&account))
        };
        pb::ChargeRequest {
            request_id: self.request_id(),
            account,
            what: Some(what),
            prices,
            labels: self.labels(),
        }
    }

    fn batch_charge(&mut self) -> pb::BatchChargeRequest {
        let mut charges: Vec<pb::ChargeRequest> = Vec::new();
        for _ in 0..self.rng.between(1, 8) {
            let account = self.account();
            let mut charge = self.charge(account);
            // The same one again, or another by the same name.
            if self.rng.chance(100)
                && let Some(first) = charges.first()
            {
                if self.rng.chance(500) {
                    charge = first.clone();
                } else {
                    charge.request_id.clone_from(&first.request_id);
                }
            }
            charges.push(charge);
        }
        pb::BatchChargeRequest { charges }
    }

    fn refund(&mut self, account: String) -> pb::RefundRequest {
        let mut entries = Vec::new();
        if let Some(state) = self.model.accounts.get(&account) {
            let any = self.rng.chance(100);
            for written in &state.entries {
                let refundable: i64 = written.paid.iter().map(|(_, part)| part).sum();
                let id = &written.entry.entry_id;
                if (any || refundable > 0) && self.ids.knows(Kind::Entry, id) {
                    entries.push((id.clone(), refundable));
                }
            }
            // The newest more often than the old ones.
            if self.rng.chance(600) {
                let keep = entries.len().saturating_sub(5);
                entries.drain(..keep);
            }
        }
        let found = self.rng.pick_any(entries).filter(|_| !self.rng.chance(20));
        let (entry_id, refundable) = found.unwrap_or(("no-such".to_owned(), 0));
        let credits = if self.rng.chance(300) {
            None
        } else {
            Some(text(self.amount(refundable)))
        };
        pb::RefundRequest {
            request_id: self.request_id(),
            account,
            entry_id,
            credits,
            labels: self.labels(),
        }
    }

    fn revoke(&mut self, account: String) -> pb::RevokeGrantRequest {
        let mut grants = Vec::new();
        if let Some(state) = self.model.accounts.get(&account) {
            let any = self.rng.chance(150);
            for grant in &state.grants {
                let live = grant.remaining > 0 || grant.held > 0;
                if (any || live) && self.ids.knows(Kind::Grant, &grant.id) {
                    grants.push(grant.id.clone());
                }
            }
        }
        let found = self.rng.pick_any(grants).filter(|_| !self.rng.chance(50));
        pb::RevokeGrantRequest {
            request_id: self.request_id(),
            account,
            grant_id: found.unwrap_or_else(|| "no-such".to_owned()),
            labels: self.labels(),
        }
    }

    /// A moment in the account's past, often one at which something happened.
    fn past(&mut self, account: &str) -> Nanos {
        let entries = self
            .model
            .accounts
            .get(account)
            .map_or(&[][..], |a| &a.entries);
        let Some(written) = (!entries.is_empty()).then(|| self.rng.pick(entries)) else {
            return self.now - HOUR;
        };
        let offsets = [0, 0, 0, -1, 1, -MICROSECOND, MICROSECOND, SECOND];
        (written.time + *self.rng.pick(&offsets)).min(self.now)
    }

    fn list_entries(&mut self, account: String) -> pb::ListEntriesRequest {
        let mut request = pb::ListEntriesRequest {
            page_size: *self.rng.pick(&[0, 1, 2, 3, 10, 100, 5_000]),
            ..pb::ListEntriesRequest::default()
        };
        if self.rng.chance(200) {
            request.start_time = Some(timestamp(self.past(&account)));
        }
        if self.rng.chance(200) {
            request.end_time = Some(timestamp(self.past(&account)));
        }
        while self.rng.chance(250) {
            request
                .kinds
                .push(i32::try_from(self.rng.between(1, 8)).unwrap());
        }
        if self.rng.chance(150) {
            request.service = self.service(&account);
        }
        if self.rng.chance(100) {
            request.hold_id = self.hold_id(&account);
        }
        if request.kinds.len() > 2 {
            // No key did anything. From five kinds on it is too long.
            request.key_id = "k".repeat(request.kinds.len() * 16);
        }
        request.account = account;
        request
    }

    fn balance(&mut self, account: String) -> pb::GetBalanceRequest {
        let as_of = self.rng.chance(800).then(|| timestamp(self.past(&account)));
        pb::GetBalanceRequest { account, as_of }
    }
}

/// The next instants at which something of an account ends.
pub fn ends(account: &Account) -> Vec<Nanos> {
    let holds = account.holds.iter().filter(|hold| hold.is_open());
    let grants = account.grants.iter().filter(|grant| !grant.expired);
    let holds = holds.map(|hold| hold.expire);
    holds
        .chain(grants.filter_map(|grant| grant.expire))
        .collect()
}
