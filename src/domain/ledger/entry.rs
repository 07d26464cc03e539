//! Entries: what happened to an account. They are never changed.

use std::sync::Arc;

use crate::domain::amount::Credits;
use crate::domain::names::{AccountName, Labels, RequestId};
use crate::domain::time::Timestamp;

/// Identifies an entry; entries are numbered in the order of their writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub i64);

impl EntryId {
    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Identifies a grant by the entry that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantId(pub EntryId);

/// One move of credits. `credits + held + spent` is 0, but where credits enter
/// or leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The entry.
    pub id: EntryId,
    /// The account's entry before it.
    pub previous: Option<EntryId>,
    /// Whose it is.
    pub account: AccountName,
    /// What happened.
    pub kind: EntryKind,
    /// Change of available.
    pub credits: Credits,
    /// Change of held.
    pub held: Credits,
    /// What was paid for work.
    pub spent: Credits,
    /// Available after it.
    pub available: Credits,
    /// When.
    pub create_time: Timestamp,
    /// Counts the account's entries, from 1.
    pub version: i64,
    /// The write that it answers; None where the server made it by itself.
    pub request_id: Option<RequestId>,
    /// What the caller keeps with it.
    pub labels: Labels,
    /// The grant that it is about.
    pub grant: GrantId,
    /// From which grants credits were taken, or to which they came.
    pub shares: Vec<GrantShare>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// Credits came in, under these terms.
    Grant(Arc<GrantTerms>),
    /// What was left of a grant expired.
    Expire,
}

/// Under which terms credits were granted. They never change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantTerms {
    /// How much.
    pub granted: Credits,
    /// Lower burns first.
    pub priority: i32,
    /// When what is left is gone; None: never.
    pub expire_time: Option<Timestamp>,
    /// Where the credits come from.
    pub source: Box<str>,
    /// Services that they may pay for, in order, each once; empty: all.
    pub services: Vec<Box<str>>,
    /// When they were granted.
    pub create_time: Timestamp,
}

/// What an entry did to one grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantShare {
    /// The grant.
    pub grant: GrantId,
    /// Change of what is left of it.
    pub credits: Credits,
    /// Change of what is held of it.
    pub held: Credits,
}
