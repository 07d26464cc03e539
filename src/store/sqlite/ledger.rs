//! The accounts that the writer decides over, and the group whose entries it writes.
//!
//! The file has all accounts; those that were used last are also in memory. Their rows are
//! flushed later than the journal is written, so that a busy account costs one row in
//! thousands of entries: `dirty.rs` knows the accounts whose rows are older than the journal.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;

use super::accounts::Loaded;
use super::cache::{Cache, Slot};
use super::chain;
use super::dirty::{DirtyAccount, DirtyAccounts, DirtyRange};
use super::group::decide;
use super::journal::{Journal, Position, StorageError};
use super::requests::{Key, Progress, Requests, Scope};
use super::rows::Place;
use crate::domain::clock::ClockNotBelieved;
use crate::domain::ledger::{
    Account, Command, Decision, EarlierWrite, Effects, Entry, Fingerprint, Inconsistent, LookedUp,
    needs,
};
use crate::domain::{AccountName, Credits, RequestId, Timestamp};
use crate::store::metrics::{Moved, StoreMetrics};
use crate::store::{Answer, OtherSettings, StoreError, Unavailable, Written};

/// A snapshot is due after so many entries of an account, or after as many as it has grants and
/// open holds, if that is more.
const SNAPSHOT_ENTRIES: usize = 256;

pub(super) struct Ledger {
    pub(super) journal: Journal,
    pub(super) cache: Cache,
    pub(super) dirty: DirtyAccounts,
    pub(super) requests: Requests,
    pub(super) next_position: Position,
    next_account: i64,
    pub(super) group: Group,
    /// The entry up to which the file itself has the journal, until that is written into the
    /// new `-wal`.
    pub(super) checkpointed: Option<Position>,
    /// Why nothing is written now: the clock is not believed.
    pub(super) not_believed: Option<ClockNotBelieved>,
    pub(super) metrics: Arc<StoreMetrics>,
}

/// What a group did so far, to be undone if it fails.
#[derive(Default)]
pub(super) struct Group {
    pub(super) is_open: bool,
    pub(super) undo: Vec<Undo>,
    pub(super) progress: Progress,
    pub(super) moved: Moved,
}

/// How to undo one step of a group.
pub(super) enum Undo {
    /// An entry was added to an account, or its row was flushed.
    Head {
        account: i64,
        name: AccountName,
        before: Option<DirtyRange>,
        next_position: Position,
    },
    Account {
        id: i64,
    },
    Request {
        key: Key,
        position: Position,
    },
}

/// Whether the answer to a write has the shares of its entry. The answers of a batch do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shares {
    Answered,
    Omitted,
}

/// A group that is on disk.
pub(super) struct Committed {
    /// Whether there was anything to write.
    pub(super) wrote: bool,
    /// How long it took to write the rows, and how long the transaction took to be on disk.
    pub(super) took: [Duration; 2],
    pub(super) steps: Vec<Undo>,
    pub(super) moved: Moved,
}

impl Committed {
    /// The accounts that it changed or flushed; some are given more than once.
    pub(super) fn changed(self) -> impl Iterator<Item = AccountName> {
        self.steps.into_iter().filter_map(|step| match step {
            Undo::Head { name, .. } => Some(name),
            Undo::Account { .. } | Undo::Request { .. } => None,
        })
    }
}

impl Ledger {
    pub(super) fn new(
        journal: Journal,
        requests: Requests,
        accounts_max: usize,
        next_position: Position,
        next_account: i64,
    ) -> Self {
        Self {
            journal,
            cache: Cache::new(accounts_max),
            dirty: DirtyAccounts::default(),
            requests,
            next_position,
            next_account,
            group: Group::default(),
            checkpointed: None,
            not_believed: None,
            metrics: Arc::default(),
        }
    }

    /// Notes a request_id, read at start, that is in no sorted run.
    pub(super) fn note_request(
        &mut self,
        account: i64,
        id: &RequestId,
        position: Position,
        time: Timestamp,
        scope: Scope,
    ) {
        let key = self.requests.key(account, id);
        self.requests.insert(key, position, time, scope);
    }

