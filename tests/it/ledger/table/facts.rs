//! What a reply says, as facts that the end of a line can name.

use std::collections::BTreeMap;

use creditd::rpc::pb::creditd::v1 as pb;

use super::super::cards;
use super::super::time::{Nanos, nanos_of};
use super::time::Named;
use crate::support::call::Reply;
use crate::support::refusal::Refusal;

/// A fact.
#[derive(Debug, PartialEq)]
pub enum Fact {
    Text(String),
    Time(Nanos),
}

/// What a reply says, by the words that tables use.
pub struct Facts<'a> {
    names: &'a BTreeMap<String, Named>,
    pub all: BTreeMap<String, Fact>,
}

impl<'a> Facts<'a> {
    /// What a reply says; of a list what its first entry says.
    pub fn of(reply: &Reply, names: &'a BTreeMap<String, Named>) -> Self {
        let mut facts = Self::none(names);
        if let Some(hold) = &reply.hold {
            facts.hold(hold);
        }
        let first = reply.entries.iter().flatten().next();
        if let Some(entry) = reply.entry.as_ref().or(first) {
            facts.entry(entry);
        }
        if let Some(balance) = &reply.balance {
            facts.balance(balance);
        }
        if let Some(account) = &reply.account {
            facts.account(account);
        }
        if let Some(failed) = reply.failed_count {
            let count = i32::try_from(reply.results.0.len()).unwrap();
            facts.text("done", count - failed);
            facts.text("refused", failed);
        }
        if let Some(available) = &reply.available {
            facts.text("left", available);
        }
        facts.text("replayed", reply.replayed);
        facts
    }

    /// What a refusal by the rules says.
    pub fn of_refusal(refusal: &Refusal, names: &'a BTreeMap<String, Named>) -> Self {
        let mut facts = Self::none(names);
        for (key, value) in &refusal.metadata {
            let named = ["hold_id", "entry_id", "grant_id"].contains(&key.as_str());
            let value = if named && facts.name(value) != "unnamed" {
                facts.name(value)
            } else {
                value.clone()
            };
            facts.text(key, value);
        }
        facts
    }

    fn none(names: &'a BTreeMap<String, Named>) -> Self {
        Self {
            names,
            all: BTreeMap::new(),
        }
    }

    fn text(&mut self, key: &str, value: impl ToString) {
        let value = Fact::Text(value.to_string());
        self.all.insert(key.to_owned(), value);
    }

    fn time(&mut self, key: &str, time: Option<&prost_types::Timestamp>) {
        let fact = match time {
            Some(time) => Fact::Time(nanos_of(time)),
            None => Fact::Text("never".to_owned()),
        };
        self.all.insert(key.to_owned(), fact);
    }

    /// The name that a line gave to an id.
    fn name(&self, id: &str) -> String {
        let mut names = self.names.iter();
        let named = names.find(|(_, named)| named.id == id);
        named.map_or("unnamed", |(name, _)| name).to_owned()
    }

    fn entry(&mut self, entry: &pb::Entry) {
        self.text(&kind(entry), &entry.credits);
        self.text("held", &entry.held);
        self.text("spent", &entry.spent);
        self.text("after", &entry.available);
        self.text("version", entry.version);
        self.text("account", &entry.account);
        self.text("request", or_none(&entry.request_id));
        self.text("service", or_none(&entry.service));
        self.text("card", or_none(&entry.rate_card));
        self.text("revision", revision(&entry.revision));
        self.text("values", labels(&entry.price_values));
        self.time("price-time", entry.price_time.as_ref());
        self.text("source", or_none(&entry.source));
        self.text("priority", entry.priority);
        self.text("for", or_none(&entry.services.join(" ")));
        self.time("expires", entry.expire_time.as_ref());
        self.text("labels", labels(&entry.labels));
        self.time("at", entry.create_time.as_ref());
        for (key, id) in [
            ("grant-of", &entry.grant_id),
            ("hold-of", &entry.hold_id),
            ("refunds", &entry.refunded_entry_id),
        ] {
            let name = if id.is_empty() {
                "none".to_owned()
            } else {
                self.name(id)
            };
            self.text(key, name);
        }
        self.text("usage", usage(entry.usage.as_ref()));
        let shares = entry.grants.iter().map(|share| {
            let name = self.name(&share.grant_id);
            match (share.credits.as_str(), share.held.as_str()) {
                (credits, "0") => format!("{name}:{credits}"),
                (credits, held) => format!("{name}:{credits}/{held}"),
            }
        });
        let shares: Vec<String> = shares.collect();
        self.text("shares", or_none(&shares.join(" ")));
    }

