//! The model and the ledger have ids of their own for grants, holds and entries. Which id is
//! which follows from their replies.

use std::collections::BTreeMap;

use creditd::rpc::pb::creditd::v1 as pb;
use prost_reflect::{FieldDescriptor, ReflectMessage as _, Value};

use crate::support::call::{Call, Reply, empty_request, text};
use crate::support::refusal::Refusal;

/// What an id names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Grant,
    Hold,
    Entry,
}

/// Both ids of everything that was in a reply.
#[derive(Default)]
pub struct Ids {
    to_real: BTreeMap<(Kind, String), String>,
    to_model: BTreeMap<(Kind, String), String>,
}

impl Ids {
    /// Whether the ledger's id of it is known.
    pub fn knows(&self, kind: Kind, id: &str) -> bool {
        self.to_real.contains_key(&(kind, id.to_owned()))
    }

    /// Learns from two replies that should say the same.
    pub fn learn(&mut self, model: &Reply, real: &Reply) -> Result<(), String> {
        let (model, real) = (ids_of(model), ids_of(real));
        if model.len() != real.len() {
            return Err("the replies have not as many ids".to_owned());
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

    /// The call with the ledger's ids. One that was in no reply stays.
    pub fn call_to_real(&self, call: Call) -> Call {
        let named = |field: &FieldDescriptor| kind_of_field(field.name());
        let request = empty_request(call.method()).descriptor();
        let fields: Vec<_> = request
            .fields()
            .filter(|field| named(field).is_some())
            .collect();
        if fields.is_empty() {
            return call;
        }
        let mut message = call.message();
        for field in fields {
            let id = text(&message, field.name());
            if let Some(real) = named(&field).and_then(|kind| self.to_real.get(&(kind, id))) {
                message.set_field(&field, Value::String(real.clone()));
            }
        }
        call.with(&message)
    }

    /// The reply with the model's ids.
    pub fn reply_to_model(&self, mut reply: Reply) -> Reply {
        visit_reply(&mut reply, &mut |kind, id| {
            if let Some(model) = self.to_model.get(&(kind, id.clone())) {
                id.clone_from(model);
            }
        });
        for item in &mut reply.results.0 {
            if let Err(refusal) = item {
                self.refusal_to_model(refusal);
            }
        }
        reply
    }

    pub fn refusal_to_model(&self, refusal: &mut Refusal) {
        for (key, id) in &mut refusal.metadata {
            if let Some(kind) = kind_of_field(key)
                && let Some(model) = self.to_model.get(&(kind, id.clone()))
            {
                id.clone_from(model);
            }
        }
    }
}

fn ids_of(reply: &Reply) -> Vec<(Kind, String)> {
    let mut ids = Vec::new();
    visit_reply(&mut reply.clone(), &mut |kind, id| {
        ids.push((kind, id.clone()));
    });
    ids
}

type Visit<'a> = &'a mut dyn FnMut(Kind, &mut String);

/// The kind of id that a field of a request or a refusal's metadata has.
pub fn kind_of_field(name: &str) -> Option<Kind> {
    match name {
        "grant_id" => Some(Kind::Grant),
        "hold_id" => Some(Kind::Hold),
        "entry_id" => Some(Kind::Entry),
        _ => None,
    }
}

fn visit_reply(reply: &mut Reply, visit: Visit<'_>) {
    let entries = reply
        .entry
        .iter_mut()
        .chain(reply.entries.iter_mut().flatten());
    for entry in entries {
        visit_entry(entry, visit);
    }
    if let Some(opening) = &mut reply.opening_balance {
        visit(Kind::Entry, &mut opening.entry_id);
    }
    for hold in reply
        .hold
        .iter_mut()
        .chain(reply.holds.iter_mut().flatten())
    {
        visit(Kind::Hold, &mut hold.hold_id);
    }
    let of_accounts = (reply
        .account
        .iter_mut()
        .chain(reply.accounts.iter_mut().flatten()))
    .filter_map(|account| account.balance.as_mut());
    for grant in
        (reply.balance.iter_mut().chain(of_accounts)).flat_map(|balance| &mut balance.grants)
    {
        visit(Kind::Grant, &mut grant.grant_id);
    }
    for item in reply.results.0.iter_mut().flatten() {
        visit_reply(item, visit);
    }
}

fn visit_entry(entry: &mut pb::Entry, visit: Visit<'_>) {
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
