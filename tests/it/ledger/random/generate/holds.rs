//! Calls about holds.

use creditd::rpc::pb::creditd::v1 as pb;

use super::super::super::time::{HOUR, MICROSECOND, SECOND, duration, timestamp};
use super::super::ids::Kind;
use super::Generator;
use crate::model::text;

impl Generator<'_> {
    pub(super) fn hold(&mut self, account: String) -> pb::HoldRequest {
        use pb::hold_request::What;
        let charge = self.charge(account);
        let what = charge.what.map(|what| match what {
            pb::charge_request::What::Usage(usage) => What::Usage(usage),
            pb::charge_request::What::Credits(credits) => What::Credits(credits),
        });
        pb::HoldRequest {
            request_id: charge.request_id,
            account: charge.account,
            what,
            prices: charge.prices,
            ttl: self.rng.chance(800).then(|| self.ttl()),
            labels: charge.labels,
        }
    }

    fn ttl(&mut self) -> prost_types::Duration {
        duration(self.length().min(24 * HOUR))
    }

    /// An open hold mostly, a closed one at times, rarely one that is none.
    pub(super) fn hold_id(&mut self, account: &str) -> String {
        let closed = self.rng.chance(120);
        let holds = self
            .model
            .accounts
            .get(account)
            .map_or(&[][..], |a| &a.holds);
        let holds = holds.iter().filter(|hold| closed || hold.is_open());
        let holds: Vec<String> = holds
            .map(|hold| hold.id.clone())
            .filter(|id| self.ids.knows(Kind::Hold, id))
            .collect();
        match self.rng.below(100) {
            0 => "no-such".to_owned(),
            1 => self.hold_of_another(account),
            _ => {
                let found = self.rng.pick_any(holds);
                found.unwrap_or_else(|| "no-such".to_owned())
            }
        }
    }

    /// A hold that the account does not have.
    fn hold_of_another(&mut self, account: &str) -> String {
        let others = self.model.accounts.values();
        let others = others.filter(|other| other.name != account);
        let holds: Vec<String> = others
            .flat_map(|other| &other.holds)
            .map(|hold| hold.id.clone())
            .filter(|id| self.ids.knows(Kind::Hold, id))
            .collect();
        let found = self.rng.pick_any(holds);
        found.unwrap_or_else(|| "no-such".to_owned())
    }

    /// Open holds, at times by what one of them is.
    pub(super) fn list_holds(&mut self, account: String) -> pb::ListHoldsRequest {
        let mut request = pb::ListHoldsRequest {
            page_size: *self.rng.pick(&[0, 1, 2, 3, 7, 2_000]),
            ..pb::ListHoldsRequest::default()
        };
        let holds = self.model.accounts.get(&account);
        let holds = holds.map_or(&[][..], |account| &account.holds);
        let open = holds.iter().filter(|hold| hold.is_open()).collect();
        if let Some(hold) = self.rng.pick_any(open) {
            if self.rng.chance(150) {
                request.request_id.clone_from(&hold.request_id);
            }
            // One label of it, or another that looks like it.
            while self.rng.chance(250) {
                let label = hold
                    .labels
                    .iter()
                    .min()
                    .map(|(k, v)| (k.clone(), v.clone()));
                let other = (*self.rng.pick(&["job", "team", "k"])).to_owned();
                let other = (other, self.rng.below(3).to_string());
                let found = label.filter(|_| self.rng.chance(700));
                request.labels.extend([found.unwrap_or(other)]);
            }
            let offsets = [0, 0, 0, -1, 1, -MICROSECOND, MICROSECOND, SECOND];
            if self.rng.chance(150) {
                let time = hold.create + *self.rng.pick(&offsets);
                request.start_time = Some(timestamp(time));
            }
            if self.rng.chance(150) {
                let time = hold.create + *self.rng.pick(&offsets);
                request.end_time = Some(timestamp(time));
            }
        }
        request.account = account;
        request
    }

    pub(super) fn extend(&mut self, account: String) -> pb::ExtendHoldRequest {
        pb::ExtendHoldRequest {
            request_id: self.request_id(),
            hold_id: self.hold_id(&account),
            account,
            ttl: Some(self.ttl()),
        }
    }

    pub(super) fn release(&mut self, account: String) -> pb::ReleaseHoldRequest {
        pb::ReleaseHoldRequest {
            request_id: self.request_id(),
            hold_id: self.hold_id(&account),
            account,
        }
    }

    pub(super) fn settle(&mut self, account: String) -> pb::SettleHoldRequest {
        use pb::settle_hold_request::What;
        let hold_id = self.hold_id(&account);
        let holds = self
            .model
            .accounts
            .get(&account)
            .map_or(&[][..], |a| &a.holds);
        let hold = holds.iter().find(|hold| hold.id == hold_id);
        let (held, service) = hold.map_or((0, ""), |hold| (hold.held(), &hold.service));
        let service = service.to_owned();
        let (what, prices) = match (hold, self.rng.below(10)) {
            (_, 0..=4) => {
                let usage = if service.is_empty() || self.rng.chance(120) {
                    self.usage(&account)
                } else {
                    self.usage_of(service)
                };
                let prices = match self.rng.below(3) {
                    0 => self.prices(&usage.service, &account),
                    _ => None,
                };
                (What::Usage(usage), prices)
            }
            (_, 5) => (What::Credits("0".to_owned()), None),
            _ => {
                let credits = text(self.amount(held));
                (What::Credits(credits), self.no_prices(&account))
            }
        };
        pb::SettleHoldRequest {
            request_id: self.request_id(),
            account,
            hold_id,
            what: Some(what),
            keep_open: self.rng.chance(350),
            overage: *self.rng.pick(&[0, 1, 2, 2]),
            prices,
            labels: self.labels(),
        }
    }
}