    fn hold(&mut self, hold: &pb::HoldState) {
        let status = hold.status().as_str_name();
        let status = status.trim_start_matches("HOLD_STATUS_").to_lowercase();
        self.text("status", status);
        self.text("holds", &hold.held);
        self.text("settled", &hold.settled);
        self.text("account", &hold.account);
        self.text("service", or_none(&hold.service));
        // An entry beside it has such facts of its own.
        self.text("made-by", &hold.request_id);
        self.text("made-with", labels(&hold.labels));
        self.text("made-for", usage(hold.usage.as_ref()));
        self.text("made-at", labels(&hold.price_values));
        self.time("made", hold.create_time.as_ref());
        self.time("ends", hold.expire_time.as_ref());
    }

    fn account(&mut self, account: &pb::Account) {
        self.balance(&account.balance.clone().unwrap_or_default());
        self.text("account", &account.account);
        self.time("opened", account.create_time.as_ref());
        self.text("rate-card", or_none(&account.rate_card));
        self.text("knows", labels(&account.attributes));
        self.text("tags", labels(&account.labels));
    }

    fn balance(&mut self, balance: &pb::Balance) {
        self.text("account", &balance.account);
        self.text("available", &balance.available);
        self.text("held", &balance.held);
        self.text("version", balance.version);
        self.time("at", balance.read_time.as_ref());
        let grants = balance.grants.iter().map(|grant| {
            let name = self.name(&grant.grant_id);
            match grant.held.as_str() {
                "0" => format!("{name}:{}", grant.remaining),
                held => format!("{name}:{}/{held}", grant.remaining),
            }
        });
        let grants: Vec<String> = grants.collect();
        self.text("grants", or_none(&grants.join(" ")));
        for grant in &balance.grants {
            let name = self.name(&grant.grant_id);
            self.text(&format!("{name}.granted"), &grant.granted);
            self.text(&format!("{name}.priority"), grant.priority);
            self.text(&format!("{name}.source"), or_none(&grant.source));
            let services = grant.services.join(" ");
            self.text(&format!("{name}.services"), or_none(&services));
            self.time(&format!("{name}.made"), grant.create_time.as_ref());
            self.time(&format!("{name}.ends"), grant.expire_time.as_ref());
        }
    }
}

/// A list in one line. None where the reply is no list.
pub fn list(reply: &Reply, names: &BTreeMap<String, Named>) -> Option<String> {
    let facts = Facts::none(names);
    let items: Vec<String> = match reply {
        Reply {
            holds: Some(holds), ..
        } => holds
            .iter()
            .map(|hold| format!("{} {}", facts.name(&hold.hold_id), hold.held))
            .collect(),
        Reply {
            entries: Some(entries),
            ..
        } => entries
            .iter()
            .map(|entry| {
                let mut words = vec![kind(entry), entry.credits.clone()];
                let of = [&entry.grant_id, &entry.hold_id];
                words.extend(
                    of.iter()
                        .filter(|id| !id.is_empty())
                        .map(|id| facts.name(id)),
                );
                if entry.kind() == pb::EntryKind::Settle {
                    words.push(format!("spent {}", entry.spent));
                }
                words.join(" ")
            })
            .collect(),
        Reply {
            accounts: Some(accounts),
            ..
        } => accounts
            .iter()
            .map(|account| {
                let balance = account.balance.clone().unwrap_or_default();
                assert_eq!(balance.grants, Vec::new());
                let words = [&account.account, &balance.available, &account.rate_card];
                words.map(String::as_str).join(" ").trim_end().to_owned()
            })
            .collect(),
        _ => return None,
    };
    Some(or_none(&items.join("; ")))
}

/// "charge".
fn kind(entry: &pb::Entry) -> String {
    let name = entry.kind().as_str_name();
    name.trim_start_matches("ENTRY_KIND_").to_lowercase()
}

fn or_none(text: &str) -> String {
    if text.is_empty() { "none" } else { text }.to_owned()
}

/// "job=7 team=x", in order.
fn labels(labels: &BTreeMap<String, String>) -> String {
    let pairs = labels.iter().map(|(key, value)| format!("{key}={value}"));
    let mut pairs: Vec<String> = pairs.collect();
    pairs.sort();
    or_none(&pairs.join(" "))
}

/// "render 31s".
fn usage(usage: Option<&pb::Usage>) -> String {
    let text = |usage: &pb::Usage| format!("{} {}", usage.service, quantity(usage));
    usage.map_or_else(|| "none".to_owned(), text)
}

/// The card's file, where one has that revision.
fn revision(revision: &str) -> String {
    let mut files = cards::FILES.into_iter();
    let file = files.find(|file| cards::revision(file) == revision);
    file.map_or_else(|| or_none(revision), str::to_owned)
}

/// "31s", "x4" or "-".
fn quantity(usage: &pb::Usage) -> String {
    match &usage.quantity {
        None => "-".to_owned(),
        Some(pb::usage::Quantity::Count(count)) => format!("x{count}"),
        Some(pb::usage::Quantity::Duration(length)) => match length.nanos {
            0 => format!("{}s", length.seconds),
            nanos => format!("{}.{nanos:09}s", length.seconds)
                .trim_end_matches("0s")
                .to_owned(),
        },
    }
}
