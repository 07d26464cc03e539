//! Everything that a well-formed server can refuse, as one closed enum.

use super::amount::Credits;
use super::fault::{Fault, Faults};
use super::names::{AccountName, RequestId};
use super::time::Timestamp;

/// Why a request was refused. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Fields are bad.
    Invalid(Faults),
    /// No card of that name is in force then.
    RateCardNotFound {
        /// The name, cut.
        rate_card: Box<str>,
        /// When it was to be in force.
        at: Timestamp,
    },
    /// No such prices were ever served.
    RevisionNotFound {
        /// The revision, cut.
        revision: Box<str>,
    },
    /// Prices that were replaced longer ago than the server honours.
    RevisionTooOld {
        /// The revision.
        revision: Box<str>,
        /// When other prices took their place.
        replaced: Timestamp,
        /// For how many days the server honours them.
        days_max: u32,
    },
    /// Nothing was ever granted to the account.
    AccountNotFound {
        /// The account.
        account: AccountName,
    },
    /// The request_id was used with another body.
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
    /// The balance would pass the largest amount.
    BalanceTooLarge {
        /// The account.
        account: AccountName,
        /// The largest amount.
        limit: Credits,
    },
}

impl Refusal {
    /// One bad field.
    #[must_use]
    pub fn invalid(field: &'static str, fault: Fault) -> Self {
        Self::Invalid(Faults::of(field, fault))
    }
}

impl From<Faults> for Refusal {
    fn from(faults: Faults) -> Self {
        Self::Invalid(faults)
    }
}
