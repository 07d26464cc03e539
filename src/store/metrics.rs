//! What a store counts and measures of itself, for those who watch the server.
//!
//! The store counts what is on disk alone: entries of a group that was undone are not counted.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use indexmap::{Equivalent, IndexMap};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use crate::domain::ledger::{Entry, EntryKind, HoldStatus};

/// So many pairs of service and rate card are counted apart; the others together.
pub const PAIRS_MAX: usize = 1_000;
/// The service of grants that pay for any, and of those that pay for several.
const ANY_SERVICE: &str = "(any)";
const SEVERAL_SERVICES: &str = "(several)";
/// What is said of pairs beyond [`PAIRS_MAX`].
const OTHER: &str = "(other)";

/// A histogram of waits and writes, from 0.1 ms to 10 s.
fn of_seconds() -> Histogram {
    Histogram::new([
        0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
        2.5, 5.0, 10.0,
    ])
}

/// A histogram of how many commands a commit has; more than the last bound come in slices alone.
fn of_commands() -> Histogram {
    Histogram::new([
        1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0, 2_048.0,
    ])
}

/// What a store tells of itself.
#[derive(Debug)]
pub struct StoreMetrics {
    /// How long commands waited for the ledger.
    pub queue_seconds: Histogram,
    /// How many commands one commit made durable.
    pub group_commands: Histogram,
    /// How long it took to make and write the rows of a group.
    pub write_seconds: Histogram,
    /// How long the commit of a group took, with its sync.
    pub commit_seconds: Histogram,
    /// How long checkpoints of the WAL took.
    pub checkpoint_seconds: Histogram,
    /// Groups that could not be made durable.
    pub failed_commits: Counter,
    /// Writes that were answered again, since their request_id was known.
    pub replays: Counter,
    /// Accounts that were in memory when they were needed.
    pub cache_hits: Counter,
    /// Accounts that had to be read.
    pub cache_misses: Counter,
    /// Accounts in the ledger.
    pub accounts: Gauge,
    /// Of these, in memory.
    pub accounts_in_memory: Gauge,
    /// Memory for finding request_ids.
    pub request_id_memory_bytes: Gauge,
    /// Open holds.
    pub open_holds: OpenHolds,
    moved: Mutex<Moved>,
}

/// Holds that are open: those that were when the store was opened, which takes a while to count,
/// and what changed since then.
#[derive(Debug, Default)]
pub struct OpenHolds {
    at_start: OnceLock<i64>,
    since: AtomicI64,
}

impl OpenHolds {
    /// Says how many there were when the store was opened.
    pub fn set_at_start(&self, holds: i64) {
        // It is said once.
        let _ = self.at_start.set(holds);
    }

    /// How many there are; None until they are counted.
    #[must_use]
    pub fn count(&self) -> Option<i64> {
        let since = self.since.load(Ordering::Relaxed);
        Some(self.at_start.get()?.saturating_add(since))
    }
}

/// Kinds of entries, in the order in which they are counted.
pub const KINDS: [&str; 10] = [
    "grant", "charge", "refund", "hold", "settle", "release", "extend", "update", "expire",
    "revoke",
];

/// What entries moved.
#[derive(Clone, Debug, Default)]
pub struct Moved {
    /// How many entries there were, in the order of [`KINDS`].
    pub entries: [u64; KINDS.len()],
    /// What was paid for, by service and rate card.
    pub paid: IndexMap<Pair, Paid>,
    /// What was granted, by service, in nanocredits.
    pub granted: IndexMap<Box<str>, i128>,
    /// What ended with its grant, in nanocredits.
    pub expired: i128,
    open_holds: i64,
}

/// A service, and the rate card by which it was priced; "" where there was none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pair {
    /// The service.
    pub service: Box<str>,
    /// The name of the rate card.
    pub rate_card: Box<str>,
}

#[derive(PartialEq, Eq, Hash)]
struct PairRef<'a> {
    service: &'a str,
    rate_card: &'a str,
}

impl Equivalent<Pair> for PairRef<'_> {
    fn equivalent(&self, pair: &Pair) -> bool {
        self.service == &*pair.service && self.rate_card == &*pair.rate_card
    }
}

/// What was paid for a service, in nanocredits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paid {
    /// By charges and settlements.
    pub spent: i128,
    /// And given back.
    pub refunded: i128,
}

