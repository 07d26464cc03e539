//! Who calls, and whether they may: the keys and certificates that are valid now, in memory.
//!
//! A [`Caller`] stands for a call: it is asked before each use of an account. Where
//! authentication is off, every caller is anybody, and may do everything.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use governor::clock::DefaultClock;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use subtle::ConstantTimeEq as _;
use tokio::sync::watch;

use super::caller::{Limiter, limited};
use super::certificates::Clients;
use super::token::{Token, hash_of};
use crate::domain::keys::{KeyId, Scope, Scopes};
use crate::domain::refusal::RateLimited;
use crate::domain::{AccountName, Refusal};
use crate::store::Clock;
use crate::store::keys::{SecretHash, StoredKey, ValidKeys};

pub use super::caller::{Caller, Principal, Rights, SHARED_KINDS, STORE_CALLS_NOTED_MAX};

/// Who has the key that the server was started with, in entries and in the trail.
pub const ADMIN_KEY_ID: &str = "admin";

type AccountLimiter = Limiter<AccountName, DefaultKeyedStateStore<AccountName>>;

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
    stranger: Caller,
    /// Notified when a principal ends, or authentication begins.
    changed: watch::Sender<()>,
    clock: Arc<dyn Clock>,
    account_limiter: ArcSwapOption<(u32, AccountLimiter)>,
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
        Self {
            authentication,
            valid: ArcSwap::default(),
            clients: ArcSwap::default(),
            taking_up: Mutex::new(()),
            is_required: AtomicBool::new(false),
            stranger: Caller::stranger(),
            changed: watch::Sender::new(()),
            clock,
            account_limiter: ArcSwapOption::new(account_limiter(account_calls_per_second_max)),
        }
    }

    /// From now on so many calls may name one account in a second; 0: no limit. Accounts are
    /// counted anew where that is another limit than before.
    pub fn limit_accounts(&self, calls_per_second_max: u32) {
        let before = self.account_limiter.load();
        if before.as_ref().map_or(0, |limiter| limiter.0) != calls_per_second_max {
            self.account_limiter
                .store(account_limiter(calls_per_second_max));
        }
    }

    /// All who call what needs no key: together they have a share, so that they leave the others
    /// theirs. Where nobody has a key, everybody is anybody.
    #[must_use]
    pub fn stranger(&self) -> Caller {
        match self.is_required() {
            true => self.stranger.clone(),
            false => Caller::default(),
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
    pub fn take_up(&self, stored: &ValidKeys) {
        let _taking_up = self
            .taking_up
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = self.valid.load();
        let mut keys = HashMap::with_capacity(stored.keys.len());
        for StoredKey { key, hash, .. } in &stored.keys {
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
        if stored.had_any {
            self.require();
        }
        self.end(&ended);
    }

    /// Takes up the keys that the server was started with, in place of those before. How many are
    /// new, and how many were ended.
    pub fn take_up_admin_keys(&self, tokens: &[Token]) -> (usize, usize) {
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
        let kept = before.admins.len().saturating_sub(ended.len());
        let new = admins.len().saturating_sub(kept);
        let keys = before.keys.clone();
        self.valid.store(Arc::new(Valid { keys, admins }));
        if !tokens.is_empty() {
            self.require();
        }
        self.end(&ended);
        (new, ended.len())
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
        let has_ended = caller.has_ended(|| self.clock.now());
        has_ended.map_or_else(|| !self.is_required(), |has_ended| !has_ended)
    }

    /// Notifies when somebody ends, or authentication begins.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// How long the caller is valid at most; None where it has no end that is known.
    #[must_use]
    pub fn expires_in(&self, caller: &Caller) -> Option<Duration> {
        let time = caller.expire_time()?;
        Some(time.since(self.clock.now()))
    }

    /// Counts a call of the caller.
    ///
    /// # Errors
    /// [`Refusal::RateLimited`].
    pub fn count_call(&self, caller: &Caller) -> Result<(), Refusal> {
        caller.count_call()
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
        let limiter = self.account_limiter.load();
        match limiter.as_deref() {
            None => Ok(()),
            // Whoever may only ask for prices could otherwise keep others from the account.
            Some(_) if scope == Scope::Price => Ok(()),
            Some((limit, limiter)) => limiter
                .check_key(account)
                .map_err(|not_until| limited(RateLimited::Account, *limit, &not_until)),
        }
    }

    /// Forgets accounts that were not called for a while.
    pub fn forget_idle_accounts(&self) {
        if let Some((_, limiter)) = self.account_limiter.load().as_deref() {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }

    /// The keys of the store that were used since this was last asked.
    #[must_use]
    pub fn take_uses(&self) -> Vec<KeyId> {
        let valid = self.valid.load();
        let keys = valid.keys.values();
        keys.filter_map(|(_, principal)| principal.take_use())
            .collect()
    }
}

fn account_limiter(calls_per_second_max: u32) -> Option<Arc<(u32, AccountLimiter)>> {
    let limit = NonZeroU32::new(calls_per_second_max)?;
    let quota = Quota::per_second(limit);
    let store = DefaultKeyedStateStore::default();
    let limiter = RateLimiter::new(quota, store, DefaultClock::default());
    Some(Arc::new((limit.get(), limiter)))
}

fn is_same(hash: &SecretHash, other: &SecretHash) -> bool {
    hash.ct_eq(other).into()
}
