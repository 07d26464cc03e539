//! The one writer: groups, commits, answers.
//!
//! What a kill leaves behind, by the line after which it comes: before the
//! commit returns, the file is as it was and nobody was answered; after it, the
//! group is in the file and a caller who was not answered sends the same
//! request_id again and reads the answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;

use rusqlite::{Connection, TransactionBehavior};

use super::history::{History, Walk};
use super::rows;
use super::state::{Slot, State};
use super::{Job, unavailable};
use crate::domain::fault::TimeRule;
use crate::domain::ledger::{Account, Command, Entry, EntryId, Fingerprint, decide};
use crate::domain::{AccountName, Refusal, Timestamp};
use crate::store::{Answer, Clock, Promise, Reading, StoreRefusal, Unavailable, Written};

/// Most jobs in one group.
const GROUP_LENGTH_MAX: usize = 4_096;

pub(super) struct Writer {
    connection: Connection,
    state: State,
    history: History,
    clock: Arc<dyn Clock>,
    /// Set when the store is being closed: writes that wait are done, reads not.
    closing: Arc<AtomicBool>,
}

/// A group on its way into the file.
#[derive(Default)]
struct Group {
    accounts: Vec<(i64, AccountName)>,
    rows: Vec<(i64, Entry, Option<Fingerprint>)>,
    /// What the accounts were before the group; None for those that it opened.
    before: HashMap<AccountName, Option<Account>>,
    answers: Vec<(Promise<Written>, Answer<Written>)>,
    reads: Vec<(AccountName, Option<Timestamp>, Promise<Reading>)>,
}

