//! Hold, ExtendHold, SettleHold and ReleaseHold.

use creditd::rpc::pb::creditd::v1 as pb;
use pb::HoldStatus as Status;

use super::account::{Account, Hold};
use super::form::{self, Body, UsageOrCredits};
use super::prices::text;
use super::refusal::{not_found, precondition};
use super::spend::{Cost, insufficient};
use super::{HOLDS_MAX, Model, NoPrice, Write};
use crate::ledger::time::{HOUR, Nanos};
use crate::support::call::{Outcome, Reply};
use crate::support::refusal::Refusal;

/// Where the hold stands among those of the account.
fn find(account: &Account, hold_id: &str) -> Result<usize, Refusal> {
    let mut holds = account.holds.iter();
    match holds.position(|hold| hold.id == hold_id) {
        Some(at) if account.is_hold_archived(at) => Err(account.in_archive()),
        Some(at) => Ok(at),
        None => Err(not_found("HOLD_NOT_FOUND", "hold_id", hold_id)),
    }
}

/// The same, of a hold that can still change.
fn find_open(account: &Account, hold_id: &str) -> Result<usize, Refusal> {
    let at = find(account, hold_id)?;
    let status = match account.holds[at].status {
        Status::Open => return Ok(at),
        Status::Settled => "settled",
        Status::Released => "released",
        Status::Expired => "expired",
        Status::Unspecified => unreachable!("no hold is unspecified"),
    };
    let metadata = [
        ("hold_id", hold_id.to_owned()),
        ("status", status.to_owned()),
    ];
    Err(precondition("HOLD_CLOSED", &metadata))
}

impl Model {
    pub(super) fn hold(&mut self, request: &pb::HoldRequest, now: Nanos) -> Outcome {
        let mut form = form::of_write(&request.request_id, &request.account);
        let (requested, prices) = form::usage_or_credits(
            &mut form,
            request.what.as_ref(),
            false,
            request.prices.as_ref(),
            &request.account,
        );
        let ttl = request.ttl.as_ref();
        let ttl = ttl.map_or(HOUR, |ttl| form::ttl(&mut form, ttl));
        form.pairs("labels", &request.labels);
        let mut body = Body::from([
            ("verb", "Hold".to_owned()),
            ("ttl", ttl.to_string()),
            ("labels", form::pairs_text(&request.labels)),
        ]);
        form::describe_usage_or_credits(&mut body, requested.as_ref(), &prices);
        let cost = self.cost(requested.as_ref(), &prices, &request.account, now);
        let write = Write::new(&request.request_id, &request.account, form, body);
        self.write(write, now, cost, |account, numbers, _, cost| {
            if account.open_holds() >= HOLDS_MAX {
                let metadata = [
                    ("account", account.name.clone()),
                    ("limit", HOLDS_MAX.to_string()),
                ];
                return Err(precondition("TOO_MANY_HOLDS", &metadata));
            }
            let parts = account
                .payers(cost.credits(), cost.service())
                .map_err(|available| insufficient(account, cost.credits(), available))?;
            let shares = parts.iter().map(|&(grant, part)| (grant, -part, part));
            let shares = shares.collect();
            let entry = cost.entry();
            account.holds.push(Hold {
                id: numbers.next('h'),
                parts,
                settled: 0,
                status: Status::Open,
                create: now,
                expire: now + ttl,
                service: entry.service.clone(),
                revision: entry.revision.clone(),
                price_values: entry.price_values.clone(),
                usage: entry.usage.clone(),
                request_id: request.request_id.clone(),
                labels: request.labels.clone(),
            });
            let at = account.holds.len() - 1;
            let entry = pb::Entry {
                kind: pb::EntryKind::Hold.into(),
                request_id: request.request_id.clone(),
                hold_id: account.holds[at].id.clone(),
                labels: request.labels.clone(),
                ..entry
            };
            account.write(numbers, now, shares, Vec::new(), entry);
            Ok(Reply {
                hold: Some(account.hold_to_pb(at)),
                ..account.reply()
            })
        })
    }

