//! Who makes a call, and what whoever that is may do.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{NotUntil, Quota, RateLimiter};

use crate::domain::keys::{AccountPatterns, Key, KeyId, Scope, Scopes};
use crate::domain::refusal::RateLimited;
use crate::domain::{AccountName, Refusal, Timestamp};
use crate::store::{Answer, Pending, StoreCall};

/// Limits by the steady clock.
pub(super) type Limiter<K, S> = RateLimiter<K, S, DefaultClock, NoOpMiddleware<Instant>>;

/// How many kinds of things calls share.
pub const SHARED_KINDS: usize = 5;

/// What a caller was recognised as.
pub struct Principal {
    id: KeyId,
    scopes: Scopes,
    accounts: AccountPatterns,
    expire_time: Option<Timestamp>,
    limiter: Option<(u32, Limiter<NotKeyed, InMemoryState>)>,
    /// It is not valid any more: it was revoked, or another took its place.
    has_ended: AtomicBool,
    /// It was used since it was last asked.
    was_used: AtomicBool,
    /// Whether it stands for all whom nothing is known of.
    is_stranger: bool,
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
            is_stranger: false,
            held: Default::default(),
        })
    }

    /// Whoever has this key.
    pub(super) fn of_key(key: &Key) -> Arc<Self> {
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

    pub(super) fn end(&self) {
        // Whoever sees it sees what has taken its place.
        self.has_ended.store(true, Ordering::Release);
    }

    fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// Whether it was used since this was last asked; its id then.
    pub(super) fn take_use(&self) -> Option<KeyId> {
        let was_used =
            self.was_used.load(Ordering::Relaxed) && self.was_used.swap(false, Ordering::Relaxed);
        was_used.then(|| self.id.clone())
    }
}

/// So much of what a call asks of the store is noted: the first of it.
pub const STORE_CALLS_NOTED_MAX: usize = 8;

/// What a call has asked of the store.
#[derive(Debug, Default)]
struct StoreCalls(Mutex<Vec<StoreCall>>);

/// Whoever goes on as the same caller asks by itself.
impl Clone for StoreCalls {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// Who makes a call. The default is anybody.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    principal: Option<Arc<Principal>>,
    /// From when on it is refused; None: never.
    expire_time: Option<Timestamp>,
    /// The account that its call named first, for the log.
    account: OnceLock<AccountName>,
    /// What its call asked of the store, for log and trace.
    store_calls: StoreCalls,
}

impl Caller {
    /// Whoever was recognised as this.
    #[must_use]
    pub fn known(principal: Arc<Principal>) -> Self {
        Self {
            expire_time: principal.expire_time,
            principal: Some(principal),
            ..Self::default()
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

    /// The answer of the store, whose stages are noted.
    pub async fn ask<T>(&self, pending: Pending<T>) -> Answer<T> {
        let (answer, call) = pending.with_stages().await;
        let calls = self.store_calls.0.lock();
        let mut calls = calls.unwrap_or_else(PoisonError::into_inner);
        if calls.len() < STORE_CALLS_NOTED_MAX {
            calls.push(call);
        }
        answer
    }

    /// What its call asked of the store, so far as it was noted.
    #[must_use]
    pub fn store_calls(&self) -> Vec<StoreCall> {
        let calls = self.store_calls.0.lock();
        calls.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The account that its call named first; None: it named none yet.
    #[must_use]
    pub fn account(&self) -> Option<&AccountName> {
        self.account.get()
    }

    /// Whether it may do that with this account, which may not exist.
    ///
    /// # Errors
    /// [`Refusal::NotAllowed`].
    pub fn check_account(&self, account: &AccountName, scope: Scope) -> Result<(), Refusal> {
        self.account.get_or_init(|| account.clone());
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

    /// Whether it stands for all who call what needs no key, where others have keys.
    #[must_use]
    pub fn is_stranger(&self) -> bool {
        let principal = self.principal.as_ref();
        principal.is_some_and(|principal| principal.is_stranger)
    }

    /// The accounts that it may name; None: all.
    #[must_use]
    pub fn accounts(&self) -> Option<&AccountPatterns> {
        let principal = self.principal.as_ref()?;
        (!principal.accounts.is_all()).then_some(&principal.accounts)
    }

    /// All who call what needs no key.
    pub(super) fn stranger() -> Self {
        let id = KeyId::new("-");
        let principal = id.map(|id| Principal::new(id, Rights::default()));
        let principal = principal.and_then(Arc::into_inner);
        principal.map_or_else(Self::default, |principal| {
            Self::known(Arc::new(Principal {
                is_stranger: true,
                ..principal
            }))
        })
    }

    /// Whether it has come to its end by now; None where it is anybody.
    pub(super) fn has_ended(&self, now: impl FnOnce() -> Timestamp) -> Option<bool> {
        let principal = self.principal.as_ref()?;
        Some(principal.has_ended() || self.expire_time.is_some_and(|end| end <= now()))
    }

    /// From when on it is refused; None: never.
    pub(super) const fn expire_time(&self) -> Option<Timestamp> {
        self.expire_time
    }

    /// Counts a call.
    pub(super) fn count_call(&self) -> Result<(), Refusal> {
        let Some(principal) = &self.principal else {
            return Ok(());
        };
        if !principal.was_used.load(Ordering::Relaxed) {
            principal.was_used.store(true, Ordering::Relaxed);
        }
        match &principal.limiter {
            None => Ok(()),
            Some((limit, limiter)) => limiter
                .check()
                .map_err(|not_until| limited(RateLimited::Key, *limit, &not_until)),
        }
    }
}

/// What is called for too often.
pub(super) fn limited(of: RateLimited, limit: u32, not_until: &NotUntil<Instant>) -> Refusal {
    let wait = not_until.wait_time_from(DefaultClock::default().now());
    Refusal::RateLimited { of, limit, wait }
}
