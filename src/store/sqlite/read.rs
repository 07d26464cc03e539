//! Reads, answered by the writer between two groups: they see all that was answered
//! before them and nothing that is not durable. Lapses that are due and could not be written
//! are applied to a copy of the account for the read.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::accounts::Loaded;
use super::history::{AccountHead, HistoryRead, Scan};
use super::journal::StorageError;
use super::ledger::unavailable;
use super::settings::Settings;
use super::writer::Writer;
use crate::domain::ledger::{Account, Entry, Hold, HoldId, Named};
use crate::domain::violation::TimeRule;
use crate::domain::{AccountName, Refusal, Timestamp};
use crate::failpoint;
use crate::store::{
    AccountSnapshot, Answer, Changes, EntryPage, EntryQuery, NameQuery, Promise, Stages,
    StoreError, Unavailable,
};

/// A read of one account.
pub(super) struct Read {
    pub(super) name: AccountName,
    pub(super) query: Query,
}

/// What is read, and where to send the answer.
pub(super) enum Query {
    Account(Option<Timestamp>, Promise<AccountSnapshot>),
    Hold(Named<HoldId>, Promise<Arc<Hold>>),
    Entries(EntryQuery, Promise<EntryPage>),
    Watch(Promise<Changes>),
}

impl Read {
    pub(super) const fn name(&self) -> &AccountName {
        &self.name
    }

    /// Whether the caller still waits for the answer.
    pub(super) fn is_awaited(&self) -> bool {
        match &self.query {
            Query::Account(_, promise) => !promise.is_closed(),
            Query::Hold(_, promise) => !promise.is_closed(),
            Query::Entries(_, promise) => !promise.is_closed(),
            Query::Watch(promise) => !promise.is_closed(),
        }
    }

    /// Answers with a failure.
    pub(super) fn refuse(self, refusal: StoreError) {
        // The caller may be gone.
        match self.query {
            Query::Account(_, promise) => drop(promise.send(Err(refusal))),
            Query::Hold(_, promise) => drop(promise.send(Err(refusal))),
            Query::Entries(_, promise) => drop(promise.send(Err(refusal))),
            Query::Watch(promise) => drop(promise.send(Err(refusal))),
        }
    }
}

/// An account at the time of a read.
struct View<'a> {
    loaded: &'a Loaded,
    /// The account after the lapses that are due and could not be written, and those lapses.
    lapsed: Option<(Arc<Account>, Vec<Entry>)>,
}

impl View<'_> {
    fn account(&self) -> &Arc<Account> {
        match &self.lapsed {
            Some((account, _)) => account,
            None => &self.loaded.account,
        }
    }

    fn head(self) -> AccountHead {
        AccountHead {
            id: self.loaded.id,
            name: self.loaded.account.name().clone(),
            position: self.loaded.head,
            last: self.loaded.account.last().entry,
            unwritten: self.lapsed.map_or_else(Vec::new, |(_, entries)| entries),
        }
    }
}

impl Writer {
    /// Answers a read.
    pub(super) fn read(&mut self, read: Read, now: Timestamp) {
        if !read.is_awaited() {
            return;
        }
        if self.closing.load(Ordering::Relaxed) {
            return read.refuse(closing());
        }
        if !self.can_read() && !self.is_in_memory(&read) {
            return read.refuse(file_lost());
        }
        failpoint::pass("read");
        let taken = Instant::now();
        let stages = || Stages::taken(taken).decided(Instant::now());
        if let Query::Account(Some(as_of), _) = read.query
            && TimeRule::NotFuture.violation(as_of, now).is_some()
            // The group, and so `now`, may be older than the read.
            && let Some(violation) = TimeRule::NotFuture.violation(as_of, self.current_time())
        {
            return read.refuse(Refusal::invalid("as_of", violation).into());
        }
        let view = match self.ledger.account(&read.name) {
            Ok(Some(loaded)) => view(loaded, now),
            Ok(None) => {
                let account = read.name.clone();
                return read.refuse(Refusal::AccountNotFound { account }.into());
            }
            Err(cause) => Err(cause),
        };
        let view = match view {
            Ok(view) => view,
            Err(cause) => {
                tracing::error!(cause = cause.0, "an account cannot be read");
                return read.refuse(unavailable("read", &cause));
            }
        };
        match read.query {
            Query::Account(None, promise) => {
                let account = Arc::clone(view.account());
                let settings = account.settings().cloned();
                self.known_settings.add(&read.name, settings);
                promise.send_after(stages(), Ok(AccountSnapshot { account, time: now }));
            }
            Query::Account(Some(as_of), promise) => {
                let head = view.head();
                self.history.submit(head, HistoryRead::AsOf(as_of, promise));
            }
            Query::Entries(query, promise) => {
                let head = view.head();
                let scan = Box::new(Scan::new(query));
                self.history
                    .submit(head, HistoryRead::Entries(scan, promise));
            }
            Query::Watch(promise) => {
                let due = view.account().next_due();
                let changes = self.watchers.add(read.name, due);
                promise.send_after(stages(), Ok(changes));
            }
            Query::Hold(named, promise) => {
                let open = named.id().and_then(|id| view.account().holds().get(&id));
                let open = open.map(|open| Arc::clone(&open.hold));
                let unwritten = view.lapsed.as_ref().and_then(|(_, entries)| {
                    let holds = entries.iter().filter_map(|entry| entry.hold.as_ref());
                    holds
                        .rev()
                        .find(|hold| Some(hold.id) == named.id())
                        .cloned()
                });
                let id = view.loaded.id;
                let hold = match open.or(unwritten) {
                    Some(hold) => Ok(hold),
                    None => self.closed_hold((id, &read.name), &named),
                };
                promise.send_after(stages(), hold);
            }
        }
    }

