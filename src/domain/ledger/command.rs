//! What a caller asks the ledger to do.

use crate::domain::amount::Credits;
use crate::domain::fault::Faults;
use crate::domain::names::{AccountName, Labels, RequestId};
use crate::domain::time::Timestamp;

/// Stands for the meaning of a request's body: equal bodies have equal ones.
pub type Fingerprint = [u8; 16];

/// The caller's name of one write, and what it meant by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    /// The name.
    pub id: RequestId,
    /// The meaning of the body.
    pub fingerprint: Fingerprint,
}

/// One write to one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Whose credits move.
    pub account: AccountName,
    /// Looked up before anything else is decided.
    pub request: RequestKey,
    /// What was found wrong by what can change while a request_id is kept (the
    /// rate cards): it counts only once the request_id was found to be new.
    pub faults: Faults,
    /// What to do.
    pub action: Action,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Add credits.
    Grant(GrantAction),
}

/// Adds credits; the first opens the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantAction {
    /// How much; more than 0.
    pub credits: Credits,
    /// When what is left is gone; None: never.
    pub expire_time: Option<Timestamp>,
    /// Lower burns first.
    pub priority: i32,
    /// Where the credits come from.
    pub source: Box<str>,
    /// Services that they may pay for, in order, each once; empty: all.
    pub services: Vec<Box<str>>,
    /// Kept with the entry.
    pub labels: Labels,
}
