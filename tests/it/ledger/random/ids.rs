//! The model and the ledger name grants, holds and entries each in its own way.
//! Which name is which is learnt from their replies.

use std::collections::BTreeMap;

use creditd::rpc::pb::creditd::v1 as pb;

use super::super::call::{Call, Reply};
use crate::support::refusal::Refusal;

/// What an id names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Grant,
    Hold,
    Entry,
}

/// Both names of everything that a reply spoke of.
#[derive(Default)]
pub struct Ids {
    to_real: BTreeMap<(Kind, String), String>,
    to_model: BTreeMap<(Kind, String), String>,
}

impl Ids {
    /// Whether the ledger's name of it is known.
    pub fn knows(&self, kind: Kind, id: &str) -> bool {
        self.to_real.contains_key(&(kind, id.to_owned()))
    }

    /// Learns from two replies that should say the same.
    pub fn learn(&mut self, model: &Reply, real: &Reply) -> Result<(), String> {
        let (model, real) = (ids_of(model), ids_of(real));
        if model.len() != real.len() {
            return Err("the replies do not speak of as many things".to_owned());
        }
        for ((kind, model), (other, real)) in model.into_iter().zip(real) {
            let forth = self.to_real.get(&(kind, model.clone()));
            let back = self.to_model.get(&(other, real.clone()));
            match (forth, back) {
                (None, None) if kind == other && model.is_empty() == real.is_empty() => {
                    self.to_real.insert((kind, model.clone()), real.clone());
                    self.to_model.insert((kind, real), model);
                }
                (Some(known), Some(_)) if *known == real => {}
                _ => return Err(format!("{kind:?} {model} is not {other:?} {real}")),
            }
        }
        Ok(())
    }

    /// The call as the ledger understands it. What it does not know stays.
    pub fn call_to_real(&self, mut call: Call) -> Call {
        in_call(&mut call, &mut |kind, id| {
            if let Some(real) = self.to_real.get(&(kind, id.clone())) {
                id.clone_from(real);
            }
        });
        call
    }

    /// The reply as the model would say it.
    pub fn reply_to_model(&self, mut reply: Reply) -> Reply {
        in_reply(&mut reply, &mut |kind, id| {
            if let Some(model) = self.to_model.get(&(kind, id.clone())) {
                id.clone_from(model);
            }
        });
        if let Reply::BatchCharge(items) = &mut reply {
            for item in items {
                if let Err(refusal) = item {
                    self.refusal_to_model(refusal);
                }
            }
        }
        reply
    }

    pub fn refusal_to_model(&self, refusal: &mut Refusal) {
        for (key, kind) in [
            ("grant_id", Kind::Grant),
            ("hold_id", Kind::Hold),
            ("entry_id", Kind::Entry),
        ] {
            if let Some(id) = refusal.metadata.get_mut(key)
                && let Some(model) = self.to_model.get(&(kind, id.clone()))
            {
                id.clone_from(model);
            }
        }
    }
}

fn ids_of(reply: &Reply) -> Vec<(Kind, String)> {
    let mut found = Vec::new();
    in_reply(&mut reply.clone(), &mut |kind, id| {
        found.push((kind, id.clone()));
    });
    found
}

type Visit<'a> = &'a mut dyn FnMut(Kind, &mut String);

fn in_call(call: &mut Call, visit: Visit<'_>) {
    match call {
        Call::Refund(request) => visit(Kind::Entry, &mut request.entry_id),
        Call::RevokeGrant(request) => visit(Kind::Grant, &mut request.grant_id),
        Call::ExtendHold(request) => visit(Kind::Hold, &mut request.hold_id),
        Call::SettleHold(request) => visit(Kind::Hold, &mut request.hold_id),
        Call::ReleaseHold(request) => visit(Kind::Hold, &mut request.hold_id),
        Call::GetHold(request) => visit(Kind::Hold, &mut request.hold_id),
        Call::ListEntries(request) => visit(Kind::Hold, &mut request.hold_id),
        Call::Grant(_)
        | Call::Charge(_)
        | Call::BatchCharge(_)
        | Call::Hold(_)
        | Call::ListHolds(_)
        | Call::GetBalance(_) => {}
    }
}

fn in_reply(reply: &mut Reply, visit: Visit<'_>) {
    match reply {
        Reply::Grant(reply) => in_entry(&mut reply.entry, visit),
        Reply::Charge(reply) => in_entry(&mut reply.entry, visit),
        Reply::Refund(reply) => in_entry(&mut reply.entry, visit),
        Reply::RevokeGrant(reply) => in_entry(&mut reply.entry, visit),
        Reply::BatchCharge(items) => {
            for reply in items.iter_mut().flatten() {
                in_entry(&mut reply.entry, visit);
            }
        }
        Reply::Hold(reply) => in_hold(&mut reply.hold, visit),
        Reply::ExtendHold(reply) => in_hold(&mut reply.hold, visit),
        Reply::ReleaseHold(reply) => in_hold(&mut reply.hold, visit),
        Reply::GetHold(reply) => in_hold(&mut reply.hold, visit),
        Reply::SettleHold(reply) => {
            in_entry(&mut reply.entry, visit);
            in_hold(&mut reply.hold, visit);
        }
        Reply::ListHolds(reply) => {
            for hold in &mut reply.holds {
                visit(Kind::Hold, &mut hold.hold_id);
            }
        }
        Reply::ListEntries(reply) => {
            for entry in &mut reply.entries {
                in_one_entry(entry, visit);
            }
        }
        Reply::GetBalance(reply) => {
            for grant in reply.balance.iter_mut().flat_map(|b| &mut b.grants) {
                visit(Kind::Grant, &mut grant.grant_id);
            }
        }
    }
}

fn in_hold(hold: &mut Option<pb::HoldState>, visit: Visit<'_>) {
    if let Some(hold) = hold {
        visit(Kind::Hold, &mut hold.hold_id);
    }
}

fn in_entry(entry: &mut Option<pb::Entry>, visit: Visit<'_>) {
    if let Some(entry) = entry {
        in_one_entry(entry, visit);
    }
}

fn in_one_entry(entry: &mut pb::Entry, visit: Visit<'_>) {
    visit(Kind::Entry, &mut entry.entry_id);
    for (kind, id) in [
        (Kind::Grant, &mut entry.grant_id),
        (Kind::Hold, &mut entry.hold_id),
        (Kind::Entry, &mut entry.refunded_entry_id),
    ] {
        if !id.is_empty() {
            visit(kind, id);
        }
    }
    for share in &mut entry.grants {
        visit(Kind::Grant, &mut share.grant_id);
    }
}