    /// The account; None if there is none.
    pub(super) fn account(&mut self, name: &AccountName) -> Result<Option<&Loaded>, StorageError> {
        let slot = self.load(name)?;
        Ok(slot.and_then(|slot| self.cache.at(slot).map(|loaded| &*loaded)))
    }

    /// Writes the lapses of an account that are due by now into the group. An account that
    /// cannot be read is skipped: the call that needs it fails by itself. False: another
    /// program holds the write lock.
    pub(super) fn expire_due(
        &mut self,
        name: &AccountName,
        now: Timestamp,
    ) -> Result<bool, StorageError> {
        let slot = match self.load(name) {
            Ok(None) => return Ok(true),
            Ok(Some(slot)) => slot,
            Err(cause) => return self.unreadable::<()>(&cause).map(|_| true),
        };
        if !self.has_lapsed(slot, now) {
            return Ok(true);
        }
        if !self.try_begin()? {
            return Ok(false);
        }
        self.lapse(slot, now).map(|()| true)
    }

    fn has_lapsed(&mut self, slot: Slot, now: Timestamp) -> bool {
        let loaded = self.cache.at(slot);
        loaded.is_some_and(|loaded| loaded.account.has_lapsed(now))
    }

    /// Loads the account into memory, unless it is there. None: there is no such account.
    pub(super) fn load(&mut self, name: &AccountName) -> Result<Option<Slot>, StorageError> {
        if let Some(slot) = self.cache.find(name) {
            self.metrics.cache_hits.inc();
            return Ok(Some(slot));
        }
        let Some((id, row_head)) = self.journal.account_row(name)? else {
            return Ok(None);
        };
        let head = self.dirty.get(id).map(|head| head.entry).or(row_head);
        self.metrics.cache_misses.inc();
        let loaded = self.journal.load(id, name, head)?;
        Ok(Some(self.cache.insert(loaded)))
    }

    fn lapse(&mut self, slot: Slot, now: Timestamp) -> Result<(), StorageError> {
        let Some(loaded) = self.cache.at(slot) else {
            return Ok(());
        };
        match Arc::make_mut(&mut loaded.account).lapse(now) {
            Ok(lapsed) => self.write_lapsed(slot, &lapsed),
            Err(at) => {
                let name = loaded.account.name().clone();
                // The call that needs the account fails by itself.
                let _ = self.defect(&name, at);
                Ok(())
            }
        }
    }

    /// Writes lapses that are already applied to the account in memory.
    fn write_lapsed(&mut self, slot: Slot, lapsed: &[Entry]) -> Result<(), StorageError> {
        if lapsed.is_empty() {
            return Ok(());
        }
        self.begin()?;
        for entry in lapsed {
            self.append(slot, entry, None, None)?;
        }
        self.write_snapshot_if_due(slot)
    }

    /// Appends an entry of an account to the journal. It is applied to the account already.
    fn append(
        &mut self,
        slot: Slot,
        entry: &Entry,
        fingerprint: Option<&Fingerprint>,
        answered: Option<Credits>,
    ) -> Result<Position, StorageError> {
        let position = self.next_position;
        let Some(loaded) = self.cache.at(slot) else {
            return Err(StorageError("an account is not there".to_owned()));
        };
        let place = Place {
            account_id: loaded.id,
            position,
            previous: loaded.head,
        };
        let chain = loaded.chain;
        loaded.head = Some(position);
        loaded.steps = loaded.steps.saturating_add(1);
        let id = loaded.id;
        let before = self.dirty.note_entry(id, &entry.account, position);
        self.group.undo.push(Undo::Head {
            account: id,
            name: entry.account.clone(),
            before,
            next_position: position,
        });
        self.group.moved.note(entry);
        self.next_position = position.next();
        let write = (entry, fingerprint, answered);
        let chain = self.journal.write_entry(place, &chain, write)?;
        if let Some(loaded) = self.cache.at(slot) {
            loaded.chain = chain;
        }
        Ok(position)
    }

    /// Removes an account from memory to which an entry could not be applied. The file still
    /// has it as it was.
    fn defect(&mut self, name: &AccountName, at: Inconsistent) -> StoreError {
        let cause = does_not_follow(at);
        tracing::error!(cause = cause.0, "a defect: nothing of it was written");
        self.cache.forget(name);
        unavailable("write", &cause)
    }