    pub(super) fn extend_hold(&mut self, request: &pb::ExtendHoldRequest, now: Nanos) -> Outcome {
        let mut form = form::of_write(&request.request_id, &request.account);
        form::id(&mut form, "hold_id", &request.hold_id);
        let ttl = match &request.ttl {
            Some(ttl) => form::ttl(&mut form, ttl),
            None => {
                form.add("ttl", "FIELD_REQUIRED");
                0
            }
        };
        let body = Body::from([
            ("verb", "ExtendHold".to_owned()),
            ("hold_id", request.hold_id.clone()),
            ("ttl", ttl.to_string()),
        ]);
        let write = Write::new(&request.request_id, &request.account, form, body);
        self.write(write, now, Ok(()), |account, _, _, ()| {
            let at = find_open(account, &request.hold_id)?;
            account.holds[at].expire = now + ttl;
            Ok(Reply {
                hold: Some(account.hold_to_pb(at)),
                ..Reply::default()
            })
        })
    }

    pub(super) fn release_hold(&mut self, request: &pb::ReleaseHoldRequest, now: Nanos) -> Outcome {
        let mut form = form::of_write(&request.request_id, &request.account);
        form::id(&mut form, "hold_id", &request.hold_id);
        let body = Body::from([
            ("verb", "ReleaseHold".to_owned()),
            ("hold_id", request.hold_id.clone()),
        ]);
        let write = Write::new(&request.request_id, &request.account, form, body);
        self.write(write, now, Ok(()), |account, numbers, _, ()| {
            let at = find_open(account, &request.hold_id)?;
            account.release(numbers, now, at, Status::Released, &request.request_id);
            Ok(Reply {
                hold: Some(account.hold_to_pb(at)),
                ..account.reply()
            })
        })
    }

    pub(super) fn settle_hold(&mut self, request: &pb::SettleHoldRequest, now: Nanos) -> Outcome {
        let mut form = form::of_write(&request.request_id, &request.account);
        form::id(&mut form, "hold_id", &request.hold_id);
        let (requested, prices) = form::usage_or_credits(
            &mut form,
            request.what.as_ref(),
            true,
            request.prices.as_ref(),
            &request.account,
        );
        let overage = pb::Overage::try_from(request.overage);
        if overage.is_err() {
            form.add("overage", "UNKNOWN_VALUE");
        }
        let beyond = overage == Ok(pb::Overage::FromAvailable);
        form.pairs("labels", &request.labels);
        let mut body = Body::from([
            ("verb", "SettleHold".to_owned()),
            ("hold_id", request.hold_id.clone()),
            ("keep_open", request.keep_open.to_string()),
            ("beyond", beyond.to_string()),
            ("labels", form::pairs_text(&request.labels)),
        ]);
        form::describe_usage_or_credits(&mut body, requested.as_ref(), &prices);
        let cost = self.settlement(request, requested.as_ref(), &prices, now);
        let write = Write::new(&request.request_id, &request.account, form, body);
        self.write(write, now, cost, |account, numbers, _, cost| {
            let at = find_open(account, &request.hold_id)?;
            let hold = &account.holds[at];
            let service = match (hold.service.as_str(), cost.service()) {
                ("", service) => service.to_owned(),
                (own, "") => own.to_owned(),
                (own, service) if own == service => own.to_owned(),
                (own, service) => {
                    let metadata = [
                        ("hold_id", request.hold_id.clone()),
                        ("hold_service", own.to_owned()),
                        ("service", service.to_owned()),
                    ];
                    return Err(precondition("HOLD_SERVICE_MISMATCH", &metadata));
                }
            };
            let rest = (cost.credits() - hold.held()).max(0);
            if rest > 0 && !beyond {
                let metadata = [
                    ("hold_id", request.hold_id.clone()),
                    ("required", text(cost.credits())),
                    ("held", text(hold.held())),
                ];
                return Err(precondition("HOLD_EXCEEDED", &metadata));
            }
            let taken = account
                .payers(rest, &service)
                .map_err(|available| insufficient(account, rest, available))?;
            let entry = pb::Entry {
                kind: pb::EntryKind::Settle.into(),
                request_id: request.request_id.clone(),
                hold_id: request.hold_id.clone(),
                labels: request.labels.clone(),
                spent: text(cost.credits()),
                service,
                ..cost.entry()
            };
            let (entry, hold) = settle(
                account,
                numbers,
                now,
                at,
                &Settlement {
                    cost: cost.credits(),
                    keep_open: request.keep_open,
                    taken,
                },
                entry,
            );
            Ok(Reply {
                hold: Some(hold),
                ..account.reply_with_entry(entry)
            })
        })
    }

