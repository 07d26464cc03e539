//! The plain store: everything in memory, under one lock, and nothing clever. It
//! keeps the promises of the contract but for the disk, and serves as the
//! reference by which other stores are tested.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::{
    Answer, Changes, Clock, EntryPage, EntryQuery, Fits, Look, Pending, Reading, Store,
    StoreRefusal, Unavailable, Written,
};
use crate::domain::clock::Disbelief;
use crate::domain::fault::TimeRule;
use crate::domain::ledger::{
    Account, Command, Denied, Entry, EntryId, EntryKind, Fingerprint, Found, GrantFacts, GrantId,
    Hold, HoldId, Inconsistent, Lookup, Named, Spending, execute,
};
use crate::domain::{AccountName, Credits, Refusal, RequestId, Timestamp};

/// The plain store.
pub struct MemoryStore {
    books: Mutex<Books>,
    clock: Arc<dyn Clock>,
    writable: watch::Sender<bool>,
}

/// All that there is.
#[derive(Clone)]
struct Books {
    accounts: HashMap<AccountName, Book>,
    next: EntryId,
    last_time: Timestamp,
    /// Why nothing is written now.
    disbelief: Option<Disbelief>,
    watched: HashMap<AccountName, watch::Sender<()>>,
}

/// One account.
#[derive(Clone)]
struct Book {
    account: Account,
    entries: Vec<Entry>,
    answers: HashMap<RequestId, (Fingerprint, Written)>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            books: Mutex::new(Books {
                accounts: HashMap::new(),
                next: EntryId(1),
                last_time: Timestamp::MIN,
                disbelief: None,
                watched: HashMap::new(),
            }),
            clock,
            writable: watch::Sender::new(true),
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The books, and a time later than all before it, in whole microseconds.
    fn open(&self) -> (MutexGuard<'_, Books>, Timestamp) {
        let mut books = self.books();
        let believed = self.clock.believed();
        books.disbelief = believed.err();
        let now = believed.unwrap_or_else(|not| not.believed_time);
        let now = books.last_time.next_micro(now);
        books.last_time = now;
        (books, now)
    }
}

impl Books {
    fn book(&mut self, name: &AccountName, now: Timestamp) -> Answer<&mut Book> {
        let next = &mut self.next;
        let book = self
            .accounts
            .get_mut(name)
            .ok_or_else(|| Refusal::AccountNotFound {
                account: name.clone(),
            })?;
        let lapsed = book.account.lapse(now, *next).map_err(defect)?;
        if let Some(last) = lapsed.last() {
            *next = last.id.next();
            if let Some(watched) = self.watched.get(name) {
                watched.send_replace(());
            }
        }
        book.entries.extend(lapsed);
        Ok(book)
    }

    fn write(&mut self, command: &Command, now: Timestamp) -> Answer<Written> {
        let name = &command.account;
        if let Some((fingerprint, written)) = self
            .accounts
            .get(name)
            .and_then(|book| book.answers.get(&command.request.id))
        {
            if *fingerprint != command.request.fingerprint {
                return Err(Refusal::RequestIdReused {
                    account: name.clone(),
                    request_id: command.request.id.clone(),
                }
                .into());
            }
            return Ok(Written {
                replayed: true,
                ..written.clone()
            });
        }
        if let Some(disbelief) = self.disbelief {
            return Err(disbelief.into());
        }
        let mut book = match self.book(name, now) {
            Ok(book) => book.clone(),
            Err(_) => Book {
                account: Account::new(name.clone()),
                entries: Vec::new(),
                answers: HashMap::new(),
            },
        };
        let lookup = command
            .action
            .lookup(|hold| book.account.holds().contains_key(&hold));
        let found = book.find(lookup);
        let outcome = execute(&mut book.account, command.clone(), &found, now, self.next);
        let outcome = outcome.map_err(|denied| match denied {
            Denied::Refused(refusal) => refusal.into(),
            Denied::Defect(at) => defect(at),
        })?;
        let written = Written {
            entry: outcome.entry.clone(),
            available: book.account.available(),
            replayed: false,
        };
        let last = outcome.lapsed.last().unwrap_or(&outcome.entry);
        self.next = last.id.next();
        book.entries.push(outcome.entry);
        book.entries.extend(outcome.lapsed);
        let key = command.request.id.clone();
        let answer = (command.request.fingerprint, written.clone());
        book.answers.insert(key, answer);
        self.accounts.insert(name.clone(), book);
        if let Some(watched) = self.watched.get(name) {
            watched.send_replace(());
        }
        Ok(written)
    }
}

impl Book {
    /// What a decision needs beside the account.
    fn find(&self, lookup: Lookup) -> Found {
        let found = match lookup {
            Lookup::Nothing => None,
            Lookup::ClosedHold(id) => self.hold(id).map(Found::ClosedHold),
            Lookup::Grant(id) => self.grant(id).map(|_| Found::Grant),
            Lookup::Spending(id) => self.spending(id).map(Found::Spending),
        };
        found.unwrap_or(Found::Nothing)
    }

