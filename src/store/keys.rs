//! The contract of a store of keys, and of the trail of what administrators did.
//!
//! # Promises of every store
//!
//! - What was answered with `Ok` is on disk, and so is its event in the trail: both or none.
//!   What fails changes nothing.
//! - A key is never removed: one that is revoked stays, and no other gets its id. Of its secret
//!   there is a hash alone.
//! - The trail only grows, and its times never go back.
//! - After an answer, every read sees what was done, and every receiver of
//!   [`KeyStore::key_changes`] has been notified. A change by another process may be noticed
//!   later, but is noticed.

use super::Changes;
use super::cards::{CardsAnswer, CardsChange};
use crate::domain::Timestamp;
use crate::domain::keys::{Key, KeyId, KeyTerms};

/// The answer of a store of keys.
pub type KeysAnswer<'a, T> = CardsAnswer<'a, T>;
/// The same where a rule may refuse what was asked.
pub type KeysChange<'a, T> = CardsChange<'a, T>;

/// Most keys that are valid at a time.
pub const KEYS_MAX: usize = 10_000;

/// The SHA-256 of a secret. Secrets are random: nobody can guess what has a hash.
pub type SecretHash = [u8; 32];

/// A store of keys.
pub trait KeyStore: Send + Sync + 'static {
    /// Keeps a new key. `by` is who created it; None: anybody.
    ///
    /// It fails where it cannot be written, and where there are [`KEYS_MAX`] keys that are
    /// neither revoked nor expired.
    fn create_key(&self, new: NewKey, by: Option<KeyId>) -> KeysChange<'_, Key>;

    /// Revokes a key. One that was revoked already stays as it is, and the trail too.
    ///
    /// It fails where it cannot be written, and where there is no such key.
    fn revoke_key(&self, id: KeyId, by: Option<KeyId>) -> KeysChange<'_, Key>;

    /// The keys that are neither revoked nor expired, and whether there ever was any.
    fn valid_keys(&self) -> KeysAnswer<'_, ValidKeys>;

    /// A page of all keys that there ever were, in the order in which they were created.
    fn keys(&self, query: KeyQuery) -> KeysAnswer<'_, Vec<StoredKey>>;

    /// Notes when keys were last used. It may be lost: it says how keys are used, and decides
    /// nothing.
    fn note_key_uses(&self, uses: Vec<(KeyId, Timestamp)>) -> KeysAnswer<'_, ()>;

    /// A page of the trail, newest first.
    fn admin_events(&self, query: EventQuery) -> KeysAnswer<'_, Vec<AdminEvent>>;

    /// Notifies of each change of the keys from now on.
    fn key_changes(&self) -> Changes;
}

/// A key on its way into the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// Its id.
    pub id: KeyId,
    /// What it is for.
    pub terms: KeyTerms,
    /// Of its secret.
    pub hash: SecretHash,
}

/// A key as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// Counts keys in the order of their creation.
    pub number: i64,
    /// The key.
    pub key: Key,
    /// Of its secret.
    pub hash: SecretHash,
}

/// The keys that let in now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValidKeys {
    /// Those keys.
    pub keys: Vec<StoredKey>,
    /// Whether there ever was a key, valid or not.
    pub had_any: bool,
}

/// A query of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyQuery {
    /// Keys created after the one of this number.
    pub after: Option<i64>,
    /// Whether those that were revoked are listed too.
    pub show_revoked: bool,
    /// The largest number of keys.
    pub limit: usize,
}

/// A query of the trail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Events older than the one of this number.
    pub before: Option<i64>,
    /// What the key of this id did; empty: any.
    pub key_id: Box<str>,
    /// The largest number of events.
    pub limit: usize,
}

/// Something that was done by an administrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminEvent {
    /// Counts events, from 1.
    pub number: i64,
    /// When it was done.
    pub create_time: Timestamp,
    /// By whom; None: anybody, since authentication was off.
    pub key_id: Option<KeyId>,
    /// What was done.
    pub action: AdminAction,
    /// To what: the id of a key, the revision of a rate card, the seal of an archive.
    pub subject: Box<str>,
    /// What people call that.
    pub title: Box<str>,
}

/// What administrators do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminAction {
    /// Created a key.
    CreateKey,
    /// Revoked a key.
    RevokeKey,
    /// Published a rate card.
    PublishRateCard,
    /// Withdrew a rate card.
    WithdrawRateCard,
    /// Moved old entries to an archive, which "creditd archive" does.
    Archive,
}

impl AdminAction {
    const ALL: [Self; 5] = [
        Self::CreateKey,
        Self::RevokeKey,
        Self::PublishRateCard,
        Self::WithdrawRateCard,
        Self::Archive,
    ];

    /// Its name in files and on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CreateKey => "create_key",
            Self::RevokeKey => "revoke_key",
            Self::PublishRateCard => "publish_rate_card",
            Self::WithdrawRateCard => "withdraw_rate_card",
            Self::Archive => "archive",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }
}
