//! Charge, BatchCharge and Refund.

use creditd::rpc::pb::creditd::v1 as pb;

use super::account::Account;
use super::form::{self, Body, What};
use super::grants::check_balance;
use super::prices::text;
use super::refusal::{Faults, not_found, precondition};
use super::{BATCH_MAX, Model, NoPrice, Priced, Write};
use crate::ledger::call::{Nanos, Outcome, Reply};
use crate::support::refusal::Refusal;

/// What is to be paid: a usage with its price, or an amount.
#[derive(Clone)]
pub(super) enum Cost {
    Usage(Priced),
    Credits(i64),
}

impl Cost {
    pub(super) fn credits(&self) -> i64 {
        match self {
            Self::Usage(priced) => priced.cost,
            Self::Credits(credits) => *credits,
        }
    }

    /// The service; "" for an amount.
    pub(super) fn service(&self) -> &str {
        match self {
            Self::Usage(priced) => &priced.usage.service,
            Self::Credits(_) => "",
        }
    }

    /// An entry that says what was priced.
    pub(super) fn entry(&self) -> pb::Entry {
        match self {
            Self::Usage(priced) => pb::Entry {
                service: priced.usage.service.clone(),
                rate_card: priced.rate_card.clone(),
                revision: priced.revision.clone(),
                usage: Some(priced.usage.clone()),
                ..pb::Entry::default()
            },
            Self::Credits(_) => pb::Entry::default(),
        }
    }
}

/// That the account cannot pay.
pub(super) fn insufficient(account: &Account, required: i64, available: i64) -> Refusal {
    precondition(
        "INSUFFICIENT_CREDITS",
        &[
            ("account", account.name.clone()),
            ("required", text(required)),
            ("available", text(available)),
            ("shortfall", text(required - available)),
        ],
    )
}

impl Model {
    /// What a usage costs, or the amount itself.
    pub(super) fn cost(
        &self,
        what: Option<&What>,
        prices: &pb::PriceSelector,
        now: Nanos,
    ) -> Result<Cost, NoPrice> {
        match what {
            Some(What::Usage(usage)) => self.cards.price(usage, prices, now).map(Cost::Usage),
            Some(What::Credits(credits)) => Ok(Cost::Credits(*credits)),
            None => Ok(Cost::Credits(0)),
        }
    }

    pub(super) fn charge(&mut self, request: &pb::ChargeRequest, now: Nanos) -> Outcome {
        use pb::charge_request::What as Asked;
        let mut form = Faults::default();
        form::caller(&mut form, &request.request_id, &request.account);
        let what = match &request.what {
            None => None,
            Some(Asked::Usage(usage)) => Some(What::Usage(usage.clone())),
            Some(Asked::Credits(text)) => {
                Some(What::Credits(form::credits(&mut form, text, false)))
            }
        };
        let prices = request.prices.as_ref();
        let (what, prices) = form::what(&mut form, what, prices, &request.account);
        form.pairs("labels", &request.labels);
        let mut body = Body::from([
            ("verb", "Charge".to_owned()),
            ("labels", form::pairs_text(&request.labels)),
        ]);
        form::what_body(&mut body, what.as_ref(), &prices);
        let cost = self.cost(what.as_ref(), &prices, now);
        let write = Write {
            request_id: &request.request_id,
            account: &request.account,
            body,
            form,
        };
        self.write(write, now, cost, |account, numbers, _, cost| {
            let paid = account
                .payers(cost.credits(), cost.service())
                .map_err(|available| insufficient(account, cost.credits(), available))?;
            let shares = paid.iter().map(|&(grant, part)| (grant, -part, 0));
            let entry = pb::Entry {
                kind: pb::EntryKind::Charge.into(),
                request_id: request.request_id.clone(),
                labels: request.labels.clone(),
                spent: text(cost.credits()),
                ..cost.entry()
            };
            let shares = shares.collect();
            let entry = account.write(numbers, now, shares, paid, entry);
            Ok(Reply::Charge(pb::ChargeResponse {
                entry: Some(entry),
                available: text(account.available()),
                replayed: false,
            }))
        })
    }

