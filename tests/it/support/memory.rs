//! The plain store: everything in memory, under one lock, and nothing clever. It
//! keeps the promises of the contract but for the disk, and is the reference with which
//! other stores are compared.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use creditd::domain::clock::ClockNotBelieved;
use creditd::domain::ledger::{
    Account, AccountSettings, Command, Decision, EarlierWrite, Effects, Entry, EntryId, EntryKind,
    GrantFacts, GrantId, Hold, HoldId, Inconsistent, LookedUp, Named, Reference, Referenced,
    Spending, decide, needs,
};
use creditd::domain::violation::TimeRule;
use creditd::domain::{AccountName, Credits, Refusal, RequestId, Timestamp};
use creditd::store::{
    AccountSnapshot, Answer, Changes, Clock, EntryPage, EntryQuery, KnownSettings, NameQuery,
    OtherSettings, Pending, Store, StoreError, Unavailable, Written,
};
use tokio::sync::watch;

/// The plain store.
pub struct MemoryStore {
    books: Mutex<Books>,
    clock: Arc<dyn Clock>,
    writable: watch::Sender<bool>,
    /// The settings that it tells, where it tells those that accounts had when they were first
    /// asked for.
    lately: Option<Mutex<HashMap<AccountName, Option<Arc<AccountSettings>>>>>,
}

/// All that there is.
struct Books {
    accounts: HashMap<AccountName, Book>,
    last_time: Timestamp,
    /// Why nothing is written now.
    not_believed: Option<ClockNotBelieved>,
    watched: HashMap<AccountName, watch::Sender<()>>,
}

