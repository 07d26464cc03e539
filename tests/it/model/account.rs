//! An account of the model: all its grants, holds and entries, in the order in which they
//! were made.

use std::collections::{BTreeMap, BTreeSet};

use creditd::rpc::pb::creditd::v1 as pb;

use super::form::Body;
use super::prices::text;
use super::refusal::precondition;
use crate::ledger::time::{Nanos, nanos_of, timestamp};
use crate::support::call::Reply;
use crate::support::refusal::Refusal;

/// Credits that were granted, and what became of them.
#[derive(Clone)]
pub struct Grant {
    pub id: String,
    pub granted: i64,
    pub remaining: i64,
    pub held: i64,
    pub priority: i32,
    pub expire: Option<Nanos>,
    pub source: String,
    pub services: Vec<String>,
    pub create: Nanos,
    pub expired: bool,
    pub revoked: bool,
}

impl Grant {
    fn pays_for(&self, service: &str) -> bool {
        self.services.is_empty() || self.services.iter().any(|key| key == service)
    }

    /// Lower priority, then the soonest to expire, then the oldest.
    fn burn_order(&self, position: usize) -> (i32, Nanos, usize) {
        (self.priority, self.expire.unwrap_or(Nanos::MAX), position)
    }
}

/// Credits that were set aside.
#[derive(Clone)]
pub struct Hold {
    pub id: String,
    /// From which grants, in the order in which they burned, and how much is left.
    pub parts: Vec<(usize, i64)>,
    pub settled: i64,
    pub status: pb::HoldStatus,
    pub create: Nanos,
    pub expire: Nanos,
    /// Of the usage that it was made for.
    pub service: String,
    pub revision: String,
    pub price_values: BTreeMap<String, String>,
    pub usage: Option<pb::Usage>,
    pub request_id: String,
    pub labels: BTreeMap<String, String>,
}

impl Hold {
    pub fn held(&self) -> i64 {
        self.parts.iter().map(|(_, part)| part).sum()
    }

    pub fn is_open(&self) -> bool {
        self.status == pb::HoldStatus::Open
    }
}

/// An entry, and what the model needs to know of it later.
#[derive(Clone)]
pub struct Written {
    pub entry: pb::Entry,
    pub time: Nanos,
    /// Which grants changed, by how much remaining and held.
    pub shares: Vec<(usize, i64, i64)>,
    /// Which grants paid how much, in that order, less what was given back.
    pub paid: Vec<(usize, i64)>,
}

/// An account.
#[derive(Clone)]
pub struct Account {
    pub name: String,
    pub create: Nanos,
    pub rate_card: String,
    pub attributes: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    pub grants: Vec<Grant>,
    pub holds: Vec<Hold>,
    pub entries: Vec<Written>,
    /// What was answered to each request_id.
    pub answers: BTreeMap<String, (Body, Reply)>,
    /// What is in an archive.
    pub archived: Option<Archived>,
}

/// What is in an archive of an account.
#[derive(Clone)]
pub struct Archived {
    /// Whether the newest archived row is an entry, and not an extension or an update.
    pub ends_with_entry: bool,
    pub number: i64,
    /// The first so many entries, the newest of which was written then.
    pub entries: usize,
    pub time: Nanos,
    /// The first so many holds, but for those that were open.
    pub holds: usize,
    pub open_holds: BTreeSet<usize>,
    pub available: String,
    pub held: String,
}

/// Makes ids, which are unique in the whole model.
#[derive(Clone, Default)]
pub struct Numbers(u64);

impl Numbers {
    pub fn next(&mut self, letter: char) -> String {
        self.0 += 1;
        format!("{letter}{}", self.0)
    }
}

impl Account {
    pub fn new(name: &str, create: Nanos) -> Self {
        Self {
            name: name.to_owned(),
            create,
            rate_card: String::new(),
            attributes: BTreeMap::new(),
            labels: BTreeMap::new(),
            grants: Vec::new(),
            holds: Vec::new(),
            entries: Vec::new(),
            answers: BTreeMap::new(),
            archived: None,
        }
    }

    /// How many entries are in an archive.
    pub fn archived_entries(&self) -> usize {
        let archived = self.archived.as_ref();
        archived.map_or(0, |archived| archived.entries.min(self.entries.len()))
    }

    /// Whether a hold is in an archive. The one that the newest archived row closed is known.
    pub fn is_hold_archived(&self, at: usize) -> bool {
        let Some(archived) = &self.archived else {
            return false;
        };
        let newest = archived.entries.checked_sub(1);
        let newest = newest.filter(|_| archived.ends_with_entry);
        let newest = newest.and_then(|newest| self.entries.get(newest));
        let is_newest = newest.is_some_and(|newest| newest.entry.hold_id == self.holds[at].id);
        at < archived.holds && !archived.open_holds.contains(&at) && !is_newest
    }