    /// Decides a command, and writes its entries into the open group. Err fails the group.
    pub(super) fn write(
        &mut self,
        command: &Command,
        shares: Shares,
        now: Timestamp,
    ) -> Result<Answer<Written>, StorageError> {
        // An account that cannot be read fails this command alone, not the group.
        let slot = match self.load(&command.account) {
            Ok(slot) => slot,
            Err(cause) => return self.unreadable(&cause),
        };
        let loaded = slot.and_then(|slot| self.cache.at(slot));
        let id = loaded.map_or(self.next_account, |loaded| loaded.id);
        let key = self.requests.key(id, &command.request.id);
        let looked_up = match self.look_up(slot, (id, key), command, shares) {
            Ok(looked_up) => looked_up,
            Err(cause) => return self.unreadable(&cause),
        };
        if looked_up.earlier.is_none() {
            if let Some(not_believed) = self.not_believed {
                return Ok(Err(not_believed.into()));
            }
            // From here on the account in memory may change, which only the undo of an open
            // group takes back.
            self.begin()?;
        }
        let mut unopened = None;
        let account = match slot.and_then(|slot| self.cache.at(slot)) {
            Some(loaded) => &mut loaded.account,
            None => unopened.insert(Arc::new(Account::new(command.account.clone()))),
        };
        let effects = match decide(account, command, looked_up, now) {
            Ok(Decision::Write(effects)) => effects,
            Ok(Decision::Replay(written)) => {
                self.metrics.replays.inc();
                return Ok(Ok(*written));
            }
            Ok(Decision::Reprice(settings)) => {
                let command = command.clone();
                let other = OtherSettings { command, settings };
                return Ok(Err(StoreError::OtherSettings(Box::new(other))));
            }
            Ok(Decision::Refuse { refusal, lapsed }) => {
                if let Some(slot) = slot {
                    self.write_lapsed(slot, &lapsed)?;
                }
                return Ok(Err(refusal.into()));
            }
            Err(at) => return Ok(Err(self.defect(&command.account, at))),
        };
        let slot = match (slot, unopened) {
            (Some(slot), _) => slot,
            (None, Some(account)) => self.open_account(id, account)?,
            (None, None) => return Err(StorageError("an account is not there".to_owned())),
        };
        let Effects {
            lapsed,
            entry,
            follow_ups,
            available,
        } = *effects;
        for entry in &lapsed {
            self.append(slot, entry, None, None)?;
        }
        let answered = (available != entry.available).then_some(available);
        let fingerprint = Some(&command.request.fingerprint);
        let position = self.append(slot, &entry, fingerprint, answered)?;
        for entry in &follow_ups {
            self.append(slot, entry, None, None)?;
        }
        self.requests
            .insert(key, position, now, Scope::of(entry.kind.name()));
        self.group.undo.push(Undo::Request { key, position });
        self.write_snapshot_if_due(slot)?;
        Ok(Ok(Written {
            entry: match shares {
                Shares::Answered => entry,
                Shares::Omitted => Entry {
                    shares: Vec::new(),
                    ..entry
                },
            },
            available,
            replayed: false,
        }))
    }

    /// Looks up what the decision over a command needs beside the account.
    fn look_up(
        &mut self,
        slot: Option<Slot>,
        (id, key): (i64, Key),
        command: &Command,
        shares: Shares,
    ) -> Result<LookedUp, StorageError> {
        let Some(loaded) = slot.and_then(|slot| self.cache.at(slot)) else {
            return Ok(LookedUp::default());
        };
        let (reference, head) = (needs(&loaded.account, command), loaded.head);
        let earlier = self.earlier_write(id, key, command, shares)?;
        let referenced = match (&earlier, reference) {
            (None, Some(reference)) => self.journal.look_up(id, head, reference)?,
            _ => None,
        };
        Ok(LookedUp {
            earlier,
            referenced,
        })
    }

    /// Writes the row of a new account.
    fn open_account(&mut self, id: i64, account: Arc<Account>) -> Result<Slot, StorageError> {
        self.journal.write_account(id, account.name())?;
        self.next_account = id.saturating_add(1);
        self.group.undo.push(Undo::Account { id });
        Ok(self.cache.insert(Loaded {
            id,
            account,
            head: None,
            chain: chain::BEGINNING,
            steps: 0,
        }))
    }

