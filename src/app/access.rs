//! Who calls, and whether they may: the keys and certificates that are valid now, in memory.
//!
//! A [`Caller`] stands for a call: it is asked before each use of an account. Where
//! authentication is off, every caller is anybody, and may do everything.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use subtle::ConstantTimeEq as _;
use tokio::sync::watch;

use super::certificates::Clients;
use super::token::{Token, hash_of};
use crate::domain::keys::{AccountPatterns, Key, KeyId, Scope, Scopes};
use crate::domain::refusal::RateLimited;
use crate::domain::{AccountName, Refusal, Timestamp};
use crate::store::Clock;
use crate::store::keys::{SecretHash, StoredKey};

/// Who has the key that the server was started with, in entries and in the trail.
pub const ADMIN_KEY_ID: &str = "admin";

type Limiter<K, S> = RateLimiter<K, S, DefaultClock, NoOpMiddleware<std::time::Instant>>;
type KeyLimiter = Limiter<NotKeyed, InMemoryState>;
type AccountLimiter = Limiter<AccountName, DefaultKeyedStateStore<AccountName>>;

/// How many kinds of things calls share.
pub const SHARED_KINDS: usize = 5;

/// What a caller was recognised as.
pub struct Principal {
    id: KeyId,
    scopes: Scopes,
    accounts: AccountPatterns,
    expire_time: Option<Timestamp>,
    limiter: Option<(u32, KeyLimiter)>,
    /// It is not valid any more: it was revoked, or another took its place.
    has_ended: AtomicBool,
    /// It was used since it was last asked.
    was_used: AtomicBool,
    /// How much its calls hold now, of each kind of what calls share.
    held: [AtomicUsize; SHARED_KINDS],
}

impl fmt::Debug for Principal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Principal")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// What a principal may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// What it may do.
    pub scopes: Scopes,
    /// With which accounts.
    pub accounts: AccountPatterns,
    /// From when on it is refused; None: never.
    pub expire_time: Option<Timestamp>,
    /// How many calls it may make a second; 0: no limit.
    pub calls_per_second_max: u32,
}

impl Principal {
    /// A principal that was not used yet.
    #[must_use]
    pub fn new(id: KeyId, rights: Rights) -> Arc<Self> {
        let limit = NonZeroU32::new(rights.calls_per_second_max);
        let limiter = |limit: NonZeroU32| {
            let quota = Quota::per_second(limit);
            (
                limit.get(),
                RateLimiter::direct_with_clock(quota, DefaultClock::default()),
            )
        };
        Arc::new(Self {
            id,
            scopes: rights.scopes,
            accounts: rights.accounts,
            expire_time: rights.expire_time,
            limiter: limit.map(limiter),
            has_ended: AtomicBool::new(false),
            was_used: AtomicBool::new(false),
            held: Default::default(),
        })
    }

    fn of_key(key: &Key) -> Arc<Self> {
        let terms = &key.terms;
        Self::new(
            key.id.clone(),
            Rights {
                scopes: terms.scopes,
                accounts: terms.accounts.clone(),
                expire_time: terms.expire_time,
                calls_per_second_max: terms.calls_per_second_max,
            },
        )
    }

    fn end(&self) {
        // Whoever sees it sees what has taken its place.
        self.has_ended.store(true, Ordering::Release);
    }

    fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }
}

/// Who makes a call. The default is anybody.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    principal: Option<Arc<Principal>>,
    /// From when on it is refused; None: never.
    expire_time: Option<Timestamp>,
}

impl Caller {
    /// Whoever was recognised as this.
    #[must_use]
    pub fn known(principal: Arc<Principal>) -> Self {
        Self {
            expire_time: principal.expire_time,
            principal: Some(principal),
        }
    }

    /// The same, until then at the latest.
    #[must_use]
    pub fn until(self, end: Option<Timestamp>) -> Self {
        let earliest = self.expire_time.into_iter().chain(end).min();
        Self {
            expire_time: earliest,
            ..self
        }
    }

    /// Its key, where it has one.
    #[must_use]
    pub fn key_id(&self) -> Option<&KeyId> {
        self.principal.as_ref().map(|principal| &principal.id)
    }