    /// The settings of an account; None also where there is no such account.
    pub(super) fn settings_of(&mut self, name: &AccountName) -> Answer<Settings> {
        if self.closing.load(Ordering::Relaxed) {
            return Err(closing());
        }
        if !self.can_read() {
            return Err(file_lost());
        }
        let loaded = self.ledger.account(name).map_err(|cause| {
            tracing::error!(cause = cause.0, "an account cannot be read");
            unavailable("read", &cause)
        })?;
        let Some(loaded) = loaded else {
            return Ok(None);
        };
        let settings = loaded.account.settings().cloned();
        self.known_settings.add(name, settings.clone());
        Ok(settings)
    }

    /// Names of accounts. Those of accounts in memory stand in the file as well: an account is
    /// written there when it is opened.
    pub(super) fn account_names(&self, query: &NameQuery) -> Answer<Vec<AccountName>> {
        if self.closing.load(Ordering::Relaxed) {
            return Err(closing());
        }
        if !self.can_read() {
            return Err(file_lost());
        }
        let names = self.ledger.journal.account_names(query);
        names.map_err(|cause| {
            tracing::error!(cause = cause.0, "the names of accounts cannot be read");
            unavailable("read", &cause)
        })
    }

    /// Whether it can be answered without the file.
    fn is_in_memory(&mut self, read: &Read) -> bool {
        let now = matches!(read.query, Query::Account(None, _) | Query::Watch(_));
        now && self.ledger.cache.find(&read.name).is_some()
    }

    fn closed_hold(
        &self,
        (account, name): (i64, &AccountName),
        named: &Named<HoldId>,
    ) -> Answer<Arc<Hold>> {
        let closed = match named.id() {
            Some(id) => self.ledger.journal.closed_hold(account, id),
            None => Ok(None),
        };
        let unreadable = |cause| unavailable("read", &cause);
        if let Some(hold) = closed.map_err(unreadable)? {
            return Ok(hold);
        }
        let archived = match named.id() {
            Some(id) => self.ledger.journal.opening_of_hold(account, id),
            None => Ok(None),
        };
        Err(match archived.map_err(unreadable)? {
            Some(opening) => opening.refusal(name).into(),
            None => Refusal::HoldNotFound { hold: named.text() }.into(),
        })
    }
}

fn closing() -> StoreError {
    cannot_read("the store is closing")
}

fn file_lost() -> StoreError {
    cannot_read("the data file was overwritten or cut")
}

fn cannot_read(cause: &str) -> StoreError {
    StoreError::Unavailable(Unavailable {
        operation: "read",
        cause: cause.to_owned(),
    })
}

fn view(loaded: &Loaded, now: Timestamp) -> Result<View<'_>, StorageError> {
    let mut lapsed = None;
    if loaded.account.has_lapsed(now) {
        let mut account = Account::clone(&loaded.account);
        let entries = account.lapse(now).map_err(super::ledger::does_not_follow)?;
        lapsed = Some((Arc::new(account), entries));
    }
    Ok(View { loaded, lapsed })
}
