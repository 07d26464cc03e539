//! Everything that the rules refuse, as one closed enum.

use std::sync::Arc;
use std::time::Duration;

use super::amount::Credits;
use super::keys::Scope;
use super::ledger::HoldStatus;
use super::names::{AccountName, RequestId};
use super::schedule::{CardState, NameTaken, Origin};
use super::time::Timestamp;
use super::violation::{FieldViolations, Violation};

/// What names a rate card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardNamedBy {
    /// A request, or the server where a request names none.
    Request,
    /// The account that is priced.
    Account,
    /// An update of an account, which it is to have from then on.
    Update,
}

/// What is called for too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimited {
    /// The key of the call.
    Key,
    /// An account that it names.
    Account,
}

impl RateLimited {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Account => "account",
        }
    }
}

/// Why a request was refused. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Fields are invalid.
    Invalid(FieldViolations),
    /// No card of that name is in force at that time.
    RateCardNotFound {
        /// The name, cut.
        rate_card: Box<str>,
        /// The time at which it was to be in force.
        at: Timestamp,
        /// Where the name stands.
        named_by: CardNamedBy,
    },
    /// A request names a revision, and a rate card that is not its card.
    RevisionOfAnother {
        /// The revision, cut.
        revision: Box<str>,
        /// The card that is named, cut.
        rate_card: Box<str>,
    },
    /// No rate card of that revision was ever published.
    RevisionNotFound {
        /// The revision, cut.
        revision: Box<str>,
    },
    /// No rate card of the revision that is to be withdrawn was ever published.
    RevisionNotPublished {
        /// The revision, cut.
        revision: Box<str>,
    },
    /// The revision was replaced longer ago than the server honours.
    RevisionTooOld {
        /// The revision.
        revision: Box<str>,
        /// When it was replaced.
        replaced: Timestamp,
        /// For how many days the server honours a replaced revision.
        days_max: u32,
    },
    /// The name of a rate card that is to be published, or its time, is another card's.
    RateCardNameTaken {
        /// The name, cut.
        rate_card: Box<str>,
        /// What has it.
        taken_by: NameTaken,
    },
    /// A rate card that is to be withdrawn is not scheduled.
    RateCardNotScheduled {
        /// The revision.
        revision: Box<str>,
        /// Where the card comes from.
        origin: Origin,
        /// Whether it is in force.
        state: CardState,
    },
    /// As many rate cards are published or scheduled as may be.
    TooManyRateCards {
        /// The name of the card that is one too many, cut.
        rate_card: Box<str>,
        /// How many there may be.
        limit: usize,
        /// Whether it is a limit on those of this name that are scheduled.
        scheduled: bool,
    },
    /// The account does not exist: nothing was ever granted to it, and no update opened it.
    AccountNotFound {
        /// The account.
        account: AccountName,
    },
    /// The request_id was used for a request of another meaning.
    RequestIdReused {
        /// The account.
        account: AccountName,
        /// The request_id.
        request_id: RequestId,
    },
    /// The account has as many live grants as it may have.
    TooManyGrants {
        /// The account.
        account: AccountName,
        /// How many it may have.
        limit: usize,
    },
    /// The account has as many open holds as it may have.
    TooManyHolds {
        /// The account.
        account: AccountName,
        /// How many it may have.
        limit: usize,
    },
    /// There is less to spend on this than it costs.
    InsufficientCredits {
        /// The account.
        account: AccountName,
        /// What it costs.
        required: Credits,
        /// What could be spent on this, by grants for its service.
        available: Credits,
        /// By how much that is too little.
        shortfall: Credits,
    },
    /// The account has no such hold.
    HoldNotFound {
        /// The id as it was sent, cut.
        hold: Box<str>,
    },
    /// The hold is not open any more.
    HoldClosed {
        /// The hold as the request names it.
        hold: Box<str>,
        /// The status of the hold.
        status: HoldStatus,
    },
    /// A settlement is more than its hold has.
    HoldExceeded {
        /// The hold as the request names it.
        hold: Box<str>,
        /// What the settlement costs.
        required: Credits,
        /// What the hold has.
        held: Credits,
    },
    /// The hold was made for another service.
    HoldServiceMismatch {
        /// The hold as the request names it.
        hold: Box<str>,
        /// The service for which it was made.
        hold_service: Arc<str>,
        /// The service of the settlement.
        service: Arc<str>,
    },
    /// The account has no such entry.
    EntryNotFound {
        /// The id as it was sent, cut.
        entry: Box<str>,
    },
    /// The entry is neither a charge nor a settlement.
    EntryNotRefundable {
        /// The entry as the request names it.
        entry: Box<str>,
        /// The name of its kind.
        kind: &'static str,
    },
    /// A refund of more than is left of its charge.
    RefundExceedsCharge {
        /// The charge as the request names it.
        entry: Box<str>,
        /// What was asked for.
        requested: Credits,
        /// What is left.
        refundable: Credits,
    },
    /// The account has no such grant.
    GrantNotFound {
        /// The id as it was sent, cut.
        grant: Box<str>,
    },
    /// What is asked for is in an archive.
    HistoryArchived {
        /// The account.
        account: AccountName,
        /// Counts archives; the newest one that has entries of the account.
        archive: i64,
        /// The oldest time of which the account is known.
        oldest: Timestamp,
    },
    /// The balance would pass the largest amount.
    BalanceTooLarge {
        /// The account.
        account: AccountName,
        /// The largest amount.
        limit: Credits,
    },
    /// The caller may not do that, or not with that account.
    NotAllowed {
        /// What it would have to be allowed.
        scope: Scope,
        /// Whether it is the account that it may not name.
        with_account: bool,
    },
    /// More calls in a second than there may be.
    RateLimited {
        /// Of what.
        of: RateLimited,
        /// How many there may be.
        limit: u32,
        /// When there may be one again.
        wait: Duration,
    },
    /// No key has this id.
    KeyNotFound {
        /// The id, cut.
        key_id: Box<str>,
    },
    /// There are as many keys as there may be.
    TooManyKeys {
        /// How many there may be.
        limit: usize,
    },
}

impl Refusal {
    /// One bad field.
    #[must_use]
    pub fn invalid(field: &'static str, violation: Violation) -> Self {
        Self::Invalid(FieldViolations::of(field, violation))
    }
}

impl From<FieldViolations> for Refusal {
    fn from(violations: FieldViolations) -> Self {
        Self::Invalid(violations)
    }
}