    /// Whether it was recognised.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.principal.is_some()
    }

    /// Whether it may do that.
    ///
    /// # Errors
    /// [`Refusal::NotAllowed`].
    pub fn check_scope(&self, scope: Scope) -> Result<(), Refusal> {
        match &self.principal {
            Some(principal) if !principal.scopes.allow(scope) => Err(Refusal::NotAllowed {
                scope,
                with_account: false,
            }),
            _ => Ok(()),
        }
    }

    /// Whether it may do that with this account, which may not exist.
    ///
    /// # Errors
    /// [`Refusal::NotAllowed`].
    pub fn check_account(&self, account: &AccountName, scope: Scope) -> Result<(), Refusal> {
        match &self.principal {
            Some(principal) if !principal.accounts.allow(account.as_str()) => {
                Err(Refusal::NotAllowed {
                    scope,
                    with_account: true,
                })
            }
            _ => Ok(()),
        }
    }

    /// How much calls of whom this was recognised as hold now, of that kind of what calls share.
    #[must_use]
    pub fn held(&self, shared_kind: usize) -> Option<&AtomicUsize> {
        self.principal.as_ref()?.held.get(shared_kind)
    }

    /// The accounts that it may name; None: all.
    #[must_use]
    pub fn accounts(&self) -> Option<&AccountPatterns> {
        let principal = self.principal.as_ref()?;
        (!principal.accounts.is_all()).then_some(&principal.accounts)
    }
}

/// Whether callers are asked who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// As soon as there is or was a key, or certificates of callers are known.
    WhereKnown,
    /// Never.
    Off,
}

/// Why a token was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotValid;

/// Keys that are valid.
#[derive(Default)]
struct Valid {
    /// Those of the store, by id.
    keys: HashMap<KeyId, (SecretHash, Arc<Principal>)>,
    /// Those that the server was started with.
    admins: Vec<(SecretHash, Arc<Principal>)>,
}

/// See the module.
pub struct Access {
    authentication: Authentication,
    valid: ArcSwap<Valid>,
    /// Who is recognised by a certificate.
    pub(super) clients: ArcSwap<Clients>,
    /// Locked by whoever replaces `valid` or `clients`.
    pub(super) taking_up: Mutex<()>,
    is_required: AtomicBool,
    /// Notified when a principal ends, or authentication begins.
    changed: watch::Sender<()>,
    clock: Arc<dyn Clock>,
    account_limiter: Option<(u32, AccountLimiter)>,
}

impl fmt::Debug for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Access")
            .field("authentication", &self.authentication)
            .field("is_required", &self.is_required)
            .finish_non_exhaustive()
    }
}

impl Access {
    /// Nobody is known yet. `account_calls_per_second_max` is how many calls may name one account
    /// in a second; 0: no limit.
    #[must_use]
    pub fn new(
        authentication: Authentication,
        clock: Arc<dyn Clock>,
        account_calls_per_second_max: u32,
    ) -> Self {
        let limit = NonZeroU32::new(account_calls_per_second_max);
        let limiter = |limit: NonZeroU32| {
            let quota = Quota::per_second(limit);
            let store = DefaultKeyedStateStore::default();
            (
                limit.get(),
                RateLimiter::new(quota, store, DefaultClock::default()),
            )
        };
        Self {
            authentication,
            valid: ArcSwap::default(),
            clients: ArcSwap::default(),
            taking_up: Mutex::new(()),
            is_required: AtomicBool::new(false),
            changed: watch::Sender::new(()),
            clock,
            account_limiter: limit.map(limiter),
        }
    }