    /// The refusal of what is there.
    pub fn in_archive(&self) -> Refusal {
        let number = self.archived.as_ref().map_or(0, |archived| archived.number);
        let metadata = [
            ("account", self.name.clone()),
            ("archive", number.to_string()),
        ];
        precondition("HISTORY_ARCHIVED", &metadata)
    }

    /// What a list of entries ends with, where older ones that are archived could match.
    pub fn opening(&self, request: &pb::ListEntriesRequest) -> Option<pb::OpeningBalance> {
        let archived = self.archived.as_ref()?;
        let start = request.start_time.as_ref().map(nanos_of);
        let hold = (self.holds.iter()).position(|hold| hold.id == request.hold_id);
        let could_match = archived.entries > 0
            && start.is_none_or(|start| start <= archived.time)
            && (request.hold_id.is_empty() || hold.is_some_and(|at| at < archived.holds));
        could_match.then(|| pb::OpeningBalance {
            available: archived.available.clone(),
            held: archived.held.clone(),
            entry_id: self.entries[archived.entries - 1].entry.entry_id.clone(),
            create_time: Some(timestamp(archived.time)),
            archive: archived.number,
        })
    }

    pub fn available(&self) -> i64 {
        self.grants.iter().map(|grant| grant.remaining).sum()
    }

    pub fn held(&self) -> i64 {
        self.grants.iter().map(|grant| grant.held).sum()
    }

    /// The reply to a write of it.
    pub fn reply(&self) -> Reply {
        Reply {
            available: Some(text(self.available())),
            ..Reply::default()
        }
    }

    /// The reply to a write that made an entry.
    pub fn reply_with_entry(&self, entry: pb::Entry) -> Reply {
        Reply {
            entry: Some(entry),
            ..self.reply()
        }
    }

    pub fn version(&self) -> i64 {
        i64::try_from(self.entries.len()).unwrap()
    }

    /// Grants with something left or held.
    pub fn live_grants(&self) -> usize {
        let live = |grant: &&Grant| grant.remaining > 0 || grant.held > 0;
        self.grants.iter().filter(live).count()
    }

    pub fn open_holds(&self) -> usize {
        self.holds.iter().filter(|hold| hold.is_open()).count()
    }

    /// All grants, in the order in which they burn.
    pub fn in_burn_order(&self) -> Vec<usize> {
        let mut positions: Vec<usize> = (0..self.grants.len()).collect();
        positions.sort_by_key(|&position| self.grants[position].burn_order(position));
        positions
    }

    /// What can be spent on a service; "" is an amount without one.
    pub fn spendable(&self, service: &str) -> i64 {
        let grants = self.grants.iter().filter(|grant| grant.pays_for(service));
        grants.map(|grant| grant.remaining).sum()
    }

    /// Which grants pay an amount, and how much each; the error is what there is.
    pub fn payers(&self, amount: i64, service: &str) -> Result<Vec<(usize, i64)>, i64> {
        let spendable = self.spendable(service);
        if spendable < amount {
            return Err(spendable);
        }
        let mut rest = amount;
        let mut payers = Vec::new();
        for position in self.in_burn_order() {
            let grant = &self.grants[position];
            if grant.pays_for(service) && grant.remaining > 0 && rest > 0 {
                let part = rest.min(grant.remaining);
                payers.push((position, part));
                rest -= part;
            }
        }
        Ok(payers)
    }

    /// Writes an entry: the grants change by its shares, and its figures are their
    /// sums. The rest is as `entry` says.
    pub fn write(
        &mut self,
        numbers: &mut Numbers,
        time: Nanos,
        shares: Vec<(usize, i64, i64)>,
        paid: Vec<(usize, i64)>,
        entry: pb::Entry,
    ) -> pb::Entry {
        let shares: Vec<_> = shares
            .into_iter()
            .filter(|(_, credits, held)| (*credits, *held) != (0, 0))
            .collect();
        for (position, credits, held) in &shares {
            let grant = &mut self.grants[*position];
            grant.remaining += credits;
            grant.held += held;
            assert!(grant.remaining >= 0 && grant.held >= 0, "{}", grant.id);
        }
        let last = self.entries.last().map_or(Nanos::MIN, |last| last.time);
        assert!(last <= time, "entries are in order of time");
        let entry = pb::Entry {
            entry_id: numbers.next('e'),
            account: self.name.clone(),
            credits: text(shares.iter().map(|share| share.1).sum()),
            held: text(shares.iter().map(|share| share.2).sum()),
            spent: if entry.spent.is_empty() {
                "0".to_owned()
            } else {
                entry.spent.clone()
            },
            available: text(self.available()),
            create_time: Some(timestamp(time)),
            version: self.version() + 1,
            grants: shares
                .iter()
                .map(|(position, credits, held)| pb::GrantShare {
                    grant_id: self.grants[*position].id.clone(),
                    credits: text(*credits),
                    held: text(*held),
                })
                .collect(),
            ..entry
        };
        self.entries.push(Written {
            entry: entry.clone(),
            time,
            shares,
            paid,
        });
        entry
    }