    pub(super) fn batch_charge(&mut self, request: &pb::BatchChargeRequest, now: Nanos) -> Outcome {
        let mut faults = Faults::default();
        match request.charges.len() {
            0 => faults.add("charges", "BATCH_EMPTY"),
            1..=BATCH_MAX => {}
            _ => faults.add("charges", "TOO_MANY_ITEMS"),
        }
        if !faults.is_empty() {
            return Err(faults.refusal());
        }
        let items = request.charges.iter();
        let results = items.map(|item| match self.charge(item, now)? {
            Reply::Charge(mut reply) => {
                // A batch tells nothing of the grants that paid.
                reply
                    .entry
                    .iter_mut()
                    .for_each(|entry| entry.grants.clear());
                Ok(reply)
            }
            other => unreachable!("{other:?}"),
        });
        Ok(Reply::BatchCharge(results.collect()))
    }

    pub(super) fn refund(&mut self, request: &pb::RefundRequest, now: Nanos) -> Outcome {
        let mut form = Faults::default();
        form::caller(&mut form, &request.request_id, &request.account);
        form::id(&mut form, "entry_id", &request.entry_id);
        let credits = request.credits.as_ref().map(|text| match text.as_str() {
            // Set and empty.
            "" => {
                form.add("credits", "INVALID_AMOUNT");
                0
            }
            text => form::credits(&mut form, text, false),
        });
        form.pairs("labels", &request.labels);
        let write = Write {
            request_id: &request.request_id,
            account: &request.account,
            body: Body::from([
                ("verb", "Refund".to_owned()),
                ("entry_id", request.entry_id.clone()),
                ("credits", format!("{credits:?}")),
                ("labels", form::pairs_text(&request.labels)),
            ]),
            form,
        };
        self.write(write, now, Ok(()), |account, numbers, _, ()| {
            let mut entries = account.entries.iter();
            let Some(at) = entries.position(|old| old.entry.entry_id == request.entry_id) else {
                return Err(not_found("ENTRY_NOT_FOUND", "entry_id", &request.entry_id));
            };
            let old = &account.entries[at];
            let kind = old.entry.kind();
            if !matches!(kind, pb::EntryKind::Charge | pb::EntryKind::Settle) {
                let name = kind.as_str_name().trim_start_matches("ENTRY_KIND_");
                let metadata = [
                    ("entry_id", request.entry_id.clone()),
                    ("kind", name.to_owned()),
                ];
                return Err(precondition("ENTRY_NOT_REFUNDABLE", &metadata));
            }
            let refundable: i64 = old.paid.iter().map(|(_, part)| part).sum();
            let asked = credits.unwrap_or(refundable);
            if asked > refundable || refundable == 0 {
                let requested = credits.map_or_else(|| old.entry.spent.clone(), text);
                let metadata = [
                    ("entry_id", request.entry_id.clone()),
                    ("refundable", text(refundable)),
                    ("requested", requested),
                ];
                return Err(precondition("REFUND_EXCEEDS_CHARGE", &metadata));
            }
            let entry = pb::Entry {
                kind: pb::EntryKind::Refund.into(),
                request_id: request.request_id.clone(),
                service: old.entry.service.clone(),
                rate_card: old.entry.rate_card.clone(),
                revision: old.entry.revision.clone(),
                refunded_entry_id: old.entry.entry_id.clone(),
                labels: request.labels.clone(),
                spent: text(-asked),
                ..pb::Entry::default()
            };
            check_balance(account, asked)?;
            // The last one that paid is the first to get back.
            let mut rest = asked;
            let mut shares = Vec::new();
            for (grant, part) in account.entries[at].paid.iter_mut().rev() {
                let back = rest.min(*part);
                *part -= back;
                rest -= back;
                shares.push((*grant, back, 0));
            }
            let grants: Vec<usize> = shares.iter().map(|share| share.0).collect();
            let entry = account.write(numbers, now, shares, Vec::new(), entry);
            account.leave_again(numbers, now, &grants);
            Ok(Reply::Refund(pb::RefundResponse {
                entry: Some(entry),
                available: text(account.available()),
                replayed: false,
            }))
        })
    }
}
