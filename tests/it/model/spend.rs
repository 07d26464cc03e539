//! Charge, BatchCharge and Refund.

use creditd::rpc::pb::creditd::v1 as pb;

use super::account::Account;
use super::form::{self, Body, UsageOrCredits};
use super::grants::check_balance;
use super::prices::{OfAccount, text};
use super::refusal::{FieldViolations, not_found, precondition};
use super::{BATCH_MAX, Model, NoPrice, Priced, Write};
use crate::ledger::time::Nanos;
use crate::support::call::{Outcome, Reply, Results};
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
                price_values: priced.values.clone(),
                price_time: priced.time,
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
    /// What a usage costs an account as it is now, or the amount itself.
    pub(super) fn cost(
        &self,
        requested: Option<&UsageOrCredits>,
        prices: &pb::PriceSelector,
        account: &str,
        now: Nanos,
    ) -> Result<Cost, NoPrice> {
        match requested {
            Some(UsageOrCredits::Usage(usage)) => {
                let account = self.accounts.get(account);
                let says = account.map_or_else(OfAccount::default, |account| OfAccount {
                    rate_card: account.rate_card.clone(),
                    attributes: account.attributes.clone(),
                });
                let priced = self.cards.price(usage, prices, &says, now);
                priced.map(Cost::Usage)
            }
            Some(UsageOrCredits::Credits(credits)) => Ok(Cost::Credits(*credits)),
            None => Ok(Cost::Credits(0)),
        }
    }

    pub(super) fn charge(&mut self, request: &pb::ChargeRequest, now: Nanos) -> Outcome {
        let mut form = form::of_write(&request.request_id, &request.account);
        let (requested, prices) = form::usage_or_credits(
            &mut form,
            request.what.as_ref(),
            false,
            request.prices.as_ref(),
            &request.account,
        );
        form.pairs("labels", &request.labels);
        let mut body = Body::from([
            ("verb", "Charge".to_owned()),
            ("labels", form::pairs_text(&request.labels)),
        ]);
        form::describe_usage_or_credits(&mut body, requested.as_ref(), &prices);
        let cost = self.cost(requested.as_ref(), &prices, &request.account, now);
        let write = Write::new(&request.request_id, &request.account, form, body);
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
            Ok(account.reply_with_entry(entry))
        })
    }

    pub(super) fn batch_charge(&mut self, request: &pb::BatchChargeRequest, now: Nanos) -> Outcome {
        let mut violations = FieldViolations::default();
        match request.charges.len() {
            0 => violations.add("charges", "BATCH_EMPTY"),
            1..=BATCH_MAX => {}
            _ => violations.add("charges", "TOO_MANY_ITEMS"),
        }
        if !violations.is_empty() {
            return Err(violations.refusal());
        }
        let items = request.charges.iter();
        let results = items.map(|item| {
            let mut reply = self.charge(item, now)?;
            // A batch does not say which grants paid.
            reply
                .entry
                .iter_mut()
                .for_each(|entry| entry.grants.clear());
            Ok(reply)
        });
        let results: Vec<Outcome> = results.collect();
        let failed = results.iter().filter(|result| result.is_err()).count();
        Ok(Reply {
            results: Results(results),
            failed_count: Some(i32::try_from(failed).unwrap()),
            ..Reply::default()
        })
    }

    pub(super) fn refund(&mut self, request: &pb::RefundRequest, now: Nanos) -> Outcome {
        let mut form = form::of_write(&request.request_id, &request.account);
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
        let body = Body::from([
            ("verb", "Refund".to_owned()),
            ("entry_id", request.entry_id.clone()),
            ("credits", format!("{credits:?}")),
            ("labels", form::pairs_text(&request.labels)),
        ]);
        let write = Write::new(&request.request_id, &request.account, form, body);
        self.write(write, now, Ok(()), |account, numbers, _, ()| {
            let mut entries = account.entries.iter();
            let Some(at) = entries.position(|old| old.entry.entry_id == request.entry_id) else {
                return Err(not_found("ENTRY_NOT_FOUND", "entry_id", &request.entry_id));
            };
            if at < account.archived_entries() {
                return Err(account.in_archive());
            }
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
                price_values: old.entry.price_values.clone(),
                price_time: old.entry.price_time,
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
            account.take_from_ended(numbers, now, &grants);
            Ok(account.reply_with_entry(entry))
        })
    }
}
