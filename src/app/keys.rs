//! Keys, and the trail of what administrators did.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::AppError;
use super::access::{Access, Caller};
use super::token::{self, Token};
use crate::domain::keys::{Key, KeyId, KeyTerms};
use crate::domain::names::repeated;
use crate::domain::violation::TimeRule;
use crate::domain::{FieldViolations, Refusal, Timestamp};
use crate::store::keys::{AdminEvent, EventQuery, KeyQuery, KeyStore, NewKey, StoredKey};
use crate::store::{Changes, Clock, Unavailable};

const SECONDS_PER_MINUTE: i64 = 60;
const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// The use cases about keys.
pub struct Keys {
    store: Arc<dyn KeyStore>,
    access: Arc<Access>,
    clock: Arc<dyn Clock>,
    /// Locked by whoever takes up keys: what was read first is taken up first, so that no key
    /// that was revoked since is valid again.
    taking_up: Mutex<()>,
}

impl Keys {
    /// The use cases over this store. Calls are let in by `access`.
    #[must_use]
    pub const fn new(store: Arc<dyn KeyStore>, access: Arc<Access>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            access,
            clock,
            taking_up: Mutex::const_new(()),
        }
    }

    /// Who may call.
    #[must_use]
    pub const fn access(&self) -> &Arc<Access> {
        &self.access
    }

    /// Takes up the keys of the store.
    ///
    /// # Errors
    /// That they cannot be read.
    pub async fn take_up(&self) -> Result<(), Unavailable> {
        let _taking_up = self.taking_up.lock().await;
        self.access.take_up(&self.store.valid_keys().await?);
        Ok(())
    }

    /// Notifies of each change of the keys.
    #[must_use]
    pub fn changes(&self) -> Changes {
        self.store.key_changes()
    }

    /// Creates a key. It is on disk, and can be used, when this answers. `violations` is what is
    /// wrong with the request already.
    ///
    /// # Errors
    /// Bad fields, as many keys as there may be, or a store that cannot be written.
    pub async fn create(
        &self,
        terms: KeyTerms,
        mut violations: FieldViolations,
        caller: &Caller,
    ) -> Result<(Key, Token), AppError> {
        let now = self.clock.now();
        if let Some(time) = terms.expire_time
            && let Some(violation) = TimeRule::Future.violation(time, now)
        {
            violations.add("key.expire_time", violation);
        }
        violations.or(()).map_err(Refusal::from)?;
        let (id, token, hash) = token::generate().map_err(|error| Unavailable {
            operation: "write",
            cause: format!("no random bytes for a secret: {error}"),
        })?;
        let new = NewKey { id, terms, hash };
        let key = self.store.create_key(new, caller.key_id().cloned()).await?;
        self.take_up().await?;
        Ok((key, token))
    }

    /// Revokes a key. No call that comes after the answer is let in by it, and its watches end.
    ///
    /// # Errors
    /// No such key, or a store that cannot be written.
    pub async fn revoke(&self, key_id: &str, caller: &Caller) -> Result<Key, AppError> {
        let not_found = || Refusal::KeyNotFound {
            key_id: repeated(key_id),
        };
        let id = KeyId::new(key_id).ok_or_else(not_found)?;
        // When it was last used is not told of a key that is revoked already.
        if let Err(error) = self.note_uses().await {
            tracing::debug!(%error, "uses of keys were not written down");
        }
        let key = self.store.revoke_key(id, caller.key_id().cloned()).await?;
        self.take_up().await?;
        Ok(key)
    }

    /// A page of keys, in the order of their creation.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub async fn list(&self, query: KeyQuery) -> Result<Vec<StoredKey>, AppError> {
        Ok(self.store.keys(query).await?)
    }

    /// A page of the trail, newest first.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub async fn events(&self, query: EventQuery) -> Result<Vec<AdminEvent>, AppError> {
        Ok(self.store.admin_events(query).await?)
    }

    /// Writes down which keys were used since this was last done, to the minute.
    ///
    /// # Errors
    /// A store that cannot be written.
    pub async fn note_uses(&self) -> Result<(), Unavailable> {
        let minute = whole_minute(self.clock.now());
        let used = self.access.take_uses();
        if used.is_empty() {
            return Ok(());
        }
        let uses = used.into_iter().map(|id| (id, minute)).collect();
        self.store.note_key_uses(uses).await
    }
}

/// The beginning of the minute.
fn whole_minute(time: Timestamp) -> Timestamp {
    let seconds = time.seconds().rem_euclid(SECONDS_PER_MINUTE);
    let nanos = seconds.saturating_mul(NANOS_PER_SECOND);
    let nanos = nanos.saturating_add(time.nanos().into());
    time.plus_nanos(nanos.saturating_neg())
}
