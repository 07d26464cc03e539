//! From the words of a line to the call that they mean.
//!
//! `VERBS` says which method a verb is and which of its fields stand in which order; `OPTIONS`
//! which fields an optional word sets. How a word is read follows from the field's type.

use std::collections::BTreeMap;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage as _, Value};

use super::super::cards;
use super::super::time::{Nanos, duration, timestamp};
use super::time::{self, Named};
use crate::support::call::{Call, empty_request, set_message};

/// Verb, method, and the fields whose values follow in this order. What ends in `?` may be left
/// out; `usage` is an amount of credits as well.
const VERBS: [(&str, &str, &str); 17] = [
    ("grant", "Grant", "request_id account credits"),
    ("charge", "Charge", "request_id account usage"),
    ("refund", "Refund", "request_id account entry_id credits?"),
    ("hold", "Hold", "request_id account usage"),
    ("extend", "ExtendHold", "request_id account hold_id ttl?"),
    ("settle", "SettleHold", "request_id account hold_id usage"),
    ("release", "ReleaseHold", "request_id account hold_id"),
    ("revoke", "RevokeGrant", "request_id account grant_id"),
    ("get-hold", "GetHold", "account hold_id"),
    ("holds", "ListHolds", "account"),
    ("entries", "ListEntries", "account"),
    ("newest", "ListEntries", "account"),
    ("balance", "GetBalance", "account"),
    ("batch", "BatchCharge", ""),
    ("update", "UpdateAccount", "request_id account.account"),
    ("account", "GetAccount", "account"),
    ("accounts", "ListAccounts", ""),
];

/// Words that may follow, and the field that each sets.
const OPTIONS: [(&str, &str); 29] = [
    ("expires", "expire_time"),
    ("priority", "priority"),
    ("source", "source"),
    ("for", "services"),
    ("label", "labels"),
    ("ttl", "ttl"),
    ("keep-open", "keep_open"),
    ("overage", "overage"),
    ("page", "page_size"),
    ("token", "page_token"),
    ("request", "request_id"),
    ("since", "start_time"),
    ("before", "end_time"),
    ("kinds", "kinds"),
    ("service", "service"),
    ("hold", "hold_id"),
    ("as-of", "as_of"),
    ("attribute", "usage.attributes"),
    ("meter", "usage.meters"),
    ("revision", "prices.revision"),
    ("card", "prices.rate_card"),
    ("at", "prices.price_time"),
    ("prices-for", "prices.account"),
    ("set", "update_mask.paths"),
    ("rate-card", "account.rate_card"),
    ("knows", "account.attributes"),
    ("tag", "account.labels"),
    ("or-open", "allow_missing"),
    ("prefix", "prefix"),
];

/// What the words of a line can refer to.
pub struct Context<'a> {
    pub names: &'a BTreeMap<String, Named>,
    pub now: Nanos,
    /// Where the last list ended.
    pub page_token: &'a str,
}

impl Context<'_> {
    /// The call of a line, with the lines of its items.
    pub fn call(&self, words: &[String], items: &[Vec<String>]) -> Call {
        let verb = words[0].as_str();
        let row = VERBS.iter().find(|row| row.0 == verb);
        let (_, method, fields) = row.unwrap_or_else(|| panic!("no verb: {verb}"));
        let mut request = empty_request(method);
        let mut rest = Words {
            words: arguments(words),
            context: self,
        };
        for field in fields.split_whitespace() {
            rest.positional(&mut request, field);
        }
        while let Some(word) = rest.peek() {
            let option = option(word).filter(|path| has(&request, path));
            match option {
                Some(path) => {
                    rest.next();
                    rest.set(&mut request, path);
                }
                // It is for the runner.
                None if word == "first" => drop(rest.next()),
                None => panic!("not understood: {:?}", rest.words),
            }
        }
        if verb == "newest" {
            request.set_field_by_name("page_size", Value::I32(1));
        }
        assert!(
            items.is_empty() || verb == "batch",
            "only a batch has items"
        );
        let items = items.iter().map(|item| self.call(item, &[]).message());
        for charge in items {
            let charges = request.get_field_by_name_mut("charges").unwrap();
            charges.as_list_mut().unwrap().push(Value::Message(charge));
        }
        Call::new(method, &request)
    }
}

/// The revision of a card by its file, with what stands behind it: "maker.plan=1".
fn revision(word: &str) -> String {
    let (file, quoted) = match word.split_once('.') {
        Some((file, quoted)) => (file, format!(".{quoted}")),
        None => (word, String::new()),
    };
    match cards::FILES.contains(&file) {
        true => cards::revision(file) + &quoted,
        false => word.to_owned(),
    }
}

/// The words of a line that are about its call.
fn arguments(words: &[String]) -> &[String] {
    let end = words.iter().position(|word| word == "as");
    &words[1..end.unwrap_or(words.len())]
}