    /// Refuses one command, unless SQLite has rolled the whole group back.
    fn unreadable<T>(&self, cause: &StorageError) -> Result<Answer<T>, StorageError> {
        if self.group.is_open && self.journal.connection.is_autocommit() {
            return Err(StorageError(cause.0.clone()));
        }
        tracing::error!(cause = cause.0, "an account cannot be read");
        Ok(Err(unavailable("read", cause)))
    }

    /// The write that had this request_id; it may be of this group.
    pub(super) fn earlier_write(
        &self,
        id: i64,
        key: Key,
        command: &Command,
        shares: Shares,
    ) -> Result<Option<EarlierWrite>, StorageError> {
        for entry in self.requests.find(&self.journal.connection, key)? {
            let stored = match shares {
                Shares::Answered => self.journal.entry(entry)?,
                Shares::Omitted => self.journal.entry_without_shares(entry)?,
            };
            let Some(stored) = stored else {
                continue;
            };
            let same = stored.place.account_id == id
                && stored.entry.request_id.as_ref() == Some(&command.request.id);
            // One that was erased is still a write that had this request_id.
            let is_erased = stored.seals.erased.is_some();
            if same && (stored.fingerprint.is_some() || is_erased) {
                return Ok(Some(EarlierWrite {
                    fingerprint: stored.fingerprint,
                    entry: stored.entry,
                    available: stored.answered,
                }));
            }
        }
        Ok(None)
    }

    /// Writes a snapshot of the account if one is due.
    fn write_snapshot_if_due(&mut self, slot: Slot) -> Result<(), StorageError> {
        let Some(loaded) = self.cache.at(slot) else {
            return Ok(());
        };
        if loaded.steps < SNAPSHOT_ENTRIES.max(loaded.account.size()) {
            return Ok(());
        }
        loaded.steps = 0;
        self.journal.write_snapshot(loaded)
    }

    fn undo(&mut self) {
        while let Some(step) = self.group.undo.pop() {
            match step {
                Undo::Account { id } => {
                    self.next_account = id;
                    self.journal.forget_names();
                }
                Undo::Request { key, position } => self.requests.remove(key, position),
                Undo::Head {
                    account,
                    name,
                    before,
                    next_position,
                } => {
                    let before = before.map(|range| DirtyAccount {
                        entry: range.entry,
                        since: range.since,
                        name: name.clone(),
                    });
                    self.dirty.set(account, before);
                    self.next_position = next_position;
                    // It is loaded again, without the group, when it is next needed.
                    self.cache.forget(&name);
                }
            }
        }
    }

    /// Whether the group has written anything.
    pub(super) fn writes(&self) -> bool {
        !self.group.undo.is_empty()
    }

    /// Says how much is in the ledger and in memory.
    pub(super) fn measure(&self) {
        let gauge = |of: &Gauge, is: usize| {
            of.set(i64::try_from(is).unwrap_or(i64::MAX));
        };
        self.metrics
            .accounts
            .set(self.next_account.saturating_sub(1));
        gauge(&self.metrics.accounts_in_memory, self.cache.length());
        gauge(
            &self.metrics.request_id_memory_bytes,
            self.requests.filter_bytes(),
        );
    }

    /// Undoes the group.
    pub(super) fn roll_back(&mut self) {
        // SQLite may have rolled back by itself.
        let open = !self.journal.connection.is_autocommit();
        if open && let Err(error) = self.journal.connection.execute_batch("ROLLBACK") {
            tracing::error!(%error, "a group that failed could not be rolled back");
        }
        self.journal.discard_group();
        self.undo();
        self.group = Group::default();
    }
}

pub(super) fn does_not_follow(at: Inconsistent) -> StorageError {
    StorageError(format!(
        "entry {} does not follow from those before it",
        at.0.0
    ))
}

pub(super) fn unavailable(operation: &'static str, cause: &StorageError) -> StoreError {
    StoreError::Unavailable(Unavailable {
        operation,
        cause: cause.0.clone(),
    })
}