impl Group {
    /// Remembers what the account was before the group, once.
    fn keep_before(&mut self, slot: &Slot) {
        let name = slot.account.name();
        if !self.before.contains_key(name) {
            let account = slot.account.clone();
            self.before.insert(name.clone(), Some(account));
        }
    }
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        state: State,
        history: Connection,
        clock: Arc<dyn Clock>,
        closing: Arc<AtomicBool>,
    ) -> Self {
        Self {
            connection,
            state,
            history: History::start(history, Arc::clone(&closing)),
            clock,
            closing,
        }
    }

    /// Works until there is nobody left who could ask.
    pub(super) fn run(mut self, queue: &Receiver<Job>) {
        while let Ok(first) = queue.recv() {
            let now = self.now();
            let mut group = Group::default();
            self.take(&mut group, first, now);
            for job in queue.try_iter().take(GROUP_LENGTH_MAX) {
                self.take(&mut group, job, now);
            }
            self.finish(group, now);
        }
    }

    /// The time of a group: later than that of every group before it, also where
    /// the clock went back, and in whole microseconds, so that every client's
    /// type can hold it.
    fn now(&mut self) -> Timestamp {
        let micros = |time: Timestamp| time.unix_nanos().map(|n| n.div_euclid(1_000));
        let clock = micros(self.clock.now()).unwrap_or_default();
        let last = micros(self.state.last_time).map_or(i64::MIN, |last| last.saturating_add(1));
        let now = Timestamp::from_unix_nanos(clock.max(last).saturating_mul(1_000));
        self.state.last_time = now;
        now
    }

    fn take(&mut self, group: &mut Group, job: Job, now: Timestamp) {
        match job {
            Job::Write(command, promise) => {
                let answer = self.write(group, &command, now);
                group.answers.push((promise, answer));
            }
            // Nobody waits for it any more.
            Job::Read(_, _, promise) if promise.is_closed() => {}
            Job::Read(_, _, promise) if self.closing.load(Ordering::Relaxed) => {
                let _ = promise.send(Err(StoreRefusal::Unavailable(Unavailable {
                    operation: "read",
                    cause: "the store is closing".to_owned(),
                })));
            }
            Job::Read(name, as_of, promise) => {
                // What has expired leaves once, and not anew at each read.
                let _ = self.settle(group, &name, now);
                group.reads.push((name, as_of, promise));
            }
        }
    }

    /// Lets go of what has expired, with the group.
    fn settle(
        &mut self,
        group: &mut Group,
        name: &AccountName,
        now: Timestamp,
    ) -> Result<(), StoreRefusal> {
        let Some(slot) = self.state.accounts.get_mut(name) else {
            return Ok(());
        };
        if !slot.account.has_expired(now) {
            return Ok(());
        }
        group.keep_before(slot);
        let expired = slot.account.expire(now, self.state.next_entry);
        let expired = expired.map_err(|at| defect(at.0))?;
        if let Some(last) = expired.last() {
            self.state.next_entry = last.id.next();
        }
        let rows = expired.into_iter().map(|expiry| (slot.id, expiry, None));
        group.rows.extend(rows);
        Ok(())
    }

    fn write(&mut self, group: &mut Group, command: &Command, now: Timestamp) -> Answer<Written> {
        if let Some(known) = self.known(group, command) {
            return known;
        }
        let name = &command.account;
        self.settle(group, name, now)?;
        let id = self.state.next_entry;
        let entry = match self.state.accounts.get_mut(name) {
            Some(slot) => {
                let entry = decide(&slot.account, command, now, id)?;
                group.keep_before(slot);
                slot.account.apply(&entry).map_err(|at| defect(at.0))?;
                entry
            }
            None => {
                let mut account = Account::new(name.clone());
                let entry = decide(&account, command, now, id)?;
                account.apply(&entry).map_err(|at| defect(at.0))?;
                let slot = Slot::new(self.state.next_account, account);
                self.state.next_account = slot.id.saturating_add(1);
                group.before.insert(name.clone(), None);
                group.accounts.push((slot.id, name.clone()));
                self.state.accounts.insert(name.clone(), slot);
                entry
            }
        };
        self.state.next_entry = id.next();
        let fingerprint = command.request.fingerprint;
        if let Some(slot) = self.state.accounts.get_mut(name) {
            slot.note_request(&entry, Some(fingerprint));
            group.rows.push((slot.id, entry.clone(), Some(fingerprint)));
        }
        Ok(Written {
            entry,
            replayed: false,
        })
    }

    /// The first answer to a request_id that is known, also from this group.
    fn known(&self, group: &Group, command: &Command) -> Option<Answer<Written>> {
        let slot = self.state.accounts.get(&command.account)?;
        let (fingerprint, id) = slot.requests.get(&command.request.id)?;
        if *fingerprint != command.request.fingerprint {
            return Some(Err(StoreRefusal::Refused(Refusal::RequestIdReused {
                account: command.account.clone(),
                request_id: command.request.id.clone(),
            })));
        }
        let in_group = group
            .rows
            .iter()
            .rev()
            .find(|(_, entry, _)| entry.id == *id);
        let entry = match in_group {
            Some((_, entry, _)) => Ok(entry.clone()),
            None => rows::entry_by_id(&self.connection, *id).map(|stored| stored.entry),
        };
        Some(
            entry
                .map(|entry| Written {
                    entry,
                    replayed: true,
                })
                .map_err(|rows::BadRow(cause)| {
                    tracing::error!(entry = id.0, cause, "a first answer cannot be read");
                    StoreRefusal::Unavailable(Unavailable {
                        operation: "read",
                        cause,
                    })
                }),
        )
    }

    /// Makes the group durable, then answers everybody in it.
    fn finish(&mut self, mut group: Group, now: Timestamp) {
        if let Err(error) = self.commit(&group) {
            tracing::error!(%error, "a group of writes could not be made durable");
            self.undo(&mut group);
            let failed = unavailable("write", &error);
            // Refusals too: they may rest on what was not written.
            for (_, answer) in &mut group.answers {
                *answer = Err(StoreRefusal::Unavailable(failed.clone()));
            }
        }
        // A caller that is gone does not matter: its request_id will find the answer.
        for (promise, answer) in group.answers {
            let _ = promise.send(answer);
        }
        for (name, as_of, promise) in group.reads {
            self.read(name, as_of, promise, now);
        }
    }

    fn commit(&mut self, group: &Group) -> rusqlite::Result<()> {
        if group.rows.is_empty() {
            return Ok(());
        }
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        for (id, name) in &group.accounts {
            rows::write_account(&transaction, *id, name)?;
        }
        for (account, entry, fingerprint) in &group.rows {
            rows::write_entry(&transaction, *account, entry, fingerprint.as_ref())?;
        }
        transaction.commit()
    }

    /// Puts the accounts back to what they were before the group.
    fn undo(&mut self, group: &mut Group) {
        for (_, entry, _) in &group.rows {
            if let Some(request_id) = &entry.request_id
                && let Some(slot) = self.state.accounts.get_mut(&entry.account)
            {
                slot.requests.remove(request_id);
            }
        }
        for (name, before) in group.before.drain() {
            let Some(account) = before else {
                self.state.accounts.remove(&name);
                continue;
            };
            if let Some(slot) = self.state.accounts.get_mut(&name) {
                slot.account = account;
            }
        }
    }

    fn read(
        &self,
        name: AccountName,
        as_of: Option<Timestamp>,
        promise: Promise<Reading>,
        now: Timestamp,
    ) {
        let to_come = as_of.and_then(|time| TimeRule::NotFuture.fault(time, now));
        let answer = match (self.state.accounts.get(&name), as_of) {
            _ if let Some(fault) = to_come => Err(Refusal::invalid("as_of", fault).into()),
            (None, _) => Err(Refusal::AccountNotFound { account: name }.into()),
            (Some(slot), Some(as_of)) => match slot.account.last_entry() {
                Some(newest) => {
                    return self.history.walk(Walk {
                        name,
                        newest,
                        as_of,
                        promise,
                    });
                }
                None => Err(Refusal::AccountNotFound { account: name }.into()),
            },
            (Some(slot), None) => {
                let mut account = slot.account.clone();
                account
                    .expire(now, self.state.next_entry)
                    .map(|_| Reading { account, time: now })
                    .map_err(|at| defect(at.0))
            }
        };
        let _ = promise.send(answer);
    }
}

fn defect(at: EntryId) -> StoreRefusal {
    tracing::error!(
        entry = at.0,
        "an entry does not follow from those before it"
    );
    StoreRefusal::Unavailable(Unavailable {
        operation: "write",
        cause: format!("entry {} does not follow from those before it", at.0),
    })
}