/// The names that a line gives to what its reply is about.
pub fn names(words: &[String]) -> &[String] {
    let start = words.iter().position(|word| word == "as");
    start.map_or(&[], |start| &words[start + 1..])
}

/// The path of the field that an optional word sets.
fn option(word: &str) -> Option<&'static str> {
    let option = OPTIONS.iter().find(|(option, _)| *option == word);
    option.map(|(_, path)| *path)
}

/// Whether a request has the first field of a path; of a usage, whether it is set.
fn has(request: &DynamicMessage, path: &str) -> bool {
    let first = path.split('.').next().unwrap();
    let field = request.descriptor().get_field_by_name(first);
    field.is_some_and(|field| first != "usage" || request.has_field(&field))
}

/// The words of a line that were not read yet.
struct Words<'a> {
    words: &'a [String],
    context: &'a Context<'a>,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> String {
        let (first, rest) = self.words.split_first().expect("one more word");
        self.words = rest;
        first.clone()
    }

    fn peek(&self) -> Option<&'a str> {
        self.words.first().map(String::as_str)
    }

    fn positional(&mut self, request: &mut DynamicMessage, field: &str) {
        if let Some(field) = field.strip_suffix('?') {
            let left_out = |word: &str| option(word).is_some_and(|path| has(request, path));
            if self.peek().is_some_and(|word| !left_out(word)) {
                self.set(request, field);
            }
        } else if field == "usage" {
            self.usage_or_credits(request);
        } else {
            self.set(request, field);
        }
    }

    /// An amount, a service with a quantity, or `nothing`.
    fn usage_or_credits(&mut self, request: &mut DynamicMessage) {
        let word = self.next();
        let amount = word.is_empty() || word.starts_with(|c: char| "+-.0123456789".contains(c));
        match word.as_str() {
            "nothing" => {}
            _ if amount => request.set_field_by_name("credits", Value::String(word)),
            _ => {
                let service = if word == "no-service" { "" } else { &word };
                let usage = crate::support::usage(service, &self.next());
                set_message(request, "usage", &usage);
            }
        }
    }

    /// Sets the field of a path to what the next words say.
    fn set(&mut self, request: &mut DynamicMessage, path: &str) {
        if let Some((message, path)) = path.split_once('.') {
            let inner = request.get_field_by_name_mut(message).unwrap();
            let Value::Message(inner) = inner else {
                panic!("no message: {message}");
            };
            return self.set(inner, path);
        }
        let field = request.descriptor().get_field_by_name(path).unwrap();
        if field.is_map() {
            let word = self.next();
            let (key, value) = word.split_once('=').expect("key=value");
            let pairs = request.get_field_mut(&field).as_map_mut().unwrap();
            pairs.insert(
                MapKey::String(key.to_owned()),
                Value::String(value.to_owned()),
            );
        } else if field.is_list() {
            let items = self.next();
            let items = items.split(',').map(|item| self.value(&field, item));
            let items = items.collect();
            request.set_field(&field, Value::List(items));
        } else {
            match field.kind() {
                Kind::Bool => request.set_field(&field, Value::Bool(true)),
                Kind::Message(kind) if kind.full_name() == "google.protobuf.Timestamp" => {
                    set_message(request, path, &self.time());
                }
                Kind::Message(_) => {
                    let length = duration(time::length(&self.next()));
                    set_message(request, path, &length);
                }
                _ => {
                    let word = self.next();
                    request.set_field(&field, self.value(&field, &word));
                }
            }
        }
    }

    fn value(&self, field: &FieldDescriptor, word: &str) -> Value {
        match field.kind() {
            Kind::Int32 => Value::I32(word.parse().unwrap()),
            Kind::Enum(values) => {
                // "from-available" is OVERAGE_FROM_AVAILABLE.
                let end = format!("_{}", word.to_uppercase().replace('-', "_"));
                let mut values = values.values();
                let value = values.find(|value| value.name().ends_with(&end));
                Value::EnumNumber(
                    value.map_or_else(|| word.parse().unwrap(), |value| value.number()),
                )
            }
            Kind::String => Value::String(match field.name() {
                "hold_id" | "grant_id" | "entry_id" => {
                    let named = self.context.names.get(word);
                    named.map_or(word, |named| &named.id).to_owned()
                }
                "page_token" if word == "next" => self.context.page_token.to_owned(),
                "revision" => revision(word),
                _ => word.to_owned(),
            }),
            kind => panic!("words cannot be a {kind:?}"),
        }
    }

    fn time(&mut self) -> prost_types::Timestamp {
        if self.peek() == Some("year-10000") {
            self.next();
            // Out of range.
            return prost_types::Timestamp {
                seconds: 253_402_300_800,
                nanos: 0,
            };
        }
        let (time, used) = time::read(self.words, self.context.names, self.context.now);
        self.words = &self.words[used..];
        timestamp(time)
    }
}