    fn hold(&self, id: HoldId) -> Option<Arc<Hold>> {
        let about = |entry: &&Entry| entry.hold.as_ref().is_some_and(|hold| hold.id == id);
        self.entries.iter().rfind(about)?.hold.clone()
    }

    fn grant(&self, id: GrantId) -> Option<GrantFacts> {
        let made = self.entries.iter().find_map(|entry| match &entry.kind {
            EntryKind::Grant(terms) if GrantId(entry.id) == id => Some(terms),
            _ => None,
        });
        let revokes = |entry: &Entry| matches!(entry.kind, EntryKind::Revoke(grant) if grant == id);
        Some(GrantFacts {
            id,
            terms: Arc::clone(made?),
            revoked: self.entries.iter().any(revokes),
        })
    }

    fn spending(&self, id: EntryId) -> Option<Spending> {
        let entry = self.entries.iter().find(|entry| entry.id == id)?;
        let mut refunded = Credits::ZERO;
        for refund in &self.entries {
            if matches!(refund.kind, EntryKind::Refund { of, .. } if of == id) {
                refunded = refunded.checked_add(refund.credits).ok()?;
            }
        }
        Spending::of(entry, refunded, |grant| self.grant(grant))
    }
}

fn defect(at: Inconsistent) -> StoreRefusal {
    StoreRefusal::Unavailable(Unavailable {
        operation: "write",
        cause: format!("{} does not follow from those before it", at.0),
    })
}

impl Store for MemoryStore {
    fn write(&self, command: Command) -> Pending<Box<Written>> {
        let (mut books, now) = self.open();
        Pending::ready(books.write(&command, now).map(Box::new))
    }

    fn write_batch(&self, commands: Vec<Command>, mut fits: Fits) -> Pending<Vec<Answer<Written>>> {
        let (mut books, now) = self.open();
        let before = books.clone();
        let answers: Vec<_> = commands
            .iter()
            .map(|command| books.write(command, now))
            .collect();
        Pending::ready(match fits(&answers) {
            Ok(()) => Ok(answers),
            Err(refusal) => {
                *books = before;
                Err(refusal.into())
            }
        })
    }

    fn look(&self, name: AccountName, as_of: Option<Timestamp>, look: Box<dyn Look>) {
        let (mut books, now) = self.open();
        let to_come = as_of.and_then(|time| TimeRule::NotFuture.fault(time, now));
        if let Some(fault) = to_come {
            return look.see(Err(Refusal::invalid("as_of", fault).into()));
        }
        let book = match books.book(&name, now) {
            Ok(book) => book,
            Err(refusal) => return look.see(Err(refusal)),
        };
        let Some(as_of) = as_of else {
            let account = &book.account;
            return look.see(Ok(Reading { account, time: now }));
        };
        let mut account = Account::new(name);
        let then = book.entries.iter().filter(|e| e.create_time <= as_of);
        for entry in then {
            if let Err(at) = account.apply(entry) {
                return look.see(Err(defect(at)));
            }
        }
        look.see(Ok(Reading {
            account: &account,
            time: as_of,
        }));
    }

    fn hold(&self, name: AccountName, hold: Named<HoldId>) -> Pending<Arc<Hold>> {
        let (mut books, now) = self.open();
        Pending::ready(books.book(&name, now).and_then(|book| {
            let found = hold.id().and_then(|id| book.hold(id));
            found.ok_or_else(|| Refusal::HoldNotFound { hold: hold.text() }.into())
        }))
    }

    fn entries(&self, name: AccountName, query: EntryQuery) -> Pending<EntryPage> {
        let (mut books, now) = self.open();
        Pending::ready(books.book(&name, now).and_then(|book| {
            if let Some(hold) = &query.hold
                && hold.id().and_then(|id| book.hold(id)).is_none()
            {
                return Err(Refusal::HoldNotFound { hold: hold.text() }.into());
            }
            let mut found = book
                .entries
                .iter()
                .rev()
                .skip_while(|entry| query.before.is_some_and(|before| entry.id >= before))
                .take_while(|entry| !query.is_past(entry))
                .filter(|entry| query.matches(entry));
            let entries: Vec<_> = found.by_ref().take(query.limit).cloned().collect();
            let more = found.next().is_some();
            let next = entries.last().map(|entry| entry.id).filter(|_| more);
            Ok(EntryPage { entries, next })
        }))
    }

    fn watch(&self, name: AccountName) -> Pending<Changes> {
        let (mut books, now) = self.open();
        let known = books.book(&name, now).map(|_| ());
        let watched = books.watched.entry(name).or_default();
        Pending::ready(known.map(|()| watched.subscribe()))
    }

    fn writable(&self) -> watch::Receiver<bool> {
        self.writable.subscribe()
    }
}