impl Moved {
    /// Whether nothing was moved.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.iter().all(|entries| *entries == 0)
    }

    /// Counts an entry.
    pub fn note(&mut self, entry: &Entry) {
        let kind = KINDS.iter().position(|kind| *kind == entry.kind.name());
        if let Some(entries) = kind.and_then(|at| self.entries.get_mut(at)) {
            *entries = entries.saturating_add(1);
        }
        match &entry.kind {
            EntryKind::Grant { terms, .. } => {
                let service = match terms.services.as_slice() {
                    [] => ANY_SERVICE,
                    [one] => one,
                    _ => SEVERAL_SERVICES,
                };
                self.grant(service, terms.granted.nanos().into());
            }
            EntryKind::Expire(_) | EntryKind::Revoke(_) => {
                let gone = i128::from(entry.credits.nanos()).saturating_neg();
                self.expired = self.expired.saturating_add(gone);
            }
            EntryKind::Charge | EntryKind::Settle | EntryKind::Refund { .. } => {
                let spent = i128::from(entry.spent.nanos());
                let paid = Paid {
                    spent: spent.max(0),
                    refunded: spent.min(0).saturating_neg(),
                };
                self.pay(
                    entry.service.as_deref().unwrap_or_default(),
                    entry.pricing.as_ref().map_or("", |by| &by.rate_card),
                    paid,
                );
            }
            EntryKind::Hold | EntryKind::Release | EntryKind::Extend | EntryKind::Update(_) => {}
        }
        let is_open = (entry.hold.as_ref()).is_some_and(|hold| hold.status == HoldStatus::Open);
        let change = match &entry.kind {
            EntryKind::Hold => 1,
            EntryKind::Settle | EntryKind::Release if !is_open => -1,
            _ => 0,
        };
        self.open_holds = self.open_holds.saturating_add(change);
    }

    fn grant(&mut self, service: &str, nanos: i128) {
        let is_full = self.granted.len() >= PAIRS_MAX;
        if let Some(granted) = self.granted.get_mut(service) {
            *granted = granted.saturating_add(nanos);
            return;
        }
        let service = if is_full { OTHER } else { service };
        let granted = self.granted.entry(service.into()).or_default();
        *granted = granted.saturating_add(nanos);
    }

    fn pay(&mut self, service: &str, rate_card: &str, more: Paid) {
        let add = |paid: &mut Paid| {
            paid.spent = paid.spent.saturating_add(more.spent);
            paid.refunded = paid.refunded.saturating_add(more.refunded);
        };
        let is_full = self.paid.len() >= PAIRS_MAX;
        if let Some(paid) = self.paid.get_mut(&PairRef { service, rate_card }) {
            add(paid);
            return;
        }
        let [service, rate_card] = if is_full {
            [OTHER; 2]
        } else {
            [service, rate_card]
        };
        let pair = Pair {
            service: service.into(),
            rate_card: rate_card.into(),
        };
        add(self.paid.entry(pair).or_default());
    }

    fn add(&mut self, other: &Self) {
        for (entries, more) in self.entries.iter_mut().zip(other.entries) {
            *entries = entries.saturating_add(more);
        }
        for (pair, paid) in &other.paid {
            self.pay(&pair.service, &pair.rate_card, *paid);
        }
        for (service, nanos) in &other.granted {
            self.grant(service, *nanos);
        }
        self.expired = self.expired.saturating_add(other.expired);
    }
}

impl Default for StoreMetrics {
    fn default() -> Self {
        Self {
            queue_seconds: of_seconds(),
            group_commands: of_commands(),
            write_seconds: of_seconds(),
            commit_seconds: of_seconds(),
            checkpoint_seconds: of_seconds(),
            failed_commits: Counter::default(),
            replays: Counter::default(),
            cache_hits: Counter::default(),
            cache_misses: Counter::default(),
            accounts: Gauge::default(),
            accounts_in_memory: Gauge::default(),
            request_id_memory_bytes: Gauge::default(),
            open_holds: OpenHolds::default(),
            moved: Mutex::default(),
        }
    }
}

impl StoreMetrics {
    /// What all entries moved that were made durable since the store was opened.
    #[must_use]
    pub fn moved(&self) -> Moved {
        let moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        moved.clone()
    }

    /// A group of so many commands is durable: it took so long to write, and to commit.
    pub fn committed(&self, commands: usize, took: [Duration; 2], moved: &Moved) {
        let [write, commit] = took;
        self.write_seconds.observe(write.as_secs_f64());
        self.commit_seconds.observe(commit.as_secs_f64());
        // A group without commands writes what became due.
        if let Ok(commands @ 1..) = u32::try_from(commands) {
            self.group_commands.observe(commands.into());
        }
        if moved.is_empty() {
            return;
        }
        (self.open_holds.since).fetch_add(moved.open_holds, Ordering::Relaxed);
        let mut all = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        all.add(moved);
    }
}