/// One account.
struct Book {
    account: Arc<Account>,
    entries: Vec<Entry>,
    answers: HashMap<RequestId, EarlierWrite>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            books: Mutex::new(Books {
                accounts: HashMap::new(),
                last_time: Timestamp::MIN,
                not_believed: None,
                watched: HashMap::new(),
            }),
            clock,
            writable: watch::Sender::new(true),
            lately: None,
        }
    }

    /// One that tells settings of accounts that they may not have any more.
    #[must_use]
    pub fn with_old_settings(clock: Arc<dyn Clock>) -> Self {
        Self {
            lately: Some(Mutex::default()),
            ..Self::new(clock)
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The books, and a time later than all before it, in whole microseconds.
    fn open(&self) -> (MutexGuard<'_, Books>, Timestamp) {
        let mut books = self.books();
        let believed = self.clock.believed();
        books.not_believed = believed.err();
        let now = believed.unwrap_or_else(|not| not.believed_time);
        let now = books.last_time.next_micro(now);
        books.last_time = now;
        (books, now)
    }
}

impl Books {
    fn book(&mut self, name: &AccountName, now: Timestamp) -> Answer<&mut Book> {
        let book = self
            .accounts
            .get_mut(name)
            .ok_or_else(|| Refusal::AccountNotFound {
                account: name.clone(),
            })?;
        let lapsed = Arc::make_mut(&mut book.account)
            .lapse(now)
            .map_err(defect)?;
        if let Some(watched) = self.watched.get(name)
            && !lapsed.is_empty()
        {
            watched.send_replace(());
        }
        book.entries.extend(lapsed);
        Ok(book)
    }

    fn snapshot(
        &mut self,
        name: AccountName,
        as_of: Option<Timestamp>,
        now: Timestamp,
    ) -> Answer<AccountSnapshot> {
        if let Some(violation) = as_of.and_then(|time| TimeRule::NotFuture.violation(time, now)) {
            return Err(Refusal::invalid("as_of", violation).into());
        }
        let book = self.book(&name, now)?;
        let Some(time) = as_of else {
            let account = Arc::clone(&book.account);
            return Ok(AccountSnapshot { account, time: now });
        };
        let mut account = Account::new(name);
        for entry in book.entries.iter().filter(|e| e.create_time <= time) {
            account.apply(entry).map_err(defect)?;
        }
        let account = Arc::new(account);
        Ok(AccountSnapshot { account, time })
    }

    fn write(&mut self, command: &Command, now: Timestamp) -> Answer<Written> {
        let name = &command.account;
        let mut unopened = None;
        let is_open = self.accounts.contains_key(name);
        let book = match self.accounts.get_mut(name) {
            Some(book) => book,
            None => unopened.insert(Book {
                account: Arc::new(Account::new(name.clone())),
                entries: Vec::new(),
                answers: HashMap::new(),
            }),
        };
        let looked_up = book.look_up(command);
        if looked_up.earlier.is_none()
            && let Some(not_believed) = self.not_believed
        {
            return Err(not_believed.into());
        }
        let decision = decide(&mut book.account, command, looked_up, now);
        let effects = match decision.map_err(defect)? {
            Decision::Replay(written) => return Ok(*written),
            Decision::Reprice(settings) => {
                let command = command.clone();
                let other = OtherSettings { command, settings };
                return Err(StoreError::OtherSettings(Box::new(other)));
            }
            Decision::Refuse { refusal, lapsed } => {
                book.entries.extend(lapsed);
                return Err(refusal.into());
            }
            Decision::Write(effects) => effects,
        };
        let Effects {
            lapsed,
            entry,
            follow_ups,
            available,
        } = *effects;
        let earlier = EarlierWrite {
            fingerprint: Some(command.request.fingerprint),
            entry: entry.clone(),
            available,
        };
        book.answers.insert(command.request.id.clone(), earlier);
        book.entries.extend(lapsed);
        book.entries.push(entry.clone());
        book.entries.extend(follow_ups);
        if !is_open && let Some(book) = unopened {
            self.accounts.insert(name.clone(), book);
        }
        if let Some(watched) = self.watched.get(name) {
            watched.send_replace(());
        }
        Ok(Written {
            entry,
            available,
            replayed: false,
        })
    }
}

impl Book {
    /// What a decision needs beside the account.
    fn look_up(&self, command: &Command) -> LookedUp {
        let referenced = needs(&self.account, command).and_then(|reference| match reference {
            Reference::ClosedHold(id) => self.hold(id).map(Referenced::ClosedHold),
            Reference::Grant(id) => self.grant(id).map(|_| Referenced::Grant),
            Reference::Spending(id) => self.spending(id).map(Referenced::Spending),
        });
        LookedUp {
            earlier: self.answers.get(&command.request.id).cloned(),
            referenced,
        }
    }

    fn hold(&self, id: HoldId) -> Option<Arc<Hold>> {
        let about = |entry: &&Entry| entry.hold.as_ref().is_some_and(|hold| hold.id == id);
        self.entries.iter().rfind(about)?.hold.clone()
    }

    fn grant(&self, id: GrantId) -> Option<GrantFacts> {
        let made = self.entries.iter().find_map(|entry| match &entry.kind {
            EntryKind::Grant { id: made, terms } if *made == id => Some(terms),
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
        let mut moves = self.entries.iter().filter(|entry| entry.kind.is_move());
        let entry = moves.find(|entry| entry.id == id)?;
        let mut refunded = Credits::ZERO;
        for refund in &self.entries {
            if matches!(refund.kind, EntryKind::Refund { of, .. } if of == id) {
                refunded = refunded.checked_add(refund.credits).ok()?;
            }
        }
        Spending::of(entry, refunded, |grant| self.grant(grant))
    }
}

fn defect(at: Inconsistent) -> StoreError {
    StoreError::Unavailable(Unavailable {
        operation: "write",
        cause: format!("entry {} does not follow from those before it", at.0.0),
    })
}

impl Store for MemoryStore {
    fn write(&self, command: Command) -> Pending<Box<Written>> {
        let (mut books, now) = self.open();
        Pending::ready(books.write(&command, now).map(Box::new))
    }

    /// All are told at once: to read them would take a time of its own, which a refusal does not
    /// tell.
    fn known_settings(&self, name: &AccountName) -> KnownSettings {
        let books = self.books();
        let Some(book) = books.accounts.get(name) else {
            return KnownSettings::None;
        };
        let settings = book.account.settings().cloned();
        let Some(lately) = &self.lately else {
            return KnownSettings::Current(settings);
        };
        let mut lately = lately.lock().unwrap();
        KnownSettings::Lately(lately.entry(name.clone()).or_insert(settings).clone())
    }

    fn settings(&self, names: Vec<AccountName>) -> Pending<Vec<Option<Arc<AccountSettings>>>> {
        let books = self.books();
        let settings = names.iter().map(|name| {
            let book = books.accounts.get(name)?;
            book.account.settings().cloned()
        });
        Pending::ready(Ok(settings.collect()))
    }

    fn write_batch(&self, commands: Vec<Command>) -> Pending<Vec<Answer<Written>>> {
        let (mut books, now) = self.open();
        let answers = commands.iter().map(|command| {
            let mut written = books.write(command, now)?;
            written.entry.shares.clear();
            Ok(written)
        });
        Pending::ready(Ok(answers.collect()))
    }

    fn account(&self, name: AccountName, as_of: Option<Timestamp>) -> Pending<AccountSnapshot> {
        let (mut books, now) = self.open();
        Pending::ready(books.snapshot(name, as_of, now))
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
            Ok(EntryPage {
                entries,
                next,
                opening: None,
            })
        }))
    }

    fn account_names(&self, query: NameQuery) -> Pending<Vec<AccountName>> {
        let books = self.books();
        let mut names: Vec<_> = books.accounts.keys().cloned().collect();
        names.retain(|name| {
            name.as_str().starts_with(&*query.prefix) && Some(name) > query.after.as_ref()
        });
        names.sort_unstable();
        names.truncate(query.limit);
        Pending::ready(Ok(names))
    }

    fn watch(&self, name: AccountName) -> Pending<Changes> {
        let (mut books, now) = self.open();
        let known = books.book(&name, now).map(|_| ());
        let watched = books.watched.entry(name).or_default();
        Pending::ready(known.map(|()| watched.subscribe()))
    }

    fn refuses_writes(&self) -> Option<(usize, creditd::store::Queued)> {
        None
    }

    fn writable(&self) -> watch::Receiver<bool> {
        self.writable.subscribe()
    }

    fn metrics(&self) -> Arc<creditd::store::metrics::StoreMetrics> {
        Arc::default()
    }

    fn queued_commands(&self) -> usize {
        0
    }
}