    /// Whether callers have to say who they are.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.is_required.load(Ordering::Relaxed)
    }

    /// From now on callers have to say who they are, unless authentication is off.
    pub fn require(&self) {
        let required = self.authentication != Authentication::Off;
        if required && !self.is_required.swap(true, Ordering::Relaxed) {
            tracing::info!("authentication is on: callers need a key");
            // Whoever was let in as anybody is looked at again.
            self.changed.send_replace(());
        }
    }

    /// Takes up the keys of the store. Those that it does not have any more, or that were revoked,
    /// end now.
    pub fn take_up(&self, stored: &[StoredKey]) {
        let _taking_up = self
            .taking_up
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = self.valid.load();
        let mut keys = HashMap::with_capacity(stored.len());
        for StoredKey { key, hash, .. } in stored {
            if key.revoke_time.is_some() {
                continue;
            }
            let known = before.keys.get(&key.id);
            let principal = known.map_or_else(
                || Principal::of_key(key),
                |(_, principal)| Arc::clone(principal),
            );
            keys.insert(key.id.clone(), (*hash, principal));
        }
        let ended: Vec<_> = (before.keys.iter())
            .filter(|(id, _)| !keys.contains_key(*id))
            .map(|(_, (_, principal))| Arc::clone(principal))
            .collect();
        self.valid.store(Arc::new(Valid {
            keys,
            admins: before.admins.clone(),
        }));
        if !stored.is_empty() {
            self.require();
        }
        self.end(&ended);
    }

    /// Takes up the keys that the server was started with, in place of those before.
    pub fn take_up_admin_keys(&self, tokens: &[Token]) {
        let _taking_up = self
            .taking_up
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = self.valid.load();
        let rights = Rights {
            scopes: Scopes::from_iter([Scope::Admin]),
            ..Rights::default()
        };
        let admin = |token: &Token| {
            let hash = hash_of(token.as_str());
            let known = before.admins.iter().find(|(known, _)| *known == hash);
            let id = KeyId::new(ADMIN_KEY_ID)?;
            let principal = known.map_or_else(
                || Principal::new(id, rights.clone()),
                |(_, principal)| Arc::clone(principal),
            );
            Some((hash, principal))
        };
        let admins: Vec<_> = tokens.iter().filter_map(admin).collect();
        let ended: Vec<_> = (before.admins.iter())
            .filter(|(hash, _)| !admins.iter().any(|(kept, _)| kept == hash))
            .map(|(_, principal)| Arc::clone(principal))
            .collect();
        let keys = before.keys.clone();
        self.valid.store(Arc::new(Valid { keys, admins }));
        if !tokens.is_empty() {
            self.require();
        }
        self.end(&ended);
    }

    pub(super) fn end(&self, principals: &[Arc<Principal>]) {
        for principal in principals {
            principal.end();
        }
        if !principals.is_empty() {
            self.changed.send_replace(());
        }
    }

    /// Whoever has this bearer token.
    ///
    /// # Errors
    /// Nobody has it now.
    pub fn authenticate(&self, token: &str) -> Result<Caller, NotValid> {
        let valid = self.valid.load();
        let found = match super::token::parts(token) {
            Some((id, secret)) => KeyId::new(id)
                .and_then(|id| valid.keys.get(&id))
                .filter(|(hash, _)| is_same(hash, &hash_of(secret))),
            None => None,
        };
        let found = found.or_else(|| {
            let hash = hash_of(token);
            valid.admins.iter().find(|(known, _)| is_same(known, &hash))
        });
        let caller = found.map(|(_, principal)| Caller::known(Arc::clone(principal)));
        caller
            .filter(|caller| self.is_valid(caller))
            .ok_or(NotValid)
    }

    /// Whether the caller is still who it was.
    #[must_use]
    pub fn is_valid(&self, caller: &Caller) -> bool {
        match &caller.principal {
            Some(principal) => {
                let end = caller.expire_time;
                !principal.has_ended() && end.is_none_or(|end| self.clock.now() < end)
            }
            None => !self.is_required(),
        }
    }

    /// Notifies when somebody ends, or authentication begins.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// How long the caller is valid at most; None where it has no end that is known.
    #[must_use]
    pub fn expires_in(&self, caller: &Caller) -> Option<Duration> {
        let time = caller.expire_time?;
        Some(time.since(self.clock.now()))
    }

    /// Counts a call of the caller.
    ///
    /// # Errors
    /// [`Refusal::RateLimited`].
    pub fn count_call(&self, caller: &Caller) -> Result<(), Refusal> {
        let Some(principal) = &caller.principal else {
            return Ok(());
        };
        if !principal.was_used.load(Ordering::Relaxed) {
            principal.was_used.store(true, Ordering::Relaxed);
        }
        match &principal.limiter {
            None => Ok(()),
            Some((limit, limiter)) => limiter.check().map_err(|not_until| {
                let wait = not_until.wait_time_from(DefaultClock::default().now());
                limited(RateLimited::Key, *limit, wait)
            }),
        }
    }

    /// Whether the caller may do that with this account now, which may not exist. It counts.
    ///
    /// # Errors
    /// [`Refusal::NotAllowed`], [`Refusal::RateLimited`].
    pub fn admit(
        &self,
        caller: &Caller,
        account: &AccountName,
        scope: Scope,
    ) -> Result<(), Refusal> {
        caller.check_account(account, scope)?;
        match &self.account_limiter {
            None => Ok(()),
            Some((limit, limiter)) => limiter.check_key(account).map_err(|not_until| {
                let wait = not_until.wait_time_from(DefaultClock::default().now());
                limited(RateLimited::Account, *limit, wait)
            }),
        }
    }

    /// Forgets accounts that were not called for a while.
    pub fn forget_idle_accounts(&self) {
        if let Some((_, limiter)) = &self.account_limiter {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }

    /// The keys of the store that were used since this was last asked.
    #[must_use]
    pub fn take_uses(&self) -> Vec<KeyId> {
        let valid = self.valid.load();
        let used = valid.keys.values().filter(|(_, principal)| {
            principal.was_used.load(Ordering::Relaxed)
                && principal.was_used.swap(false, Ordering::Relaxed)
        });
        used.map(|(_, principal)| principal.id.clone()).collect()
    }
}

const fn limited(of: RateLimited, limit: u32, wait: Duration) -> Refusal {
    Refusal::RateLimited { of, limit, wait }
}

fn is_same(hash: &SecretHash, other: &SecretHash) -> bool {
    hash.ct_eq(other).into()
}