    /// Takes away what came back to grants that are revoked or expired: first from those
    /// that are revoked, then from the one that expired first.
    pub fn take_from_ended(&mut self, numbers: &mut Numbers, time: Nanos, grants: &[usize]) {
        let mut grants = grants.to_vec();
        grants.sort_by_key(|&position| {
            let grant = &self.grants[position];
            let ended = grant.expire.filter(|_| !grant.revoked);
            (!grant.revoked, ended, grant.burn_order(position))
        });
        for position in grants {
            let grant = &self.grants[position];
            let kind = match (grant.revoked, grant.expired) {
                (true, _) => pb::EntryKind::Revoke,
                (false, true) => pb::EntryKind::Expire,
                (false, false) => continue,
            };
            self.take_rest(numbers, time, position, kind, pb::Entry::default());
        }
    }

    /// Takes away what a grant has left; nothing is written where that is nothing,
    /// but for a revocation that was asked for.
    pub fn take_rest(
        &mut self,
        numbers: &mut Numbers,
        time: Nanos,
        position: usize,
        kind: pb::EntryKind,
        entry: pb::Entry,
    ) -> Option<pb::Entry> {
        let grant = &self.grants[position];
        if grant.remaining == 0 && entry.request_id.is_empty() {
            return None;
        }
        let shares = vec![(position, -grant.remaining, 0)];
        let entry = pb::Entry {
            kind: kind.into(),
            grant_id: grant.id.clone(),
            ..entry
        };
        Some(self.write(numbers, time, shares, Vec::new(), entry))
    }

    /// Gives back all that a hold has and closes it.
    pub fn release(
        &mut self,
        numbers: &mut Numbers,
        time: Nanos,
        position: usize,
        status: pb::HoldStatus,
        request_id: &str,
    ) {
        let hold = &mut self.holds[position];
        hold.status = status;
        let parts = std::mem::take(&mut hold.parts);
        let entry = pb::Entry {
            kind: pb::EntryKind::Release.into(),
            hold_id: hold.id.clone(),
            service: hold.service.clone(),
            request_id: request_id.to_owned(),
            ..pb::Entry::default()
        };
        let shares = parts.iter().map(|&(grant, part)| (grant, part, -part));
        self.write(numbers, time, shares.collect(), Vec::new(), entry);
        let grants: Vec<usize> = parts.iter().map(|part| part.0).collect();
        self.take_from_ended(numbers, time, &grants);
    }

    /// Writes the entries of everything that has expired: the earliest first, and of one
    /// instant holds before grants, the older hold first and the grant that burns first.
    pub fn lapse(&mut self, numbers: &mut Numbers, now: Nanos) {
        loop {
            let holds = self.holds.iter().enumerate().filter_map(|(at, hold)| {
                let due = hold.is_open() && hold.expire <= now;
                due.then_some((hold.expire, false, (0, 0, at)))
            });
            let grants = self.grants.iter().enumerate().filter_map(|(at, grant)| {
                let due = grant.expire.filter(|time| !grant.expired && *time <= now);
                due.map(|time| (time, true, grant.burn_order(at)))
            });
            match holds.chain(grants).min() {
                None => return,
                Some((time, false, (_, _, at))) => {
                    self.release(numbers, time, at, pb::HoldStatus::Expired, "");
                }
                Some((time, true, (_, _, at))) => {
                    self.grants[at].expired = true;
                    self.take_from_ended(numbers, time, &[at]);
                }
            }
        }
    }

    pub fn hold_to_pb(&self, position: usize) -> pb::HoldState {
        let hold = &self.holds[position];
        pb::HoldState {
            hold_id: hold.id.clone(),
            held: text(hold.held()),
            settled: text(hold.settled),
            expire_time: Some(timestamp(hold.expire)),
            status: hold.status.into(),
            account: self.name.clone(),
            create_time: Some(timestamp(hold.create)),
            service: hold.service.clone(),
            labels: hold.labels.clone(),
            request_id: hold.request_id.clone(),
            usage: hold.usage.clone(),
            price_values: hold.price_values.clone(),
        }
    }
}