    /// What a settlement costs. Where `prices` names nothing, a hold for a usage says by which
    /// prices; for any other hold the account does, and where there is no such hold.
    fn settlement(
        &self,
        request: &pb::SettleHoldRequest,
        requested: Option<&UsageOrCredits>,
        prices: &pb::PriceSelector,
        now: Nanos,
    ) -> Result<Cost, NoPrice> {
        let account = self.accounts.get(&request.account);
        let mut holds = account.iter().flat_map(|account| {
            let known = |at: &usize| !account.is_hold_archived(*at);
            let known = (0..account.holds.len()).filter(known);
            known.map(|at| &account.holds[at])
        });
        let hold = holds.find(|hold| hold.id == request.hold_id && !hold.revision.is_empty());
        match (requested, hold) {
            (Some(UsageOrCredits::Usage(usage)), Some(hold))
                if *prices == pb::PriceSelector::default() =>
            {
                let (revision, values) = (&hold.revision, &hold.price_values);
                let priced = self.cards.price_of_hold(usage, revision, values, now);
                priced.map(Cost::Usage)
            }
            _ => self.cost(requested, prices, &request.account, now),
        }
    }
}

/// How a hold is settled.
struct Settlement {
    cost: i64,
    keep_open: bool,
    /// What is taken beyond the hold.
    taken: Vec<(usize, i64)>,
}

fn settle(
    account: &mut Account,
    numbers: &mut super::Numbers,
    now: Nanos,
    at: usize,
    settlement: &Settlement,
    entry: pb::Entry,
) -> (pb::Entry, pb::HoldState) {
    let hold = &mut account.holds[at];
    hold.settled += settlement.cost;
    let mut to_pay = settlement.cost;
    let (mut shares, mut paid) = (Vec::new(), Vec::new());
    for (grant, part) in &mut hold.parts {
        let pays = to_pay.min(*part);
        let left = *part - pays;
        to_pay -= pays;
        let share = if settlement.keep_open {
            *part = left;
            (*grant, 0, -pays)
        } else {
            (*grant, left, -pays - left)
        };
        // A grant that does not move here may still pay below.
        if share.2 != 0 {
            shares.push(share);
            paid.push((*grant, pays));
        }
    }
    if !settlement.keep_open {
        hold.parts.clear();
        hold.status = Status::Settled;
    }
    // A grant that pays both ways is told once, where it came first.
    for &(grant, part) in &settlement.taken {
        match shares.iter().position(|share| share.0 == grant) {
            Some(at) => {
                shares[at].1 -= part;
                paid[at].1 += part;
            }
            None => {
                shares.push((grant, -part, 0));
                paid.push((grant, part));
            }
        }
    }
    let grants: Vec<usize> = shares.iter().map(|share| share.0).collect();
    let entry = account.write(numbers, now, shares, paid, entry);
    account.take_from_ended(numbers, now, &grants);
    (entry, account.hold_to_pb(at))
}
